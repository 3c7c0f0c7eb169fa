//! The console's first page: what the fleet does, and did in the last hour.

use std::time::Duration;

use serde_json::Value;
use testkit::{Script, Stage, eventually};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::console::{Console, Person, VIEWER};
use crate::helpers::{PATIENCE, World};

impl Console {
    /// What the fleet says, when it is this.
    async fn fleet(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(what, PATIENCE, async || {
            Some(self.api("GET /v1/fleet", VIEWER, "").await.json()).filter(|fleet| is_so(fleet))
        })
        .await
    }
}

/// The events of a page, as a browser gets them.
struct Events(BufReader<TcpStream>);

impl Person<'_> {
    async fn events(&self, path: &str) -> Events {
        let mut stream = TcpStream::connect(self.console.addr).await.unwrap();
        let (host, cookie) = (self.console.addr, &self.cookie);
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Events(BufReader::new(stream))
    }
}

impl Events {
    /// Reads until a line has this in it; `false` when they end before.
    async fn tell(&mut self, what: &str) -> bool {
        let read = async {
            loop {
                let mut line = String::new();
                match self.0.read_line(&mut line).await {
                    Ok(0) | Err(_) => return false,
                    Ok(_) if line.contains(what) => return true,
                    Ok(_) => {}
                }
            }
        };
        timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("no {what:?} within {PATIENCE:?}"))
    }
}

fn sum(series: &Value) -> i64 {
    series.as_array().unwrap().iter().filter_map(Value::as_i64).sum()
}

#[tokio::test]
async fn workers_say_what_they_do_and_what_the_fleet_did_is_added_up() {
    let world = World::new().await;
    let refusing = Script::healthy().reply(Stage::Rcpt, "550 5.7.1 not from you").for_recipient("ada@example.com");
    world.smtp.set_script(refusing);
    let console = world.console(&[]).await;
    let none = console.fleet("nobody is there", |_| true).await;
    assert_eq!((&none["in_flight"], none["workers"].as_array().unwrap().len()), (&0.into(), 0), "{none}");
    let workers = [
        world.worker_with(&[("HOSTNAME", "worker-1"), ("MAIL_RATE", "50")]).await,
        world.worker_with(&[("HOSTNAME", "worker-2"), ("MAIL_RATE", "50")]).await,
    ];
    for n in 0..20 {
        world.register(&format!("{n}@example.com")).await;
    }
    world.register("ada@example.com").await;
    world.smtp.wait_for_mails(20, PATIENCE).await;
    world.dead_letter().await;
    let fleet = console.fleet("all is told", |fleet| {
        sum(&fleet["hour"]["sent"]) == 20 && sum(&fleet["hour"]["dead"]) == 1 && fleet["not_sending"] == 0
    });
    let fleet = fleet.await;
    let names: Vec<_> = fleet["workers"].as_array().unwrap().iter().map(|worker| worker["name"].clone()).collect();
    assert_eq!((names, &fleet["rate"]), (vec!["worker-1".into(), "worker-2".into()], &"50/s".into()), "{fleet}");
    assert_eq!(
        (&fleet["refused_by"][0]["reason"], &fleet["dead_by"][0]["count"]),
        (&"policy-violation".into(), &1.into())
    );
    assert!(fleet["last_delay_seconds"].as_f64() < Some(60.0), "{fleet}");
    let page = console.as_(VIEWER).await.get("/").await.body;
    for part in ["worker-1", "50&#x2f;s", "policy-violation", "<svg", "data-live="] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains('@'), "an address is on the page: {page}");
    for worker in workers {
        worker.stop().await;
    }
    console.fleet("they are gone at once", |fleet| fleet["workers"] == Value::Array(Vec::new())).await;
}

#[tokio::test]
async fn what_holds_a_worker_up_is_on_the_first_page() {
    let world = World::new().await;
    let console = world.console(&[]).await;
    let worker = world.worker().await;
    world.loses_its_mail_server().await;
    world.register("ada@example.com").await;
    let fleet = console.fleet("it knows why", |fleet| fleet["workers"][0]["cause"] == "unreachable").await;
    assert!(fleet["workers"][0]["circuit"] != "closed" && fleet["not_sending"] == 1, "{fleet}");
    let page = console.as_(VIEWER).await.get("/").await.body;
    assert!(page.contains("1 not sending") && page.contains("unreachable"), "{page}");
    worker.stop().await;
}

#[tokio::test]
async fn a_page_that_somebody_looks_at_is_renewed_until_the_console_ends() {
    let world = World::new().await;
    world.queue_exists().await;
    let console = world.console(&[]).await;
    let desk = console.as_(VIEWER).await;
    let mut events = desk.events("/live").await;
    assert!(events.tell("text/event-stream").await);
    assert!(events.tell("<dt>Waiting</dt><dd>0</dd>").await);
    world.register("ada@example.com").await;
    assert!(events.tell("<dt>Waiting</dt><dd>1</dd>").await);
    let stranger = crate::helpers::http::ask(console.addr, "GET /live", &[], "").await;
    assert_eq!(stranger.status, 303, "it is for those who are signed in");
    let ended = timeout(Duration::from_secs(10), console.service.terminate()).await.expect("nobody holds it up");
    assert!(ended.success(), "{:#?}", console.service.log_lines());
    assert!(!events.tell("<dt>Waiting</dt><dd>2</dd>").await, "they end");
}

#[tokio::test]
async fn queues_that_are_not_there_are_asked_after_for_as_long_as_it_runs() {
    let world = World::new().await;
    let console = world.console(&[]).await;
    // Four questions each; a connection has 2,047 channels.
    for n in 0..600 {
        let answer = console.api("GET /v1/queues", VIEWER, "").await;
        assert_eq!(answer.status, 200, "look {n}: {answer:?}");
    }
}
