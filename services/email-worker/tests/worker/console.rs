//! The console, as the program serves it: `email-worker console`.

mod api_docs;
mod in_chromium;
mod oidc;
mod proxy;

use std::net::SocketAddr;

use contract::{TaskId, queue};
use serde_json::json;
use testkit::{Script, Service, Stage, eventually};

use crate::commands::{changed, run};
use crate::helpers::http::{Answer, ask};
use crate::helpers::{PATIENCE, World};

const KEY: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const OPERATOR: &str = "token-of-grace-who-operates-it";
pub(crate) const VIEWER: &str = "token-of-the-desk-which-looks";
const ADA: &str = "ada@example.com";

/// A console that runs.
pub(crate) struct Console {
    pub(crate) service: Service,
    pub(crate) addr: SocketAddr,
}

/// Somebody who signed in.
pub(crate) struct Person<'a> {
    pub(crate) console: &'a Console,
    pub(crate) cookie: String,
}

impl World {
    fn console_environment(&self, changes: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let tokens = format!("grace=operator:{OPERATOR},desk=viewer:{VIEWER}");
        let variables = [
            ("DATABASE_URL", self.database.url()),
            ("AMQP_URL", self.vhost.amqp_url()),
            ("ADDRESS_HASH_KEY", KEY),
            ("HTTP_ADDR", "127.0.0.1:0"),
            ("CONSOLE_TOKENS", &tokens),
            ("MAIL_RETRY_SCHEDULE", "200ms,500ms"),
        ];
        changed(&variables, changes)
    }

    pub(crate) async fn console(&self, changes: &[(&'static str, &str)]) -> Console {
        let service = Service::spawn_with("email-worker", &["console"], &self.console_environment(changes));
        let line = service.wait_for_log("serving the console", PATIENCE).await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let console = Console { addr: line["addr"].as_str().unwrap().parse().unwrap(), service };
        eventually("the console answers", PATIENCE, async || {
            (ask(console.addr, "GET /console.css", &[], "").await.status == 200).then_some(())
        })
        .await;
        console
    }
}

impl Console {
    async fn sign_in(&self, token: &str) -> Answer {
        ask(self.addr, "POST /sign-in", &[("Sec-Fetch-Site", "same-origin")], &format!("token={token}")).await
    }

    pub(crate) async fn as_(&self, token: &str) -> Person<'_> {
        let answer = self.sign_in(token).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let cookie = answer.head.lines().find(|line| line.starts_with("set-cookie: ")).unwrap();
        let cookie = cookie.trim_start_matches("set-cookie: ").split(';').next().unwrap();
        // In small letters by now; browsers keep its name as it was.
        Person { console: self, cookie: cookie.replace("__host-", "__Host-") }
    }

    pub(crate) async fn api(&self, line: &str, token: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        ask(self.addr, line, &headers, body).await
    }
}

impl Person<'_> {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        ask(self.console.addr, &format!("GET {path}"), &[("Cookie", &self.cookie)], "").await
    }

    pub(crate) async fn post(&self, path: &str, form: &str) -> Answer {
        let headers = [("Cookie", self.cookie.as_str()), ("Sec-Fetch-Site", "same-origin")];
        ask(self.console.addr, &format!("POST {path}"), &headers, form).await
    }

    /// The key that forms on this page have.
    pub(crate) async fn form_key(&self, path: &str) -> String {
        let page = self.get(path).await.body;
        let key = page.split("name=\"form_key\" value=\"").nth(1).expect("a form for operators");
        key.split('"').next().unwrap().to_owned()
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_and_a_session_ends_when_it_is_ended() {
    let world = World::new().await;
    let console = world.console(&[]).await;
    for path in ["/", "/mails", "/mails/1", "/sending", "/history"] {
        let answer = ask(console.addr, &format!("GET {path}"), &[], "").await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/sign-in")), "{path}");
        let forged = [("Cookie", "__Host-sluice=7b7d.00")];
        assert_eq!(ask(console.addr, &format!("GET {path}"), &forged, "").await.status, 303, "{path}");
    }
    for path in ["GET /v1/mails/1", "POST /v1/mails/search", "GET /v1/sending", "POST /v1/sending/pause"] {
        let answer = ask(console.addr, path, &[], "").await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("bearer")), "{path}");
        assert!(answer.json()["type"].as_str().unwrap().ends_with("/unauthorized"), "{answer:?}");
    }
    let wrong = console.sign_in("a-token-that-nobody-has-got").await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    assert!(wrong.body.contains("No such token."));

    let desk = console.as_(VIEWER).await;
    let page = desk.get("/").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.contains("desk") && page.body.contains("Queues"), "{page:?}");
    for (header, value) in [("cache-control", "no-store"), ("x-content-type-options", "nosniff")] {
        assert_eq!(page.header(header), Some(value));
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let out = desk.post("/sign-out", "").await;
    assert!(out.header("set-cookie").unwrap().contains("max-age=0"), "{out:?}");
    assert!(!console.service.log_lines().join("\n").contains(VIEWER), "a token is in the log");
}

