//! `queue migrate`: the messages of a queue with other arguments come into one that is right.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use amqp::{Broker, topology};
use contract::{TaskId, queue};
use futures_util::{StreamExt as _, stream};
use testkit::lapin::BasicProperties;
use testkit::lapin::options::{BasicConsumeOptions, BasicGetOptions};
use testkit::lapin::types::{AMQPValue, FieldTable};
use testkit::{Client, Service, Vhost, eventually};

use crate::commands::run;
use crate::helpers::{PATIENCE, SlowWay, registration};

const SHELTER: &str = "email_queue.migrating";
/// What may be in both queues when the command is killed.
const BATCH: usize = 256;

/// A queue as a stranger made it, with tasks in it: every other one bare.
async fn foreign(count: usize, arguments: &[(&str, &str)]) -> (Vhost, Client) {
    let vhost = testkit::vhost().await;
    let client = vhost.client().await;
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    client.declare(queue::EMAIL, table).await.unwrap();
    let publishing = stream::iter(0..count).map(|n| {
        let client = &client;
        async move {
            let bare = BasicProperties::default().with_delivery_mode(2);
            let properties = if n % 2 == 0 { registration(TaskId::new()) } else { bare };
            client.publish(queue::EMAIL, n.to_string().as_bytes(), properties).await;
        }
    });
    publishing.buffer_unordered(500).collect::<Vec<()>>().await;
    (vhost, client)
}

fn variables(vhost: &Vhost) -> [(&'static str, String); 1] {
    [("AMQP_URL", vhost.amqp_url().to_owned())]
}

/// The queue is as a worker wants it, with all tasks; which of them are there more than once.
async fn arrived(vhost: &Vhost, client: &Client, count: usize) -> Vec<String> {
    let connection = Broker::new(vhost.amqp_url().parse().unwrap(), "test").connect().await.unwrap();
    topology::ensure(&connection, &[topology::main()]).await.expect("the queue is not as it must be");
    assert!(vhost.queue_info(SHELTER).await.is_none(), "the shelter is left");
    let mut seen = BTreeMap::new();
    let get = || client.channel().basic_get(queue::EMAIL.into(), BasicGetOptions { no_ack: true });
    while let Some(message) = get().await.unwrap() {
        *seen.entry(String::from_utf8(message.delivery.data).unwrap()).or_insert(0) += 1;
    }
    let missing: Vec<_> = (0..count).filter(|n| !seen.contains_key(&n.to_string())).collect();
    assert!(missing.is_empty(), "{} of {count} are lost, such as {:?}", missing.len(), missing.first());
    seen.into_iter().filter(|(_, times)| *times > 1).map(|(body, _)| body).collect()
}

#[tokio::test]
async fn a_queue_with_other_arguments_is_made_anew_with_its_messages() {
    for arguments in [
        [("x-queue-type", "classic")].as_slice(),
        &[("x-queue-type", "classic"), ("x-dead-letter-exchange", "amq.fanout")],
        &[("x-queue-type", "quorum"), ("x-dead-letter-exchange", "amq.fanout"), ("x-overflow", "reject-publish")],
    ] {
        let (vhost, client) = foreign(300, arguments).await;
        let (code, lines) = run(&["queue", "migrate"], &variables(&vhost)).await;
        assert_eq!(code, 0, "{arguments:?}: {lines:#?}");
        assert_eq!(lines, ["email_queue is as it must be; 300 messages moved"], "{arguments:?}");
        assert_eq!(arrived(&vhost, &client, 300).await, Vec::<String>::new(), "{arguments:?}");
        let (code, lines) = run(&["queue", "migrate"], &variables(&vhost)).await;
        assert_eq!((code, lines), (0, vec!["email_queue is as it must be; 0 messages moved".to_owned()]));
    }
}

#[tokio::test]
async fn a_queue_that_somebody_consumes_is_not_touched() {
    let (vhost, client) = foreign(3, &[("x-queue-type", "classic")]).await;
    let other = vhost.client().await;
    let consume = other.channel().basic_consume(
        queue::EMAIL.into(),
        "theirs".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let consumer = consume.await.unwrap();
    let (code, lines) = run(&["queue", "migrate"], &variables(&vhost)).await;
    assert!(code == 78 && lines.len() == 1 && lines[0].contains("1 consumers: stop them"), "{code}: {lines:#?}");
    drop(consumer);
    other.close().await;
    let back = async || (client.ready(queue::EMAIL).await == 3).then_some(());
    eventually("all are where they were", PATIENCE, back).await;
    assert!(vhost.queue_info(SHELTER).await.is_none());
}

#[tokio::test]
async fn a_migration_that_is_killed_again_and_again_loses_nothing() {
    let (vhost, client) = foreign(600, &[("x-queue-type", "classic")]).await;
    let slow = SlowWay::to(&vhost).await;
    killed(&vhost, &client, 600, slow.variables()).await;
}

/// `--ignored --nocapture`, with a release build of the worker.
#[tokio::test]
#[ignore = "a measurement of some minutes"]
async fn a_hundred_thousand_tasks_are_moved() {
    let (vhost, client) = foreign(100_000, &[("x-queue-type", "classic")]).await;
    killed(&vhost, &client, 100_000, &variables(&vhost)).await;
}

/// Kills it on the way out and on the way back.
#[allow(clippy::print_stderr, reason = "figures")]
async fn killed(vhost: &Vhost, client: &Client, count: usize, way: &[(&'static str, String)]) {
    let all = u32::try_from(count).unwrap();
    let way_out = Service::spawn_with("email-worker", &["queue", "migrate"], way);
    let begun = async || (vhost.queue_info(SHELTER).await.is_some() && client.ready(SHELTER).await > 0).then_some(());
    eventually("it moves", PATIENCE, begun).await;
    way_out.kill();
    assert!(client.ready(SHELTER).await < all, "it was done before it was killed");

    let way_back = Service::spawn_with("email-worker", &["queue", "migrate"], way);
    let back = async || {
        let anew = vhost.queue_info(queue::EMAIL).await.is_some_and(|queue| queue.kind == "quorum");
        (anew && client.ready(queue::EMAIL).await > 0).then_some(())
    };
    eventually("it comes back", Duration::from_secs(300), back).await;
    way_back.kill();
    assert!(client.ready(queue::EMAIL).await < all, "it was done before it was killed");

    let began = Instant::now();
    let (code, lines) = run(&["queue", "migrate"], &variables(vhost)).await;
    assert_eq!(code, 0, "{lines:#?}");
    let took = began.elapsed();
    let repeated = arrived(vhost, client, count).await;
    eprintln!("{count} tasks, killed twice: {} repeated; the last half of the way took {took:?}", repeated.len());
    assert!(repeated.len() <= 2 * BATCH, "{} were repeated", repeated.len());
}
