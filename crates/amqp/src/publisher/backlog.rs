//! What waits to be published, by queue. No I/O.
//!
//! A queue that takes nothing (it is full, or not there, or silent) holds up its own messages and no others: one of
//! them tries it again now and then. There are never more messages here than callers that wait for them.

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
pub(super) struct Backlog(HashMap<String, Queue>);

/// What waits for one queue.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Some of its messages are being published.
    busy: bool,
    refusal: Option<Refusal>,
}

/// It took no message.
#[derive(Debug)]
struct Refusal {
    reason: String,
    since: Instant,
    backoff: Backoff,
    /// When one message tries it.
    again: Instant,
}

impl Queue {
    fn next(&self, now: Instant) -> Option<Instant> {
        let waits = !self.busy && !self.waiting.is_empty();
        waits.then(|| self.refusal.as_ref().map_or(now, |refusal| refusal.again))
    }

    fn put_back(&mut self, messages: Vec<Waiting>) {
        for waiting in messages.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
    }
}

impl Backlog {
    /// Messages to be published.
    pub(super) fn add(&mut self, messages: impl IntoIterator<Item = Waiting>) {
        for waiting in messages {
            match self.0.get_mut(&waiting.message.queue) {
                Some(queue) => queue.waiting.push_back(waiting),
                None => {
                    let name = waiting.message.queue.clone();
                    self.0.insert(name, Queue { waiting: VecDeque::from([waiting]), ..Queue::default() });
                }
            }
        }
    }

    /// The next messages of each queue, `most` at most; one, where it takes none. The queue is busy until it
    /// [`is_back`](Self::is_back). Those whose callers went away are dropped.
    pub(super) fn take(&mut self, most: usize, now: Instant) -> Vec<(String, Vec<Waiting>)> {
        for queue in self.0.values_mut().filter(|queue| !queue.busy) {
            queue.waiting.retain(Waiting::is_wanted);
        }
        self.0.retain(|_, queue| queue.busy || !queue.waiting.is_empty());
        let due = self.0.iter_mut().filter(|(_, queue)| queue.next(now).is_some_and(|next| next <= now));
        let batches = due.map(|(name, queue)| {
            let most = if queue.refusal.is_some() { 1 } else { most };
            queue.busy = true;
            (name.clone(), queue.waiting.drain(..most.min(queue.waiting.len())).collect())
        });
        batches.collect()
    }

