//! A world with all that a worker needs, and words for what is done in it.

pub(crate) mod http;
mod running;
mod slow_way;
mod tasks;

use std::ops::RangeInclusive;
use std::time::Duration;

use contract::queue;
use email_worker::config::{Cli, Config};
use email_worker::ledger::MIGRATOR;
use platform::config::{duration, try_parse};
use platform::tasks::Tasks;
use testkit::lapin::types::FieldTable;
use testkit::{Client, Database, Script, Service, SmtpOptions, SmtpServer, Taken, Vhost, eventually};
use tokio::time::timeout;

pub(crate) use running::{Running, get, is_held_by};
pub(crate) use slow_way::SlowWay;
pub(crate) use tasks::{body, registration};

/// Longer than anything takes that is to happen, on a machine with other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The retry schedule of every worker here.
pub(crate) const DELAYS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(500)];

/// `SHUTDOWN_GRACE` of every worker here, unless a mail may take longer.
const GRACE: Duration = Duration::from_secs(10);

/// A database, a vhost and a mail server of the test's own.
pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) vhost: Vhost,
    pub(crate) smtp: SmtpServer,
    pub(crate) client: Client,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(SmtpOptions::default()).await
    }

    pub(crate) async fn with(options: SmtpOptions) -> Self {
        Self::within(testkit::vhost().await, testkit::database().await, options).await
    }

    pub(crate) async fn within(vhost: Vhost, database: Database, options: SmtpOptions) -> Self {
        platform::postgres::migrate(database.pool(), &MIGRATOR).await.unwrap();
        let smtp = SmtpServer::start(options).await;
        let client = vhost.client().await;
        Self { database, vhost, smtp, client }
    }

    /// The variables of a worker in this world.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DATABASE_URL", self.database.url().to_owned()),
            ("AMQP_URL", self.vhost.amqp_url().to_owned()),
            ("ADMIN_ADDR", "127.0.0.1:0".to_owned()),
            ("MAIL_FROM", "Sluice <no-reply@example.com>".to_owned()),
            ("SMTP_HOST", "127.0.0.1".to_owned()),
            ("SMTP_PORT", self.smtp.addr().port().to_string()),
            ("SMTP_TLS", "none".to_owned()),
            ("SMTP_CONNECT_TIMEOUT", "2s".to_owned()),
            ("SEND_TIMEOUT", "2s".to_owned()),
            ("SMTP_DATA_TIMEOUT", "2s".to_owned()),
            ("MAIL_RETRY_SCHEDULE", "200ms,500ms".to_owned()),
            ("SHUTDOWN_GRACE", format!("{}s", GRACE.as_secs())),
        ]
    }

    /// The same, some of them changed.
    pub(crate) fn environment_with(&self, changes: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let mut variables = self.environment();
        variables.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        variables.extend(changes.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let names = |wanted: &str| changes.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        if let (Some(limit), None) = (names("SEND_TIMEOUT"), names("SMTP_DATA_TIMEOUT")) {
            // A test that names one limit means it for the whole conversation.
            variables.retain(|(name, _)| *name != "SMTP_DATA_TIMEOUT");
            variables.push(("SMTP_DATA_TIMEOUT", limit.to_owned()));
        }
        let long = |value: &str| duration(value).is_ok_and(|limit| limit > GRACE);
        if let (Some(limit), None) = (names("SEND_TIMEOUT").filter(|limit| long(limit)), names("SHUTDOWN_GRACE")) {
            // An end leaves time for a mail.
            variables.retain(|(name, _)| *name != "SHUTDOWN_GRACE");
            variables.push(("SHUTDOWN_GRACE", limit.to_owned()));
        }
        variables
    }

    fn config(&self, changes: &[(&'static str, &str)]) -> Config {
        let variables = self.environment_with(changes);
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        match try_parse::<Cli>(["email-worker"], lookup) {
            Ok(Cli::Run(config)) => *config,
            other => panic!("no configuration for a worker: {other:?}"),
        }
    }

    /// A worker that is ready.
    pub(crate) async fn worker(&self) -> Running {
        self.worker_with(&[]).await
    }

    /// A worker that is ready, with some variables changed.
    pub(crate) async fn worker_with(&self, changes: &[(&'static str, &str)]) -> Running {
        let worker = self.unready_worker(changes).await;
        worker.ready().await;
        worker
    }

    /// Nobody gets a connection to the mail server, and those that stand are cut.
    pub(crate) async fn loses_its_mail_server(&self) {
        self.smtp.stop_listening().await;
        self.smtp.cut_connections().await;
    }

    /// The mail server is like this from now on, for those that have a connection too.
    pub(crate) async fn falls_into(&self, script: Script) {
        self.smtp.set_script(script);
        self.smtp.cut_connections().await;
    }

    /// A worker as a process of its own.
    pub(crate) fn process(&self, changes: &[(&'static str, &str)]) -> Service {
        let mut variables = self.environment_with(changes);
        // The process gets a port that is known here.
        variables.retain(|(name, _)| *name != "ADMIN_ADDR");
        Service::spawn("email-worker", &variables)
    }

    /// A worker that was started.
    pub(crate) async fn unready_worker(&self, changes: &[(&'static str, &str)]) -> Running {
        Running::start(self.config(changes), Tasks::new()).await
    }

    /// A worker with some variables changed, whose background task of this name panics.
    pub(crate) async fn breaking_worker(&self, changes: &[(&'static str, &str)], task: &'static str) -> Running {
        Running::start(self.config(changes), Tasks::breaking(task)).await
    }

    /// Declares the main queue as the worker does, for tests that publish before it comes.
    pub(crate) async fn queue_exists(&self) {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), testkit::lapin::types::AMQPValue::LongString("quorum".into()));
        self.client.declare(queue::EMAIL, arguments).await.unwrap();
    }

    /// How many wait in a queue.
    pub(crate) async fn waiting(&self, queue: &str) -> u32 {
        self.client.ready(queue).await
    }

    /// How many wait on all retry queues.
    pub(crate) async fn retrying(&self) -> u32 {
        self.waiting(&queue::retry(DELAYS[0])).await + self.waiting(&queue::retry(DELAYS[1])).await
    }

    /// Takes the next dead letter, as soon as there is one.
    pub(crate) async fn dead_letter(&self) -> Taken {
        eventually("a dead letter", PATIENCE, async || self.client.take(queue::DEAD).await).await
    }

    /// Waits until this many mails are marked as sent in the ledger.
    pub(crate) async fn marked(&self, mails: i64) {
        let what = format!("{mails} mails marked in the ledger");
        eventually(&what, PATIENCE, async || (self.marks().await >= mails).then_some(())).await;
    }

    /// Mails marked as sent.
    pub(crate) async fn marks(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM ledger WHERE sent_at IS NOT NULL");
        count.fetch_one(self.database.pool()).await.unwrap()
    }

    /// Tasks that the ledger has heard of.
    pub(crate) async fn ledger_rows(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM ledger").fetch_one(self.database.pool()).await.unwrap()
    }

    /// Waits until this many tasks are back in the queue: the broker takes a moment.
    pub(crate) async fn handed_back(&self, tasks: u32) {
        self.handed_back_within(tasks..=tasks).await;
    }

    /// The same, where a task may come twice.
    pub(crate) async fn handed_back_within(&self, tasks: RangeInclusive<u32>) {
        let mut last = 0;
        let counted = timeout(PATIENCE, async {
            eventually("tasks in the queue", PATIENCE * 2, async || {
                last = self.waiting(queue::EMAIL).await;
                tasks.contains(&last).then_some(())
            })
            .await;
        });
        assert!(counted.await.is_ok(), "{last} tasks in the queue after {PATIENCE:?}, not {tasks:?}");
    }

    /// Stops the last worker. Nothing may be left in any queue then; whatever it did not acknowledge would be back.
    pub(crate) async fn ends_clean(&self, worker: Running) {
        worker.stop().await;
        // What the broker takes back from the worker that is gone stands before this in the queue's log.
        self.client.publish_bare(queue::EMAIL, b"the end").await;
        let mut left = Vec::new();
        while let Some(task) = self.client.take(queue::EMAIL).await {
            left.push(String::from_utf8_lossy(&task.body).into_owned());
        }
        assert_eq!(left, ["the end"], "tasks in the queue after the worker stopped, and one more");
        for queue in self.vhost.queues().await {
            let left = self.client.take(&queue.name).await;
            assert!(left.is_none(), "left in {} after the worker stopped: {left:?}", queue.name);
        }
    }
}
