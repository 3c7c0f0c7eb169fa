//! The servers that both services are measured with: real ones, private, on this machine.

use std::path::Path;
use std::time::{Duration, Instant};

use amqp::{Broker, ConfirmChannel, Outgoing};
use contract::TaskId;
use sqlx::PgPool;
use testkit::{Database, Postgres, Rabbit, Service, SmtpOptions, SmtpServer, Vhost};

use crate::Progress;

/// Tasks that are published in one go.
const BATCH: usize = 1_000;
/// When no mail has come for so long, no more will: on a slow machine they come slowly, and are not lost.
const STANDSTILL: Duration = Duration::from_secs(30);
/// How often it is looked whether mails have come.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// PostgreSQL (which syncs every commit), RabbitMQ and a mail server that takes everything at once.
#[derive(Debug)]
pub struct Servers {
    /// user-api's database.
    pub users: Database,
    /// email-worker's database.
    pub ledger: Database,
    /// The broker.
    pub rabbit: Rabbit,
    /// The mail server: takes everything at once, and keeps moments and recipients, not mails.
    pub smtp: SmtpServer,
    postgres: Postgres,
}

impl Servers {
    /// Starts them, and brings both databases up to date.
    pub async fn start() -> Self {
        let options = SmtpOptions { keep: false, ..SmtpOptions::default() };
        let (postgres, rabbit, smtp) = tokio::join!(Postgres::start(), Rabbit::start(), SmtpServer::start(options));
        let (users, ledger) = (migrated(&postgres, "user-api").await, migrated(&postgres, "email-worker").await);
        Self { users, ledger, rabbit, smtp, postgres }
    }

    /// One more database for this service, up to date and empty.
    pub async fn another(&self, service: &str) -> Database {
        migrated(&self.postgres, service).await
    }

    /// An empty database, for a service that is not ours.
    pub async fn blank(&self) -> Database {
        self.postgres.database().await
    }

