//! Where the next look into the outbox begins.
//!
//! A deleted row stays in the index until the next vacuum, and whoever reads the index from its beginning steps over all of them:
//! after a million of them a claim takes ten times as long. So the relay goes on behind what it has deleted, as far as that is old
//! enough: an id is a UUIDv7 and tells when its registration was (RFC 9562), and what is younger than an interval may have neighbours
//! whose commit is late. What is later still, or was left by a replica that died, it finds by a look from the beginning now and then.
//! That no row is skipped for ever is checked in `tests/models/src/relay.rs`.

use std::time::{Duration, Instant, SystemTime};

use uuid::Uuid;

/// The id that the next claim starts from.
#[derive(Debug)]
pub(crate) struct Cursor {
    every: Duration,
    from_the_beginning: Option<Instant>,
    /// The last task relayed.
    last: Uuid,
}

impl Cursor {
    /// At the beginning. A look from there follows at the latest `every` so often.
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, from_the_beginning: None, last: Uuid::nil() }
    }

    /// The id from which to claim at this moment, by the clock of the process and by that of the world.
    pub(crate) fn open(&mut self, now: Instant, today: SystemTime) -> Uuid {
        if self.from_the_beginning.is_some_and(|next| now < next) {
            return self.last.min(oldest_of(today - self.every));
        }
        self.from_the_beginning = Some(now + self.every);
        Uuid::nil()
    }

    /// A batch is relayed, and this was its last. When it lies before the start there may be more of them: the next claim goes back.
    pub(crate) fn move_to(&mut self, last: Uuid) {
        self.last = last;
    }
}

/// No UUIDv7 of this millisecond or a later one comes before it.
fn oldest_of(moment: SystemTime) -> Uuid {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Uuid::from_u128(since.as_millis() << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A task that was registered so many seconds after the beginning of the test's time.
    fn id(seconds: f64) -> Uuid {
        oldest_of(SystemTime::UNIX_EPOCH + SECOND.mul_f64(1e6 + seconds))
    }

    /// A cursor, and what it opens at so many seconds.
    fn cursor() -> (Cursor, impl Fn(&mut Cursor, f64) -> Uuid) {
        let start = Instant::now();
        let open = move |cursor: &mut Cursor, seconds: f64| {
            let since = SECOND.mul_f64(seconds);
            cursor.open(start + since, SystemTime::UNIX_EPOCH + SECOND.mul_f64(1e6) + since)
        };
        (Cursor::new(SECOND), open)
    }

    #[test]
    fn it_starts_at_the_beginning_again_in_every_interval() {
        let (mut cursor, open) = cursor();
        let old = id(-100.0);
        assert_eq!(open(&mut cursor, 0.0), Uuid::nil());
        cursor.move_to(old);
        for (after, start) in [(0.5, old), (1.0, Uuid::nil()), (1.5, old), (2.0, Uuid::nil()), (2.5, old)] {
            assert_eq!(open(&mut cursor, after), start, "after {after} s");
        }
    }

    #[test]
    fn a_commit_may_be_late_by_an_interval() {
        let (mut cursor, open) = cursor();
        for tenth in 1..100 {
            let now = f64::from(tenth) / 10.0 + 0.05;
            let from = open(&mut cursor, now);
            assert!(from == Uuid::nil() || from == id(now - 1.0).min(cursor.last), "at {now} s, from {from}");
            cursor.move_to(id(now));
        }
    }

    #[test]
    fn an_old_backlog_is_gone_on_with_right_behind_its_last() {
        let (mut cursor, open) = cursor();
        open(&mut cursor, 0.0);
        for (after, last) in [(0.1, id(-3_600.0)), (0.2, id(-3_599.0)), (0.3, id(-3_598.0))] {
            cursor.move_to(last);
            assert_eq!(open(&mut cursor, after), last, "after {after} s");
        }
    }

    #[test]
    fn what_was_found_before_the_start_moves_the_start_back() {
        let (mut cursor, open) = cursor();
        open(&mut cursor, 0.0);
        cursor.move_to(id(-10.0));
        assert_eq!(open(&mut cursor, 0.5), id(-10.0));
        cursor.move_to(id(-20.0));
        assert_eq!(open(&mut cursor, 0.6), id(-20.0));
    }

    #[test]
    fn ids_are_ordered_by_their_moment() {
        let now = SystemTime::now();
        let id = Uuid::now_v7();
        assert!(oldest_of(now - SECOND) < id && id < oldest_of(now + SECOND), "{id}");
    }
}