    /// When there is something to publish; `None`: when something comes, or is back.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        self.0.values().filter_map(|queue| queue.next(now)).min()
    }

    /// What was taken of this queue is published, refused or put back.
    pub(super) fn is_back(&mut self, queue: &str) {
        self.of(queue).busy = false;
    }

    /// The queue took a message: the others follow.
    pub(super) fn taken(&mut self, queue: &str) {
        self.of(queue).refusal = None;
    }

    /// The queue, tried at `since`, did not take these.
    pub(super) fn refused(
        &mut self,
        queue: &str,
        messages: Vec<Waiting>,
        reason: String,
        since: Instant,
        now: Instant,
    ) {
        let queue = self.of(queue);
        let new = || Refusal { reason: String::new(), since, backoff: Backoff::new(RETRY.0, RETRY.1), again: now };
        let refusal = queue.refusal.get_or_insert_with(new);
        refusal.reason = reason;
        refusal.again = now + refusal.backoff.next_delay();
        queue.put_back(messages);
    }

    /// Nothing is known of what became of these, and nothing known against their queue: once more.
    pub(super) fn put_back(&mut self, queue: &str, messages: Vec<Waiting>) {
        self.of(queue).put_back(messages);
    }

    /// Why a queue has taken nothing for so long.
    pub(super) fn refused_for(&self, long: Duration, now: Instant) -> Option<&str> {
        let refusals = self.0.values().filter_map(|queue| queue.refusal.as_ref());
        let longest = refusals.min_by_key(|refusal| refusal.since)?;
        (now - longest.since >= long).then_some(&*longest.reason)
    }

    /// Messages that wait here.
    pub(super) fn len(&self) -> usize {
        self.0.values().map(|queue| queue.waiting.len()).sum()
    }

    fn of(&mut self, queue: &str) -> &mut Queue {
        self.0.entry(queue.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Properties;

    type Confirm = oneshot::Receiver<Result<(), PublishError>>;

    const LONG: Duration = Duration::from_secs(60);

    /// A backlog of these, each `queue/id`, and whoever waits for them.
    fn backlog(messages: &[&str]) -> (Backlog, Vec<Confirm>) {
        let mut backlog = Backlog::default();
        let confirms = messages.iter().map(|name| add(&mut backlog, name)).collect();
        (backlog, confirms)
    }

    fn add(backlog: &mut Backlog, name: &str) -> Confirm {
        let (queue, id) = name.split_once('/').expect("queue/id");
        let properties = Properties { message_id: Some(id.to_owned()), ..Properties::default() };
        let (confirmed, confirm) = oneshot::channel();
        let message = Outgoing { queue: queue.to_owned(), body: Vec::new(), properties };
        backlog.add([Waiting { message, confirmed }]);
        confirm
    }

    /// Takes what may be published, and gives it by queue.
    fn take(backlog: &mut Backlog, now: Instant) -> HashMap<String, Vec<Waiting>> {
        backlog.take(2, now).into_iter().collect()
    }

    fn names(taken: &HashMap<String, Vec<Waiting>>) -> Vec<String> {
        let id = |waiting: &Waiting| waiting.message.properties.message_id.clone().unwrap_or_default();
        let all = taken.iter().flat_map(|(queue, batch)| batch.iter().map(move |one| format!("{queue}/{}", id(one))));
        let mut all: Vec<_> = all.collect();
        all.sort();
        all
    }

    fn refuse(backlog: &mut Backlog, mut taken: HashMap<String, Vec<Waiting>>, queue: &str, now: Instant) {
        backlog.is_back(queue);
        let messages = taken.remove(queue).expect("it was tried");
        backlog.refused(queue, messages, "it is full".to_owned(), now, now);
    }

    #[test]
    fn what_is_on_its_way_to_one_queue_holds_up_its_own_messages_alone() {
        let now = Instant::now();
        let (mut backlog, _confirms) = backlog(&["silent/1", "silent/2", "silent/3", "other/1"]);
        assert_eq!(names(&take(&mut backlog, now)), ["other/1", "silent/1", "silent/2"]);
        assert_eq!(backlog.next(now), None, "until something comes or is back");
        backlog.is_back("other");
        let _confirm = add(&mut backlog, "other/2");
        assert_eq!(names(&take(&mut backlog, now)), ["other/2"]);
        backlog.is_back("silent");
        assert_eq!(names(&take(&mut backlog, now)), ["silent/3"]);
    }

    #[test]
    fn a_queue_that_takes_nothing_holds_up_its_own_messages_alone_and_one_of_them_tries_it_again() {
        let now = Instant::now();
        let (mut backlog, _confirms) = backlog(&["full/1", "full/2", "full/3", "other/1"]);
        let taken = take(&mut backlog, now);
        backlog.is_back("other");
        refuse(&mut backlog, taken, "full", now);
        let _confirm = add(&mut backlog, "other/2");
        assert_eq!(names(&take(&mut backlog, now)), ["other/2"], "it was asked again at once");
        let again = backlog.next(now).expect("it is asked again");
        assert!(again > now && again <= now + 2 * RETRY.0, "{:?}", again - now);
        assert_eq!(names(&take(&mut backlog, again)), ["full/1"], "one message tries it");
        backlog.is_back("full");
        backlog.taken("full");
        assert_eq!(names(&take(&mut backlog, again)), ["full/2", "full/3"], "the others follow");
    }

    #[test]
    fn a_queue_is_asked_more_and_more_rarely_and_said_to_take_nothing_since_the_first_time() {
        let first = Instant::now();
        let (mut backlog, _confirms) = backlog(&["full/1"]);
        let (mut now, mut tries) = (first, 0);
        while now - first <= LONG {
            let taken = take(&mut backlog, now);
            refuse(&mut backlog, taken, "full", now);
            now = backlog.next(now).expect("once more");
            tries += 1;
        }
        // By chance; 17 more often than not.
        assert!(tries < 60, "{tries} tries within {LONG:?}");
        assert_eq!(backlog.refused_for(LONG, now), Some("it is full"));
        assert_eq!(backlog.refused_for(now - first + LONG, now), None);
    }

    #[test]
    fn what_nothing_is_known_of_goes_first_the_next_time() {
        let now = Instant::now();
        let (mut backlog, _confirms) = backlog(&["main/1", "main/2", "main/3"]);
        let messages = take(&mut backlog, now).remove("main").expect("they wait");
        backlog.is_back("main");
        backlog.put_back("main", messages);
        assert_eq!(names(&take(&mut backlog, now)), ["main/1", "main/2"]);
    }

    #[test]
    fn nobody_asks_a_queue_for_callers_that_went_away() {
        let now = Instant::now();
        let (mut backlog, confirms) = backlog(&["full/1", "full/2", "other/1"]);
        let taken = take(&mut backlog, now);
        refuse(&mut backlog, taken, "full", now);
        backlog.is_back("other");
        drop(confirms);
        assert!(take(&mut backlog, now + LONG).is_empty());
        assert_eq!((backlog.len(), backlog.next(now), backlog.refused_for(Duration::ZERO, now)), (0, None, None));
    }
}
