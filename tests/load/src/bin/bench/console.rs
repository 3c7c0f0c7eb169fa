//! The console on five million rows of the mail log and two hundred thousand dead letters, and what redriving all of them costs
//! those who are mailed meanwhile.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amqp::{Broker, Outgoing, topology};
use contract::{TaskId, header, queue};
use load::{Goal, Latencies, OpenLoop, Producer, Progress, Report, Servers, process, recipient};
use serde_json::Value;
use testkit::Service;

const LETTERS: usize = 200_000;
const ROWS: i64 = 5_000_000;
/// Rows that are written in one statement.
const ROWS_AT_ONCE: i64 = 250_000;
/// Each page is asked for so often.
const LOOKS: usize = 60;
const KEY: &str = "0123456789abcdef0123456789abcdef";
const REASONS: [&str; 4] = ["mailbox-full", "policy-violation", "user-unknown", "blocked"];
/// Mails of today, beside the old ones.
const FRESH: OpenLoop = OpenLoop { rate: 1_000.0, length: Duration::from_secs(20) };
/// Letters a second.
const REDRIVEN: u64 = 2_000;
const PATIENCE: Duration = Duration::from_secs(60);

struct Console {
    service: Service,
    http: reqwest::Client,
}

impl Console {
    async fn get(&self, path: &str) -> (u16, String) {
        self.answer(self.http.get(format!("{}{path}", self.service.base_url()))).await
    }

    async fn post(&self, path: &str, kind: &str, body: String) -> (u16, String) {
        let request = self.http.post(format!("{}{path}", self.service.base_url()));
        self.answer(request.header("Content-Type", kind).header("Sec-Fetch-Site", "same-origin").body(body)).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path).await.1).unwrap()
    }
}

pub(crate) async fn run(report: &mut Report) {
    report.measuring("the console, on 5,000,000 mails and 200,000 dead letters");
    let servers = Servers::start().await;
    fill_log(&servers).await;
    fill_letters(&servers).await;
    let console = console(&servers).await;
    let began = Instant::now();
    let newest = console.json("/v1/dead-letters?limit=1").await;
    assert_eq!(newest["total"], LETTERS, "{newest}");
    report.add("console: the first look at all dead letters", began.elapsed().as_secs_f64(), "s", Goal::None);
    let letter = newest["letters"][0]["id"].as_str().unwrap().to_owned();
    pages(report, &console, &letter).await;
    let peak = process::peak(console.service.pid());
    report.add("console: memory at its peak", peak, "MiB", Goal::AtMost(512.0));
    redrive(report, &servers, &console).await;
}

async fn console(servers: &Servers) -> Console {
    let variables = [
        ("DATABASE_URL", servers.ledger.url().to_owned()),
        ("AMQP_URL", servers.rabbit.amqp_url().to_owned()),
        ("ADDRESS_HASH_KEY", KEY.to_owned()),
    ];
    let service = Service::spawn_with("email-worker", &["console"], &variables);
    service.ready().await;
    Console { service, http: reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap() }
}

/// A tenth of them failed once, a hundredth is dead; a recipient has fifty.
async fn fill_log(servers: &Servers) {
    let progress = Progress::start("rows of the mail log", usize::try_from(ROWS).unwrap());
    let pool = servers.ledger.pool();
    sqlx::query("SELECT mail_log_keep(interval '30 days')").execute(pool).await.unwrap();
    for from in (0..ROWS).step_by(usize::try_from(ROWS_AT_ONCE).unwrap()) {
        sqlx::query(
            "WITH mails AS (
                 INSERT INTO mail_log
                     (day, id, mail_type, recipient, domain, state, attempts, created, changed, trace_id)
                 SELECT (now() AT TIME ZONE 'UTC')::date, md5(n::text)::uuid, 'email.welcome',
                     sha256(convert_to((n % 100000)::text, 'UTF8')), 'example.com',
                     CASE WHEN n % 100 = 0 THEN 'dead' ELSE 'sent' END, 1, now(), now(), decode(md5('t' || n), 'hex')
                 FROM generate_series($1, $1 + $2 - 1) AS n
             )
             INSERT INTO mail_attempts (day, id, at, number, state, stage, code, text, took, worker)
             SELECT (now() AT TIME ZONE 'UTC')::date, md5(n::text)::uuid, now(), 1, 'retried', 'rcpt', 451, '451 later',
                 interval '80 ms', 'worker-1'
             FROM generate_series($1, $1 + $2 - 1) AS n WHERE n % 10 = 0",
        )
        .bind(from)
        .bind(ROWS_AT_ONCE)
        .execute(pool)
        .await
        .unwrap();
        progress.set(usize::try_from(from + ROWS_AT_ONCE).unwrap());
    }
    sqlx::query("ANALYZE mail_log, mail_attempts").execute(pool).await.unwrap();
    progress.finish();
}

async fn fill_letters(servers: &Servers) {
    let broker = Broker::new(servers.rabbit.amqp_url().parse().unwrap(), "bench");
    let connection = broker.connect().await.unwrap();
    topology::ensure(&connection, &[topology::dead()]).await.unwrap();
    connection.close().await;
    servers.publish_tasks(&servers.rabbit, LETTERS, letter).await;
}

