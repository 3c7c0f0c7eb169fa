//! The dead letters, for the person who looks after them: list them, put them back.
//!
//! Looking is taking and giving back, one by one: the queue's delivery limit is high enough to bear it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use amqp::{Broker, ConfirmChannel, Delivery, Outcome, Peek, Settled};
use anyhow::{Context as _, bail};
use contract::{WelcomeEmail, header, queue};

use crate::moves;
use crate::task::Message;

/// One dead letter as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The message id.
    pub id: String,
    /// Why it is here.
    pub reason: String,
    /// The sentence that goes with the reason.
    pub detail: String,
    /// How long it has been here.
    pub age: Option<Duration>,
    /// Failures before it came here.
    pub attempts: u64,
    /// The address; filled in only when asked for, since this output may end up in a log.
    pub email: Option<String>,
}

impl Line {
    fn of(delivery: &Delivery, now: SystemTime, with_address: bool) -> Self {
        let properties = &delivery.properties;
        let headers = &properties.headers;
        let died =
            headers.get_u64(header::DEAD_AT).and_then(|at| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at)));
        let email = || {
            let task = WelcomeEmail::decode(properties.kind.as_deref(), &delivery.body).ok()?;
            Some(task.email.as_str().to_owned())
        };
        Self {
            id: properties.message_id.clone().unwrap_or_default(),
            reason: headers.get_str(header::DEAD_REASON).unwrap_or("unknown").to_owned(),
            detail: headers.get_str(header::DEAD_DETAIL).unwrap_or_default().to_owned(),
            age: died.and_then(|died| now.duration_since(died).ok()),
            attempts: headers.get_u64(header::ATTEMPT).unwrap_or(0),
            email: with_address.then(email).flatten(),
        }
    }
}

/// Lists up to `limit` dead letters, oldest first; they stay where they are.
///
/// # Errors
/// The broker can't be reached, or ends the connection.
pub async fn list(broker: &Broker, limit: usize, with_addresses: bool) -> anyhow::Result<Vec<Line>> {
    let connection = broker.connect().await.context("connect to the broker to list the dead letters")?;
    let mut peek = Peek::open(&connection, queue::DEAD).await?;
    let now = SystemTime::now();
    let mut lines = Vec::new();
    while lines.len() < limit {
        let Some(delivery) = peek.next().await? else { break };
        lines.push(Line::of(&delivery, now, with_addresses));
    }
    peek.put_back().await?;
    connection.close().await;
    Ok(lines)
}

/// The list as a table that lines up.
pub fn table(lines: &[Line]) -> String {
    if lines.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let with_addresses = lines.iter().any(|line| line.email.is_some());
    let mut rows = vec![header_row(with_addresses)];
    rows.extend(lines.iter().map(|line| row(line, with_addresses)));
    let mut widths = BTreeMap::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = widths.entry(column).or_insert(0);
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        let mut text = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths.get(&column).copied().unwrap_or_default();
            let _ = write!(text, "{cell:<width$}  ");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

fn header_row(with_addresses: bool) -> Vec<String> {
    let mut row = vec!["ID", "REASON", "AGE", "ATTEMPTS"];
    if with_addresses {
        row.push("ADDRESS");
    }
    row.push("DETAIL");
    row.into_iter().map(str::to_owned).collect()
}

fn row(line: &Line, with_addresses: bool) -> Vec<String> {
    let age = line.age.map_or_else(|| "?".to_owned(), brief);
    let mut row = vec![printable(&line.id), printable(&line.reason), age, line.attempts.to_string()];
    if with_addresses {
        row.push(line.email.clone().unwrap_or_default());
    }
    row.push(printable(&line.detail));
    row
}

/// Ids and reasons come off the queue: a terminal must not obey what stands in them.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(200).collect()
}

/// The two largest units are enough.
fn brief(age: Duration) -> String {
    let text = humantime::format_duration(Duration::from_secs(age.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Which dead letters to put back.
#[derive(Debug, Clone)]
pub enum Selection {
    /// The first so many.
    First(usize),
    /// The one with this message id.
    Id(String),
}

/// Puts dead letters back on the queue, each by a confirmed publish before it leaves the dead letters. Returns how many.
///
/// # Errors
/// The broker can't be reached or does not confirm; whatever was not confirmed is still among the dead letters. With
/// [`Selection::Id`]: no such letter.
pub async fn redrive(broker: &Broker, selection: Selection, confirm_timeout: Duration) -> anyhow::Result<usize> {
    let connection = broker.connect().await.context("connect to the broker to redrive dead letters")?;
    let mut confirms = ConfirmChannel::open(&connection, confirm_timeout).await?;
    let mut peek = Peek::open(&connection, queue::DEAD).await?;
    let limit = match &selection {
        Selection::First(limit) => *limit,
        Selection::Id(_) => 1,
    };
    let mut moved = 0;
    let mut failure = None;
    while moved < limit {
        let Some(delivery) = peek.next().await? else { break };
        let wanted = match &selection {
            Selection::First(_) => true,
            Selection::Id(id) => delivery.properties.message_id.as_deref() == Some(id.as_str()),
        };
        if !wanted {
            continue;
        }
        match put_back(&mut confirms, delivery).await {
            Ok(()) => moved += 1,
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    peek.put_back().await?;
    connection.close().await;
    match (failure, selection) {
        (Some(error), _) => Err(error),
        (None, Selection::Id(id)) if moved == 0 => bail!("no dead letter has the id {}", printable(&id)),
        _ => Ok(moved),
    }
}

async fn put_back(confirms: &mut ConfirmChannel, delivery: Delivery) -> anyhow::Result<()> {
    let Delivery { body, properties, receipt, .. } = delivery;
    let outgoing = moves::to_redrive(Message { body, properties }, SystemTime::now());
    let id = outgoing.properties.message_id.clone().unwrap_or_default();
    let outcomes = confirms.publish(&[outgoing]).await.with_context(|| format!("publish {} again", printable(&id)))?;
    match outcomes.as_slice() {
        [Outcome::Confirmed] => {}
        other => bail!("the broker did not take {} back: {other:?}", printable(&id)),
    }
    match receipt.ack().await {
        Settled::Sent => Ok(()),
        // It will be listed again; redriven twice it is still mailed once.
        Settled::Stale => bail!("the connection was lost before {} was taken off the dead letters", printable(&id)),
    }
}
