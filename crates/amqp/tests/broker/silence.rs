//! A queue that neither confirms nor refuses, as a quorum queue does while it has no leader.

use std::time::Duration;

use amqp::{ConfirmChannel, Outcome, Publisher, topology};
use platform::health::{Health, Need};
use testkit::{Rabbit, eventually};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::{QUEUE, SOON, broker, connect_with, message};

/// More than a connection whose queue takes nothing bears, when they are published at once.
const MANY: usize = 1000;
/// What a message for a healthy queue may take beside a silent one.
const PROMPT: Duration = Duration::from_secs(3);

#[tokio::test]
async fn each_message_of_a_batch_has_its_own_outcome_and_a_late_confirm_is_nobodys() {
    let rabbit = Rabbit::start().await;
    let (main, dead) = (topology::main(), topology::dead());
    let connection = connect_with(rabbit.amqp_url(), &[main.clone(), dead.clone()]).await;
    // A channel's first message to a quorum queue waits in the broker for its leader, and all others of the channel
    // with it.
    let open = async || {
        let mut channel = ConfirmChannel::open(&connection, PROMPT).await.unwrap();
        assert_eq!(channel.publish(&[message(dead.name(), "before")]).await.unwrap(), [Outcome::Confirmed]);
        channel
    };
    let (mut returning, mut channel) = (open().await, open().await);
    rabbit.silence(dead.name(), true).await;
    let batch = [message(main.name(), "a"), message(dead.name(), "b"), message("none", "c"), message(main.name(), "d")];
    let outcomes = returning.publish(&batch).await.unwrap();
    assert!(matches!(&outcomes[1], Outcome::Unanswered(why) if why.contains("no answer")), "{outcomes:?}");
    assert!(matches!(&outcomes[2], Outcome::Returned(_)), "{outcomes:?}");
    // A return was seen while a confirm is missing: of the others nothing is certain.
    assert!(matches!((&outcomes[0], &outcomes[3]), (Outcome::Unanswered(_), Outcome::Unanswered(_))), "{outcomes:?}");
    assert!(!returning.is_open(), "it is spent");
    returning.publish(&batch[..1]).await.expect_err("a late confirm would be taken for its own");

    let outcomes = channel.publish(&[message(dead.name(), "e"), message(main.name(), "f")]).await.unwrap();
    assert!(matches!(outcomes[..], [Outcome::Unanswered(_), Outcome::Confirmed]), "{outcomes:?}");
    rabbit.silence(dead.name(), false).await;
    let mut channel = ConfirmChannel::open(&connection, SOON).await.unwrap();
    assert_eq!(channel.publish(&[message(dead.name(), "g")]).await.unwrap(), [Outcome::Confirmed]);
    let client = rabbit.client().await;
    let mut there = Vec::new();
    while let Some(taken) = client.take(dead.name()).await {
        there.push(taken.message_id().unwrap().to_owned());
    }
    there.sort();
    assert_eq!(there, ["b", "before", "before", "e", "g"], "what was not answered is there all the same");
    while client.take(main.name()).await.is_some() {}
}

#[tokio::test]
async fn a_silent_queue_holds_up_its_own_messages_alone_and_none_is_lost() {
    let rabbit = Rabbit::start().await;
    let stop = CancellationToken::new();
    let health = Health::new().component("publisher", Need::Required);
    let queues = vec![topology::main(), topology::dead()];
    let (publisher, task) = Publisher::start(broker(rabbit.amqp_url(), "publisher"), queues, health, stop.clone());
    let task = tokio::spawn(task);
    let (silent, healthy) = (topology::dead().name().to_owned(), QUEUE);
    for queue in [&silent, healthy] {
        publisher.publish(message(queue, "before")).await.unwrap();
    }
    rabbit.silence(&silent, true).await;
    let mut waiting = JoinSet::new();
    for n in 0..MANY {
        let (publisher, message) = (publisher.clone(), message(&silent, &format!("silent-{n}")));
        waiting.spawn(async move { publisher.publish(message).await });
    }
    // As long as it takes for the broker to be given up on, and a little more.
    let until = Instant::now() + Duration::from_secs(40);
    let mut beside = 0;
    while Instant::now() < until {
        let published = timeout(PROMPT, publisher.publish(message(healthy, &format!("beside-{beside}")))).await;
        published.unwrap_or_else(|_| panic!("the silent queue holds up message {beside}")).unwrap();
        beside += 1;
    }
    assert!(waiting.try_join_next().is_none(), "confirmed by nobody");
    rabbit.silence(&silent, false).await;
    let all = async { while waiting.join_next().await.is_some_and(|done| done.unwrap().is_ok()) {} };
    timeout(SOON, all).await.expect("the queue speaks again");
    assert!(waiting.is_empty());
    stop.cancel();
    timeout(SOON, task).await.expect("it stops").unwrap();

    let client = rabbit.client().await;
    let mut found = std::collections::HashSet::new();
    while let Some(taken) = client.take(&silent).await {
        found.insert(taken.message_id().unwrap().to_owned());
    }
    assert_eq!(found.len(), MANY + 1, "confirmed and lost");
    let count = u64::try_from(beside).unwrap() + 1;
    eventually("those beside, once each", SOON, async || {
        (u64::from(client.ready(healthy).await) == count).then_some(())
    })
    .await;
}
