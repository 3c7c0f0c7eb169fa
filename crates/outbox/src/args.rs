//! The variables of a relay.

use std::time::Duration;

use clap::Args;
use platform::config::duration;

use crate::relay::RelayOptions;

/// An outbox that is looked at more often is looked at all the time.
const SHORTEST_POLL: Duration = Duration::from_millis(10);

/// How tasks get from the outbox into the queue.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Relay")]
pub struct RelayArgs {
    /// Tasks published in one go, 1 to 5000
    #[arg(long, env = "RELAY_BATCH", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=5000))]
    pub relay_batch: u16,
    /// How often the outbox is looked at for what other processes left in it
    #[arg(long, env = "RELAY_POLL_INTERVAL", default_value = "1s", value_parser = duration)]
    pub relay_poll_interval: Duration,
    /// How long the broker may take to confirm a batch
    #[arg(long, env = "CONFIRM_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub confirm_timeout: Duration,
}

impl RelayArgs {
    /// For the relay of this application.
    pub fn options(&self, app: &'static str) -> RelayOptions {
        let Self { relay_batch: batch, relay_poll_interval: poll_interval, confirm_timeout } = *self;
        RelayOptions { app, batch, poll_interval, confirm_timeout }
    }

    /// What makes no sense, each with whether it is so.
    pub fn contradictions(&self) -> [(bool, &'static str); 2] {
        [
            (
                self.relay_poll_interval < SHORTEST_POLL,
                "RELAY_POLL_INTERVAL is shorter than 10ms: the outbox would be looked at without a pause",
            ),
            (self.confirm_timeout.is_zero(), "CONFIRM_TIMEOUT is 0s: no task would ever be confirmed"),
        ]
    }
}
