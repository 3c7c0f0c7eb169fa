//! Sixteen slots, a mail server that refuses some, and the circuit between them, over simulated time: a flood of dead
//! domains is borne, a server that refuses everyone is not.

use std::sync::Mutex;

use contract::TaskId;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::smtp::{Reply, SendError, Stage};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const SLOTS: u32 = 16;

/// What the mail server does with a mail.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Takes,
    RefusesAtRcpt,
    RefusesAtTheDot,
}

/// Which mails come, and what becomes of each, by the time that has passed.
type Law = fn(&mut StdRng, Duration) -> (String, Answer);

#[derive(Clone, Copy)]
struct World {
    seed: u64,
    law: Law,
    /// How long the answer to the dot takes.
    dot: Duration,
    lasts: Duration,
}

#[derive(Debug, Default)]
struct Figures {
    taken: u32,
    /// Refused for good: the dead letters.
    lost: u32,
    opened: u32,
}

/// What the slots share.
struct Play {
    world: World,
    circuit: Option<CircuitBreaker>,
    tasks: Mutex<StdRng>,
    began: Instant,
    figures: Mutex<Figures>,
}

impl World {
    /// How it goes with the circuit, and how it would without.
    async fn play(self, guarded: bool) -> Figures {
        let circuit = guarded.then(|| CircuitBreaker::new(500 * MS, 60 * SECOND));
        let tasks = Mutex::new(StdRng::seed_from_u64(self.seed));
        let play = Play { world: self, circuit, tasks, began: Instant::now(), figures: Mutex::default() };
        let play = std::sync::Arc::new(play);
        let mut running = JoinSet::new();
        for slot in 0..SLOTS {
            let play = std::sync::Arc::clone(&play);
            running.spawn(async move { play.slot(u64::from(slot)).await });
        }
        if let Some(circuit) = play.circuit.clone() {
            running.spawn(async move {
                loop {
                    circuit.next_probe().await;
                }
            });
        }
        let _ = timeout(self.lasts, running.join_next()).await;
        running.shutdown().await;
        std::mem::take(&mut *play.figures.lock().unwrap())
    }

    /// The share of the mails that would be taken without the circuit.
    async fn undisturbed(self) -> f64 {
        f64::from(self.play(true).await.taken) / f64::from(self.play(false).await.taken)
    }
}

impl Play {
    async fn slot(&self, slot: u64) {
        let mut timing = StdRng::seed_from_u64(self.world.seed * 1_000 + slot);
        loop {
            let (domain, answer) = (self.world.law)(&mut self.tasks.lock().unwrap(), self.began.elapsed());
            let permit = match &self.circuit {
                Some(circuit) => Some(circuit.permit(&domain).await),
                None => None,
            };
            sleep(MS * timing.random_range(2..6)).await;
            if answer != Answer::RefusesAtRcpt {
                if let Some(permit) = &permit {
                    permit.recipient_taken();
                }
                sleep(self.world.dot.mul_f64(timing.random_range(0.8..1.2))).await;
            }
            let mut figures = self.figures.lock().unwrap();
            if answer == Answer::Takes {
                figures.taken += 1;
                permit.into_iter().for_each(Permit::accepted);
                continue;
            }
            let probing = permit.as_ref().is_some_and(|permit| permit.probing().is_some());
            figures.lost += u32::from(!probing);
            let stage = if answer == Answer::RefusesAtRcpt { Stage::Rcpt } else { Stage::Content };
            let reply = Reply::new(550, "Recipient address rejected", &[]);
            let Some(permit) = permit else { continue };
            let was_closed = self.circuit.as_ref().is_some_and(|circuit| circuit.state() == State::Closed);
            permit.refused(TaskId::new(), &SendError::Refused { stage, reply, fresh: false });
            let is_open = self.circuit.as_ref().is_some_and(|circuit| circuit.state().is_open());
            figures.opened += u32::from(was_closed && is_open);
        }
    }
}

fn good(random: &mut StdRng) -> String {
    format!("good{}.example", random.random_range(0..30))
}

