//! Messages that are confirmed, returned, blocked, or on their way when the broker dies.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amqp::{ConfirmChannel, ConnectionState, Outcome, PublishError, Publisher, PublisherConnection, topology};
use platform::health::{Component, Health, Need};
use testkit::lapin::types::{AMQPValue, FieldTable};
use testkit::{Rabbit, eventually};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{QUEUE, SOON, broker, connect_with, message};

fn health() -> (Health, Component) {
    let health = Health::new();
    let component = health.component("publisher", Need::Required);
    (health, component)
}

#[tokio::test]
async fn in_one_batch_each_message_gets_its_own_outcome() {
    let vhost = testkit::vhost().await;
    let connection = connect_with(vhost.amqp_url(), &[topology::main()]).await;
    let mut channel = ConfirmChannel::open(&connection, SOON).await.unwrap();
    let to = |n: usize| if n.is_multiple_of(3) { "no_such_queue" } else { QUEUE };
    let batch: Vec<_> = (0..300).map(|n| message(to(n), &format!("id-{n}"))).collect();
    for outcomes in [channel.publish(&batch).await.unwrap(), channel.publish(&batch).await.unwrap()] {
        for (n, outcome) in outcomes.iter().enumerate() {
            let returned = matches!(outcome, Outcome::Returned(_));
            assert_eq!(returned, n.is_multiple_of(3), "message {n}: {outcome:?}");
            assert!(returned || *outcome == Outcome::Confirmed, "message {n}: {outcome:?}");
        }
    }
    assert_eq!(vhost.client().await.ready(QUEUE).await, 400);
}

#[tokio::test]
async fn the_publisher_survives_a_closed_connection_and_a_deleted_queue() {
    let vhost = testkit::vhost().await;
    let stop = CancellationToken::new();
    let (publisher, task) =
        Publisher::start(broker(vhost.amqp_url(), "publisher"), vec![topology::main()], health().1, stop.clone());
    let task = tokio::spawn(task);
    let publish = async |id: &str| timeout(SOON, publisher.publish(message(QUEUE, id))).await.expect(id).expect(id);
    publish("first").await;
    eventually("the broker closes it", SOON, async || (vhost.close_connections("publisher").await > 0).then_some(()))
        .await;
    publish("after the connection was closed").await;
    vhost.delete_queue(QUEUE).await;
    publish("after the queue was deleted").await;
    assert_eq!(vhost.client().await.ready(QUEUE).await, 1, "it was declared anew");
    stop.cancel();
    timeout(SOON, task).await.expect("it stops").unwrap();
    assert!(publisher.publish(message(QUEUE, "late")).await.is_err(), "nobody would publish it");
}

#[tokio::test]
async fn what_fits_into_no_frame_is_refused_before_the_socket_and_its_neighbours_are_confirmed() {
    let vhost = testkit::vhost().await;
    let stop = CancellationToken::new();
    let (publisher, task) =
        Publisher::start(broker(vhost.amqp_url(), "publisher"), vec![topology::main()], health().1, stop.clone());
    let task = tokio::spawn(task);
    publisher.publish(message(QUEUE, "before")).await.unwrap();
    // What management tells is a second old.
    let listed = async || Some(vhost.connections("publisher").await).filter(|connections| !connections.is_empty());
    let connections = eventually("the connection is listed", SOON, listed).await;
    for length in (16_000..17_000).step_by(20).chain(16_336..16_346) {
        let mut large = message(QUEUE, "large");
        large.properties.headers.set_str("large", &"x".repeat(length));
        let (large, beside) = tokio::join!(publisher.publish(large), publisher.publish(message(QUEUE, "beside")));
        assert_eq!(beside, Ok(()), "beside {length} bytes");
        // The frame, its other properties and the name of the header take 44 bytes.
        assert_eq!(large.is_ok(), length <= 16 * 1024 - 44, "{length} bytes");
    }
    let mut unfit = message(QUEUE, "unfit");
    unfit.properties.headers.set_str("large", &"x".repeat(200_000));
    assert_eq!(publisher.publish(unfit.clone()).await, Err(PublishError::TooLarge(Box::new(unfit))));
    assert_eq!(vhost.connections("publisher").await, connections, "the connection was lost");
    stop.cancel();
    timeout(SOON, task).await.expect("it stops").unwrap();
}

#[tokio::test]
async fn a_publisher_whose_messages_wait_in_vain_is_down_with_the_reason_and_up_again_after() {
    let vhost = testkit::vhost().await;
    let stop = CancellationToken::new();
    let (health, component) = health();
    let (publisher, task) =
        Publisher::start(broker(vhost.amqp_url(), "publisher"), vec![topology::main()], component, stop.clone());
    let task = tokio::spawn(task);
    assert!(health.report().ready, "nothing is known against it");
    let waiting = tokio::spawn(async move { publisher.publish(message("not_yet", "waits")).await });
    let reason = async || health.report().components["publisher"].reason.clone();
    let reason = eventually("the publisher is down", SOON, reason).await;
    assert!(reason.contains("not_yet") && !health.report().ready, "{reason}");
    vhost.client().await.declare("not_yet", FieldTable::default()).await.unwrap();
    timeout(SOON, waiting).await.expect("published at last").unwrap().unwrap();
    assert!(health.report().ready, "{:?}", health.report());
    stop.cancel();
    timeout(SOON, task).await.expect("it stops").unwrap();
}

