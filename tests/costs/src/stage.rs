//! The servers around one service, and the units of its work.

use std::time::Duration;

use amqp::{Broker, ConfirmChannel};
use futures_util::stream::{StreamExt as _, iter};
use system::Measured;
use testkit::{Database, SmtpOptions, SmtpServer, Vhost, database, eventually, vhost};

/// Far more than any machine needs for any number of units that is asked for here, valgrind included.
const PATIENCE: Duration = Duration::from_secs(300);
/// Registrations under way at the same time.
const AT_ONCE: usize = 8;

/// What the worker needs around it, and mails for it to send.
#[derive(Debug)]
pub struct Mails {
    database: Database,
    vhost: Vhost,
    smtp: SmtpServer,
}

impl Mails {
    /// An empty ledger, an empty queue, and a mail server that takes everything at once.
    pub async fn start() -> Self {
        let options = SmtpOptions { keep: false, ..SmtpOptions::default() };
        let (database, vhost, smtp) = tokio::join!(database(), vhost(), SmtpServer::start(options));
        platform::postgres::migrate(database.pool(), &email_worker::ledger::MIGRATOR).await.unwrap();
        Self { database, vhost, smtp }
    }

    /// The variables of a worker that works here. The rate is far above what it can do: every mail still takes its slot.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DATABASE_URL", self.database.url().to_owned()),
            ("AMQP_URL", self.vhost.amqp_url().to_owned()),
            ("MAIL_FROM", "Sluice <no-reply@example.com>".to_owned()),
            ("MAIL_RATE", "100000".to_owned()),
            ("SMTP_HOST", "127.0.0.1".to_owned()),
            ("SMTP_PORT", self.smtp.addr().port().to_string()),
            ("SMTP_TLS", "none".to_owned()),
        ]
    }

    /// Puts so many tasks into the queue, each with everything that a registration gives it, each confirmed.
    pub async fn publish(&self, count: usize, measured: Measured) {
        let broker = Broker::new(self.vhost.amqp_url().parse().unwrap(), "costs");
        let connection = broker.connect().await.unwrap();
        amqp::topology::ensure(&connection, &[amqp::topology::main()]).await.unwrap();
        let mut channel = ConfirmChannel::open(&connection, PATIENCE).await.unwrap();
        for first in (0..count).step_by(1_000) {
            // Names of one length, so that every mail is of one size.
            let task = |n| measured.task(&format!("user-{n:06}"));
            let tasks = (first..count.min(first + 1_000)).map(task).collect();
            system::publish_confirmed(&mut channel, tasks, PATIENCE).await;
        }
        connection.close().await;
    }

    /// Waits until so many mails were sent since the beginning, and written down as sent.
    pub async fn sent(&self, count: usize) {
        self.smtp.wait_for_count(count, PATIENCE).await;
        eventually("every mail is marked in the ledger", PATIENCE, async || {
            (rows(&self.database, "SELECT count(*) FROM ledger WHERE sent_at IS NULL").await == 0).then_some(())
        })
        .await;
    }
}

/// What user-api needs around it, and users to register.
#[derive(Debug)]
pub struct Users {
    database: Database,
    vhost: Vhost,
}

impl Users {
    /// An empty database, and a broker that takes all tasks.
    pub async fn start() -> Self {
        let (database, vhost) = tokio::join!(database(), vhost());
        platform::postgres::migrate(database.pool(), &user_api::db::MIGRATOR).await.unwrap();
        Self { database, vhost }
    }

    /// The variables of a user-api that works here: without limits for a client, and with hashes that cost next to nothing.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DATABASE_URL", self.database.url().to_owned()),
            ("AMQP_URL", self.vhost.amqp_url().to_owned()),
            ("RATE_LIMIT", "0".to_owned()),
            ("MAX_CONNECTIONS_PER_CLIENT", "0".to_owned()),
            ("HASH_COST", "cheap".to_owned()),
            ("HASH_MAX_WAIT", "60s".to_owned()),
            ("REQUEST_TIMEOUT", "120s".to_owned()),
        ]
    }

    /// Waits until it answers.
    pub async fn ready(&self, base_url: &str) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        eventually("user-api answers", PATIENCE, async || client.get(base_url).send().await.ok()).await;
    }

    /// Registers the users `first`, `first + 1`, .., each of whom has to be accepted, and waits until their tasks have left the outbox.
    pub async fn register(&self, base_url: &str, first: usize, count: usize) {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let registering = iter(first..first + count).map(|n| {
            let (client, url) = (&client, format!("{base_url}/v1/users"));
            async move {
                let name = format!("user-{n:06}");
                let body = serde_json::json!({
                    "username": name,
                    "email": format!("{name}@example.com"),
                    "password": "correct horse battery staple",
                });
                let response = client.post(url).json(&body).send().await.unwrap();
                assert_eq!(response.status(), 201, "registration {n} is accepted");
                // Read to its end, or the connection could not be used again.
                response.bytes().await.unwrap();
            }
        });
        registering.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
        eventually("every task has left the outbox", PATIENCE, async || {
            (rows(&self.database, "SELECT count(*) FROM outbox").await == 0).then_some(())
        })
        .await;
    }
}

async fn rows(database: &Database, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(database.pool()).await.unwrap()
}
