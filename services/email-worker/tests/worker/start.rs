//! What a worker waits for before its first task, and what it does not wait for at all.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contract::{TaskId, header, queue};
use testkit::{PgBouncer, Pooling, Postgres, Script, Service, SmtpOptions, Stage, address_of, eventually};

use crate::helpers::{PATIENCE, Running, World, get, is_held_by, registration};

#[tokio::test]
async fn a_worker_whose_database_is_not_there_or_not_migrated_is_not_ready_and_takes_no_task() {
    let server = Postgres::start().await;
    let world = World::within(testkit::vhost().await, server.database().await, SmtpOptions::default()).await;
    world.queue_exists().await;
    let tables = "ALTER TABLE ledger RENAME TO hidden";
    sqlx::query(tables).execute(world.database.pool()).await.unwrap();
    server.kill();
    let worker = world.unready_worker(&[]).await;
    world.register("ada@example.com").await;
    let says = |what: &'static str| {
        move |status: u16, body: &serde_json::Value| {
            let reason = body["components"]["database"]["reason"].as_str();
            status == 503 && reason.is_some_and(|reason| reason.contains(what))
        }
    };
    worker.says("the database is away", says("refused")).await;
    server.restart().await;
    let said = worker.says("its tables are missing", says("run `email-worker migrate`")).await;
    let reason = said["components"]["database"]["reason"].as_str().unwrap_or_default();
    assert!(!reason.contains("at line"), "a line of PostgreSQL's source: {reason}");
    assert_eq!(world.waiting(queue::EMAIL).await, 1, "a task was taken by a worker that could not send it");
    sqlx::query("ALTER TABLE hidden RENAME TO ledger").execute(world.database.pool()).await.unwrap();
    worker.ready().await;
    world.marked(1).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_worker_whose_database_does_not_exist_says_so() {
    let world = World::new().await;
    let missing = format!("{}_missing", world.database.url());
    let worker = world.unready_worker(&[("DATABASE_URL", &missing)]).await;
    worker
        .says("there is no such database", |status, body| {
            status == 503
                && body["components"]["database"]["reason"].as_str().is_some_and(|r| r.contains("does not exist"))
        })
        .await;
    worker.stop().await;
}

/// Not ready for this cause, with the broker there, and without a task.
async fn waits_for_its_mail_server(world: &World, worker: &Running, cause: &str) {
    let what = format!("not ready: {cause}");
    let says = worker.says(&what, |status, body| {
        status == 503 && is_held_by(body, cause) && body["components"]["broker"]["status"] == "up"
    });
    says.await;
    assert_eq!(world.waiting(queue::EMAIL).await, 1, "{cause}: a task was taken by a worker that could not send it");
}

#[tokio::test]
async fn a_worker_whose_mail_server_has_not_greeted_yet_is_not_ready_and_takes_no_task() {
    let auth = Some(("worker".to_owned(), "password".to_owned()));
    let login = [("SMTP_USERNAME", "worker"), ("SMTP_PASSWORD", "password")];
    let wrong = [("SMTP_USERNAME", "worker"), ("SMTP_PASSWORD", "other")];
    let world = World::with(SmtpOptions { auth, ..SmtpOptions::default() }).await;
    world.queue_exists().await;
    world.register("ada@example.com").await;
    let mut misled = world.unready_worker(&wrong).await;
    waits_for_its_mail_server(&world, &misled, "login-refused").await;
    misled.stop().await;
    misled = world.unready_worker(&[login[0], login[1], ("SMTP_TLS", "starttls")]).await;
    waits_for_its_mail_server(&world, &misled, "tls").await;
    misled.stop().await;

    world.smtp.set_script(Script::healthy().reply(Stage::Connect, "554 5.3.2 no service"));
    let refused = world.unready_worker(&login).await;
    waits_for_its_mail_server(&world, &refused, "not-greeted").await;
    refused.stop().await;
    world.loses_its_mail_server().await;
    world.smtp.set_script(Script::healthy());
    let worker = world.unready_worker(&login).await;
    waits_for_its_mail_server(&world, &worker, "unreachable").await;
    assert_eq!(worker.livez().await, Some(200), "it waits");

    world.smtp.listen_again().await;
    worker.ready().await;
    world.marked(1).await;
    // From now on an outage is told, and the worker stays ready.
    world.loses_its_mail_server().await;
    world.register("bob@example.com").await;
    worker.circuit_opens("unreachable").await;
    world.smtp.listen_again().await;
    world.marked(2).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 2, "a probe was a mail, or a mail was repeated");
}

#[tokio::test]
async fn a_worker_whose_mail_server_has_no_address_is_not_ready_and_names_it() {
    let world = World::new().await;
    let worker = world.process(&[("SMTP_HOST", "mail.invalid"), ("SMTP_CONNECT_TIMEOUT", "30s")]);
    let line = worker.wait_for_log("before the mail server has greeted", PATIENCE).await;
    assert!(line.contains("cannot reach the mail server: mail.invalid: "), "{line}");
    // The report follows the line.
    let body = eventually("it says why it is not ready", PATIENCE, async || {
        let (status, body) = get(address_of(&worker.admin_url()), "/readyz").await.unwrap();
        assert_eq!(status, 503, "{body}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        is_held_by(&body, "unreachable").then_some(body)
    })
    .await;
    assert!(body.to_string().contains("mail.invalid"), "{body}");
}

#[tokio::test]
async fn a_database_that_is_not_utf_8_is_refused_before_anything_is_changed() {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let database = testkit::database_encoded(encoding).await;
        let url = [("DATABASE_URL", database.url().to_owned())];
        let run = Service::spawn_with("email-worker", &["migrate"], &url);
        let (code, line) = run.failed(PATIENCE).await;
        assert!(line.contains("DATABASE_URL") && line.contains(encoding) && line.contains("UTF8"), "{line}");
        assert_eq!(code, Some(78), "{line}");
        assert_eq!(database.tables().await, [""; 0], "{encoding}");
    }
}

