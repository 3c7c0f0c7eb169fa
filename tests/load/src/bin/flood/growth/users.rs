//! A million users: registration must not know of them, nor of the purge of expired idempotency keys.

use std::time::Duration;

use load::{Answer, Goal, Latencies, OpenLoop, Registrations, Report, Servers};
use testkit::{Database, Service};

use super::turns::{Beside, Turns};
use super::{UUID, execute};
use crate::scale::Scale;

const USERS: usize = 1_000_000;
/// Far below what two cores register a second with a hash that costs next to nothing: the figure is the path, not the queue. Beside a
/// real hash nobody would see what the database takes.
const LOAD: OpenLoop = OpenLoop { rate: 200.0, length: Duration::from_secs(10) };
const HASH: (&str, &str) = ("HASH_COST", "cheap");
const ROUNDS: usize = 6;
/// Expired keys of one round: the purge, 2,500 a second at most, takes longer for them than a round lasts.
const KEYS: usize = 40_000;

pub(crate) async fn run(report: &mut Report, scale: Scale) {
    let servers = &Servers::start().await;
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
    let (few, many) = (servers.api_of(empty, &[HASH]).await, servers.api_of(full, &[HASH]).await);
    for (api, name) in [(&few, "few"), (&many, "many")] {
        p99(api, &format!("warm-{name}"), load.shorter(0.2)).await;
    }
    let mut turns = Turns::default();
    for round in 0..rounds {
        for beside in Turns::of(round) {
            if beside == Beside::Purge {
                expire(full, round).await;
            }
            // After it each page is logged whole once more: before every turn or before none.
            execute(full.pool(), "CHECKPOINT".to_owned()).await;
            let p99 = match beside {
                Beside::Nothing => p99(&few, &format!("few-{round}"), load).await,
                Beside::Rows => p99(&many, &format!("many-{round}"), load).await,
                Beside::Purge => while_purged(servers, &many, round, load).await,
            };
            turns.add(beside, p99);
        }
    }
    turns.note(report);
    let name = format!("growth: p99 of registration, {users} users / none");
    report.add(name, turns.ratio(Beside::Rows), "ratio", Goal::AtMost(1.1));
    let purged = turns.ratio(Beside::Purge);
    report.add("growth: the same, while keys are purged / none", purged, "ratio", Goal::AtMost(1.1));
}

/// The p99 of registrations beside an instance that purges all the while, as each does when it starts.
async fn while_purged(servers: &Servers, api: &Service, round: usize, load: OpenLoop) -> f64 {
    let full = &servers.users;
    let purger = servers.api_of(full, &[]).await;
    let p99 = p99(api, &format!("purge-{round}"), load).await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM idempotency_keys").fetch_one(full.pool()).await.unwrap();
    assert!((1..KEYS as i64).contains(&left), "the purge ran all the while: {left} of {KEYS} keys are left");
    assert!(purger.terminate().await.success());
    execute(full.pool(), "TRUNCATE idempotency_keys".to_owned()).await;
    p99
}

async fn expire(full: &Database, round: usize) {
    let keys = format!(
        "INSERT INTO idempotency_keys (key, user_id, created_at)
         SELECT 'key-{round}-' || row_number() OVER (), id, now() - interval '25 hours' FROM users LIMIT {KEYS}"
    );
    execute(full.pool(), keys).await;
}

/// Milliseconds.
async fn p99(api: &Service, name: &str, load: OpenLoop) -> f64 {
    let client = Registrations::at(&api.base_url());
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
