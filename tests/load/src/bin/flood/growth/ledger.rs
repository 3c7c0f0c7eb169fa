//! Five million rows in the ledger: claims and marks must not know of them, nor of their purge.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use load::{Goal, Latencies, OpenLoop, Producer, Progress, Report, Servers};
use testkit::{Database, Vhost, eventually};

use super::turns::{Beside, Turns};
use super::{UUID, execute};
use crate::scale::Scale;

const ROWS: usize = 5_000_000;
/// Far below what a worker sends: the figure is the path, not the queue.
const LOAD: OpenLoop = OpenLoop { rate: 300.0, length: Duration::from_secs(5) };
const ROUNDS: usize = 9;

pub(crate) async fn run(report: &mut Report, scale: Scale) {
    let servers = &Servers::start().await;
    let rows = scale.count(ROWS);
    let (rounds, load) = (scale.rounds(ROUNDS), scale.load(LOAD));
    report.measuring(&format!("growth: mails beside a ledger of {rows} rows"));
    let (full, empty) = (&servers.ledger, &servers.another("email-worker").await);
    fill(full, rows).await;
    report.add("growth: the ledger's disk for a mail remembered", size(full).await / rows as f64, "bytes", Goal::None);
    // A queue for each worker; the purger has one that nobody publishes to.
    let vhosts = [servers.rabbit.vhost().await, servers.rabbit.vhost().await, servers.rabbit.vhost().await];
    let few = servers.worker_of(empty, &vhosts[0], &[]);
    let many = servers.worker_of(full, &vhosts[1], &[]);
    few.ready().await;
    many.ready().await;
    for vhost in &vhosts[..2] {
        p99(servers, vhost, load.shorter(0.2)).await;
    }
    let mut turns = Turns::default();
    for round in 0..rounds {
        for beside in Turns::of(round) {
            let p99 = match beside {
                Beside::Nothing => p99(servers, &vhosts[0], load).await,
                Beside::Rows => p99(servers, &vhosts[1], load).await,
                Beside::Purge => while_purged(report, servers, &vhosts, load).await,
            };
            turns.add(beside, p99);
        }
    }
    turns.note(report);
    let name = format!("growth: p99 from publish to mail, {rows} rows in the ledger / none");
    report.add(name, turns.ratio(Beside::Rows), "ratio", Goal::AtMost(1.1));
    let purged = turns.ratio(Beside::Purge);
    report.add("growth: the same, while the ledger is purged / none", purged, "ratio", Goal::AtMost(1.1));
}

/// The p99 while another worker purges the same ledger.
async fn while_purged(report: &Report, servers: &Servers, vhosts: &[Vhost; 3], load: OpenLoop) -> f64 {
    let full = &servers.ledger;
    let before = deleted(full).await;
    // Keeps so little that it always has something to purge: some thousand rows a second.
    let changes = [("LEDGER_RETENTION", "20s"), ("MAIL_GIVE_UP_AFTER", "20s")];
    let purger = servers.worker_of(full, &vhosts[2], &changes);
    eventually("the purge begins", Duration::from_secs(30), async || (deleted(full).await > before).then_some(()))
        .await;
    let p99 = p99(servers, &vhosts[1], load).await;
    report.note(&format!("{} rows were purged meanwhile", deleted(full).await - before));
    assert!(purger.terminate().await.success());
    p99
}

/// Rows as the worker left them in the last days.
async fn fill(ledger: &Database, rows: usize) {
    let fill = format!(
        "INSERT INTO ledger (id, owner, until, sent_at, first_seen)
         SELECT {UUID}, '00000000-0000-7000-8000-000000000000', at, at, at
         FROM generate_series(1, {rows}) AS n, LATERAL (SELECT now() - interval '6 days' + n * interval '50 ms' AS at) AS moment"
    );
    execute(ledger.pool(), fill).await;
    execute(ledger.pool(), "VACUUM ANALYZE ledger".to_owned()).await;
    execute(ledger.pool(), "CHECKPOINT".to_owned()).await;
}

/// Bytes of its rows and indexes.
async fn size(ledger: &Database) -> f64 {
    let size: i64 =
        sqlx::query_scalar("SELECT pg_total_relation_size('ledger')").fetch_one(ledger.pool()).await.unwrap();
    size as f64
}

/// Rows that were ever deleted, as far as the statistics know yet.
async fn deleted(ledger: &Database) -> i64 {
    let deleted = sqlx::query_scalar("SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'ledger'");
    deleted.fetch_one(ledger.pool()).await.unwrap()
}

/// From the intended start of a task's publishing until its mail was taken; milliseconds.
async fn p99(servers: &Servers, vhost: &Vhost, load: OpenLoop) -> f64 {
    servers.smtp.clear();
    let progress = Progress::start("tasks published", load.count());
    let produced = Producer::new(vhost.amqp_url()).run(load, &progress).await;
    progress.finish();
    servers.smtp.wait_for_count(load.count(), Duration::from_secs(30)).await;
    let arrivals = servers.smtp.arrivals();
    let at: HashMap<&str, Instant> = arrivals.iter().map(|arrival| (arrival.to.as_str(), arrival.at)).collect();
    let latency = |n: usize| at[load::recipient(n).as_str()].duration_since(produced.start + load.intended(n));
    Latencies::of((0..load.count()).map(latency)).quantile(0.99)
}