fn letter(n: usize) -> Outgoing {
    let mut letter = system::task(TaskId::new(), &format!("old-{n}@example-{}.com", n % 20), "Ada");
    letter.queue = queue::DEAD.to_owned();
    let headers = &mut letter.properties.headers;
    headers.set_str(header::DEAD_REASON, REASONS[n % REASONS.len()]);
    headers.set_str(header::DEAD_DETAIL, "550 5.7.1 the receiver said why, in a sentence of a usual length");
    headers.set_u64(header::DEAD_AT, SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
    headers.set_u64(header::ATTEMPT, 3);
    letter
}

async fn pages(report: &mut Report, console: &Console, letter: &str) {
    const FORM: &str = "application/x-www-form-urlencoded";
    let mut slowest = 0.0_f64;
    for path in [
        "/",
        "/mails/cfcd2084-95d5-65ef-66e7-dff9f98764da",
        "/dead-letters",
        "/dead-letters?from=oldest&page=2000",
        "/dead-letters?reason=blocked&domain=example-3.com&since=1h",
        &format!("/dead-letters/{letter}"),
        "/jobs",
        "/sending",
        "/history",
        "/v1/fleet",
        "/v1/queues",
        "/v1/dead-letters?limit=1000&offset=150000",
        "POST /mails what=ada%40example.com",
        // Of the trace of the mail 7.
        "POST /mails what=3685708fd594a6861aa73f181e657dc5",
    ] {
        let mut took = Vec::new();
        for _ in 0..LOOKS {
            let began = Instant::now();
            let (status, body) = match path.strip_prefix("POST ").and_then(|post| post.split_once(' ')) {
                Some((path, form)) => console.post(path, FORM, form.to_owned()).await,
                None => console.get(path).await,
            };
            took.push(began.elapsed());
            assert_eq!(status, 200, "{path}: {body}");
        }
        let latencies = Latencies::of(took);
        let p95 = latencies.quantile(0.95);
        let shown = path.replace(letter, "ID");
        report.note(&format!("{shown}: p50 {:.0} ms, p95 {p95:.0} ms", latencies.quantile(0.5)));
        slowest = slowest.max(p95);
    }
    report.add("console: p95 of the slowest page", slowest, "ms", Goal::AtMost(300.0));
}

/// What the same fresh mails wait, without and with a redrive beside them.
async fn redrive(report: &mut Report, servers: &Servers, console: &Console) {
    let worker = servers.worker(&[("ADDRESS_HASH_KEY", KEY)]);
    worker.ready().await;
    let (alone_rate, alone) = fresh(servers, "alone").await;
    let body = format!("{{\"per_second\":{REDRIVEN},\"expected\":{LETTERS}}}");
    let (status, job) = console.post("/v1/dead-letters/redrive", "application/json", body).await;
    assert_eq!(status, 202, "{job}");
    let job = format!("/v1/jobs/{}", serde_json::from_str::<Value>(&job).unwrap()["id"]);
    while console.json(&job).await["settled"].as_u64() == Some(0) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (began, before) = (Instant::now(), console.json(&job).await["settled"].as_f64().unwrap());
    let (beside_rate, beside) = fresh(servers, "beside a redrive").await;
    let settled = console.json(&job).await["settled"].as_f64().unwrap() - before;
    let redriven = settled / began.elapsed().as_secs_f64();
    report.note(&format!(
        "fresh mails alone: {alone_rate:.0}/s, p95 {:.1} ms; beside a redrive of {redriven:.0}/s: {beside_rate:.0}/s, p95 {:.1} ms",
        alone.quantile(0.95),
        beside.quantile(0.95)
    ));
    report.add(
        "redrive of all: letters a second, fresh mails beside it",
        redriven,
        "letters/s",
        Goal::AtLeast(1_900.0),
    );
    report.add("fresh mails a second, beside a redrive / alone", beside_rate / alone_rate, "ratio", Goal::AtLeast(0.9));
    assert!(worker.terminate().await.success(), "the worker drains");
}

/// Mails a second from the first to the last of them, and how long each took from its moment to the mail server.
async fn fresh(servers: &Servers, what: &str) -> (f64, Latencies) {
    servers.smtp.clear();
    let count = FRESH.count();
    let progress = Progress::start(&format!("mails published, {what}"), count);
    let produced = Producer::new(servers.rabbit.amqp_url()).run(FRESH, &progress).await;
    progress.finish();
    let wanted: HashMap<String, usize> = (0..count).map(|n| (recipient(n), n)).collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let arrivals = servers.smtp.arrivals();
        let took: Vec<(usize, Instant)> =
            arrivals.iter().filter_map(|arrival| Some((*wanted.get(&arrival.to)?, arrival.at))).collect();
        if took.len() >= count {
            let last = took.iter().map(|(_, at)| *at).max().unwrap();
            let rate = count as f64 / (last - produced.start).as_secs_f64();
            let waits =
                took.into_iter().map(|(n, at)| at.saturating_duration_since(produced.start + FRESH.intended(n)));
            return (rate, Latencies::of(waits));
        }
        assert!(Instant::now() < deadline, "{} of {count} fresh mails came", took.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
