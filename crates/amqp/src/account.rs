//! What a consumer was delivered and has not settled.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Counts a consumer's unsettled deliveries, and can hold up their settlement.
#[derive(Debug, Default)]
pub(crate) struct Account {
    unsettled: AtomicU32,
    // Settled under the shared half, so that whoever has the other half knows that no settlement is under way.
    gate: RwLock<()>,
}

impl Account {
    /// One more was delivered.
    pub(crate) fn take(&self) {
        self.unsettled.fetch_add(1, Ordering::Relaxed);
    }

    /// One is about to be settled. Call it with the account [`open`](Self::open).
    pub(crate) fn settle(&self) {
        self.unsettled.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many are not settled.
    pub(crate) fn unsettled(&self) -> u32 {
        self.unsettled.load(Ordering::Relaxed)
    }

    /// Waits until it may be settled.
    pub(crate) async fn open(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().await
    }

    /// Waits until what is being settled is settled; nothing more is while this lasts.
    pub(crate) async fn closed(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().await
    }
}
