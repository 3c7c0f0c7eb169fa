//! How many mails each loses when the broker is killed under load.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use load::{Answer, Goal, OpenLoop, Registrations, Report, Servers};
use testkit::Service;

use super::side::{Ours, Peer, Side};
use crate::scale::Scale;

/// What both of them bear easily.
const LOAD: OpenLoop = OpenLoop { rate: 200.0, length: Duration::from_secs(40) };
/// From the kill until the broker is started again, and then it takes some seconds more: all of it well within the load.
const AWAY: Duration = Duration::from_secs(5);
/// Nothing more is coming after so long without a mail: twice what our relay and our worker wait at most between two attempts
/// to reach a broker.
const QUIET: Duration = Duration::from_secs(30);
/// How often a supervisor looks whether a process has ended.
const WATCH: Duration = Duration::from_millis(500);

/// What the broker's death did to one side.
struct Damage {
    /// How long there was no broker.
    away: Duration,
    /// Users who are stored, or were told so, and have no mail.
    lost: usize,
    users: usize,
    /// Processes that a supervisor had to start again.
    restarts: usize,
}

pub(super) async fn run(report: &mut Report, servers: &Servers, ours: &Ours<'_>, peer: &Peer, scale: Scale) {
    let load = scale.load(LOAD);
    // Ours mends itself and is left alone.
    let us = damage(servers, ours, load, |_| {}).await;
    // The plain API goes on without its broker and never ends by itself: a probe has to find that out, and Kubernetes to start
    // it again, which it does here as soon as the broker is back.
    let them = damage(servers, peer, load, Service::restart).await;
    for (name, damage) in [(Ours::NAME, &us), (Peer::NAME, &them)] {
        report.note(&format!(
            "{name}: {} users, {} without a mail, the broker was away for {:.1} s, processes that ended and were started again: {}",
            damage.users,
            damage.lost,
            damage.away.as_secs_f64(),
            damage.restarts
        ));
    }
    report.promise("peer: users without a mail, broker killed, ours", us.lost);
    report.add(
        "peer: users without a mail, broker killed, the plain one",
        them.lost as f64,
        &format!("of {}", them.users),
        Goal::None,
    );
}

async fn damage(
    servers: &Servers,
    side: &impl Side,
    load: OpenLoop,
    when_the_broker_is_back: impl Fn(&Service),
) -> Damage {
    let (api, worker) = (side.api().await, side.worker());
    let client = Registrations::at(&api.base_url());
    client.accept_all("before-the-kill", 10, 1).await;
    servers.smtp.wait_for_count(1, Duration::from_secs(30)).await;
    // RabbitMQ 3.10 loses the leader of a queue that is killed with it within about a second of its declaration.
    servers.smtp.quiet(Duration::from_secs(3), Duration::from_secs(60)).await;
    servers.smtp.clear();

    let faults = async {
        tokio::time::sleep(load.length / 4).await;
        servers.rabbit.kill();
        let killed = Instant::now();
        tokio::time::sleep(AWAY).await;
        servers.rabbit.restart().await;
        when_the_broker_is_back(&api);
        killed.elapsed()
    };
    let flood = load.run(|n| {
        let client = client.clone();
        async move {
            let name = format!("lossy-{n}");
            (client.register(&name).await, format!("{name}@example.com"))
        }
    });
    let rest = async {
        let ended = tokio::join!(flood, faults);
        servers.smtp.quiet(QUIET, Duration::from_secs(180)).await;
        ended
    };
    let mut restarts = 0;
    let (answers, away) = tokio::select! {
        ended = rest => ended,
        () = supervise([&api, &worker], &mut restarts) => unreachable!("it ends with the load"),
    };

    let mailed: HashSet<String> = servers.smtp.arrivals().into_iter().map(|arrival| arrival.to).collect();
    let told = answers.into_iter().map(|timed| timed.outcome).filter(|(answer, _)| *answer == Answer::Created);
    let mut users: HashSet<String> = told.map(|(_, email)| email).collect();
    users.extend(stored(side).await);
    let lost = users.difference(&mailed).count();
    api.kill();
    worker.kill();
    Damage { away, lost, users: users.len(), restarts }
}

/// Starts again whatever ended by itself, for as long as it is asked to.
async fn supervise(services: [&Service; 2], restarts: &mut usize) {
    loop {
        tokio::time::sleep(WATCH).await;
        for service in services.iter().filter(|service| service.status().is_some()) {
            service.restart();
            *restarts += 1;
        }
    }
}

/// Also those whose 201 was lost on its way.
async fn stored(side: &impl Side) -> Vec<String> {
    sqlx::query_scalar("SELECT email FROM users WHERE username LIKE 'lossy-%'")
        .fetch_all(side.users().pool())
        .await
        .unwrap()
}
