//! Dead letters in the console: looking at them, and jobs that redrive and discard many.

use std::collections::BTreeSet;

use amqp::{Broker, topology};
use contract::queue;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use testkit::eventually;

use crate::commands::run;
use crate::console::{Console, OPERATOR, Person, VIEWER};
use crate::dead_letters::dead;
use crate::helpers::{PATIENCE, World, body};

impl World {
    /// Both queues, without a worker.
    async fn queues(&self) {
        let connection = Broker::new(self.vhost.amqp_url().parse().unwrap(), "test").connect().await.unwrap();
        topology::ensure(&connection, &[topology::main(), topology::dead()]).await.unwrap();
        connection.close().await;
    }

    /// Letters to `<n>@<domain>` that died of `reason`, one after the other.
    async fn letters(&self, count: usize, domain: &str, reason: &str) {
        let publishing = stream::iter(0..count).map(|n| async move {
            self.client.publish(queue::DEAD, &body(&format!("{n}@{domain}")), dead(reason)).await;
        });
        publishing.buffered(500).collect::<Vec<()>>().await;
    }
}

impl Console {
    async fn job(&self, id: &Value) -> Value {
        self.api(&format!("GET /v1/jobs/{id}"), VIEWER, "").await.json()
    }

    async fn job_ends(&self, id: &Value, state: &str) -> Value {
        eventually(&format!("job {id} is {state}"), PATIENCE, async || {
            Some(self.job(id).await).filter(|job| job["state"] == state)
        })
        .await
    }
}

impl Person<'_> {
    /// What a look at a page comes to, when it is this.
    async fn sees(&self, path: &str, what: &str) -> String {
        eventually(&format!("{what} on {path}"), PATIENCE, async || {
            Some(self.get(path).await.body).filter(|page| page.contains(what))
        })
        .await
    }
}

