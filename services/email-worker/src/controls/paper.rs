//! What holds and what was done, on paper.

use std::io::{self, Write};

use platform::table::{Table, printable};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::store::Action;
use super::{Ask, Control, Controls};
use crate::paper::{rfc3339, seconds, value};

/// What is printed where nothing holds.
const NOTHING: &str = "nothing is paused, and nothing limited beside MAIL_RATE";

/// What holds, as a table.
///
/// # Errors
/// It can't be written.
pub fn table(mut out: impl Write, controls: &Controls) -> io::Result<()> {
    let all = controls.all();
    if all.is_empty() {
        writeln!(out, "{NOTHING}")?;
        return out.flush();
    }
    let mut table = Table::new(out, &["SCOPE", "CONTROL", "SINCE", "UNTIL", "BY", "WHY"]);
    for control in all {
        table.push(vec![
            control.scope.to_string(),
            match control.ask {
                Ask::Pause => "paused".to_owned(),
                Ask::Limit { rate, at_once: None } => format!("limit {rate}"),
                Ask::Limit { rate, at_once: Some(most) } => format!("limit {rate}, {most} at once"),
            },
            seconds(control.set_at),
            control.until.map(seconds).unwrap_or_default(),
            printable(&control.set_by),
            printable(&control.reason),
        ])?;
    }
    table.flush()
}

/// What holds, one JSON object a line.
///
/// # Errors
/// It can't be written.
pub fn lines(mut out: impl Write, controls: &Controls) -> io::Result<()> {
    for control in controls.all() {
        writeln!(out, "{}", object(control))?;
    }
    out.flush()
}

/// One of them, as programs read it.
pub fn object(control: &Control) -> Value {
    let (rate, at_once) = match control.ask {
        Ask::Pause => (None, None),
        Ask::Limit { rate, at_once } => (Some(rate.to_string()), at_once),
    };
    value(&ControlObject {
        scope: control.scope.to_string(),
        kind: control.ask.kind().slug(),
        rate,
        at_once,
        by: &control.set_by,
        reason: &control.reason,
        since: rfc3339(control.set_at),
        until: control.until.map(rfc3339),
    })
}

/// A pause or a limit that holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Control)]
pub struct ControlObject<'a> {
    /// Of which mails: `fleet`, `type:NAME` or `domain:NAME`.
    #[schema(example = "domain:gmail.com")]
    scope: String,
    /// `pause` or `limit`.
    #[schema(example = "limit")]
    kind: &'static str,
    /// The limit: mails over the whole fleet.
    #[schema(example = "5/s")]
    rate: Option<String>,
    /// Mails at once in one worker.
    at_once: Option<u16>,
    /// Who asked for it.
    by: &'a str,
    /// Why.
    reason: &'a str,
    /// Since when; RFC 3339.
    since: String,
    /// It ends by itself then.
    until: Option<String>,
}

/// What was done, as a table.
///
/// # Errors
/// It can't be written.
pub fn history(out: impl Write, actions: &[Action]) -> io::Result<()> {
    let mut table = Table::new(out, &["AT", "BY", "ACTION", "OBJECT", "HOW AND WHY"]);
    for action in actions {
        let Action { at, operator, action, object, detail } = action;
        let (by, detail) = (printable(operator), printable(detail));
        table.push(vec![seconds(*at), by, action.clone(), object.clone(), detail])?;
    }
    table.flush()
}

/// What was done, one JSON object a line.
///
/// # Errors
/// It can't be written.
pub fn history_lines(mut out: impl Write, actions: &[Action]) -> io::Result<()> {
    for action in actions {
        writeln!(out, "{}", done(action))?;
    }
    out.flush()
}

/// One of them, as programs read it.
pub fn done(Action { at, operator, action, object, detail }: &Action) -> Value {
    value(&ActionObject { at: rfc3339(*at), by: operator, action, object, detail })
}

/// What somebody did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Action)]
pub struct ActionObject<'a> {
    /// When; RFC 3339.
    at: String,
    /// Who.
    by: &'a str,
    /// What: `pause`, `resume`, `limit`, ..
    #[schema(example = "pause")]
    action: &'a str,
    /// To what; never an address.
    #[schema(example = "domain:gmail.com")]
    object: &'a str,
    /// How, and why.
    detail: &'a str,
}
