//! Listing and counting dead letters.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::SystemTime;

use amqp::Broker;
use contract::queue;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::table::{self, Table};
use super::{Done, Filter, Letter};
use crate::reading::Turn;

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
    let now = SystemTime::now();
    let mut done = Done::default();
    let mut matched = 0;
    let shown_all = |done: &Done| !shown.count && done.letters >= shown.limit;
    let result = loop {
        if shown_all(&done) {
            break Ok(());
        }
        let delivery = match reading.next().await {
            Ok(Some(delivery)) => delivery,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        let letter = Letter::read(&delivery.properties, &delivery.body);
        if !filter.takes(&letter, now) {
            continue;
        }
        matched += 1;
        reading.matched(matched);
        if matched > shown.offset || shown.count {
            if let Err(error) = view.show(&letter, now) {
                break Err(error.into());
            }
            done.letters += 1;
        }
    };
    done.interrupted = reading.is_interrupted();
    let result = reading.close(result).await;
    turn.end().await;
    result?;
    view.end(done.interrupted)?;
    Ok(done)
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
            (false, false) => {
                Self::Table { table: Table::new(out, &table::columns(addresses)), addresses, empty: true }
            }
        }
    }

    fn show(&mut self, letter: &Letter, now: SystemTime) -> io::Result<()> {
        match self {
            Self::Table { table, addresses, empty } => {
                *empty = false;
                table.push(table::row(letter, now, *addresses))
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
