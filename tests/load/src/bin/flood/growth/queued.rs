//! A million tasks in the queue, sent at full rate by one worker. Three times, and the median counts: what the databases and the broker do
//! now and then falls into one tenth or another.

use std::collections::HashSet;
use std::time::Instant;

use load::plot::{Corner, Panel, Picture, Series};
use load::{Goal, Report, Servers, median, per_second};

use super::Tenths;
use crate::scale::Scale;

const TASKS: usize = 1_000_000;
const ROUNDS: usize = 3;

pub(crate) async fn run(report: &mut Report, scale: Scale) {
    let tasks = scale.count(TASKS);
    report.measuring(&format!("growth: a queue of {tasks} tasks"));
    let mut rounds = Vec::new();
    for _ in 0..scale.rounds(ROUNDS) {
        let round = round(tasks).await;
        let Round { published, mailed, .. } = &round;
        report.note(&format!(
            "{:.0} tasks/s published in the first tenth, {:.0} in the last; {:.0} mails/s, {:.0}",
            published.first, published.last, mailed.first, mailed.last
        ));
        rounds.push(round);
    }
    let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    report.promise("growth: queued tasks without a mail", rounds.iter().map(|round| round.missing).sum());
    let name = format!("growth: {tasks} tasks in the queue, rate of the last tenth / first");
    report.add(name, of(|round| round.mailed.last / round.mailed.first), "ratio", Goal::AtLeast(0.9));
    let published = of(|round| round.published.last / round.published.first);
    report.add("growth: their publishing, rate of the last tenth / first", published, "ratio", Goal::None);
    report.add("growth: the broker's disk for a task that waits", of(|round| round.disk), "bytes", Goal::None);
    let sent = rounds.pop().map(|round| round.sent).unwrap_or_default();
    let panel = Panel { y: "mails a second".to_owned(), series: vec![Series::new("", sent)], legend: Corner::Right };
    let title = format!("One worker and a queue of {tasks} tasks");
    let picture = Picture { title, x: "seconds".to_owned(), panels: vec![panel] };
    report.note(&format!("drawn in {}", picture.write("flood", "queue").display()));
}

/// One backlog, from its publishing to its last mail.
struct Round {
    published: Tenths,
    mailed: Tenths,
    missing: usize,
    /// Bytes that a task took while it waited.
    disk: f64,
    /// Mails a second.
    sent: Vec<(f64, f64)>,
}

async fn round(tasks: usize) -> Round {
    let servers = &Servers::start().await;
    let began = Instant::now();
    let confirmed = servers.publish(tasks).await;
    let published = Tenths::of(tasks, |percent| (confirmed[confirmed.len() * percent / 100] - began).as_secs_f64());
    let disk = servers.rabbit.disk_usage() as f64 / tasks as f64;
    let worker = servers.worker(&[]);
    let start = Instant::now();
    servers.sent(tasks).await;
    assert!(worker.terminate().await.success());
    let arrivals = servers.smtp.arrivals();
    let mailed: HashSet<&str> = arrivals.iter().map(|arrival| arrival.to.as_str()).collect();
    let missing = tasks.saturating_sub(mailed.len());
    let moments: Vec<Instant> = arrivals.iter().map(|arrival| arrival.at).collect();
    let last = moments.len() - 1;
    let mailed = Tenths::of(tasks, |percent| (moments[(tasks * percent / 100).min(last)] - start).as_secs_f64());
    Round { published, mailed, missing, disk, sent: per_second(start, moments) }
}
