//! Who the broker says that it is.

use crate::broker;

#[tokio::test]
async fn a_broker_tells_its_name_and_its_version() {
    let vhost = testkit::vhost().await;
    let greeting = broker(vhost.amqp_url(), "test").greeting().await.unwrap();
    assert_eq!(greeting.product, "RabbitMQ");
    assert_eq!(greeting.version, vhost.management().version().await);
}

#[tokio::test]
async fn where_no_broker_is_nobody_greets() {
    let nobody = broker("amqp://guest:guest@127.0.0.1:1/%2f", "test").greeting().await;
    assert!(nobody.is_err(), "{nobody:?}");
}
