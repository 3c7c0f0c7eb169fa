//! Fleets that are refused without a reason: the real trials beside the real limiter, over simulated time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::world::{Limit, Memory, Server};
use crate::delivery::speed::{Sent, Speed, Trials, Weighed};
use crate::rate::row::Terms;
use crate::rate::{FleetRate, Prepare};
use crate::send::classify::{Classification, Doubts};
use crate::smtp::{Reply, SendError, Stage};

/// The first wait of the retry schedule.
const FIRST_RETRY: Duration = Duration::from_secs(5);

const SEEDS: u64 = 8;

#[derive(Debug, Clone, Copy)]
struct Case {
    workers: usize,
    domains: usize,
    /// What a probe slips by, in milliseconds: the row is looked at late, and the server is slow.
    slips: u64,
    /// A mail takes up to so long.
    send: Duration,
    seed: u64,
}

/// Of every other recipient the first mail is refused for so long.
#[derive(Debug, Default)]
struct Greylist {
    lasts: Option<Duration>,
    seen: HashMap<usize, Instant>,
}

impl Greylist {
    fn takes(&mut self, recipient: usize) -> bool {
        let Some(lasts) = self.lasts.filter(|_| recipient.is_multiple_of(2)) else { return true };
        let now = Instant::now();
        now >= *self.seen.entry(recipient).or_insert(now) + lasts
    }
}

#[derive(Debug, Clone, Copy)]
struct Letter {
    recipient: usize,
    attempt: u32,
    not_before: Instant,
}

/// What the workers of one run share.
struct Post {
    case: Case,
    origin: Instant,
    server: Mutex<Server>,
    greylist: Mutex<Greylist>,
    chance: Mutex<StdRng>,
    retries: Mutex<Vec<Letter>>,
    next: AtomicUsize,
    spent: AtomicUsize,
    // By attempts.
    taken: Mutex<HashMap<u32, usize>>,
}

/// Always ready.
struct Ready;

impl Prepare for Ready {
    type Unready = ();

    async fn prepare(&mut self) -> Result<(), ()> {
        Ok(())
    }
}

impl Post {
    fn letter(&self) -> Letter {
        let now = Instant::now();
        let mut retries = self.retries.lock().unwrap();
        if let Some(due) = retries.iter().position(|letter| letter.not_before <= now) {
            return retries.remove(due);
        }
        Letter { recipient: self.next.fetch_add(1, Ordering::Relaxed), attempt: 0, not_before: now }
    }

    /// One transaction. True: it was taken.
    async fn send(&self, letter: Letter, slips: bool) -> bool {
        let (share, slip) = {
            let mut chance = self.chance.lock().unwrap();
            (chance.random_range(0.3..1.0), chance.random_range(self.case.slips / 3..=self.case.slips))
        };
        sleep(self.case.send.mul_f64(share) + Duration::from_millis(if slips { slip } else { 0 })).await;
        let takes = self.greylist.lock().unwrap().takes(letter.recipient)
            && self.server.lock().unwrap().takes(self.origin, Instant::now());
        sleep(self.case.send.mul_f64(share / 4.0)).await;
        takes
    }

    /// One mail after the other, as a run does it.
    async fn sends(self: Arc<Self>, rate: FleetRate, doubts: Arc<Doubts>, connections: Arc<Semaphore>) {
        let speed = Speed { rate: &rate, doubts: &doubts };
        let reply = Reply { code: 451, enhanced: Some((4, 7, 1)), text: "4.7.1 Try again later".to_owned() };
        let error = SendError::Refused { stage: Stage::Rcpt, reply, fresh: false };
        loop {
            let letter = self.letter();
            let domain = format!("d{}.example", letter.recipient / 2 % self.case.domains);
            let mut trials = Trials::default();
            loop {
                let connection = connections.acquire().await.unwrap();
                let Ok(leave) = rate.leave(&mut Ready).await else { return };
                let began = Instant::now();
                if self.send(letter, leave.probes()).await {
                    leave.accepted();
                    speed.taken(&domain, letter.attempt == 0, &trials);
                    *self.taken.lock().unwrap().entry(letter.attempt).or_default() += 1;
                    break;
                }
                let sent = Sent { domain: &domain, began, episode: leave.episode() };
                let (class, perhaps) = match speed.weigh(Classification::of(&error), &error, sent, &mut trials) {
                    Weighed::Known(class) => (class, None),
                    Weighed::Perhaps(class, domain) => (class, Some(domain)),
                    Weighed::AgainIn(wait) => {
                        leave.answered();
                        drop(connection);
                        sleep(wait).await;
                        continue;
                    }
                };
                match class {
                    Classification::TooFast => leave.too_fast("451 4.7.1", perhaps),
                    Classification::Retry(_) => {
                        leave.answered();
                        self.spent.fetch_add(1, Ordering::Relaxed);
                        let not_before = Instant::now() + FIRST_RETRY * 6_u32.pow(letter.attempt.min(2));
                        let attempt = letter.attempt + 1;
                        self.retries.lock().unwrap().push(Letter { attempt, not_before, ..letter });
                        break;
                    }
                    other => unreachable!("{other:?}"),
                }
            }
        }
    }
}

