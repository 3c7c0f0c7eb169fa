//! The database of `serve`: every SQL statement of it.

mod idempotency;
mod keys;
mod mails;
mod probe;
mod recipients;

use sqlx::migrate::Migrator;

pub use idempotency::{Before, find_before, forget_expired_key, purge_expired_keys};
pub use keys::{KeyRow, NewKey, active_keys, add_key, all_keys, revoke_key};
pub use mails::{Batch, Inserted, NewMail, Outcome, Repeatable, insert_mails};
pub use probe::Migrated;
pub use recipients::{RecipientLimit, purge_recipients};

/// The schema.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");
