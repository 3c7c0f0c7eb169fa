//! What can go wrong with a broker.

use std::time::Duration;

use crate::reply_code::{ACCESS_REFUSED, reply_code};

/// What to do about a port that speaks no TLS.
const IN_THE_CLEAR: &str = "this port speaks AMQP in the clear: name that for TLS in AMQP_URL (5671), or amqp://";

/// A conversation with the broker failed. The channel or connection it happened on is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum AmqpError {
    /// The broker, or the way to it, refused.
    #[error("{attempt}: {source}")]
    Broker {
        /// What was attempted, and on what.
        attempt: String,
        /// What the library says of it.
        source: lapin::Error,
    },
    /// No secure connection comes about: a certificate, or a port that speaks no TLS.
    #[error("{attempt}: {detail}")]
    Tls {
        /// What was attempted, and on what.
        attempt: String,
        /// What is wrong, and what can be done.
        detail: String,
    },
    /// No answer in time.
    #[error("{attempt}: no answer within {limit:?}")]
    Timeout {
        /// What was attempted, and on what.
        attempt: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The broker cancelled or refused something in a way that has no error of its own.
    #[error("{0}")]
    Protocol(String),
}

impl AmqpError {
    /// The broker's words, if this is its answer to somebody who lacks the right.
    pub fn access_refused(&self) -> Option<String> {
        match self {
            Self::Broker { source, .. } if reply_code(source) == Some(ACCESS_REFUSED) => Some(source.to_string()),
            _ => None,
        }
    }

    /// An error of a connection that was to be made, which may be about TLS.
    pub(crate) fn of_connecting(self) -> Self {
        match self {
            Self::Broker { attempt, source } => match platform::tls::trouble(&source.to_string(), IN_THE_CLEAR) {
                Some(detail) => Self::Tls { attempt, detail },
                None => Self::Broker { attempt, source },
            },
            other => other,
        }
    }

    pub(crate) fn broker(attempt: impl Into<String>) -> impl FnOnce(lapin::Error) -> Self {
        let attempt = attempt.into();
        move |source| Self::Broker { attempt, source }
    }
}

/// Bounds a step of a conversation.
pub(crate) async fn bounded<T>(
    limit: Duration,
    attempt: impl Fn() -> String,
    step: impl Future<Output = lapin::Result<T>>,
) -> Result<T, AmqpError> {
    match tokio::time::timeout(limit, step).await {
        Ok(result) => result.map_err(AmqpError::broker(attempt())),
        Err(_) => Err(AmqpError::Timeout { attempt: attempt(), limit }),
    }
}
