//! What waits where, as the broker says.

use amqp::queues::{self, QueueState};
use amqp::{AmqpError, Broker, Connection};
use contract::queue;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::controls::Controls;
use crate::send::retry_schedule::RetrySchedule;

/// Asks the broker, over one connection that is kept.
#[derive(Debug)]
pub(super) struct Queues {
    broker: Broker,
    retries: Vec<String>,
    connection: Mutex<Option<Connection>>,
}

/// A queue, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Queue)]
pub(super) struct Depth {
    /// Its name.
    #[schema(example = "email_queue")]
    pub(super) queue: String,
    /// Messages that wait; not those that somebody holds.
    pub(super) ready: u32,
    /// Who takes them.
    pub(super) consumers: u32,
}

impl Queues {
    pub(super) fn new(broker: Broker, schedule: &RetrySchedule) -> Self {
        let retries = schedule.delays().iter().map(|delay| queue::retry(*delay)).collect();
        Self { broker, retries, connection: Mutex::default() }
    }

    /// Those that are there: the main queue, the retry queues, those of mails with a speed of their own, the dead letters.
    ///
    /// One that fails is asked again over a new connection: the kept one may be lost by now, or worn out. To the question after a
    /// queue that is not there the broker closes the channel, and the library gives that answer again to whoever gets the number of
    /// that channel next, some two thousand channels later.
    pub(super) async fn depths(&self, controls: &Controls) -> Result<Vec<Depth>, AmqpError> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = kept.take() {
            match self.look(&connection, controls).await {
                Ok(depths) => {
                    *kept = Some(connection);
                    return Ok(depths);
                }
                Err(error) => {
                    tracing::debug!(%error, "asking after the queues again, over a new connection");
                    connection.close().await;
                }
            }
        }
        let connection = self.broker.connect().await?;
        let depths = self.look(&connection, controls).await?;
        *kept = Some(connection);
        Ok(depths)
    }

    async fn look(&self, connection: &Connection, controls: &Controls) -> Result<Vec<Depth>, AmqpError> {
        let apart = controls.queues().iter().map(crate::controls::Apart::queue);
        let all = [queue::EMAIL.to_owned()].into_iter().chain(apart).chain(self.retries.iter().cloned());
        let mut depths = Vec::new();
        for queue in all.chain([queue::DEAD.to_owned()]) {
            if let Some(QueueState { ready, consumers }) = queues::look(connection, &queue).await? {
                depths.push(Depth { queue, ready, consumers });
            }
        }
        Ok(depths)
    }
}
