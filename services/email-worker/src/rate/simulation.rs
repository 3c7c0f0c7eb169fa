//! Whole fleets in simulated time: the real limiter and the real queue, a row in memory, and mail servers of many kinds.
//!
//! Time is tokio's own, paused: it moves when everybody waits. Chance is seeded, so that each run is the same.

mod unclear;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::row::{Ask, Row, Terms};
use super::store::{Answer, Store};
use super::{Ceiling, FleetRate, NoLeave, Prepare, Rate};
use crate::ledger::LedgerDown;

/// The row of a database that answers within milliseconds, now and then later.
#[derive(Clone)]
struct Memory {
    row: Arc<Mutex<Row>>,
    origin: Instant,
    chance: Arc<Mutex<StdRng>>,
}

impl Memory {
    fn new(origin: Instant, seed: u64) -> Self {
        let chance = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        Self { row: Arc::default(), origin, chance }
    }

    /// A worker's own, by the same seed.
    fn chance(&self) -> StdRng {
        StdRng::seed_from_u64(self.chance.lock().unwrap().random())
    }

    fn travel(&self) -> Duration {
        let mut chance = self.chance.lock().unwrap();
        let most = if chance.random_ratio(1, 50) { 30_000 } else { 2_000 };
        Duration::from_micros(chance.random_range(200..most))
    }
}

impl Store for Memory {
    async fn exchange(&mut self, ask: &Ask, terms: Terms) -> Result<Answer, LedgerDown> {
        sleep(self.travel()).await;
        let answer = {
            let mut row = self.row.lock().unwrap();
            let now = 1_700_000_000.0 + self.origin.elapsed().as_secs_f64();
            let grant = row.apply(ask, now, terms);
            Answer { grant, now, row: row.clone() }
        };
        sleep(self.travel()).await;
        Ok(answer)
    }
}

/// A mail server with a limit of its own.
#[derive(Debug)]
struct Server {
    limit: Limit,
    accepted: Vec<Instant>,
    refused: Vec<Instant>,
    // Of a bucket: how many it had, and when.
    tokens: Option<(Instant, f64)>,
}

#[derive(Debug, Clone)]
enum Limit {
    None,
    /// So many in any second.
    Sliding(u32),
    /// So many in each window of this length.
    Fixed(u32, Duration),
    /// One limit after the other, each for so long; the last one stays.
    Changing(Vec<(u32, Duration)>),
    /// A bucket of so many tokens, so many new ones a second.
    Bucket {
        holds: f64,
        per_second: f64,
    },
}

impl Server {
    fn takes(&mut self, origin: Instant, now: Instant) -> bool {
        let last = |accepted: &[Instant], window: Duration| {
            accepted.iter().rev().take_while(|at| now.duration_since(**at) < window).count()
        };
        let second = Duration::from_secs(1);
        let takes = match &self.limit {
            Limit::None => true,
            Limit::Sliding(most) => last(&self.accepted, second) < *most as usize,
            Limit::Fixed(most, window) => {
                let into = Duration::from_secs_f64(now.duration_since(origin).as_secs_f64() % window.as_secs_f64());
                last(&self.accepted, into) < *most as usize
            }
            Limit::Changing(limits) => {
                let mut since = now.duration_since(origin);
                let mut most = 0;
                for (limit, lasts) in limits {
                    most = *limit;
                    let Some(left) = since.checked_sub(*lasts) else { break };
                    since = left;
                }
                last(&self.accepted, second) < most as usize
            }
            Limit::Bucket { holds, per_second } => {
                let (before, tokens) = self.tokens.unwrap_or((origin, *holds));
                let tokens = (tokens + now.duration_since(before).as_secs_f64() * per_second).min(*holds);
                let takes = tokens >= 1.0;
                self.tokens = Some((now, if takes { tokens - 1.0 } else { tokens }));
                takes
            }
        };
        if takes { &mut self.accepted } else { &mut self.refused }.push(now);
        takes
    }

    fn accepted_between(&self, origin: Instant, from: Duration, to: Duration) -> usize {
        self.accepted.partition_point(|at| *at < origin + to) - self.accepted.partition_point(|at| *at < origin + from)
    }
}

/// A mail that waits.
#[derive(Debug)]
struct Mail {
    claimed_until: Instant,
}

#[derive(Debug, Clone)]
struct Fleet {
    workers: usize,
    slots: usize,
    send_timeout: Duration,
    /// A send takes up to so long.
    send: Duration,
    ceiling: Ceiling,
    adapts: bool,
    seed: u64,
}

/// Everything at one run.
struct World {
    fleet: Fleet,
    origin: Instant,
    memory: Memory,
    server: Arc<Mutex<Server>>,
    started: Arc<Mutex<Vec<Instant>>>,
    backlog: Arc<Mutex<VecDeque<Mail>>>,
    chance: Arc<Mutex<StdRng>>,
    workers: Vec<Worker>,
}