#[tokio::test]
async fn wrong_tokens_are_slowed_down() {
    let world = World::new().await;
    let console = world.console(&[]).await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(console.sign_in("a-token-that-nobody-has-got").await.status);
    }
    assert_eq!((statuses[0], statuses[11]), (401, 429), "{statuses:?}");
    assert_eq!(console.api("GET /v1/sending", "wrong", "").await.status, 429);
    assert_eq!(console.api("GET /v1/sending", VIEWER, "").await.status, 200, "a good one is never refused");
}

#[tokio::test]
async fn a_mail_is_found_by_its_address_which_stands_in_no_url_and_no_log() {
    let world = World::new().await;
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, "550 5.7.1 <b>not</b> from you").for_recipient(ADA));
    let worker = world.worker_with(&[("ADDRESS_HASH_KEY", KEY), ("HOSTNAME", "worker-7")]).await;
    let (id, other) = (world.register(ADA).await, world.register("bob@example.com").await);
    world.dead_letter().await;
    world.marked(1).await;
    let console = world.console(&[]).await;
    let desk = console.as_(VIEWER).await;
    let found = eventually("the mail is in the log", PATIENCE, async || {
        let answer = desk.post("/mails", "what=+Ada%40Example.com").await;
        answer.body.contains("worker-7").then_some(answer)
    })
    .await;
    assert_eq!(found.status, 200);
    for part in [&id.to_string(), "dead", "policy-violation", "&lt;b&gt;not&lt;&#x2f;b&gt; from you", "rcpt"] {
        assert!(found.body.contains(part), "{part}: {}", found.body);
    }
    assert!(!found.body.contains("ada@"), "an address is on the page");
    let page = desk.get(&format!("/mails/{other}")).await;
    assert!(page.status == 200 && page.body.contains("No attempt failed."), "{page:?}");
    assert_eq!(desk.get(&format!("/mails/{}", TaskId::new())).await.status, 404);
    assert_eq!(desk.get("/mails/ada@example.com").await.status, 404, "an address is no id");

    let answer = console.api(&format!("GET /v1/mails/{id}"), VIEWER, "").await;
    assert_eq!((answer.status, &answer.json()["state"]), (200, &"dead".into()), "{answer:?}");
    assert_eq!(answer.json()["failed"][0]["code"], 550);
    let search = json!({ "recipient": ADA }).to_string();
    let answer = console.api("POST /v1/mails/search", VIEWER, &search).await;
    assert_eq!(answer.json()["mails"][0]["id"], id.to_string());
    for (body, status) in [
        ("{}", 422),
        ("{\"recipient\":\"nobody\"}", 422),
        ("{\"trace\":\"x\"}", 422),
        ("{\"recipient\":\"a@b.example\",\"trace\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}", 422),
        ("{\"recipient\":\"a@b.example\",\"limit\":1}", 422),
        ("", 400),
        ("not json", 400),
    ] {
        assert_eq!(console.api("POST /v1/mails/search", VIEWER, body).await.status, status, "{body}");
    }
    let log = console.service.log_lines().join("\n").to_lowercase();
    assert!(!log.contains("ada@") && !log.contains("ada%40"), "an address is in the log: {log}");
    worker.stop().await;
}

