//! What became of each mail: the log, and the command that asks it.

use std::time::Duration;

use contract::{TaskId, header, queue};
use email_worker::mail_log::keep;
use serde_json::Value;
use testkit::{Script, Stage, eventually};

use crate::commands::{changed, run};
use crate::helpers::{PATIENCE, World, registration};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const ANOTHER: &str = "another-key-of-thirty-two-letters";
const ADA: &str = "ada@example.com";

impl World {
    async fn mail_log(&self, arguments: &[&str], changes: &[(&'static str, &str)]) -> (i32, Vec<String>) {
        let variables = changed(&[("DATABASE_URL", self.database.url()), ("ADDRESS_HASH_KEY", KEY)], changes);
        run(&[&["mail-log", "find"], arguments].concat(), &variables).await
    }

    /// What the log has of one mail, once it is in this state.
    async fn logged(&self, id: TaskId, state: &str) -> Value {
        let sql = "SELECT to_jsonb(mail_log) FROM mail_log WHERE id = $1 AND state = $2";
        eventually(&format!("{id} is {state} in the log"), PATIENCE, async || {
            let found = sqlx::query_scalar(sql).bind(id.as_uuid()).bind(state);
            found.fetch_optional(self.database.pool()).await.unwrap()
        })
        .await
    }

    async fn rows(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM mail_log").fetch_one(self.database.pool()).await.unwrap()
    }

    async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(self.database.pool()).await.unwrap();
    }
}

/// What `--json` printed.
fn objects(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test]
async fn a_mail_that_was_sent_is_found_by_its_id_its_address_and_its_trace() {
    let world = World::new().await;
    let worker = world.worker_with(&[("ADDRESS_HASH_KEY", KEY)]).await;
    let (id, trace) = (TaskId::new(), "4bf92f3577b34da6a3ce929d0e0e4736");
    let mut headers = testkit::lapin::types::FieldTable::default();
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    headers.insert(header::TRACEPARENT.into(), testkit::lapin::types::AMQPValue::LongString(parent.into()));
    world.publish(ADA, registration(id).with_headers(headers)).await;
    world.register("bob@example.com").await;
    world.marked(2).await;
    // The same statement.
    let row = world.logged(id, "sent").await;
    assert_eq!(
        (&row["attempts"], &row["mail_type"], &row["domain"]),
        (&1.into(), &"email.welcome".into(), &"example.com".into())
    );

    for asked in [["--id", &id.to_string()], ["--address", "Ada@Example.COM"], ["--trace", trace]] {
        let (code, lines) = world.mail_log(&[&asked[..], &["--json"]].concat(), &[]).await;
        let found = objects(&lines);
        assert_eq!((code, found.len()), (0, 1), "{asked:?}: {lines:?}");
        assert_eq!((&found[0]["id"], &found[0]["state"]), (&id.to_string().into(), &"sent".into()), "{asked:?}");
        assert_eq!(found[0]["trace"], trace);
        let (code, lines) = world.mail_log(&asked, &[]).await;
        assert_eq!(code, 0);
        assert!(lines[0].starts_with("ID") && lines[1].contains("sent"), "{lines:?}");
    }
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_mail_that_is_refused_for_a_while_has_a_row_for_each_attempt() {
    let world = World::new().await;
    let later = Script::healthy().reply(Stage::Rcpt, "451 4.3.0 <ada@example.com>: try again").times(2);
    world.smtp.set_script(later);
    let worker = world.worker_with(&[("MAIL_RATE_ADAPTS", "off"), ("HOSTNAME", "worker-7")]).await;
    let id = world.register(ADA).await;
    world.logged(id, "sent").await;
    let (code, lines) = eventually("both attempts are in the log", PATIENCE, async || {
        let told = world.mail_log(&["--id", &id.to_string(), "--json"], &[]).await;
        (objects(&told.1)[0]["failed"].as_array().is_some_and(|failed| failed.len() == 2)).then_some(told)
    })
    .await;
    let found = &objects(&lines)[0];
    assert_eq!((code, &found["state"], &found["attempts"]), (0, &"sent".into(), &3.into()), "{lines:?}");
    assert_eq!(found["due"], Value::Null, "it is not tried again");
    for (at, failed) in found["failed"].as_array().unwrap().iter().enumerate() {
        assert_eq!(failed["number"], at + 1);
        assert_eq!((&failed["code"], &failed["enhanced"]), (&451.into(), &"4.3.0".into()));
        assert_eq!((&failed["stage"], &failed["state"]), (&"rcpt".into(), &"retried".into()));
        assert_eq!(failed["worker"], "worker-7");
        assert!(failed["text"].as_str().is_some_and(|text| text.contains("try again") && !text.contains("ada")));
    }
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_mail_that_waits_says_until_when_and_a_dead_one_why() {
    let world = World::new().await;
    let script = Script::healthy()
        .reply(Stage::Rcpt, "550 5.7.1 not from you")
        .for_recipient("bob@example.com")
        .reply(Stage::Rcpt, "451 4.2.1 try again")
        .for_recipient(ADA);
    world.smtp.set_script(script);
    let worker = world.worker_with(&[("MAIL_RETRY_SCHEDULE", "1h")]).await;
    let (waiting, dead) = (world.register(ADA).await, world.register("bob@example.com").await);
    let (waiting, dead) = (world.logged(waiting, "retried").await, world.logged(dead, "dead").await);
    assert_eq!(waiting["attempts"], 1);
    assert!(waiting["due"].is_string() && waiting["reason"].is_null(), "{waiting}");
    assert_eq!((&dead["reason"], &dead["attempts"]), (&"policy-violation".into(), &1.into()));
    assert!(dead["detail"].as_str().is_some_and(|why| why.contains("not from you")), "{dead}");
    worker.stop().await;
}

#[tokio::test]
async fn what_never_reaches_the_mail_server_is_in_the_log_as_well() {
    let world = World::new().await;
    let worker = world.worker_with(&[("ADDRESS_HASH_KEY", KEY)]).await;
    let variables = [("DATABASE_URL", world.database.url().to_owned()), ("ADDRESS_HASH_KEY", KEY.to_owned())];
    assert_eq!(run(&["suppressions", "add", ADA], &variables).await.0, 0);
    let suppressed = world.register(ADA).await;
    let late = TaskId::new();
    let mut headers = testkit::lapin::types::FieldTable::default();
    headers.insert(header::EXPIRES_AT.into(), testkit::lapin::types::AMQPValue::LongLongInt(1_000_000_000));
    world.publish("late@example.com", registration(late).with_headers(headers)).await;
    assert_eq!(world.logged(suppressed, "suppressed").await["attempts"], 0);
    assert_eq!(world.logged(late, "expired").await["attempts"], 0);
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_log_of_failures_has_no_row_of_a_mail_that_just_went_out_and_one_that_is_off_has_none() {
    let world = World::new().await;
    let refused = || Script::healthy().reply(Stage::Rcpt, "451 4.2.1 try again").for_recipient(ADA).times(1);
    world.smtp.set_script(refused());
    let worker = world.worker_with(&[("MAIL_LOG", "failures")]).await;
    let (ada, _) = (world.register(ADA).await, world.register("bob@example.com").await);
    world.marked(2).await;
    assert_eq!(world.logged(ada, "sent").await["attempts"], 2);
    assert_eq!(world.rows().await, 1);
    world.ends_clean(worker).await;

    world.smtp.set_script(refused());
    let worker = world.worker_with(&[("MAIL_LOG", "off")]).await;
    world.register(ADA).await;
    world.marked(3).await;
    world.ends_clean(worker).await;
    assert_eq!(world.rows().await, 1, "something was logged");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_costs_no_mail_and_repeats_none() {
    let world = World::new().await;
    let worker = world.worker().await;
    world.execute("ALTER TABLE mail_log ADD CHECK (domain <> 'example.com')").await;
    world.register_many("user", 20).await;
    world.marked(20).await;
    world.execute("DROP TABLE mail_attempts; DROP TABLE mail_log").await;
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, "451 4.2.1 try again").for_recipient(ADA).times(1));
    world.register(ADA).await;
    world.marked(21).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 21, "a mail was repeated, or lost");
}

#[tokio::test]
async fn nobody_can_read_an_address_or_a_name_out_of_the_log() {
    let world = World::new().await;
    let script = Script::healthy()
        .reply(Stage::Rcpt, "550 5.7.1 <xanthippe@example.com>: Xanthippe not from you")
        .for_recipient("xanthippe@example.com");
    world.smtp.set_script(script);
    let worker = world.worker_with(&[("ADDRESS_HASH_KEY", KEY)]).await;
    let id = TaskId::new();
    let body = br#"{"email":"xanthippe@example.com","username":"Xanthippe"}"#;
    world.client.publish(queue::EMAIL, body, registration(id)).await;
    world.logged(id, "dead").await;
    eventually("the attempt is in the log", PATIENCE, async || {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM mail_attempts").fetch_one(world.database.pool()).await.unwrap();
        (count == 1).then_some(())
    })
    .await;
    let all = "SELECT string_agg(mail_log::text || coalesce(mail_attempts::text, ''), '') FROM mail_log, mail_attempts";
    let all: String = sqlx::query_scalar(all).fetch_one(world.database.pool()).await.unwrap();
    assert!(!all.to_lowercase().contains("xanthippe"), "{all}");
    worker.stop().await;
}

#[tokio::test]
async fn old_rows_are_found_for_as_long_as_the_old_key_is_given() {
    let world = World::new().await;
    let worker = world.worker_with(&[("ADDRESS_HASH_KEY", KEY)]).await;
    world.register(ADA).await;
    world.marked(1).await;
    worker.stop().await;
    let rotated = [("ADDRESS_HASH_KEY", ANOTHER), ("ADDRESS_HASH_KEY_OLD", KEY)];
    assert_eq!(world.mail_log(&["--address", ADA], &rotated).await.0, 0);
    assert_eq!(world.mail_log(&["--address", ADA], &[("ADDRESS_HASH_KEY", ANOTHER)]).await.0, 1);
    let (code, lines) = world.mail_log(&["--address", ADA], &[("ADDRESS_HASH_KEY", "")]).await;
    assert_eq!(code, 64, "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("ADDRESS_HASH_KEY is missing")), "{lines:?}");
}

#[tokio::test]
async fn the_command_says_what_the_ledger_alone_knows_and_that_nothing_is_known() {
    let world = World::new().await;
    let (code, lines) = world.mail_log(&["--id", &TaskId::new().to_string()], &[]).await;
    assert_eq!(code, 1, "{lines:?}");
    assert!(lines[0].contains("nothing is known"), "{lines:?}");
    world.smtp.set_script(Script::healthy().hang_at(Stage::Content));
    let worker = world.worker_with(&[("MAIL_LOG", "off"), ("SMTP_DATA_TIMEOUT", "60s")]).await;
    let id = world.register(ADA).await;
    let (code, lines) = eventually("it is being sent", PATIENCE, async || {
        let told = world.mail_log(&["--id", &id.to_string()], &[]).await;
        (told.0 == 0).then_some(told)
    })
    .await;
    assert_eq!((code, lines[0].as_str()), (0, "a worker has it at this moment"));
    worker.stop().await;

    world.smtp.set_script(Script::healthy());
    let worker = world.worker().await;
    world.loses_its_mail_server().await;
    let id = world.register("bob@example.com").await;
    worker.circuit_opens("unreachable").await;
    worker.stop().await;
    let (code, lines) = world.mail_log(&["--id", &id.to_string()], &[]).await;
    assert_eq!(code, 0);
    assert!(lines[0].contains("waits for its next turn"), "{lines:?}");
    let (_, lines) = world.mail_log(&["--id", &id.to_string(), "--json"], &[]).await;
    assert_eq!(objects(&lines), [serde_json::json!({"state": "waiting", "attempts": 0})]);

    for (arguments, part) in [
        (vec![], "--id"),
        (vec!["--trace", "4bf9"], "32 hexadecimal digits"),
        (vec!["--address", "nobody"], "--address"),
        (vec!["--address", ADA, "--trace", "4bf92f3577b34da6a3ce929d0e0e4736"], "--trace"),
    ] {
        let (code, lines) = world.mail_log(&arguments, &[]).await;
        assert_eq!(code, 64, "{arguments:?}: {lines:?}");
        assert!(lines.iter().any(|line| line.contains(part)), "{arguments:?}: {lines:?}");
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn days_are_made_ahead_once_and_dropped_when_they_are_old() {
    let world = World::new().await;
    let pool = world.database.pool();
    let partitions = async || -> Vec<String> {
        let sql = "SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                   WHERE inhparent = 'mail_log'::regclass ORDER BY relname";
        sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
    };
    let (oldest, newest) = {
        let looks = (0..8).map(|_| {
            tokio::spawn({
                let pool = pool.clone();
                async move { keep(&pool, 30 * DAY).await.unwrap() }
            })
        });
        let looks: Vec<_> = looks.collect();
        let mut days = Vec::new();
        for look in looks {
            days.push(look.await.unwrap());
        }
        days.dedup();
        assert_eq!(days.len(), 1, "workers that start together see different days: {days:?}");
        days[0]
    };
    assert_eq!((newest - oldest).whole_days(), 2, "today and two more");
    let made = partitions().await;
    assert_eq!(made.len(), 3, "{made:?}");

    let old = "CREATE TABLE mail_log_20200101 (LIKE mail_log INCLUDING ALL);
               ALTER TABLE mail_log ATTACH PARTITION mail_log_20200101 FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')";
    world.execute(old).await;
    let mut backup = pool.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM mail_log").execute(&mut *backup).await.unwrap();
    // Somebody reads: the day stays, and nobody fails or waits for long.
    let (first, _) = keep(pool, 30 * DAY).await.unwrap();
    assert_eq!(first.year(), 2020);
    backup.rollback().await.unwrap();
    assert_eq!(keep(pool, 30 * DAY).await.unwrap(), (oldest, newest));
    assert_eq!(partitions().await, made);
}

#[tokio::test]
async fn a_role_that_may_make_no_tables_keeps_the_days_up() {
    let world = World::new().await;
    let mut worker = world.database.pool().begin().await.unwrap();
    let keep = "SELECT newest::text FROM mail_log_keep('30 days')";
    let newest: String = sqlx::query_scalar(keep).fetch_one(&mut *worker).await.unwrap();
    let partition = format!("mail_log_{}", newest.replace('-', ""));
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP TABLE {partition}"))).execute(&mut *worker).await.unwrap();
    sqlx::raw_sql("SET LOCAL ROLE pg_monitor").execute(&mut *worker).await.unwrap();
    let again: String = sqlx::query_scalar(keep).fetch_one(&mut *worker).await.unwrap();
    assert_eq!(again, newest);
}
