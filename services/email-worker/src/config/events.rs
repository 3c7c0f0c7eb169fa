//! The variables of events.

use clap::Args;

use crate::events::{EventKinds, EventSource};

/// What others are told of mails.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Events")]
pub struct EventArgs {
    /// Which events are published to the exchange email.events: off, none; on, all; or a list of sent, deferred, dead, expired and
    /// suppressed
    #[arg(long, env = "MAIL_EVENTS", default_value_t = EventKinds::default())]
    pub mail_events: EventKinds,
    /// Their source, a URI reference: who publishes them, where a consumer hears several
    #[arg(long, env = "MAIL_EVENTS_SOURCE", default_value = "/sluice")]
    pub mail_events_source: EventSource,
}