#[tokio::test]
async fn a_full_queue_holds_up_its_own_messages_and_no_others() {
    let vhost = testkit::vhost().await;
    let stop = CancellationToken::new();
    let (publisher, task) =
        Publisher::start(broker(vhost.amqp_url(), "publisher"), vec![topology::main()], health().1, stop.clone());
    let task = tokio::spawn(task);
    let client = vhost.client().await;
    let mut arguments = FieldTable::default();
    // Those of a quorum queue look at their length too late for this.
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    client.declare("full", arguments).await.unwrap();
    let mut refused = JoinSet::new();
    for n in 0..10 {
        let publisher = publisher.clone();
        refused.spawn(async move { publisher.publish(message("full", &format!("full-{n}"))).await });
    }
    for n in 0..20 {
        let published = timeout(SOON, publisher.publish(message(QUEUE, &format!("beside-{n}")))).await;
        published.expect("the full queue holds it up").unwrap();
    }
    let mut published = 0;
    while let Some(done) = refused.try_join_next() {
        done.unwrap().unwrap();
        published += 1;
    }
    assert!(published < 10, "the queue is not full");
    let rest = async {
        while let Some(done) = refused.join_next().await {
            done.unwrap().unwrap();
        }
    };
    let drain = async {
        loop {
            eventually("a message in the queue", SOON, async || client.take("full").await).await;
        }
    };
    tokio::select! {
        () = rest => {}
        () = drain => {}
        () = tokio::time::sleep(SOON) => panic!("what was refused is not tried again"),
    }
    stop.cancel();
    timeout(SOON, task).await.expect("it stops").unwrap();
}

#[tokio::test]
async fn on_one_node_a_blocked_line_says_so_and_no_confirmed_message_dies_with_the_broker() {
    let rabbit = Rabbit::start().await;
    blocked(&rabbit).await;
    killed(&rabbit).await;
}

async fn blocked(rabbit: &Rabbit) {
    let doomed = broker(rabbit.amqp_url(), "blocked");
    let mut connection = PublisherConnection::open(&doomed, &[topology::main()], Duration::from_secs(1)).await.unwrap();
    rabbit.memory_alarm(true).await;
    connection.publish(&[message(QUEUE, "blocked")]).await.expect_err("the broker reads nothing");
    assert_eq!(connection.state(), ConnectionState::Blocked);
    rabbit.memory_alarm(false).await;
    eventually("the broker reads again", SOON, async || (connection.state() != ConnectionState::Blocked).then_some(()))
        .await;
    assert_eq!(connection.state(), ConnectionState::Closed, "a batch without its confirms spends the connection");
}

async fn killed(rabbit: &Rabbit) {
    rabbit.queues_written().await;
    let stop = CancellationToken::new();
    let (publisher, task) =
        Publisher::start(broker(rabbit.amqp_url(), "publisher"), vec![topology::main()], health().1, stop.clone());
    let task = tokio::spawn(task);
    let confirmed = Arc::new(Mutex::new(HashSet::new()));
    let publishing: Vec<_> = (0..16)
        .map(|task| {
            let (publisher, confirmed) = (publisher.clone(), Arc::clone(&confirmed));
            tokio::spawn(async move {
                for n in 0..100 {
                    let id = format!("{task}-{n}");
                    publisher.publish(message(QUEUE, &id)).await.unwrap();
                    confirmed.lock().unwrap().insert(id);
                }
            })
        })
        .collect();
    let some = async || (confirmed.lock().unwrap().len() >= 200).then_some(());
    eventually("publishing is under way", SOON, some).await;
    rabbit.kill();
    let at_the_kill = confirmed.lock().unwrap().len();
    rabbit.restart().await;
    for task in publishing {
        timeout(Duration::from_secs(60), task).await.expect("published after the restart").unwrap();
    }
    assert!(at_the_kill < 1600, "the broker died too late to matter");
    stop.cancel();
    timeout(SOON, task).await.expect("it stops").unwrap();

    let client = rabbit.client().await;
    let mut found = HashSet::new();
    while let Some(taken) = client.take(QUEUE).await {
        found.insert(taken.message_id().unwrap().to_owned());
    }
    let lost: Vec<_> = confirmed.lock().unwrap().difference(&found).cloned().collect();
    assert!(lost.is_empty(), "confirmed and lost: {lost:?}");
}
