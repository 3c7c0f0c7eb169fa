//! A publisher for many tasks, with a connection of its own that comes back by itself.

use std::time::Duration;

use platform::backoff::Backoff;
use platform::health::Component;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

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

#[derive(Debug)]
struct Waiting {
    message: Outgoing,
    confirmed: oneshot::Sender<Result<(), PublishError>>,
}

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
        let actor = Actor { broker, queues, receiver, backoff, health, failing_since: None };
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
    backoff: Backoff,
    health: Component,
    /// Since when nothing could be published, though something waited.
    failing_since: Option<Instant>,
}

impl Actor {
    async fn run(mut self) {
        let mut line = None;
        let mut waiting = Vec::with_capacity(BATCH);
        loop {
            if waiting.is_empty() && self.receiver.recv_many(&mut waiting, BATCH).await == 0 {
                return;
            }
            // A caller that went away no longer wants its message published.
            waiting.retain(|waiting: &Waiting| !waiting.confirmed.is_closed());
            if let Err(reason) = self.publish(&mut line, &mut waiting).await {
                tracing::warn!(reason, waiting = waiting.len(), "messages can't be published: trying again");
                if self.failing_since.get_or_insert_with(Instant::now).elapsed() >= TOLERATED {
                    self.health.down(reason);
                }
                tokio::time::sleep(self.backoff.next_delay()).await;
            }
        }
    }

    /// Publishes what waits; whatever is not confirmed stays in `waiting`.
    async fn publish(&mut self, line: &mut Option<Line>, waiting: &mut Vec<Waiting>) -> Result<(), String> {
        match line.as_ref().map_or(LineState::Gone, Line::state) {
            LineState::Ready => {}
            LineState::Blocked => return Err("the broker is short of memory or disk and takes nothing".to_owned()),
            LineState::Gone => *line = None,
        }
        let open = match line.take() {
            Some(open) => open,
            None => Line::open(&self.broker, &self.queues, CONFIRM).await.map_err(|error| error.to_string())?,
        };
        let batch: Vec<Outgoing> = waiting.iter().map(|waiting| waiting.message.clone()).collect();
        let outcomes = line.insert(open).publish(&batch).await.map_err(|error| error.to_string())?;
        let mut refused = None;
        let mut left = Vec::new();
        for (waiting, outcome) in waiting.drain(..).zip(outcomes) {
            // Nobody may be waiting any more; the message is as safe as it would be.
            match outcome {
                Outcome::Confirmed => drop(waiting.confirmed.send(Ok(()))),
                Outcome::TooLarge => {
                    let error = PublishError::TooLarge(Box::new(waiting.message));
                    drop(waiting.confirmed.send(Err(error)));
                }
                Outcome::Nacked | Outcome::Returned(_) => {
                    refused.get_or_insert_with(|| format!("queue {}: {outcome:?}", waiting.message.queue));
                    left.push(waiting);
                }
            }
        }
        *waiting = left;
        match refused {
            None => {
                self.backoff.reset();
                if self.failing_since.take().is_some() {
                    self.health.up();
                }
                Ok(())
            }
            Some(refused) => {
                // The queues are made sure of with the next line.
                *line = None;
                Err(refused)
            }
        }
    }
}
