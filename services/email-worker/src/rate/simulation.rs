//! Whole fleets in simulated time: the real limiter and the real queue, a row in memory, and mail servers of many kinds.
//!
//! Time is tokio's own, paused: it moves when everybody waits. Chance is seeded, so that each run is the same.

mod learning;
mod two_workers;
mod unclear;
mod world;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

use super::{Ceiling, Rate};
use world::{Fleet, Limit, World};

/// Holds the mails that were let go to the rate: over any 20 moments (those of two seconds, where 20 are less) at least 0.95
/// of the rate, and never more than the rate, but for what a moment may be late.
#[track_caller]
fn assert_rate(world: &World, until: Duration) {
    let rate = world.fleet.ceiling.rate().expect("a rate to hold").mails_per_second();
    let started = world.started();
    // At most twice the highest rate.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let window = 20.max((2.0 * rate).ceil() as usize);
    let spacing = 1.0 / rate;
    // How late a moment may be used, and how far apart two readings of the database's clock are.
    let tolerance = (spacing / 20.0).clamp(0.025, 60.0) + 0.035;
    let fleet = &world.fleet;
    assert!(started.len() > 20, "{} mails in {until:?}: {fleet:?}", started.len());
    for pair in started.windows(window + 1) {
        let took = (pair[window] - pair[0]).as_secs_f64();
        let fair = spacing * window as f64;
        assert!(took >= fair - tolerance, "{window} in {took} s from {:?} are too many: {fleet:?}", pair[0]);
        // Hiccups of the database are not made up for.
        let most = fair / 0.95 + 0.07;
        assert!(took <= most, "{window} took {took} s from {:?}, more than {most}: {fleet:?}", pair[0]);
    }
    let rest = (until - started[started.len() - 1]).as_secs_f64();
    assert!(rest <= 2.0 * spacing + 1.0, "nothing went in the last {rest} s: {fleet:?}");
}

fn any_fleet(seed: u64) -> Fleet {
    let mut chance = StdRng::seed_from_u64(seed);
    let rates = ["1/h", "7/h", "100/h", "1/m", "30/m", "1", "2", "3", "14", "50", "200", "1000", "5000"];
    let rate: Ceiling = rates[chance.random_range(0..rates.len())].parse().unwrap();
    let timeouts = [1, 5, 30, 60, 600];
    Fleet {
        workers: chance.random_range(1..=20),
        slots: chance.random_range(1..=64),
        send_timeout: Duration::from_secs(timeouts[chance.random_range(0..timeouts.len())]),
        send: Duration::from_millis(chance.random_range(1..40)),
        ceiling: rate,
        adapts: chance.random_bool(0.5),
        seed,
    }
}

/// Does the fleet have connections enough for its rate?
fn is_able(fleet: &Fleet) -> bool {
    let rate = fleet.ceiling.rate().map_or(0.0, Rate::mails_per_second);
    (fleet.workers * fleet.slots) as f64 / fleet.send.as_secs_f64() > rate * 3.0
}

#[tokio::test(start_paused = true)]
async fn every_fleet_keeps_to_its_rate_and_uses_it() {
    for fleet in (0..).map(any_fleet).filter(is_able).take(20) {
        let rate = fleet.ceiling.rate().unwrap();
        let lasts = (rate.spacing() * 60).max(Duration::from_secs(4));
        let world = World::new(fleet, Limit::None);
        world.runs_for(lasts).await;
        assert_rate(&world, lasts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fleet_whose_workers_come_drain_and_die_keeps_to_its_rate_and_uses_it() {
    for fleet in (1_000..).map(any_fleet).filter(is_able).take(12) {
        let rate = fleet.ceiling.rate().unwrap();
        let mut chance = StdRng::seed_from_u64(fleet.seed);
        let a_while = (rate.spacing() * 25).max(Duration::from_secs(2));
        let began = Instant::now();
        let mut world = World::new(fleet, Limit::None);
        for _ in 0..5 {
            world.runs_for(a_while).await;
            let which = chance.random_range(0..world.workers.len());
            world.start_worker();
            match chance.random_range(0..3) {
                0 => world.kill_worker(which).await,
                1 => world.drain_worker(which).await,
                _ => {}
            }
        }
        world.runs_for(a_while).await;
        assert_rate(&world, began.elapsed());
    }
}
