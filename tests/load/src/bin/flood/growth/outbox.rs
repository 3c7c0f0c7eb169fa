//! A million rows in the outbox, left by a broker that was away. The broker decides how fast they go, and one of its log files is as
//! long as a tenth of them: so it is done several times, and the median counts.

use std::time::{Duration, Instant};

use contract::queue;
use load::{Goal, Progress, Report, Sample, Sampler, Servers, median};

use super::{Tenths, UUID, execute};
use crate::scale::Scale;

const ROWS: usize = 1_000_000;
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(900);

pub(crate) async fn run(report: &mut Report, scale: Scale) {
    let rows = scale.count(ROWS);
    report.measuring(&format!("growth: an outbox of {rows} rows, left by a broker that was away"));
    let (mut ratios, mut missing, mut left) = (Vec::new(), 0, 0);
    for _ in 0..scale.rounds(ROUNDS) {
        let drained = drain(&Servers::start().await, rows).await;
        let Tenths { first, last } = drained.tenths;
        report.note(&format!("{first:.0} tasks/s in the first tenth, {last:.0} in the last"));
        ratios.push(last / first);
        missing += drained.missing;
        left += drained.left;
    }
    report.promise("growth: rows of the outbox that are not in the queue", missing);
    report.promise("growth: rows of the outbox that stayed there", left);
    let name = format!("growth: {rows} rows in the outbox, rate of the last tenth / first");
    report.add(name, median(ratios), "ratio", Goal::AtLeast(0.9));
}

/// How an outbox became empty.
struct Drained {
    tenths: Tenths,
    /// Tasks that are not in the queue.
    missing: usize,
    /// Rows that are still there.
    left: usize,
}

async fn drain(servers: &Servers, rows: usize) -> Drained {
    let api = servers.api(&[]).await;
    // The queue is there and has its leader: it was not the broker's first day.
    servers.publish(1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    servers.rabbit.kill();
    let body = r#"convert_to('{"email":"user-' || n || '@example.com","username":"user-' || n || '"}', 'UTF8')"#;
    let fill = format!(
        "INSERT INTO outbox (id, task_type, body, traceparent)
         SELECT {UUID}, 'email.welcome', {body}, '00-' || lpad(to_hex(n), 32, '0') || '-' || lpad(to_hex(n), 16, '0') || '-01'
         FROM generate_series(1, {rows}) AS n"
    );
    execute(servers.users.pool(), fill).await;
    servers.rabbit.restart().await;

    let sampler = Sampler::start(&servers.rabbit, queue::EMAIL, &[&api]).await;
    let progress = Progress::start("rows relayed", rows);
    let client = servers.rabbit.client().await;
    while sampler.start.elapsed() < PATIENCE {
        let relayed = client.ready(queue::EMAIL).await as usize;
        progress.set(relayed);
        if relayed > rows {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    progress.finish();
    let samples = sampler.stop().await;
    let left = left(servers).await;
    let queued = client.ready(queue::EMAIL).await as usize;
    client.close().await;
    assert!(api.terminate().await.success());
    let tenths = Tenths::of(rows, |percent| reached(&samples, (1 + rows * percent / 100) as f64));
    Drained { tenths, missing: (rows + 1).saturating_sub(queued), left }
}

/// Rows that stay in the outbox. A batch is in the queue before its rows are deleted, so the last ones are given some time.
async fn left(servers: &Servers) -> usize {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(servers.users.pool()).await.unwrap();
        if left == 0 || Instant::now() > deadline {
            return usize::try_from(left).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Seconds after which so many tasks were in the queue, on a straight line between two samples.
fn reached(samples: &[Sample], tasks: f64) -> f64 {
    let after = samples.iter().position(|sample| f64::from(sample.queued) >= tasks).unwrap_or(samples.len() - 1).max(1);
    let (from, to) = (&samples[after - 1], &samples[after]);
    let share = (tasks - f64::from(from.queued)) / f64::from((to.queued - from.queued).max(1));
    from.at.as_secs_f64() + share * (to.at - from.at).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_between_two_samples_is_on_the_line_between_them() {
        let at = |seconds, queued| Sample { at: Duration::from_secs(seconds), queued, processes: Vec::new() };
        let samples = [at(0, 0), at(2, 100), at(3, 300)];
        assert_eq!(reached(&samples, 50.0), 1.0);
        assert_eq!(reached(&samples, 200.0), 2.5);
    }
}
