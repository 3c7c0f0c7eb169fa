//! Reading through a whole queue.

use std::time::Duration;

use amqp::{Bulk, ConfirmChannel, Outgoing, topology};
use tokio::time::timeout;

use crate::{QUEUE, SOON, connect_with, message};

/// Large ones have little room, so that there are many consumers: 128 each.
const COUNT: usize = 400;

#[tokio::test]
async fn messages_that_are_settled_on_the_way_do_not_slow_the_rest_down() {
    let vhost = testkit::vhost().await;
    let connection = connect_with(vhost.amqp_url(), &[topology::main()]).await;
    let mut confirms = ConfirmChannel::open(&connection, SOON).await.unwrap();
    let batch: Vec<Outgoing> =
        (0..COUNT).map(|n| Outgoing { body: vec![b'x'; 64 * 1024], ..message(QUEUE, &n.to_string()) }).collect();
    for part in batch.chunks(50) {
        confirms.publish(part).await.unwrap();
    }
    let mut bulk = Bulk::open(&connection, QUEUE).await.unwrap();
    assert_eq!(bulk.total() as usize, COUNT);
    let first = bulk.next().await.unwrap().expect("the first");
    assert_eq!(bulk.settle(&[first.receipt]).await, 1);
    // One by one, a fifth of a second each, it took a minute.
    let rest = async {
        let mut rest = 0;
        while bulk.next().await.unwrap().is_some() {
            rest += 1;
        }
        rest
    };
    assert_eq!(timeout(Duration::from_secs(15), rest).await.expect("it is slow"), COUNT - 1);
    bulk.close().await.unwrap();
    let mut again = Bulk::open(&connection, QUEUE).await.unwrap();
    assert_eq!(again.total() as usize, COUNT - 1, "what was not settled is back");
    assert_eq!(again.next().await.unwrap().unwrap().properties.message_id.as_deref(), Some("1"), "in its old place");
}
