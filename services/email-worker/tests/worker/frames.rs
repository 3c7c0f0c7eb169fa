//! Messages of every size and encoding that a broker takes: each ends as a mail or as one dead letter, and what follows
//! is mailed over the same connections.

use std::collections::HashMap;
use std::time::Duration;

use amqp::Broker;
use contract::{header, queue};
use email_worker::dead_letters::Filter;
use email_worker::dead_letters::list::{Shown, list};
use email_worker::dead_letters::redrive::redrive;
use serde_json::{Value, json};
use testkit::fuzz::Target;
use testkit::{RawPublisher, Script, Stage, Taken, eventually};
use tokio_util::sync::CancellationToken;

use crate::helpers::{PATIENCE, Running, World, body};
use crate::mended;

/// One broken message, once it is dead, has opened all connections that there will be.
struct Scene {
    world: World,
    worker: Running,
    publisher: RawPublisher,
    connections: Vec<String>,
    /// Mails that came, dead letters among what was published, and markers.
    seen: usize,
}

/// What became of one message.
#[derive(Debug)]
enum End {
    Mailed,
    Dead(Box<Taken>),
}

impl Scene {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With some variables of the worker changed.
    async fn with(changes: &[(&'static str, &str)]) -> Self {
        let world = World::new().await;
        let worker = world.worker_with(changes).await;
        let publisher = world.vhost.raw_publisher();
        world.client.publish_bare(queue::EMAIL, b"no task").await;
        world.dead_letter().await;
        let both = async || Some(world.vhost.connections("email-worker").await).filter(|all| all.len() == 2);
        let connections = eventually("the worker's two connections", PATIENCE, both).await;
        Self { world, worker, publisher, connections, seen: 0 }
    }

    /// Publishes one message and a good task behind it, and waits for the ends of both. `None`: the broker refuses it.
    async fn end_of(&mut self, what: &str, properties: &[u8], body: &[u8]) -> Option<End> {
        self.publisher.publish(queue::EMAIL, properties, body).await.ok()?;
        Some(self.ended(what).await)
    }

    async fn ended(&mut self, what: &str) -> End {
        self.world.register(&format!("behind-{}@example.com", self.seen)).await;
        let (world, mails) = (&self.world, self.seen + 1);
        let ended = async || match world.client.take(queue::DEAD).await {
            Some(letter) => Some(End::Dead(Box::new(letter))),
            None => (world.smtp.mails().len() > mails).then_some(End::Mailed),
        };
        let end = eventually(&format!("{what}: a mail or a dead letter"), PATIENCE, ended).await;
        self.seen += if matches!(end, End::Mailed) { 2 } else { 1 };
        world.smtp.wait_for_mails(self.seen, PATIENCE).await;
        end
    }

    async fn mailed(&mut self, what: &str, properties: &[u8], body: &[u8]) {
        let end = self.end_of(what, properties, body).await;
        assert!(matches!(end, Some(End::Mailed)), "{what}: {end:?}");
    }

    async fn dead(&mut self, what: &str, properties: &[u8], body: &[u8]) -> Taken {
        match self.end_of(what, properties, body).await {
            Some(End::Dead(letter)) => *letter,
            other => panic!("{what}: {other:?}"),
        }
    }

    /// Nothing came twice, nothing is left, and no connection was lost.
    async fn ends(self) {
        let Self { world, worker, connections, seen, .. } = self;
        assert_eq!(world.vhost.connections("email-worker").await, connections, "a connection was lost");
        assert_eq!(worker.readyz().await.map(|(status, _)| status), Some(200));
        world.ends_clean(worker).await;
        assert_eq!(world.smtp.mails().len(), seen, "a mail came twice");
    }
}

/// The properties of a message with these headers and nothing else.
fn headers(entries: &[u8]) -> Vec<u8> {
    [b"\x20\0", &long(entries)[..]].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn entry(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[u8::try_from(name.len()).unwrap()][..], name, value].concat()
}

fn text(name: &[u8], value: &[u8]) -> Vec<u8> {
    entry(name, &[b"S", &long(value)[..]].concat())
}

/// A task's body for an address that nobody else has.
fn task(n: usize) -> Vec<u8> {
    body(&format!("case-{n}@example.com"))
}

#[tokio::test]
async fn sixty_kibibytes_of_headers_stop_nobody_and_neighbours_are_dead_once() {
    let mut scene = Scene::new().await;
    let many: Vec<u8> = (0..300).flat_map(|n| text(format!("header-{n:03}").as_bytes(), &[b'v'; 200])).collect();
    // Neighbours that are being moved when the large one comes.
    for n in 0..20 {
        scene.world.client.publish_bare(queue::EMAIL, format!("no task {n}").as_bytes()).await;
    }
    scene.publisher.publish(queue::EMAIL, &headers(&many), &task(0)).await.unwrap();
    scene.publisher.publish(queue::EMAIL, &headers(&many), b"no task, large").await.unwrap();
    scene.world.register_many("behind", 20).await;
    scene.world.smtp.wait_for_mails(21, PATIENCE).await;
    let mut letters = HashMap::new();
    while letters.values().sum::<usize>() < 21 {
        let letter = scene.world.dead_letter().await;
        if letter.body == b"no task, large" {
            let (left_out, kept) = (letter.header(header::HEADERS_LEFT_OUT).unwrap(), letter.header_names());
            let kept = kept.iter().filter(|name| name.starts_with("header-")).count();
            assert!(kept > 50, "as many as there is room for: {kept}");
            assert_eq!(left_out.parse::<usize>().unwrap() + kept, 300, "it says how many are missing");
            assert_eq!(letter.header(header::DEAD_REASON).as_deref(), Some("not-json"));
        }
        *letters.entry(letter.body).or_insert(0_usize) += 1;
    }
    assert!(letters.values().all(|times| *times == 1), "a letter came twice");
    scene.seen = 21;
    scene.ends().await;
}

#[tokio::test]
async fn headers_of_every_size_around_our_frame_and_the_brokers_are_taken() {
    let mut scene = Scene::new().await;
    let sizes = (14_000..16_600).step_by(130).chain((130_700..131_100).step_by(17));
    let (mut taken, mut refused) = (0, 0);
    for (n, size) in sizes.enumerate() {
        let what = format!("headers of {size} bytes");
        let properties = headers(&text(b"large", &vec![b'v'; size]));
        let (body, expected_mail) = if n % 2 == 0 { (task(n), true) } else { (b"no task".to_vec(), false) };
        match scene.end_of(&what, &properties, &body).await {
            Some(end) => assert_eq!(matches!(end, End::Mailed), expected_mail, "{what}"),
            None => refused += 1,
        }
        taken += 1;
    }
    assert!(taken > 40 && refused > 0, "the sizes go beyond what the broker takes");
    scene.ends().await;
}

#[tokio::test]
async fn texts_of_any_bytes_in_any_property_are_read() {
    let mut scene = Scene::new().await;
    let strange = b"\x06a\xff\xfe\x80\xe6b";
    let names = ["cluster", "app", "user", "type", "timestamp", "message id", "expiration", "reply to", "correlation"];
    for (n, name) in names.iter().enumerate() {
        let flags = 1_u16 << (n + 2);
        let properties = [&flags.to_be_bytes()[..], strange].concat();
        match *name {
            "timestamp" => {}
            // Whose they are is the broker's to check: it refuses what is not the user's name, or no number.
            "user" | "expiration" => {
                assert!(scene.end_of(name, &properties, &task(n)).await.is_none(), "{name}");
            }
            "type" => {
                let letter = scene.dead(name, &properties, &task(n)).await;
                assert_eq!(letter.header(header::DEAD_REASON).as_deref(), Some("bad-type"));
            }
            _ => scene.mailed(name, &properties, &task(n)).await,
        }
    }
    for (n, bit) in [15, 14].into_iter().enumerate() {
        let properties = [&(1_u16 << bit).to_be_bytes()[..], strange].concat();
        scene.mailed("content type or encoding", &properties, &task(100 + n)).await;
    }
    let dead = scene.dead("a message id", &[&b"\0\x80"[..], strange].concat(), b"no task").await;
    assert_eq!(dead.message_id(), Some("a\u{1a}\u{1a}\u{1a}\u{1a}b"), "as much of it as can be read");
    for (n, alike) in [b"\x03\xe9-1", b"\x03\xe8-1", b"\x03?-1"].iter().enumerate() {
        let properties = [&b"\0\x80"[..], &alike[..]].concat();
        scene.mailed("ids that differ in bytes that can't be read", &properties, &task(300 + n)).await;
    }
    let entries =
        [text(b"\xff\xfe", b"\xff"), entry(b"nested", &[b"F", &long(&text(b"\xff", b""))[..]].concat())].concat();
    scene.mailed("names of headers", &headers(&entries), &task(200)).await;
    scene.dead("names of headers, dead", &headers(&entries), b"no task").await;
    scene.ends().await;
}

#[tokio::test]
async fn a_routing_key_of_any_bytes_is_read() {
    use testkit::lapin::options::{ExchangeDeclareOptions, QueueBindOptions};
    use testkit::lapin::{ExchangeKind, types::FieldTable};
    let mut scene = Scene::new().await;
    let channel = scene.world.client.channel();
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel.exchange_declare("others".into(), ExchangeKind::Fanout, options, FieldTable::default()).await.unwrap();
    let options = QueueBindOptions::default();
    channel.queue_bind(queue::EMAIL.into(), "others".into(), "".into(), options, FieldTable::default()).await.unwrap();
    scene.publisher.publish_through("others", b"\xff\xfe", b"\0\0", &task(0)).await.unwrap();
    assert!(matches!(scene.ended("a routing key").await, End::Mailed));
    scene.ends().await;
}

#[tokio::test]
async fn headers_of_every_type_however_deep_and_however_many_are_taken() {
    let mut scene = Scene::new().await;
    let number = 7_u64.to_be_bytes();
    let types: [&[u8]; 17] = [
        b"V",
        b"t\x01",
        b"b\xff",
        b"B\xff",
        b"s\xff\xff",
        b"u\xff\xff",
        b"I\xff\0\0\0",
        b"i\xff\0\0\0",
        b"f\x3f\x80\0\0",
        b"D\x02\0\0\0\x01",
        &[b"l", &number[..]].concat(),
        &[b"d", &number[..]].concat(),
        &[b"T", &[0xff; 8][..]].concat(),
        b"S\0\0\0\x01\xff",
        b"x\0\0\0\x01\xff",
        b"F\0\0\0\0",
        b"A\0\0\0\x02VV",
    ];
    let mut deep = b"V".to_vec();
    for _ in 0..20_000 {
        deep = [b"A", &long(&deep)[..]].concat();
    }
    let mut tables = b"V".to_vec();
    for _ in 0..10_000 {
        tables = [b"F", &long(&entry(b"k", &tables))[..]].concat();
    }
    let all: Vec<u8> =
        types.iter().enumerate().flat_map(|(n, value)| entry(format!("h{n}").as_bytes(), value)).collect();
    let ours: Vec<u8> = header::ALL.iter().flat_map(|name| text(name.as_bytes(), &[b'v'; 9_000])).collect();
    let rows: [(&str, Vec<u8>); 8] = [
        ("every type", all),
        ("arrays 20,000 deep", entry(b"deep", &deep)),
        ("tables 10,000 deep", entry(b"deep", &tables)),
        ("an array of 100,000 voids", entry(b"many", &[b"A", &long(&[b'V'; 100_000])[..]].concat())),
        ("20,000 headers", (0..20_000).flat_map(|n| entry(format!("{n:x}").as_bytes(), b"V")).collect::<Vec<_>>()),
        ("names of 255 bytes", (0..60_u8).flat_map(|n| entry(&[b'a' + n % 26; 255], b"V")).collect()),
        ("one name for all", (0..1_000).flat_map(|_| entry(b"", b"V")).collect()),
        ("our names for much", ours),
    ];
    for (n, (what, entries)) in rows.iter().enumerate() {
        assert!(entries.len() < 131_000, "{what}: {} bytes", entries.len());
        scene.mailed(what, &headers(entries), &task(n)).await;
        scene.dead(what, &headers(entries), b"no task").await;
    }
    scene.ends().await;
}

#[tokio::test]
async fn a_body_of_any_size_is_a_mail_or_one_dead_letter_that_says_how_long_it_was() {
    let mut scene = Scene::new().await;
    let padded = |n: usize, size: usize| {
        let mut body = task(n);
        body.resize(size.max(body.len()), b' ');
        body
    };
    for (n, size) in [0, 4_096, 16_376, 16_377, 65_535, 65_536].into_iter().enumerate() {
        scene.mailed(&format!("a body of {size} bytes"), b"\0\0", &padded(n, size)).await;
    }
    scene.dead("an empty body", b"\0\0", b"").await;
    for (n, size) in [65_537, 65_538, 1 << 20, 16 << 20, 120 << 20].into_iter().enumerate() {
        let letter = scene.dead(&format!("a body of {size} bytes"), b"\0\0", &padded(100 + n, size)).await;
        assert_eq!(letter.header(header::DEAD_REASON).as_deref(), Some("too-large"));
        assert!(letter.body.starts_with(&task(100 + n)) && letter.body.len() == 65_537, "{} bytes", letter.body.len());
        let said = letter.header(header::BODY_CUT_FROM);
        assert_eq!(said, (size > 65_537).then(|| size.to_string()), "how long it was");
    }
    scene.ends().await;
}

#[tokio::test]
async fn a_task_with_more_headers_than_a_frame_goes_over_the_retry_queues_and_back_and_is_mailed_once() {
    let mut scene = Scene::new().await;
    let refused = "case-0@example.com";
    let script = Script::healthy().reply(Stage::Rcpt, "450 4.2.0 later").for_recipient(refused).times(4);
    scene.world.smtp.set_script(script);
    // A retry queue adds what the broker counts at each round.
    for (n, size) in [12_000, 13_500, 14_500, 16_200, 100_000].into_iter().enumerate() {
        let properties = headers(&text(b"large", &vec![b'v'; size]));
        scene.publisher.publish(queue::EMAIL, &properties, &task(n)).await.unwrap();
    }
    scene.world.smtp.wait_for_mails(5, PATIENCE).await;
    assert_eq!(scene.world.waiting(queue::DEAD).await, 0);
    scene.seen = 5;
    scene.ends().await;
}

#[tokio::test]
async fn a_large_letter_is_listed_and_redriven() {
    let mut scene = Scene::new().await;
    let many: Vec<u8> = (0..300).flat_map(|n| text(format!("header-{n:03}").as_bytes(), &[b'v'; 200])).collect();
    scene.publisher.publish(queue::EMAIL, &headers(&many), b"no task").await.unwrap();
    scene.publisher.publish(queue::EMAIL, b"\0\0", &vec![b' '; 1 << 20]).await.unwrap();
    let dead = async || (scene.world.waiting(queue::DEAD).await == 2).then_some(());
    eventually("two letters", PATIENCE, dead).await;
    let broker = Broker::new(scene.world.vhost.amqp_url().parse().unwrap(), "commands");
    let (all, stop) = (Filter::default(), CancellationToken::new());
    let shown = Shown { limit: 10, offset: 0, addresses: true, json: true, count: false };
    let mut out = Vec::new();
    assert_eq!(list(&broker, &all, shown, &mut out, &stop).await.unwrap().letters, 2);
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 2);
    assert_eq!(redrive(&broker, &all, 2, &stop).await.unwrap().letters, 2);
    eventually("two letters again", PATIENCE, dead).await;
    for _ in 0..2 {
        let letter = scene.world.dead_letter().await;
        let said = [header::HEADERS_LEFT_OUT, header::BODY_CUT_FROM].map(|name| letter.header(name));
        assert!(said.iter().flatten().count() == 1, "it still says what is missing: {said:?}");
    }
    scene.seen = 0;
    scene.ends().await;
}

#[tokio::test]
async fn a_worker_that_cannot_move_messages_is_not_ready_and_names_the_reason() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let full = json!({"max-length": 0, "overflow": "reject-publish"});
    world.vhost.policy("full", "dead$", Some(full)).await;
    // A full quorum queue refuses what comes when it is over its limit: two at once may both be taken.
    world.client.publish_bare(queue::EMAIL, b"first").await;
    let one_over = async || (world.waiting(queue::DEAD).await == 1).then_some(());
    eventually("the queue is over its limit", PATIENCE, one_over).await;
    world.client.publish_bare(queue::EMAIL, b"second").await;
    let says = |_, body: &Value| body["components"]["publisher"]["status"] == "down";
    let body = scene.worker.says("the publisher is down", says).await;
    assert!(body["components"]["publisher"]["reason"].as_str().unwrap().contains(queue::DEAD), "{body}");
    assert_eq!(scene.worker.readyz().await.map(|(status, _)| status), Some(503));
    world.register("meanwhile@example.com").await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    world.vhost.policy("full", "dead$", None).await;
    scene.worker.ready().await;
    for _ in 0..2 {
        world.dead_letter().await;
    }
    scene.world.marked(1).await;
    scene.world.ends_clean(scene.worker).await;
}

