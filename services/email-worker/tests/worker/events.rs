//! Events of mails: who binds a queue hears what became of each, at least once, and nothing about anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use contract::{TaskId, event, header, queue};
use serde_json::Value;
use testkit::lapin::options::{BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions};
use testkit::lapin::types::{AMQPValue, FieldTable};
use testkit::lapin::{BasicProperties, ExchangeKind};
use testkit::{Client, Postgres, Rabbit, Script, SmtpOptions, Stage, Taken, eventually};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::commands::run;
use crate::helpers::{PATIENCE, Running, World, registration};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const ADA: &str = "ada@example.com";
const ON: [(&str, &str); 2] = [("MAIL_EVENTS", "on"), ("ADDRESS_HASH_KEY", KEY)];
/// The queue that a test binds.
const HEARD: &str = "heard";
/// What a user of a broker may do whose worker has no events.
const WITHOUT_EVENTS: [&str; 3] =
    ["^email_queue(\\..+)?$", "^(amq\\.default|email_queue(\\..+)?)$", "^email_queue(\\..+)?$"];

/// An event, as it came.
#[derive(Debug, Clone)]
struct Event {
    taken: Taken,
    body: Value,
}

impl Event {
    fn attribute(&self, name: &str) -> String {
        let value = self.taken.header(&format!("cloudEvents:{name}"));
        value.unwrap_or_else(|| panic!("no {name}: {:?}", self.taken))
    }

    fn kind(&self) -> String {
        self.attribute("type")
    }

    fn is_of(&self, id: TaskId) -> bool {
        self.attribute("subject") == id.to_string()
    }
}

