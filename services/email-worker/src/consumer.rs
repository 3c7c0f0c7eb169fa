//! The consumer: takes tasks off the queue for as long as the circuit lets it, and no operator has paused it, over connections that come and go.
//! What a lost connection means for runs is checked in `tests/models/src/delivery.rs`.

mod apart;
pub mod delivery_limit;
pub mod prefetch;

use std::sync::Arc;
use std::time::Duration;

use amqp::topology::{self, QueueSpec, TopologyError};
use amqp::{AmqpError, Broker, Connection, Delivery, Subscription};
use contract::queue;
use platform::backoff::Backoff;
use platform::health::Component;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

pub(crate) use self::apart::Supervisor;
use crate::circuit_breaker::State;
use crate::controls::{Apart, InForce};
use crate::delivery::Processor;
use crate::rate::Rate;

/// How often the prefetch is looked at again.
const REVIEW: Duration = Duration::from_millis(250);
/// Waits between attempts to reach the broker.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));
/// A connection that lasted so long was a good one: the waits start over. One that is lost at once, again and again, is not.
const GOOD: Duration = Duration::from_secs(10);

/// What ends the worker, because trying again would not help.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// A queue exists with other arguments, or a right is missing.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// A run panicked. The worker dies, as it would of any crash, and the task becomes a suspect in time.
    #[error("a delivery crashed: its task will be delivered again and, if it goes on like this, run alone")]
    Crashed(#[from] JoinError),
}

/// Takes deliveries and owns their runs.
#[derive(Debug)]
pub struct Consumer {
    broker: Broker,
    queues: Vec<QueueSpec>,
    processor: Arc<Processor>,
    /// Whose queue it is; none: that of all others.
    apart: Option<Arc<Apart>>,
    delivering: Option<TaskTrackerToken>,
    /// Runs outlive connections, so they live here.
    in_flight: JoinSet<()>,
    health: Option<Component>,
    pace: Pace,
}

/// A connection with the one subscription on it.
struct ConsumerConnection {
    connection: Connection,
    subscription: Subscription,
}

/// Why consuming ended.
enum Ended {
    /// The worker drains.
    Stopped,
    /// The broker ended it: look at the queues again, over a new connection.
    Lost(String),
}

impl Consumer {
    /// A consumer over `broker`, for a worker with `slots` sending slots.
    pub fn new(
        broker: Broker,
        queues: Vec<QueueSpec>,
        processor: Arc<Processor>,
        health: Component,
        slots: u16,
        prefetch_max: u16,
    ) -> Self {
        let pace = Pace::new(slots, prefetch_max, *processor.rate.in_force().borrow());
        let (apart, delivering) = (None, Some(processor.ends.deliveries.token()));
        let in_flight = JoinSet::new();
        Self { broker, queues, processor, apart, delivering, in_flight, health: Some(health), pace }
    }

    /// A consumer of the mails that are set apart so. It says nothing of its health: the main one meets what it meets.
    pub(crate) fn apart(broker: Broker, apart: Apart, processor: Arc<Processor>, slots: u16) -> Self {
        let pace = Pace::new(slots, slots.saturating_mul(2), None);
        let queues = vec![topology::apart(&apart.name())];
        let (apart, delivering) = (Some(Arc::new(apart)), Some(processor.ends.deliveries.token()));
        Self { broker, queues, processor, apart, delivering, in_flight: JoinSet::new(), health: None, pace }
    }

