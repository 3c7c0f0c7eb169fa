//! What breaks when: a function of the seed, and nothing else.

use std::fmt;
use std::time::Duration;

use crate::dice::Dice;

/// How many instances of each service run.
pub(crate) const INSTANCES: usize = 2;

/// What a fault happens to. One victim has one fault at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Victim {
    Broker,
    Database,
    Api(usize),
    Worker(usize),
    /// With the network before it.
    MailServer,
    /// Which redrives what operators ask for.
    Console,
    /// Who runs it all, and asks for this and that meanwhile.
    Operators,
}

/// Where the mail server hangs up, or says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Greeting,
    Sender,
    Recipient,
    Dot,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// SIGKILL; started again afterwards.
    Kill,
    /// SIGSTOP, then SIGCONT.
    Freeze,
    /// Connections are cut, again and again.
    Resets,
    /// 200 ms each way.
    Latency,
    /// Connections stand, and nothing comes through.
    Blackhole,
    /// The broker believes its disk to be full.
    DiskAlarm,
    MemoryAlarm,
    /// Script: every recipient 4yz.
    RefusesForNow,
    /// Script: some recipients 5yz.
    RefusesSome,
    DropsAt(At),
    HangsAt(At),
    /// Script: the mail is taken, the answer lost.
    AcceptsThenDrops,
    /// Script: the answer to the dot comes late, now and then too late.
    Slow,
    Greylists,
    RefusesConnections,
    /// Everything, or all mails of the type that there is.
    PauseEverything,
    PauseTheType,
    /// All mails are to one domain.
    LimitTheDomain,
    /// Those who were refused for good are tried again, and refused again.
    RedriveTheRefused,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) start: Duration,
    pub(crate) length: Duration,
    pub(crate) victim: Victim,
    pub(crate) kind: Kind,
}

/// The waits before faults of a victim, and the lengths of these, in milliseconds.
type Range = (u64, u64);

fn pace(victim: Victim) -> Range {
    match victim {
        Victim::Broker | Victim::Database => (4_000, 12_000),
        Victim::Api(_) => (5_000, 15_000),
        Victim::Worker(_) => (3_000, 10_000),
        Victim::Console => (4_000, 9_000),
        Victim::MailServer => (1_500, 5_000),
        Victim::Operators => (3_000, 9_000),
    }
}

fn kinds(victim: Victim) -> &'static [Kind] {
    use Kind as K;
    match victim {
        Victim::Broker => &[K::Kill, K::Freeze, K::Resets, K::Latency, K::Blackhole, K::DiskAlarm, K::MemoryAlarm],
        Victim::Database => &[K::Kill, K::Freeze, K::Resets, K::Latency, K::Blackhole],
        Victim::Api(_) => &[K::Kill, K::Freeze],
        // Killed more often than frozen: the windows are about that.
        Victim::Worker(_) => &[K::Kill, K::Kill, K::Freeze],
        Victim::Console => &[K::Kill, K::Kill, K::Freeze],
        Victim::MailServer => &[
            K::Resets,
            K::Latency,
            K::Blackhole,
            K::RefusesForNow,
            K::RefusesSome,
            K::DropsAt(At::Greeting),
            K::DropsAt(At::Sender),
            K::DropsAt(At::Recipient),
            K::DropsAt(At::Dot),
            K::HangsAt(At::Recipient),
            K::HangsAt(At::Dot),
            K::AcceptsThenDrops,
            K::Slow,
            K::Greylists,
            K::RefusesConnections,
        ],
        Victim::Operators => &[
            K::PauseEverything,
            K::RedriveTheRefused,
            K::PauseTheType,
            K::RedriveTheRefused,
            K::LimitTheDomain,
            K::RedriveTheRefused,
        ],
    }
}

fn length(kind: Kind) -> Range {
    match kind {
        Kind::Kill => (300, 4_000),
        // Sometimes longer than a claim holds, and than the broker waits for a heartbeat.
        Kind::Freeze => (300, 9_000),
        Kind::Blackhole => (500, 7_000),
        Kind::Latency => (3_000, 8_000),
        _ => (1_500, 5_000),
    }
}

/// The faults of `time`, in order of their start; each ends within it.
pub(crate) fn schedule(seed: u64, time: Duration) -> Vec<Fault> {
    let victims = [Victim::Broker, Victim::Database, Victim::MailServer];
    let services = (0..INSTANCES).flat_map(|n| [Victim::Api(n), Victim::Worker(n)]);
    let mut faults: Vec<Fault> = victims
        .into_iter()
        .chain(services)
        .chain([Victim::Operators, Victim::Console])
        .zip(1..)
        .flat_map(|(victim, stream)| of_victim(victim, Dice::new(seed, stream), time))
        .collect();
    faults.sort_by_key(|fault| (fault.start, fault.victim));
    faults
}

