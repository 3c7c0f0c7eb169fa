//! A service without one of its background tasks would be ready and do half of its work: it ends.

use std::time::Duration;

use futures_util::future::join_all;
use platform::tasks::{TaskEnded, Tasks};
use tokio_util::sync::CancellationToken;
use user_api::app::App;

use crate::support::config;

#[tokio::test]
async fn a_background_task_that_panics_ends_the_service_with_its_name() {
    let database = testkit::database().await;
    let all = ["admin", "database", "relay", "backlog", "purge", "hashing-memory", "rate-limit"];
    let ends = all.map(async |name| {
        let app = App::build(config(database.url(), &[("RATE_LIMIT", "60")])).await.expect("building the app");
        let running = app.run_with(Tasks::breaking(name), CancellationToken::new());
        let ended = tokio::time::timeout(Duration::from_secs(60), running).await;
        let error = ended.unwrap_or_else(|_| panic!("without {name} it goes on")).expect_err(name);
        assert!(error.downcast_ref::<TaskEnded>().is_some_and(|ended| ended.name == name), "{name}: {error:#}");
    });
    join_all(ends).await;
}
