//! Listing and counting dead letters.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::SystemTime;

use amqp::Broker;
use contract::queue;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::row;
use super::{Done, Filter, Letter, close, next_meant};
use crate::reading::{Reading, Turn};
use platform::table::Table;

/// What to show of the letters that are meant.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// At most so many.
    pub limit: usize,
    /// Without the first so many.
    pub offset: usize,
    /// The addresses too.
    pub addresses: bool,
    /// One object a line instead of a table.
    pub json: bool,
    /// Only how many, by reason.
    pub count: bool,
}

/// Writes the letters that are meant, oldest first; they stay where they are.
///
/// # Errors
/// The broker can't be reached, or ends the connection; or the output can't be written.
pub async fn list(
    broker: &Broker,
    filter: &Filter,
    shown: Shown,
    out: impl Write,
    stop: &CancellationToken,
) -> anyhow::Result<Done> {
    let turn = Turn::wait(broker, queue::DEAD, stop).await?;
    let mut reading = turn.read().await?;
    let mut view: View<_> = View::new(shown, out);
    let mut letters = 0;
    let result = show(&mut reading, filter, shown, &mut view, &mut letters).await;
    let done = close(reading, result, letters).await;
    turn.end().await;
    let done = done?;
    view.end(done.interrupted)?;
    Ok(done)
}

async fn show<W: Write>(
    reading: &mut Reading,
    filter: &Filter,
    shown: Shown,
    view: &mut View<W>,
    letters: &mut usize,
) -> anyhow::Result<()> {
    let now = SystemTime::now();
    let (offset, limit) = if shown.count { (0, usize::MAX) } else { (shown.offset, shown.limit) };
    let mut matched = 0;
    while *letters < limit {
        let Some((letter, _)) = next_meant(reading, filter, now).await? else { break };
        matched += 1;
        reading.matched(matched);
        if matched > offset {
            view.show(&letter, now)?;
            *letters += 1;
        }
    }
    Ok(())
}

enum View<W: Write> {
    Table { table: Table<W>, addresses: bool, empty: bool },
    Lines { out: W, addresses: bool },
    Counts { out: W, json: bool, reasons: BTreeMap<String, u64> },
}

impl<W: Write> View<W> {
    fn new(shown: Shown, out: W) -> Self {
        let Shown { addresses, json, .. } = shown;
        match (shown.count, json) {
            (true, json) => Self::Counts { out, json, reasons: BTreeMap::new() },
            (false, true) => Self::Lines { out, addresses },
            (false, false) => Self::Table { table: Table::new(out, &row::columns(addresses)), addresses, empty: true },
        }
    }

    fn show(&mut self, letter: &Letter, now: SystemTime) -> io::Result<()> {
        match self {
            Self::Table { table, addresses, empty } => {
                *empty = false;
                table.push(row::row(letter, now, *addresses))
            }
            Self::Lines { out, addresses } => writeln!(out, "{}", letter.json(now, *addresses)),
            Self::Counts { reasons, .. } => {
                match reasons.get_mut(&letter.reason) {
                    Some(count) => *count += 1,
                    None => drop(reasons.insert(letter.reason.clone(), 1)),
                }
                Ok(())
            }
        }
    }

    fn end(self, interrupted: bool) -> io::Result<()> {
        match self {
            // An interrupted one can't say that there are none.
            Self::Table { empty: true, .. } | Self::Counts { .. } if interrupted => Ok(()),
            Self::Table { table, empty: true, .. } => {
                let mut out = table.into_inner();
                writeln!(out, "no dead letters")?;
                out.flush()
            }
            Self::Table { mut table, .. } => table.flush(),
            Self::Lines { mut out, .. } => out.flush(),
            Self::Counts { mut out, json: true, reasons } => {
                for (reason, count) in reasons {
                    writeln!(out, "{}", json!({"reason": reason, "count": count}))?;
                }
                out.flush()
            }
            Self::Counts { out, json: false, reasons } => {
                let total: u64 = reasons.values().sum();
                let mut table = Table::new(out, &["REASON", "COUNT"]);
                for (reason, count) in reasons {
                    table.push(vec![reason, count.to_string()])?;
                }
                table.push(vec!["all".to_owned(), total.to_string()])?;
                table.flush()
            }
        }
    }
}
