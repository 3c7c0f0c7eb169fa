//! New versions under load, and back again.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::{Answer, Load, RELEASE, Run, Sluice, check, next_images, registered};
use serde_json::json;

/// Answers before the change and after it.
const ANSWERS: usize = 60;

pub(crate) async fn tests(run: &mut Run) {
    let values = json!({ "userApi": { "replicas": 2 }, "emailWorker": { "autoscaling": { "minReplicas": 1 } } });
    let sluice = Sluice::install(&run.cluster, "upgrades", values).await;
    check!(run, an_upgrade_of_both_services_under_load_refuses_nobody(&sluice));
    check!(run, a_rollback_over_a_migration_under_load_refuses_nobody(&sluice));
    sluice.remove().await;
}

async fn an_upgrade_of_both_services_under_load_refuses_nobody(sluice: &Sluice) {
    let before = images(sluice).await;
    nobody_is_refused(sluice, "upgrade", async || sluice.upgrade(next_images()).await).await;
    assert_ne!(images(sluice).await, before, "the pods run other images");
}

async fn a_rollback_over_a_migration_under_load_refuses_nobody(sluice: &Sluice) {
    // What the newer version would have brought: a migration that the older one does not know.
    for (service, table) in [("user-api", "users"), ("email-worker", "ledger")] {
        let expand = format!("ALTER TABLE {table} ADD COLUMN of_the_next_version text");
        let known = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                     VALUES (99991231235959, 'of the next version', true, '\\x00', 0)";
        sluice.query(service, &format!("{expand}; {known}")).await.unwrap();
    }
    nobody_is_refused(sluice, "rollback", async || {
        sluice.helm.rollback(RELEASE).await.out();
    })
    .await;
}

/// The images of both services' pods.
async fn images(sluice: &Sluice) -> Vec<String> {
    let mut images = Vec::new();
    for name in [e2e::USER_API, e2e::EMAIL_WORKER] {
        let spec = sluice.deployment(name).await.spec.unwrap().template.spec.unwrap();
        images.extend(spec.containers.into_iter().filter_map(|container| container.image));
    }
    images
}

/// Registers people over the service all the while. Each is answered 201, or 503 by a user-api that says so itself; users = mails.
async fn nobody_is_refused(sluice: &Sluice, name: &str, change: impl AsyncFnOnce()) {
    let load = Load::until_ended(sluice, name, 2, "0.1").await;
    load.answered(ANSWERS, Duration::from_secs(60)).await;
    change().await;
    let so_far = load.answers().await.len();
    load.answered(so_far + ANSWERS, Duration::from_secs(60)).await;
    let answers = load.end().await;

    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for answer in &answers {
        *counts.entry(&answer.status).or_default() += 1;
    }
    let honest = |answer: &&Answer| !["201", "503"].contains(&answer.status.as_str());
    assert_eq!(answers.iter().find(honest), None, "answers: {counts:?}");
    assert!(registered(&answers).is_subset(&sluice.users().await.unwrap()), "whoever is answered 201 is a user");
    sluice.everyone_is_mailed_once().await;
}
