//! A worker without one of its background tasks would be ready and do half of its work: it ends.

use platform::tasks::TaskEnded;
use testkit::Dir;

use crate::helpers::World;

#[tokio::test]
async fn a_background_task_that_panics_ends_the_worker_with_its_name() {
    let (world, mails) = (World::new().await, Dir::new("mails"));
    let directory = mails.path().display().to_string();
    // All that a worker can do: each has tasks of its own.
    let all_on = [
        ("ADDRESS_HASH_KEY", "0123456789abcdef0123456789abcdef"),
        ("MAIL_LOG", "full"),
        ("MAIL_EVENTS", "on"),
        ("MAILS_DIR", &*directory),
    ];
    let all = [
        "admin",
        "claims",
        "marks",
        "rate",
        "publisher",
        "controls",
        "probe",
        "database-clock",
        "delivery-limit",
        "connections",
        "refusers",
        "retention",
        "suppressions",
        "suppressions-doubt",
        "mail-log",
        "events",
        "events-waiting",
        "mail-types",
        "mail-types-told",
    ];
    let ends = all.map(async |name| {
        let error = world.breaking_worker(&all_on, name).await.ends().await.expect_err(name);
        assert!(error.downcast_ref::<TaskEnded>().is_some_and(|ended| ended.name == name), "{name}: {error:#}");
    });
    futures_util::future::join_all(ends).await;
}
