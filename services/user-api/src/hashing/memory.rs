//! The memory that hashes work in: kept while they come, given back when they do not.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argon2::Block;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Room for 33 MiB is asked for, of which the hash touches 19.
///
/// The allocator maps what is larger than its threshold, and unmaps it when it is freed; but freeing a mapped piece of up
/// to 32 MiB raises that threshold, and the next piece of the same size comes from the heap and stays there for good.
/// Pieces above 32 MiB are always mapped and never raise it. Room that is never touched is no memory.
const ROOM: usize = 33 * 1024;

/// Sets of blocks that are not in use at the moment: never more than there were hashes at once.
#[derive(Debug)]
pub(super) struct Memory {
    idle: Duration,
    free: Mutex<Free>,
    used: Notify,
}

#[derive(Debug)]
struct Free {
    sets: Vec<Vec<Block>>,
    last_use: Instant,
}

impl Memory {
    /// Given back after `idle` without a hash.
    pub(super) fn new(idle: Duration) -> Self {
        Self { idle, free: Mutex::new(Free { sets: Vec::new(), last_use: Instant::now() }), used: Notify::new() }
    }

    /// Room for a hash, as long as the largest that was hashed in it.
    pub(super) fn take(&self) -> Vec<Block> {
        let set = self.lock().sets.pop();
        set.unwrap_or_else(|| Vec::with_capacity(ROOM))
    }

    pub(super) fn put(&self, set: Vec<Block>) {
        let mut free = self.lock();
        free.sets.push(set);
        free.last_use = Instant::now();
        drop(free);
        self.used.notify_one();
    }

    /// Frees what has not been used for that long, until the token is cancelled.
    pub(super) async fn give_back(&self, token: CancellationToken) {
        let watch = async {
            loop {
                self.used.notified().await;
                while let Some(rest) = self.free_if_idle() {
                    tokio::time::sleep(rest).await;
                }
            }
        };
        token.run_until_cancelled(watch).await;
    }

    /// How long it takes until memory may be given back; `None` once it has been.
    fn free_if_idle(&self) -> Option<Duration> {
        let mut free = self.lock();
        let idle = free.last_use.elapsed();
        if idle < self.idle {
            return Some(self.idle - idle);
        }
        let sets = std::mem::take(&mut free.sets);
        drop(free);
        // Unmapping takes a while: not under the lock.
        drop(sets);
        None
    }

    fn lock(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Memory of this process that no file backs, in MiB.
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
    }

    /// Several rounds: it is the second that would come from the heap, had the first raised the threshold.
    #[test]
    fn memory_is_kept_while_it_is_used_and_given_back_when_it_is_not() {
        const SETS: usize = 8;
        const MIB: usize = SETS * 19;
        let hour = Duration::from_secs(3600);
        let mut memory = Memory::new(hour);
        let before = resident();
        for round in 1..=3 {
            memory.idle = hour;
            let mut sets: Vec<_> = (0..SETS).map(|_| memory.take()).collect();
            sets.iter_mut().for_each(|set| set.resize(super::super::argon::BLOCKS, Block::default()));
            let busy = resident();
            assert!(
                busy >= before + MIB * 9 / 10,
                "round {round}: {busy} MiB resident, {before} before: none touched?"
            );
            sets.into_iter().for_each(|set| memory.put(set));
            assert!(memory.free_if_idle().is_some(), "given back too early");
            assert_eq!(memory.lock().sets.len(), SETS);
            memory.idle = Duration::ZERO;
            assert_eq!(memory.free_if_idle(), None);
            // Other tests run beside this one: allow them some sets.
            let after = resident();
            assert!(after < before + 60, "round {round}: {after} MiB resident, {before} before: the heap keeps it");
        }
    }

    #[tokio::test]
    async fn the_watch_gives_back_by_itself_and_ends_with_its_token() {
        let memory = std::sync::Arc::new(Memory::new(Duration::from_millis(1)));
        let token = CancellationToken::new();
        let watch = tokio::spawn({
            let (memory, token) = (std::sync::Arc::clone(&memory), token.clone());
            async move { memory.give_back(token).await }
        });
        for _ in 0..2 {
            memory.put(memory.take());
            let given_back = async || memory.lock().sets.is_empty().then_some(());
            testkit::eventually("an unused set is given back", Duration::from_secs(5), given_back).await;
        }
        token.cancel();
        watch.await.unwrap();
    }
}
