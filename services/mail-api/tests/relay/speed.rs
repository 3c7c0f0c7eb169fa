//! How fast it is, beside the relay of user-api: an application's own table has to be no slower.

use std::path::Path;
use std::time::{Duration, Instant};

use contract::queue;
use sqlx::AssertSqlSafe;
use testkit::lapin::types::{AMQPValue, FieldTable};
use testkit::{Client, Database, Rabbit, Service};

use crate::support::{SOON, Shop};

const ROWS: u32 = 50_000;
const TURNS: usize = 5;

/// Tasks a second, from the first that is in the queue to the last.
async fn drained(service: Service, client: &Client) -> f64 {
    let mut first = None;
    loop {
        let ready = client.ready(queue::EMAIL).await;
        match first {
            None if ready > 0 => first = Some((Instant::now(), ready)),
            Some((began, before)) if ready >= ROWS => {
                assert!(service.terminate().await.success());
                return f64::from(ready - before) / began.elapsed().as_secs_f64();
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn variables(database: &str, broker: &str) -> Vec<(&'static str, String)> {
    vec![("DATABASE_URL", database.to_owned()), ("AMQP_URL", broker.to_owned())]
}

/// The same rows in both.
fn rows(table: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "INSERT INTO {table} (id, task_type, body, traceparent)
         SELECT (lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
                 || '7' || right(replace(gen_random_uuid()::text, '-', ''), 19))::uuid, 'email.welcome',
                convert_to('{{\"email\":\"user-' || n || '@example.com\",\"username\":\"user-' || n || '\"}}', 'UTF8'),
                '00-' || lpad(to_hex(n), 32, '0') || '-' || lpad(to_hex(n), 16, '0') || '-01'
         FROM generate_series(1, {ROWS}) AS n"
    ))
}

async fn users() -> Database {
    let database = testkit::database().await;
    let migrated = Service::spawn_with("user-api", &["migrate"], &[("DATABASE_URL", database.url().to_owned())]);
    assert!(migrated.exited(SOON).await.success());
    database
}

/// `cargo build --release -p user-api -p mail-api`, then this with `--release --ignored --nocapture`.
#[tokio::test]
#[ignore = "measures for minutes, and wants release builds of both services"]
#[allow(clippy::print_stderr, reason = "the figures are for people")]
async fn on_a_foreign_table_it_relays_at_least_nine_tenths_of_what_user_api_does() {
    let api = Path::new(env!("CARGO_BIN_EXE_mail-api")).with_file_name("user-api");
    assert!(api.is_file(), "cargo build -p user-api first");
    let (mut own, mut foreign) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        // In turns, each first as often as the other.
        for is_foreign in [turn % 2 == 0, turn % 2 != 0] {
            let rabbit = Rabbit::start().await;
            let client = rabbit.client().await;
            // As the relays would, and settled: it was not the broker's first moment.
            let mut arguments = FieldTable::default();
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
            client.declare(queue::EMAIL, arguments).await.unwrap();
            tokio::time::sleep(Duration::from_secs(3)).await;
            let rate = if is_foreign {
                let shop = Shop::open().await;
                sqlx::raw_sql(rows("sluice.outbox")).execute(shop.pool()).await.unwrap();
                let vars = variables(&shop.relay_url(), rabbit.amqp_url());
                drained(Service::spawn_with("mail-api", &["relay"], &vars), &client).await
            } else {
                let database = users().await;
                sqlx::raw_sql(rows("outbox")).execute(database.pool()).await.unwrap();
                let mut vars = variables(database.url(), rabbit.amqp_url());
                vars.push(("HASH_COST", "cheap".to_owned()));
                drained(Service::spawn("user-api", &vars), &client).await
            };
            eprintln!("turn {turn}: {} {rate:.0} tasks/s", if is_foreign { "mail-api" } else { "user-api" });
            if is_foreign { &mut foreign } else { &mut own }.push(rate);
        }
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let (own, foreign) = (median(&mut own), median(&mut foreign));
    eprintln!(
        "median of {TURNS}: user-api {own:.0} tasks/s, mail-api {foreign:.0} tasks/s, ratio {:.2}",
        foreign / own
    );
    assert!(foreign >= 0.9 * own, "{foreign:.0} of {own:.0} tasks/s");
}
