//! A server's own limit is found, used, and followed.

use std::time::Duration;

use super::world::{Fleet, Limit, World};

/// A server that throttles, and what it takes from the second minute on; at most so many are refused.
#[track_caller]
fn assert_learnt(world: &World, name: &str, from: u64, to: u64, possible: f64) {
    let server = world.server.lock().unwrap();
    let (from, to) = (Duration::from_secs(from), Duration::from_secs(to));
    let taken = server.accepted_between(world.origin, from, to) as f64;
    let share = taken / possible;
    let (accepted, refused) = (server.accepted.len(), server.refused.len());
    let refusals = refused as f64 / accepted as f64;
    let workers = world.fleet.workers;
    println!(
        "{name}, {workers} workers, {}: {share:.3} of what it takes, {refusals:.4} refused ({refused} of {accepted})",
        world.fleet.ceiling
    );
    assert!(share >= 0.9, "{name}: {share:.3} of what it takes: {:?}", world.fleet);
    // All connections may be in the middle of a mail when the server refuses for the first time.
    let at_once = server.refused.partition_point(|at| *at < server.refused[0] + Duration::from_millis(100));
    let most = if at_once <= 40 { 0.03 } else { 0.03 + at_once as f64 / accepted as f64 };
    assert!(refusals <= most, "{name}: {refused} refused of {accepted}, {at_once} at once: {:?}", world.fleet);
}

fn throttled_fleets() -> impl Iterator<Item = Fleet> {
    let ceilings = ["0", "200", "2000"];
    [1, 3, 10].into_iter().zip(0..).flat_map(move |(workers, n)| {
        ceilings.into_iter().zip(0..).map(move |(ceiling, m)| Fleet {
            workers,
            slots: 16,
            send_timeout: Duration::from_secs(60),
            send: Duration::from_millis(12),
            ceiling: ceiling.parse().unwrap(),
            adapts: true,
            seed: 10 * n + m,
        })
    })
}

#[tokio::test(start_paused = true)]
async fn a_fleet_learns_what_a_server_takes_a_second() {
    for fleet in throttled_fleets() {
        for (name, limit) in [
            ("14 in any second", Limit::Sliding(14)),
            ("14 in each second", Limit::Fixed(14, Duration::from_secs(1))),
            ("a bucket of 28, 14 a second", Limit::Bucket { holds: 28.0, per_second: 14.0 }),
        ] {
            let world = World::new(fleet.clone(), limit);
            world.runs_for(Duration::from_secs(180)).await;
            assert_learnt(&world, name, 60, 180, 14.0 * 120.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fleet_learns_what_a_server_takes_a_minute() {
    for fleet in throttled_fleets() {
        let world = World::new(fleet.clone(), Limit::Fixed(840, Duration::from_secs(60)));
        world.runs_for(Duration::from_secs(360)).await;
        assert_learnt(&world, "840 in each minute", 60, 360, 840.0 * 5.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fleet_follows_a_server_that_changes_what_it_takes() {
    for fleet in throttled_fleets() {
        let lasts = Duration::from_secs(180);
        let world = World::new(fleet, Limit::Changing(vec![(14, lasts), (50, lasts), (14, lasts)]));
        world.runs_for(lasts * 3).await;
        assert_learnt(&world, "14 at first", 60, 180, 14.0 * 120.0);
        assert_learnt(&world, "then 50", 240, 360, 50.0 * 120.0);
        assert_learnt(&world, "then 14 again", 420, 540, 14.0 * 120.0);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_and_fast_servers_are_learnt_as_well() {
    for (seed, per_second) in [(1, 1), (2, 2), (3, 100), (4, 500)] {
        let fleet = Fleet { seed, ..throttled_fleets().nth(3).unwrap() };
        let world = World::new(fleet, Limit::Sliding(per_second));
        // A slow server is learnt in mails, not in minutes.
        let (from, to) = if per_second < 10 { (300, 900) } else { (60, 120) };
        world.runs_for(Duration::from_secs(to)).await;
        assert_learnt(&world, &format!("{per_second} a second"), from, to, f64::from(per_second) * (to - from) as f64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_comes_later_starts_from_what_the_fleet_knows() {
    let fleet = throttled_fleets().next().unwrap();
    let mut world = World::new(fleet, Limit::Sliding(14));
    world.runs_for(Duration::from_secs(90)).await;
    world.kill_worker(0).await;
    let refused = world.server.lock().unwrap().refused.len();
    world.start_worker();
    world.runs_for(Duration::from_secs(10)).await;
    let server = world.server.lock().unwrap();
    let after = server.refused.len() - refused;
    assert!(after <= 3, "{after} more were refused after the restart");
    assert!(server.accepted_between(world.origin, Duration::from_secs(90), Duration::from_secs(100)) >= 110);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_repeated_by_its_seed() {
    let run = async || {
        let world = World::new(throttled_fleets().nth(3).unwrap(), Limit::Sliding(14));
        world.runs_for(Duration::from_secs(30)).await;
        let server = world.server.lock().unwrap();
        server.accepted.iter().map(|at| at.duration_since(world.origin)).collect::<Vec<_>>()
    };
    let first = run().await;
    assert_eq!(first, run().await);
}
