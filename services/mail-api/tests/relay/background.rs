//! A relay without one of its background tasks would be ready and do half of its work: it ends.

use futures_util::future::join_all;
use mail_api::app::App;
use platform::tasks::{TaskEnded, Tasks};
use tokio_util::sync::CancellationToken;

use crate::support::{SOON, Shop, config};

#[tokio::test]
async fn a_background_task_that_panics_ends_the_relay_with_its_name() {
    let shop = Shop::open().await;
    let ends = ["admin", "database", "relay", "backlog"].map(async |name| {
        let app = App::build(config(&shop.relay_url(), &[])).await.expect("building the app");
        let ended = tokio::time::timeout(SOON, app.run_with(Tasks::breaking(name), CancellationToken::new())).await;
        let error = ended.unwrap_or_else(|_| panic!("without {name} it goes on")).expect_err(name);
        assert!(error.downcast_ref::<TaskEnded>().is_some_and(|ended| ended.name == name), "{name}: {error:#}");
    });
    join_all(ends).await;
}
