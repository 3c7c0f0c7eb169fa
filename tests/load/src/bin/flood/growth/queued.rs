//! A million tasks in the queue, sent at full rate by one worker.

use std::time::{Duration, Instant};

use load::plot::{Corner, Panel, Picture, Series};
use load::{Goal, Progress, Report, Servers, per_second};

use super::Tenths;
use crate::scale::Scale;

const TASKS: usize = 1_000_000;
/// Slower than this, a machine need not measure it.
const PATIENCE: Duration = Duration::from_secs(900);

pub(crate) async fn run(report: &mut Report, scale: Scale) {
    let servers = &Servers::start().await;
    let tasks = scale.count(TASKS);
    report.measuring(&format!("growth: a queue of {tasks} tasks"));
    let began = Instant::now();
    let confirmed = servers.publish(tasks).await;
    let tenths = Tenths::of(tasks, |percent| (confirmed[confirmed.len() * percent / 100] - began).as_secs_f64());
    report.note(&format!("{:.0} tasks/s published in the first tenth, {:.0} in the last", tenths.first, tenths.last));
    let name = format!("growth: {tasks} tasks published straight into the queue, rate of the last tenth / first");
    report.add(name, tenths.last / tenths.first, "ratio", Goal::None);
    let disk = servers.rabbit.disk_usage() as f64 / tasks as f64;
    report.add("growth: the broker's disk for a task that waits", disk, "bytes", Goal::None);
    let worker = servers.worker(&[]);
    let start = Instant::now();
    let progress = Progress::start("mails sent", tasks);
    while servers.smtp.counts().mails < tasks as u64 && start.elapsed() < PATIENCE {
        progress.set(usize::try_from(servers.smtp.counts().mails).unwrap());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    progress.finish();
    let moments: Vec<Instant> = servers.smtp.arrivals().into_iter().map(|arrival| arrival.at).collect();
    report.promise("growth: queued tasks without a mail", tasks.saturating_sub(moments.len()));
    let last = moments.len() - 1;
    let gone = |percent: usize| moments[(tasks * percent / 100).min(last)] - start;
    let tenths = Tenths::of(tasks, |percent| gone(percent).as_secs_f64());
    report.note(&format!("{:.0} mails/s in the first tenth, {:.0} in the last", tenths.first, tenths.last));
    let name = format!("growth: {tasks} tasks in the queue, rate of the last tenth / first");
    report.add(name, tenths.last / tenths.first, "ratio", Goal::AtLeast(0.9));
    let sent = Series::new("", per_second(start, moments));
    let panel = Panel { y: "mails a second".to_owned(), series: vec![sent], legend: Corner::Right };
    let title = format!("One worker and a queue of {tasks} tasks");
    let picture = Picture { title, x: "seconds".to_owned(), panels: vec![panel] };
    report.note(&format!("drawn in {}", picture.write("flood", "queue").display()));
    assert!(worker.terminate().await.success());
}
