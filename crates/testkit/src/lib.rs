//! For tests only: the servers that Sluice talks to, private to the test, with switches for every fault.
//!
//! - [`database`] and [`vhost`] hand out a database and a vhost of their own in servers that the tests of one process
//!   (or of one `with-servers` run) share; [`Postgres`] and [`Rabbit`] start a server of one's own, to be killed, paused, restarted.
//! - [`PgBouncer`] is a pooler before a database.
//! - [`SmtpServer`] is a mail server with scripts: any answer at any stage, drops, hangs, delays, greylisting, TLS, login.
//! - [`Prometheus`] is the real one, which scrapes and evaluates rules.
//! - [`OtlpReceiver`] reads traces, metrics and logs; [`TcpProxy`] cuts and slows networks; [`Service`] runs our own services as processes.
//! - [`Answer`] is what one of our HTTP services answered, held to what every problem must be.
//! - [`page_in_chromium`] shows a page as people see it, [`in_chromium`] uses it as they do; [`OidcProvider`] signs them in.
//! - [`fuzz`] throws a corpus and its mutations at a parser.
//! - [`eventually`] waits for an outcome instead of sleeping.
//!
//! Everything listens on 127.0.0.1, on ports below the ephemeral range (a client that dials a dead server from that range can
//! connect to itself). Nothing outlives the test process, not even when it is killed: see [`stop_everything`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fixture that fails must fail its test, at once and loudly"
)]

mod answer;
mod background;
mod browser;
mod dir;
mod eventually;
pub mod fuzz;
mod janitor;
mod node;
mod otlp;
mod pgbouncer;
mod port;
mod postgres;
mod process;
mod prometheus;
mod proxy;
mod rabbit;
mod service;
mod smtp;
mod tls_front;
mod watchdog;

/// For tests that need a client's own odd ways.
pub use lapin;

/// Another opinion on passwords. Here, and not beside its one test: builds with tests and without share all that they compile
/// only as long as tests ask for no features of their own.
pub use zxcvbn;

pub use answer::Answer;
pub use browser::{Visit, in_chromium, page_in_chromium, page_in_chromium_once_loaded};
pub use dir::Dir;
pub use eventually::eventually;
pub use node::{OidcProvider, node_is_there};
pub use otlp::{Attributes, Instrument, Kind, Link, LogRecord, Metric, OtlpReceiver, Point, Span};
pub use pgbouncer::{PgBouncer, Pooling};
pub use port::Port;
pub use postgres::{Database, Postgres, database, database_encoded};
pub use prometheus::{Alert, Answered, Prometheus};
pub use proxy::TcpProxy;
pub use rabbit::{Client, Management, QueueInfo, Rabbit, RawPublisher, Taken, Vhost, vhost};
pub use service::Service;
pub use smtp::{Arrival, Command, Counts, Mail, Script, SmtpOptions, SmtpServer, Stage, Tls, self_signed};
pub use tls_front::{Preamble, Shown, TlsFront, Trust, address_of};
pub use watchdog::{mark, stop_everything};