/// Binds a queue for these routing keys, as anybody may; the exchange need not be there.
async fn listen(client: &Client, keys: &str) {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let channel = client.channel();
    let exchange =
        channel.exchange_declare(event::EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default());
    exchange.await.unwrap();
    client.declare(HEARD, FieldTable::default()).await.unwrap();
    let bound = channel.queue_bind(
        HEARD.into(),
        event::EXCHANGE.into(),
        keys.into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.unwrap();
}

/// The next event, as soon as there is one.
async fn next(client: &Client) -> Event {
    let taken = eventually("an event", PATIENCE, async || client.take(HEARD).await).await;
    let body = serde_json::from_slice(&taken.body).unwrap_or_else(|error| panic!("{error}: {taken:?}"));
    Event { taken, body }
}

impl World {
    async fn listening() -> Self {
        let world = Self::new().await;
        listen(&world.client, "mail.*").await;
        world
    }

    async fn telling_worker(&self, changes: &[(&'static str, &str)]) -> Running {
        let kept = ON.into_iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        self.worker_with(&kept.chain(changes.iter().copied()).collect::<Vec<_>>()).await
    }

    async fn hears(&self) -> Event {
        next(&self.client).await
    }

    async fn hears_of(&self, id: TaskId, kind: &str) -> Event {
        let event = self.hears().await;
        assert!(event.is_of(id) && event.kind() == kind, "{kind} of {id}, not {event:?}");
        event
    }

    /// Events that wait for the broker.
    async fn untold(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM mail_events").fetch_one(self.database.pool()).await.unwrap()
    }

    async fn all_told(&self) {
        eventually("no event waits", PATIENCE, async || (self.untold().await == 0).then_some(())).await;
    }
}

fn with_header(id: TaskId, name: &str, value: AMQPValue) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(name.into(), value);
    registration(id).with_headers(headers)
}

#[tokio::test]
async fn a_mail_that_was_sent_is_told_as_a_cloud_event() {
    let world = World::listening().await;
    let worker = world.telling_worker(&[("MAIL_EVENTS_SOURCE", "https://mail.example.com/a")]).await;
    let (id, trace) = (TaskId::new(), "4bf92f3577b34da6a3ce929d0e0e4736");
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    world.publish(ADA, with_header(id, header::TRACEPARENT, AMQPValue::LongString(parent.as_str().into()))).await;
    let event = world.hears_of(id, "mail.sent").await;
    assert_eq!(event.attribute("specversion"), "1.0");
    assert!(event.attribute("traceparent").contains(trace), "another trace");
    assert_eq!(event.taken.header(header::TRACEPARENT).as_deref(), Some(&*parent));
    assert_eq!(event.attribute("source"), "https://mail.example.com/a");
    let at = OffsetDateTime::parse(&event.attribute("time"), &Rfc3339).expect("a time");
    assert!((OffsetDateTime::now_utc() - at).abs() < Duration::from_secs(60), "{at}");
    let properties = &event.taken.properties;
    assert_eq!(properties.content_type().as_ref().map(|text| text.as_str()), Some("application/json"));
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert_eq!(event.taken.message_id(), Some(&*event.attribute("id")));
    assert_eq!((&event.body["id"], &event.body["mail_type"]), (&id.to_string().into(), &"email.welcome".into()));
    assert_eq!((&event.body["attempts"], &event.body["reply"]["code"]), (&1.into(), &250.into()));
    assert_eq!(event.body["recipient"]["domain"], "example.com");
    let recipient = "SELECT encode(recipient, 'hex') FROM mail_log WHERE id = $1";
    let logged: String =
        sqlx::query_scalar(recipient).bind(id.as_uuid()).fetch_one(world.database.pool()).await.unwrap();
    assert_eq!(event.body["recipient"]["hash"], logged, "the mail log knows the recipient by another hash");
    world.all_told().await;
    worker.stop().await;
    assert_eq!(world.client.ready(HEARD).await, 0, "it was told twice");
}

#[tokio::test]
async fn what_was_not_sent_is_told_with_why_and_until_when() {
    let world = World::listening().await;
    let script = Script::healthy()
        .reply(Stage::Rcpt, "550 5.7.1 not from you")
        .for_recipient("bob@example.com")
        .reply(Stage::Rcpt, "451 4.2.1 <ada@example.com>: try again")
        .for_recipient(ADA)
        .times(1);
    world.smtp.set_script(script);
    let worker = world.telling_worker(&[("MAIL_RATE_ADAPTS", "off")]).await;

    let id = world.register(ADA).await;
    let deferred = world.hears_of(id, "mail.deferred").await;
    assert_eq!((&deferred.body["attempts"], &deferred.body["reply"]["code"]), (&1.into(), &451.into()));
    assert_eq!(deferred.body["reply"]["enhanced"], "4.2.1");
    let until = deferred.body["until"].as_str().expect("until when");
    assert!(OffsetDateTime::parse(until, &Rfc3339).is_ok(), "{until}");
    assert!(deferred.body["reason"].is_string(), "{deferred:?}");
    assert_eq!(world.hears_of(id, "mail.sent").await.body["attempts"], 2);

    let id = world.register("bob@example.com").await;
    let dead = world.hears_of(id, "mail.dead").await;
    assert_eq!((&dead.body["reason"], &dead.body["attempts"]), (&"policy-violation".into(), &1.into()));
    assert!(dead.body["detail"].as_str().is_some_and(|why| why.contains("not from you")), "{dead:?}");
    assert_eq!(dead.body["until"], Value::Null);

    let id = TaskId::new();
    world.publish(ADA, with_header(id, header::EXPIRES_AT, AMQPValue::LongLongInt(1_000_000_000))).await;
    assert_eq!(world.hears_of(id, "mail.expired").await.body["attempts"], 0);

    let variables = [("DATABASE_URL", world.database.url().to_owned()), ("ADDRESS_HASH_KEY", KEY.to_owned())];
    assert_eq!(run(&["suppressions", "add", "eve@example.com"], &variables).await.0, 0);
    let id = world.register("eve@example.com").await;
    world.hears_of(id, "mail.suppressed").await;
    // Marked with the event, so that a copy is a duplicate, of which nothing is told.
    world.publish("eve@example.com", registration(id)).await;
    let id = world.register("carol@example.com").await;
    world.hears_of(id, "mail.sent").await;

    let id = TaskId::new();
    world.client.publish(queue::EMAIL, b"no task", registration(id)).await;
    let dead = world.hears_of(id, "mail.dead").await;
    assert!(dead.body["reason"].is_string() && dead.body.get("recipient").is_none(), "{dead:?}");
    assert!(worker.readyz().await.is_some_and(|(_, body)| body["components"]["events"]["status"] == "up"));
    world.all_told().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_mail_that_was_put_back_is_told_anew_and_each_event_has_an_id_of_its_own() {
    let world = World::listening().await;
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, "550 5.7.1 not from you").times(2));
    let worker = world.telling_worker(&[]).await;
    let id = world.register(ADA).await;
    let first = world.hears_of(id, "mail.dead").await;
    world.dead_letter().await;
    world.publish(ADA, with_header(id, header::REDRIVEN_AT, AMQPValue::LongLongInt(1_800_000_000))).await;
    let second = world.hears_of(id, "mail.dead").await;
    assert_ne!(first.attribute("id"), second.attribute("id"), "consumers would take it for a repeat");
    worker.stop().await;
}

#[tokio::test]
async fn no_event_names_anybody() {
    let world = World::listening().await;
    let script = Script::healthy()
        .reply(Stage::Rcpt, "550 5.7.1 <xanthippe@example.com>: Xanthippe not from you")
        .for_recipient("xanthippe@example.com")
        .reply(Stage::Content, "250 2.0.0 <xenophon@example.com> has it")
        .for_recipient("xenophon@example.com");
    world.smtp.set_script(script);
    let worker = world.telling_worker(&[]).await;
    for name in ["Xanthippe", "Xenophon"] {
        let body = format!(r#"{{"email":"{}@example.com","username":"{name}"}}"#, name.to_lowercase());
        world.client.publish(queue::EMAIL, body.as_bytes(), registration(TaskId::new())).await;
    }
    let broken = br#"{"email":"xanthippe@example.com","username":"Xanthippe""#;
    world.client.publish(queue::EMAIL, broken, registration(TaskId::new())).await;
    for _ in 0..3 {
        let event = world.hears().await;
        let all = format!("{:?} {}", event.taken.properties, event.body).to_lowercase();
        assert!(!all.contains("xanthippe") && !all.contains("xenophon"), "{all}");
    }
    worker.stop().await;
}

#[tokio::test]
async fn only_the_kinds_that_were_asked_for_are_told_and_off_writes_nothing() {
    let world = World::listening().await;
    let refused = || Script::healthy().reply(Stage::Rcpt, "550 5.7.1 no").for_recipient(ADA);
    world.smtp.set_script(refused());
    let worker = world.telling_worker(&[("MAIL_EVENTS", "dead")]).await;
    world.register("bob@example.com").await;
    world.marked(1).await;
    let id = world.register(ADA).await;
    world.hears_of(id, "mail.dead").await;
    worker.stop().await;

    // Whatever writes there is refused.
    let closed = "ALTER TABLE mail_events ADD CHECK (false)";
    sqlx::raw_sql(closed).execute(world.database.pool()).await.unwrap();
    let worker = world.worker_with(&[("ADDRESS_HASH_KEY", KEY)]).await;
    world.register("bob@example.com").await;
    world.register(ADA).await;
    world.marked(2).await;
    world.dead_letter().await;
    world.dead_letter().await;
    assert!(worker.readyz().await.is_some_and(|(_, body)| body["components"].get("events").is_none()));
    assert!(world.vhost.connections("email-worker events").await.is_empty(), "a relay runs");
    worker.stop().await;
    assert_eq!((world.untold().await, world.client.ready(HEARD).await), (0, 0));
}

#[tokio::test]
async fn with_nobody_listening_events_are_dropped_by_the_broker() {
    let world = World::new().await;
    let worker = world.telling_worker(&[]).await;
    world.register_many("user", 20).await;
    world.marked(20).await;
    world.all_told().await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_worker_that_ends_tells_first_what_it_has_written() {
    let world = World::listening().await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_millis(300)));
    let worker = world.telling_worker(&[]).await;
    world.register_many("user", 10).await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    worker.stop().await;
    assert_eq!(world.untold().await, 0, "events wait, and nobody is there to tell them");
    let told = i64::from(world.client.ready(HEARD).await);
    assert_eq!(told, world.marks().await, "each mail that was marked is told");
}

#[tokio::test]
async fn two_workers_tell_each_event_once() {
    const MAILS: usize = 600;
    let world = World::listening().await;
    world.queue_exists().await;
    world.register_many("user", MAILS).await;
    let workers = [world.telling_worker(&[]).await, world.telling_worker(&[]).await];
    world.marked(i64::try_from(MAILS).unwrap()).await;
    world.all_told().await;
    for worker in workers {
        worker.stop().await;
    }
    let mut told = BTreeMap::<String, usize>::new();
    while let Some(taken) = world.client.take(HEARD).await {
        *told.entry(taken.header("cloudEvents:subject").unwrap()).or_default() += 1;
    }
    assert_eq!(told.len(), MAILS, "mails that were told of");
    assert!(told.values().all(|times| *times == 1), "some were told of more often, without any fault");
}

/// What is told between the mark and the broker's confirm.
async fn told_of(client: &Client, mails: usize) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    while told.len() < mails {
        let event = next(client).await;
        assert_eq!(event.kind(), "mail.sent");
        told.insert(event.attribute("subject"));
    }
    told
}

