//! A worker is not let loose on tables that are older than itself.

use email_worker::ledger::MIGRATOR;
use sqlx::migrate::Migrator;

use crate::support::Worker;

#[tokio::test]
async fn a_probe_finds_each_migration_that_is_missing() {
    let all: Vec<_> = MIGRATOR.iter().cloned().collect();
    for known in 0..=all.len() {
        let database = testkit::database().await;
        let migrator = Migrator::with_migrations(all[..known].to_vec());
        platform::postgres::migrate(database.pool(), &migrator).await.unwrap();
        let worker = Worker::start(database.pool());
        let probed = worker.ledger.probe().await.map_err(|down| down.to_string());
        match probed {
            Ok(()) => assert_eq!(known, all.len(), "the last migration is not looked for: see ledger/sql.rs, Probe"),
            Err(reason) => assert!(known < all.len() && reason.contains("email-worker migrate"), "{known}: {reason}"),
        }
        worker.stop().await;
    }
}
