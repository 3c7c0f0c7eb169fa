//! What operators do here: the same statements as the commands', by whoever is signed in.

use std::time::Duration;

use platform::postgres::{NoAnswer, ask};
use sqlx::PgPool;

use super::who::Who;
use crate::controls::store::{Action, Actions, Clear, CloseCircuits, Done, Read, Record, Set};
use crate::controls::{Ask, By, Controls, Kind, Scope};
use crate::paper::one_line;
use crate::suppressions::list::recipient;
use crate::suppressions::store::Forget;

/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// What is shown of the history.
const SHOWN: i64 = 200;
/// The longest reason, in characters.
const LONGEST: usize = 200;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Deed {
    /// Pause or limit.
    Set(Scope, Ask),
    /// End a pause or a limit.
    Clear(Scope, Kind),
    /// Have the circuits of all workers closed.
    CloseCircuits,
    /// Let the address of this hash have mails again.
    Unsuppress(Vec<u8>),
}

/// Why somebody does it, and for how long.
#[derive(Debug, Clone, Default)]
pub(super) struct Because {
    /// Why.
    pub(super) reason: Option<String>,
    /// It ends by itself after so long.
    pub(super) lasts: Option<Duration>,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    /// It is done.
    Done,
    /// There was nothing to end.
    WasNot,
    /// There would be too many queues.
    TooMany,
}

/// Does it, and writes down who did.
pub(super) async fn act(pool: &PgPool, who: &Who, deed: Deed, because: Because) -> Result<Went, NoAnswer> {
    let Because { reason, lasts } = because;
    let reason = self::reason(reason);
    let by = By { operator: who.name.clone(), reason, lasts };
    match deed {
        Deed::CloseCircuits => {
            ask(pool, &CloseCircuits { by }, ANSWER_WITHIN).await?;
            Ok(Went::Done)
        }
        Deed::Unsuppress(hash) => {
            let object = recipient(&hash);
            let gone = ask(pool, &Forget { hashes: vec![hash], bounces_alone: false }, ANSWER_WITHIN).await?;
            if gone == 0 {
                return Ok(Went::WasNot);
            }
            let done = Record { operator: &by.operator, action: "unsuppress", object: &object, detail: &by.reason };
            ask(pool, &done, ANSWER_WITHIN).await?;
            Ok(Went::Done)
        }
        Deed::Set(scope, what) => match ask(pool, &Set { scope, ask: what, by }, ANSWER_WITHIN).await? {
            Done::Set => Ok(Went::Done),
            Done::TooMany => Ok(Went::TooMany),
        },
        Deed::Clear(scope, kind) => {
            let was = ask(pool, &Clear { kind, scope, by }, ANSWER_WITHIN).await?;
            Ok(if was { Went::Done } else { Went::WasNot })
        }
    }
}

/// What the history says where nobody says why.
pub(super) fn reason(given: Option<String>) -> String {
    given.map_or_else(|| "no reason given".to_owned(), |reason| one_line(&reason, LONGEST))
}

/// What holds.
pub(super) async fn controls(pool: &PgPool) -> Result<Controls, NoAnswer> {
    ask(pool, &Read, ANSWER_WITHIN).await
}

/// What was done, the latest first.
pub(super) async fn history(pool: &PgPool) -> Result<Vec<Action>, NoAnswer> {
    ask(pool, &Actions { limit: SHOWN, since: None }, ANSWER_WITHIN).await
}
