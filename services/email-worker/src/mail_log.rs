//! The mail log: what became of each mail, for whoever asks.
//!
//! It decides nothing. A mail that was sent is written by the statement that marks it in the ledger; everything else is written
//! beside the mails ([`crate::aside`]). Where the log can't be written the mail goes on without it, and a metric counts it.
//! Why so: decision 34 in `docs/decisions`.

mod days;
pub(crate) mod entry;
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
use tokio_util::sync::CancellationToken;

use self::days::Days;
pub use self::days::keep;
pub(crate) use self::entry::{Attempt, Entry, trace_of_digits};
use crate::aside::{self, Notes};

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

    /// What it keeps; nothing where it is off.
    pub(crate) fn mode(&self) -> Mode {
        self.0.as_ref().map_or(Mode::Off, |shared| shared.mode)
    }

    /// Where rows belong of a mail that was run first at that time; lost where no day is known, or nothing is kept.
    pub(crate) fn day(&self, first_run: SystemTime) -> Option<Date> {
        let day = self.0.as_ref()?.days.of(first_run);
        if day.is_none() {
            lost(1);
        }
        day
    }

    /// Writes the row of a mail, beside the mails.
    pub(crate) fn note(&self, entry: Entry) {
        if let Some(shared) = &self.0 {
            shared.notes.note(Note::Mail(entry));
        }
    }

    /// Writes the row of an attempt, beside the mails; `attempt` is given the name of this worker.
    pub(crate) fn note_attempt(&self, attempt: impl FnOnce(&str) -> Attempt) {
        if let Some(shared) = &self.0 {
            shared.notes.note(Note::Attempt(attempt(&shared.worker)));
        }
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
