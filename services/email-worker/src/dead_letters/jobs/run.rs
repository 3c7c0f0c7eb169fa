//! Whoever does the jobs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use amqp::Broker;
use contract::queue;
use platform::postgres::{self, NoAnswer};
use sqlx::PgPool;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::store::{Claim, Job, Tell, Then};
use super::{Action, State};
use crate::dead_letters::look::Look;
use crate::dead_letters::{Letter, close};
use crate::delivery::republish;
use crate::delivery::task::Message;
use crate::reading::{Audience, BATCH, Reading, Turn};

/// How often it is looked for a job.
const EVERY: Duration = Duration::from_secs(1);
/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A runner tells so often how far it is.
const TELL: Duration = Duration::from_secs(2);
/// Nothing was heard of a runner for so long: another one goes on.
const SILENT: Duration = Duration::from_secs(15);
/// After trouble, so long until the next try.
const AFTER_TROUBLE: Duration = Duration::from_secs(5);
/// Letters that died so shortly after the job was asked for are meant too: clocks differ. Each is read once in a run.
const CLOCKS: Duration = Duration::from_secs(60);

/// Does jobs, one after the other.
#[derive(Debug)]
pub struct Runner {
    pool: PgPool,
    broker: Broker,
    look: Arc<Look>,
    name: String,
}

/// How a run ended, where nothing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing is left.
    Done,
    /// Somebody stopped the job, or goes on with it.
    NotOurs,
    /// This process ends.
    Interrupted,
}

impl Runner {
    /// Over this database and broker; `look` is told that what it knows is out of date.
    pub fn new(pool: PgPool, broker: Broker, look: Arc<Look>) -> Self {
        Self { pool, broker, look, name: uuid::Uuid::new_v4().to_string() }
    }

    /// Does jobs until told to stop; one that is under way is left to the next runner.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let wait = match self.claim().await {
                Ok(Some(job)) => self.job(&job, &stop).await,
                Ok(None) => EVERY,
                Err(error) => {
                    tracing::warn!(%error, "no job can be looked for");
                    AFTER_TROUBLE
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    async fn claim(&self) -> Result<Option<Job>, NoAnswer> {
        let claim = Claim { runner: &self.name, silent_seconds: SILENT.as_secs_f64() };
        postgres::ask(&self.pool, &claim, ANSWER_WITHIN).await
    }

    /// Answers how long to wait before the next.
    async fn job(&self, job: &Job, stop: &CancellationToken) -> Duration {
        tracing::info!(job = job.id, action = job.action.slug(), filter = %job.filter, "working on a job");
        let mut run = Run { runner: self, job, owed: 0, told: Instant::now(), paced: Pace::new(job.per_second) };
        let result = run.all(stop).await;
        self.look.forget();
        let trouble = result.as_ref().err().map(|error| format!("{error:#}"));
        let then = match &result {
            Ok(End::Done) => Then::Done,
            Ok(End::Interrupted) => Then::Waits(None),
            Ok(End::NotOurs) => Then::On,
            Err(_) => Then::Waits(trouble.as_deref()),
        };
        if let Some(trouble) = &trouble {
            tracing::warn!(job = job.id, trouble, "a job can't go on");
        }
        // The number of what was done is worth a try; the job itself goes on without.
        if let Err(error) = run.tell(then).await {
            tracing::warn!(job = job.id, %error, "how far a job is can't be told");
        }
        match result {
            Ok(_) => Duration::ZERO,
            Err(_) => AFTER_TROUBLE,
        }
    }
}

/// One job, for as long as this process does it.
struct Run<'a> {
    runner: &'a Runner,
    job: &'a Job,
    /// Letters that left the queue and were not told yet.
    owed: usize,
    told: Instant,
    paced: Pace,
}

