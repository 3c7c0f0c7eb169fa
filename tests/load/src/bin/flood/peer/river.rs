//! The strongest simpler way: no broker, jobs in PostgreSQL (River, in benches/peer), and the same mail server behind.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use load::{Goal, Report, Servers, median, process};
use testkit::{Database, Service, Vhost};

use crate::scale::Scale;

/// Mails that wait before the worker starts, in each round.
const MAILS: usize = 20_000;
/// The two take turns.
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(120);
/// After so long a job that its worker took along is another one's; River's default is an hour, ours needs no such number.
const RESCUE: &str = "60";
/// Nothing more is coming after that.
const QUIET: Duration = Duration::from_secs(100);

/// One of the two: mails in, a worker that sends them.
enum Way<'s> {
    Ours { servers: &'s Servers, vhost: Vhost },
    River { program: PathBuf, jobs: Database, smtp_port: u16 },
}

impl Way<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Ours { .. } => "ours",
            Self::River { .. } => "River",
        }
    }

    async fn enqueue(&self, mails: usize) {
        match self {
            Self::Ours { servers, vhost } => {
                servers.publish_to(vhost, mails).await;
            }
            Self::River { .. } => {
                let enqueue = self.spawn(&["river", "enqueue", &mails.to_string()]);
                assert!(enqueue.exited(PATIENCE).await.success(), "jobs are inserted");
            }
        }
    }

    fn worker(&self) -> Service {
        match self {
            Self::Ours { servers, vhost } => servers.worker_of(&servers.ledger, vhost, &[]),
            Self::River { .. } => self.spawn(&["river", "work"]),
        }
    }

    /// A program of River's side.
    fn spawn(&self, arguments: &[&str]) -> Service {
        let Self::River { program, jobs, smtp_port } = self else { unreachable!("ours has a program of its own") };
        let variables = [
            ("DATABASE_URL", jobs.url().to_owned()),
            ("SMTP_HOST", "127.0.0.1".to_owned()),
            ("SMTP_PORT", smtp_port.to_string()),
            ("RIVER_RESCUE_SECONDS", RESCUE.to_owned()),
        ];
        Service::spawn_program(program.clone(), arguments, &variables)
    }
}

/// One round of one of the two.
struct Round {
    per_second: f64,
    /// Microseconds of CPU a mail: the worker's, and that of the servers behind it.
    worker: f64,
    behind: f64,
}

pub(super) async fn run(report: &mut Report, servers: &Servers, program: &Path, scale: Scale) {
    let ours = Way::Ours { servers, vhost: servers.rabbit.vhost().await };
    let (jobs, smtp_port) = (servers.blank().await, servers.smtp.addr().port());
    let river = Way::River { program: program.to_owned(), jobs, smtp_port };
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds(ROUNDS) {
        us.push(round(servers, &ours, scale.count(MAILS)).await);
        them.push(round(servers, &river, scale.count(MAILS)).await);
        let line = |of: &Round| format!("{:.0} ({:.0} + {:.0} us)", of.per_second, of.worker, of.behind);
        let (us, them) = (&us[us.len() - 1], &them[them.len() - 1]);
        report.note(&format!("mails/s (CPU a mail, worker + behind): ours {}, River {}", line(us), line(them)));
    }
    let middle = |side: &[Round], of: fn(&Round) -> f64| median(side.iter().map(of).collect());
    for (way, side) in [(&ours, &us), (&river, &them)] {
        let name = way.name();
        report.add(format!("river: mails a second, {name}"), middle(side, |r| r.per_second), "mails/s", Goal::None);
        report.add(format!("river: CPU of the worker, a mail, {name}"), middle(side, |r| r.worker), "us", Goal::None);
        report.add(format!("river: CPU of the servers behind, {name}"), middle(side, |r| r.behind), "us", Goal::None);
    }
    let ratio = |of: fn(&Round) -> f64| middle(&us, of) / middle(&them, of);
    report.add("river: mails a second, ours / River", ratio(|r| r.per_second), "ratio", Goal::None);
    report.add("river: CPU in all, ours / River", ratio(|r| r.worker + r.behind), "ratio", Goal::None);
    // Minutes of waiting, most of it for what River comes back to after a while.
    if scale == Scale::Full {
        for way in [&ours, &river] {
            killed(report, servers, way, MAILS).await;
        }
    }
}

async fn round(servers: &Servers, way: &Way<'_>, mails: usize) -> Round {
    way.enqueue(mails).await;
    servers.smtp.clear();
    let behind = || process::cpu_of_mine("postgres") + process::cpu_of_mine("beam.smp");
    let worker = way.worker();
    servers.smtp.wait_for_count(mails / 10, PATIENCE).await;
    let (began, cpu, others, before) =
        (Instant::now(), process::cpu(worker.pid()), behind(), servers.smtp.counts().mails);
    servers.smtp.wait_for_count(mails * 9 / 10, PATIENCE).await;
    let count = (servers.smtp.counts().mails - before) as f64;
    let (took, cpu, others) = (began.elapsed(), process::cpu(worker.pid()) - cpu, behind() - others);
    servers.smtp.wait_for_count(mails, PATIENCE).await;
    servers.smtp.quiet(Duration::from_secs(1), PATIENCE).await;
    assert!(worker.terminate().await.success(), "{}: the worker ends", way.name());
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / count;
    Round { per_second: count / took.as_secs_f64(), worker: micros(cpu), behind: micros(others) }
}

/// The worker is killed in the middle and started again: what is repeated, what is lost, how long the last mail takes.
async fn killed(report: &mut Report, servers: &Servers, way: &Way<'_>, mails: usize) {
    way.enqueue(mails).await;
    servers.smtp.clear();
    let worker = way.worker();
    servers.smtp.wait_for_count(mails / 2, PATIENCE).await;
    worker.kill();
    let killed = Instant::now();
    worker.restart();
    servers.smtp.quiet(QUIET, 4 * PATIENCE).await;
    let arrivals = servers.smtp.arrivals();
    let last = arrivals.iter().map(|arrival| arrival.at).max().unwrap_or(killed);
    let different: HashSet<&str> = arrivals.iter().map(|arrival| arrival.to.as_str()).collect();
    let name = way.name();
    let figure = |what: &str| format!("river: {what}, worker killed, {name}");
    report.add(figure("mails repeated"), (arrivals.len() - different.len()) as f64, "mails", Goal::None);
    report.add(figure("mails lost"), (mails - different.len()) as f64, "mails", Goal::None);
    let after = last.saturating_duration_since(killed).as_secs_f64();
    report.add(figure("the last mail comes after"), after, "s", Goal::None);
    worker.kill();
}
