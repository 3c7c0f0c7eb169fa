//! When the broker delivers nothing more to this worker, over all that it consumes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

/// The consumers that the broker may deliver to. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Deliveries(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    going_on: AtomicUsize,
    ended: CancellationToken,
}

/// A consumer that the broker may deliver to, until it is dropped.
#[derive(Debug)]
pub struct Delivering(Deliveries);

impl Deliveries {
    /// One more consumer. The first is to be the last to end.
    pub fn begin(&self) -> Delivering {
        self.0.going_on.fetch_add(1, Ordering::AcqRel);
        Delivering(self.clone())
    }

    /// Waits until the last of them has ended.
    pub async fn ended(&self) {
        self.0.ended.cancelled().await;
    }
}

impl Drop for Delivering {
    fn drop(&mut self) {
        let Inner { going_on, ended } = &*self.0.0;
        if going_on.fetch_sub(1, Ordering::AcqRel) == 1 {
            ended.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_has_ended_when_the_last_consumer_has() {
        let deliveries = Deliveries::default();
        let (one, other) = (deliveries.begin(), deliveries.begin());
        drop(one);
        assert!(!deliveries.0.ended.is_cancelled(), "one is left");
        drop(other);
        deliveries.ended().await;
    }
}
