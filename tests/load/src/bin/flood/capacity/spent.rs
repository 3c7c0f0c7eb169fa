//! What a stretch of work cost each part.

use std::time::Duration;

use load::{Goal, Report, Servers, process};
use testkit::Service;

/// CPU time and bytes so far; or, subtracted, of a stretch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    /// Seconds of CPU: user-api, email-worker, PostgreSQL, RabbitMQ, and this program, which is all clients and the mail server.
    pub(super) cpu: [f64; 5],
    /// Bytes of write-ahead log.
    pub(super) wal: f64,
    /// Bytes that the broker wrote to its disk.
    pub(super) broker: f64,
}

const PARTS: [&str; 5] = ["user-api", "email-worker", "PostgreSQL", "RabbitMQ", "clients and mail server"];

impl Spent {
    pub(super) async fn so_far(servers: &Servers, api: Option<&Service>, worker: Option<&Service>) -> Self {
        let of = |service: Option<&Service>| service.map_or(Duration::ZERO, |service| process::cpu(service.pid()));
        let cpu = [
            of(api),
            of(worker),
            process::cpu_of_mine("postgres"),
            process::cpu_of_mine("beam.smp"),
            process::cpu(std::process::id()),
        ];
        let wal: i64 = sqlx::query_scalar("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8")
            .fetch_one(servers.users.pool())
            .await
            .unwrap();
        Self {
            cpu: cpu.map(|cpu| cpu.as_secs_f64()),
            wal: wal as f64,
            broker: process::written_by_mine("beam.smp") as f64,
        }
    }

    /// What each of so many cost since `before`.
    pub(super) fn since(&self, before: &Self, count: usize) -> Self {
        let each = |now: f64, then: f64| (now - then) / count as f64;
        Self {
            cpu: std::array::from_fn(|part| each(self.cpu[part], before.cpu[part])),
            wal: each(self.wal, before.wal),
            broker: each(self.broker, before.broker),
        }
    }

    /// Seconds of CPU of all parts.
    pub(super) fn total(&self) -> f64 {
        self.cpu.iter().sum()
    }

    /// Seconds of RabbitMQ's CPU.
    pub(super) fn rabbit(&self) -> f64 {
        self.cpu[3]
    }

    pub(super) fn tell(&self, report: &mut Report, what: &str) {
        for (part, cpu) in PARTS.iter().zip(self.cpu) {
            if cpu > 0.0 {
                report.add(format!("capacity: CPU of {part}, {what}"), cpu * 1e6, "us", Goal::None);
            }
        }
        report.add(format!("capacity: write-ahead log, {what}"), self.wal, "bytes", Goal::None);
        report.add(format!("capacity: written by the broker, {what}"), self.broker, "bytes", Goal::None);
    }
}
