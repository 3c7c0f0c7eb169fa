//! A running app, and what tests ask of it.

use std::net::SocketAddr;
use std::time::Duration;

use platform::config::given;
use serde_json::{Value, json};
use sqlx::PgPool;
pub(crate) use testkit::Answer;
use testkit::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use user_api::app::App;
use user_api::config::{Command, Config, ServeConfig};
use user_api::db::MIGRATOR;

/// The service, in this process.
pub(crate) struct TestApp {
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) client: reqwest::Client,
    token: CancellationToken,
    running: Option<JoinHandle<anyhow::Result<()>>>,
    database: Option<Database>,
}

pub(crate) fn config(database: &str, vars: &[(&str, &str)]) -> ServeConfig {
    let defaults = [
        ("DATABASE_URL", database),
        // Nobody listens there: registrations must not notice.
        ("AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f"),
        ("HTTP_ADDR", "127.0.0.1:0"),
        ("ADMIN_ADDR", "127.0.0.1:0"),
        ("RATE_LIMIT", "0"),
        ("HASH_MAX_WAIT", "20s"),
        ("REQUEST_TIMEOUT", "20s"),
    ];
    let all = [vars, &defaults].concat();
    match platform::config::try_parse::<Config>(["user-api"], given(&all)).expect("a valid configuration").command {
        Command::Serve(config) => *config,
        other => panic!("{other:?}"),
    }
}

/// What the service gets as a process.
pub(crate) fn variables(database: &str) -> Vec<(&'static str, String)> {
    vec![
        ("DATABASE_URL", database.to_owned()),
        ("AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f".to_owned()),
        ("RATE_LIMIT", "0".to_owned()),
        ("HASH_CONCURRENCY", "4".to_owned()),
        ("HASH_MAX_WAIT", "20s".to_owned()),
        ("REQUEST_TIMEOUT", "20s".to_owned()),
    ]
}

impl TestApp {
    /// Over a database of its own.
    pub(crate) async fn start(vars: &[(&str, &str)]) -> Self {
        let database = testkit::database().await;
        platform::postgres::migrate(database.pool(), &MIGRATOR).await.expect("migrating an empty database");
        let mut app = Self::over(database.url(), vars).await;
        app.database = Some(database);
        app
    }

    /// Over a database that belongs to the test and is migrated already.
    pub(crate) async fn over(database: &str, vars: &[(&str, &str)]) -> Self {
        let app = App::build(config(database, vars)).await.expect("building the app");
        let (addr, admin) = (app.addr(), app.admin_addr());
        let token = CancellationToken::new();
        let running = Some(tokio::spawn(app.run(token.clone())));
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        Self { addr, admin, client, token, running, database: None }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.database.as_ref().expect("a database of its own").pool()
    }

    pub(crate) fn database_url(&self) -> String {
        self.database.as_ref().expect("a database of its own").url().to_owned()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) async fn register(&self, body: &Value) -> Answer {
        self.register_with(body, &[]).await
    }

    pub(crate) async fn register_with(&self, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.post(self.url("/v1/users")).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(request).await
    }

    /// A body as it is, valid or not.
    pub(crate) async fn post(&self, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        Answer::read(self.client.post(self.url("/v1/users")).header("content-type", content_type).body(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::read(self.client.get(self.url(path))).await
    }

    /// Status of `/readyz`.
    pub(crate) async fn ready(&self) -> Answer {
        Answer::read(self.client.get(format!("http://{}/readyz", self.admin))).await
    }

    pub(crate) async fn count(&self, table: &'static str) -> i64 {
        let sql = match table {
            "users" => "SELECT count(*) FROM users",
            "outbox" => "SELECT count(*) FROM outbox",
            "idempotency_keys" => "SELECT count(*) FROM idempotency_keys",
            other => panic!("no table {other}"),
        };
        sqlx::query_scalar(sql).fetch_one(self.pool()).await.unwrap()
    }

    /// Tells it to stop; returns what it is up to.
    pub(crate) fn stop(&mut self) -> JoinHandle<anyhow::Result<()>> {
        self.token.cancel();
        self.running.take().expect("stopped once")
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

/// A registration that is fine, of somebody by this name.
pub(crate) fn somebody(username: &str) -> Value {
    json!({"username": username, "email": format!("{username}@example.com"), "password": "correct horse"})
}