/// A bag of all kinds, emptied in an order of chance, then filled again: no kind is left out for long.
fn of_victim(victim: Victim, mut dice: Dice, time: Duration) -> Vec<Fault> {
    let (mut faults, mut bag) = (Vec::new(), Vec::new());
    let mut free = Duration::ZERO;
    loop {
        if bag.is_empty() {
            bag = kinds(victim).to_vec();
            dice.shuffle(&mut bag);
        }
        let Some(kind) = bag.pop() else { return faults };
        let (from, to) = pace(victim);
        // The first comes sooner: a short run is to see something.
        let start = free + if faults.is_empty() { dice.ms(500, to / 2) } else { dice.ms(from, to) };
        let (from, to) = length(kind);
        let fault = Fault { start, length: dice.ms(from, to), victim, kind };
        free = start + fault.length + recovery(&fault);
        if start + fault.length > time {
            return faults;
        }
        faults.push(fault);
    }
}

/// A server that was killed needs a while to come up: the next fault is for one that is there.
fn recovery(fault: &Fault) -> Duration {
    match (fault.victim, fault.kind) {
        (Victim::Broker, Kind::Kill) => Duration::from_secs(8),
        (Victim::Broker, Kind::DiskAlarm | Kind::MemoryAlarm) => Duration::from_secs(3),
        (Victim::Database, Kind::Kill) => Duration::from_secs(2),
        _ => Duration::ZERO,
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker => f.pad("broker"),
            Self::Database => f.pad("database"),
            Self::Api(n) => f.pad(&format!("user-api {n}")),
            Self::Worker(n) => f.pad(&format!("email-worker {n}")),
            Self::MailServer => f.pad("mail server"),
            Self::Console => f.pad("console"),
            Self::Operators => f.pad("operators"),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "instead of greeting",
            Self::Sender => "at MAIL",
            Self::Recipient => "at RCPT",
            Self::Dot => "after the dot",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill => f.write_str("killed"),
            Self::Freeze => f.write_str("frozen"),
            Self::Resets => f.write_str("connections reset"),
            Self::Latency => f.write_str("200 ms away"),
            Self::Blackhole => f.write_str("behind a blackhole"),
            Self::DiskAlarm => f.write_str("disk alarm"),
            Self::MemoryAlarm => f.write_str("memory alarm"),
            Self::RefusesForNow => f.write_str("refuses everyone for now"),
            Self::RefusesSome => f.write_str("refuses some for good"),
            Self::DropsAt(at) => write!(f, "hangs up {at}"),
            Self::HangsAt(at) => write!(f, "says nothing {at}"),
            Self::AcceptsThenDrops => f.write_str("takes mails, hangs up without saying so"),
            Self::Slow => f.write_str("slow"),
            Self::Greylists => f.write_str("greylists"),
            Self::RefusesConnections => f.write_str("refuses connections"),
            Self::PauseEverything => f.write_str("pause everything"),
            Self::PauseTheType => f.write_str("pause the type"),
            Self::RedriveTheRefused => f.write_str("redrive those who were refused"),
            Self::LimitTheDomain => f.write_str("limit the domain to 5/s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_seed_means_one_schedule() {
        for seed in [0, 1, 42, u64::MAX] {
            assert_eq!(schedule(seed, MINUTE), schedule(seed, MINUTE), "seed {seed}");
        }
        assert_ne!(schedule(1, MINUTE), schedule(2, MINUTE));
    }

    #[test]
    fn a_longer_run_of_a_seed_begins_with_the_shorter_one() {
        let long = schedule(7, 10 * MINUTE);
        for fault in schedule(7, MINUTE) {
            assert!(long.contains(&fault), "{fault:?}");
        }
    }

    #[test]
    fn one_victim_has_one_fault_at_a_time_and_all_end_in_time() {
        for seed in 0..200 {
            let faults = schedule(seed, 5 * MINUTE);
            for (n, fault) in faults.iter().enumerate() {
                let end = fault.start + fault.length;
                assert!(end <= 5 * MINUTE, "seed {seed}: {fault:?}");
                let next = faults[n + 1..].iter().find(|other| other.victim == fault.victim);
                assert!(next.is_none_or(|next| next.start > end), "seed {seed}: {fault:?}, {next:?}");
            }
        }
    }

    #[test]
    fn ten_minutes_have_every_fault_of_every_victim() {
        let faults = schedule(3, 10 * MINUTE);
        let all = [
            Victim::Broker,
            Victim::Database,
            Victim::Api(0),
            Victim::Worker(1),
            Victim::MailServer,
            Victim::Operators,
            Victim::Console,
        ];
        for victim in all {
            for kind in kinds(victim) {
                let there = faults.iter().any(|fault| fault.victim == victim && fault.kind == *kind);
                assert!(there, "{victim}: never {kind}");
            }
        }
    }

    #[test]
    fn ten_short_runs_have_everything_too_and_each_hits_every_victim() {
        let mut seen = HashSet::new();
        for seed in 1..=10 {
            let faults = schedule(seed, MINUTE);
            assert_eq!(faults.iter().map(|fault| fault.victim).collect::<HashSet<_>>().len(), 9, "seed {seed}");
            assert!(faults.len() >= 20, "seed {seed}: {} faults", faults.len());
            seen.extend(faults.iter().map(|fault| format!("{} {}", fault.victim, fault.kind)));
        }
        for victim in [Victim::Broker, Victim::Database, Victim::MailServer, Victim::Operators, Victim::Console] {
            for kind in kinds(victim) {
                assert!(seen.contains(&format!("{victim} {kind}")), "{victim}: never {kind}");
            }
        }
    }
}
