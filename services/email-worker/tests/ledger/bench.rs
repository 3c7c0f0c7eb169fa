//! What a mail costs in the ledger. Not a test: `cargo test --release --test ledger bench -- --ignored --nocapture`.

use std::time::Duration;

use contract::TaskId;
use email_worker::rate::FleetRate;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::marks::load;
use crate::support::{Home, Worker};

/// User and system time of this process; the kernel counts in hundredths of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    Duration::from_millis(10) * (fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap())
}

fn report(what: &str, mails: u64, trips: u64, cpu: Duration, took: Duration) {
    let per_mail = |value: f64| value / mails as f64;
    println!(
        "{what}: {:.0} mails/s, {:.1} us of CPU and {:.4} round trips a mail",
        mails as f64 / took.as_secs_f64(),
        per_mail(cpu.as_secs_f64() * 1e6),
        per_mail(trips as f64),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn bench_claim_and_mark() {
    let pool = Home::shared().await;
    for per_second in [50, 500, 2_000, 5_000, 10_000] {
        let worker = Worker::start(&pool);
        let (cpu, began) = (cpu_time(), Instant::now());
        let counts = load(&worker, per_second, Duration::from_secs(4)).await;
        let (cpu, took) = (cpu_time() - cpu, began.elapsed());
        report(&format!("{per_second}/s offered"), counts.marks, counts.trips(), cpu, took);
    }
    for in_flight in [32, 512] {
        let worker = Worker::start(&pool);
        let mut tasks = JoinSet::new();
        let (cpu, began) = (cpu_time(), Instant::now());
        for _ in 0..in_flight {
            let ledger = worker.ledger.clone();
            tasks.spawn(async move {
                while began.elapsed() < Duration::from_secs(4) {
                    let id = TaskId::new();
                    ledger.claim(id).await.unwrap();
                    ledger.mark_sent(id).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
        let (cpu, took) = (cpu_time() - cpu, began.elapsed());
        let counts = worker.ledger.counts();
        report(&format!("{in_flight} in flight"), counts.marks, counts.trips(), cpu, took);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn bench_slots() {
    let pool = Home::shared().await;
    let (rate, actor) =
        FleetRate::start(pool.clone(), "20000".parse().unwrap(), false, tokio_util::sync::CancellationToken::new());
    let actor = tokio::spawn(actor);
    let mut tasks = JoinSet::new();
    let (cpu, began) = (cpu_time(), Instant::now());
    for _ in 0..16 {
        let rate = rate.clone();
        tasks.spawn(async move {
            while began.elapsed() < Duration::from_secs(4) {
                assert!(rate.permit(false).await.unwrap().wait().await);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }
    tasks.join_all().await;
    let (cpu, took) = (cpu_time() - cpu, began.elapsed());
    let counts = rate.counts();
    report(&format!("slots ({} expired)", counts.expired), counts.handed_out, counts.leases, cpu, took);
    drop(rate);
    actor.await.unwrap();
}
