//! What one mail and one registration allocate stays below a ceiling.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test")]

use costs::{Count, Mails, Users};
use system::Measured;
use testkit::Service;

/// Units before the measured ones: connections open, pools fill, the prefetch finds its size.
const WARM_UP: usize = 500;
/// Units of one batch.
const BATCH: usize = 400;
/// Measured batches. Their median counts: what a service does once in a while, such as taking memory for hashes, falls into one.
const BATCHES: usize = 5;

/// The most that one unit may allocate: about 15 % above what was measured.
struct Ceiling {
    calls: f64,
    bytes: f64,
}

const MAIL: Ceiling = Ceiling { calls: 160.0, bytes: 56_000.0 };
const REGISTRATION: Ceiling = Ceiling { calls: 295.0, bytes: 62_000.0 };

#[tokio::test(flavor = "multi_thread")]
async fn one_mail_allocates_no_more_than_its_ceiling() {
    let mails = Mails::start().await;
    let worker = Service::spawn("counted-email-worker", &mails.environment());
    mails.publish(WARM_UP, Measured::BuiltIn).await;
    mails.sent(WARM_UP).await;
    let mut counts = vec![Count::of(&worker, 0).await];
    for batch in 1..=BATCHES {
        // It finds all of them when it goes on: what it does at once must not depend on how fast we publish.
        worker.pause();
        mails.publish(BATCH, Measured::BuiltIn).await;
        worker.resume();
        mails.sent(WARM_UP + batch * BATCH).await;
        counts.push(Count::of(&worker, batch).await);
    }
    judge("mail", &counts, &MAIL);
    assert!(worker.terminate().await.success(), "the worker drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_registration_allocates_no_more_than_its_ceiling() {
    let users = Users::start().await;
    let api = Service::spawn("counted-user-api", &users.environment());
    api.ready().await;
    users.register(&api.base_url(), 0, WARM_UP).await;
    let mut counts = vec![Count::of(&api, 0).await];
    for batch in 1..=BATCHES {
        users.register(&api.base_url(), WARM_UP + (batch - 1) * BATCH, BATCH).await;
        counts.push(Count::of(&api, batch).await);
    }
    judge("registration", &counts, &REGISTRATION);
    assert!(api.terminate().await.success(), "user-api drains");
}

fn judge(unit: &str, counts: &[Count], ceiling: &Ceiling) {
    let batches: Vec<Count> = counts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let calls = median(batches.iter().map(|batch| batch.calls));
    let bytes = median(batches.iter().map(|batch| batch.bytes));
    eprintln!("one {unit} allocates {calls:.1} times, {bytes:.0} bytes");
    assert!(
        calls <= ceiling.calls && bytes <= ceiling.bytes,
        "one {unit} allocates {calls:.1} times and {bytes:.0} bytes, more than {} times and {} bytes: docs/performance.md \
         tells how to find out who allocates; what it buys belongs there, together with a new ceiling",
        ceiling.calls,
        ceiling.bytes
    );
}

/// Of one unit.
fn median(batches: impl Iterator<Item = usize>) -> f64 {
    let mut batches: Vec<usize> = batches.collect();
    batches.sort_unstable();
    batches[batches.len() / 2] as f64 / BATCH as f64
}
