//! A fleet, its row, and the mail server that it sends to.

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

use crate::ledger::LedgerDown;
use crate::rate::row::{Ask, Row, Terms};
use crate::rate::store::{Answer, Store};
use crate::rate::{Ceiling, FleetRate, NoLeave, Prepare};

/// The row of a database that answers within milliseconds, now and then later.
#[derive(Clone)]
pub(super) struct Memory {
    pub(super) row: Arc<Mutex<Row>>,
    pub(super) origin: Instant,
    pub(super) chance: Arc<Mutex<StdRng>>,
}

impl Memory {
    pub(super) fn new(origin: Instant, seed: u64) -> Self {
        let chance = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        Self { row: Arc::default(), origin, chance }
    }

    /// A worker's own, by the same seed.
    pub(super) fn chance(&self) -> StdRng {
        StdRng::seed_from_u64(self.chance.lock().unwrap().random())
    }

    pub(super) fn travel(&self) -> Duration {
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
pub(super) struct Server {
    pub(super) limit: Limit,
    pub(super) accepted: Vec<Instant>,
    pub(super) refused: Vec<Instant>,
    // Of a bucket: how many it had, and when.
    pub(super) tokens: Option<(Instant, f64)>,
}

#[derive(Debug, Clone)]
pub(super) enum Limit {
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
    pub(super) fn takes(&mut self, origin: Instant, now: Instant) -> bool {
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

    pub(super) fn accepted_between(&self, origin: Instant, from: Duration, to: Duration) -> usize {
        self.accepted.partition_point(|at| *at < origin + to) - self.accepted.partition_point(|at| *at < origin + from)
    }
}

/// A mail that waits.
#[derive(Debug)]
pub(super) struct Mail {
    claimed_until: Instant,
}

#[derive(Debug, Clone)]
pub(super) struct Fleet {
    pub(super) workers: usize,
    pub(super) slots: usize,
    pub(super) send_timeout: Duration,
    /// A send takes up to so long.
    pub(super) send: Duration,
    pub(super) ceiling: Ceiling,
    pub(super) adapts: bool,
    pub(super) seed: u64,
}

/// Everything at one run.
pub(super) struct World {
    pub(super) fleet: Fleet,
    pub(super) origin: Instant,
    pub(super) memory: Memory,
    pub(super) server: Arc<Mutex<Server>>,
    pub(super) started: Arc<Mutex<Vec<Instant>>>,
    pub(super) backlog: Arc<Mutex<VecDeque<Mail>>>,
    pub(super) chance: Arc<Mutex<StdRng>>,
    pub(super) workers: Vec<Worker>,
}

pub(super) struct Worker {
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
    pub(super) fn new(fleet: Fleet, limit: Limit) -> Self {
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

    pub(super) fn start_worker(&mut self) {
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
    pub(super) async fn kill_worker(&mut self, which: usize) {
        let mut worker = self.workers.remove(which);
        worker.tasks.abort_all();
        while worker.tasks.join_next().await.is_some() {}
    }

    pub(super) async fn drain_worker(&mut self, which: usize) {
        let mut worker = self.workers.remove(which);
        worker.token.cancel();
        while worker.tasks.join_next().await.is_some() {}
    }

    pub(super) async fn runs_for(&self, how_long: Duration) {
        sleep(how_long).await;
    }

    /// When mails were let go, from the first on.
    pub(super) fn started(&self) -> Vec<Duration> {
        let mut started: Vec<_> =
            self.started.lock().unwrap().iter().map(|at| at.duration_since(self.origin)).collect();
        started.sort_unstable();
        started
    }
}
