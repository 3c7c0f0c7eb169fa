//! A delivery, and the right to settle it.

use std::sync::Arc;

use lapin::Acker;
use lapin::options::BasicAckOptions;

use crate::Properties;
use crate::account::Account;

/// A message that was delivered and is not settled yet.
#[derive(Debug)]
pub struct Delivery {
    /// The body.
    pub body: Vec<u8>,
    /// The properties.
    pub properties: Properties,
    /// The broker delivered it before, to whomever.
    pub redelivered: bool,
    /// How often before, as far as the broker counts: see [decision 7](../../../docs/decisions/0007-suspects.md).
    pub delivery_count: u64,
    /// To settle it with.
    pub receipt: Receipt,
}

impl Delivery {
    pub(crate) fn from_lapin(delivery: lapin::message::Delivery, account: Arc<Account>) -> Self {
        let properties = Properties::from_lapin(&delivery.properties);
        Self {
            body: delivery.data,
            redelivered: delivery.redelivered,
            delivery_count: properties.headers.get_u64("x-delivery-count").unwrap_or(0),
            properties,
            receipt: Receipt { acker: delivery.acker, tag: delivery.delivery_tag, account },
        }
    }
}

/// The right to settle one delivery, once. It outlives its channel: it is stale then, and the broker delivers the message
/// again.
#[derive(Debug)]
pub struct Receipt {
    acker: Acker,
    tag: u64,
    account: Arc<Account>,
}

/// What became of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was written to the broker.
    Sent,
    /// The channel is gone, or the delivery was settled before.
    Stale,
}

impl Receipt {
    /// Done: the broker forgets the message. Waits while its consumer is being cancelled.
    pub async fn ack(&self) -> Settled {
        let _open = self.account.open().await;
        if !self.is_live() {
            return Settled::Stale;
        }
        // Before it is written: what is counted as unsettled must be so at the broker, whatever becomes of this future.
        self.account.settle();
        match self.acker.ack(BasicAckOptions::default()).await {
            Ok(true) => Settled::Sent,
            Ok(false) | Err(_) => Settled::Stale,
        }
    }

    /// Whether it can still be settled, as far as is known here.
    pub fn is_live(&self) -> bool {
        self.acker.usable()
    }

    /// The broker's number of the delivery, on its channel.
    pub fn delivery_tag(&self) -> u64 {
        self.tag
    }
}
