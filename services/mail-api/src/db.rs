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
pub use probe::MIGRATED;
pub use recipients::{RecipientLimit, purge_recipients};

/// The schema.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

#[cfg(test)]
mod tests {
    use outbox::Identifier;
    use outbox::schema::{self, Options};

    /// A migration is never changed, and the schema may get a new version: then a further migration brings it, and this one is compared
    /// with what was printed before.
    #[test]
    fn the_outbox_is_the_one_that_mail_api_prints_for_others() {
        let migration = include_str!("../migrations/20261128200000_outbox.sql");
        let ours = Options { schema: Identifier::default(), apps: Vec::new(), relays: Vec::new() };
        assert_eq!(migration.trim_end(), schema::sql(&ours).trim_end());
    }
}