impl Run<'_> {
    async fn all(&mut self, stop: &CancellationToken) -> anyhow::Result<End> {
        let broker = &self.runner.broker;
        let turn = loop {
            let turn = Turn::wait_for(Audience::Log, broker, queue::DEAD, stop);
            // A runner that waits is not silent.
            match timeout(TELL, turn).await {
                Ok(turn) => break turn?,
                Err(_) if self.is_due().await? => {}
                Err(_) => return Ok(End::NotOurs),
            }
        };
        let mut reading = turn.read().await?;
        let result = self.letters(&mut reading, stop).await;
        let (end, result) = match result {
            Ok(end) => (Some(end), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let done = close(reading, result, self.owed).await;
        turn.end().await;
        let interrupted = done?.interrupted;
        Ok(if interrupted { End::Interrupted } else { end.unwrap_or(End::Done) })
    }

    async fn letters(&mut self, reading: &mut Reading, stop: &CancellationToken) -> anyhow::Result<End> {
        let mut batch = Vec::new();
        while let Some(delivery) = reading.next().await? {
            let letter = Letter::read(&delivery.properties, &delivery.body);
            if self.means(&letter) {
                batch.push(delivery);
            }
            if batch.len() >= self.paced.batch {
                self.settle(reading, std::mem::take(&mut batch)).await?;
                if stop.run_until_cancelled(sleep_until(self.paced.next)).await.is_none() {
                    return Ok(End::Interrupted);
                }
            }
            if self.told.elapsed() >= TELL && !self.is_due().await? {
                return Ok(End::NotOurs);
            }
        }
        self.settle(reading, batch).await?;
        Ok(End::Done)
    }

    /// Of those that died before the job was asked for.
    fn means(&self, letter: &Letter) -> bool {
        let asked = SystemTime::from(self.job.asked_at);
        letter.died.is_none_or(|died| died <= asked + CLOCKS) && self.job.filter.takes(letter, asked)
    }

    async fn settle(&mut self, reading: &mut Reading, batch: Vec<amqp::Delivery>) -> anyhow::Result<()> {
        let count = batch.len();
        let settled = match self.job.action {
            Action::Redrive => {
                let moves = batch.into_iter().map(|delivery| {
                    let message = Message { body: delivery.body, properties: delivery.properties };
                    (republish::to_redrive(message, SystemTime::now()), delivery.receipt)
                });
                reading.move_on(moves.collect()).await?
            }
            Action::Discard => {
                let receipts: Vec<_> = batch.into_iter().map(|delivery| delivery.receipt).collect();
                reading.settle(&receipts).await?
            }
        };
        self.owed += settled;
        self.paced.took(count);
        Ok(())
    }

    /// Tells how far it is. Answers whether it goes on.
    async fn is_due(&mut self) -> Result<bool, NoAnswer> {
        self.tell(Then::On).await
    }

    async fn tell(&mut self, then: Then<'_>) -> Result<bool, NoAnswer> {
        let settled = i64::try_from(self.owed).unwrap_or(i64::MAX);
        let tell = Tell { id: self.job.id, runner: &self.runner.name, settled, then };
        let still = postgres::ask(&self.runner.pool, &tell, ANSWER_WITHIN).await?;
        (self.owed, self.told) = (0, Instant::now());
        Ok(still)
    }
}

/// Batches at a steady speed: the next one's moment.
#[derive(Debug)]
struct Pace {
    per_second: f64,
    /// Letters that are settled together.
    batch: usize,
    next: Instant,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        // Several a second, so that a slow one is steady too.
        let batch = usize::try_from(per_second / 4).unwrap_or(BATCH).clamp(1, BATCH);
        Self { per_second: f64::from(per_second), batch, next: Instant::now() }
    }

    /// What was slower than asked for is not made up for.
    fn took(&mut self, letters: usize) {
        #[allow(clippy::cast_precision_loss, reason = "of a batch")]
        let lasts = Duration::from_secs_f64(letters as f64 / self.per_second);
        self.next = self.next.max(Instant::now().checked_sub(lasts).unwrap_or(self.next)) + lasts;
    }
}

impl Job {
    /// Is it still to be done?
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Waiting | State::Running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn letters_go_at_the_speed_that_was_asked_for_and_lost_time_is_lost() {
        for per_second in [1, 10, 2000, 100_000] {
            let (mut pace, began) = (Pace::new(per_second), Instant::now());
            let mut letters = 0;
            while began.elapsed() < Duration::from_secs(10) {
                pace.took(pace.batch);
                letters += pace.batch;
                sleep_until(pace.next).await;
            }
            let wanted = f64::from(per_second) * 10.0;
            #[allow(clippy::cast_precision_loss, reason = "few")]
            let got = letters as f64;
            assert!((got / wanted - 1.0).abs() < 0.15, "{per_second}/s: {got} letters in 10 s");
        }
        let mut pace = Pace::new(100);
        tokio::time::sleep(Duration::from_secs(60)).await;
        pace.took(25);
        assert!(pace.next <= Instant::now() + Duration::from_millis(250), "a burst would follow");
        pace.took(25);
        assert!(pace.next >= Instant::now() + Duration::from_millis(240), "a burst follows");
    }
}
