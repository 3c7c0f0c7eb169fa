//! The way out: a mail server, or a folder on a developer's machine.
//!
//! A [`Session`] opened by the [`Transport`] sends one mail after the other and says, when one fails, at which [`Stage`]
//! and how. What the failure means is decided in [`classify`](crate::send::classify). The [`pool`] holds the connections.

mod connect;
mod file;
#[cfg(test)]
mod fuzz;
pub mod pool;
mod reply;
mod server;
mod session;
mod stream;
mod tls;
mod transaction;
mod transport;

pub use reply::{Accepted, Broken, Reply, SendError, Stage, Unsendable};
pub use server::{Login, SmtpOptions, Tls};
pub use transport::{Session, Transport};
