//! What a fleet sent while it did not change, held to both bounds of its rate.

use std::time::Duration;

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
/// A shorter time says too little.
const SHORTEST: Duration = Duration::from_secs(2);
/// How long after its moment a mail may leave: the tolerance of a slot, 25 ms, and as much again for the machine.
const LATE: Duration = Duration::from_millis(50);

/// What is wrong with the mails sent from `from` to `to`, of all that were `sent` in their order: more than so many a second, or
/// fewer than nine tenths of it.
pub(crate) fn wrong(sent: &[Instant], from: Instant, to: Instant, per_second: u32) -> Option<String> {
    let took = to.saturating_duration_since(from);
    if took < SHORTEST {
        return Some(format!("the fleet was steady for {took:?} only"));
    }
    let count = (sent.partition_point(|at| *at < to) - sent.partition_point(|at| *at < from)) as f64;
    let due = |time: Duration| f64::from(per_second) * time.as_secs_f64();
    let told = |what: &str| Some(format!("{what}: {count} in {took:?}, {per_second} a second are {:.0}", due(took)));
    if count > due(took + LATE) + 1.0 {
        told("too many")
    } else if count < due(took) * 0.9 {
        told("too few")
    } else {
        None
    }
}

/// The second with too many mails, if there is one, whether the fleet was steady or not.
pub(crate) fn rush(sent: &[Instant], per_second: u32) -> Option<String> {
    let mut seconds: Vec<usize> =
        (0..sent.len()).map(|first| sent.partition_point(|at| *at < sent[first] + SECOND) - first).collect();
    seconds.sort_unstable();
    let most = seconds.last().copied().unwrap_or_default();
    let nearly_most = seconds.get(seconds.len() * 999 / 1000).copied().unwrap_or_default();
    let rate = usize::try_from(per_second).unwrap();
    let rushes = most > rate * 110 / 100 || nearly_most > rate * 105 / 100;
    rushes.then(|| format!("at most {most} in a second, in 99.9 % of them at most {nearly_most}, of {per_second}"))
}

/// So many a second for so long, in milliseconds.
fn evenly(start: Instant, per_second: u64, millis: u64) -> Vec<Instant> {
    let mails = per_second * millis / 1_000;
    (0..mails).map(|n| start + Duration::from_micros(n * 1_000_000 / per_second)).collect()
}

#[test]
fn both_bounds_hold() {
    let start = Instant::now();
    for (per_second, millis, expected) in [
        (200, 4_000, None),
        (198, 4_000, None),
        (182, 4_000, None),
        (208, 4_000, Some("too many")),
        (400, 4_000, Some("too many")),
        (178, 4_000, Some("too few")),
        (0, 4_000, Some("too few")),
        (200, 1_900, Some("steady for 1.9s only")),
        (200, 0, Some("steady for 0ns only")),
    ] {
        let sent = if per_second == 0 { Vec::new() } else { evenly(start, per_second, millis) };
        let found = wrong(&sent, start, start + Duration::from_millis(millis), 200);
        assert_eq!(found.is_some(), expected.is_some(), "{per_second}/s for {millis} ms: {found:?}");
        assert!(found.unwrap_or_default().contains(expected.unwrap_or_default()), "{per_second}/s for {millis} ms");
    }
}

#[test]
fn what_came_before_and_after_is_not_counted() {
    let start = Instant::now();
    let sent = evenly(start, 200, 10_000);
    assert_eq!(wrong(&sent, start + 3 * SECOND, start + 6 * SECOND, 200), None);
    assert_eq!(wrong(&sent, start - 3 * SECOND, start, 200), Some("too few: 0 in 3s, 200 a second are 600".to_owned()));
}

#[test]
fn a_second_with_too_many_is_a_rush() {
    let start = Instant::now();
    assert_eq!(rush(&[], 200), None);
    assert_eq!(rush(&evenly(start, 200, 4_000), 200), None);
    assert!(rush(&evenly(start, 212, 4_000), 200).is_some());
    let mut burst = evenly(start, 200, 4_000);
    burst.extend(vec![start + 2 * SECOND; 30]);
    burst.sort();
    assert!(rush(&burst, 200).is_some());
}
