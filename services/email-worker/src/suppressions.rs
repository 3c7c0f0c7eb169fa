//! Addresses that get no mails: those that a mail server does not know, and those that somebody added.
//!
//! An address is known by its hash alone ([`keys`]). Whether it is suppressed is asked in the statement that claims its task
//! (`ledger/sql.rs`). When a refusal is believed is decided in [`belief`], without I/O; what is believed is written by an
//! actor beside the mails ([`writer`]), so that no mail waits for it, or fails by it. Why so: decision 29 in
//! `docs/decisions`.

mod belief;
pub mod import;
mod keys;
pub mod list;
pub mod store;
mod writer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::EmailAddress;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use keys::{AddressHash, AddressHashes, AddressKey, AddressKeys};

use crate::aside::{self, Notes};
use crate::circuit_breaker::{CircuitBreaker, State};
use crate::metrics::Metrics;
use crate::send::classify::{self, Unknown};
use crate::smtp::SendError;
use belief::Belief;
use writer::{Note, Writer};

/// What a worker does about addresses that are not known; nothing without a key. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Suppressions(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    keys: AddressKeys,
    belief: Mutex<Belief>,
    notes: Notes<Note>,
}

/// A refusal that says that there is nobody of this address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bounce {
    /// Whose.
    pub(crate) hash: AddressHash,
    /// What was said.
    pub(crate) unknown: Unknown,
}

impl Suppressions {
    /// Remembers addresses under these keys, for so long. The future writes; it ends soon after the token is cancelled.
    pub(crate) fn start(
        pool: PgPool,
        keys: AddressKeys,
        ttl: Duration,
        metrics: Metrics,
        token: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (notes, writing) = aside::start(Writer { pool, key_id: keys.id().clone(), ttl, metrics }, token);
        let shared = Shared { keys, belief: Mutex::default(), notes };
        (Self(Some(Arc::new(shared))), writing)
    }

    /// Whenever the circuit opens, forgets what was refused and is not believed yet: an outage may have begun before it was known.
    /// Ends with the token, or at once without a key.
    pub(crate) fn doubt(
        &self,
        breaker: &CircuitBreaker,
        token: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (shared, mut circuit) = (self.0.clone(), breaker.watch());
        async move {
            let Some(shared) = shared else { return };
            while let Some(Ok(())) = token.run_until_cancelled(circuit.changed()).await {
                if *circuit.borrow_and_update() != State::Closed {
                    *shared.belief() = Belief::default();
                }
            }
        }
    }

    /// What an address is known by; `None`: none is remembered.
    pub(crate) fn hashes(&self, email: &EmailAddress) -> Option<AddressHashes> {
        Some(self.0.as_ref()?.keys.hashes(email))
    }

    /// The mail server took a mail for this address, in a conversation that began then.
    pub(crate) fn taken(&self, domain: &str, hashes: Option<&AddressHashes>, began: Instant) {
        let (Some(shared), Some(hashes)) = (&self.0, hashes) else { return };
        let believed = shared.belief().taken(domain, &hashes.now, began, Instant::now());
        believed.into_iter().for_each(|bounce| shared.notes.note(Note::Remember(bounce)));
    }

    /// The mail server took a mail that somebody sent in spite of the suppression: there is somebody after all.
    pub(crate) fn lifted(&self, hashes: Option<&AddressHashes>) {
        if let (Some(shared), Some(hashes)) = (&self.0, hashes) {
            shared.notes.note(Note::Lift(*hashes));
        }
    }

    /// The mail server refused a mail for this address, while the circuit was closed.
    pub(crate) fn refused(&self, domain: &str, hashes: Option<&AddressHashes>, error: &SendError) {
        let (Some(shared), Some(hashes)) = (&self.0, hashes) else { return };
        if let Some(unknown) = classify::unknown(error) {
            shared.belief().refused(domain, Bounce { hash: hashes.now, unknown }, Instant::now());
        }
    }
}

impl Shared {
    fn belief(&self) -> MutexGuard<'_, Belief> {
        self.belief.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
