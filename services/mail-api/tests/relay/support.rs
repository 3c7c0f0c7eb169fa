//! Somebody else's application, and a relay for it.

use std::net::SocketAddr;
use std::time::Duration;

use contract::queue;
use futures_util::StreamExt as _;
use mail_api::app::App;
use mail_api::config::{Command, Config, RelayConfig};
use outbox::schema::{self, Options};
use platform::config::given;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};
use testkit::lapin::options::BasicConsumeOptions;
use testkit::lapin::types::FieldTable;
use testkit::{Client, Database, Postgres, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const SCHEMA: &str = "sluice";

/// A shop with a database of its own: a table, a role for its program, one for the relay, and the outbox of Sluice.
pub(crate) struct Shop {
    pub(crate) database: Database,
    pub(crate) app: String,
    pub(crate) relay: String,
}

impl Shop {
    /// In the server that all tests share.
    pub(crate) async fn open() -> Self {
        let shop = Self::without_outbox(testkit::database().await).await;
        shop.migrate(&shop.options()).await;
        shop
    }

    /// In a server of the test's own.
    pub(crate) async fn on(server: &Postgres) -> Self {
        let shop = Self::without_outbox(server.database().await).await;
        shop.migrate(&shop.options()).await;
        shop
    }

    /// Before it has heard of Sluice.
    pub(crate) async fn without_outbox(database: Database) -> Self {
        let unique = Uuid::now_v7().simple().to_string();
        let shop = Self { database, app: format!("shop_{unique}"), relay: format!("relay_{unique}") };
        shop.execute(&format!(
            "CREATE ROLE {app} LOGIN; CREATE ROLE {relay} LOGIN;
             CREATE TABLE orders (id bigserial PRIMARY KEY, customer text NOT NULL, mail uuid);
             GRANT INSERT, SELECT ON orders TO {app}; GRANT USAGE ON SEQUENCE orders_id_seq TO {app}",
            app = shop.app,
            relay = shop.relay
        ))
        .await;
        shop
    }

    pub(crate) fn options(&self) -> Options {
        let [schema, app, relay] = [SCHEMA, &self.app, &self.relay].map(|name| name.parse().unwrap());
        Options { schema, apps: vec![app], relays: vec![relay] }
    }

    /// What a migration of the shop does: all in one transaction.
    pub(crate) async fn migrate(&self, options: &Options) {
        self.execute(&format!("BEGIN; {} COMMIT", schema::sql(options))).await;
    }

    /// With all rights.
    pub(crate) async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(self.pool()).await.unwrap();
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    fn url_of(&self, role: &str) -> String {
        self.database.url().replace("sluice@", &format!("{role}@"))
    }

    pub(crate) fn relay_url(&self) -> String {
        self.url_of(&self.relay)
    }

    pub(crate) fn app_url(&self) -> String {
        self.url_of(&self.app)
    }

    /// With the rights of the shop's program.
    pub(crate) async fn as_app(&self) -> PgPool {
        PgPool::connect(&self.app_url()).await.unwrap()
    }

    /// Tasks that wait.
    pub(crate) async fn waiting(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM sluice.outbox").fetch_one(self.pool()).await.unwrap()
    }

    pub(crate) async fn all_relayed(&self, within: Duration) {
        eventually("the outbox is empty", within, async || (self.waiting().await == 0).then_some(())).await;
    }

    /// Many orders at once, each with its mail.
    pub(crate) async fn orders(&self, count: i32) {
        self.execute(&format!(
            "WITH placed AS (INSERT INTO orders (customer) SELECT 'customer-' || n FROM generate_series(1, {count}) n RETURNING *)
             SELECT count(sluice.enqueue_mail('order.paid', customer || '@example.com', jsonb_build_object('order', id))) FROM placed"
        ))
        .await;
    }
}

/// A relay, in this process.
pub(crate) struct TestRelay {
    pub(crate) admin: SocketAddr,
    token: CancellationToken,
    running: Option<JoinHandle<anyhow::Result<()>>>,
}

pub(crate) fn config(database: &str, vars: &[(&str, &str)]) -> RelayConfig {
    let defaults = [
        ("DATABASE_URL", database),
        ("AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f"),
        ("ADMIN_ADDR", "127.0.0.1:0"),
        ("RELAY_POLL_INTERVAL", "100ms"),
    ];
    let all = [vars, &defaults].concat();
    match platform::config::try_parse::<Config>(["mail-api", "relay"], given(&all))
        .expect("a valid configuration")
        .command
    {
        Command::Relay(config) => *config,
        other => panic!("{other:?}"),
    }
}

impl TestRelay {
    pub(crate) async fn start(database: &str, vars: &[(&str, &str)]) -> Self {
        let app = App::build(config(database, vars)).await.expect("building the app");
        let (admin, token) = (app.admin_addr(), CancellationToken::new());
        let running = Some(tokio::spawn(app.run(token.clone())));
        Self { admin, token, running }
    }

    /// Ready, with its broker.
    pub(crate) async fn up(database: &str, vars: &[(&str, &str)]) -> Self {
        let relay = Self::start(database, vars).await;
        eventually("the relay is up", SOON, async || {
            let (status, report) = relay.ready().await;
            (status == 200 && report["components"]["broker"]["status"] == "up").then_some(())
        })
        .await;
        relay
    }

    /// Status and body of `/readyz`.
    pub(crate) async fn ready(&self) -> (u16, Value) {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        let response = client.get(format!("http://{}/readyz", self.admin)).send().await.expect("an answer");
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    /// Waits until it says of a component why it is down; with this status.
    pub(crate) async fn says(&self, status: u16, component: &str, why: &str) -> String {
        eventually(&format!("{component} is down: {why}"), SOON, async || {
            let (now, report) = self.ready().await;
            let reason = report["components"][component]["reason"].as_str()?.to_owned();
            (now == status && reason.contains(why)).then_some(reason)
        })
        .await
    }

    pub(crate) async fn becomes_ready(&self) {
        eventually("the relay is ready", SOON, async || (self.ready().await.0 == 200).then_some(())).await;
    }

    /// Tells it to stop, and waits for its end.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        self.token.cancel();
        self.running.take().expect("stopped once").await.unwrap()
    }
}

impl Drop for TestRelay {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

/// Waits until so many tasks are in the queue.
pub(crate) async fn queued(client: &Client, count: u32) {
    let what = format!("{count} tasks are in the queue");
    eventually(&what, SOON * 4, async || (client.ready(queue::EMAIL).await >= count).then_some(())).await;
}

/// The ids of all messages in the queue, which is empty afterwards.
pub(crate) async fn message_ids(client: &Client) -> Vec<String> {
    let count = client.ready(queue::EMAIL).await as usize;
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let consumer = client.channel().basic_consume(queue::EMAIL.into(), "all".into(), options, FieldTable::default());
    let reading =
        consumer.await.unwrap().take(count).map(|delivery| {
            delivery.unwrap().properties.message_id().as_ref().expect("a message id").as_str().to_owned()
        });
    tokio::time::timeout(SOON * 2, reading.collect()).await.expect("all are delivered")
}
