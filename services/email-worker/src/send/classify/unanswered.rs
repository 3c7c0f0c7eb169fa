//! "Hardly any mail is answered": when mails that nobody answered for are the server's trouble, and no longer theirs.

use contract::TaskId;

/// Mails that were handed over and not answered, less those that were: where most are not, the number grows.
#[derive(Debug, Clone, Default)]
pub struct Unanswered(Vec<TaskId>);

impl Unanswered {
    /// With so many more without an answer than with one the circuit opens.
    pub const LIMIT: usize = 5;

    /// A mail was accepted.
    pub fn answered(&mut self) {
        self.0.pop();
    }

    /// A mail was not answered for. True where that is one too many; it starts over then.
    pub fn unanswered(&mut self, mail: TaskId) -> bool {
        // One mail that the server chokes on counts once.
        if !self.0.contains(&mail) {
            self.0.push(mail);
        }
        let too_many = self.0.len() >= Self::LIMIT;
        if too_many {
            self.0.clear();
        }
        too_many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays mails by number, and `None` for one that was accepted; true where there is one too many.
    fn play(mails: &[Option<u128>]) -> Vec<bool> {
        let mut count = Unanswered::default();
        mails
            .iter()
            .map(|mail| match mail {
                Some(n) => count.unanswered(TaskId::from(uuid::Uuid::from_u128(*n))),
                None => {
                    count.answered();
                    false
                }
            })
            .collect()
    }

    #[test]
    fn five_different_mails_are_too_many_and_then_it_starts_over() {
        let mails: Vec<_> = (0..10).map(Some).collect();
        let expected: Vec<_> = (0..10).map(|n| n == 4 || n == 9).collect();
        assert_eq!(play(&mails), expected);
    }

    #[test]
    fn one_mail_counts_once_however_often_it_is_not_answered() {
        assert_eq!(play(&[Some(1); 20]), [false; 20]);
    }

    #[test]
    fn it_is_too_many_where_most_are_not_answered_and_not_where_some_are() {
        let most: Vec<_> = (0..60).map(|n| (n % 3 != 0).then_some(n)).collect();
        assert!(play(&most).contains(&true), "two of three were never answered");
        let some: Vec<_> = (0..600).map(|n| (n % 3 == 0).then_some(n)).collect();
        assert!(!play(&some).contains(&true), "two of three were answered");
    }
}
