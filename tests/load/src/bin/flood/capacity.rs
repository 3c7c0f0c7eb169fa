//! The constants of docs/capacity.md: what a registration and a mail cost each part. Then a point that none of them was taken from
//! is predicted, and measured.

use std::time::{Duration, Instant};

use load::{Goal, Registrations, Report, Servers, process};
use sqlx::PgPool;
use testkit::{Service, eventually};

use crate::scale::Scale;

/// Registrations, and mails, that the costs are taken from.
const REGISTRATIONS: usize = 20_000;
const MAILS: usize = 40_000;
/// Registrations of the point that is predicted.
const BOTH: usize = 20_000;
/// Clients of a closed loop.
const CLIENTS: usize = 32;
/// Connections that commit, to find how many commits the disk bears.
const COMMITTERS: u32 = 32;
const PATIENCE: Duration = Duration::from_secs(300);

/// CPU time and bytes so far; or, subtracted, of a stretch.
#[derive(Debug, Clone, Copy)]
struct Spent {
    /// Seconds of CPU: user-api, email-worker, PostgreSQL, RabbitMQ, and this program, which is all clients and the mail server.
    cpu: [f64; 5],
    /// Bytes of write-ahead log.
    wal: f64,
    /// Bytes that the broker wrote to its disk.
    broker: f64,
}

const PARTS: [&str; 5] = ["user-api", "email-worker", "PostgreSQL", "RabbitMQ", "clients and mail server"];

impl Spent {
    async fn so_far(servers: &Servers, api: Option<&Service>, worker: Option<&Service>) -> Self {
        let of = |service: Option<&Service>| service.map_or(Duration::ZERO, |service| process::cpu(service.pid()));
        let cpu = [
            of(api),
            of(worker),
            process::cpu_of_mine("postgres"),
            process::cpu_of_mine("beam.smp"),
            process::cpu(std::process::id()),
        ];
        let wal: i64 = sqlx::query_scalar("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8")
            .fetch_one(servers.users.pool())
            .await
            .unwrap();
        Self {
            cpu: cpu.map(|cpu| cpu.as_secs_f64()),
            wal: wal as f64,
            broker: process::written_by_mine("beam.smp") as f64,
        }
    }

    /// What each of so many cost since `before`.
    fn since(&self, before: &Self, count: usize) -> Self {
        let each = |now: f64, then: f64| (now - then) / count as f64;
        Self {
            cpu: std::array::from_fn(|part| each(self.cpu[part], before.cpu[part])),
            wal: each(self.wal, before.wal),
            broker: each(self.broker, before.broker),
        }
    }

    fn tell(&self, report: &mut Report, what: &str) {
        for (part, cpu) in PARTS.iter().zip(self.cpu) {
            if cpu > 0.0 {
                report.add(format!("capacity: CPU of {part}, {what}"), cpu * 1e6, "us", Goal::None);
            }
        }
        report.add(format!("capacity: write-ahead log, {what}"), self.wal, "bytes", Goal::None);
        report.add(format!("capacity: written by the broker, {what}"), self.broker, "bytes", Goal::None);
    }
}

pub(crate) async fn run(report: &mut Report, scale: Scale) {
    report.measuring("capacity: what a registration and a mail cost each part");
    let servers = Servers::start().await;
    let registration = registrations(&servers, scale.count(REGISTRATIONS)).await;
    let mail = mails(&servers, scale.count(MAILS)).await;
    registration.tell(report, "a registration");
    mail.tell(report, "a mail");
    let commits = commits(servers.users.pool()).await;
    report.add("capacity: commits a second of the database", commits, "commits/s", Goal::None);
    prediction(report, &servers, &registration, &mail, scale.count(BOTH)).await;
}

/// Registrations whose tasks stay in the queue; the hash costs next to nothing, and is not what is asked about.
async fn registrations(servers: &Servers, count: usize) -> Spent {
    let api = servers.api(&[("HASH_COST", "cheap")]).await;
    let client = Registrations::at(&api.base_url());
    client.accept_all("warm", 500, CLIENTS).await;
    queued(servers, 500).await;
    let before = Spent::so_far(servers, Some(&api), None).await;
    client.accept_all("cost", count, CLIENTS).await;
    queued(servers, 500 + count).await;
    let spent = Spent::so_far(servers, Some(&api), None).await.since(&before, count);
    assert!(api.terminate().await.success());
    spent
}

