//! From the outbox to a real broker, whatever happens to it.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use testkit::lapin::types::{AMQPValue, FieldTable};
use testkit::{Client, TcpProxy, eventually};

use crate::support::{TestApp, somebody};

const QUEUE: &str = "email_queue";
const SOON: Duration = Duration::from_secs(20);

/// It has its answer to the declaration, too, and its database, which it proves last.
async fn relay_is_up(app: &TestApp) {
    eventually("the relay is up", SOON, async || {
        let components = app.ready().await.json()["components"].clone();
        ["broker", "database"].iter().all(|name| components[name]["status"] == "up").then_some(())
    })
    .await;
}

async fn waiting(client: &Client, count: u32) {
    eventually("the tasks are in the queue", SOON, async || (client.ready(QUEUE).await == count).then_some(())).await;
}

async fn outbox_is_empty(app: &TestApp) {
    eventually("the outbox is empty", SOON, async || (app.count("outbox").await == 0).then_some(())).await;
}

/// What `/readyz` says of the broker.
async fn broker(app: &TestApp) -> Value {
    app.ready().await.json()["components"]["broker"].clone()
}

/// Tasks that some replica committed before it died.
async fn left_behind(app: &TestApp, count: i32) {
    sqlx::query(
        "INSERT INTO outbox (id, task_type, body)
         SELECT gen_random_uuid(), 'email.welcome', convert_to('{\"email\":\"a@example.com\",\"username\":\"a\"}', 'UTF8')
         FROM generate_series(1, $1)",
    )
    .bind(count)
    .execute(app.pool())
    .await
    .unwrap();
}

#[tokio::test]
async fn a_registration_is_published_with_everything_that_the_contract_promises() {
    let vhost = testkit::vhost().await;
    let app = TestApp::start(&[("AMQP_URL", vhost.amqp_url())]).await;
    assert_eq!(app.register(&somebody("ada")).await.status, 201);
    outbox_is_empty(&app).await;

    let task = vhost.client().await.take(QUEUE).await.expect("the task");
    let body: Value = serde_json::from_slice(&task.body).unwrap();
    assert_eq!(body, serde_json::json!({"email": "ada@example.com", "username": "ada"}));
    let id = task.message_id().expect("a message id").to_owned();
    assert_eq!(uuid::Uuid::try_parse(&id).unwrap().get_version_num(), 7, "{id}");
    let text = |value: &Option<testkit::lapin::types::ShortString>| value.as_ref().map(ToString::to_string);
    assert_eq!(text(task.properties.kind()).as_deref(), Some("email.welcome"));
    assert_eq!(text(task.properties.app_id()).as_deref(), Some("user-api"));
    assert_eq!(text(task.properties.content_type()).as_deref(), Some("application/json"));
    assert_eq!(*task.properties.delivery_mode(), Some(2), "it survives a restart of the broker");
    assert!(task.properties.timestamp().is_some_and(|at| at > 1_700_000_000));
}

#[tokio::test]
async fn what_a_dead_replica_left_behind_is_published_within_the_poll_interval() {
    let vhost = testkit::vhost().await;
    let app = TestApp::start(&[("AMQP_URL", vhost.amqp_url()), ("RELAY_POLL_INTERVAL", "500ms")]).await;
    relay_is_up(&app).await;
    left_behind(&app, 3).await;
    outbox_is_empty(&app).await;
    waiting(&vhost.client().await, 3).await;
}

