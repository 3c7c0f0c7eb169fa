//! The dead letters in the console: a list with filters, one letter, and jobs that redrive or discard many.

pub(super) mod api;
pub(super) mod pages;
mod query;
mod task;

use std::time::Duration;

use platform::postgres::{NoAnswer, ask};
use sqlx::PgPool;

use super::who::Who;
use crate::dead_letters::Filter;
use crate::dead_letters::jobs::{Action, Ask, Find, Job, List, Stop};

/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A page waits so long for a look at the queue, and shows an older one then.
const PAGE_WAITS: Duration = Duration::from_millis(250);
/// Whoever is about to act, or asks by program, waits so long.
const ACT_WAITS: Duration = Duration::from_secs(10);
/// Letters a second where nobody says how many, and at most.
const PER_SECOND: u32 = 500;
const MOST_PER_SECOND: u32 = 10_000;
/// Jobs that are shown.
const JOBS: i64 = 50;

/// What somebody asks for.
struct Wanted {
    action: Action,
    filter: Filter,
    meant: usize,
    per_second: u32,
    reason: Option<String>,
}

async fn start(pool: &PgPool, who: &Who, wanted: Wanted) -> Result<i64, NoAnswer> {
    let Wanted { action, filter, meant, per_second, reason } = wanted;
    let reason = super::actions::reason(reason);
    let meant = i64::try_from(meant).unwrap_or(i64::MAX);
    let (filter, operator, reason) = (&filter, who.name.as_str(), reason.as_str());
    ask(pool, &Ask { action, filter, meant, per_second, operator, reason }, ANSWER_WITHIN).await
}

async fn stop(pool: &PgPool, who: &Who, id: i64) -> Result<bool, NoAnswer> {
    ask(pool, &Stop { id, operator: &who.name, reason: "in the console" }, ANSWER_WITHIN).await
}

async fn job(pool: &PgPool, id: i64) -> Result<Option<Job>, NoAnswer> {
    ask(pool, &Find(id), ANSWER_WITHIN).await
}

async fn jobs(pool: &PgPool) -> Result<Vec<Job>, NoAnswer> {
    ask(pool, &List { limit: JOBS }, ANSWER_WITHIN).await
}
