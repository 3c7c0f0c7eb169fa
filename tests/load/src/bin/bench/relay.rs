//! How fast the outbox of an application becomes tasks in the queue: `mail-api relay` on its table, and user-api's own relay.

use std::time::{Duration, Instant};

use contract::queue;
use load::{Goal, Report, Servers, median, process};
use outbox::schema::{self, Options};
use sqlx::AssertSqlSafe;
use testkit::{Database, Service, Vhost};

/// Rows that wait before the relay starts, in each round.
const ROWS: u32 = 100_000;
/// The two take turns.
const ROUNDS: usize = 7;
const PATIENCE: Duration = Duration::from_secs(120);

/// Tasks a second, and microseconds of CPU a task.
type Drained = (f64, f64);

pub(crate) async fn run(report: &mut Report) {
    report.measuring("the relay of an application's outbox, beside user-api's");
    let servers = Servers::start().await;
    let (mut rates, mut cpu, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut measured = [None, None];
        // Who goes first changes.
        for turn in [round % 2, (round + 1) % 2] {
            measured[turn] = Some(if turn == 0 { user_api(&servers).await } else { foreign(&servers).await });
        }
        let [Some(ours), Some(theirs)] = measured else { unreachable!("both took their turn") };
        report.note(&format!(
            "user-api {:.0} tasks/s, {:.1} us of CPU a task; mail-api relay {:.0} tasks/s, {:.1} us",
            ours.0, ours.1, theirs.0, theirs.1
        ));
        rates.push(theirs.0 / ours.0);
        cpu.push(theirs.1 / ours.1);
        own.push(ours.0);
    }
    report.add("relay: tasks a second, user-api's", median(own), "tasks/s", Goal::None);
    report.add("relay: tasks a second, a foreign table / user-api's", median(rates), "ratio", Goal::AtLeast(0.9));
    report.add("relay: CPU of the relay a task, the same", median(cpu), "ratio", Goal::None);
}

async fn user_api(servers: &Servers) -> Drained {
    let database = servers.another("user-api").await;
    fill(&database, "outbox").await;
    let start = |url: &str, vhost: &Vhost| Service::spawn("user-api", &variables(url, vhost));
    drained(servers, database.url(), start).await
}

async fn foreign(servers: &Servers) -> Drained {
    let database = servers.blank().await;
    execute(&database, FOREIGN_ROLE.to_owned()).await;
    let options = Options { schema: "sluice".parse().unwrap(), apps: Vec::new(), relays: vec![RELAY.parse().unwrap()] };
    execute(&database, schema::sql(&options)).await;
    fill(&database, "sluice.outbox").await;
    let url = database.url().replace("sluice@", &format!("{RELAY}@"));
    let start = |url: &str, vhost: &Vhost| Service::spawn_with("mail-api", &["relay"], &variables(url, vhost));
    drained(servers, &url, start).await
}

/// The role of the relay, with the rights that the schema names and no others.
const RELAY: &str = "bench_relay";
const FOREIGN_ROLE: &str =
    "DO $$ BEGIN CREATE ROLE bench_relay LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$";

fn variables(database: &str, vhost: &Vhost) -> [(&'static str, String); 2] {
    [("DATABASE_URL", database.to_owned()), ("AMQP_URL", vhost.amqp_url().to_owned())]
}

/// The same rows in both.
async fn fill(database: &Database, table: &str) {
    let body = r#"convert_to('{"email":"user-' || n || '@example.com","username":"user-' || n || '"}', 'UTF8')"#;
    let sql = format!(
        "INSERT INTO {table} (id, task_type, body, traceparent)
         SELECT (lpad(to_hex(1700000000000 + n), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid, 'email.welcome',
                {body}, '00-' || lpad(to_hex(n), 32, '0') || '-' || lpad(to_hex(n), 16, '0') || '-01'
         FROM generate_series(1, {ROWS}) AS n"
    );
    execute(database, sql).await;
}

async fn execute(database: &Database, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(database.pool()).await.unwrap();
}

/// Of the middle eight tenths: what the first connections and the last rows take is not the rate.
async fn drained(servers: &Servers, url: &str, start: impl Fn(&str, &Vhost) -> Service) -> Drained {
    let vhost = servers.rabbit.vhost().await;
    // The queue is there and has its leader: it was not the broker's first day.
    servers.publish_to(&vhost, 1).await;
    let client = vhost.client().await;
    let relay = start(url, &vhost);
    let begun = Instant::now();
    let reached = async |count: u32| loop {
        let ready = client.ready(queue::EMAIL).await;
        if ready >= count {
            return (Instant::now(), process::cpu(relay.pid()), f64::from(ready));
        }
        assert!(begun.elapsed() < PATIENCE, "{ready} of {count} tasks: {:?}", relay.log_lines());
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let (from, to) = (reached(ROWS / 10).await, reached(ROWS / 10 * 9).await);
    reached(ROWS + 1).await;
    client.close().await;
    assert!(relay.terminate().await.success(), "the relay ends");
    vhost.delete_queue(queue::EMAIL).await;
    let tasks = to.2 - from.2;
    (tasks / (to.0 - from.0).as_secs_f64(), (to.1 - from.1).as_secs_f64() * 1e6 / tasks)
}
