//! How fast it is, and what the limit of recipients costs.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::{Postgres, Service};

use crate::support::{add_key, mail};

const CLIENTS: usize = 32;
const EACH: Duration = Duration::from_secs(6);
const TURNS: usize = 3;
/// A line of the log is there.
const SOON: Duration = Duration::from_secs(5);

/// `cargo build --release -p mail-api`, then this with `--release --ignored --nocapture`. Nothing relays meanwhile: there is no broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures for minutes, and wants a release build"]
#[allow(clippy::print_stderr, reason = "the figures are for people")]
async fn mails_a_second_alone_and_in_batches_with_and_without_what_they_may_ask_for() {
    let server = Postgres::start().await;
    for turn in 0..TURNS {
        for (what, limit, batch, keyed) in [
            ("alone, no limit", "0", 1, false),
            ("alone, limit of recipients", "10", 1, false),
            ("alone, limit and idempotency key", "10", 1, true),
            ("500 in a batch, limit", "10", 500, false),
        ] {
            let (rate, slowest) = measure(&server, limit, batch, keyed).await;
            eprintln!("{turn} {what}: {rate:.0} mails/s, the slowest hundredth from {slowest:?}");
        }
    }
}

async fn measure(server: &Postgres, limit: &str, batch: usize, keyed: bool) -> (f64, Duration) {
    let database = server.database().await;
    platform::postgres::migrate(database.pool(), &mail_api::db::MIGRATOR).await.unwrap();
    let key = add_key(database.pool(), &["load"]).await;
    let variables = [
        ("DATABASE_URL", database.url().to_owned()),
        ("AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f".to_owned()),
        ("KEY_RATE_LIMIT", "0".to_owned()),
        ("RECIPIENT_LIMIT", limit.to_owned()),
    ];
    let service = Service::spawn_program(program(), &["serve"], &variables);
    service.ready().await;
    let url = format!("{}/v1/mails{}", service.base_url(), if batch > 1 { "/batch" } else { "" });
    let (count, next) = (AtomicU64::new(0), AtomicU32::new(0));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let began = Instant::now();
    let clients = (0..CLIENTS).map(|_| async {
        let mut times = Vec::new();
        while began.elapsed() < EACH {
            let asked = Instant::now();
            let mut request = http.post(&url).bearer_auth(&key).json(&body(batch, &next));
            if keyed {
                request = request.header("idempotency-key", uuid::Uuid::now_v7().to_string());
            }
            let answer = request.send().await.unwrap();
            if answer.status() != 202 {
                let (shown, said) = (answer.text().await, service.wait_for_log("answered 503", SOON).await);
                panic!("{shown:?}: {said}");
            }
            times.push(asked.elapsed());
            count.fetch_add(batch as u64, Relaxed);
        }
        times
    });
    let mut times: Vec<Duration> = join_all(clients).await.into_iter().flatten().collect();
    times.sort_unstable();
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let rate = count.load(Relaxed) as f64 / began.elapsed().as_secs_f64();
    assert!(service.terminate().await.success());
    (rate, times[times.len() * 99 / 100])
}

fn body(batch: usize, next: &AtomicU32) -> Value {
    let one = || mail(&format!("user{}", next.fetch_add(1, Relaxed)));
    if batch == 1 { one() } else { json!({ "mails": (0..batch).map(|_| one()).collect::<Vec<_>>() }) }
}

/// The one beside this test: `target/release`, where this is a release build.
fn program() -> std::path::PathBuf {
    let given = std::env::var_os("MAIL_API").map(std::path::PathBuf::from);
    let beside = || std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("mail-api");
    given.unwrap_or_else(beside)
}