#[tokio::test]
async fn events_of_a_worker_that_was_killed_are_told_by_the_next_one() {
    let world = World::listening().await;
    world.queue_exists().await;
    let [configure, write, read] = WITHOUT_EVENTS;
    // It may not publish events: they wait.
    let url = world.vhost.url_of_user(configure, write, read).await;
    let killed = world.process(&[&ON[..], &[("AMQP_URL", &url)]].concat());
    killed.ready().await;
    world.register_many("user", 20).await;
    world.marked(20).await;
    killed.kill();
    assert_eq!(world.untold().await, 20);
    let next = world.telling_worker(&[]).await;
    assert_eq!(told_of(&world.client, 20).await.len(), 20);
    world.all_told().await;
    world.ends_clean(next).await;
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_and_holds_up_no_mail() {
    let world = World::new().await;
    world.queue_exists().await;
    let [configure, write, read] = WITHOUT_EVENTS;
    let url = world.vhost.url_of_user(configure, write, read).await;
    let worker = world.telling_worker(&[("AMQP_URL", &url)]).await;
    world.register(ADA).await;
    world.marked(1).await;
    worker
        .says("why no event is told", |status, body| {
            let events = &body["components"]["events"];
            let named = events["reason"].as_str().is_some_and(|reason| reason.contains("exchange `email.events`"));
            status == 200 && events["status"] == "down" && named
        })
        .await;
    worker.stop().await;
    assert_eq!(world.untold().await, 1);
}

#[tokio::test]
async fn a_broker_that_dies_between_mark_and_publish_costs_no_event() {
    let rabbit = Rabbit::start().await;
    let world = World::within(rabbit.vhost().await, testkit::database().await, SmtpOptions::default()).await;
    listen(&world.client, "mail.*").await;
    world.smtp.set_script(Script::healthy().delay(Duration::from_secs(1)));
    let worker = world.telling_worker(&[]).await;
    rabbit.queues_written().await;
    world.register_many("user", 4).await;
    let sending = async || (world.smtp.counts().commands.get(&Stage::Content).copied() >= Some(4)).then_some(());
    eventually("four mails are being sent", PATIENCE, sending).await;
    rabbit.kill();
    world.marked(4).await;
    assert_eq!(world.untold().await, 4, "they were told to nobody");
    rabbit.restart().await;
    let client = eventually("a client", PATIENCE, async || Some(world.vhost.client().await)).await;
    assert_eq!(told_of(&client, 4).await.len(), 4);
    world.all_told().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_database_that_is_away_when_a_mail_is_refused_costs_no_event() {
    let server = Postgres::start().await;
    let world = World::within(testkit::vhost().await, server.database().await, SmtpOptions::default()).await;
    listen(&world.client, "mail.deferred").await;
    let later = Script::healthy().delay(Duration::from_secs(1)).reply(Stage::Content, "451 4.3.0 later").times(1);
    world.smtp.set_script(later);
    let worker = world.telling_worker(&[]).await;
    let id = world.register(ADA).await;
    let sending = async || (world.smtp.counts().commands.get(&Stage::Content).copied() >= Some(1)).then_some(());
    eventually("the mail is being sent", PATIENCE, sending).await;
    server.kill();
    let answered = async || world.smtp.commands().iter().any(|command| command.answer.starts_with("451")).then_some(());
    eventually("the mail is refused", PATIENCE, answered).await;
    server.restart().await;
    world.hears_of(id, "mail.deferred").await;
    worker.stop().await;
}

#[tokio::test]
async fn a_task_is_not_held_for_its_event_for_longer_than_for_anything_else() {
    let server = Postgres::start().await;
    let world = World::within(testkit::vhost().await, server.database().await, SmtpOptions::default()).await;
    listen(&world.client, "mail.*").await;
    let later = Script::healthy().delay(Duration::from_secs(1)).reply(Stage::Content, "451 4.3.0 later").times(1);
    world.smtp.set_script(later);
    let worker = world.telling_worker(&[("HOLD_LIMIT", "1s"), ("MAIL_RETRY_SCHEDULE", "1h")]).await;
    let id = world.register(ADA).await;
    let sending = async || (world.smtp.counts().commands.get(&Stage::Content).copied() >= Some(1)).then_some(());
    eventually("the mail is being sent", PATIENCE, sending).await;
    server.kill();
    let waiting = queue::retry(Duration::from_secs(3600));
    eventually("the task waits", PATIENCE, async || (world.waiting(&waiting).await == 1).then_some(())).await;
    let task = world.client.take(&waiting).await.unwrap();
    assert_eq!(task.header(header::ATTEMPT), None, "an attempt was spent that nobody was told of");
    server.restart().await;
    // As if its delay were over.
    world.client.publish(queue::EMAIL, &task.body, task.properties).await;
    let told = [world.hears().await, world.hears().await];
    assert!(told.iter().all(|event| event.is_of(id)), "{told:?}");
    assert!(told.iter().any(|event| event.kind() == "mail.sent"), "{told:?}");
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_table_that_takes_no_events_costs_no_mail_and_repeats_none() {
    let world = World::new().await;
    let worker = world.telling_worker(&[]).await;
    sqlx::raw_sql("ALTER TABLE mail_events ADD CHECK (event_type <> 'mail.sent')")
        .execute(world.database.pool())
        .await
        .unwrap();
    world.register_many("user", 20).await;
    world.marked(20).await;
    sqlx::raw_sql("DROP TABLE mail_events").execute(world.database.pool()).await.unwrap();
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, "451 4.2.1 try again").for_recipient(ADA).times(1));
    world.register(ADA).await;
    world.marked(21).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 21, "a mail was repeated, or lost");
}

