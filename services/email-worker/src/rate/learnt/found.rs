//! Replies that do not say why, and were found by some worker to speak of speed: the others need not find it out themselves.

use serde::{Deserialize, Serialize};

use super::Seconds;

/// So many are kept; servers have few kinds of replies.
const MOST: usize = 16;
/// How long one holds.
const HOLDS_FOR: Seconds = 600.0;

/// One kind of reply, in the words of whoever found it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Finding {
    reply: String,
    at: Seconds,
}

/// What was found, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::rate) struct Found(Vec<Finding>);

impl Found {
    /// This reply speaks of speed.
    pub(in crate::rate) fn add(&mut self, reply: &str, now: Seconds) {
        *self = self.still(now);
        self.0.retain(|known| known.reply != reply);
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(Finding { reply: reply.to_owned(), at: now });
    }

    /// Those that hold still.
    pub(in crate::rate) fn still(&self, now: Seconds) -> Self {
        Self(self.0.iter().filter(|known| now < known.at + HOLDS_FOR).cloned().collect())
    }

    /// When this reply was found to speak of speed.
    pub(in crate::rate) fn when(&self, reply: &str) -> Option<Seconds> {
        self.0.iter().find(|known| known.reply == reply).map(|known| known.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_last_counts_and_holds_for_a_while() {
        let mut found = Found::default();
        found.add("rcpt 450", 1_000.0);
        found.add("data 451", 1_500.0);
        assert_eq!((found.when("rcpt 450"), found.when("mail 450")), (Some(1_000.0), None));
        found.add("rcpt 450", 1_550.0);
        assert_eq!(found.when("rcpt 450"), Some(1_550.0));
        let still = found.still(1_500.0 + HOLDS_FOR);
        assert_eq!((still.when("rcpt 450"), still.when("data 451")), (Some(1_550.0), None));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut found = Found::default();
        (0..100).for_each(|n| found.add(&n.to_string(), 1_000.0));
        assert_eq!(found.0.len(), MOST);
        assert_eq!(found.when("99"), Some(1_000.0));
    }
}