#[tokio::test]
async fn a_pooler_that_mixes_up_statements_is_refused_at_start_with_one_line() {
    let world = World::new().await;
    let pooler = PgBouncer::start(&world.database, Pooling::Transaction, &[]).await;
    let worker = world.process(&[("DATABASE_URL", pooler.url())]);
    assert_eq!(worker.exited(PATIENCE).await.code(), Some(78), "{:#?}", worker.log_lines());
    let line = worker.wait_for_log("error:", PATIENCE).await;
    assert!(line.contains("DATABASE_URL") && line.contains("max_prepared_statements"), "{line}");
}

#[tokio::test]
async fn behind_a_pooler_in_session_mode_mails_are_sent_once() {
    let world = World::new().await;
    let pooler = PgBouncer::start(&world.database, Pooling::Session, &[]).await;
    let worker = world.worker_with(&[("DATABASE_URL", pooler.url())]).await;
    world.register_many("user", 50).await;
    world.marked(50).await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 50, "a mail was lost or repeated");
}

/// In this database `clock_timestamp()` and `now()` are eight days late, by functions that stand before PostgreSQL's own.
async fn eight_days_late(world: &World) {
    let name = world.database.url().rsplit_once('/').unwrap().1;
    let late = "
        CREATE SCHEMA late;
        CREATE FUNCTION late.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
            AS $$ SELECT pg_catalog.clock_timestamp() - interval '8 days' $$;
        CREATE FUNCTION late.now() RETURNS timestamptz LANGUAGE sql STABLE
            AS $$ SELECT pg_catalog.now() - interval '8 days' $$;";
    let path = format!("ALTER DATABASE {name} SET search_path = late, pg_catalog, public");
    sqlx::raw_sql(late).execute(world.database.pool()).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(path)).execute(world.database.pool()).await.unwrap();
}

#[tokio::test]
async fn a_worker_whose_clock_is_eight_days_ahead_of_the_databases_judges_age_by_that() {
    let world = World::new().await;
    eight_days_late(&world).await;
    let worker = world.worker().await;
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let days = |n: u64| n * 24 * 3600;
    // Published this moment, by all clocks but the worker's.
    world.publish("ada@example.com", registration(TaskId::new()).with_timestamp(here - days(8))).await;
    world.marked(1).await;
    world.publish("old@example.com", registration(TaskId::new()).with_timestamp(here - days(16))).await;
    let dead = world.dead_letter().await;
    assert_eq!(dead.header(header::DEAD_REASON).as_deref(), Some("too-old-to-deduplicate"));
    let at: u64 = dead.header(header::DEAD_AT).expect("when it was put aside").parse().unwrap();
    assert!(at.abs_diff(here - days(8)) < 3600, "put aside at {at}, by the worker's clock: here it is {here}");
    world.ends_clean(worker).await;
    let mails = world.smtp.wait_for_mails(1, Duration::from_secs(1)).await;
    assert_eq!(mails.len(), 1, "a mail was put aside, or one too many was sent");
}

#[tokio::test]
async fn a_variable_is_understood_by_its_old_name_for_one_release_and_told() {
    let world = World::new().await;
    for (old, new) in [("MAIL_RETRY_LADDER", "MAIL_RETRY_SCHEDULE")] {
        let worker = world.process(&[(new, ""), (old, "7s")]);
        let line = worker.wait_for_log("by its old name", PATIENCE).await;
        assert!(line.contains("\"level\":\"WARN\""), "{line}");
        assert!(line.contains(&format!("\"old\":\"{old}\"")) && line.contains(&format!("\"new\":\"{new}\"")), "{line}");
        worker.ready().await;
        assert!(world.vhost.queue_info(&queue::retry(Duration::from_secs(7))).await.is_some(), "{old} has no effect");
        worker.terminate().await;
    }
}

#[tokio::test]
async fn a_hold_that_a_broker_does_not_bear_by_default_is_told_at_the_start() {
    let world = World::new().await;
    let worker = world.process(&[("HOLD_LIMIT", "16m")]);
    let line = worker.wait_for_log("a task may be held for 16m", PATIENCE).await;
    assert!(line.contains("\"level\":\"WARN\"") && line.contains("consumer_timeout must be 32m or more"), "{line}");
    worker.terminate().await;
}

#[tokio::test]
async fn a_variable_that_is_almost_one_of_ours_is_told_at_the_start() {
    let world = World::new().await;
    let worker = world.process(&[("MAIL_RTAE", "5"), ("RABBITMQ_PORT_5672_TCP_ADDR", "10.0.0.1")]);
    let line = worker.wait_for_log("almost one of this service", PATIENCE).await;
    assert!(line.contains("\"level\":\"WARN\""), "{line}");
    assert!(line.contains("\"name\":\"MAIL_RTAE\"") && line.contains("\"meant\":\"MAIL_RATE\""), "{line}");
    worker.ready().await;
    worker.terminate().await;
    let told = worker.log_lines().iter().filter(|line| line.contains("almost one of")).count();
    assert_eq!(told, 1, "{:#?}", worker.log_lines());
}
