//! The mail log: what became of each mail, for whoever asks.
//!
//! It decides nothing. A mail that was sent is written by the statement that marks it in the ledger; everything else is written
//! beside the mails ([`crate::aside`]). Where the log can't be written the mail goes on without it, and a metric counts it.
//! Why so: decision 34 in `docs/decisions`.

mod days;
mod entry;
pub mod find;
pub mod paper;
pub(crate) mod store;
pub mod story;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::ValueEnum;
use opentelemetry::global;
use platform::postgres::NoAnswer;
use sqlx::PgPool;
use time::Date;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::days::Days;
pub use self::days::keep;
use self::entry::Attempt;
pub(crate) use self::entry::{Entry, attempts_after, cut, moment, tells, trace_of_digits};
use crate::aside::{self, Notes};
use crate::delivery::outcome::Outcome;
use crate::delivery::task::Task;
use crate::smtp::SendError;

/// What the log keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Every mail.
    Full,
    /// Mails that did not go out at the first attempt.
    Failures,
    /// Nothing.
    Off,
}

/// A worker's way into the log; nothing where it is off. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct MailLog(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    mode: Mode,
    /// Who this is, in the rows of attempts.
    worker: String,
    days: Days,
    notes: Notes<Note>,
}

#[derive(Debug)]
enum Note {
    Mail(Entry),
    Attempt(Attempt),
}

impl MailLog {
    /// A log of this worker. The future writes, and keeps the days; it ends soon after the token is cancelled.
    pub(crate) fn start(
        pool: PgPool,
        mode: Mode,
        keep: Duration,
        worker: String,
        token: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let days = Days::default();
        let (notes, writing) = aside::start(Writer(pool.clone()), token.clone());
        let shared = Arc::new(Shared { mode, worker, days: days.clone(), notes });
        lost(0);
        let writing = async move {
            tokio::join!(writing, days.keep_up(pool, keep, token));
        };
        (Self(Some(shared)), writing)
    }

    /// Looks which days there are, before the first mail: until then nothing can be written. Not worth a wait.
    pub(crate) async fn prepare(&self, pool: &PgPool, keep: Duration) {
        if let Some(shared) = &self.0 {
            shared.days.look(pool, keep).await;
        }
    }

    /// The row of a mail that was sent now, for the statement that marks it.
    pub(crate) fn sent(&self, task: &Task, now: SystemTime) -> Option<Entry> {
        let shared = self.0.as_ref()?;
        let troubled = u32::from(task.attempt) > 0 || task.redriven;
        if shared.mode == Mode::Failures && !troubled {
            return None;
        }
        Some(Entry::sent(task, now, shared.day(task, None, now)?))
    }

    /// An attempt in which the mail server did not take the mail, begun at `began`, and what follows from it.
    pub(crate) fn failed(&self, task: &Task, error: &SendError, began: Instant, outcome: &Outcome, now: SystemTime) {
        let Some(shared) = &self.0 else { return };
        let Some(day) = shared.day(task, Some(outcome), now) else { return };
        let attempt = Attempt::of(task, error, began.elapsed(), outcome, now, &shared.worker, day);
        shared.notes.note(Note::Attempt(attempt));
    }

    /// What a run came to. One that was sent is in the statement that marks it.
    pub(crate) fn ended(&self, task: &Task, outcome: &Outcome, now: SystemTime) {
        let Some(shared) = self.0.as_ref().filter(|_| entry::tells(outcome)) else { return };
        let Some(day) = shared.day(task, Some(outcome), now) else { return };
        shared.notes.note(Note::Mail(Entry::of(task, outcome, now, day)));
    }
}

impl Shared {
    /// Where rows about this mail belong; lost where no day is known.
    fn day(&self, task: &Task, outcome: Option<&Outcome>, now: SystemTime) -> Option<Date> {
        let day = self.days.of(entry::first_run(task, outcome, now));
        if day.is_none() {
            lost(1);
        }
        day
    }
}

/// Counts rows that were not written. Told as 0 at the start, or nobody could see the first one as a rise.
pub(crate) fn lost(rows: usize) {
    let counter = global::meter("email-worker")
        .u64_counter("sluice.mail_log.lost")
        .with_unit("{row}")
        .with_description("Rows of the mail log that were not written. No mail was lost by it.")
        .build();
    counter.add(u64::try_from(rows).unwrap_or(u64::MAX), &[]);
}

struct Writer(PgPool);

impl aside::Write for Writer {
    type Note = Note;
    const NOTES: &'static str = "rows of the mail log";

    fn lost(notes: usize) {
        lost(notes);
    }

    async fn write(&self, notes: &[Note]) -> Result<(), NoAnswer> {
        let (mut mails, mut attempts) = (Vec::new(), Vec::new());
        for note in notes {
            match note {
                Note::Mail(entry) => mails.push(entry),
                Note::Attempt(attempt) => attempts.push(attempt),
            }
        }
        store::write(&self.0, &mails, &attempts).await
    }
}