    /// Takes deliveries until the token is cancelled, then drains: mails past `MAIL` are finished and acknowledged, the
    /// rest is published again for other workers. The caller bounds the time.
    ///
    /// # Errors
    /// [`ConsumerError`]: the worker can't go on.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), ConsumerError> {
        let mut backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
        let mut line = None;
        while let Some(connected) = stop.run_until_cancelled(self.connect()).await {
            let reason = match connected {
                Ok(connected) => {
                    let line = line.insert(connected);
                    if let Some(health) = &self.health {
                        health.up();
                    }
                    let began = Instant::now();
                    let ended = self.consume(line, &stop).await?;
                    if began.elapsed() >= GOOD {
                        backoff.reset();
                    }
                    match ended {
                        Ended::Stopped => break,
                        Ended::Lost(reason) => reason,
                    }
                }
                Err(Unreachable::Misfit(error)) => return Err(error.into()),
                Err(Unreachable::Away(reason)) => reason,
            };
            line = None;
            let queue = self.queue();
            tracing::warn!(%queue, reason, "tasks can't be taken from the broker: connecting again");
            if let Some(health) = &self.health {
                health.down(reason);
            }
            let _ = stop.run_until_cancelled(tokio::time::sleep(backoff.next_delay())).await;
        }
        self.drain(line).await
    }

    async fn connect(&self) -> Result<ConsumerConnection, Unreachable> {
        let connection = self.broker.connect().await?;
        topology::ensure(&connection, &self.queues).await?;
        let subscription = Subscription::open(&connection, &self.queue(), "email-worker").await?;
        Ok(ConsumerConnection { connection, subscription })
    }

    fn queue(&self) -> String {
        self.apart.as_ref().map_or_else(|| queue::EMAIL.to_owned(), |apart| apart.queue())
    }

    fn take(&mut self, delivery: Delivery) {
        self.in_flight.spawn(Arc::clone(&self.processor).process(delivery, self.apart.clone()));
    }

    /// Consumes over one connection until it is lost or the worker stops.
    async fn consume(
        &mut self,
        line: &mut ConsumerConnection,
        stop: &CancellationToken,
    ) -> Result<Ended, ConsumerError> {
        let mut circuit = self.processor.breaker.watch();
        let mut controls = self.processor.controls.clone();
        let rate = self.processor.rate.in_force();
        let mut review = tokio::time::interval(REVIEW);
        review.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut current = None;
        loop {
            let wanted = self.wanted_prefetch(*circuit.borrow_and_update(), &controls.borrow_and_update());
            if wanted != current {
                if let Err(error) = line.subscription.set_prefetch(wanted).await {
                    return not_consuming(&self.queue(), &error);
                }
                current = wanted;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(Ended::Stopped),
                changed = circuit.changed() => if changed.is_err() { return Ok(Ended::Stopped) },
                Ok(()) = controls.changed() => {}
                Some(ended) = self.in_flight.join_next() => { ended?; self.pace.count(); }
                delivery = line.subscription.next() => match delivery {
                    Some(Ok(delivery)) => self.take(delivery),
                    Some(Err(error)) => return Ok(Ended::Lost(error.to_string())),
                    None => return Ok(Ended::Lost("the broker cancelled the consumer".to_owned())),
                },
                _ = review.tick() => {
                    if !line.connection.is_open() {
                        return Ok(Ended::Lost("the connection was lost".to_owned()));
                    }
                    self.pace.review(*rate.borrow());
                    if let Err(error) = line.subscription.tend().await {
                        return Ok(Ended::Lost(error.to_string()));
                    }
                }
            }
        }
    }

    /// How many tasks to have in hand: none while the circuit is open or they are paused (what was delivered is held), one to try it
    /// with where nothing is held.
    fn wanted_prefetch(&self, circuit: State, in_force: &InForce) -> Option<u16> {
        let apart = self.apart.as_deref();
        if in_force.controls().are_paused(apart) {
            return None;
        }
        match circuit {
            State::Closed => Some(apart.map_or(self.pace.prefetch, |apart| {
                let most = in_force.controls().at_once(apart).unwrap_or(u16::MAX);
                prefetch::most(self.pace.prefetch.min(most), in_force.controls().rate(apart))
            })),
            State::HalfOpen { .. } if self.processor.in_flight.is_empty() => Some(1),
            State::HalfOpen { .. } | State::Open { .. } => None,
        }
    }

    /// Stops the deliveries and waits for the runs: what is not done is handed on.
    async fn drain(mut self, line: Option<ConsumerConnection>) -> Result<(), ConsumerError> {
        let Some(ConsumerConnection { connection, mut subscription }) = line else {
            self.delivering = None;
            return self.all_ended().await;
        };
        if let Err(error) = subscription.stop().await {
            tracing::debug!(%error, "the consumers were not cancelled: the connection is gone");
        }
        self.delivering = None;
        while let Some(delivery) = subscription.delivered() {
            self.take(delivery);
        }
        self.all_ended().await?;
        match subscription.settled().await {
            // To be handed on like the others.
            Ok(Some(delivery)) => {
                self.take(delivery);
                self.all_ended().await?;
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "it is not known whether the broker has all acknowledgements"),
        }
        // What could not be handed on. Mostly nothing.
        if let Err(error) = subscription.requeue_unsettled().await {
            tracing::debug!(%error, "nothing was given back: the connection is gone, the broker takes back all of it");
        }
        connection.close().await;
        Ok(())
    }

    async fn all_ended(&mut self) -> Result<(), ConsumerError> {
        while let Some(ended) = self.in_flight.join_next().await {
            ended?;
        }
        Ok(())
    }
}

/// A right that is missing does not come by trying again.
fn not_consuming(queue: &str, error: &AmqpError) -> Result<Ended, ConsumerError> {
    match error.access_refused() {
        Some(detail) => Err(TopologyError::Unreadable { queue: queue.to_owned(), detail }.into()),
        None => Ok(Ended::Lost(error.to_string())),
    }
}

/// Why there is no line to the broker.
enum Unreachable {
    /// A queue is not what it must be. Trying again would not change it.
    Misfit(TopologyError),
    /// It may be back soon.
    Away(String),
}

impl From<AmqpError> for Unreachable {
    fn from(error: AmqpError) -> Self {
        Self::Away(error.to_string())
    }
}

impl From<TopologyError> for Unreachable {
    fn from(error: TopologyError) -> Self {
        match error {
            TopologyError::Amqp(error) => error.into(),
            misfit => Self::Misfit(misfit),
        }
    }
}

/// Measures the speed and sets the prefetch by it.
#[derive(Debug)]
struct Pace {
    slots: u16,
    max: u16,
    prefetch: u16,
    finished: u64,
    since: Instant,
}

impl Pace {
    fn new(slots: u16, max: u16, rate: Option<Rate>) -> Self {
        Self { slots, max, prefetch: prefetch::target(slots, 0, REVIEW, max, rate), finished: 0, since: Instant::now() }
    }

    fn count(&mut self) {
        self.finished += 1;
    }

    fn review(&mut self, rate: Option<Rate>) {
        let target = prefetch::target(self.slots, self.finished, self.since.elapsed(), self.max, rate);
        if prefetch::worth_changing(self.prefetch, target) {
            self.prefetch = target;
        }
        self.finished = 0;
        self.since = Instant::now();
    }
}
