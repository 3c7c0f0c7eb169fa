//! The constants of docs/capacity.md: what a registration and a mail cost each part. Then a point that none of them was taken from
//! is predicted, and measured.

mod broker;
mod commits;
mod spent;

use std::time::{Duration, Instant};

use load::{Goal, Registrations, Report, Servers};
use testkit::eventually;

use crate::scale::Scale;
use spent::Spent;

/// Registrations, and mails, that the costs are taken from.
const REGISTRATIONS: usize = 20_000;
const MAILS: usize = 40_000;
/// Registrations of the point that is predicted.
const BOTH: usize = 20_000;
/// Clients of a closed loop.
const CLIENTS: usize = 32;
/// Tasks that go straight through the broker.
const THROUGH: usize = 200_000;
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) async fn run(report: &mut Report, scale: Scale) {
    report.measuring("capacity: what a registration and a mail cost each part");
    let servers = Servers::start().await;
    let registration = registrations(&servers, scale.count(REGISTRATIONS)).await;
    let mail = mails(&servers, scale.count(MAILS)).await;
    registration.tell(report, "a registration");
    mail.tell(report, "a mail");
    broker::run(report, &servers, &registration, &mail, scale.count(THROUGH)).await;
    let commits = commits::a_second(servers.users.pool()).await;
    report.add("capacity: commits a second of the database", commits, "commits/s", Goal::None);
    prediction(report, &servers, &registration, &mail, scale.count(BOTH)).await;
    broker::three_nodes(report, scale.count(THROUGH)).await;
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

    let predicted = cores / (registration.total() + mail.total());
    report.add("capacity: registrations and their mails a second, predicted", predicted, "/s", Goal::None);
    report.add("capacity: the same, measured", rate, "/s", Goal::None);
    report.add("capacity: measured / predicted", rate / predicted, "ratio", Goal::None);
    let wal = spent.wal / (registration.wal + mail.wal);
    report.add("capacity: write-ahead log of both at once / sum of each alone", wal, "ratio", Goal::None);
    let cpu = spent.total() / (registration.total() + mail.total());
    report.add("capacity: CPU of both at once / sum of each alone", cpu, "ratio", Goal::None);
    assert!(api.terminate().await.success() && worker.terminate().await.success());
}
