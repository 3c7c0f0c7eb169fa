//! How long things may take, and how often.

use std::time::Duration;

use crate::send::retry_schedule::RetrySchedule;

/// The limits of a run.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Where failed attempts wait.
    pub retry_schedule: RetrySchedule,
    /// How long after its first failure a mail is given up.
    pub give_up_after: Duration,
    /// How long the ledger remembers.
    pub retention: Duration,
    /// How long a delivery may wait here for everything that it needs before `MAIL`.
    pub hold: Duration,
    /// One conversation about a mail, up to its last byte; a claim must last longer.
    pub send_timeout: Duration,
    /// How often a claim is renewed while the answer is waited for; it must last for some times that.
    pub renew_every: Duration,
    /// How often a mail is repeated whose outcome nobody can know.
    pub unknown_repeats: u32,
}
