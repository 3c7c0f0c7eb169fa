//! What the last migration made.

use platform::postgres::Migrated;

/// A service looks for it before it takes a mail.
pub const MIGRATED: Migrated =
    Migrated { made: "to_regclass('sluice.recipients') IS NOT NULL", command: "mail-api migrate" };
