//! The dead letters as they were at a moment, in bounded memory: what a page shows of a queue that can't be asked for a part of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use super::filter::is;
use super::{Filter, Letter};

/// What a letter costs beside its texts, in bytes.
const BESIDE: usize = 256;
/// More of a body is not kept. Bytes.
const LONGEST_BODY: usize = 16 * 1024;

/// A letter with what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The letter.
    pub letter: Letter,
    /// Its task, or the beginning of one that is too long.
    pub body: Box<[u8]>,
    /// In bytes.
    pub body_length: usize,
}

impl Kept {
    /// With as much of the body as is kept.
    pub fn new(letter: Letter, body: &[u8]) -> Self {
        let kept = &body[..body.len().min(LONGEST_BODY)];
        Self { letter, body: kept.into(), body_length: body.len() }
    }

    fn bytes(&self) -> usize {
        let Letter { id, reason, detail, kind, recipient, .. } = &self.letter;
        let recipient = recipient.as_ref().map_or(0, |(address, domain)| address.len() + domain.len());
        let texts = id.len() + reason.len() + detail.len() + kind.as_ref().map_or(0, String::len) + recipient;
        BESIDE + texts + self.body.len()
    }
}

/// The dead letters of a moment. Where they are too many, the oldest and the newest.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When its reading began.
    pub at: SystemTime,
    oldest: Vec<Kept>,
    newest: VecDeque<Kept>,
    left_out: usize,
    room: usize,
    used: (usize, usize),
}

/// A part of the letters that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// They, in the order that was asked for.
    pub letters: Vec<&'a Kept>,
    /// How many are meant in all, of those that are kept.
    pub meant: usize,
    /// How many are meant, by reason, type and domain.
    pub by: Counts,
}

/// How many letters there are of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// By reason.
    pub reasons: BTreeMap<String, usize>,
    /// By type; `none` are bare tasks.
    pub kinds: BTreeMap<String, usize>,
    /// By the recipient's domain.
    pub domains: BTreeMap<String, usize>,
}

/// Which end a list begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum From {
    /// Those that died last.
    #[default]
    Newest,
    /// Those that died first.
    Oldest,
}

impl From {
    /// The other end.
    pub fn other(self) -> Self {
        match self {
            Self::Newest => Self::Oldest,
            Self::Oldest => Self::Newest,
        }
    }
}

impl Snapshot {
    /// Empty, with room for so many bytes.
    pub fn new(at: SystemTime, room: usize) -> Self {
        Self { at, oldest: Vec::new(), newest: VecDeque::new(), left_out: 0, room, used: (0, 0) }
    }

    /// One more, the newest so far. Half of the room is for the oldest, the other half for the newest.
    pub fn push(&mut self, kept: Kept) {
        let bytes = kept.bytes();
        if self.newest.is_empty() && self.used.0 + bytes <= self.room / 2 {
            self.used.0 += bytes;
            self.oldest.push(kept);
            return;
        }
        self.used.1 += bytes;
        self.newest.push_back(kept);
        while self.used.1 > self.room / 2 {
            let Some(gone) = self.newest.pop_front() else { break };
            self.used.1 -= gone.bytes();
            self.left_out += 1;
        }
    }

    /// How many there were.
    pub fn total(&self) -> usize {
        self.oldest.len() + self.newest.len() + self.left_out
    }

    /// How many of them there was no room for; nothing but their number is known.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Those that are meant, without the first `skip` of them, at most `limit`.
    pub fn part(&self, filter: &Filter, from: From, skip: usize, limit: usize) -> Part<'_> {
        let mut part = Part { letters: Vec::new(), meant: 0, by: Counts::default() };
        let see = |kept: &'_ Kept| filter.takes(&kept.letter, self.at);
        let all = self.oldest.iter().chain(&self.newest);
        match from {
            From::Oldest => all.filter(|kept| see(kept)).for_each(|kept| part.take(kept, skip, limit)),
            From::Newest => all.rev().filter(|kept| see(kept)).for_each(|kept| part.take(kept, skip, limit)),
        }
        part
    }

    /// How many are meant.
    pub fn count(&self, filter: &Filter) -> usize {
        self.oldest.iter().chain(&self.newest).filter(|kept| filter.takes(&kept.letter, self.at)).count()
    }

    /// The one of this id, or of this task.
    pub fn letter(&self, id: &str) -> Option<&Kept> {
        self.oldest.iter().chain(&self.newest).find(|kept| is(id, &kept.letter.id))
    }
}

