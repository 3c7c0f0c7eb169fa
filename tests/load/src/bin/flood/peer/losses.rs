//! How many mails each loses when the broker is killed under load.

use std::collections::HashSet;
use std::time::Duration;

use load::{Answer, Goal, OpenLoop, Registrations, Report, Servers};
use testkit::Service;

use super::side::{Ours, Peer, Side};
use crate::scale::Scale;

/// What both of them bear easily.
const LOAD: OpenLoop = OpenLoop { rate: 200.0, length: Duration::from_secs(20) };
/// For so long the broker is away, in the middle of it.
const AWAY: Duration = Duration::from_secs(5);
/// Nothing more is coming after so long without a mail.
const QUIET: Duration = Duration::from_secs(10);

pub(super) async fn run(report: &mut Report, servers: &Servers, ours: &Ours<'_>, peer: &Peer, scale: Scale) {
    let load = scale.load(LOAD);
    let lost = losses(servers, ours, load, |_| {}).await;
    report.promise("peer: registrations without a mail, broker killed, ours", lost);
    // As Kubernetes would, whose probes found it out: ours mends itself and is left alone.
    let lost = losses(servers, peer, load, Service::restart).await;
    report.add("peer: the same, the plain one", lost as f64, &format!("of {}", load.count()), Goal::None);
}

async fn losses(
    servers: &Servers,
    side: &impl Side,
    load: OpenLoop,
    when_the_broker_is_back: impl Fn(&Service),
) -> usize {
    let (api, worker) = (side.api().await, side.worker());
    let client = Registrations::at(&api.base_url());
    client.accept_all("before-the-kill", 10, 1).await;
    servers.smtp.wait_for_count(1, Duration::from_secs(30)).await;
    // RabbitMQ 3.10 loses the leader of a queue that is killed with it within about a second of its declaration.
    servers.smtp.quiet(Duration::from_secs(3), Duration::from_secs(60)).await;
    servers.smtp.clear();

    let faults = async {
        tokio::time::sleep(load.length / 3).await;
        servers.rabbit.kill();
        tokio::time::sleep(AWAY).await;
        servers.rabbit.restart().await;
        when_the_broker_is_back(&api);
        when_the_broker_is_back(&worker);
    };
    let flood = load.run(|n| {
        let client = client.clone();
        async move {
            let name = format!("lossy-{n}");
            (client.register(&name).await, format!("{name}@example.com"))
        }
    });
    let (answers, ()) = tokio::join!(flood, faults);
    servers.smtp.quiet(QUIET, Duration::from_secs(120)).await;
    let mailed: HashSet<String> = servers.smtp.arrivals().into_iter().map(|arrival| arrival.to).collect();
    let registered = answers.into_iter().map(|timed| timed.outcome).filter(|(answer, _)| *answer == Answer::Created);
    let lost = registered.filter(|(_, email)| !mailed.contains(email)).count();
    api.kill();
    worker.kill();
    lost
}
