//! The servers that both services are measured with: real ones, private, on this machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amqp::{Broker, ConfirmChannel, Headers, Outcome, Outgoing, Properties};
use contract::{TYPE_WELCOME, TaskId, WelcomeEmail, header, queue};
use sqlx::PgPool;
use testkit::{Database, Postgres, Rabbit, Service, SmtpOptions, SmtpServer};

/// PostgreSQL (which syncs every commit), RabbitMQ and a mail server that takes everything at once.
pub(crate) struct Servers {
    /// user-api's database.
    pub(crate) users: Database,
    /// email-worker's database.
    pub(crate) ledger: Database,
    pub(crate) rabbit: Rabbit,
    pub(crate) smtp: SmtpServer,
    _postgres: Postgres,
}

impl Servers {
    /// Starts them, and brings both databases up to date.
    pub(crate) async fn start() -> Self {
        let options = SmtpOptions { keep: false, ..SmtpOptions::default() };
        let (postgres, rabbit, smtp) = tokio::join!(Postgres::start(), Rabbit::start(), SmtpServer::start(options));
        let (users, ledger) = (postgres.database().await, postgres.database().await);
        for (service, database) in [("user-api", &users), ("email-worker", &ledger)] {
            let migrate = Service::spawn_with(service, &["migrate"], &[("DATABASE_URL", database.url().to_owned())]);
            let status = migrate.exited(Duration::from_secs(30)).await;
            assert!(status.success(), "{service} migrate: {:?}", migrate.log_lines());
        }
        Self { users, ledger, rabbit, smtp, _postgres: postgres }
    }

    /// An instance of user-api, without limits for single clients, ready.
    pub(crate) async fn api(&self, changes: &[(&'static str, &str)]) -> Service {
        let api = self.api_unready(changes);
        api.ready().await;
        api
    }

    /// The same, started and not waited for.
    pub(crate) fn api_unready(&self, changes: &[(&'static str, &str)]) -> Service {
        let mut variables = vec![
            ("DATABASE_URL", self.users.url().to_owned()),
            ("AMQP_URL", self.rabbit.amqp_url().to_owned()),
            ("RATE_LIMIT", "0".to_owned()),
            ("HASH_MAX_WAIT", "30s".to_owned()),
            ("REQUEST_TIMEOUT", "60s".to_owned()),
        ];
        change(&mut variables, changes);
        Service::spawn("user-api", &variables)
    }

    /// A worker, started and not waited for. The rate is far above what it can do: every mail still takes its slot.
    pub(crate) fn worker(&self, changes: &[(&'static str, &str)]) -> Service {
        let mut variables = vec![
            ("DATABASE_URL", self.ledger.url().to_owned()),
            ("AMQP_URL", self.rabbit.amqp_url().to_owned()),
            ("MAIL_FROM", "Sluice <no-reply@example.com>".to_owned()),
            ("MAIL_RATE", "1000000".to_owned()),
            ("SMTP_HOST", "127.0.0.1".to_owned()),
            ("SMTP_PORT", self.smtp.addr().port().to_string()),
            ("SMTP_TLS", "none".to_owned()),
        ];
        change(&mut variables, changes);
        Service::spawn("email-worker", &variables)
    }

    /// Publishes tasks as user-api's relay does, each confirmed.
    pub(crate) async fn publish(&self, count: usize) {
        let broker = Broker::new(self.rabbit.amqp_url().parse().unwrap(), "bench");
        let connection = broker.connect().await.unwrap();
        amqp::topology::ensure(&connection, &[amqp::topology::main()]).await.unwrap();
        let mut confirms = ConfirmChannel::open(&connection, Duration::from_secs(60)).await.unwrap();
        let mut left = count;
        while left > 0 {
            let batch: Vec<Outgoing> = (0..left.min(1_000)).map(|n| task(left - n)).collect();
            left -= batch.len();
            let outcomes = confirms.publish(&batch).await.unwrap();
            assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Confirmed), "the broker took all tasks");
        }
        connection.close().await;
    }
}

/// Transactions in this database so far; each statement of the services is one. A process has to have ended: only then are the
/// last transactions of its connections in the statistics.
pub(crate) async fn transactions(pool: &PgPool) -> i64 {
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

/// A task with everything that a registration gives it.
fn task(n: usize) -> Outgoing {
    let mail = WelcomeEmail {
        email: format!("user-{n}@example.com").parse().unwrap(),
        username: format!("user-{n}"),
        locale: None,
    };
    let mut headers = Headers::default();
    headers.set_str(header::TRACEPARENT, &format!("00-{:032x}-{:016x}-01", n + 1, n + 1));
    Outgoing {
        queue: queue::EMAIL.to_owned(),
        body: mail.encode(),
        properties: Properties {
            message_id: Some(TaskId::new().to_string()),
            kind: Some(TYPE_WELCOME.to_owned()),
            timestamp: Some(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()),
            app_id: Some("user-api".to_owned()),
            content_type: Some("application/json".to_owned()),
            headers,
        },
    }
}
