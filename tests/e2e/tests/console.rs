//! The console: an operator pauses a domain and lets it go on, over its API, and does the rest in a browser.

use std::time::Duration;

use contract::{TaskId, header, queue};
use e2e::{Forward, RELEASE, Sluice, python, random, register, until};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::{Value, json};
use testkit::{Visit, in_chromium};

/// The secret that says who is let in.
const WHO: &str = "console-tokens";
const APART: &str = "email_queue.apart.domain:example.com";

/// Somebody with a token.
struct Operator {
    way: Forward,
    token: String,
}

impl Operator {
    async fn ask(&self, path: &str, body: Option<Value>) -> Value {
        let (client, url) = (reqwest::Client::new(), format!("{}{path}", self.way.url()));
        let request = match body {
            Some(body) => client.post(url).json(&body),
            None => client.get(url),
        };
        let request = request.bearer_auth(&self.token).timeout(Duration::from_secs(30));
        let answer = request.send().await.expect("the console answers");
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.expect("JSON")
    }

    /// How many wait in a queue; `None` for one that is not there.
    async fn waiting(&self, queue: &str) -> Option<u64> {
        let queues = self.ask("/v1/queues", None).await;
        let found = queues["queues"].as_array()?.iter().find(|found| found["queue"] == queue)?;
        found["ready"].as_u64()
    }
}

pub(crate) async fn an_operator_pauses_a_domain_and_lets_it_go_on_over_the_console(sluice: &Sluice) {
    let token = random(32);
    let secret = json!({ "metadata": { "name": WHO }, "stringData": { "tokens": format!("grace=operator:{token}") } });
    sluice.api::<Secret>().create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    sluice.upgrade(json!({ "console": { "enabled": true, "tokens": { "existingSecret": WHO } } })).await;
    sluice.settled("sluice-console", 1, Duration::from_secs(90)).await;
    let way = Forward::to(sluice.pods.clone(), "app.kubernetes.io/component=console", 8080).await;
    let grace = Operator { way, token };

    let why = json!({ "domain": "example.com", "reason": "a test", "for": "10m" });
    assert_eq!(grace.ask("/v1/sending/pause", Some(why)).await["done"], true);
    // So long workers may take to follow.
    tokio::time::sleep(Duration::from_secs(2)).await;
    register(sluice, "held", &[]).await;
    until("the mail waits apart", Duration::from_secs(60), async || match grace.waiting(APART).await {
        Some(1) => Ok(()),
        other => Err(format!("{other:?} in {APART}")),
    })
    .await;
    let mails = sluice.inbox().await.mails().await.unwrap();
    assert!(mails.iter().all(|mail| mail.to != "held@example.com"), "it was sent");
    assert_eq!(grace.ask("/v1/sending/resume", Some(json!({ "domain": "example.com" }))).await["done"], true);
    sluice.inbox().await.has_mail_to("held@example.com", Duration::from_secs(60)).await;
    let done = grace.ask("/v1/actions", None).await;
    let done: Vec<_> = done["actions"].as_array().unwrap().iter().map(|action| &action["action"]).collect();
    assert_eq!(done, ["resume", "pause"]);

    a_mail_is_found_and_a_dead_one_redriven_in_a_browser(sluice, &grace).await;
}

async fn a_mail_is_found_and_a_dead_one_redriven_in_a_browser(sluice: &Sluice, grace: &Operator) {
    let inbox = sluice.inbox().await;
    let latest = "SELECT id FROM mail_log WHERE state = 'sent' ORDER BY changed DESC LIMIT 1";
    let id = sluice.query("email-worker", latest).await.unwrap().pop().expect("it was sent");
    grace
        .browses(|visit, at| {
            let visit = visit.goes_to(&at("/mails")).fills("#what", &id).clicks("main form button");
            let visit = visit.waits_for(".state.sent").goes_to(&at("/sending")).selects("#what", "pause");
            visit.fills("#reason", "seen in a browser").clicks("form.card button").waits_for("text=seen in a browser")
        })
        .await;

    tokio::time::sleep(Duration::from_secs(2)).await;
    register(sluice, "kept", &[]).await;
    // In the queue, or in the hand of a worker that was not full.
    until("the mail is held", Duration::from_secs(60), async || {
        let waiting = grace.waiting(queue::EMAIL).await;
        let in_flight = grace.ask("/v1/fleet", None).await["in_flight"].as_u64();
        let held = waiting.unwrap_or(0) + in_flight.unwrap_or(0) == 1;
        held.then_some(()).ok_or_else(|| format!("{waiting:?} wait, {in_flight:?} are in flight"))
    })
    .await;
    assert!(inbox.mails().await.unwrap().iter().all(|mail| mail.to != "kept@example.com"), "it was sent");
    grace.browses(|visit, at| visit.goes_to(&at("/sending")).clicks("td form button").waits_for("#new")).await;
    inbox.has_mail_to("kept@example.com", Duration::from_secs(60)).await;

    a_letter_died(sluice, "dead@example.com").await;
    grace
        .browses(|visit, at| {
            let visit = visit.goes_to(&at("/dead-letters")).waits_for("text=552 5.2.2 full");
            let visit = visit.clicks("button[value=redrive]").fills("#why", "it is empty again");
            // News of the job come by themselves.
            visit.clicks("form[action='/jobs'] button").waits_for("dd:text-is('done')")
        })
        .await;
    inbox.has_mail_to("dead@example.com", Duration::from_secs(60)).await;
}

impl Operator {
    /// Signs in, and does what is said; `at` makes an address of a path.
    async fn browses(&self, does: impl FnOnce(Visit, &dyn Fn(&str) -> String) -> Visit) {
        let at = |path: &str| format!("{}{path}", self.way.url());
        let visit = Visit::new("en", (1200, 900)).goes_to(&at("/sign-in")).fills("#token", &self.token);
        in_chromium(&[does(visit.clicks("main button"), &at)]).await;
    }
}

/// As a worker puts a task aside.
async fn a_letter_died(sluice: &Sluice, address: &str) {
    let (name, password) = sluice.login(&format!("{RELEASE}-rabbitmq-email-worker")).await;
    let task = json!({ "email": address, "username": "dead" });
    let headers = json!({ header::DEAD_REASON: "mailbox-full", header::DEAD_DETAIL: "552 5.2.2 full" });
    let code = format!(
        "-c import pika, sys; channel = pika.BlockingConnection(pika.URLParameters(sys.argv[1])).channel(); \
         channel.confirm_delivery(); channel.basic_publish('', '{}', b'{task}', pika.BasicProperties( \
         message_id='{}', type='email.welcome', delivery_mode=2, headers={headers}))",
        queue::DEAD,
        TaskId::new()
    );
    python(sluice, (&name, &password), &[&code]).await.expect("it is published");
}
