//! Tasks that go straight through the broker, with nobody but a producer and a consumer around it: whether its share of a registration
//! and of a mail add up to that, and what it changes when they are spread over several queues.

use std::time::{Duration, Instant};

use amqp::{Broker, Subscription};
use contract::queue;
use load::{Goal, Report, Servers};
use testkit::Vhost;
use tokio::time::timeout;

use super::spent::Spent;

const QUEUES: usize = 4;
const PREFETCH: u16 = 256;
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(report: &mut Report, servers: &Servers, registration: &Spent, mail: &Spent, count: usize) {
    let (rate, one) = through(servers, 1, count).await;
    report.add("capacity: tasks a second straight through one queue", rate, "tasks/s", Goal::None);
    report.add("capacity: CPU of RabbitMQ, straight through one queue", one * 1e6, "us", Goal::None);
    let sum = registration.rabbit() + mail.rabbit();
    report.add("capacity: the same / its share of a registration and a mail", one / sum, "ratio", Goal::None);
    let (rate, four) = through(servers, QUEUES, count).await;
    report.add("capacity: tasks a second straight through four queues", rate, "tasks/s", Goal::None);
    report.add("capacity: CPU of RabbitMQ a task, four queues / one", four / one, "ratio", Goal::None);
}

/// The same with three nodes, each of which writes every task. They share this machine and its one disk, so what can be told is what they
/// cost together.
pub(super) async fn three_nodes(report: &mut Report, count: usize) {
    let servers = Servers::start().await;
    let (_, one) = through(&servers, 1, count).await;
    let _others = [servers.rabbit.start_beside().await, servers.rabbit.start_beside().await];
    let (rate, three) = through(&servers, 1, count).await;
    report.add("capacity: tasks a second straight through one queue on three nodes", rate, "tasks/s", Goal::None);
    report.add("capacity: CPU of RabbitMQ a task, three nodes together / one", three / one, "ratio", Goal::None);
}

/// Tasks a second, and what each cost RabbitMQ in seconds of CPU. Each queue has a vhost, a producer and a consumer of its own.
async fn through(servers: &Servers, queues: usize, count: usize) -> (f64, f64) {
    let each = count / queues;
    let mut vhosts = Vec::new();
    for _ in 0..queues {
        let vhost = servers.rabbit.vhost().await;
        servers.publish_to(&vhost, 1).await;
        vhosts.push(vhost);
    }
    let (before, began) = (Spent::so_far(servers, None, None).await, Instant::now());
    let flows = vhosts.iter().map(async |vhost| {
        tokio::join!(servers.publish_to(vhost, each), consume(vhost, each + 1));
    });
    futures_util::future::join_all(flows).await;
    let took = began.elapsed().as_secs_f64();
    let spent = Spent::so_far(servers, None, None).await.since(&before, each * queues);
    ((each * queues) as f64 / took, spent.rabbit())
}

/// Takes so many tasks and acknowledges each.
async fn consume(vhost: &Vhost, count: usize) {
    let connection = Broker::new(vhost.amqp_url().parse().unwrap(), "capacity").connect().await.unwrap();
    let mut subscription = Subscription::open(&connection, queue::EMAIL, "capacity").await.unwrap();
    subscription.set_prefetch(Some(PREFETCH)).await.unwrap();
    for _ in 0..count {
        let delivery = timeout(PATIENCE, subscription.next()).await.expect("the broker delivers").unwrap().unwrap();
        delivery.receipt.ack().await;
    }
    connection.close().await;
}
