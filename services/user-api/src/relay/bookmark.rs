//! Where the next look into the outbox begins.
//!
//! A deleted row stays in the index until the next vacuum, and whoever reads the index from its beginning steps over all of them:
//! after a million of them a claim takes ten times as long. So the relay goes on behind what it has deleted. What it may have
//! missed there (a commit that took long, the rows of a replica that died) it finds by a look from the beginning now and then.
//! That no row is skipped for ever is checked in `tests/models/src/relay.rs`.

use std::time::{Duration, Instant};

use uuid::Uuid;

/// The id that the next claim starts behind.
#[derive(Debug)]
pub(super) struct Bookmark {
    every: Duration,
    from_the_beginning: Option<Instant>,
    /// Claims start here: at least one interval behind the last task relayed, so that a commit may be late by as much.
    start: Uuid,
    /// The last task at the last look from the beginning.
    next_start: Uuid,
    /// The last task.
    last: Uuid,
}

impl Bookmark {
    /// At the beginning. A look from there follows at the latest `every` so often.
    pub(super) fn new(every: Duration) -> Self {
        let nil = Uuid::nil();
        Self { every, from_the_beginning: None, start: nil, next_start: nil, last: nil }
    }

    /// The id behind which to claim now.
    pub(super) fn open(&mut self, now: Instant) -> Uuid {
        if self.from_the_beginning.is_some_and(|next| now < next) {
            return self.start;
        }
        self.from_the_beginning = Some(now + self.every);
        self.start = std::mem::replace(&mut self.next_start, self.last);
        Uuid::nil()
    }

    /// A batch is relayed, and this was its last. When it lies before the start there may be more of them: it goes back.
    pub(super) fn move_to(&mut self, last: Uuid) {
        self.last = last;
        self.start = self.start.min(last);
        self.next_start = self.next_start.min(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn it_starts_at_the_beginning_again_in_every_interval() {
        let (mut bookmark, now) = (Bookmark::new(SECOND), Instant::now());
        assert_eq!(bookmark.open(now), id(0));
        bookmark.move_to(id(5));
        for (after, start) in [(0.5, 0), (1.0, 0), (1.5, 0), (2.0, 0), (2.5, 5), (3.0, 0), (3.5, 5)] {
            assert_eq!(bookmark.open(now + SECOND.mul_f64(after)), id(start), "after {after} s");
        }
    }

    #[test]
    fn a_commit_may_be_late_by_an_interval() {
        let (mut bookmark, start) = (Bookmark::new(SECOND), Instant::now());
        // A task each tenth of a second, with its number for its id.
        for n in 0..100_u32 {
            let from = bookmark.open(start + SECOND / 10 * n);
            assert!(from <= id(u128::from(n).saturating_sub(10)), "task {n} came, and {from} is the start");
            assert!(
                n < 30 || from == id(0) || from >= id(u128::from(n) - 21),
                "task {n} came, and {from} is the start"
            );
            bookmark.move_to(id(u128::from(n)));
        }
    }

    #[test]
    fn what_was_found_before_the_start_moves_the_start_back() {
        let (mut bookmark, now) = (Bookmark::new(SECOND), Instant::now());
        for n in 0..3 {
            bookmark.open(now + SECOND * n);
            bookmark.move_to(id(100));
        }
        assert_eq!(bookmark.open(now + SECOND * 2), id(100));
        bookmark.move_to(id(7));
        assert_eq!(bookmark.open(now + SECOND * 2), id(7));
    }
}