/// What became of it.
struct Run {
    post: Arc<Post>,
    held_back: bool,
}

impl Run {
    async fn of(case: Case, limit: Limit, greylist: Greylist, lasts: Duration) -> Self {
        let (origin, slots, greylists) = (Instant::now(), 16, greylist.lasts.is_some());
        let memory = Memory::new(origin, case.seed);
        let token = CancellationToken::new();
        let post = Arc::new(Post {
            case,
            origin,
            server: Mutex::new(Server { limit, accepted: Vec::new(), refused: Vec::new(), tokens: None }),
            greylist: Mutex::new(greylist),
            chance: Mutex::new(memory.chance()),
            retries: Mutex::default(),
            next: AtomicUsize::new(0),
            spent: AtomicUsize::new(0),
            taken: Mutex::default(),
        });
        let (mut tasks, mut rates) = (JoinSet::new(), Vec::new());
        for _ in 0..case.workers {
            let terms = Terms { ceiling: None, adapts: true };
            let (rate, actor) = FleetRate::over(memory.clone(), terms, memory.chance(), token.clone());
            tasks.spawn(actor);
            let (doubts, connections) = (Arc::new(Doubts::default()), Arc::new(Semaphore::new(slots)));
            for _ in 0..2 * slots {
                let (post, doubts, connections) = (Arc::clone(&post), Arc::clone(&doubts), Arc::clone(&connections));
                tasks.spawn(post.sends(rate.clone(), doubts, connections));
            }
            rates.push(rate);
            // Pods do not come up in the same moment.
            let apart = Duration::from_millis(memory.chance.lock().unwrap().random_range(0..700));
            sleep(apart).await;
        }
        // One that has gone wrong need not be seen to its end.
        let goes_on = || greylists || post.spent.load(Ordering::Relaxed) < 100;
        while origin.elapsed() < lasts && goes_on() {
            sleep(Duration::from_secs(1)).await;
        }
        let held_back = rates.iter().any(FleetRate::is_held_back);
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        Self { post, held_back }
    }

    fn spent(&self) -> usize {
        self.post.spent.load(Ordering::Relaxed)
    }
}

fn cases() -> impl Iterator<Item = Case> {
    [1, 3, 10].into_iter().flat_map(|workers| {
        (0..SEEDS).map(move |seed| {
            let domains = if seed % 2 == 0 { 1 } else { 30 };
            let send = Duration::from_millis(if seed % 4 < 2 { 12 } else { 40 });
            Case { workers, domains, slips: if seed < 2 { 0 } else { 200 }, send, seed }
        })
    })
}

/// Holds what was taken, of so many a second from the second minute on, to what is promised.
async fn assert_learnt_without_a_reason(name: &str, limit: Limit, minutes: u32) {
    for case in cases() {
        let minute = Duration::from_secs(60);
        let run = Run::of(case, limit.clone(), Greylist::default(), minute * minutes).await;
        let server = run.post.server.lock().unwrap();
        let taken = server.accepted_between(run.post.origin, minute, minute * minutes) as f64;
        let share = taken / (14.0 * 60.0 * f64::from(minutes - 1));
        let early = server.refused.partition_point(|at| *at < run.post.origin + minute);
        let refused = server.refused.len() - early;
        let spent = run.spent();
        println!("{name}, {case:?}: {share:.3}, {early} refused, then {refused} of {taken}, {spent} attempts");
        assert_eq!(spent, 0, "{name}: attempts were spent: {case:?}");
        assert!(share >= 0.9, "{name}: {share:.3} of what it takes: {case:?}");
        assert!(refused as f64 <= 0.03 * taken, "{name}: {refused} refused of {taken}: {case:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_a_second_that_is_told_without_a_reason_is_learnt_and_costs_no_attempt() {
    let second = Duration::from_secs(1);
    assert_learnt_without_a_reason("14 in any second", Limit::Sliding(14), 3).await;
    assert_learnt_without_a_reason("14 in each second", Limit::Fixed(14, second), 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_a_minute_that_is_told_without_a_reason_is_learnt_and_costs_no_attempt() {
    assert_learnt_without_a_reason("840 in each minute", Limit::Fixed(840, Duration::from_secs(60)), 5).await;
}

#[tokio::test(start_paused = true)]
async fn greylisting_of_half_the_recipients_slows_nobody_and_every_mail_is_taken_within_two_retries() {
    for case in cases().filter(|case| case.workers <= 3 && case.seed < 2) {
        // Slow, so that the retries find the server where they left it.
        let case = Case { send: Duration::from_millis(800), ..case };
        let greylist = Greylist { lasts: Some(Duration::from_secs(20)), ..Greylist::default() };
        let run = Run::of(case, Limit::None, greylist, Duration::from_secs(90)).await;
        let taken = run.post.taken.lock().unwrap();
        println!("{case:?}: taken by attempts {taken:?}");
        assert!(!run.held_back, "{case:?}");
        assert!(taken.keys().all(|attempts| *attempts <= 2), "{case:?}: {taken:?}");
        assert!(taken[&0] > 500 * case.workers && taken[&2] > 100 * case.workers, "{case:?}: {taken:?}");
    }
}
