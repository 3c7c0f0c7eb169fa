//! What the last migration made.

use platform::postgres::Migrated;

/// A service looks for it before it takes a registration.
pub const MIGRATED: Migrated = Migrated {
    made: "EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('outbox') AND attname = 'expires_at')",
    command: "user-api migrate",
};
