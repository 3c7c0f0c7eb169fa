//! The console: an operator pauses a domain and lets it go on, over its API.

use std::time::Duration;

use e2e::{Forward, Sluice, random, register, until};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::{Value, json};

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
}
