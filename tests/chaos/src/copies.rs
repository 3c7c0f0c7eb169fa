//! Whether a task may have been there twice, and what has to be shown for it.
//!
//! A second copy comes into being where somebody publishes again because it could not know better, or where the broker gives
//! a task to somebody else: both need a fault of a service that moves tasks, of the broker, or of the outbox's database.

use crate::facts::{Facts, Happened};
use crate::schedule::{Kind, Victim};
use crate::stage::HEARTBEAT;

/// For so long after a fault a connection that did not survive it may still stand: until the next look at its heartbeats, and
/// a second for two cores.
const AFTERMATH: f64 = HEARTBEAT as f64 + 1.0;

/// Whether a fault that copies tasks overlaps these seconds of a task, or had only just ended when they began.
pub(crate) fn may_be_copied(facts: &Facts, from: f64, until: f64) -> bool {
    facts.trouble(from - AFTERMATH, until, copies)
}

/// Latency delays a confirm, and loses none.
fn copies(fault: &Happened) -> bool {
    !matches!(fault.victim, Victim::MailServer | Victim::Operators) && fault.kind != Kind::Latency
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_copy_needs_a_fault_that_copies_in_the_life_of_the_task() {
        use Kind::{Blackhole, DiskAlarm, Freeze, Kill, Latency, Resets, Slow};
        use Victim::{Api, Broker, Database, MailServer, Worker};
        // The task is made at 20 s, its second attempt is at 30 s.
        let table = [
            ("its relay died", Api(0), Kill, 20.5, 22.0, true),
            ("its relay stood still", Api(1), Freeze, 19.0, 26.0, true),
            ("its delete was lost", Database, Resets, 20.5, 22.0, true),
            ("its confirm was late", Broker, DiskAlarm, 20.5, 24.0, true),
            ("its delivery was lost", Broker, Blackhole, 24.0, 28.0, true),
            ("its worker died", Worker(0), Kill, 29.9, 32.0, true),
            ("a dead connection, not closed yet", Broker, Freeze, 10.0, 17.0, true),
            ("over long before", Broker, Kill, 5.0, 14.0, false),
            ("after the second attempt", Worker(1), Kill, 30.1, 32.0, false),
            ("only the mail server", MailServer, Slow, 19.0, 31.0, false),
            ("only the way to the mail server", MailServer, Resets, 19.0, 31.0, false),
            ("only latency", Broker, Latency, 19.0, 31.0, false),
        ];
        for (name, victim, kind, from, until, may) in table {
            let faults = vec![Happened { victim, kind, planned: from, from, until }];
            let facts = Facts { faults, ..Facts::default() };
            assert_eq!(may_be_copied(&facts, 20.0, 30.0), may, "{name}");
        }
        assert!(!may_be_copied(&Facts::default(), 20.0, 30.0), "nothing broke");
    }
}
