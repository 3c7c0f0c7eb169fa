//! Jobs on paper.

use std::io::{self, Write};

use platform::table::{Table, printable};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Job;
use crate::paper::{rfc3339, seconds, value};

/// As a table.
///
/// # Errors
/// It can't be written.
pub fn table(mut out: impl Write, jobs: &[Job]) -> io::Result<()> {
    if jobs.is_empty() {
        writeln!(out, "no jobs")?;
        return out.flush();
    }
    let mut table = Table::new(out, &["JOB", "ACTION", "STATE", "DONE", "MEANT", "ASKED", "BY", "WHICH", "WHY"]);
    for job in jobs {
        let state = match &job.trouble {
            Some(trouble) => format!("{}: {}", job.state.slug(), printable(trouble)),
            None => job.state.slug().to_owned(),
        };
        table.push(vec![
            job.id.to_string(),
            job.action.to_string(),
            state,
            job.settled.to_string(),
            job.meant.to_string(),
            seconds(job.asked_at),
            printable(&job.asked_by),
            printable(&job.filter.to_string()),
            printable(&job.reason),
        ])?;
    }
    table.flush()
}

/// One JSON object a line.
///
/// # Errors
/// It can't be written.
pub fn lines(mut out: impl Write, jobs: &[Job]) -> io::Result<()> {
    for job in jobs {
        writeln!(out, "{}", object(job))?;
    }
    out.flush()
}

/// One of them, as programs read it.
pub fn object(job: &Job) -> Value {
    value(&JobObject {
        id: job.id,
        action: job.action.slug(),
        filter: job.filter.to_string(),
        meant: job.meant,
        settled: job.settled,
        per_second: job.per_second,
        state: job.state.slug(),
        trouble: job.trouble.as_deref(),
        by: &job.asked_by,
        reason: &job.reason,
        asked_at: rfc3339(job.asked_at),
        ended_at: job.ended_at.map(rfc3339),
    })
}

/// Something that is done to dead letters in the background.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobObject<'a> {
    /// Its number.
    id: i64,
    /// `redrive` or `discard`.
    #[schema(example = "redrive")]
    action: &'static str,
    /// To which letters.
    filter: String,
    /// How many there were when it was asked for.
    meant: i64,
    /// How many left the queue.
    settled: i64,
    /// Letters a second, at most.
    per_second: u32,
    /// `waiting`, `running`, `done` or `stopped`.
    #[schema(example = "running")]
    state: &'static str,
    /// What kept it from going on, the last time.
    trouble: Option<&'a str>,
    /// Who asked for it.
    by: &'a str,
    /// Why.
    reason: &'a str,
    /// When; RFC 3339. What died later is not meant.
    asked_at: String,
    /// When it was done, or stopped.
    ended_at: Option<String>,
}
