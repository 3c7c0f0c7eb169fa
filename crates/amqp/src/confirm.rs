//! Publishing with confirms.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use lapin::Confirmation;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, ErrorKind};
use tokio::time::Instant;

use crate::connection::ANSWER;
use crate::error::{AmqpError, bounded};
use crate::message::{content_header_frame, short};
use crate::{Connection, Outgoing};

/// What the broker made of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in its queue, on a majority of the nodes.
    Confirmed,
    /// The broker could not keep it (a full queue with `reject-publish`, a queue without a leader).
    Nacked,
    /// There is no such queue; the broker's words.
    Returned(String),
    /// Its properties are larger than a frame of this connection, so it was not published: the broker would end the
    /// connection, and with it what becomes of its neighbours.
    TooLarge,
}

/// A channel in confirm mode. It belongs to one task: confirms are matched by order, and two publishers on one channel
/// would get each other's.
#[derive(Debug)]
pub struct ConfirmChannel {
    channel: Channel,
    timeout: Duration,
    /// The largest frame, in bytes.
    frame_max: usize,
}

impl ConfirmChannel {
    /// Opens a channel on the connection; `timeout` bounds each batch.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn open(connection: &Connection, timeout: Duration) -> Result<Self, AmqpError> {
        let channel = connection.channel().await?;
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        bounded(ANSWER, || "ask for confirms".to_owned(), confirms).await?;
        Ok(Self { channel, timeout, frame_max: connection.frame_max() })
    }

    /// Whether it can still be used, as far as is known here.
    pub fn is_open(&self) -> bool {
        self.channel.status().connected()
    }

    /// Publishes a batch, pipelined, and waits for the confirm of each message. The outcomes are in the order of the
    /// batch.
    ///
    /// # Errors
    /// The channel failed, or not all confirms came in time. Nothing is known of any message of the batch then, and the
    /// channel must be dropped: late confirms would be taken for those of other messages.
    pub async fn publish(&mut self, batch: &[Outgoing]) -> Result<Vec<Outcome>, AmqpError> {
        let deadline = Instant::now() + self.timeout;
        let late = || AmqpError::Timeout {
            attempt: format!("publish {} messages with confirms", batch.len()),
            limit: self.timeout,
        };
        // Mandatory: a message that no queue takes comes back instead of vanishing.
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let mut fits = Vec::with_capacity(batch.len());
        let sending = join_all(batch.iter().filter_map(|message| {
            let properties = message.properties.to_lapin();
            fits.push(content_header_frame(&properties) <= self.frame_max);
            let publish =
                || self.channel.basic_publish("".into(), short(&message.queue), options, &message.body, properties);
            fits.last().is_some_and(|fits| *fits).then(publish)
        }));
        let sent = tokio::time::timeout_at(deadline, sending).await.map_err(|_| late())?;

        let mut outcomes = Vec::with_capacity(batch.len());
        let mut returned = HashMap::new();
        let mut sent = sent.into_iter();
        for fits in fits {
            let Some(confirm) = fits.then(|| sent.next()).flatten() else {
                outcomes.push(Outcome::TooLarge);
                continue;
            };
            let confirm = confirm.map_err(AmqpError::broker("publish a message"))?;
            let confirmation = tokio::time::timeout_at(deadline, confirm)
                .await
                .map_err(|_| late())?
                .map_err(AmqpError::broker("wait for a confirm"))?;
            outcomes.push(match &confirmation {
                Confirmation::Ack(_) => Outcome::Confirmed,
                Confirmation::Nack(_) => Outcome::Nacked,
                Confirmation::NotRequested => {
                    return Err(AmqpError::Protocol("the channel is not in confirm mode".to_owned()));
                }
            });
            // A return may come with the confirm of another message: it is matched by the id it carries.
            if let Some(message) = confirmation.take_message() {
                let id = message.delivery.properties.message_id().as_ref().map(|id| id.as_str().to_owned());
                returned.insert(id.unwrap_or_default(), message.reply_text.to_string());
            }
        }
        if !returned.is_empty() {
            for (message, outcome) in batch.iter().zip(&mut outcomes) {
                let id = message.properties.message_id.as_deref().unwrap_or_default();
                if let Some(reason) = returned.get(id) {
                    *outcome = Outcome::Returned(reason.clone());
                }
            }
        }
        Ok(outcomes)
    }
}

/// The broker's reply code of a channel or connection error, if it was one.
pub(crate) fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}
