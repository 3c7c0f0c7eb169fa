//! A running app with a key, and what tests ask of it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use mail_api::config::{Command, Config, KeysCommand, ServeConfig};
use mail_api::db::MIGRATOR;
use mail_api::keys::commands;
use mail_api::serve::Serve;
use platform::config::given;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
pub(crate) use testkit::Answer;
use testkit::Database;
use tokio_util::sync::CancellationToken;

pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The service, in this process, over a database of its own.
pub(crate) struct TestApi {
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) client: reqwest::Client,
    /// One that may ask for everything.
    pub(crate) key: String,
    pub(crate) database: Database,
    token: CancellationToken,
}

pub(crate) fn config(database: &str, vars: &[(&str, &str)]) -> ServeConfig {
    let defaults = [
        ("DATABASE_URL", database),
        // Nobody listens there: who asks for mails must not notice.
        ("AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f"),
        ("HTTP_ADDR", "127.0.0.1:0"),
        ("ADMIN_ADDR", "127.0.0.1:0"),
        ("KEY_RATE_LIMIT", "0"),
        ("RECIPIENT_LIMIT", "0"),
        ("RELAY_POLL_INTERVAL", "100ms"),
    ];
    let all = [vars, &defaults].concat();
    match platform::config::try_parse::<Config>(["mail-api", "serve"], given(&all))
        .expect("a valid configuration")
        .command
    {
        Command::Serve(config) => *config,
        other => panic!("{other:?}"),
    }
}

/// A database of its own, with all tables.
pub(crate) async fn migrated() -> Database {
    let database = testkit::database().await;
    platform::postgres::migrate(database.pool(), &MIGRATOR).await.expect("migrating an empty database");
    database
}

/// `mail-api keys ..`; what it prints.
pub(crate) async fn keys(pool: &PgPool, arguments: &[&str]) -> anyhow::Result<String> {
    let arguments = ["mail-api", "keys"].iter().chain(arguments);
    let var = |name: &str| (name == "DATABASE_URL").then(|| OsString::from("postgres://u@127.0.0.1:9/d"));
    let config = platform::config::try_parse::<Config>(arguments, var).expect("a valid command");
    let Command::Keys(args) = config.command else { panic!("another command") };
    run_keys(pool, args.command).await
}

async fn run_keys(pool: &PgPool, command: KeysCommand) -> anyhow::Result<String> {
    let mut out = Vec::new();
    commands::run(pool, command, &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

pub(crate) async fn add_key(pool: &PgPool, arguments: &[&str]) -> String {
    let arguments = [&["add"], arguments].concat();
    keys(pool, &arguments).await.unwrap().trim_end().to_owned()
}

impl TestApi {
    pub(crate) async fn start(vars: &[(&str, &str)]) -> Self {
        Self::over(migrated().await, vars).await
    }

    /// Over a database that is migrated already.
    pub(crate) async fn over(database: Database, vars: &[(&str, &str)]) -> Self {
        let key = add_key(database.pool(), &["test"]).await;
        let url = database.url().to_owned();
        Self::serve(database, &url, key, vars).await
    }

    /// The same, reached by another way.
    pub(crate) async fn serve(database: Database, url: &str, key: String, vars: &[(&str, &str)]) -> Self {
        let app = Serve::build(config(url, vars)).await.expect("building the app");
        let (addr, admin) = (app.addr(), app.admin_addr());
        let token = CancellationToken::new();
        tokio::spawn(app.run(token.clone()));
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        let api = Self { addr, admin, client, key, database, token };
        testkit::eventually("it is ready", SOON, async || (api.ready().await.status == 200).then_some(())).await;
        api
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    pub(crate) fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(format!("http://{}{path}", self.addr))
    }

    pub(crate) async fn send(&self, body: &Value) -> Answer {
        self.send_with(body, &[]).await
    }

    pub(crate) async fn send_with(&self, body: &Value, headers: &[(&str, &str)]) -> Answer {
        self.post("/v1/mails", &self.key, body, headers).await
    }

    pub(crate) async fn send_as(&self, key: &str, body: &Value) -> Answer {
        self.post("/v1/mails", key, body, &[]).await
    }

    pub(crate) async fn batch(&self, mails: &[Value]) -> Answer {
        self.batch_with(mails, &[]).await
    }

    pub(crate) async fn batch_with(&self, mails: &[Value], headers: &[(&str, &str)]) -> Answer {
        self.post("/v1/mails/batch", &self.key, &json!({ "mails": mails }), headers).await
    }

    async fn post(&self, path: &str, key: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.request(path).bearer_auth(key).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::read(self.client.get(format!("http://{}{path}", self.addr))).await
    }

    /// Status of `/readyz`.
    pub(crate) async fn ready(&self) -> Answer {
        Answer::read(self.client.get(format!("http://{}/readyz", self.admin))).await
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM sluice.{table}"));
        sqlx::query_scalar(sql).fetch_one(self.pool()).await.unwrap()
    }

    pub(crate) async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(self.pool()).await.unwrap();
    }
}

impl Drop for TestApi {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

/// What the answers of mail-api have beside.
pub(crate) trait OfMails {
    /// Was it an earlier request that did it?
    fn replayed(&self) -> bool;
    /// The id of a mail that was taken.
    fn id(&self) -> String;
    /// The statuses of a batch.
    fn statuses(&self) -> Vec<u64>;
}

impl OfMails for Answer {
    fn replayed(&self) -> bool {
        self.header("idempotency-replayed") == Some("true")
    }

    #[track_caller]
    fn id(&self) -> String {
        assert_eq!(self.status, 202, "{self:?}");
        self.json()["id"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn statuses(&self) -> Vec<u64> {
        let json = self.json();
        let results = json["results"].as_array().unwrap_or_else(|| panic!("{self:?}"));
        results.iter().map(|result| result["status"].as_u64().unwrap()).collect()
    }
}

/// A mail that is fine, to somebody by this name.
pub(crate) fn mail(name: &str) -> Value {
    json!({"type": "order.paid", "recipient": format!("{name}@example.com"), "name": name, "data": {"order": 7}})
}
