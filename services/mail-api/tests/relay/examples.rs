//! The programs in `examples`: an application's own row and its mail, in one transaction, from other languages.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use contract::queue;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Shop, TestRelay, queued};

/// A build may have to fetch what it needs.
const PATIENCE: Duration = Duration::from_secs(240);

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

/// Runs a command in the folder of an example; `None` where its program is not there.
async fn run(folder: &str, command: &[&str], database: &str) -> Option<Output> {
    let mut process = Command::new(command[0]);
    process.args(&command[1..]).current_dir(example(folder)).env("DATABASE_URL", database).stdin(Stdio::null());
    process.kill_on_drop(true);
    tokio::time::timeout(PATIENCE, process.output()).await.expect("it ends").ok()
}

/// What is left out is said, or nobody would know.
#[allow(clippy::print_stderr, reason = "shown with --nocapture, and for whoever asks why a language was not tried")]
async fn is_there(folder: &str, probe: &[&str]) -> bool {
    let there = run(folder, probe, "").await.is_some_and(|output| output.status.success());
    if !there {
        eprintln!("examples/{folder} was left out: `{}` fails on this machine", probe.join(" "));
    }
    there
}

/// The database of the shop, as the clients of a language want to be told.
fn url_for(folder: &str, shop: &Shop) -> String {
    let url = shop.app_url();
    let (_, place) = url.split_once('@').expect("a URL with a role");
    match folder {
        "java" => format!("jdbc:postgresql://{place}?user={}&sslmode=disable", shop.app),
        // SQLAlchemy takes no other name of the scheme.
        "python" => format!("postgresql://{}@{place}?sslmode=disable", shop.app),
        _ => format!("{url}?sslmode=disable"),
    }
}

/// Orders with and without a failure afterwards: the mail goes with the order.
async fn orders_with_its_mail(folder: &str, command: &[&str]) {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let _relay = TestRelay::up(&shop.relay_url(), &[("AMQP_URL", vhost.amqp_url())]).await;
    let order = async |more: &[&str]| {
        let arguments: Vec<_> = command.iter().chain(&["Ada", "ada@example.com"]).chain(more).copied().collect();
        run(folder, &arguments, &url_for(folder, &shop)).await.expect("it is there")
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();

    let failed = order(&["--fail"]).await;
    assert!(!failed.status.success(), "{failed:?}");
    assert!(text(&failed.stderr).contains("no order, and no mail"), "{}", text(&failed.stderr));
    let placed = order(&[]).await;
    assert!(placed.status.success(), "{}", text(&placed.stderr));

    let client = vhost.client().await;
    queued(&client, 1).await;
    let task = client.take(queue::EMAIL).await.expect("the task");
    assert_eq!(task.message_id(), Some(text(&placed.stdout).as_str()));
    let orders: Vec<(i64, String)> =
        sqlx::query_as("SELECT id, customer FROM orders").fetch_all(shop.pool()).await.unwrap();
    assert_eq!(orders.len(), 1, "{orders:?}");
    assert_eq!(orders[0].1, "Ada");
    let body: Value = serde_json::from_slice(&task.body).unwrap();
    assert_eq!(body, json!({"email": "ada@example.com", "name": "Ada", "data": {"order": orders[0].0}}));
    assert!(client.take(queue::EMAIL).await.is_none(), "the order that failed has no mail");
}

#[tokio::test]
async fn an_order_from_python_has_its_mail() {
    // Debian's SQLAlchemy belongs to Debian's Python, whatever else is on the PATH.
    if is_there("python", &["/usr/bin/python3", "-c", "import sqlalchemy, psycopg2"]).await {
        orders_with_its_mail("python", &["/usr/bin/python3", "order.py"]).await;
    }
}

#[tokio::test]
async fn an_order_from_node_has_its_mail() {
    if is_there("node", &["node", "--input-type=module", "-e", "import 'pg'"]).await {
        orders_with_its_mail("node", &["node", "order.mjs"]).await;
    }
}

#[tokio::test]
async fn an_order_from_go_has_its_mail() {
    if is_there("go", &["go", "build", "-o", "/dev/null", "."]).await {
        orders_with_its_mail("go", &["go", "run", "."]).await;
    }
}

#[tokio::test]
async fn an_order_from_java_has_its_mail() {
    const DRIVER: &str = "/usr/share/java/postgresql.jar";
    if Path::new(DRIVER).is_file() && is_there("java", &["java", "-version"]).await {
        orders_with_its_mail("java", &["java", "-cp", DRIVER, "Order.java"]).await;
    }
}
