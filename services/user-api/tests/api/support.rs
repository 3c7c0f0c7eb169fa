//! A running app, and what tests ask of it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use sqlx::PgPool;
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

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
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
    let find = |name: &str, vars: &[(&str, &str)]| {
        vars.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    };
    let var = |name: &str| find(name, vars).or_else(|| find(name, &defaults));
    match platform::config::try_parse::<Config>(["user-api"], var).expect("a valid configuration").command {
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

impl Answer {
    pub(crate) async fn read(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().await.expect("a body") }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Holds it to what every problem must be; returns its slug.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"), "{self:?}");
        assert!(body["request_id"].is_string() && body["title"].is_string(), "{body}");
        if status == 503 || status == 429 {
            let seconds: u64 = self.header("retry-after").expect("Retry-After").parse().unwrap();
            assert!((1..=60).contains(&seconds), "Retry-After: {seconds}");
        }
        body["type"].as_str().unwrap().strip_prefix("/problems/").unwrap().to_owned()
    }

    /// The fields that a problem names, in order.
    #[track_caller]
    pub(crate) fn pointers(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }
}

/// A registration that is fine, of somebody by this name.
pub(crate) fn somebody(username: &str) -> Value {
    json!({"username": username, "email": format!("{username}@example.com"), "password": "correct horse"})
}