#[tokio::test]
async fn a_backlog_with_older_ids_than_what_was_relayed_is_found_and_then_relayed_at_full_speed() {
    let vhost = testkit::vhost().await;
    let vars = [("AMQP_URL", vhost.amqp_url()), ("RELAY_BATCH", "20"), ("RELAY_POLL_INTERVAL", "1s")];
    let app = TestApp::start(&vars).await;
    relay_is_up(&app).await;
    // So long that the relay has left the beginning of the outbox behind.
    for n in 0..8 {
        assert_eq!(app.register(&somebody(&format!("young-{n}"))).await.status, 201);
        outbox_is_empty(&app).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    // One batch a second would take more than a minute.
    left_behind(&app, 1_500).await;
    sqlx::query("UPDATE outbox SET id = ('00000000' || substr(id::text, 9))::uuid").execute(app.pool()).await.unwrap();
    outbox_is_empty(&app).await;
    waiting(&vhost.client().await, 1_508).await;
}

#[tokio::test]
async fn what_waits_in_the_outbox_is_counted_and_its_age_is_told() {
    let app = TestApp::start(&[]).await;
    let look = async || outbox::backlog(app.pool(), &outbox::Table::in_search_path()).await.unwrap();
    let nothing = look().await;
    assert_eq!((nothing.depth, nothing.oldest), (0, 0.0));
    left_behind(&app, 3).await;
    sqlx::query("UPDATE outbox SET created_at = created_at - interval '5 minutes'").execute(app.pool()).await.unwrap();
    let backlog = look().await;
    assert_eq!(backlog.depth, 3);
    assert!((300.0..360.0).contains(&backlog.oldest), "{backlog:?}");
}

#[tokio::test]
async fn two_relays_on_one_outbox_publish_each_task_once() {
    let vhost = testkit::vhost().await;
    let vars = [("AMQP_URL", vhost.amqp_url()), ("RELAY_BATCH", "20"), ("RELAY_POLL_INTERVAL", "100ms")];
    let app = TestApp::start(&vars).await;
    let _other = TestApp::over(&app.database_url(), &vars).await;
    relay_is_up(&app).await;
    left_behind(&app, 2_000).await;
    outbox_is_empty(&app).await;

    let client = vhost.client().await;
    waiting(&client, 2_000).await;
    let mut ids = HashSet::new();
    while let Some(task) = client.take(QUEUE).await {
        ids.insert(task.message_id().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 2_000, "each task once");
}

#[tokio::test]
async fn registrations_are_answered_while_the_broker_is_away_and_published_once_it_is_back() {
    let vhost = testkit::vhost().await;
    let upstream = vhost.amqp_url().split('@').nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    let proxy = TcpProxy::start(upstream).await;
    let url = vhost.amqp_url().replace(&upstream.to_string(), &proxy.addr().to_string());
    let app = TestApp::start(&[("AMQP_URL", &url), ("CONFIRM_TIMEOUT", "1s")]).await;
    relay_is_up(&app).await;

    proxy.cut();
    for n in 0..5 {
        assert_eq!(app.register(&somebody(&format!("cut-{n}"))).await.status, 201, "no broker, no matter");
    }
    let ready = app.ready().await;
    assert_eq!(ready.status, 200, "readiness does not depend on the broker: {ready:?}");
    proxy.heal();
    waiting(&vhost.client().await, 5).await;

    // A network that swallows everything is worse than one that refuses.
    proxy.blackhole();
    for n in 0..5 {
        assert_eq!(app.register(&somebody(&format!("hole-{n}"))).await.status, 201, "no broker, no matter");
    }
    proxy.cut_connections();
    proxy.heal();
    outbox_is_empty(&app).await;
}

#[tokio::test]
async fn a_task_for_which_there_is_no_queue_stays_in_the_outbox_until_there_is_one() {
    let vhost = testkit::vhost().await;
    let app = TestApp::start(&[("AMQP_URL", vhost.amqp_url()), ("RELAY_POLL_INTERVAL", "60s")]).await;
    relay_is_up(&app).await;
    vhost.delete_queue(QUEUE).await;
    assert_eq!(app.register(&somebody("returned")).await.status, 201);
    // It comes back unroutable, and the relay makes sure of the queue before it tries again.
    eventually("the relay declares the queue", SOON, async || vhost.queue_info(QUEUE).await).await;
    outbox_is_empty(&app).await;
    waiting(&vhost.client().await, 1).await;
}

#[tokio::test]
async fn nothing_is_relayed_into_a_queue_with_other_arguments() {
    let vhost = testkit::vhost().await;
    let client = vhost.client().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    client.declare(QUEUE, arguments).await.unwrap();

    let app = TestApp::start(&[("AMQP_URL", vhost.amqp_url()), ("RELAY_POLL_INTERVAL", "100ms")]).await;
    assert_eq!(app.register(&somebody("classic")).await.status, 201);
    let reason = eventually("the relay says why it rests", SOON, async || {
        broker(&app).await["reason"].as_str().map(str::to_owned)
    })
    .await;
    assert!(reason.contains("email_queue") && reason.contains("x-queue-type"), "{reason}");
    assert_eq!(client.ready(QUEUE).await, 0, "the queue is untouched");
    assert_eq!(app.count("outbox").await, 1, "the task is safe");
}

#[tokio::test]
async fn the_relay_recovers_from_a_connection_that_the_broker_closes() {
    let vhost = testkit::vhost().await;
    let app = TestApp::start(&[("AMQP_URL", vhost.amqp_url())]).await;
    relay_is_up(&app).await;
    eventually("the broker closes the relay's connection", SOON, async || {
        (vhost.close_connections("user-api").await > 0).then_some(())
    })
    .await;
    assert_eq!(app.register(&somebody("closed")).await.status, 201);
    waiting(&vhost.client().await, 1).await;
    outbox_is_empty(&app).await;
}

#[tokio::test]
async fn tasks_wait_while_the_broker_blocks_publishers() {
    let rabbit = testkit::Rabbit::start().await;
    let app = TestApp::start(&[("AMQP_URL", rabbit.amqp_url()), ("CONFIRM_TIMEOUT", "1s")]).await;
    relay_is_up(&app).await;
    rabbit.memory_alarm(true).await;
    assert_eq!(app.register(&somebody("blocked")).await.status, 201);
    eventually("the relay says why it rests", SOON, async || broker(&app).await["reason"].as_str().map(drop)).await;
    assert_eq!(app.count("outbox").await, 1, "the task is safe");
    rabbit.memory_alarm(false).await;
    outbox_is_empty(&app).await;
    // What was on its way when the broker stopped reading arrives as well: with the same id, so it is mailed once.
    let client = rabbit.client().await;
    let mut ids = HashSet::new();
    while let Some(task) = client.take(QUEUE).await {
        ids.insert(task.message_id().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 1, "one task, however often it arrives");
}

#[tokio::test]
async fn a_queue_that_says_nothing_is_tried_with_one_task_and_gets_all_when_it_speaks_again() {
    const TASKS: i32 = 200;
    let rabbit = testkit::Rabbit::start().await;
    let vars = [("AMQP_URL", rabbit.amqp_url()), ("CONFIRM_TIMEOUT", "1s"), ("RELAY_POLL_INTERVAL", "100ms")];
    let app = TestApp::start(&vars).await;
    assert_eq!(app.register(&somebody("before")).await.status, 201);
    outbox_is_empty(&app).await;
    rabbit.silence(QUEUE, true).await;
    left_behind(&app, TASKS).await;
    for attempt in 0..4 {
        // Each connection is another attempt.
        let seen = rabbit.connections("user-api").await;
        let another = async || rabbit.connections("user-api").await.iter().any(|one| !seen.contains(one)).then_some(());
        eventually(&format!("attempt {attempt}"), SOON, another).await;
    }
    let reason = broker(&app).await["reason"].as_str().map(str::to_owned);
    assert!(reason.as_ref().is_some_and(|reason| reason.contains("no answer")), "{reason:?}");
    rabbit.silence(QUEUE, false).await;
    outbox_is_empty(&app).await;
    let client = rabbit.client().await;
    let (mut ids, mut copies) = (HashSet::new(), 0);
    while let Some(task) = client.take(QUEUE).await {
        ids.insert(task.message_id().unwrap().to_owned());
        copies += 1;
    }
    assert_eq!(ids.len(), 201, "each is there");
    assert!(copies <= 2 * TASKS + 20, "{copies} copies: what was said nothing to was repeated with each attempt");
}

#[tokio::test]
async fn what_the_last_requests_committed_is_relayed_before_the_replica_ends() {
    let vhost = testkit::vhost().await;
    let mut app = TestApp::start(&[("AMQP_URL", vhost.amqp_url()), ("RELAY_POLL_INTERVAL", "60s")]).await;
    relay_is_up(&app).await;
    left_behind(&app, 3).await;
    app.stop().await.unwrap().unwrap();
    assert_eq!(app.count("outbox").await, 0, "nothing waits for another replica");
}

#[tokio::test]
async fn a_replica_that_ends_leaves_a_long_backlog_to_the_others() {
    let vhost = testkit::vhost().await;
    let vars = [("AMQP_URL", vhost.amqp_url()), ("RELAY_POLL_INTERVAL", "60s"), ("RELAY_BATCH", "1")];
    let mut app = TestApp::start(&vars).await;
    relay_is_up(&app).await;
    left_behind(&app, 50_000).await;
    app.stop().await.unwrap().expect("the drain ends within the grace period");
    assert!(app.count("outbox").await > 0, "it did not wait for the last task");
}
