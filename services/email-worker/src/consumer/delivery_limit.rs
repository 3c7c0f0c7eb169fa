//! A check at start: whether the broker may drop what is returned to it.
//!
//! From version 4 on RabbitMQ drops a message of a quorum queue at its 20th return, unless a policy says otherwise. Policies
//! can't be seen over AMQP, so that whoever has one says so (`DELIVERY_LIMIT_RAISED`).

use std::time::Duration;

use amqp::{Broker, Greeting};
use opentelemetry::global;
use platform::backoff::Backoff;
use platform::health::{Health, Need};
use tokio_util::sync::CancellationToken;

/// Waits between attempts to reach the broker.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Asks the broker who it is, and says once what is to be done. Ends after that, or with the token.
pub(crate) async fn check(broker: Broker, raised: bool, health: Health, stop: CancellationToken) {
    let Some(greeting) = stop.run_until_cancelled(greeting(&broker)).await else { return };
    let limited = has_limit(&greeting) && !raised;
    observe(limited);
    if limited {
        let reason = format!(
            "{} {} drops a task at its 20th return unless a policy on email_queue says otherwise: set one, then \
             DELIVERY_LIMIT_RAISED=true (docs/operations.md, A broker of your own)",
            greeting.product, greeting.version
        );
        tracing::warn!("{reason}");
        health.component("delivery-limit", Need::Informative).down(reason);
    }
}

async fn greeting(broker: &Broker) -> Greeting {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    loop {
        match broker.greeting().await {
            Ok(greeting) => return greeting,
            // That it is away the consumer says.
            Err(error) => tracing::debug!(%error, "the broker does not say who it is"),
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// Whether it drops messages by itself.
fn has_limit(broker: &Greeting) -> bool {
    broker.product == "RabbitMQ" && broker.major().is_some_and(|major| major >= 4)
}

fn observe(limited: bool) {
    global::meter("email-worker")
        .u64_observable_gauge("sluice.broker.delivery.limited")
        .with_description("1 where the broker drops what is returned to it often, as far as is known; else 0.")
        .with_callback(move |gauge| gauge.observe(u64::from(limited), &[]))
        .build();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rabbitmq_drops_messages_by_itself_from_version_4_on() {
        for (product, version, limit) in [
            ("RabbitMQ", "3.10.8", false),
            ("RabbitMQ", "3.13.7", false),
            ("RabbitMQ", "4.0.1", true),
            ("RabbitMQ", "4.3.0", true),
            ("LavinMQ", "4.0.0", false),
            ("", "", false),
        ] {
            let greeting = Greeting { product: product.to_owned(), version: version.to_owned() };
            assert_eq!(has_limit(&greeting), limit, "{product} {version}");
        }
    }
}
