//! The queues of mails that are sent at a speed of their own: one is made when the first mail belongs there, and each is consumed for as
//! long as the database names it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use amqp::topology::{self, TopologyError};
use amqp::{AmqpError, Broker, BrokerUrl};
use platform::postgres::{NoAnswer, ask};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Consumer, ConsumerError};
use crate::controls::Apart;
use crate::controls::queues::Wanted;
use crate::controls::store::AddQueue;
use crate::delivery::Processor;

/// A queue is tried to be made so often at most, however many ask for it.
const EVERY: Duration = Duration::from_secs(1);
/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Why a queue was not made.
#[derive(Debug, thiserror::Error)]
enum NotMade {
    #[error(transparent)]
    Broker(#[from] AmqpError),
    #[error(transparent)]
    Queue(#[from] TopologyError),
    #[error(transparent)]
    Database(#[from] NoAnswer),
}

/// Owns the consumers of these queues.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) url: BrokerUrl,
    pub(crate) pool: PgPool,
    pub(crate) processor: Arc<Processor>,
    pub(crate) slots: u16,
    pub(crate) wanted: Wanted,
}

impl Supervisor {
    /// Consumes until the token is cancelled, then drains.
    ///
    /// # Errors
    /// Those of a consumer.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), ConsumerError> {
        let mut controls = self.processor.controls.clone();
        let (mut consumed, mut consumers) = (BTreeSet::new(), JoinSet::new());
        let mut tried = HashMap::<Apart, Instant>::new();
        while !stop.is_cancelled() {
            let named = controls.borrow_and_update().controls().queues().clone();
            for apart in named.difference(&consumed.clone()) {
                consumers.spawn(self.consumer(apart).run(stop.clone()));
                consumed.insert(apart.clone());
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = consumers.join_next() => ended.map_err(ConsumerError::Crashed)??,
                Ok(()) = controls.changed() => {}
                Some(apart) = self.wanted.recv() => {
                    if tried.get(&apart).is_none_or(|at| at.elapsed() >= EVERY) {
                        self.make(&apart).await;
                        tried.insert(apart, Instant::now());
                    }
                }
            }
        }
        while let Some(ended) = consumers.join_next().await {
            ended.map_err(ConsumerError::Crashed)??;
        }
        Ok(())
    }

    fn consumer(&self, apart: &Apart) -> Consumer {
        let broker = Broker::new(self.url.clone(), "email-worker apart");
        Consumer::apart(broker, apart.clone(), Arc::clone(&self.processor), self.slots)
    }

    /// First the queue, then its name in the database: whoever reads that may use it.
    async fn make(&self, apart: &Apart) {
        if self.processor.controls.borrow().controls().queues().contains(apart) {
            return;
        }
        match self.try_make(apart).await {
            Ok(true) => tracing::info!(queue = apart.queue(), "mails that are set apart have a queue of their own"),
            // Another worker was faster.
            Ok(false) => {}
            Err(error) => tracing::warn!(
                queue = apart.queue(),
                %error,
                "mails that are paused or limited have no queue of their own yet: they wait"
            ),
        }
    }

    async fn try_make(&self, apart: &Apart) -> Result<bool, NotMade> {
        let connection = Broker::new(self.url.clone(), "email-worker apart").connect().await?;
        topology::ensure(&connection, &[topology::apart(&apart.name())]).await?;
        connection.close().await;
        Ok(ask(&self.pool, &AddQueue(apart), ANSWER_WITHIN).await?)
    }
}
