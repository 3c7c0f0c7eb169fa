//! A publisher for many tasks, with a connection of its own that comes back by itself.

mod backlog;

use std::time::Duration;

use platform::backoff::Backoff;
use platform::health::Component;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::backlog::{Backlog, Waiting};
use crate::topology::QueueSpec;
use crate::{Broker, Line, LineState, Outcome, Outgoing};

/// Messages that wait for the connection; beyond this the publishers wait.
const WAITING: usize = 1024;
/// Messages that go together.
const BATCH: usize = 256;
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
    /// A publisher, and the task that its owner must await: it ends when the token is cancelled. The queues are made sure
    /// of on each new connection. `health` is down while messages wait in vain.
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
        let backlog = Backlog::default();
        let actor = Actor { broker, queues, receiver, backlog, backoff, health, failing: None, is_down: false };
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
    queues: Vec<QueueSpec>,
    receiver: mpsc::Receiver<Waiting>,
    backlog: Backlog,
    backoff: Backoff,
    health: Component,
    /// Since when nothing at all could be published, though something waited, and why.
    failing: Option<(Instant, String)>,
    /// What `health` says.
    is_down: bool,
}

impl Actor {
    async fn run(mut self) {
        let mut line = None;
        while self.gather().await {
            let batch = self.backlog.take(BATCH, Instant::now());
            if batch.is_empty() {
                self.report();
                continue;
            }
            let published = self.publish(&mut line, batch).await;
            if let Err(reason) = &published {
                tracing::warn!(reason, waiting = self.backlog.len(), "messages can't be published: trying again");
                self.failing =
                    Some((self.failing.take().map_or_else(Instant::now, |(since, _)| since), reason.clone()));
            } else {
                self.failing = None;
                self.backoff.reset();
            }
            self.report();
            if published.is_err() {
                tokio::time::sleep(self.backoff.next_delay()).await;
            }
        }
    }

    /// Takes in what comes, until there is something to publish. False: nobody is there any more.
    async fn gather(&mut self) -> bool {
        let mut come = Vec::new();
        let coming = self.receiver.recv_many(&mut come, BATCH);
        let received = match self.backlog.next(Instant::now()) {
            None => coming.await,
            // What has come is taken in even where that is now.
            Some(at) => match tokio::time::timeout_at(at, coming).await {
                Ok(received) => received,
                Err(_) => return true,
            },
        };
        self.backlog.add(come);
        received > 0
    }

    /// Publishes a batch; whatever is not confirmed goes back to the backlog.
    async fn publish(&mut self, line: &mut Option<Line>, batch: Vec<Waiting>) -> Result<(), String> {
        let messages: Vec<Outgoing> = batch.iter().map(|waiting| waiting.message.clone()).collect();
        let outcomes = match self.confirmed(line, &messages).await {
            Ok(outcomes) => outcomes,
            Err(reason) => {
                self.backlog.put_back(batch);
                return Err(reason);
            }
        };
        let now = Instant::now();
        let mut refused = None;
        for (waiting, outcome) in batch.into_iter().zip(outcomes) {
            // Nobody may be waiting any more; the message is as safe as it would be.
            match outcome {
                Outcome::Confirmed => {
                    self.backlog.taken(&waiting.message.queue);
                    drop(waiting.confirmed.send(Ok(())));
                }
                Outcome::TooLarge => {
                    let error = PublishError::TooLarge(Box::new(waiting.message));
                    drop(waiting.confirmed.send(Err(error)));
                }
                Outcome::Nacked | Outcome::Returned(_) => {
                    let reason = format!("queue {}: {outcome:?}", waiting.message.queue);
                    self.backlog.refused(waiting, reason.clone(), now);
                    refused.get_or_insert(reason);
                }
            }
        }
        if let Some(reason) = refused {
            // The queues are made sure of with the next line; and a channel that a full quorum queue has refused once may go on
            // refusing when there is room again.
            *line = None;
            tracing::warn!(reason, waiting = self.backlog.len(), "a queue takes no messages: trying again");
        }
        Ok(())
    }

    /// What the broker made of each message.
    async fn confirmed(&self, line: &mut Option<Line>, messages: &[Outgoing]) -> Result<Vec<Outcome>, String> {
        match line.as_ref().map_or(LineState::Gone, Line::state) {
            LineState::Ready => {}
            LineState::Blocked => return Err("the broker is short of memory or disk and takes nothing".to_owned()),
            LineState::Gone => *line = None,
        }
        let open = match line.take() {
            Some(open) => open,
            None => Line::open(&self.broker, &self.queues, CONFIRM).await.map_err(|error| error.to_string())?,
        };
        line.insert(open).publish(messages).await.map_err(|error| error.to_string())
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
