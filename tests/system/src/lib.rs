//! The vocabulary of the system tests: a whole Sluice, made of processes and real servers, that can be broken on purpose.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests only: a failed set-up is a failed test")]

mod load;
mod own_types;
mod publishing;
mod pulse;
pub mod results;
mod task;
mod ways;

use std::collections::HashSet;
use std::ops::Deref;
use std::time::{Duration, Instant};

use amqp::{Broker, ConfirmChannel, Outgoing};
use contract::{TaskId, queue};
use sqlx::PgPool;
use testkit::{Database, OtlpReceiver, Postgres, Rabbit, Service, SmtpOptions, SmtpServer, Vhost, eventually};
use tokio::sync::{Semaphore, SemaphorePermit};

pub use load::{Answer, Load};
pub use own_types::{Measured, own_types};
pub use publishing::publish_confirmed;
pub use pulse::Pulse;
pub use task::task;
pub use ways::windows;

/// Sending slots of each worker in these tests, unless a test says otherwise.
pub const SLOTS: usize = 16;

/// Private servers and the databases of both services. The services themselves are started by the test.
pub struct System {
    /// Both databases live here.
    pub postgres: Postgres,
    /// The broker.
    pub rabbit: Node,
    /// The mail server.
    pub smtp: SmtpServer,
    /// Where traces, metrics and logs go.
    pub otlp: OtlpReceiver,
    users: Database,
    ledger: Database,
    _turn: SemaphorePermit<'static>,
}

/// A system's broker.
pub enum Node {
    /// Its own, which may be broken.
    Own(Rabbit),
    /// A vhost of its own in the one that all tests share.
    Shared(Vhost),
}

impl Node {
    /// The node, to be broken.
    ///
    /// # Panics
    /// Where it is shared.
    pub fn own(&self) -> &Rabbit {
        match self {
            Self::Own(rabbit) => rabbit,
            Self::Shared(_) => panic!("others use this broker: System::start_with_own_broker"),
        }
    }
}

impl Deref for Node {
    type Target = Vhost;

    fn deref(&self) -> &Vhost {
        match self {
            Self::Own(rabbit) => rabbit,
            Self::Shared(vhost) => vhost,
        }
    }
}

/// Each system is a dozen processes, which wait most of their time: four at a time are what two cores bear.
const AT_ONCE: u32 = 4;
static TURNS: Semaphore = Semaphore::const_new(AT_ONCE as usize);

impl System {
    /// Starts the servers and brings both databases up to date. The broker is the one that all tests share.
    pub async fn start() -> Self {
        Self::start_in(1, async || Node::Shared(testkit::vhost().await)).await
    }

    /// The same with no other system beside it, for a test that measures time.
    pub async fn start_alone() -> Self {
        Self::start_in(AT_ONCE, async || Node::Shared(testkit::vhost().await)).await
    }

    /// The same with a broker of its own, for a test that breaks it.
    pub async fn start_with_own_broker() -> Self {
        Self::start_in(1, async || Node::Own(Rabbit::start().await)).await
    }

    async fn start_in(turns: u32, broker: impl AsyncFnOnce() -> Node) -> Self {
        let turn = TURNS.acquire_many(turns).await.unwrap();
        let (postgres, rabbit, smtp, otlp) =
            tokio::join!(Postgres::start(), broker(), SmtpServer::start(SmtpOptions::default()), OtlpReceiver::start());
        let (users, ledger) = tokio::join!(postgres.database(), postgres.database());
        let system = Self { postgres, rabbit, smtp, otlp, users, ledger, _turn: turn };
        for service in ["user-api", "email-worker"] {
            let database = ("DATABASE_URL", system.database_url(service));
            run(service, &["migrate"], &[database]).await;
        }
        system
    }

    /// The address of a service's database.
    pub fn database_url(&self, service: &str) -> String {
        if service == "user-api" { self.users.url() } else { self.ledger.url() }.to_owned()
    }

