//! Mails a second of CPU, and the memory of both processes of each side.

use std::time::{Duration, Instant};

use load::{Goal, Report, Servers, median, process};

use super::side::{Ours, Peer, Side};
use crate::scale::Scale;

/// Tasks that wait before the worker starts, in each round.
const TASKS: usize = 20_000;
/// The two take turns.
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(120);

/// One round of one side.
struct Round {
    per_second: f64,
    per_cpu_second: f64,
    /// The most that was resident, MiB.
    memory: f64,
}

/// `api` is the memory that each API had, which counts together with its worker's.
pub(super) async fn run(
    report: &mut Report,
    servers: &Servers,
    ours: &Ours<'_>,
    peer: &Peer,
    api: (f64, f64),
    scale: Scale,
) {
    // What the registrations left is not part of a round.
    empty(servers, ours).await;
    empty(servers, peer).await;
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds(ROUNDS) {
        us.push(round(servers, ours, scale).await);
        them.push(round(servers, peer, scale).await);
        let (us, them) = (&us[us.len() - 1], &them[them.len() - 1]);
        report.note(&format!(
            "mails/s: ours {:.0}, the plain one {:.0}; a CPU second: {:.0}, {:.0}; MiB: {:.1}, {:.1}",
            us.per_second, them.per_second, us.per_cpu_second, them.per_cpu_second, us.memory, them.memory
        ));
    }
    let middle = |side: &[Round], of: fn(&Round) -> f64| median(side.iter().map(of).collect());
    for (name, side) in [(Ours::NAME, &us), (Peer::NAME, &them)] {
        report.add(format!("peer: mails a second, {name}"), middle(side, |r| r.per_second), "mails/s", Goal::None);
        let cpu = 1e3 / middle(side, |r| r.per_cpu_second);
        report.add(format!("peer: CPU of 1,000 mails, {name}"), cpu, "s", Goal::None);
        report.add(format!("peer: memory of the worker, {name}"), middle(side, |r| r.memory), "MiB", Goal::None);
    }
    let economy = middle(&us, |r| r.per_cpu_second) / middle(&them, |r| r.per_cpu_second);
    report.add("peer: mails a second of CPU, ours / the plain one", economy, "ratio", Goal::AtLeast(2.0));
    let (ours, theirs) = (api.0 + middle(&us, |r| r.memory), api.1 + middle(&them, |r| r.memory));
    report.add("peer: memory of both processes, ours", ours, "MiB", Goal::None);
    report.add("peer: memory of both processes, the plain one", theirs, "MiB", Goal::None);
    report.add("peer: the same, ours / the plain one", ours / theirs, "ratio", Goal::AtMost(0.5));
}

/// Sends what is in the queue.
async fn empty(servers: &Servers, side: &impl Side) {
    let worker = side.worker();
    let client = side.vhost().client().await;
    testkit::eventually("the queue is empty", PATIENCE, async || {
        (client.ready(contract::queue::EMAIL).await == 0).then_some(())
    })
    .await;
    client.close().await;
    servers.smtp.quiet(Duration::from_secs(1), PATIENCE).await;
    worker.kill();
}

async fn round(servers: &Servers, side: &impl Side, scale: Scale) -> Round {
    let tasks = scale.count(TASKS);
    servers.publish_to(side.vhost(), tasks).await;
    servers.smtp.clear();
    let worker = side.worker();
    servers.smtp.wait_for_count(tasks / 10, PATIENCE).await;
    let (began, cpu, mails) = (Instant::now(), process::cpu(worker.pid()), servers.smtp.counts().mails);
    servers.smtp.wait_for_count(tasks * 9 / 10, PATIENCE).await;
    let (took, cpu) = (began.elapsed().as_secs_f64(), (process::cpu(worker.pid()) - cpu).as_secs_f64());
    let mails = (servers.smtp.counts().mails - mails) as f64;
    servers.smtp.wait_for_count(tasks, PATIENCE).await;
    let memory = process::peak(worker.pid());
    servers.smtp.quiet(Duration::from_secs(1), PATIENCE).await;
    worker.kill();
    Round { per_second: mails / took, per_cpu_second: mails / cpu, memory }
}
