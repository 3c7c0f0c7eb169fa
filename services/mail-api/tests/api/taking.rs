//! A mail that is asked for is committed, and comes to the queue.

use contract::{MailTask, queue};
use serde_json::json;
use testkit::eventually;

use crate::support::{OfMails as _, SOON, TestApi, mail};

#[tokio::test]
async fn a_mail_is_committed_although_no_broker_is_there() {
    let api = TestApi::start(&[]).await;
    let answer = api.send(&mail("ada")).await;
    let id = answer.id();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let rows: Vec<(uuid::Uuid, String, String)> =
        sqlx::query_as("SELECT id, task_type, priority FROM sluice.outbox").fetch_all(api.pool()).await.unwrap();
    assert_eq!(rows, [(id.parse().unwrap(), "order.paid".to_owned(), "normal".to_owned())]);
    assert_eq!(api.ready().await.status, 200, "a broker that is away makes nobody unready");
}

#[tokio::test]
async fn it_comes_to_the_queue_as_the_worker_reads_it() {
    let vhost = testkit::vhost().await;
    let api = TestApi::start(&[("AMQP_URL", vhost.amqp_url())]).await;
    let asked = json!({"type": "order.paid", "recipient": "Ada@B\u{fc}cher.example", "name": "Ada", "locale": "de-CH",
        "data": {"order": 7, "total": 12.50, "lines": ["a", "b"]}, "expires_at": "2099-01-01T00:00:00+01:00",
        "priority": "high"});
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let id = api.send_with(&asked, &[("traceparent", trace)]).await.id();
    let client = vhost.client().await;
    let message = eventually("the mail is in the queue", SOON, async || client.take(queue::EMAIL).await).await;
    let properties = &message.properties;
    assert_eq!(properties.message_id().as_ref().unwrap().as_str(), id);
    assert_eq!((properties.kind().as_ref().unwrap().as_str(), properties.priority()), ("order.paid", &Some(5)));
    let expires = format!("{:?}", properties.headers().as_ref().unwrap().inner().get("x-expires-at").unwrap());
    assert!(expires.contains("4070905200"), "{expires}");
    let task = MailTask::decode(Some("order.paid"), &message.body).unwrap();
    assert_eq!((task.email.as_str(), task.name.as_deref()), ("Ada@B\u{fc}cher.example", Some("Ada")));
    assert_eq!((task.locale.as_deref(), &task.data["total"]), (Some("de-CH"), &json!(12.5)));
    eventually("the outbox is empty", SOON, async || (api.count("outbox").await == 0).then_some(())).await;
}
