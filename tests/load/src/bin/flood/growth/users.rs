//! A million users: registration must not know of them, nor of the purge of expired idempotency keys.

use std::time::Duration;

use load::{Answer, Goal, Latencies, OpenLoop, Registrations, Report, Servers, median};

use super::{UUID, execute};
use crate::scale::Scale;

const USERS: usize = 1_000_000;
/// A quarter of the capacity of two cores: the figure is the path, not the queue.
const LOAD: OpenLoop = OpenLoop { rate: 20.0, length: Duration::from_secs(10) };
/// Empty, full, and full while it is purged take turns.
const ROUNDS: usize = 5;
/// Expired keys of one round: the purge takes longer for them than a round lasts.
const KEYS: usize = 40_000;

pub(super) async fn run(report: &mut Report, servers: &Servers, scale: Scale) {
    let users = scale.count(USERS);
    let (rounds, load) = (scale.rounds(ROUNDS), scale.load(LOAD));
    report.measuring(&format!("growth: registrations beside {users} users"));
    let (full, empty) = (&servers.users, &servers.another("user-api").await);
    let fill = format!(
        "INSERT INTO users (id, username, email, email_folded, password_hash)
         SELECT {UUID}, 'old-' || n, 'old-' || n || '@example.com', 'old-' || n || '@example.com', repeat('x', 97)
         FROM generate_series(1, {users}) AS n"
    );
    execute(full.pool(), fill).await;
    execute(full.pool(), "VACUUM ANALYZE users".to_owned()).await;
    execute(full.pool(), "CHECKPOINT".to_owned()).await;
    let (few, many) = (servers.api_of(empty, &[]).await, servers.api_of(full, &[]).await);
    let (mut beside, mut purging) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let alone = p99(&Registrations::at(&few.base_url()), &format!("few-{round}"), load).await;
        let among = p99(&Registrations::at(&many.base_url()), &format!("many-{round}"), load).await;
        expire(full, round).await;
        // An instance purges when it starts: this one does nothing else.
        let purger = servers.api_of(full, &[]).await;
        let while_purging = p99(&Registrations::at(&many.base_url()), &format!("purge-{round}"), load).await;
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM idempotency_keys").fetch_one(full.pool()).await.unwrap();
        report.note(&format!(
            "p99 {alone:.1} ms with no users, {among:.1} ms with {users}, {while_purging:.1} ms while {} keys were purged",
            KEYS as i64 - left
        ));
        assert!(left < KEYS as i64, "the purge ran");
        assert!(purger.terminate().await.success());
        execute(full.pool(), "TRUNCATE idempotency_keys".to_owned()).await;
        beside.push(among / alone);
        purging.push(while_purging / alone);
    }
    let name = format!("growth: p99 of registration, {users} users / none");
    report.add(name, median(beside), "ratio", Goal::AtMost(1.1));
    report.add("growth: the same, while keys are purged / none", median(purging), "ratio", Goal::AtMost(1.1));
}

async fn expire(full: &testkit::Database, round: usize) {
    let keys = format!(
        "INSERT INTO idempotency_keys (key, user_id, created_at)
         SELECT 'key-{round}-' || row_number() OVER (), id, now() - interval '25 hours' FROM users LIMIT {KEYS}"
    );
    execute(full.pool(), keys).await;
    // What making them costs the disk is no part of what is measured.
    execute(full.pool(), "CHECKPOINT".to_owned()).await;
}

/// Milliseconds.
async fn p99(client: &Registrations, name: &str, load: OpenLoop) -> f64 {
    let answers = load
        .run(|n| {
            let (client, name) = (client.clone(), format!("{name}-{n}"));
            async move { client.register(&name).await }
        })
        .await;
    assert!(
        answers.iter().all(|timed| timed.outcome == Answer::Created),
        "every registration is accepted: {answers:?}"
    );
    Latencies::of(answers.iter().map(|timed| timed.latency)).quantile(0.99)
}