#[tokio::test]
async fn dead_letters_are_looked_at_from_either_end_and_texts_are_for_operators() {
    let world = World::new().await;
    world.queues().await;
    world.letters(120, "example.com", "mailbox-full").await;
    world.letters(3, "example.org", "blocked").await;
    let console = world.console(&[]).await;
    let (grace, desk) = (console.as_(OPERATOR).await, console.as_(VIEWER).await);
    let page = desk.sees("/dead-letters", "<strong>123</strong> of 123").await;
    assert!(page.contains("mailbox-full</a> <span class=\"quiet\">120</span>"), "{page}");
    assert!(page.contains("1–50 of 123") && page.contains("rel=\"next\"") && !page.contains("rel=\"prev\""), "{page}");
    assert!(!page.contains('@'), "an address is on the page");
    assert!(!page.contains("name=\"what\""), "a viewer has nothing to act with");
    let page = desk.get("/dead-letters?reason=mailbox-full&from=oldest&page=3").await.body;
    assert!(
        page.contains("101–120 of 120") && page.contains("rel=\"prev\"") && !page.contains("rel=\"next\""),
        "{page}"
    );
    let page = desk.get("/dead-letters?domain=example.org&since=1h").await.body;
    assert!(page.contains("<strong>3</strong> of 123"), "{page}");
    let page = desk.get("/dead-letters?older_than=1h").await.body;
    assert!(page.contains("<strong>0</strong> of 123"), "{page}");
    let wrong = desk.get("/dead-letters?since=soon").await;
    assert!(wrong.status == 422 && wrong.body.contains("since"), "{wrong:?}");

    let listed = console.api("GET /v1/dead-letters?from=oldest&limit=2&offset=1", VIEWER, "").await.json();
    let newest = console.api("GET /v1/dead-letters?limit=1", VIEWER, "").await.json();
    assert_eq!(
        (&listed["total"], &listed["meant"], &listed["by"]["reason"]["blocked"]),
        (&123.into(), &123.into(), &3.into())
    );
    assert_eq!((listed["letters"].as_array().unwrap().len(), &newest["letters"][0]["reason"]), (2, &"blocked".into()));
    let id = newest["letters"][0]["id"].as_str().unwrap();
    for (who, token, shows) in [(&grace, OPERATOR, true), (&desk, VIEWER, false)] {
        let page = who.get(&format!("/dead-letters/{id}")).await;
        assert_eq!((page.status, page.body.contains("2@example.org")), (200, shows), "{page:?}");
        let letter = console.api(&format!("GET /v1/dead-letters/{id}"), token, "").await.json();
        assert_eq!(letter["task"].as_str().unwrap().contains("2@example.org"), shows, "{letter}");
    }
    assert_eq!(desk.get("/dead-letters/nothing").await.status, 404);
    for (query, status) in
        [("limit=0", 400), ("limit=x", 400), ("offset=-1", 400), ("from=here", 400), ("since=x", 400)]
    {
        let answer = console.api(&format!("GET /v1/dead-letters?{query}"), VIEWER, "").await;
        assert_eq!(answer.status, status, "{query}: {answer:?}");
    }
    eventually("the letters are where they were", PATIENCE, async || {
        (world.client.ready(queue::DEAD).await == 123).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_operator_redrives_what_is_meant_after_seeing_how_many_they_are() {
    let world = World::new().await;
    world.queues().await;
    world.letters(30, "example.com", "mailbox-full").await;
    world.letters(4, "example.org", "blocked").await;
    let console = world.console(&[]).await;
    let (grace, desk) = (console.as_(OPERATOR).await, console.as_(VIEWER).await);
    let page = grace.sees("/dead-letters?reason=mailbox-full", "Redrive 30").await;
    let key = page.split("name=\"form_key\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let form = format!("form_key={key}&what=redrive&reason=mailbox-full");
    let page = grace.post("/dead-letters/confirm", &form).await;
    assert!(page.status == 200 && page.body.contains("<strong>30</strong>"), "{page:?}");
    assert!(page.body.contains("name=\"reason\" value=\"mailbox-full\""), "{page:?}");
    let sure = format!("{form}&meant=30&per_second=500&why=the+disk+is+larger+now");
    for (who, path, form, status) in [
        (&desk, "/dead-letters/confirm", &form, 403),
        (&desk, "/jobs", &sure, 403),
        (&grace, "/jobs", &sure.replace(key, "0000"), 403),
        (&grace, "/jobs", &sure.replace("=500", "=0"), 422),
        (&grace, "/jobs", &sure.replace("what=redrive", "what=burn"), 422),
        (&grace, "/dead-letters/confirm", &form.replace("what=redrive", "what=burn"), 422),
    ] {
        assert_eq!(who.post(path, form).await.status, status, "{path} {form}");
    }
    let worker = world.worker().await;
    let answer = grace.post("/jobs", &sure).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let job = answer.header("location").unwrap().to_owned();
    desk.sees(&job, "<dd>done</dd>").await;
    world.smtp.wait_for_mails(30, PATIENCE).await;
    let page = desk.get(&job).await.body;
    assert!(page.contains("30 of 30") && page.contains("grace: the disk is larger now"), "{page}");
    assert!(!page.contains("Stop it here"), "{page}");
    let page = desk.get("/history").await.body;
    assert!(page.contains("reason=mailbox-full: 30 meant, the disk is larger now"), "{page}");
    desk.sees("/dead-letters", "<strong>4</strong> of 4").await;
    assert!(desk.get("/jobs").await.body.contains(&job));
    worker.stop().await;
}

#[tokio::test]
async fn programs_discard_and_stop_over_the_api() {
    let world = World::new().await;
    world.queues().await;
    world.letters(40, "example.com", "blocked").await;
    let console = world.console(&[]).await;
    let post = async |path: &str, token: &str, body: Value| {
        console.api(&format!("POST {path}"), token, &body.to_string()).await
    };
    assert_eq!(post("/v1/dead-letters/discard", VIEWER, json!({})).await.status, 403);
    for wrong in [
        json!({"reasons": "blocked"}),
        json!({"per_second": 0}),
        json!({"per_second": "many"}),
        json!({"since": "soon"}),
        json!({"all": true}),
    ] {
        let answer = post("/v1/dead-letters/discard", OPERATOR, wrong.clone()).await;
        assert_eq!(answer.status, 422, "{wrong}: {answer:?}");
    }
    let answer = post("/v1/dead-letters/discard", OPERATOR, json!({"expected": 41})).await;
    assert!(answer.status == 409 && answer.body.contains("40 are meant"), "{answer:?}");
    let slow = json!({"expected": 40, "per_second": 4, "reasons": ["blocked"], "reason": "nobody reads them"});
    let answer = post("/v1/dead-letters/discard", OPERATOR, slow).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.json()["id"].clone();
    assert_eq!(answer.header("location"), Some(format!("/v1/jobs/{id}").as_str()));
    eventually("it goes on", PATIENCE, async || (console.job(&id).await["settled"].as_u64() > Some(0)).then_some(()))
        .await;
    let stop = format!("/v1/jobs/{id}/stop");
    assert_eq!(post(&stop, VIEWER, json!({})).await.status, 403);
    assert_eq!(post(&stop, OPERATOR, json!({})).await.json(), json!({"done": true}));
    assert_eq!(post(&stop, OPERATOR, json!({})).await.json(), json!({"done": false}));
    let next = post("/v1/dead-letters/discard", OPERATOR, json!({"per_second": 1000})).await.json()["id"].clone();
    console.job_ends(&next, "done").await;
    let stopped = console.job_ends(&id, "stopped").await["settled"].as_u64().unwrap();
    let rest = console.job(&next).await["settled"].as_u64().unwrap();
    assert!(stopped < 40 && stopped + rest == 40, "{stopped} and {rest}");
    assert_eq!(world.client.ready(queue::DEAD).await, 0);
    let jobs = console.api("GET /v1/jobs", VIEWER, "").await.json();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 2);
    for path in ["GET /v1/jobs/12345", "GET /v1/jobs/x"] {
        assert_eq!(console.api(path, VIEWER, "").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn two_operators_at_once_and_two_consoles_move_each_letter_once() {
    let world = World::new().await;
    world.queues().await;
    world.letters(900, "example.com", "blocked").await;
    let consoles = [world.console(&[]).await, world.console(&[]).await];
    let body = json!({"per_second": 1000}).to_string();
    let ask = async |console: &Console| {
        console.api("POST /v1/dead-letters/redrive", OPERATOR, &body).await.json()["id"].clone()
    };
    let (one, other) = tokio::join!(ask(&consoles[0]), ask(&consoles[1]));
    let mut settled = 0;
    for id in [one, other] {
        settled += consoles[0].job_ends(&id, "done").await["settled"].as_u64().unwrap();
    }
    assert_eq!((settled, world.client.ready(queue::EMAIL).await, world.client.ready(queue::DEAD).await), (900, 900, 0));
}

#[tokio::test]
async fn a_job_that_is_killed_is_gone_on_with_by_another_console_and_nothing_is_lost_or_mailed_twice() {
    let world = World::new().await;
    world.queues().await;
    world.letters(3000, "example.com", "blocked").await;
    let (first, second) = (world.console(&[]).await, world.console(&[]).await);
    let asked =
        first.api("POST /v1/dead-letters/redrive", OPERATOR, &json!({"per_second": 600}).to_string()).await.json();
    let id = asked["id"].clone();
    eventually("it goes on", PATIENCE, async || (second.job(&id).await["settled"].as_u64() > Some(0)).then_some(()))
        .await;
    // Whoever does it.
    first.service.kill();
    let worker = world.worker().await;
    let done = second.job_ends(&id, "done").await;
    assert!(done["settled"].as_u64() <= Some(3000), "{done}");
    world.smtp.wait_for_mails(3000, PATIENCE).await;
    let to: Vec<String> = world.smtp.mails().into_iter().flat_map(|mail| mail.to).collect();
    let each: BTreeSet<_> = to.iter().cloned().collect();
    assert_eq!((to.len(), each.len()), (3000, 3000));
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_console_that_ends_leaves_its_job_to_the_next_at_once() {
    let world = World::new().await;
    world.queues().await;
    world.letters(400, "example.com", "blocked").await;
    let first = world.console(&[]).await;
    let asked =
        first.api("POST /v1/dead-letters/redrive", OPERATOR, &json!({"per_second": 50}).to_string()).await.json();
    let id = asked["id"].clone();
    eventually("it goes on", PATIENCE, async || (first.job(&id).await["settled"].as_u64() > Some(0)).then_some(()))
        .await;
    assert!(first.service.terminate().await.success(), "{:#?}", first.service.log_lines());
    let second = world.console(&[]).await;
    let before = second.job(&id).await;
    assert!(before["state"] != "stopped" && before["settled"].as_u64() < Some(400), "{before}");
    let done = second.job_ends(&id, "done").await;
    assert_eq!((&done["settled"], world.client.ready(queue::EMAIL).await), (&400.into(), 400), "{done}");
}

#[tokio::test]
async fn a_job_waits_for_a_broker_that_is_away_and_says_so() {
    let world = World::new().await;
    world.queues().await;
    world.letters(5, "example.com", "blocked").await;
    let console = world.console(&[("AMQP_URL", "amqp://nobody:nothing@127.0.0.1:1/")]).await;
    let page = console.as_(VIEWER).await.get("/dead-letters").await;
    assert!(page.status == 200 && page.body.contains("The broker does not answer."), "{page:?}");
    assert_eq!(console.api("GET /v1/dead-letters", VIEWER, "").await.status, 503);
    let able = world.console(&[]).await;
    let asked = able.api("POST /v1/dead-letters/redrive", OPERATOR, &json!({"per_second": 1}).to_string()).await.json();
    let id = &asked["id"];
    assert!(able.service.terminate().await.success(), "{:#?}", able.service.log_lines());
    let job = eventually("what is in the way is told", PATIENCE, async || {
        Some(console.job(id).await).filter(|job| job["trouble"].is_string())
    })
    .await;
    assert!(job["trouble"].as_str().unwrap().contains("connect to the broker") && job["state"] == "waiting", "{job}");
    let able = world.console(&[]).await;
    let done = able.job_ends(id, "done").await;
    assert_eq!((world.client.ready(queue::EMAIL).await, &done["trouble"]), (5, &Value::Null));
}

#[tokio::test]
async fn commands_leave_a_job_to_the_console_and_what_they_do_is_in_the_history() {
    let world = World::new().await;
    world.queues().await;
    world.letters(6, "example.com", "blocked").await;
    let broker = ("AMQP_URL", world.vhost.amqp_url().to_owned());
    let variables = [broker.clone(), ("DATABASE_URL", world.database.url().to_owned()), ("USER", "ada".into())];
    let console = world.console(&[]).await;
    for (arguments, environment, says) in [
        (&["redrive", "--background"][..], &variables[..], "--all"),
        (&["redrive", "--background", "--all"], &variables[..1], "DATABASE_URL"),
        (&["redrive", "--all", "--per-second", "5"], &variables[..], "--background"),
    ] {
        let (code, lines) = run(arguments, environment).await;
        assert!(code == 64 && lines.join("\n").contains(says), "{arguments:?}: {code} {lines:?}");
    }
    let (code, lines) = run(&["redrive", "--limit", "1", "--why", "to try it", "--json"], &variables).await;
    assert_eq!((code, lines), (0, vec![r#"{"action":"redrive","interrupted":false,"letters":1}"#.to_owned()]));
    let asked = ["redrive", "--reason", "blocked", "--background", "--per-second", "100", "--json", "--by", "grace"];
    let (code, lines) = run(&asked, &variables).await;
    assert_eq!(code, 0, "{lines:?}");
    let asked: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((&asked["meant"], &asked["action"]), (&5.into(), &"redrive".into()));
    console.job_ends(&asked["job"], "done").await;
    assert_eq!(world.client.ready(queue::EMAIL).await, 6);
    let (code, lines) = run(&["jobs", "list"], &variables).await;
    assert_eq!((code, lines.len()), (0, 2), "{lines:?}");
    assert!(lines[1].contains("redrive  done   5     5") && lines[1].contains("reason=blocked"), "{lines:?}");
    let (code, lines) = run(&["jobs", "stop", &asked["job"].to_string()], &variables).await;
    assert_eq!((code, lines[0].contains("is not under way")), (1, true), "{lines:?}");
    let (code, lines) = run(&["dead", "discard", "--all", "--yes", "--background"], &variables).await;
    assert!(code == 0 && lines[0].contains("discard 0 dead letters"), "{lines:?}");
    let (_, lines) = run(&["sending", "history"], &variables).await;
    assert!(lines[2].contains("grace") && lines[2].contains("reason=blocked: 5 meant"), "{lines:#?}");
    assert!(lines[3].contains("ada") && lines[3].contains("all: 1 done, to try it"), "{lines:#?}");

    let away = [broker, ("DATABASE_URL", "postgres://nobody:nothing@127.0.0.1:1/none".to_owned())];
    world.letters(1, "example.com", "blocked").await;
    let (code, lines) = run(&["redrive"], &away).await;
    assert!(code == 0 && lines.join("\n").contains("1 dead letter back on the queue"), "{lines:?}");
    assert!(lines.join("\n").contains("not in the history"), "{lines:?}");
}
