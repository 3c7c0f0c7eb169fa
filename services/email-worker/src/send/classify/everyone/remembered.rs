//! Domains that are kept in mind.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

/// The last so many domains, as hashes: whoever chooses the domains can't choose how much is kept.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    hasher: RandomState,
    limit: usize,
    now: HashSet<u64>,
    before: HashSet<u64>,
}

impl Remembered {
    pub(super) fn new(limit: usize) -> Self {
        Self { hasher: RandomState::new(), limit, now: HashSet::new(), before: HashSet::new() }
    }

    pub(super) fn insert(&mut self, domain: &str) {
        if self.now.len() >= self.limit {
            self.before = std::mem::take(&mut self.now);
        }
        self.now.insert(self.hasher.hash_one(domain));
    }

    pub(super) fn remove(&mut self, domain: &str) {
        let hash = self.hasher.hash_one(domain);
        self.now.remove(&hash);
        self.before.remove(&hash);
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.now.len() + self.before.len()
    }

    pub(super) fn contains(&self, domain: &str) -> bool {
        let hash = self.hasher.hash_one(domain);
        self.now.contains(&hash) || self.before.contains(&hash)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.now.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest() {
        let mut remembered = Remembered::new(10);
        (0..1_000).for_each(|n| remembered.insert(&n.to_string()));
        assert!(remembered.now.len() + remembered.before.len() <= 20);
        assert!((990..1_000).all(|n| remembered.contains(&n.to_string())));
        assert!(!remembered.contains("0"));
    }
}
