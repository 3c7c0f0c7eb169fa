//! email-worker
pub mod circuit;
pub mod disposition;
pub mod email;

pub mod ledger;
pub mod rate;
pub mod retention;
