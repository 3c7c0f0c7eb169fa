//! Who asks.

use time::OffsetDateTime;

use super::scope::Scope;
use super::token::{Digest, KeyId};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// By this they are counted.
    pub id: KeyId,
    /// What they may ask for.
    pub scope: Scope,
    pub(super) digest: Digest,
    expires_at: Option<OffsetDateTime>,
}

impl Caller {
    /// As it was kept.
    pub fn kept(id: KeyId, digest: Digest, scope: Scope, expires_at: Option<OffsetDateTime>) -> Self {
        Self { id, scope, digest, expires_at }
    }

    pub(super) fn is_over(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= OffsetDateTime::now_utc())
    }
}
