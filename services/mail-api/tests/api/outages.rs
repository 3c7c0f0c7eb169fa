//! What is away, and what is killed: nothing that was answered 202 is lost, and nothing comes twice.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use contract::queue;
use testkit::{Client, Postgres, Service, TcpProxy, address_of, eventually};

use crate::support::{Answer, OfMails as _, SOON, TestApi, add_key, mail, migrated};

/// The ids of all messages in the queue, which is empty afterwards.
async fn drained(client: &Client) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(task) = client.take(queue::EMAIL).await {
        ids.push(task.message_id().expect("a message id").to_owned());
    }
    ids
}

#[tokio::test]
async fn with_the_broker_away_mails_are_taken_and_arrive_when_it_is_back() {
    let vhost = testkit::vhost().await;
    let broker = address_of(vhost.amqp_url());
    let proxy = TcpProxy::start(broker).await;
    let url = vhost.amqp_url().replace(&broker.to_string(), &proxy.addr().to_string());
    let api = TestApi::start(&[("AMQP_URL", &url)]).await;
    let client = vhost.client().await;
    let mut ids = BTreeSet::from([api.send(&mail("before")).await.id()]);
    let is_there = async || vhost.queues().await.iter().any(|known| known.name == queue::EMAIL).then_some(());
    eventually("the relay has made the queue", SOON, is_there).await;
    eventually("the way is open", SOON, async || (client.ready(queue::EMAIL).await == 1).then_some(())).await;
    proxy.cut();
    for n in 0..20 {
        ids.insert(api.send(&mail(&format!("ada{n}"))).await.id());
    }
    assert_eq!(api.count("outbox").await, 20);
    proxy.heal();
    eventually("the outbox is empty", SOON, async || (api.count("outbox").await == 0).then_some(())).await;
    assert_eq!(drained(&client).await.into_iter().collect::<BTreeSet<_>>(), ids);
}

#[tokio::test]
async fn while_the_database_is_away_answers_are_503_and_afterwards_202() {
    let server = Postgres::start().await;
    let database = server.database().await;
    platform::postgres::migrate(database.pool(), &mail_api::db::MIGRATOR).await.unwrap();
    let api = TestApi::over(database, &[("RECIPIENT_LIMIT", "1000")]).await;
    assert_eq!(api.send(&mail("before")).await.status, 202);
    server.kill();
    for n in 0..5 {
        let asked = Instant::now();
        assert_eq!(api.send(&mail(&format!("during{n}"))).await.problem(503), "database-unavailable");
        assert!(asked.elapsed() < Duration::from_secs(7), "answered after {:?}", asked.elapsed());
    }
    assert_eq!(api.batch(&[mail("during")]).await.problem(503), "database-unavailable");
    server.restart().await;
    let back = async || (api.send(&mail("after")).await.status == 202).then_some(());
    eventually("mails are taken again", SOON, back).await;
}

/// A client that repeats each request with its key until it is answered, over a service that is killed again and again.
#[tokio::test]
async fn killed_at_any_moment_it_loses_nothing_that_was_asked_for_and_takes_nothing_twice() {
    const MAILS: usize = 400;
    const CLIENTS: usize = 8;
    let (database, vhost) = (migrated().await, testkit::vhost().await);
    let key = add_key(database.pool(), &["shop"]).await;
    let service = Service::spawn_with(
        "mail-api",
        &["serve"],
        &[
            ("DATABASE_URL", database.url().to_owned()),
            ("AMQP_URL", vhost.amqp_url().to_owned()),
            ("RECIPIENT_LIMIT", "0".to_owned()),
            ("KEY_RATE_LIMIT", "0".to_owned()),
        ],
    );
    service.ready().await;
    let url = format!("{}/v1/mails", service.base_url());
    let ask = async |n: usize| {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        loop {
            let asked = http.post(&url).bearer_auth(&key).header("idempotency-key", n.to_string());
            match asked.json(&mail(&format!("ada{n}"))).send().await {
                Ok(answer) if answer.status() == 202 => {
                    let answer: serde_json::Value =
                        serde_json::from_str(&answer.text().await.unwrap_or_default()).unwrap_or_default();
                    if let Some(id) = answer["id"].as_str() {
                        return id.to_owned();
                    }
                }
                Ok(answer) => assert!(matches!(answer.status().as_u16(), 401 | 503), "{answer:?}"),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let clients = futures_util::future::join_all((0..CLIENTS).map(|client| {
        let ask = &ask;
        async move {
            let mut ids = Vec::new();
            for n in (client..MAILS).step_by(CLIENTS) {
                ids.push(ask(n).await);
            }
            ids
        }
    }));
    let killer = async {
        for pause in [300, 700, 200, 500] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            service.restart();
            service.ready().await;
        }
    };
    let (answered, ()) = tokio::join!(clients, killer);
    let answered: BTreeSet<String> = answered.into_iter().flatten().collect();
    assert_eq!(answered.len(), MAILS, "each has an id of its own");
    let waiting = async || sqlx::query_scalar("SELECT count(*) FROM sluice.outbox").fetch_one(database.pool()).await;
    eventually("the outbox is empty", SOON, async || (waiting().await.ok() == Some(0_i64)).then_some(())).await;
    let queued: BTreeSet<String> = drained(&vhost.client().await).await.into_iter().collect();
    assert_eq!(queued, answered, "what was asked for is what is in the queue");
    let last = Answer::read(
        reqwest::Client::new().post(&url).bearer_auth(&key).header("idempotency-key", "0").json(&mail("ada0")),
    )
    .await;
    assert!(last.replayed() && answered.contains(&last.id()));
}
