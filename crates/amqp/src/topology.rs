//! The queues and the exchange of the events, and how they come to be.
//!
//! Each is looked for first, and declared only where it is missing, so that a user without configure rights works
//! where it exists. Why the queues have these arguments: decisions 3 and 6 in `docs/decisions`.

use std::time::Duration;

use contract::queue;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use crate::Connection;
use crate::connection::ANSWER;
use crate::error::{AmqpError, bounded};
use crate::message::short;
use crate::reply_code::{ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, RESOURCE_LOCKED, reply_code};

/// How long dead letters are kept: they hold personal data.
pub const DEAD_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// From 4.0 a quorum queue drops a message at its 20th return, and on 3.10 "unlimited" drops it at the first. Looking at a
/// queue by taking and giving back must not lose anything.
const DELIVERY_LIMIT: i64 = 1_000_000;

/// A durable queue and its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSpec {
    name: String,
    arguments: FieldTable,
}

impl QueueSpec {
    fn quorum(name: impl Into<String>) -> Self {
        Self { name: name.into(), arguments: FieldTable::default() }.with("x-queue-type", text("quorum"))
    }

    fn with(mut self, argument: &str, value: AMQPValue) -> Self {
        self.arguments.insert(short(argument), value);
        self
    }

    /// The queue's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Where tasks wait. One argument and no more: whatever may be tuned belongs in a policy.
pub fn main() -> QueueSpec {
    QueueSpec::quorum(queue::EMAIL)
}

/// Where tasks end that cannot be mailed.
pub fn dead() -> QueueSpec {
    QueueSpec::quorum(queue::DEAD)
        .with("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT))
        .with("x-message-ttl", milliseconds(DEAD_RETENTION))
}

/// Where tasks wait that are sent at a speed of their own. Nothing is dropped for how often it was delivered.
pub fn apart(name: &str) -> QueueSpec {
    shelter(&queue::apart(name))
}

/// Where a task waits for `delay` and then goes back to the main queue, at least once.
pub fn retry(delay: Duration) -> QueueSpec {
    QueueSpec::quorum(queue::retry(delay))
        .with("x-message-ttl", milliseconds(delay))
        .with("x-dead-letter-exchange", text(""))
        .with("x-dead-letter-routing-key", text(queue::EMAIL))
        // Without these two, what expires while the main queue has no leader is lost.
        .with("x-dead-letter-strategy", text("at-least-once"))
        .with("x-overflow", text("reject-publish"))
        .with("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT))
}

/// The migrating messages of a queue wait here: nothing in it expires, nothing is dropped for its number.
pub fn shelter(name: &str) -> QueueSpec {
    QueueSpec::quorum(name).with("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT))
}

/// The queue of this name as it must be; `None` for one that is not ours.
pub fn by_name(name: &str) -> Option<QueueSpec> {
    match name {
        queue::EMAIL => Some(main()),
        queue::DEAD => Some(dead()),
        _ if queue::is_apart(name) => Some(shelter(name)),
        _ => queue::retry_delay(name).map(retry),
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn milliseconds(duration: Duration) -> AMQPValue {
    AMQPValue::LongLongInt(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

/// Why the queues are not as they must be.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// It is there, but not like this. Nothing was changed.
    #[error(
        "queue `{queue}` exists with another `{argument}` ({detail}): stop its consumers and run \
         `email-worker queue migrate --queue {queue}`, which moves its messages to one that is right, then start again"
    )]
    Mismatch {
        /// The queue.
        queue: String,
        /// The argument that differs.
        argument: String,
        /// The broker's words.
        detail: String,
    },
    /// It is missing and this user must not declare it, or must not even look.
    #[error("queue `{queue}`: {detail}: declare it, or give the user of AMQP_URL the right to configure it")]
    Forbidden {
        /// The queue.
        queue: String,
        /// The broker's words.
        detail: String,
    },
    /// It is there, and this user must not consume it.
    #[error("queue `{queue}`: {detail}: give the user of AMQP_URL the right to read it")]
    Unreadable {
        /// The queue.
        queue: String,
        /// The broker's words.
        detail: String,
    },
    /// The exchange is there, and is none that we can use. Nothing was changed.
    #[error("exchange `{exchange}` exists, and is no durable topic exchange ({detail}): delete it, and start again")]
    OtherExchange {
        /// The exchange.
        exchange: String,
        /// The broker's words.
        detail: String,
    },
    /// The exchange is missing, and this user must not declare it.
    #[error(
        "exchange `{exchange}`: {detail}: declare it (topic, durable), or give the user of AMQP_URL the right to configure it"
    )]
    NoExchange {
        /// The exchange.
        exchange: String,
        /// The broker's words.
        detail: String,
    },
    /// The conversation failed.
    #[error(transparent)]
    Amqp(#[from] AmqpError),
}

/// Makes sure that every queue is there, with its arguments.
///
/// # Errors
/// As [`TopologyError`].
pub async fn ensure(connection: &Connection, queues: &[QueueSpec]) -> Result<(), TopologyError> {
    for queue in queues {
        let exists = declare(connection, queue, true).await?;
        match (exists, declare(connection, queue, false).await?) {
            (_, Declared::AsAsked) => {}
            // It exists, and we may not declare it: then it is not ours to judge.
            (Declared::AsAsked, Declared::Refused(_)) => {}
            (_, Declared::Refused(detail)) => {
                return Err(TopologyError::Forbidden { queue: queue.name.clone(), detail });
            }
            // Deleted between the two: the next call declares it.
            (_, Declared::Missing) => {
                return Err(AmqpError::Protocol(format!("queue `{}` vanished", queue.name)).into());
            }
        }
    }
    Ok(())
}

/// Makes sure that a durable topic exchange is there.
///
/// # Errors
/// As [`TopologyError`].
pub async fn ensure_exchange(connection: &Connection, exchange: &str) -> Result<(), TopologyError> {
    let exists = declare_exchange(connection, exchange, true).await?;
    match (exists, declare_exchange(connection, exchange, false).await?) {
        // It exists, and we may not declare it: then it is not ours to judge.
        (_, Declared::AsAsked) | (Declared::AsAsked, Declared::Refused(_)) => Ok(()),
        (_, Declared::Refused(detail)) => Err(TopologyError::NoExchange { exchange: exchange.to_owned(), detail }),
        (_, Declared::Missing) => Err(AmqpError::Protocol(format!("exchange `{exchange}` vanished")).into()),
    }
}

async fn declare_exchange(connection: &Connection, exchange: &str, passive: bool) -> Result<Declared, TopologyError> {
    let channel = connection.channel().await?;
    let options = ExchangeDeclareOptions { durable: true, passive, ..ExchangeDeclareOptions::default() };
    let attempt = || format!("declare exchange {exchange}");
    let asked = channel.exchange_declare(short(exchange), ExchangeKind::Topic, options, FieldTable::default());
    let declared = match bounded(ANSWER, attempt, asked).await {
        Ok(()) => Ok(Declared::AsAsked),
        Err(AmqpError::Broker { source, .. }) => match reply_code(&source) {
            Some(NOT_FOUND) => Ok(Declared::Missing),
            Some(ACCESS_REFUSED) => Ok(Declared::Refused(source.to_string())),
            Some(PRECONDITION_FAILED) => {
                Err(TopologyError::OtherExchange { exchange: exchange.to_owned(), detail: source.to_string() })
            }
            _ => Err(AmqpError::Broker { attempt: attempt(), source }.into()),
        },
        Err(error) => Err(error.into()),
    };
    done_with(&channel).await;
    declared
}

/// The channel is of no more use; that it is already gone would be just as well.
async fn done_with(channel: &Channel) {
    if channel.status().connected() {
        let _ = bounded(ANSWER, || "close a channel".to_owned(), channel.close(200, "done".into())).await;
    }
}

enum Declared {
    AsAsked,
    Missing,
    Refused(String),
}

/// Declares on a channel of its own, which the broker closes if it disagrees.
async fn declare(connection: &Connection, queue: &QueueSpec, passive: bool) -> Result<Declared, TopologyError> {
    let channel = connection.channel().await?;
    let options = QueueDeclareOptions { durable: true, passive, ..QueueDeclareOptions::default() };
    let attempt = || format!("declare queue {}", queue.name);
    let asked = channel.queue_declare(short(&queue.name), options, queue.arguments.clone());
    let declared = match bounded(ANSWER, attempt, asked).await {
        Ok(_) => Ok(Declared::AsAsked),
        Err(AmqpError::Broker { source, .. }) => match reply_code(&source) {
            Some(NOT_FOUND) => Ok(Declared::Missing),
            Some(ACCESS_REFUSED) => Ok(Declared::Refused(source.to_string())),
            Some(PRECONDITION_FAILED | RESOURCE_LOCKED) => Err(mismatch(queue, &source.to_string())),
            _ => Err(AmqpError::Broker { attempt: attempt(), source }.into()),
        },
        Err(error) => Err(error.into()),
    };
    done_with(&channel).await;
    declared
}

fn mismatch(queue: &QueueSpec, detail: &str) -> TopologyError {
    let argument = inequivalent_argument(detail).unwrap_or("exclusive").to_owned();
    TopologyError::Mismatch { queue: queue.name.clone(), argument, detail: detail.to_owned() }
}

/// The broker says: `PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue ..`.
fn inequivalent_argument(detail: &str) -> Option<&str> {
    detail.split_once("inequivalent arg '")?.1.split('\'').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_that_differs_is_found_in_the_brokers_words() {
        let detail = "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'email_queue' in vhost '/': \
                      received the value 'quorum' of type 'longstr' but current is 'classic'";
        assert_eq!(inequivalent_argument(detail), Some("x-queue-type"));
        assert_eq!(inequivalent_argument("RESOURCE_LOCKED - exclusive"), None);
    }

    #[test]
    fn our_queues_are_known_by_name_and_no_others() {
        for spec in [main(), dead(), retry(Duration::from_secs(120)), retry(Duration::from_millis(200))] {
            assert_eq!(by_name(spec.name()), Some(spec));
        }
        for name in ["", "orders", "email_queue.retry.", "email_queue.retry.1d", "email_queue.retry.60s"] {
            assert_eq!(by_name(name), None, "{name}");
        }
    }

    #[test]
    fn the_main_queue_is_declared_with_its_type_alone() {
        let main = main();
        assert_eq!(main.arguments.inner().keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x-queue-type"]);
    }
}