fn new(random: &mut StdRng) -> String {
    format!("new{}.example", random.random::<u64>())
}

/// So many of a hundred tasks are for domains that do not exist, a new one each.
fn flood<const SHARE: u32>(random: &mut StdRng, _: Duration) -> (String, Answer) {
    if random.random_range(0..100) < SHARE {
        return (new(random), Answer::RefusesAtRcpt);
    }
    (good(random), Answer::Takes)
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_dead_domains_does_not_stop_the_good_ones() {
    let floods: [(u32, Law); 3] = [(80, flood::<80>), (90, flood::<90>), (95, flood::<95>)];
    for (share, law) in floods {
        // The slower the good ones are taken, the longer only refusals are heard.
        for (dot, lasts) in [(100 * MS, 30 * SECOND), (2 * SECOND, 60 * SECOND)] {
            for seed in 0..2 {
                let speed = World { seed, law, dot, lasts }.undisturbed().await;
                assert!(speed >= 0.9, "{share} %, {dot:?}, seed {seed}: {speed:.2} of the speed");
            }
        }
    }
}

/// Refused from the first mail on, or from the third second on: by whom, where, and how many are lost at most, those that
/// are under way when the server breaks or the circuit opens not counted.
#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_everyone_is_left_alone_soon() {
    use Answer::{RefusesAtRcpt, RefusesAtTheDot, Takes};
    const BROKEN: Duration = Duration::from_secs(3);
    let rows: [(&str, Law, u32); 8] = [
        ("known names from the start", |random, _| (good(random), RefusesAtRcpt), 20),
        ("new names from the start", |random, _| (new(random), RefusesAtRcpt), 20),
        ("at the dot", |random, _| (good(random), RefusesAtTheDot), 20),
        ("a few names", |random, _| (format!("d{}.example", random.random_range(0..6)), RefusesAtRcpt), 40),
        ("known ones", |random, at| (good(random), if at < BROKEN { Takes } else { RefusesAtRcpt }), 20),
        ("known ones, at the dot", |random, at| (good(random), if at < BROKEN { Takes } else { RefusesAtTheDot }), 20),
        (
            "known and new ones",
            |random, at| {
                let domain = if random.random_bool(0.5) { good(random) } else { new(random) };
                (domain, if at < BROKEN { Takes } else { RefusesAtRcpt })
            },
            60,
        ),
        ("new ones only", |random, at| (new(random), if at < BROKEN { Takes } else { RefusesAtRcpt }), 200),
    ];
    for (name, law, most) in rows {
        for seed in 0..2 {
            let world = World { seed, law, dot: 100 * MS, lasts: 120 * SECOND };
            let Figures { lost, opened, .. } = world.play(true).await;
            assert_eq!(opened, 1, "{name}, seed {seed}: {lost} lost");
            assert!(lost <= most + 2 * SLOTS, "{name}, seed {seed}: {lost} lost");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_hardly_any_is_left_alone_as_well() {
    let law: Law = |random, at| {
        let taken = at < 3 * SECOND || random.random_bool(0.01);
        (good(random), if taken { Answer::Takes } else { Answer::RefusesAtRcpt })
    };
    for seed in 0..2 {
        let Figures { lost, opened, .. } = World { seed, law, dot: 100 * MS, lasts: 30 * SECOND }.play(true).await;
        assert!(opened > 0, "seed {seed}: {lost} lost");
    }
}

#[tokio::test(start_paused = true)]
async fn one_domain_is_never_everyone() {
    let law: Law = |random, _| match random.random_range(0..100) {
        0..95 => ("large.example".to_owned(), Answer::RefusesAtRcpt),
        _ => (good(random), Answer::Takes),
    };
    let alone: Law = |_, _| ("large.example".to_owned(), Answer::RefusesAtRcpt);
    for (seed, law) in (0..3).flat_map(|seed| [(seed, law), (seed, alone)]) {
        let figures = World { seed, law, dot: 100 * MS, lasts: 5 * SECOND }.play(true).await;
        assert_eq!(figures.opened, 0, "seed {seed}: {figures:?}");
    }
}
