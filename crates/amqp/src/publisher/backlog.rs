//! What waits to be published. No I/O.
//!
//! A queue that takes nothing (it is full, or not there) holds up its own messages and no others: they are set aside, and
//! one of them tries it again now and then. There are never more messages here than callers that wait for them.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use platform::backoff::Backoff;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{PublishError, RETRY};
use crate::Outgoing;

/// A message, and who waits for its confirm.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) message: Outgoing,
    pub(super) confirmed: oneshot::Sender<Result<(), PublishError>>,
}

impl Waiting {
    fn is_wanted(&self) -> bool {
        !self.confirmed.is_closed()
    }
}

#[derive(Debug, Default)]
pub(super) struct Backlog {
    ready: VecDeque<Waiting>,
    refusing: HashMap<String, Refusing>,
}

/// A queue that took no message.
#[derive(Debug)]
struct Refusing {
    aside: VecDeque<Waiting>,
    reason: String,
    since: Instant,
    backoff: Backoff,
    /// When one message tries it.
    again: Instant,
}

impl Backlog {
    /// Messages to be published: at once, or when their queue takes some again.
    pub(super) fn add(&mut self, messages: impl IntoIterator<Item = Waiting>) {
        for waiting in messages {
            match self.refusing.get_mut(&waiting.message.queue) {
                Some(refusing) => refusing.aside.push_back(waiting),
                None => self.ready.push_back(waiting),
            }
        }
    }

    /// The next messages to publish, `most` at most: one for each queue whose time has come, then those that hold up nobody.
    /// Those whose callers went away are dropped.
    pub(super) fn take(&mut self, most: usize, now: Instant) -> Vec<Waiting> {
        self.refusing.retain(|_, refusing| {
            refusing.aside.retain(Waiting::is_wanted);
            !refusing.aside.is_empty()
        });
        self.ready.retain(Waiting::is_wanted);
        let due = self.refusing.values_mut().filter(|refusing| refusing.again <= now);
        let mut batch: Vec<Waiting> = due.take(most).filter_map(|refusing| refusing.aside.pop_front()).collect();
        let room = most - batch.len();
        batch.extend(self.ready.drain(..room.min(self.ready.len())));
        batch
    }

    /// When there is something to publish; `None`: when something comes.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        if !self.ready.is_empty() {
            return Some(now);
        }
        self.refusing.values().map(|refusing| refusing.again).min()
    }

    /// The queue took a message: the others follow.
    pub(super) fn taken(&mut self, queue: &str) {
        if let Some(refusing) = self.refusing.remove(queue) {
            self.ready.extend(refusing.aside);
        }
    }

    /// The queue did not take this one.
    pub(super) fn refused(&mut self, waiting: Waiting, reason: String, now: Instant) {
        let new = || Refusing {
            aside: VecDeque::new(),
            reason: String::new(),
            since: now,
            backoff: Backoff::new(RETRY.0, RETRY.1),
            again: now,
        };
        let refusing = self.refusing.entry(waiting.message.queue.clone()).or_insert_with(new);
        refusing.reason = reason;
        // Several of one batch are one refusal.
        if refusing.again <= now {
            refusing.again = now + refusing.backoff.next_delay();
        }
        refusing.aside.push_front(waiting);
    }

    /// Nothing is known of what became of these: once more.
    pub(super) fn put_back(&mut self, batch: Vec<Waiting>) {
        for waiting in batch.into_iter().rev() {
            self.ready.push_front(waiting);
        }
    }

    /// Why a queue has taken nothing for so long.
    pub(super) fn refused_for(&self, long: Duration, now: Instant) -> Option<&str> {
        let longest = self.refusing.values().min_by_key(|refusing| refusing.since)?;
        (now - longest.since >= long).then_some(&*longest.reason)
    }

    /// Messages here.
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.refusing.values().map(|refusing| refusing.aside.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Properties;

    type Confirm = oneshot::Receiver<Result<(), PublishError>>;

    const LONG: Duration = Duration::from_secs(60);

    fn waiting(queue: &str, id: &str) -> (Waiting, Confirm) {
        let properties = Properties { message_id: Some(id.to_owned()), ..Properties::default() };
        let (confirmed, confirm) = oneshot::channel();
        (Waiting { message: Outgoing { queue: queue.to_owned(), body: Vec::new(), properties }, confirmed }, confirm)
    }

    /// A backlog of these, each `queue/id`, and whoever waits for them.
    fn backlog(messages: &[&str]) -> (Backlog, Vec<Confirm>) {
        let mut backlog = Backlog::default();
        let (messages, confirms): (Vec<_>, Vec<_>) = messages.iter().map(|name| parse(name)).unzip();
        backlog.add(messages);
        (backlog, confirms)
    }

    fn parse(name: &str) -> (Waiting, Confirm) {
        let (queue, id) = name.split_once('/').expect("queue/id");
        waiting(queue, id)
    }

    fn names(batch: &[Waiting]) -> Vec<String> {
        let id = |waiting: &Waiting| waiting.message.properties.message_id.clone().unwrap_or_default();
        batch.iter().map(|waiting| format!("{}/{}", waiting.message.queue, id(waiting))).collect()
    }

    #[test]
    fn a_queue_that_takes_nothing_holds_up_its_own_messages_alone_and_one_of_them_tries_it_again() {
        let now = Instant::now();
        let (mut backlog, _confirms) = backlog(&["full/1", "full/2", "other/1"]);
        for waiting in backlog.take(2, now) {
            backlog.refused(waiting, "it is full".to_owned(), now);
        }
        let (more, _confirm) = parse("full/3");
        backlog.add([more]);
        assert_eq!(names(&backlog.take(9, now)), ["other/1"]);
        assert!(backlog.take(9, now).is_empty(), "it was asked again at once");
        let again = backlog.next(now).expect("it is asked again");
        assert!(again > now && again <= now + 2 * RETRY.0, "{:?}", again - now);
        assert_eq!(names(&backlog.take(9, again)).len(), 1, "one message tries it");
        backlog.taken("full");
        assert_eq!(names(&backlog.take(9, again)).len(), 2, "the others follow");
    }

    #[test]
    fn a_queue_is_asked_more_and_more_rarely_and_said_to_take_nothing_since_the_first_time() {
        let first = Instant::now();
        let (mut backlog, _confirms) = backlog(&["full/1"]);
        let mut now = first;
        for n in 0..20 {
            let trial = backlog.take(9, now).pop().expect("it tries");
            backlog.refused(trial, format!("refusal {n}"), now);
            now = backlog.next(now).expect("once more");
        }
        assert!(now - first > LONG, "20 tries within {:?}", now - first);
        assert_eq!(backlog.refused_for(LONG, now), Some("refusal 19"));
        assert_eq!(backlog.refused_for(now - first + LONG, now), None);
    }

    #[test]
    fn nobody_asks_a_queue_for_callers_that_went_away() {
        let now = Instant::now();
        let (mut backlog, confirms) = backlog(&["full/1", "other/1"]);
        let first = backlog.take(1, now).pop().expect("there are two");
        backlog.refused(first, "it is full".to_owned(), now);
        drop(confirms);
        assert!(backlog.take(9, now + LONG).is_empty());
        assert_eq!((backlog.len(), backlog.next(now), backlog.refused_for(Duration::ZERO, now)), (0, None, None));
    }
}
