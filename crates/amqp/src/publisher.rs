//! A publisher for many tasks, with a connection of its own that comes back by itself.
//!
//! Each queue has a channel of its own, and what is published to one never waits for another: a queue that refuses, or
//! says nothing at all (a quorum queue without a leader), holds up its own messages alone. Decision 24 in
//! `docs/decisions`.

mod backlog;
mod queue_channel;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use platform::backoff::Backoff;
use platform::health::Component;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::backlog::{Backlog, Waiting};
use self::queue_channel::{QueueChannel, Sent};
use crate::topology::{self, QueueSpec};
use crate::{AmqpError, Broker, ConfirmChannel, Connection, Outcome, Outgoing};

/// Messages that wait to be taken in; beyond this the publishers wait.
const WAITING: usize = 1024;
/// Messages for one queue that go together. RabbitMQ stops reading a connection when a channel on it is 400 messages
/// behind its queue, some 200 of which it may not have told us of: a silent queue must not come so far.
const BATCH: usize = 200;
/// The confirms of a batch; a broker under load may take its time.
const CONFIRM: Duration = Duration::from_secs(30);
/// Waits between attempts.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// For so long it may go wrong before the publisher says that it is down: a broker that restarts is back by then.
const TOLERATED: Duration = Duration::from_secs(5);

/// Why a message was not confirmed.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PublishError {
    /// Whether the broker has the message is not known.
    #[error("the publisher was stopped before the broker confirmed the message")]
    Stopped,
    /// Trying again would not change it: the message, with fewer headers, may fit.
    #[error("the properties of the message are larger than a frame")]
    TooLarge(Box<Outgoing>),
}

/// Publishes until confirmed. Clones share one connection.
#[derive(Debug, Clone)]
pub struct Publisher(mpsc::Sender<Waiting>);

impl Publisher {
    /// A publisher, and the task that its owner must await: it ends when the token is cancelled. Each of the queues is
    /// made sure of when it is first published to over a channel. `health` is down while messages wait in vain.
    pub fn start(
        broker: Broker,
        queues: Vec<QueueSpec>,
        health: Component,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let backoff = Backoff::new(RETRY.0, RETRY.1);
        // Nothing is known against it: it connects when there is something to publish.
        health.up();
        let actor = Actor {
            broker,
            queues: queues.into_iter().map(|queue| (queue.name().to_owned(), queue)).collect(),
            receiver,
            backlog: Backlog::default(),
            link: Link::Away { again: Instant::now() },
            channels: HashMap::new(),
            going_on: FuturesUnordered::new(),
            backoff,
            health,
            failing: None,
            is_down: false,
        };
        let task = async move {
            // Dropped at any point, it has promised nothing that it did not keep.
            let _ = stop.run_until_cancelled_owned(actor.run()).await;
        };
        (Self(sender), task)
    }

    /// Publishes and waits for the confirm, however long the broker is away. A message may be published more than once,
    /// with the same id.
    ///
    /// # Errors
    /// The publisher was stopped, or the message fits into no frame.
    pub async fn publish(&self, message: Outgoing) -> Result<(), PublishError> {
        let (confirmed, confirm) = oneshot::channel();
        self.0.send(Waiting { message, confirmed }).await.map_err(|_| PublishError::Stopped)?;
        confirm.await.unwrap_or(Err(PublishError::Stopped))
    }
}

struct Actor {
    broker: Broker,
    queues: HashMap<String, QueueSpec>,
    receiver: mpsc::Receiver<Waiting>,
    backlog: Backlog,
    link: Link,
    /// The channels that nothing is published over at the moment, by queue; all are of the present connection.
    channels: HashMap<String, ConfirmChannel>,
    going_on: FuturesUnordered<BoxFuture<'static, Event>>,
    backoff: Backoff,
    health: Component,
    /// Since when nothing at all could be published, though something waited, and why.
    failing: Option<(Instant, String)>,
    /// What `health` says.
    is_down: bool,
}

