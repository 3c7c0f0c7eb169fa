//! What both services know of AMQP: a connection that is supervised, the topology, publishing with confirms, consuming
//! with acknowledgements, and the trace context in the headers.
//!
//! This is the one crate (besides testkit) that names the library which speaks the protocol. Nothing here recovers by
//! itself behind the caller's back: an error or the end of a stream means that the channel is gone, and its owner builds a
//! new one. Publishing and consuming use connections of their own: while a broker is short of memory it blocks those that
//! publish, and acknowledgements must not be blocked with them.

pub mod queues;
pub mod topology;

mod account;
mod bulk;
mod confirm;
mod connection;
mod delivery;
mod error;
mod greeting;
mod message;
mod publisher;
mod publisher_connection;
mod reply_code;
mod sieve;
mod subscription;
mod transport;
mod url;

pub use bulk::Bulk;
pub use confirm::{ConfirmChannel, Outcome};
pub use connection::{Broker, Connection};
pub use delivery::{Delivery, Receipt, Settled};
pub use error::AmqpError;
pub use greeting::Greeting;
pub use message::{Headers, Outgoing, Properties, UNREADABLE};
pub use publisher::{PublishError, Publisher};
pub use publisher_connection::{ConnectionState, PublisherConnection};
pub use subscription::Subscription;
pub use url::{BrokerUrl, InvalidBrokerUrl};
