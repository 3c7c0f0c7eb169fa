//! user-api dies or freezes between the moments of the relay.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use system::{Load, System, repeated};
use testkit::{Span, eventually};

/// The lock that a test holds to keep the relay's DELETE from happening.
const GATE: i64 = 4711;

/// Makes every DELETE on the outbox wait for [`GATE`].
async fn gate_deletes(pool: &PgPool) {
    for statement in [
        format!(
            "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN OLD; END $$"
        ),
        "CREATE TRIGGER gate BEFORE DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION gate()".to_owned(),
    ] {
        sqlx::query(AssertSqlSafe(statement)).execute(pool).await.unwrap();
    }
}

async fn register(url: String, name: &str) {
    let answers = Load::new(vec![url], name).run(1, 1).await;
    assert_eq!(answers[0].status, Some(201), "registration works whatever the relay does");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_committed_by_an_instance_that_dies_before_it_publishes_is_published_by_another() {
    let system = System::start_with_own_broker().await;
    let worker = system.worker(&[]);
    let doomed = system.api(&[]).await;
    worker.ready().await;
    system.topology_settled().await;
    // Frozen, the broker confirms nothing.
    system.rabbit.own().pause();
    register(doomed.base_url(), "orphan").await;
    doomed.kill();
    system.rabbit.own().resume();

    let _other = system.api(&[("RELAY_POLL_INTERVAL", "1s")]).await;
    system.smtp.wait_for_mails(1, Duration::from_secs(30)).await;
    system.drained(Duration::from_secs(30)).await;
    assert_eq!(system.smtp.mails().len(), 1, "one mail for one registration");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_published_again_when_the_relay_dies_before_commit_and_mailed_once() {
    let system = System::start().await;
    gate_deletes(system.users_pool()).await;
    let mut gate = system.users_pool().acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock($1)").bind(GATE).execute(&mut *gate).await.unwrap();
    let worker = system.worker(&[]);
    let doomed = system.api(&[]).await;
    worker.ready().await;
    system.topology_settled().await;

    register(doomed.base_url(), "twice").await;
    system.smtp.wait_for_mails(1, Duration::from_secs(20)).await;
    assert_eq!(system.outbox().await, 1, "published and confirmed, not yet deleted");
    doomed.kill();
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(GATE).execute(&mut *gate).await.unwrap();
    assert_eq!(system.outbox().await, 1, "the row outlives its relay");

    let _other = system.api(&[("RELAY_POLL_INTERVAL", "1s")]).await;
    system.drained(Duration::from_secs(30)).await;
    assert_eq!(system.smtp.mails().len(), 1, "the ledger drops the second task");
    let duplicate = |span: &Span| span.attributes.get("sluice.disposition").is_some_and(|how| how == "duplicate");
    system.otlp.wait_for_spans(|spans| spans.iter().any(duplicate), Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_instance_gives_its_rows_back() {
    let system = System::start().await;
    gate_deletes(system.users_pool()).await;
    let mut gate = system.users_pool().acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock($1)").bind(GATE).execute(&mut *gate).await.unwrap();
    let worker = system.worker(&[]);
    // The transaction may idle for little more than the confirm timeout.
    let frozen = system.api(&[("CONFIRM_TIMEOUT", "2s")]).await;
    worker.ready().await;
    system.topology_settled().await;
    register(frozen.base_url(), "frozen").await;
    system.smtp.wait_for_mails(1, Duration::from_secs(20)).await;
    frozen.pause();
    // Its DELETE goes through on the server, its COMMIT never comes: the transaction idles, holding the row.
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(GATE).execute(&mut *gate).await.unwrap();

    let _other = system.api(&[("RELAY_POLL_INTERVAL", "1s")]).await;
    eventually("the row of the frozen instance is published by the other", Duration::from_secs(40), async || {
        (system.outbox().await == 0).then_some(())
    })
    .await;
    frozen.resume();
    system.drained(Duration::from_secs(30)).await;
    assert_eq!(repeated(&system.mailed()).len(), 0, "one mail, whoever published the task");
}
