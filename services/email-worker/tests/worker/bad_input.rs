//! Messages that are no tasks, or odd ones: put aside with the reason, or mailed where that is harmless.

use contract::{MAX_BODY, header, queue};
use testkit::lapin::BasicProperties;
use testkit::lapin::types::{AMQPValue, FieldTable};
use testkit::{Script, Stage};

use crate::helpers::{PATIENCE, World, body};

fn headers(entries: &[(&str, AMQPValue)]) -> BasicProperties {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert((*name).into(), value.clone());
    }
    BasicProperties::default().with_headers(table)
}

#[tokio::test]
async fn what_is_no_task_is_put_aside_as_it_came_and_the_next_one_is_mailed() {
    let nested = format!(r#"{{"email":{}{},"username":"ada"}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let large = format!(r#"{{"email":"ada@example.com","username":"{}"}}"#, "a".repeat(1 << 20));
    let with_type = |kind: &str| BasicProperties::default().with_type(kind.into());
    let none = BasicProperties::default;
    let table = [
        ("not JSON", b"hello".to_vec(), none(), "not-json"),
        ("empty", Vec::new(), none(), "not-json"),
        ("not UTF-8", vec![b'{', 0xff, 0xfe, b'}'], none(), "not-json"),
        ("a list", br#"["ada@example.com","ada"]"#.to_vec(), none(), "not-json"),
        ("no email", br#"{"username":"ada"}"#.to_vec(), none(), "no-email"),
        ("an email that is a number", br#"{"email":7,"username":"ada"}"#.to_vec(), none(), "no-email"),
        ("no address", br#"{"email":"nobody","username":"ada"}"#.to_vec(), none(), "bad-email"),
        ("a second header in the address", body("ada@example.com\r\nBcc: eve@example.com"), none(), "bad-email"),
        ("no username", br#"{"email":"ada@example.com"}"#.to_vec(), none(), "no-username"),
        (
            "a second header in the username",
            br#"{"email":"ada@example.com","username":"a\r\nBcc: eve@example.com"}"#.to_vec(),
            none(),
            "bad-username",
        ),
        ("1 MiB", large.into_bytes(), none(), "too-large"),
        ("deep nesting", nested.into_bytes(), none(), "not-json"),
        ("a type that no mail can have", body("ada@example.com"), with_type("Email Goodbye"), "bad-type"),
        ("no gzip", body("ada@example.com"), encoded("gzip"), "bad-encoding"),
        ("a bomb", gzip(&vec![b' '; 2_000_000]), encoded("gzip"), "too-large"),
        ("unknown encoding", gzip(&body("ada@example.com")), encoded("zstd"), "unknown-encoding"),
    ];
    let world = World::new().await;
    let worker = world.worker_with(&[("PREFETCH_MAX", "2"), ("SENDING_SLOTS", "1")]).await;
    for (row, (name, body, properties, reason)) in table.iter().enumerate() {
        world.client.publish(queue::EMAIL, body, properties.clone()).await;
        world.register(&format!("next-{row}@example.com")).await;
        let dead = world.dead_letter().await;
        assert_eq!(dead.header(header::DEAD_REASON).as_deref(), Some(*reason), "{name}");
        // Of what is longer than any task, the beginning is enough.
        assert!(dead.body == body[..body.len().min(MAX_BODY + 1)], "{name}: the body was changed");
        assert!(dead.message_id().is_some(), "{name}: without an id it can't be redriven by itself");
        let detail = dead.header(header::DEAD_DETAIL).unwrap();
        assert!(!detail.contains("example.com"), "{name}: {detail}");
    }
    world.smtp.wait_for_mails(table.len(), PATIENCE).await;
    world.marked(i64::try_from(table.len()).unwrap()).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), table.len());
}

fn encoded(encoding: &str) -> BasicProperties {
    BasicProperties::default().with_content_encoding(encoding.into())
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_compressed_task_is_mailed_also_where_it_had_to_wait_or_was_put_aside() {
    let world = World::new().await;
    let later = Script::healthy().reply(Stage::Rcpt, "451 4.3.0 later").times(1);
    world.smtp.set_script(later.reply(Stage::Rcpt, "550 5.1.1 nobody").for_recipient("nobody@example.com"));
    let worker = world.worker().await;
    world.client.publish(queue::EMAIL, &gzip(&body("ada@example.com")), encoded("gzip")).await;
    let mails = world.smtp.wait_for_mails(1, PATIENCE).await;
    assert_eq!(mails[0].to, ["ada@example.com"]);
    world.client.publish(queue::EMAIL, &gzip(&body("nobody@example.com")), encoded("gzip")).await;
    let dead = world.dead_letter().await;
    let encoding = dead.properties.content_encoding().as_ref().map(|encoding| encoding.as_str());
    assert_eq!(encoding, Some("gzip"), "nobody could read it any more");
    world.marked(1).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn what_is_odd_but_harmless_is_mailed() {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let id = |id: &str| BasicProperties::default().with_message_id(id.into());
    let table = [
        ("an attempt that is no number", headers(&[(header::ATTEMPT, text("many"))])),
        ("a negative attempt", headers(&[(header::ATTEMPT, AMQPValue::LongInt(-1))])),
        ("a huge attempt", headers(&[(header::ATTEMPT, AMQPValue::LongLongInt(i64::MAX))])),
        ("deliveries that are a table", headers(&[(header::DELIVERIES, AMQPValue::FieldTable(FieldTable::default()))])),
        ("a first failure beyond the calendar", headers(&[(header::FIRST_FAILED_AT, AMQPValue::Timestamp(u64::MAX))])),
        ("a trace that is a number", headers(&[(header::TRACEPARENT, AMQPValue::LongInt(7))])),
        ("a trace that is none", headers(&[(header::TRACEPARENT, text("00-nonsense"))])),
        ("a redrive in the far future", headers(&[(header::REDRIVEN_AT, AMQPValue::LongLongInt(i64::MAX))])),
        ("an empty type and id", BasicProperties::default().with_type("".into()).with_message_id("".into())),
        ("a timestamp of zero", BasicProperties::default().with_timestamp(0)),
        ("a timestamp in milliseconds", BasicProperties::default().with_timestamp(1_800_000_000_000)),
        ("a timestamp beyond everything", BasicProperties::default().with_timestamp(u64::MAX)),
        ("another content type", BasicProperties::default().with_content_type("text/plain".into())),
        ("an id with a second header", id("order 7>\r\nBcc: eve@example.com\r\nX: <")),
        ("an id that is an address", id("eve@example.com")),
        ("an id of 255 bytes", id(&"x".repeat(255))),
        ("priority and expiry", BasicProperties::default().with_priority(9).with_expiration("60000".into())),
    ];
    let world = World::new().await;
    let worker = world.worker().await;
    for (row, (_, properties)) in table.iter().enumerate() {
        world.publish(&format!("row-{row}@example.com"), properties.clone()).await;
    }
    let mails = world.smtp.wait_for_mails(table.len(), PATIENCE).await;
    for mail in &mails {
        assert_eq!(mail.to.len(), 1);
        let (text, id) = (String::from_utf8_lossy(&mail.data), mail.message_id());
        let head = text.split("\r\n\r\n").next().unwrap();
        assert!(!head.contains("Bcc") && !head.contains("eve@"), "a producer's id became a header:\n{head}");
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.@".contains(c);
        assert!(id.chars().all(plain), "Message-ID: {id}");
    }
    world.marked(i64::try_from(table.len()).unwrap()).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn fields_that_nobody_knows_are_ignored_and_the_language_is_picked() {
    let world = World::new().await;
    let worker = world.worker().await;
    let task = r#"{"email":"ada@example.com","username":"<b>ada</b>","locale":"zh-CN","plan":{"name":"gold"}}"#;
    let properties = BasicProperties::default().with_type("email.welcome".into());
    world.client.publish(queue::EMAIL, task.as_bytes(), properties).await;
    let mails = world.smtp.wait_for_mails(1, PATIENCE).await;
    let mail = mails[0].parsed();
    let (text, html) = (mail.body_text(0).unwrap(), mail.body_html(0).unwrap());
    assert!(text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "not in Chinese: {text}");
    assert!(!html.contains("<b>ada</b>"), "what a user wrote is not escaped");
    world.marked(1).await;
    world.ends_clean(worker).await;
}