struct Worker {
    tasks: JoinSet<()>,
    token: CancellationToken,
}

/// Renews the claim, as the worker does.
struct Renewal<'a> {
    mail: &'a mut Mail,
    memory: &'a Memory,
    send_timeout: Duration,
}

impl Prepare for Renewal<'_> {
    type Unready = ();

    async fn prepare(&mut self) -> Result<(), ()> {
        if self.mail.claimed_until < Instant::now() + self.send_timeout {
            sleep(self.memory.travel()).await;
            self.mail.claimed_until = Instant::now() + self.send_timeout.mul_f64(1.25);
        }
        Ok(())
    }
}

impl World {
    fn new(fleet: Fleet, limit: Limit) -> Self {
        let origin = Instant::now();
        let mut world = Self {
            memory: Memory::new(origin, fleet.seed),
            origin,
            server: Arc::new(Mutex::new(Server { limit, accepted: Vec::new(), refused: Vec::new(), tokens: None })),
            started: Arc::default(),
            backlog: Arc::default(),
            chance: Arc::new(Mutex::new(StdRng::seed_from_u64(fleet.seed + 1))),
            workers: Vec::new(),
            fleet,
        };
        for _ in 0..world.fleet.workers {
            world.start_worker();
        }
        world
    }

    fn start_worker(&mut self) {
        let token = CancellationToken::new();
        let terms = Terms { ceiling: self.fleet.ceiling.rate(), adapts: self.fleet.adapts };
        let (rate, actor) = FleetRate::over(self.memory.clone(), terms, self.memory.chance(), token.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(actor);
        // The mails of one worker wait for its connections. It begins with one, and opens another after each mail that was
        // taken.
        let (connections, opened) = (Arc::new(Semaphore::new(1)), Arc::new(AtomicUsize::new(1)));
        for _ in 0..self.fleet.slots + 2 {
            tasks.spawn(self.sender(rate.clone(), Arc::clone(&connections), Arc::clone(&opened), token.clone()));
        }
        self.workers.push(Worker { tasks, token });
    }

    /// Sends mail after mail; there is always one more.
    fn sender(
        &self,
        rate: FleetRate,
        connections: Arc<Semaphore>,
        opened: Arc<AtomicUsize>,
        token: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let (memory, server, started) = (self.memory.clone(), Arc::clone(&self.server), Arc::clone(&self.started));
        let (chance, backlog, origin) = (Arc::clone(&self.chance), Arc::clone(&self.backlog), self.origin);
        let Fleet { send_timeout, send, slots, .. } = self.fleet;
        async move {
            while !token.is_cancelled() {
                let again = backlog.lock().unwrap().pop_front();
                let mut mail =
                    again.unwrap_or_else(|| Mail { claimed_until: Instant::now() + send_timeout.mul_f64(1.25) });
                let Ok(_connection) = connections.acquire().await else { return };
                let mut renewal = Renewal { mail: &mut mail, memory: &memory, send_timeout };
                let leave = match token.run_until_cancelled(rate.leave(&mut renewal)).await {
                    None | Some(Err(NoLeave::Down(_))) => return,
                    Some(Err(NoLeave::NotReady(()))) => unreachable!("it is always ready"),
                    Some(Ok(leave)) => leave,
                };
                started.lock().unwrap().push(Instant::now());
                let share = chance.lock().unwrap().random_range(0.3..1.0);
                sleep(send.mul_f64(share)).await;
                let takes = server.lock().unwrap_or_else(PoisonError::into_inner).takes(origin, Instant::now());
                sleep(send.mul_f64(share / 4.0)).await;
                if takes {
                    leave.accepted();
                    if opened.load(Ordering::Relaxed) < slots {
                        opened.fetch_add(1, Ordering::Relaxed);
                        connections.add_permits(1);
                    }
                } else {
                    leave.too_fast("454 4.7.0 too fast", None);
                    backlog.lock().unwrap().push_back(mail);
                }
            }
        }
    }

    /// It dies: whatever it has is gone.
    async fn kill_worker(&mut self, which: usize) {
        let mut worker = self.workers.remove(which);
        worker.tasks.abort_all();
        while worker.tasks.join_next().await.is_some() {}
    }

    async fn drain_worker(&mut self, which: usize) {
        let mut worker = self.workers.remove(which);
        worker.token.cancel();
        while worker.tasks.join_next().await.is_some() {}
    }

    async fn runs_for(&self, how_long: Duration) {
        sleep(how_long).await;
    }

    /// When mails were let go, from the first on.
    fn started(&self) -> Vec<Duration> {
        let mut started: Vec<_> =
            self.started.lock().unwrap().iter().map(|at| at.duration_since(self.origin)).collect();
        started.sort_unstable();
        started
    }
}

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
