//! What one worker of two does to the row that both look at.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::world::Memory;
use crate::rate::row::Terms;
use crate::rate::{FleetRate, Rate};

#[tokio::test(start_paused = true)]
async fn what_one_domain_taught_the_fleet_goes_when_its_limit_is_found_to_be_its_own() {
    let memory = Memory::new(Instant::now(), 1);
    let token = CancellationToken::new();
    let mut actors = JoinSet::new();
    let mut worker = || {
        let terms = Terms { ceiling: None, adapts: true };
        let (rate, actor) = FleetRate::over(memory.clone(), terms, memory.chance(), token.clone());
        actors.spawn(actor);
        rate
    };
    let (one, other) = (worker(), worker());
    let leave = async |rate: &FleetRate| {
        let mut permit = rate.permit(false).await.unwrap();
        permit.wait().await;
        permit
    };
    let learnt = || memory.row.lock().unwrap().learnt.rate().map(Rate::per_second);
    // Longer than any exchange.
    let told = Duration::from_millis(100);

    leave(&one).await.too_fast("everyone's", None);
    sleep(told).await;
    leave(&other).await.answered();
    sleep(told).await;
    let sent = leave(&one).await;
    let everyones = learnt().expect("the account's limit is learnt");
    sent.too_fast("too many for this domain", Some("slow.example"));
    sleep(told).await;
    leave(&other).await.answered();
    sleep(told).await;
    leave(&one).await.too_fast("too many for this domain", Some("slow.example"));
    sleep(told).await;
    assert!(one.pauses() && learnt() < Some(everyones), "{:?} after {everyones}", learnt());

    one.unlearn("quick.example");
    sleep(told).await;
    assert!(learnt() < Some(everyones), "unlearnt for a domain that never refused");
    one.unlearn("slow.example");
    sleep(told).await;
    assert_eq!(learnt(), Some(everyones), "what was known before the domain refused");
    leave(&other).await.accepted();
    assert!(!other.pauses() && *other.in_force().borrow() >= Some(everyones), "the other worker does not know");
}

/// The slow one has nothing to send: it need not, to be alive.
#[tokio::test(start_paused = true)]
async fn the_lowest_ceiling_holds_for_as_long_as_a_worker_that_has_it_is_alive() {
    let memory = Memory::new(Instant::now(), 1);
    let worker = |per_second: u32| {
        let token = CancellationToken::new();
        let terms = Terms { ceiling: Some(Rate::per_second(f64::from(per_second))), adapts: true };
        let (rate, actor) = FleetRate::over(memory.clone(), terms, memory.chance(), token.clone());
        tokio::spawn(actor);
        (rate, token)
    };
    let sends_for = async |rate: &FleetRate, seconds: u64| {
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut sent = 0;
        while Instant::now() < until {
            let mut permit = rate.permit(false).await.unwrap();
            if permit.wait().await {
                permit.accepted();
                sent += 1;
            }
        }
        sent
    };
    let (fast, _fast_lives) = worker(50);
    let alone = sends_for(&fast, 10).await;
    assert!((475..=510).contains(&alone), "{alone} in 10 s of 50 a second");
    let (slow, slow_ends) = worker(5);
    let beside = sends_for(&fast, 300).await;
    assert!((1_425..=1_600).contains(&beside), "{beside} in 300 s of 5 a second");
    slow_ends.cancel();
    drop(slow);
    sends_for(&fast, 35).await;
    let again = sends_for(&fast, 10).await;
    assert!((475..=510).contains(&again), "{again} in 10 s of 50 a second");
}