#[tokio::test]
async fn an_operator_pauses_and_resumes_and_a_viewer_does_not() {
    let world = World::new().await;
    let console = world.console(&[]).await;
    let (grace, desk) = (console.as_(OPERATOR).await, console.as_(VIEWER).await);
    let key = grace.form_key("/sending").await;
    let form = format!("form_key={key}&what=pause&scope=domain&name=gmail.com&reason=they+%3Cthrottle%3E&for=1h");
    assert_eq!(grace.post("/sending", &form).await.status, 303);
    let page = desk.get("/sending").await.body;
    assert!(page.contains("domain:gmail.com") && page.contains("they &lt;throttle&gt;"), "{page}");
    assert!(!page.contains("form_key"), "a viewer has nothing to act with");

    let worker = world.worker().await;
    world.register("ada@gmail.com").await;
    let apart = queue::apart("domain:gmail.com");
    eventually("the mail waits apart", PATIENCE, async || {
        let page = desk.get("/").await.body;
        page.contains(&format!("<code>{apart}</code></td><td class=\"number\">1</td>")).then_some(())
    })
    .await;
    for (who, what) in [(&desk, &form), (&grace, &form.replace(&key, "0000")), (&grace, &form.replace("form_key", "x"))]
    {
        assert_eq!(who.post("/sending", what).await.status, 403);
    }
    let cross = [("Cookie", grace.cookie.as_str()), ("Sec-Fetch-Site", "cross-site")];
    assert_eq!(ask(console.addr, "POST /sending", &cross, &form).await.status, 403, "sent by another site");
    for (wrong, says) in [
        ("what=limit&scope=fleet&rate=fast", "not a rate"),
        ("what=pause&scope=domain&name=", "not a domain"),
        ("what=pause&scope=type&name=..", "not a name"),
        ("what=pause&scope=fleet&for=soon", "soon"),
        ("what=stop&scope=fleet", "stop"),
    ] {
        let answer = grace.post("/sending", &format!("form_key={key}&{wrong}")).await;
        assert!(answer.status == 422 && answer.body.contains(says), "{wrong}: {answer:?}");
    }
    let form = format!("form_key={key}&what=resume&scope=domain&name=gmail.com");
    assert_eq!(grace.post("/sending", &form).await.status, 303);
    world.smtp.wait_for_mails(1, PATIENCE).await;
    let page = desk.get("/history").await.body;
    assert!(page.contains("resume") && page.contains("grace") && page.contains("for 1h"), "{page}");
    world.marked(1).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn an_address_that_gets_no_mails_is_told_and_an_operator_ends_it() {
    let world = World::new().await;
    let console = world.console(&[]).await;
    let variables = [
        ("DATABASE_URL", world.database.url().to_owned()),
        ("ADDRESS_HASH_KEY", KEY.to_owned()),
        ("USER", "ada".into()),
    ];
    assert_eq!(run(&["suppressions", "add", ADA, "--reason", "asked us to"], &variables).await.0, 0);
    let (grace, desk) = (console.as_(OPERATOR).await, console.as_(VIEWER).await);
    let page = desk.post("/mails", "what=ada%40example.com").await.body;
    assert!(page.contains("This address gets no mails.") && page.contains("asked us to"), "{page}");
    assert!(!page.contains("/unsuppress") && !page.contains("ada@"), "{page}");
    let page = grace.post("/mails", "what=ada%40example.com").await.body;
    let value =
        |name: &str| page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap().split('"').next().unwrap();
    let form = format!("form_key={}&hash={}", value("form_key"), value("hash"));
    assert_eq!(desk.post("/unsuppress", &form).await.status, 403);
    assert_eq!(grace.post("/unsuppress", &form.replace("hash=", "hash=0")).await.status, 404);
    assert_eq!(grace.post("/unsuppress", &form).await.status, 303);
    assert_eq!(run(&["suppressions", "check", ADA], &variables).await.0, 1, "it is not suppressed any more");
    let done = console.api("GET /v1/actions", VIEWER, "").await.json();
    let done: Vec<_> =
        done["actions"].as_array().unwrap().iter().map(|action| (&action["action"], &action["by"])).collect();
    assert_eq!(done, [(&"unsuppress".into(), &"grace".into()), (&"suppress".into(), &"ada".into())]);
}

#[tokio::test]
async fn programs_do_the_same_over_the_api() {
    let world = World::new().await;
    world.queue_exists().await;
    let console = world.console(&[]).await;
    let answer = console.api("POST /v1/sending/pause", VIEWER, "{}").await;
    assert_eq!(answer.status, 403, "{answer:?}");
    for (path, body, done) in [
        ("pause", r#"{"reason":"the night"}"#, true),
        ("limit", r#"{"domain":"GMail.com","rate":"5/s","for":"2h"}"#, true),
        ("resume", r#"{"type":"shop.receipt"}"#, false),
        ("resume", "{}", true),
        ("unlimit", "{}", false),
    ] {
        let answer = console.api(&format!("POST /v1/sending/{path}"), OPERATOR, body).await;
        assert_eq!((answer.status, &answer.json()["done"]), (200, &done.into()), "{path} {body}: {answer:?}");
    }
    for (path, body) in [
        ("limit", "{}"),
        ("limit", r#"{"rate":"fast"}"#),
        ("limit", r#"{"rate":14}"#),
        ("pause", r#"{"domain":"x y"}"#),
        ("pause", r#"{"domain":"a.example","type":"a.b"}"#),
        ("pause", r#"{"for":"soon"}"#),
        ("pause", r#"{"who":"me"}"#),
        ("pause", "[]"),
    ] {
        let answer = console.api(&format!("POST /v1/sending/{path}"), OPERATOR, body).await;
        assert_eq!(answer.status, 422, "{path} {body}: {answer:?}");
    }
    let held = console.api("GET /v1/sending", VIEWER, "").await.json();
    assert_eq!(
        (&held["controls"][0]["scope"], &held["controls"][0]["rate"]),
        (&"domain:gmail.com".into(), &"5/s".into())
    );
    assert_eq!(held["controls"].as_array().unwrap().len(), 1);
    let done = console.api("GET /v1/actions", VIEWER, "").await.json();
    assert_eq!((&done["actions"][2]["action"], &done["actions"][2]["by"]), (&"pause".into(), &"grace".into()));
    let queues = console.api("GET /v1/queues", VIEWER, "").await.json();
    assert_eq!(queues["queues"][0], json!({ "queue": "email_queue", "ready": 0, "consumers": 0 }));
    assert_eq!(console.api("GET /v1/nothing", VIEWER, "").await.status, 404);
    assert_eq!(console.api("DELETE /v1/sending", VIEWER, "").await.status, 405);
}

#[tokio::test]
async fn pages_are_in_the_language_of_the_browser() {
    let world = World::new().await;
    let console = world.console(&[]).await;
    for (accepted, tag, title) in [("zh-CN,zh;q=0.9", "zh", "登录"), ("de,en;q=0.5", "en", "Sign in")] {
        let page = ask(console.addr, "GET /sign-in", &[("Accept-Language", accepted)], "").await.body;
        assert!(page.contains(&format!("lang=\"{tag}\"")) && page.contains(title), "{page}");
    }
}

#[tokio::test]
async fn a_console_that_others_can_reach_wants_tokens_and_one_of_this_machine_knows_its_names() {
    let world = World::new().await;
    let environment = world.console_environment(&[("CONSOLE_TOKENS", ""), ("HTTP_ADDR", "0.0.0.0:0")]);
    let (code, lines) = run(&["console"], &environment).await;
    assert_eq!(code, 64, "{lines:?}");
    assert!(lines.join("\n").contains("CONSOLE_TOKENS"), "{lines:?}");
    for (variable, value) in [("CONSOLE_TOKENS", "grace=operator:short"), ("CONSOLE_SECRET", "short")] {
        let (code, lines) = run(&["console"], &world.console_environment(&[(variable, value)])).await;
        assert!(code == 64 && lines.join("\n").contains(variable), "{lines:?}");
    }
    let console = world.console(&[("CONSOLE_TOKENS", "")]).await;
    assert_eq!(ask(console.addr, "GET /sending", &[], "").await.status, 200);
    assert_eq!(ask(console.addr, "GET /v1/sending", &[], "").await.status, 200);
    // A foreign name that leads to this machine.
    let answer = ask(console.addr, "GET /v1/sending", &[("Host", "evil.example")], "").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_database_or_a_broker_that_is_away_is_a_page_and_a_problem() {
    let world = World::new().await;
    let console = world.console(&[("AMQP_URL", "amqp://nobody:nothing@127.0.0.1:1/")]).await;
    let desk = console.as_(VIEWER).await;
    let page = desk.get("/").await;
    assert!(page.status == 200 && page.body.contains("The broker does not answer."), "{page:?}");
    assert_eq!(console.api("GET /v1/queues", VIEWER, "").await.status, 503);
    let sql = "ALTER TABLE sending_controls RENAME TO gone";
    sqlx::raw_sql(sql).execute(world.database.pool()).await.unwrap();
    let page = desk.get("/sending").await;
    assert!(page.status == 503 && page.body.contains("The database does not answer."), "{page:?}");
    let answer = console.api("GET /v1/sending", VIEWER, "").await;
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "{answer:?}");
}

#[tokio::test]
async fn before_the_first_worker_there_are_no_dead_letters() {
    let world = World::new().await;
    let console = world.console(&[]).await;
    let answer = console.api("GET /v1/dead-letters", VIEWER, "").await;
    assert_eq!((answer.status, &answer.json()["total"]), (200, &0.into()), "{answer:?}");
    let body = r#"{"expected":0.0,"per_second":7.0}"#;
    assert_eq!(console.api("POST /v1/dead-letters/redrive", OPERATOR, body).await.status, 202, "whole numbers in JSON");
    let body = r#"{"reasons":["a\u0000b"]}"#;
    assert_eq!(console.api("POST /v1/dead-letters/redrive", OPERATOR, body).await.status, 422, "no database keeps NUL");
    let grace = console.as_(OPERATOR).await;
    let form = format!("form_key={}&what=pause&scope=fleet&reason=a%00b", grace.form_key("/sending").await);
    assert_eq!(grace.post("/sending", &form).await.status, 303);
}

#[tokio::test]
async fn an_operator_limits_how_many_go_at_once_and_has_the_circuit_closed() {
    let world = World::new().await;
    let console = world.console(&[]).await;
    let grace = console.as_(OPERATOR).await;
    let key = grace.form_key("/sending").await;
    let limit = format!("form_key={key}&what=limit&rate=5%2Fs&at_once=2&scope=");
    assert_eq!(grace.post("/sending", &format!("{limit}domain&name=gmail.com")).await.status, 303);
    let page = grace.get("/sending").await.body;
    assert!(page.contains("2 at once in one worker"), "{page}");
    for wrong in ["fleet&name=", "type&name=a.b&at_once=0", "type&name=a.b&at_once=1001", "type&name=a.b&at_once=x"] {
        let answer = grace.post("/sending", &format!("{limit}{wrong}")).await;
        assert!(answer.status == 422 && answer.body.contains("from 1 to 1000"), "{wrong}: {answer:?}");
    }
    let limit = "POST /v1/sending/limit";
    let body = r#"{"type":"shop.receipt","rate":"1/s","at_once":3.0}"#;
    assert_eq!(console.api(limit, OPERATOR, body).await.status, 200);
    let held = console.api("GET /v1/sending", VIEWER, "").await.json();
    let at_once: Vec<_> = held["controls"].as_array().unwrap().iter().map(|control| &control["at_once"]).collect();
    assert_eq!(at_once, [3, 2]);
    for wrong in [r#"{"rate":"1/s","at_once":3}"#, r#"{"type":"a.b","rate":"1/s","at_once":0}"#] {
        let answer = console.api(limit, OPERATOR, wrong).await;
        assert_eq!((answer.status, &answer.json()["errors"][0]["pointer"]), (422, &"/at_once".into()), "{wrong}");
    }

    let close = format!("form_key={key}&what=close-circuit&reason=it+is+well");
    assert_eq!(grace.post("/sending", &close).await.status, 303);
    assert_eq!(console.api("POST /v1/circuit/close", VIEWER, "{}").await.status, 403);
    let answer = console.api("POST /v1/circuit/close", OPERATOR, r#"{"reason":"quite"}"#).await;
    assert_eq!((answer.status, &answer.json()["done"]), (200, &true.into()), "{answer:?}");
    let done = console.api("GET /v1/actions", VIEWER, "").await.json();
    let done: Vec<_> =
        done["actions"].as_array().unwrap().iter().map(|done| (&done["action"], &done["detail"])).collect();
    assert_eq!(
        done[..2],
        [(&"close-circuit".into(), &"quite".into()), (&"close-circuit".into(), &"it is well".into())]
    );
    let closings: i64 =
        sqlx::query_scalar("SELECT number FROM circuit_closings").fetch_one(world.database.pool()).await.unwrap();
    assert_eq!(closings, 2);
}