async fn queued(servers: &Servers, count: usize) {
    let client = servers.rabbit.client().await;
    eventually("every task is in the queue", PATIENCE, async || {
        (client.ready(contract::queue::EMAIL).await as usize >= count).then_some(())
    })
    .await;
    client.close().await;
}

/// Mails of tasks that were in the queue before, at the full rate of one worker.
async fn mails(servers: &Servers, count: usize) -> Spent {
    servers.publish(count).await;
    // The broker still writes for a moment.
    tokio::time::sleep(Duration::from_secs(2)).await;
    servers.smtp.clear();
    let worker = servers.worker(&[]);
    servers.smtp.wait_for_count(count / 10, PATIENCE).await;
    let (before, from) = (Spent::so_far(servers, None, Some(&worker)).await, servers.smtp.counts().mails);
    servers.smtp.wait_for_count(count * 9 / 10, PATIENCE).await;
    let (after, to) = (Spent::so_far(servers, None, Some(&worker)).await, servers.smtp.counts().mails);
    let spent = after.since(&before, usize::try_from(to - from).unwrap());
    servers.smtp.quiet(Duration::from_secs(2), PATIENCE).await;
    assert!(worker.terminate().await.success());
    spent
}

/// How many commits of one small row the database makes durable in a second.
async fn commits(pool: &PgPool) -> f64 {
    sqlx::query("CREATE TABLE commits (n bigserial PRIMARY KEY, text text)").execute(pool).await.unwrap();
    let options = (*pool.connect_options()).clone();
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(COMMITTERS).connect_lazy_with(options);
    let (began, length) = (Instant::now(), Duration::from_secs(5));
    let mut committers = tokio::task::JoinSet::new();
    for _ in 0..COMMITTERS {
        let pool = pool.clone();
        committers.spawn(async move {
            let mut connection = pool.acquire().await.unwrap();
            let mut commits = 0_u32;
            while began.elapsed() < length {
                let insert = sqlx::query("INSERT INTO commits (text) VALUES (repeat('x', 200))");
                insert.execute(&mut *connection).await.unwrap();
                commits += 1;
            }
            commits
        });
    }
    let commits: u32 = committers.join_all().await.iter().sum();
    f64::from(commits) / began.elapsed().as_secs_f64()
}

/// Registrations and mails at the same time. All CPU that a registration and its mail cost, over the cores, is the rate at which
/// the machine is full; the write-ahead log is the sum of both.
async fn prediction(report: &mut Report, servers: &Servers, registration: &Spent, mail: &Spent, count: usize) {
    let cores = std::thread::available_parallelism().unwrap().get() as f64;
    let api = servers.api(&[("HASH_COST", "cheap")]).await;
    let worker = servers.worker(&[]);
    worker.ready().await;
    let client = Registrations::at(&api.base_url());
    client.accept_all("both-warm", 500, CLIENTS).await;
    servers.smtp.quiet(Duration::from_secs(2), PATIENCE).await;
    servers.smtp.clear();
    let before = Spent::so_far(servers, Some(&api), Some(&worker)).await;
    let began = Instant::now();
    client.accept_all("both", count, CLIENTS).await;
    servers.smtp.wait_for_count(count, PATIENCE).await;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    let spent = Spent::so_far(servers, Some(&api), Some(&worker)).await.since(&before, count);

    let total = |spent: &Spent| spent.cpu.iter().sum::<f64>();
    let predicted = cores / (total(registration) + total(mail));
    report.add("capacity: registrations and their mails a second, predicted", predicted, "/s", Goal::None);
    report.add("capacity: the same, measured", rate, "/s", Goal::None);
    report.add("capacity: measured / predicted", rate / predicted, "ratio", Goal::None);
    let wal = spent.wal / (registration.wal + mail.wal);
    report.add("capacity: write-ahead log of both at once / sum of each alone", wal, "ratio", Goal::None);
    let cpu = total(&spent) / (total(registration) + total(mail));
    report.add("capacity: CPU of both at once / sum of each alone", cpu, "ratio", Goal::None);
    assert!(api.terminate().await.success() && worker.terminate().await.success());
}
