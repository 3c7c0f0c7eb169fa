//! A service without one of its background tasks would be ready and do half of its work: it ends.

use std::time::Duration;

use futures_util::future::join_all;
use mail_api::serve::Serve;
use platform::tasks::{TaskEnded, Tasks};
use testkit::Dir;
use tokio_util::sync::CancellationToken;

use crate::support::{add_key, config, migrated};

#[tokio::test]
async fn a_background_task_that_panics_ends_the_service_with_its_name() {
    let (database, mails) = (migrated().await, Dir::new("mails"));
    add_key(database.pool(), &["test"]).await;
    let directory = mails.path().display().to_string();
    let all_on = [("MAILS_DIR", &*directory), ("KEY_RATE_LIMIT", "60"), ("RECIPIENT_LIMIT", "10")];
    let all = [
        "admin",
        "database",
        "keys",
        "relay",
        "backlog",
        "purge-keys",
        "purge-recipients",
        "key-limit",
        "mail-types",
        "mail-types-told",
    ];
    let ends = all.map(async |name| {
        let app = Serve::build(config(database.url(), &all_on)).await.expect("building the app");
        let running = app.run_with(Tasks::breaking(name), CancellationToken::new());
        let ended = tokio::time::timeout(Duration::from_secs(60), running).await;
        let error = ended.unwrap_or_else(|_| panic!("without {name} it goes on")).expect_err(name);
        assert!(error.downcast_ref::<TaskEnded>().is_some_and(|ended| ended.name == name), "{name}: {error:#}");
    });
    join_all(ends).await;
}