#[test]
fn fuzz_messages_through_a_broker() {
    let words: [&[u8]; 10] = [
        b"\x20\0",
        b"\x09x-attempt",
        b"\x0bx-deliveries",
        b"\x09x-suspect",
        b"\x12x-headers-left-out",
        b"l\0\0\0\0\0\0\0\x07",
        b"S\0\0\0\x02\xff\xfe",
        b"A\0\0\0\x05A\0\0\0\0",
        b"F\0\0\0\x03\x01aV",
        b"{\"email\":\"ada@example.com\",\"username\":\"ada\"}",
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // What has a type that nobody knows waits for it, a moment here.
    let scene = tokio::sync::Mutex::new(runtime.block_on(Scene::with(&[("MAIL_GIVE_UP_AFTER", "1s")])));
    // A byte says how long the body is, which comes first (none: a good one); the rest are the properties, mended.
    let floors = [("mailed", 260), ("dead", 20)];
    let target = Target { name: "messages", words: &words, runs: 200, longest: 40_000, floors: &floors };
    target.fuzz(|input| {
        let Some((length, rest)) = input.split_first() else { return "nothing" };
        let (body, properties) = rest.split_at(rest.len().min(usize::from(*length)));
        let properties = mended::properties(properties);
        runtime.block_on(async {
            let mut scene = scene.lock().await;
            // A message id that came before would be a task that was sent before.
            sqlx::query("DELETE FROM ledger").execute(scene.world.database.pool()).await.unwrap();
            let body = if body.is_empty() { task(scene.seen) } else { body.to_vec() };
            match scene.end_of("a message of any bytes", &properties, &body).await {
                Some(End::Mailed) => "mailed",
                Some(End::Dead(_)) => "dead",
                None => "refused by the broker",
            }
        })
    });
    runtime.block_on(scene.into_inner().ends());
    runtime.shutdown_timeout(Duration::from_secs(5));
}