#[tokio::test]
async fn an_event_that_waited_for_as_long_as_the_ledger_remembers_is_dropped() {
    use email_worker::ledger::retention::{RetentionOptions, purge};
    let world = World::new().await;
    let pool = world.database.pool();
    let written = "INSERT INTO mail_events (id, event_id, mail_id, event_type, body, created_at)
                   SELECT $1, $1, $1, 'mail.sent', '{}', now()";
    let old = "01900000-0000-7000-8000-000000000000".parse::<uuid::Uuid>().unwrap();
    for id in [old, uuid::Uuid::now_v7()] {
        sqlx::query(written).bind(id).execute(pool).await.unwrap();
    }
    let options = RetentionOptions::new(Duration::from_secs(7 * 24 * 3600));
    assert_eq!(purge(pool, &options).await.unwrap(), 1);
    assert_eq!(world.untold().await, 1);
}

/// Debian's pika belongs to Debian's Python, whatever else is on the PATH.
const PYTHON: &str = "/usr/bin/python3";

#[tokio::test]
async fn the_example_in_python_hears_each_event_once() {
    let pika = tokio::process::Command::new(PYTHON).args(["-c", "import pika"]).output().await;
    if !pika.is_ok_and(|output| output.status.success()) {
        println!("examples/events was left out: Debian's python3-pika is not on this machine");
        return;
    }
    let world = World::listening().await;
    let program = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/events/listen.py");
    let mut listening = tokio::process::Command::new(PYTHON)
        .args([&*program.to_string_lossy(), "mail.sent", "mail.dead"])
        .env("AMQP_URL", world.vhost.amqp_url())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(listening.stdout.take().unwrap()).lines();
    let mut line = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("a line in time");
        line.unwrap().expect("the program goes on")
    };
    assert_eq!(line().await, "listening");
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, "550 5.7.1 not from you").for_recipient(ADA));
    let worker = world.telling_worker(&[]).await;
    let sent = world.register("bob@example.com").await;
    assert!(line().await.contains(&format!(" mail.sent {sent} ")));
    // The same once more, as after a relay that died.
    let event = world.hears_of(sent, "mail.sent").await;
    let (exchange, key) = (event::EXCHANGE.into(), event.kind().into());
    let again = world.client.channel().basic_publish(
        exchange,
        key,
        BasicPublishOptions::default(),
        &event.taken.body,
        event.taken.properties,
    );
    again.await.unwrap().await.unwrap();
    let dead = world.register(ADA).await;
    assert!(line().await.ends_with(&format!(" mail.dead {dead} policy-violation")));
    worker.stop().await;
}

/// What the chart's broker lets the worker do.
fn rights_of_the_chart() -> [String; 3] {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/rabbitmq/files/definitions.json");
    let definitions = std::fs::read_to_string(file).unwrap();
    let of_worker = |line: &&str| line.contains("@email-worker/username@") && line.contains("\"configure\"");
    let line = definitions.lines().find(of_worker).expect("the worker has rights");
    ["configure", "write", "read"].map(|right| {
        let rest = line.split_once(&format!("\"{right}\": ")).expect("each right").1;
        serde_json::Deserializer::from_str(rest).into_iter::<String>().next().expect("a text").unwrap()
    })
}

#[tokio::test]
async fn the_rights_that_the_chart_gives_are_enough() {
    let world = World::new().await;
    world.queue_exists().await;
    let [configure, write, read] = rights_of_the_chart();
    let url = world.vhost.url_of_user(&configure, &write, &read).await;
    let worker = world.telling_worker(&[("AMQP_URL", &url)]).await;
    // It makes the exchange itself.
    worker.says("events can be told", |_, body| body["components"]["events"]["status"] == "up").await;
    listen(&world.client, "mail.sent").await;
    let id = world.register(ADA).await;
    world.hears_of(id, "mail.sent").await;
    worker.stop().await;
}
