//! Writes what is to be remembered, and ends what turned out wrong, beside the mails.
//!
//! None of it is worth a wait of a mail: what has no room is not remembered. The next refusal tells it again.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::postgres::{NoAnswer, ask};
use sqlx::PgPool;

use super::Bounce;
use super::keys::AddressHashes;
use super::store::{Forget, Remember, Source};
use crate::aside::Write;
use crate::metrics::Metrics;

/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What is to be written.
#[derive(Debug)]
pub(super) enum Note {
    /// This address is to be suppressed.
    Remember(Bounce),
    /// This one is not, unless somebody added it.
    Lift(AddressHashes),
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) pool: PgPool,
    pub(super) key_id: String,
    pub(super) ttl: Duration,
    pub(super) metrics: Metrics,
}

impl Write for Writer {
    type Note = Note;
    const NOTES: &'static str = "suppressions";

    fn lost(notes: usize) {
        tracing::debug!(notes, "suppressions are not written: the database is behind");
    }

    async fn write(&self, notes: &[Note]) -> Result<(), NoAnswer> {
        let mut bounces = BTreeMap::new();
        let mut lifted = Vec::new();
        for note in notes {
            match note {
                Note::Remember(bounce) => drop(bounces.insert(bounce.hash, bounce.unknown.to_string())),
                Note::Lift(hashes) => {
                    bounces.remove(&hashes.now);
                    lifted.extend(hashes.all().map(<[u8]>::to_vec));
                }
            }
        }
        if !lifted.is_empty() {
            ask(&self.pool, &Forget { hashes: lifted, bounces_alone: true }, ANSWER_WITHIN).await?;
        }
        if bounces.is_empty() {
            return Ok(());
        }
        let (hashes, reasons) = bounces.into_iter().map(|(hash, reason)| (hash.to_vec(), reason)).unzip();
        let (key_id, source, ttl) = (self.key_id.clone(), Source::Bounce, self.ttl);
        let new = ask(&self.pool, &Remember { hashes, reasons, key_id, source, ttl }, ANSWER_WITHIN).await?;
        self.metrics.suppressed_from_now_on(new);
        tracing::debug!(addresses = new, "addresses that the mail server does not know are suppressed");
        Ok(())
    }
}
