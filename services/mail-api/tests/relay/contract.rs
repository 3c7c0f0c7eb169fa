//! What becomes of a row: a message with everything that the contract promises.

use contract::{header, queue};
use serde_json::{Value, json};
use testkit::lapin::types::ShortString;
use uuid::Uuid;

use crate::support::{SOON, Shop, TestRelay};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn an_order_and_its_mail_are_one_transaction_and_the_mail_is_a_task_with_all_that_was_said() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let app = shop.as_app().await;
    let mut transaction = app.begin().await.unwrap();
    let mail: Uuid = sqlx::query_scalar(
        r#"SELECT sluice.enqueue_mail('order.paid', 'ada@example.com', '{"order": 7}', name => 'Ada', locale => 'de',
               expires_at => '2030-01-01T00:00:00.5Z', priority => 'high', traceparent => $1)"#,
    )
    .bind(TRACEPARENT)
    .fetch_one(&mut *transaction)
    .await
    .unwrap();
    let order = sqlx::query("INSERT INTO orders (customer, mail) VALUES ('ada', $1)").bind(mail);
    order.execute(&mut *transaction).await.unwrap();

    let _relay = TestRelay::up(&shop.relay_url(), &[("AMQP_URL", vhost.amqp_url())]).await;
    let client = vhost.client().await;
    // Nothing is to come: a relay that reads what is not committed has had its turn.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(client.ready(queue::EMAIL).await, 0, "nothing is committed yet");
    transaction.commit().await.unwrap();
    shop.all_relayed(SOON).await;

    let task = client.take(queue::EMAIL).await.expect("the task");
    let body: Value = serde_json::from_slice(&task.body).unwrap();
    assert_eq!(body, json!({"email": "ada@example.com", "name": "Ada", "locale": "de", "data": {"order": 7}}));
    let text = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string);
    assert_eq!(task.message_id(), Some(mail.to_string().as_str()));
    assert_eq!(text(task.properties.kind()).as_deref(), Some("order.paid"));
    assert_eq!(text(task.properties.app_id()).as_deref(), Some("mail-api"));
    assert_eq!(text(task.properties.content_type()).as_deref(), Some("application/json"));
    assert_eq!(*task.properties.delivery_mode(), Some(2), "it survives a restart of the broker");
    assert_eq!(*task.properties.priority(), Some(queue::HIGH_PRIORITY));
    assert!(task.properties.timestamp().is_some_and(|at| at > 1_700_000_000));
    assert_eq!(task.header(header::EXPIRES_AT).as_deref(), Some("1893456000"), "in whole seconds");
}

#[tokio::test]
async fn a_welcome_mail_is_the_task_that_every_worker_knows_and_says_nothing_that_nobody_said() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    let asked = "SELECT sluice.enqueue_mail('email.welcome', 'ada@example.com', name => 'Ada')";
    sqlx::query(asked).execute(&shop.as_app().await).await.unwrap();
    let _relay = TestRelay::up(&shop.relay_url(), &[("AMQP_URL", vhost.amqp_url())]).await;
    shop.all_relayed(SOON).await;

    let task = vhost.client().await.take(queue::EMAIL).await.expect("the task");
    let read = contract::MailTask::decode(Some("email.welcome"), &task.body).expect("a task");
    assert_eq!((read.email.as_str(), read.name.as_deref(), read.locale), ("ada@example.com", Some("Ada"), None));
    assert_eq!(*task.properties.priority(), None, "a message without one is normal, on every broker");
    assert_eq!(task.header(header::EXPIRES_AT), None);
}

#[tokio::test]
async fn rows_that_an_application_wrote_itself_are_relayed_whatever_moments_are_in_them() {
    let (shop, vhost) = (Shop::open().await, testkit::vhost().await);
    shop.execute(
        r#"INSERT INTO sluice.outbox (task_type, body, created_at, expires_at, traceparent, tracestate) VALUES
               ('a', '{}', DEFAULT, DEFAULT, DEFAULT, DEFAULT),
               ('b', '{}', 'infinity', '200000-01-01', 'nonsense', repeat('x', 100000)),
               ('c', '{}', '-infinity', '1815-12-10', '', ''),
               ('d', '\x00ff', '200000-01-01', NULL, NULL, NULL)"#,
    )
    .await;
    // What a role or a database sets must not matter.
    shop.execute(&format!("ALTER ROLE {} SET bytea_output = 'escape'", shop.relay)).await;
    shop.execute(&format!("ALTER ROLE {} SET search_path = 'orders'", shop.relay)).await;
    shop.execute(&format!("ALTER ROLE {} SET datestyle = 'German'", shop.relay)).await;
    let _relay = TestRelay::up(&shop.relay_url(), &[("AMQP_URL", vhost.amqp_url())]).await;
    shop.all_relayed(SOON).await;

    let client = vhost.client().await;
    let mut seen = Vec::new();
    while let Some(task) = client.take(queue::EMAIL).await {
        let kind = task.properties.kind().as_ref().unwrap().to_string();
        let moment = *task.properties.timestamp();
        seen.push((kind, moment.is_some(), task.header(header::EXPIRES_AT), task.body));
    }
    // Those of one statement may have been made within one microsecond.
    seen.sort();
    let expires = |at: &str| Some(at.to_owned());
    assert_eq!(
        seen,
        [
            ("a".to_owned(), true, None, b"{}".to_vec()),
            ("b".to_owned(), false, expires("6249223180800"), b"{}".to_vec()),
            ("c".to_owned(), false, expires("0"), b"{}".to_vec()),
            ("d".to_owned(), true, None, b"\x00\xff".to_vec()),
        ]
    );
}