    /// An instance of user-api, without limits for single clients, ready.
    pub async fn api(&self, changes: &[(&'static str, &str)]) -> Service {
        self.api_of(&self.users, changes).await
    }

    /// The same with another database.
    pub async fn api_of(&self, database: &Database, changes: &[(&'static str, &str)]) -> Service {
        let api = self.unready(database, changes);
        api.ready().await;
        api
    }

    /// The same as [`api`](Self::api), started and not waited for.
    pub fn api_unready(&self, changes: &[(&'static str, &str)]) -> Service {
        self.unready(&self.users, changes)
    }

    fn unready(&self, database: &Database, changes: &[(&'static str, &str)]) -> Service {
        let mut variables = vec![
            ("DATABASE_URL", database.url().to_owned()),
            ("AMQP_URL", self.rabbit.amqp_url().to_owned()),
            ("RATE_LIMIT", "0".to_owned()),
            ("MAX_CONNECTIONS_PER_CLIENT", "0".to_owned()),
            ("HASH_MAX_WAIT", "30s".to_owned()),
            ("REQUEST_TIMEOUT", "60s".to_owned()),
        ];
        change(&mut variables, changes);
        Service::spawn("user-api", &variables)
    }

    /// A worker, started and not waited for. The rate is far above what it can do: every mail still takes its slot.
    pub fn worker(&self, changes: &[(&'static str, &str)]) -> Service {
        self.worker_of(&self.ledger, &self.rabbit, changes)
    }

    /// The same with another database and queue.
    pub fn worker_of(&self, ledger: &Database, vhost: &Vhost, changes: &[(&'static str, &str)]) -> Service {
        let mut variables = self.worker_variables(ledger, vhost);
        change(&mut variables, changes);
        Service::spawn("email-worker", &variables)
    }

    fn worker_variables(&self, ledger: &Database, vhost: &Vhost) -> Vec<(&'static str, String)> {
        vec![
            ("DATABASE_URL", ledger.url().to_owned()),
            ("AMQP_URL", vhost.amqp_url().to_owned()),
            ("MAIL_FROM", "Sluice <no-reply@example.com>".to_owned()),
            ("MAIL_RATE", "100000".to_owned()),
            ("SMTP_HOST", "127.0.0.1".to_owned()),
            ("SMTP_PORT", self.smtp.addr().port().to_string()),
            ("SMTP_TLS", "none".to_owned()),
        ]
    }

    /// A worker of another build, with a database that it has migrated itself.
    pub fn worker_of_build(&self, program: &Path, ledger: &Database) -> Service {
        Service::spawn_program(program.to_owned(), &[], &self.worker_variables(ledger, &self.rabbit))
    }

    /// Publishes tasks as user-api's relay does, each confirmed. Tells when each batch of a thousand was.
    ///
    /// # Panics
    /// When the broker does not confirm one.
    pub async fn publish(&self, count: usize) -> Vec<Instant> {
        self.publish_to(&self.rabbit, count).await
    }

    /// The same to the queue of another vhost.
    ///
    /// # Panics
    /// When the broker does not confirm one.
    pub async fn publish_to(&self, vhost: &Vhost, count: usize) -> Vec<Instant> {
        self.publish_tasks(vhost, count, task).await
    }

    /// The same with other tasks: this makes the one of each number.
    ///
    /// # Panics
    /// When the broker does not confirm one.
    pub async fn publish_tasks(&self, vhost: &Vhost, count: usize, task: impl Fn(usize) -> Outgoing) -> Vec<Instant> {
        let broker = Broker::new(vhost.amqp_url().parse().unwrap(), "bench");
        let connection = broker.connect().await.unwrap();
        amqp::topology::ensure(&connection, &[amqp::topology::main()]).await.unwrap();
        let within = Duration::from_secs(60);
        let mut confirms = ConfirmChannel::open(&connection, within).await.unwrap();
        let (mut left, mut confirmed) = (count, Vec::new());
        while left > 0 {
            let batch: Vec<Outgoing> = (0..left.min(BATCH)).map(|n| task(left - n)).collect();
            left -= batch.len();
            system::publish_confirmed(&mut confirms, batch, within).await;
            confirmed.push(Instant::now());
        }
        connection.close().await;
        confirmed
    }

    /// Waits until so many mails have come, or none has for half a minute; shows how far it is.
    pub async fn sent(&self, count: usize) {
        let progress = Progress::start("mails sent", count);
        let (mut mails, mut changed) = (0, Instant::now());
        while mails < count && changed.elapsed() < STANDSTILL {
            tokio::time::sleep(LOOK_EVERY).await;
            let before = std::mem::replace(&mut mails, usize::try_from(self.smtp.counts().mails).unwrap());
            if mails > before {
                changed = Instant::now();
            }
            progress.set(mails);
        }
        progress.finish();
    }
}

async fn migrated(postgres: &Postgres, service: &str) -> Database {
    let database = postgres.database().await;
    let migrate = Service::spawn_with(service, &["migrate"], &[("DATABASE_URL", database.url().to_owned())]);
    let status = migrate.exited(Duration::from_secs(30)).await;
    assert!(status.success(), "{service} migrate: {:?}", migrate.log_lines());
    database
}

/// Transactions in this database so far; each statement of the services is one. A process has to have ended: only then are the
/// last transactions of its connections in the statistics.
pub async fn transactions(pool: &PgPool) -> i64 {
    tokio::time::sleep(Duration::from_secs(1)).await;
    sqlx::query_scalar("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")
        .fetch_one(pool)
        .await
        .unwrap()
}

fn change(variables: &mut Vec<(&'static str, String)>, changes: &[(&'static str, &str)]) {
    variables.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    variables.extend(changes.iter().map(|(name, value)| (*name, (*value).to_owned())));
}

/// The address that task `n` of a load is for.
pub fn recipient(n: usize) -> String {
    format!("user-{n}@example.com")
}

/// Task `n` of a load.
pub(crate) fn task(n: usize) -> Outgoing {
    system::task(TaskId::new(), &recipient(n), &format!("user-{n}"))
}
