//! The dam: 10,000 tasks a second for half a minute, and 2,000 mails a second below it for as long as that takes.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::scale::Scale;
use contract::queue;
use load::plot::{Corner, Panel, Picture, Series};
use load::{Goal, Latencies, OpenLoop, Produced, Producer, Progress, Report, Sample, Sampler, Servers, per_second};
use system::windows;
use testkit::Service;

/// Tasks a second.
const FLOOD: f64 = 10_000.0;
/// For so long.
const LENGTH: Duration = Duration::from_secs(30);
/// What the mail server bears, a second.
const RATE: usize = 2_000;
const SECOND: Duration = Duration::from_secs(1);

pub(crate) async fn run(report: &mut Report, scale: Scale) {
    let load = OpenLoop { rate: FLOOD, length: scale.length(LENGTH) };
    report.measuring(&format!("the dam: {FLOOD} tasks/s for {:.0} s, MAIL_RATE={RATE}", load.length.as_secs_f64()));
    let servers = Servers::start().await;
    let worker = servers.worker(&[("MAIL_RATE", &RATE.to_string())]);
    worker.ready().await;
    // The queue has its leader and the worker its connections before the flood comes.
    servers.publish(100).await;
    servers.smtp.wait_for_count(100, Duration::from_secs(30)).await;
    servers.smtp.clear();

    let sampler = Sampler::start(&servers.rabbit, queue::EMAIL, &[&worker]).await;
    let start = sampler.start;
    let publishing = Progress::start("tasks published", load.count());
    let produced = Producer::new(servers.rabbit.amqp_url()).run(load, &publishing).await;
    publishing.finish();
    servers.sent(load.count()).await;
    // For mails that would be too many.
    tokio::time::sleep(2 * SECOND).await;
    let samples = sampler.stop().await;

    publisher(report, &produced);
    mails(report, &servers, load.count());
    memory(report, &worker, &samples);
    let deepest = samples.iter().map(|sample| sample.queued).max().unwrap_or_default();
    report.add("dam: longest queue", f64::from(deepest), "tasks", Goal::None);
    picture(report, &servers, start, &produced, &samples);
    assert!(worker.terminate().await.success(), "the worker drains: {:?}", worker.log_lines().last());
}

fn publisher(report: &mut Report, produced: &Produced) {
    let latencies = Latencies::of(produced.latencies.iter().copied());
    report.add("dam: a task is confirmed after its intended start, median", latencies.quantile(0.5), "ms", Goal::None);
    report.add("dam: the same, p99", latencies.quantile(0.99), "ms", Goal::None);
    report.add("dam: the same, the latest of all", latencies.max(), "ms", Goal::AtMost(1_000.0));
}

fn mails(report: &mut Report, servers: &Servers, count: usize) {
    let arrivals = servers.smtp.arrivals();
    let recipients: HashSet<&str> = arrivals.iter().map(|arrival| arrival.to.as_str()).collect();
    report.promise("dam: mails lost", count.saturating_sub(recipients.len()));
    report.promise("dam: mails sent twice", arrivals.len() - recipients.len());

    let moments = servers.smtp.mail_from_times();
    let (Some(first), Some(last)) = (moments.first(), moments.last()) else { return };
    let windows = windows(&moments, SECOND, |_| true);
    let of_a_thousand = |share: usize| windows[(windows.len() * share).div_ceil(1_000) - 1] as f64;
    let rate = RATE as f64;
    report.add(
        "dam: mails in any one second, 99.9 % of the seconds",
        of_a_thousand(999),
        "mails",
        Goal::AtMost(rate * 1.05),
    );
    report.add("dam: mails in any one second, all", of_a_thousand(1_000), "mails", Goal::AtMost(rate * 1.1));
    let took = *last - *first;
    report.add(
        "dam: mails a second, mean",
        moments.len() as f64 / took.as_secs_f64(),
        "mails/s",
        Goal::AtLeast(rate * 0.95),
    );
}

/// The most that the worker had resident, against what it had once it was under way.
fn memory(report: &mut Report, worker: &Service, samples: &[Sample]) {
    let rss: Vec<f64> = samples.iter().map(|sample| sample.processes[0].rss).collect();
    let settled = rss.get(20).or(rss.last()).copied().unwrap_or_else(|| load::process::rss(worker.pid()));
    let most = rss.iter().copied().fold(0.0, f64::max);
    report.add("dam: the worker's memory, most", most, "MiB", Goal::None);
    report.add("dam: the same / after five seconds", most / settled, "ratio", Goal::AtMost(1.2));
}

fn picture(report: &Report, servers: &Servers, start: Instant, produced: &Produced, samples: &[Sample]) {
    let published = per_second(start, produced.confirmed.iter().copied());
    let mailed = per_second(start, servers.smtp.arrivals().into_iter().map(|arrival| arrival.at));
    let queued = samples.iter().map(|sample| (sample.at.as_secs_f64(), f64::from(sample.queued))).collect();
    let picture = Picture {
        title: format!("{FLOOD:.0} tasks a second in, {RATE} mails a second out"),
        x: "seconds".to_owned(),
        panels: vec![
            Panel {
                y: "a second".to_owned(),
                series: vec![Series::new("tasks published", published), Series::new("mails sent", mailed)],
                legend: Corner::Right,
            },
            Panel { y: "tasks in the queue".to_owned(), series: vec![Series::new("", queued)], legend: Corner::Right },
        ],
    };
    report.note(&format!("drawn in {}", picture.write("flood", "dam").display()));
}
