//! What the broker's answers mean for the messages of a batch. No I/O.
//!
//! The library hands a returned message out with the next confirm, whichever message that is for: it is matched by the
//! id that it carries. As each return comes before its own confirm, all of them are known when all confirms are; before
//! that, one confirm may hide that its message was returned.

use std::collections::HashMap;

use super::Outcome;
use crate::Outgoing;

/// Answers, by the places of their messages in the batch.
#[derive(Debug)]
pub(super) struct Answers {
    of: Vec<Option<Outcome>>,
    /// The broker's words, by message id.
    returned: HashMap<String, String>,
}

impl Answers {
    /// To so many messages, none of which is answered yet.
    pub(super) fn to(messages: usize) -> Self {
        Self { of: vec![None; messages], returned: HashMap::new() }
    }

    /// Nothing was answered.
    pub(super) fn is_empty(&self) -> bool {
        self.of.iter().flatten().all(|outcome| *outcome == Outcome::TooLarge)
    }

    /// The message was not published.
    pub(super) fn too_large(&mut self, n: usize) {
        self.of[n] = Some(Outcome::TooLarge);
    }

    /// The broker's answer to a message, and the return that came with it: the id of its message, and the broker's
    /// words.
    pub(super) fn take(&mut self, n: usize, outcome: Outcome, returned: Option<(String, String)>) {
        self.of[n] = Some(outcome);
        self.returned.extend(returned);
    }

    /// What became of each message of the batch; `why` there is no answer to some.
    pub(super) fn outcomes(self, batch: &[Outgoing], why: &str) -> Vec<Outcome> {
        let unanswered = || Outcome::Unanswered(why.to_owned());
        let may_hide_a_return = self.of.contains(&None) && !self.returned.is_empty();
        let outcome = |(message, answer): (&Outgoing, Option<Outcome>)| {
            let id = message.properties.message_id.as_deref().unwrap_or_default();
            match (self.returned.get(id), answer) {
                (Some(reason), _) => Outcome::Returned(reason.clone()),
                (None, None) => unanswered(),
                (None, Some(Outcome::Confirmed)) if may_hide_a_return => unanswered(),
                (None, Some(outcome)) => outcome,
            }
        };
        batch.iter().zip(self.of).map(outcome).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Confirmed, Nacked};
    use super::*;
    use crate::Properties;

    const LATE: &str = "no answer";

    type Answer = Option<(Outcome, Option<&'static str>)>;

    /// The outcomes, as words, of messages with the ids 0, 1, .. and these answers.
    fn outcomes(answers: Vec<Answer>) -> Vec<&'static str> {
        let message = |n: usize| {
            let properties = Properties { message_id: Some(n.to_string()), ..Properties::default() };
            Outgoing { queue: "q".to_owned(), body: Vec::new(), properties }
        };
        let batch: Vec<_> = (0..answers.len()).map(message).collect();
        let mut known = Answers::to(answers.len());
        for (n, answer) in answers.into_iter().enumerate() {
            if let Some((outcome, returned)) = answer {
                known.take(n, outcome, returned.map(|id| (id.to_owned(), "NO_ROUTE".to_owned())));
            }
        }
        let word = |outcome| match outcome {
            Confirmed => "confirmed",
            Nacked => "nacked",
            Outcome::Returned(words) if words == "NO_ROUTE" => "returned",
            Outcome::Unanswered(why) if why == LATE => "unanswered",
            other => panic!("{other:?}"),
        };
        known.outcomes(&batch, LATE).into_iter().map(word).collect()
    }

    #[test]
    fn each_message_has_its_own_outcome_and_none_is_confirmed_that_may_have_been_returned() {
        let ack = |returned| Some((Confirmed, returned));
        let nack = Some((Nacked, None));
        for (answers, expected) in [
            (vec![ack(None), nack.clone()], vec!["confirmed", "nacked"]),
            (vec![ack(None), None, nack.clone()], vec!["confirmed", "unanswered", "nacked"]),
            (vec![ack(Some("1")), ack(None)], vec!["confirmed", "returned"]),
            // All are answered: there is no other return.
            (vec![ack(Some("0")), ack(None)], vec!["returned", "confirmed"]),
            // The return of the second may be waiting for the confirm of the third.
            (vec![ack(Some("0")), ack(None), None], vec!["returned", "unanswered", "unanswered"]),
            (vec![nack, ack(Some("2")), None], vec!["nacked", "unanswered", "returned"]),
        ] {
            let shown = format!("{answers:?}");
            assert_eq!(outcomes(answers), expected, "{shown}");
        }
    }
}