impl<'a> Part<'a> {
    fn take(&mut self, kept: &'a Kept, skip: usize, limit: usize) {
        if self.meant >= skip && self.letters.len() < limit {
            self.letters.push(kept);
        }
        self.meant += 1;
        let letter = &kept.letter;
        count(&mut self.by.reasons, &letter.reason);
        count(&mut self.by.kinds, letter.kind.as_deref().unwrap_or("none"));
        if let Some((_, domain)) = &letter.recipient {
            count(&mut self.by.domains, domain);
        }
    }
}

fn count(counts: &mut BTreeMap<String, usize>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.to_owned(), 1)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn kept(number: u32, reason: &str) -> Kept {
        let recipient = Some((format!("user{number}@example.com"), "example.com".to_owned()));
        let letter = Letter { id: number.to_string(), reason: reason.to_owned(), recipient, ..Letter::default() };
        Kept::new(letter, b"{}")
    }

    fn snapshot(letters: u32, room: usize) -> Snapshot {
        let mut snapshot = Snapshot::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000), room);
        for number in 0..letters {
            snapshot.push(kept(number, if number.is_multiple_of(3) { "blocked" } else { "mailbox-full" }));
        }
        snapshot
    }

    fn ids(part: &Part<'_>) -> Vec<String> {
        part.letters.iter().map(|kept| kept.letter.id.clone()).collect()
    }

    #[test]
    fn a_part_is_taken_from_either_end_of_those_that_are_meant() {
        let snapshot = snapshot(10, 1 << 20);
        let blocked = Filter { reasons: vec!["blocked".into()], ..Filter::default() };
        for (filter, from, skip, limit, wanted, meant) in [
            (Filter::default(), From::Oldest, 0, 3, vec!["0", "1", "2"], 10),
            (Filter::default(), From::Newest, 0, 3, vec!["9", "8", "7"], 10),
            (Filter::default(), From::Newest, 9, 3, vec!["0"], 10),
            (blocked.clone(), From::Oldest, 1, 2, vec!["3", "6"], 4),
            (blocked.clone(), From::Newest, 1, 2, vec!["6", "3"], 4),
            (blocked, From::Newest, 4, 2, vec![], 4),
        ] {
            let part = snapshot.part(&filter, from, skip, limit);
            assert_eq!((ids(&part), part.meant), (wanted.iter().map(ToString::to_string).collect(), meant), "{from:?}");
            assert_eq!(snapshot.count(&filter), meant);
        }
        let by = snapshot.part(&Filter::default(), From::Oldest, 0, 0).by;
        assert_eq!(by.reasons, BTreeMap::from([("blocked".to_owned(), 4), ("mailbox-full".to_owned(), 6)]));
        assert_eq!(by.kinds, BTreeMap::from([("none".to_owned(), 10)]));
        assert_eq!(by.domains, BTreeMap::from([("example.com".to_owned(), 10)]));
    }

    #[test]
    fn where_there_is_no_room_for_all_the_oldest_and_the_newest_are_kept_and_the_others_counted() {
        let one = kept(0, "blocked").bytes();
        let snapshot = snapshot(1000, one * 20 + 400);
        assert_eq!(snapshot.total(), 1000);
        let left = snapshot.left_out();
        assert!((975..=985).contains(&left), "{left}");
        let part = snapshot.part(&Filter::default(), From::Oldest, 0, 1000);
        assert_eq!(part.meant, 1000 - left);
        assert_eq!(ids(&part).first().map(String::as_str), Some("0"));
        assert_eq!(ids(&part).last().map(String::as_str), Some("999"));
        assert!(snapshot.letter("999").is_some() && snapshot.letter("500").is_none());
    }

    #[test]
    fn of_a_long_body_the_beginning_is_kept() {
        let kept = Kept::new(Letter::default(), &vec![b'x'; 100_000]);
        assert_eq!((kept.body.len(), kept.body_length), (LONGEST_BODY, 100_000));
    }
}
