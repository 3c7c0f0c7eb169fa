//! A worker without one of its background tasks would be ready and do half of its work: it ends.

use platform::tasks::TaskEnded;

use crate::helpers::World;

#[tokio::test]
async fn a_background_task_that_panics_ends_the_worker_with_its_name() {
    let world = World::new().await;
    let all = [
        "admin",
        "claims",
        "marks",
        "rate",
        "publisher",
        "prober",
        "database-clock",
        "delivery-limit",
        "connections",
        "retention",
    ];
    let ends = all.map(async |name| {
        let error = world.breaking_worker(name).await.ends().await.expect_err(name);
        assert!(error.downcast_ref::<TaskEnded>().is_some_and(|ended| ended.name == name), "{name}: {error:#}");
    });
    futures_util::future::join_all(ends).await;
}
