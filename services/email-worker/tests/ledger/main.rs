//! The ledger, the fleet's rate and the purge, on a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::print_stdout, reason = "figures are worth reading when a test passes, too")]

mod bench;
mod claims;
mod marks;
mod rate;
mod retention;
mod schema;
mod steady;
mod support;
mod suppressions;
