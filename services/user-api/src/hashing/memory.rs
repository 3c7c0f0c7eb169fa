//! The memory that hashes work in: kept while they come, given back when they do not.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::argon::Room;

/// Rooms that are not in use at the moment: never more than there were hashes at once.
#[derive(Debug)]
pub(super) struct Memory {
    idle: Duration,
    free: Mutex<Free>,
    used: Notify,
}

#[derive(Debug)]
struct Free {
    rooms: Vec<Room>,
    last_use: Instant,
}

impl Memory {
    /// Given back after `idle` without a hash.
    pub(super) fn new(idle: Duration) -> Self {
        Self { idle, free: Mutex::new(Free { rooms: Vec::new(), last_use: Instant::now() }), used: Notify::new() }
    }

    /// Room for a hash, with the memory of the one before.
    pub(super) fn take(&self) -> Room {
        let room = self.lock().rooms.pop();
        room.unwrap_or_else(Room::new)
    }

    pub(super) fn put(&self, room: Room) {
        let mut free = self.lock();
        free.rooms.push(room);
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
        let rooms = std::mem::take(&mut free.rooms);
        drop(free);
        // Unmapping takes a while: not under the lock.
        drop(rooms);
        None
    }

    fn lock(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::argon::{self, HashCost};
    use super::*;
    use crate::domain::Password;

    /// Memory of this process that no file backs, in MiB.
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
    }

    /// Runs a test of this module once more, in a process that runs nothing else: what is resident is its own then. True there.
    fn is_alone(test: &str) -> bool {
        const ALONE: &str = "TEST_IS_ALONE";
        if std::env::var_os(ALONE).is_some() {
            return true;
        }
        let (_, module) = module_path!().split_once("::").unwrap();
        let mut process = std::process::Command::new(std::env::current_exe().unwrap());
        let alone = process.args([&format!("{module}::{test}"), "--exact"]).env(ALONE, "").output().unwrap();
        let told = String::from_utf8_lossy(&alone.stdout);
        assert!(alone.status.success() && told.contains("1 passed"), "{test}, alone: {told}");
        false
    }

    /// Several rounds: what an allocator gives back at first it may keep the second time.
    #[test]
    fn memory_is_kept_while_it_is_used_and_given_back_when_it_is_not() {
        const ROOMS: usize = 8;
        const MIB: usize = ROOMS * 19;
        if !is_alone("memory_is_kept_while_it_is_used_and_given_back_when_it_is_not") {
            return;
        }
        let password = Password::parse("korrekt-pferd").unwrap();
        let hour = Duration::from_secs(3600);
        let mut memory = Memory::new(hour);
        let before = resident();
        for round in 1..=3 {
            memory.idle = hour;
            let mut rooms: Vec<_> = (0..ROOMS).map(|_| memory.take()).collect();
            for room in &mut rooms {
                argon::hash(&password, HashCost::Owasp, room).unwrap();
            }
            let busy = resident();
            assert!(
                busy >= before + MIB * 9 / 10,
                "round {round}: {busy} MiB resident, {before} before: none touched?"
            );
            rooms.into_iter().for_each(|room| memory.put(room));
            assert!(memory.free_if_idle().is_some(), "given back too early");
            assert_eq!(memory.lock().rooms.len(), ROOMS);
            memory.idle = Duration::ZERO;
            assert_eq!(memory.free_if_idle(), None);
            let after = resident();
            assert!(after < before + 19, "round {round}: {after} MiB resident, {before} before: the heap keeps it");
        }
    }

    #[test]
    fn a_room_is_as_large_as_its_largest_hash_and_is_taken_again() {
        let memory = Memory::new(Duration::from_secs(3600));
        let password = Password::parse("korrekt-pferd").unwrap();
        for (cost, kib) in [(HashCost::Cheap, 8), (HashCost::Owasp, 19_456), (HashCost::Cheap, 19_456)] {
            for _ in 0..3 {
                let mut room = memory.take();
                argon::hash(&password, cost, &mut room).unwrap();
                assert_eq!(room.kib(), kib, "{cost:?}");
                memory.put(room);
                assert_eq!(memory.lock().rooms.len(), 1, "one hash at a time needs one room");
            }
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
            let given_back = async || memory.lock().rooms.is_empty().then_some(());
            testkit::eventually("an unused room is given back", Duration::from_secs(5), given_back).await;
        }
        token.cancel();
        watch.await.unwrap();
    }
}
