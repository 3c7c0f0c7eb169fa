//! How small the services are, and how soon they are there.

use std::time::{Duration, Instant};

use testkit::Service;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use load::{Goal, Report, Servers, median, process};

/// Mails a second while memory is compared: the same, whatever waits in the queue.
const RATE: &str = "200";
/// How long the worker sends before its memory is read.
const SENDING: Duration = Duration::from_secs(10);
/// Starts of each service.
const STARTS: usize = 5;
/// The queue that is long.
const LONG: usize = 1_000_000;
/// The queue that is short; it lasts for [`SENDING`] with room to spare.
const SHORT: usize = 4_000;

pub(crate) async fn run(report: &mut Report) {
    let servers = Servers::start().await;
    start(report, &servers).await;
    long_queue(report, &servers).await;
}

/// From the start of the process to the first 200 of `/readyz`, and the memory of a service that has nothing to do.
async fn start(report: &mut Report, servers: &Servers) {
    report.measuring("start and idle memory");
    for name in ["user-api", "email-worker"] {
        let (mut took, mut memory) = (Vec::new(), Vec::new());
        for _ in 0..STARTS {
            let began = Instant::now();
            let service = if name == "user-api" { servers.api_unready(&[]) } else { servers.worker(&[]) };
            ready(&service).await;
            took.push(began.elapsed().as_secs_f64() * 1e3);
            tokio::time::sleep(Duration::from_secs(2)).await;
            memory.push(process::rss(service.pid()));
            assert!(service.terminate().await.success());
        }
        report.add(format!("{name}: from start to ready"), median(took), "ms", Goal::AtMost(300.0));
        report.add(format!("{name}: idle memory (RSS)"), median(memory), "MiB", Goal::AtMost(20.0));
    }
}

/// Asks more often than [`Service::ready`]: this is about milliseconds.
async fn ready(service: &Service) {
    let address = service.admin_url().replace("http://", "");
    while !says_ready(&address).await.unwrap_or(false) {
        assert!(service.status().is_none(), "it ended by itself: {:?}", service.log_lines());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn says_ready(address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200"))
}

/// The worker's memory while it sends, with few tasks waiting and with a million.
async fn long_queue(report: &mut Report, servers: &Servers) {
    report.measuring("the worker's memory with a long queue");
    servers.publish(SHORT).await;
    let short = memory_while_sending(servers).await;
    servers.publish(LONG).await;
    let long = memory_while_sending(servers).await;
    report.note(&format!("{short:.1} MiB with {SHORT} tasks queued, {long:.1} MiB with {LONG}"));
    let name = "worker's memory, a million tasks queued / a few thousand";
    report.add(name, long / short, "ratio", Goal::AtMost(1.3));
}

async fn memory_while_sending(servers: &Servers) -> f64 {
    servers.smtp.clear();
    let worker = servers.worker(&[("MAIL_RATE", RATE)]);
    servers.smtp.wait_for_count(100, Duration::from_secs(30)).await;
    tokio::time::sleep(SENDING).await;
    let memory = process::rss(worker.pid());
    assert!(worker.terminate().await.success());
    memory
}
