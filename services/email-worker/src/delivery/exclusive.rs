//! Lets suspects run alone.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Many tasks pass together, a suspect passes when nothing else is in flight. The lock is fair: a suspect that waits
/// holds up those that come after it, so that its turn comes.
#[derive(Debug, Clone, Default)]
pub struct ExclusiveGate(Arc<RwLock<()>>);

/// The right to be in flight, given up on drop.
#[derive(Debug)]
pub enum GateGuard {
    /// Beside others.
    Shared(#[allow(dead_code)] OwnedRwLockReadGuard<()>),
    /// With nothing else in flight.
    Alone(#[allow(dead_code)] OwnedRwLockWriteGuard<()>),
}

impl ExclusiveGate {
    /// Waits for its turn; `alone` until nothing else is in flight.
    pub async fn enter(&self, alone: bool) -> GateGuard {
        let lock = Arc::clone(&self.0);
        if alone { GateGuard::Alone(lock.write_owned().await) } else { GateGuard::Shared(lock.read_owned().await) }
    }
}
