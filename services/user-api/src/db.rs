//! The database: every SQL statement of the service.

mod idempotency;
mod probe;
mod users;

use sqlx::migrate::Migrator;

pub use platform::postgres::DbError;

pub use idempotency::{Claimed, find_key, forget_expired_key, purge_expired_keys};
pub use probe::MIGRATED;
pub use users::{Conflict, Insert, Inserted, NewUser, Taken, insert_user, what_is_taken};

/// The schema.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");