/// The way to the broker.
enum Link {
    /// None; when it is to be looked for, if something waits.
    Away {
        again: Instant,
    },
    Connecting,
    /// Open; when it is to be used. That is later than now while the broker reads nothing.
    Open {
        connection: Arc<Connection>,
        again: Instant,
    },
}

enum Event {
    Connected(Result<Connection, AmqpError>),
    Sent(Sent),
}

/// Messages that were not confirmed, and why the first of them was not.
#[derive(Default)]
struct Refusals {
    messages: Vec<Waiting>,
    reason: Option<String>,
}

impl Refusals {
    fn add(&mut self, waiting: Waiting, reason: impl FnOnce() -> String) {
        self.messages.push(waiting);
        self.reason.get_or_insert_with(reason);
    }
}

impl Actor {
    async fn run(mut self) {
        while self.wait().await {
            self.begin();
            self.report();
        }
    }

    /// Waits until something can be done. False: nobody is there any more.
    async fn wait(&mut self) -> bool {
        let mut come = Vec::new();
        let next = self.next(Instant::now());
        tokio::select! {
            received = self.receiver.recv_many(&mut come, WAITING) => {
                self.backlog.add(come);
                return received > 0;
            }
            Some(event) = self.going_on.next() => self.happened(event),
            () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
        true
    }

    /// When something can be begun; `None`: when something has come, or has happened.
    fn next(&self, now: Instant) -> Option<Instant> {
        let due = self.backlog.next(now)?;
        match self.link {
            Link::Connecting => None,
            Link::Away { again } | Link::Open { again, .. } => Some(due.max(again)),
        }
    }

    fn begin(&mut self) {
        let now = Instant::now();
        if self.next(now).is_none_or(|next| next > now) {
            return;
        }
        match &self.link {
            Link::Connecting => {}
            Link::Open { connection, .. } if connection.is_open() && connection.is_blocked() => {
                // Kept, as it is what tells when that ends: on another one, each message would arrive once more.
                let connection = Arc::clone(connection);
                let again = self.failed("the broker is short of memory or disk and takes nothing".to_owned());
                self.link = Link::Open { connection, again };
            }
            Link::Open { connection, .. } if connection.is_open() => {
                let connection = Arc::clone(connection);
                for (queue, messages) in self.backlog.take(BATCH, now) {
                    self.send(&connection, queue, messages);
                }
            }
            Link::Open { .. } | Link::Away { .. } => {
                self.channels.clear();
                self.link = Link::Connecting;
                let broker = self.broker.clone();
                self.going_on.push(Box::pin(async move { Event::Connected(broker.connect().await) }));
            }
        }
    }

    fn send(&mut self, connection: &Arc<Connection>, queue: String, messages: Vec<Waiting>) {
        let (channel, spec) = (self.channels.remove(&queue), self.spec(&queue));
        let over = QueueChannel { connection: Arc::clone(connection), spec, channel };
        self.going_on.push(Box::pin(async move { Event::Sent(queue_channel::publish(over, queue, messages).await) }));
    }

    /// How a queue must be: as it was named at the start, or as its name says.
    fn spec(&self, queue: &str) -> Option<QueueSpec> {
        self.queues.get(queue).cloned().or_else(|| topology::by_name(queue))
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Connected(Ok(connection)) => {
                self.link = Link::Open { connection: Arc::new(connection), again: Instant::now() };
            }
            Event::Connected(Err(error)) => {
                let again = self.failed(error.to_string());
                self.link = Link::Away { again };
            }
            Event::Sent(sent) => self.sent(sent),
        }
    }

    /// Whatever is not confirmed goes back to the backlog.
    fn sent(&mut self, Sent { queue, messages, began, connection, channel, outcomes }: Sent) {
        self.backlog.is_back(&queue);
        match outcomes {
            Ok(outcomes) => {
                // The broker answers.
                self.failing = None;
                self.backoff.reset();
                if let Some(channel) = channel.filter(|_| self.is_present(&connection)) {
                    self.channels.insert(queue.clone(), channel);
                }
                self.answered(&queue, messages, outcomes, began, &connection);
            }
            Err(error) if !connection.is_open() => {
                self.backlog.put_back(&queue, messages);
                if self.retire(&connection) {
                    let again = self.failed(error.to_string());
                    self.link = Link::Away { again };
                }
            }
            Err(error) => self.unanswered(&queue, messages, began, &connection, error.to_string()),
        }
    }

