//! Publishing with confirms.

mod answers;

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use lapin::Channel;
use lapin::Confirmation;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use tokio::time::Instant;

use self::answers::Answers;
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
    /// There is no such queue; the broker's words. No message to an exchange by name comes back so: who binds no queue wants none.
    Returned(String),
    /// Its properties are larger than a frame of this connection, so it was not published: the broker would end the
    /// connection, and with it what becomes of its neighbours.
    TooLarge,
    /// No confirm came, though one for another message did; why. The queue may have it all the same, now or later:
    /// published again it may be there twice, with the same id.
    Unanswered(String),
}

/// A channel in confirm mode, of one task.
#[derive(Debug)]
pub struct ConfirmChannel {
    channel: Channel,
    /// Where its messages go; empty for the default exchange, whose routing keys are names of queues.
    exchange: String,
    timeout: Duration,
    /// The largest frame, in bytes.
    frame_max: usize,
    /// Something was not answered: nothing may be published on this channel any more.
    spent: bool,
}

impl ConfirmChannel {
    /// Opens a channel on the connection; `timeout` bounds each batch.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn open(connection: &Connection, timeout: Duration) -> Result<Self, AmqpError> {
        Self::open_to(connection, "", timeout).await
    }

    /// The same for messages to an exchange, which has them when they are confirmed: in each queue that is bound there.
    ///
    /// # Errors
    /// As [`ConfirmChannel::open`].
    pub async fn open_to(connection: &Connection, exchange: &str, timeout: Duration) -> Result<Self, AmqpError> {
        let channel = connection.channel().await?;
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        bounded(ANSWER, || "ask for confirms".to_owned(), confirms).await?;
        let (exchange, frame_max) = (exchange.to_owned(), connection.frame_max());
        Ok(Self { channel, exchange, timeout, frame_max, spent: false })
    }

    /// Whether it can still be used, as far as is known here: it is spent by the first message that is not answered.
    /// What the broker says of that one later is nobody's then.
    pub fn is_open(&self) -> bool {
        !self.spent && self.channel.status().connected()
    }

    /// Publishes a batch, pipelined, and waits for the confirm of each message. The outcomes are in the order of the
    /// batch.
    ///
    /// # Errors
    /// The channel failed or is spent, or time was up, before any message was answered: nothing is known of them.
    pub async fn publish(&mut self, batch: &[Outgoing]) -> Result<Vec<Outcome>, AmqpError> {
        if self.spent {
            return Err(AmqpError::Protocol("publish messages: the channel is spent".to_owned()));
        }
        // Stays so if this future is dropped half way.
        self.spent = true;
        let deadline = Instant::now() + self.timeout;
        let attempt = || format!("publish {} messages with confirms", batch.len());
        let late = || AmqpError::Timeout { attempt: attempt(), limit: self.timeout };
        // Mandatory: a message that no queue takes comes back instead of vanishing. To an exchange that is as it should be.
        let options = BasicPublishOptions { mandatory: self.exchange.is_empty(), ..BasicPublishOptions::default() };
        let mut fits = Vec::with_capacity(batch.len());
        let sending = join_all(batch.iter().filter_map(|message| {
            let properties = message.properties.to_lapin();
            fits.push(content_header_frame(&properties) <= self.frame_max);
            let (exchange, key) = (short(&self.exchange), short(&message.queue));
            let publish = || self.channel.basic_publish(exchange, key, options, &message.body, properties);
            fits.last().is_some_and(|fits| *fits).then(publish)
        }));
        let sent = tokio::time::timeout_at(deadline, sending).await.map_err(|_| late())?;

        let mut answers = Answers::to(batch.len());
        let mut unanswered = Vec::new();
        let mut failure = None;
        let mut sent = sent.into_iter();
        for (n, fits) in fits.into_iter().enumerate() {
            let Some(confirm) = fits.then(|| sent.next()).flatten() else {
                answers.too_large(n);
                continue;
            };
            let answer = match confirm {
                Err(error) => Err(AmqpError::broker("publish a message")(error)),
                Ok(mut confirm) => match tokio::time::timeout_at(deadline, &mut confirm).await {
                    Ok(answer) => answer.map_err(AmqpError::broker("wait for a confirm")),
                    Err(_) => {
                        unanswered.push((n, confirm));
                        Err(late())
                    }
                },
            };
            match answer {
                Ok(confirmation) => take(&mut answers, n, confirmation)?,
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        // A return comes with any confirm, so also with one that was late when it was looked at.
        for (n, confirm) in unanswered {
            if let Some(Ok(confirmation)) = confirm.now_or_never() {
                take(&mut answers, n, confirmation)?;
            }
        }
        match failure {
            None => self.spent = false,
            Some(error) if answers.is_empty() => return Err(error),
            Some(_) => {}
        }
        let why = failure.map(|error| error.to_string());
        Ok(answers.outcomes(batch, why.as_deref().unwrap_or_default()))
    }
}

/// Notes what the broker said of a message.
fn take(answers: &mut Answers, n: usize, confirmation: Confirmation) -> Result<(), AmqpError> {
    let outcome = match &confirmation {
        Confirmation::Ack(_) => Outcome::Confirmed,
        Confirmation::Nack(_) => Outcome::Nacked,
        Confirmation::NotRequested => {
            return Err(AmqpError::Protocol("the channel is not in confirm mode".to_owned()));
        }
    };
    let returned = confirmation.take_message().map(|message| {
        let id = message.delivery.properties.message_id().as_ref().map(|id| id.as_str().to_owned());
        (id.unwrap_or_default(), message.reply_text.to_string())
    });
    answers.take(n, outcome, returned);
    Ok(())
}
