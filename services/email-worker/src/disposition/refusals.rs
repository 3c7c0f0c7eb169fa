//! "20 distinct mails refused in a row": when the fault is no longer looked for in the mails.

use contract::TaskId;

/// How it went with one mail that was the server's to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It took the mail.
    Accepted,
    /// It said no, for now or for good.
    Refused,
    /// It broke off, and greeted again.
    BrokenOff,
}

/// The server refuses everyone: open the circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// Counts distinct mails that failed in the same way, one after the other. Anything else in between starts over.
#[derive(Debug, Clone)]
pub struct RefusedInARow {
    limit: usize,
    how: Outcome,
    mails: Vec<TaskId>,
}

impl RefusedInARow {
    /// As many as the table says.
    pub const LIMIT: usize = 20;

    /// Speaks up at `limit` distinct mails.
    pub fn new(limit: usize) -> Self {
        Self { limit, how: Outcome::Accepted, mails: Vec::new() }
    }

    /// Takes note. Starts over after it has spoken.
    ///
    /// # Errors
    /// [`TooMany`], with the mail that makes the number full.
    pub fn note(&mut self, mail: TaskId, outcome: Outcome) -> Result<(), TooMany> {
        if outcome != self.how {
            self.how = outcome;
            self.mails.clear();
        }
        if outcome == Outcome::Accepted || self.mails.contains(&mail) {
            return Ok(());
        }
        self.mails.push(mail);
        if self.mails.len() < self.limit {
            return Ok(());
        }
        self.mails.clear();
        Err(TooMany)
    }
}

impl Default for RefusedInARow {
    fn default() -> Self {
        Self::new(Self::LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Accepted, BrokenOff, Refused};
    use super::*;

    /// Plays mails by number against a limit of three; true where it spoke up.
    fn play(notes: &[(u128, Outcome)]) -> Vec<bool> {
        let mut counter = RefusedInARow::new(3);
        let id = |n| TaskId::from(uuid::Uuid::from_u128(n));
        notes.iter().map(|(mail, outcome)| counter.note(id(*mail), *outcome).is_err()).collect()
    }

    #[test]
    fn it_speaks_up_at_the_limit_and_starts_over() {
        let refusals: Vec<_> = (0..7).map(|n| (n, Refused)).collect();
        assert_eq!(play(&refusals), [false, false, true, false, false, true, false]);
    }

    #[test]
    fn one_mail_counts_once_however_often_it_is_refused() {
        assert_eq!(play(&[(1, Refused); 5]), [false; 5]);
        assert_eq!(play(&[(1, Refused), (2, Refused), (1, Refused), (3, Refused)]), [false, false, false, true]);
    }

    #[test]
    fn an_accepted_mail_or_another_kind_of_failure_starts_over() {
        for other in [Accepted, BrokenOff] {
            let notes = [(1, Refused), (2, Refused), (3, other), (4, Refused), (5, Refused), (6, Refused)];
            assert_eq!(play(&notes), [false, false, false, false, false, true], "{other:?}");
        }
    }

    #[test]
    fn breaking_off_with_everyone_counts_as_well() {
        assert_eq!(play(&[(1, BrokenOff), (2, BrokenOff), (3, BrokenOff)]), [false, false, true]);
    }
}