    fn answered(
        &mut self,
        queue: &str,
        messages: Vec<Waiting>,
        outcomes: Vec<Outcome>,
        began: Instant,
        connection: &Arc<Connection>,
    ) {
        let (mut refused, mut unanswered) = (Refusals::default(), Refusals::default());
        for (waiting, outcome) in messages.into_iter().zip(outcomes) {
            // Nobody may be waiting any more; the message is as safe as it would be.
            match outcome {
                Outcome::Confirmed => {
                    self.backlog.taken(queue);
                    drop(waiting.confirmed.send(Ok(())));
                }
                Outcome::TooLarge => {
                    let error = PublishError::TooLarge(Box::new(waiting.message));
                    drop(waiting.confirmed.send(Err(error)));
                }
                Outcome::Nacked | Outcome::Returned(_) => refused.add(waiting, || format!("{outcome:?}")),
                Outcome::Unanswered(reason) => unanswered.add(waiting, || reason),
            }
        }
        if let Some(reason) = refused.reason {
            // One that a full quorum queue has refused on may go on refusing when there is room again.
            self.channels.remove(queue);
            self.refused(queue, refused.messages, began, &reason);
        }
        if let Some(reason) = unanswered.reason {
            self.unanswered(queue, unanswered.messages, began, connection, reason);
        }
    }

    /// The queue says nothing, unless it is the whole broker that does.
    fn unanswered(
        &mut self,
        queue: &str,
        messages: Vec<Waiting>,
        began: Instant,
        connection: &Arc<Connection>,
        reason: String,
    ) {
        if connection.is_blocked() {
            return self.backlog.put_back(queue, messages);
        }
        // The connection itself may be what is stuck.
        self.retire(connection);
        self.failing = None;
        self.refused(queue, messages, began, &reason);
    }

    fn refused(&mut self, queue: &str, messages: Vec<Waiting>, since: Instant, reason: &str) {
        let reason = format!("queue {queue}: {reason}");
        self.backlog.refused(queue, messages, reason.clone(), since, Instant::now());
        tracing::warn!(reason, waiting = self.backlog.len(), "a queue takes no messages: trying again");
    }

    fn is_present(&self, connection: &Arc<Connection>) -> bool {
        matches!(&self.link, Link::Open { connection: present, .. } if Arc::ptr_eq(present, connection))
    }

    /// Begins nothing more over this connection; what is on its way there goes on. Whether it was the present one.
    fn retire(&mut self, connection: &Arc<Connection>) -> bool {
        let present = self.is_present(connection);
        if present {
            self.channels.clear();
            self.link = Link::Away { again: Instant::now() };
        }
        present
    }

    /// Nothing can be published. When to try again.
    fn failed(&mut self, reason: String) -> Instant {
        tracing::warn!(reason, waiting = self.backlog.len(), "messages can't be published: trying again");
        self.failing = Some((self.failing.take().map_or_else(Instant::now, |(since, _)| since), reason));
        Instant::now() + self.backoff.next_delay()
    }

    /// Tells `health` what has gone wrong for too long: of all messages, or of those of one queue.
    fn report(&mut self) {
        let now = Instant::now();
        let failing = self.failing.as_ref().filter(|(since, _)| now - *since >= TOLERATED);
        let reason = failing.map(|(_, reason)| &**reason).or_else(|| self.backlog.refused_for(TOLERATED, now));
        match reason {
            Some(reason) => {
                self.health.down(reason);
                self.is_down = true;
            }
            None if self.is_down
                && self.failing.is_none()
                && self.backlog.refused_for(Duration::ZERO, now).is_none() =>
            {
                self.health.up();
                self.is_down = false;
            }
            None => {}
        }
    }
}