    fn common(&self, service: &str) -> Vec<(&'static str, String)> {
        vec![
            ("DATABASE_URL", self.database_url(service)),
            ("AMQP_URL", self.rabbit.amqp_url().to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.otlp.endpoint()),
            ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
            ("OTEL_METRIC_EXPORT_INTERVAL", "500".to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
        ]
    }

    /// An instance of user-api, ready. `extra` overrides.
    pub async fn api(&self, extra: &[(&'static str, &str)]) -> Service {
        let mut env = self.common("user-api");
        env.push(("RATE_LIMIT", "0".to_owned()));
        env.push(("MAX_CONNECTIONS_PER_CLIENT", "0".to_owned()));
        env.push(("HASH_MAX_WAIT", "30s".to_owned()));
        env.push(("REQUEST_TIMEOUT", "30s".to_owned()));
        env.extend(extra.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let service = Service::spawn("user-api", &env);
        service.ready().await;
        service
    }

    /// A worker, not waited for: it may be meant not to become ready. `extra` overrides.
    pub fn worker(&self, extra: &[(&'static str, &str)]) -> Service {
        let mut env = self.common("email-worker");
        let smtp = self.smtp.addr();
        env.push(("SMTP_HOST", smtp.ip().to_string()));
        env.push(("SMTP_PORT", smtp.port().to_string()));
        env.push(("SMTP_TLS", "none".to_owned()));
        env.push(("MAIL_FROM", "Sluice <welcome@sluice.example>".to_owned()));
        env.push(("SENDING_SLOTS", SLOTS.to_string()));
        env.extend(extra.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Service::spawn("email-worker", &env)
    }

    /// A console, open to this machine; it redrives what it is asked to. `extra` overrides.
    pub fn console(&self, extra: &[(&'static str, &str)]) -> Service {
        let mut env = self.common("email-worker");
        env.extend(extra.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Service::spawn_with("email-worker", &["console"], &env)
    }

    /// Users registered.
    pub async fn users(&self) -> HashSet<String> {
        sqlx::query_scalar("SELECT email FROM users").fetch_all(self.users.pool()).await.unwrap().into_iter().collect()
    }

    /// Tasks that wait in the outbox.
    pub async fn outbox(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(self.users.pool()).await.unwrap()
    }

    /// user-api's database, for a test that has to reach into it.
    pub fn users_pool(&self) -> &PgPool {
        self.users.pool()
    }

    /// email-worker's database, for the same.
    pub fn ledger_pool(&self) -> &PgPool {
        self.ledger.pool()
    }

    /// Ids that the ledger has as sent.
    pub async fn marked(&self) -> HashSet<TaskId> {
        let ids: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT id FROM ledger WHERE sent_at IS NOT NULL")
            .fetch_all(self.ledger.pool())
            .await
            .unwrap();
        ids.into_iter().map(TaskId::from).collect()
    }

    /// Messages in a queue, ready and unacknowledged.
    pub async fn queued(&self, queue: &str) -> u64 {
        self.rabbit.queue_info(queue).await.map_or(0, |info| info.total)
    }

    /// Waits until the broker knows the queues, and still does after a kill: fault tests must not break a queue that was just declared.
    pub async fn topology_settled(&self) {
        eventually("the worker declares its queues", Duration::from_secs(20), async || {
            self.rabbit.queue_info(queue::DEAD).await
        })
        .await;
        if let Node::Own(rabbit) = &self.rabbit {
            rabbit.queues_written().await;
        }
    }

    /// Publishes tasks straight into the queue, confirmed, with message ids of their own. Returns the ids.
    pub async fn publish(&self, count: usize, name: &str) -> Vec<TaskId> {
        let ids: Vec<TaskId> = (0..count).map(|_| TaskId::new()).collect();
        let tasks: Vec<Outgoing> =
            ids.iter().enumerate().map(|(n, id)| task(*id, &format!("{name}-{n}@example.com"), name)).collect();
        self.publish_all(&tasks).await;
        ids
    }

    /// Publishes these messages, confirmed.
    pub async fn publish_all(&self, tasks: &[Outgoing]) {
        let broker = Broker::new(self.rabbit.amqp_url().parse().unwrap(), "system test");
        let connection = broker.connect().await.unwrap();
        amqp::topology::ensure(&connection, &[amqp::topology::main()]).await.unwrap();
        let within = Duration::from_secs(20);
        let mut confirms = ConfirmChannel::open(&connection, within).await.unwrap();
        for batch in tasks.chunks(500) {
            publish_confirmed(&mut confirms, batch.to_vec(), within).await;
        }
        connection.close().await;
    }

    /// Waits until every user has a mail.
    pub async fn everyone_is_mailed(&self, within: Duration) {
        eventually("every user has a mail", within, async || {
            let users = self.users().await;
            let mailed: HashSet<String> = self.smtp.mails().iter().map(|mail| mail.to[0].clone()).collect();
            (users.is_subset(&mailed)).then_some(())
        })
        .await;
    }

    /// Waits until no task is anywhere on its way: outbox, queue and retry queues empty.
    pub async fn drained(&self, within: Duration) {
        // The broker's numbers may be a second or two old, and are missing right after its restart: what is empty stays empty.
        let long_enough = Duration::from_secs(3);
        let mut empty_since: Option<Instant> = None;
        eventually("outbox and queues are empty", within, async || {
            let queues = self.rabbit.queues().await;
            let on_their_way = queues.iter().filter(|info| info.name != queue::DEAD).map(|info| info.total);
            if on_their_way.sum::<u64>() > 0 || self.outbox().await > 0 {
                empty_since = None;
                return None;
            }
            (empty_since.get_or_insert_with(Instant::now).elapsed() > long_enough).then_some(())
        })
        .await;
    }

    /// Every mail that arrived, by the id in its `Message-ID`; an id that arrived twice stands there twice.
    pub fn mailed(&self) -> Vec<TaskId> {
        self.smtp.mails().iter().map(mail_id).collect()
    }
}

/// The task that a mail came from.
pub fn mail_id(mail: &testkit::Mail) -> TaskId {
    let id = mail.message_id();
    let id = id.split('@').next().unwrap();
    TaskId::from_message_id(id)
}

/// Those that occur more than once.
pub fn repeated<T: std::hash::Hash + Eq + Clone>(items: &[T]) -> HashSet<T> {
    let mut seen = HashSet::new();
    items.iter().filter(|item| !seen.insert((*item).clone())).cloned().collect()
}

/// Runs a command of a service to its end, and returns what it printed.
///
/// # Panics
/// When it fails, with what it printed.
pub async fn run(service: &str, arguments: &[&str], environment: &[(&str, String)]) -> String {
    let command = Service::spawn_with(service, arguments, environment);
    let status = command.exited(Duration::from_secs(60)).await;
    let printed = command.log_lines().join("\n");
    assert!(status.success(), "{service} {}: {status}\n{printed}", arguments.join(" "));
    printed
}

/// Ends a process the way a crash does.
pub fn kill(pid: u32) {
    let killed = std::process::Command::new("sh").arg("-c").arg(format!("kill -KILL {pid}")).status().unwrap();
    assert!(killed.success(), "process {pid} was there to be killed");
}
