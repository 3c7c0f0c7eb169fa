//! Queues that are missing, there already, there with other arguments, or not ours to declare.

use std::time::Duration;

use amqp::topology::{self, TopologyError};
use testkit::lapin::types::{AMQPValue, FieldTable};

use crate::{QUEUE, connect};

#[tokio::test]
async fn queues_that_are_missing_are_declared_and_declaring_them_again_changes_nothing() {
    let vhost = testkit::vhost().await;
    let connection = connect(vhost.amqp_url()).await;
    let all = [topology::main(), topology::dead(), topology::retry(Duration::from_secs(5))];
    for round in 1..=2 {
        topology::ensure(&connection, &all).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    let client = vhost.client().await;
    for queue in all {
        assert_eq!(client.ready(queue.name()).await, 0, "{} is there", queue.name());
    }
}

#[tokio::test]
async fn a_client_that_declares_the_main_queue_without_arguments_gets_on_with_it_before_and_after_us() {
    let vhost = testkit::vhost().await;
    let client = vhost.client().await;
    client.declare(QUEUE, FieldTable::default()).await.unwrap();
    topology::ensure(&connect(vhost.amqp_url()).await, &[topology::main()]).await.unwrap();
    client.declare(QUEUE, FieldTable::default()).await.unwrap();
}

#[tokio::test]
async fn a_queue_with_another_argument_is_named_with_it_and_left_alone() {
    let vhost = testkit::vhost().await;
    let client = vhost.client().await;
    let mut classic = FieldTable::default();
    classic.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    client.declare(QUEUE, classic).await.unwrap();
    client.publish_bare(QUEUE, b"{}").await;

    let ensured = topology::ensure(&connect(vhost.amqp_url()).await, &[topology::main()]).await;
    let Err(TopologyError::Mismatch { queue, argument, .. }) = &ensured else { panic!("a mismatch, not {ensured:?}") };
    assert_eq!((queue.as_str(), argument.as_str()), (QUEUE, "x-queue-type"));
    assert_eq!(client.ready(QUEUE).await, 1, "what is in it stays");
}

#[tokio::test]
async fn a_user_without_the_right_to_configure_works_where_the_queue_exists_and_is_told_where_it_does_not() {
    let rabbit = testkit::Rabbit::start().await;
    rabbit.ctl(&["add_user", "reader", "reader"]).await;
    rabbit.ctl(&["set_permissions", "-p", "/", "reader", "^$", ".*", ".*"]).await;
    let url = rabbit.amqp_url().replace("guest:guest@", "reader:reader@");
    let connection = connect(&url).await;

    let missing = topology::ensure(&connection, &[topology::main()]).await;
    let Err(TopologyError::Forbidden { queue, .. }) = &missing else { panic!("forbidden, not {missing:?}") };
    assert_eq!(queue, QUEUE);

    topology::ensure(&connect(rabbit.amqp_url()).await, &[topology::main()]).await.unwrap();
    topology::ensure(&connection, &[topology::main()]).await.expect("it exists: nothing is left to declare");
}
