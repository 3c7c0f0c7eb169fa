//! The vocabulary of the suite: a cluster, a namespace, an installation in it, and the ways to look into it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests only: a failed set-up is a failed test")]

mod api;
mod broker;
mod certificate;
mod collector;
mod context;
mod diagnosis;
mod discretion;
mod endings;
mod foreign;
mod forward;
mod helm;
mod inbox;
mod namespace;
pub mod pods;
mod probe;
mod run;
mod slow_mail;
mod sluice;
mod wait;
mod without_keda;

pub use api::{Answer, LOAD, Load, register, registered};
pub use broker::{Broker, VHOST};
pub use certificate::issue;
pub use collector::{Collector, Span};
pub use context::{Cluster, random};
pub use discretion::nothing_is_given_away;
pub use endings::Endings;
pub use foreign::python;
pub use forward::Forward;
pub use helm::{Helm, Said, repository};
pub use inbox::{Inbox, Mail};
pub use namespace::Namespace;
pub use probe::{Way, connections};
pub use run::{Run, Suite};
pub use slow_mail::SlowMail;
pub use sluice::{EMAIL_WORKER, MAIL_API, RELEASE, Sluice, USER_API, merged, next_images};
pub use wait::{throughout, until};
pub use without_keda::WithoutKeda;
