//! Looking mails up, by whatever somebody has of them.

use std::time::Duration;

use contract::{EmailAddress, TaskId};
use platform::postgres::{NoAnswer, ask};
use sqlx::PgPool;

use crate::mail_log::find::Which;
use crate::mail_log::story::{Story, look_up};
use crate::mail_log::trace_of_digits;
use crate::suppressions::AddressKeys;
use crate::suppressions::store::{Find, Suppressed};

/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// So many of an address or a trace, the latest.
const MOST: u32 = 100;

/// Why nothing was looked up.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotFound {
    /// It is none of the three.
    #[error("This is no address, no id and no trace.")]
    Unclear,
    /// There is nothing to hash addresses with.
    #[error("Addresses can't be looked up: ADDRESS_HASH_KEY is not set.")]
    NoKey,
    /// The database does not answer.
    #[error("The database does not answer.")]
    Down(#[source] NoAnswer),
}

/// What somebody typed: an address, an id of a task, or of a trace.
pub(super) fn which(typed: &str, keys: Option<&AddressKeys>) -> Result<Which, NotFound> {
    let typed = typed.trim();
    if typed.contains('@') {
        let address: EmailAddress = typed.parse().map_err(|_| NotFound::Unclear)?;
        return of_address(&address, keys);
    }
    if let Some(trace) = trace_of_digits(typed) {
        return Ok(Which::Trace(trace));
    }
    if typed.is_empty() || typed.len() > 255 {
        return Err(NotFound::Unclear);
    }
    Ok(Which::Id(TaskId::from_message_id(typed).as_uuid()))
}

/// All mails to an address.
pub(super) fn of_address(address: &EmailAddress, keys: Option<&AddressKeys>) -> Result<Which, NotFound> {
    let hashes = keys.ok_or(NotFound::NoKey)?.hashes(address);
    Ok(Which::Recipient(hashes.all().map(<[u8]>::to_vec).collect()))
}

/// Whether one of these hashes is that of an address that gets no mails.
pub(super) async fn suppressed(pool: &PgPool, which: &Which) -> Result<Option<Suppressed>, NotFound> {
    let Which::Recipient(hashes) = which else { return Ok(None) };
    ask(pool, &Find { hashes: hashes.clone() }, ANSWER_WITHIN).await.map_err(NotFound::Down)
}

/// What is known.
pub(super) async fn story(pool: &PgPool, which: Which) -> Result<Story, NotFound> {
    look_up(pool, which, MOST).await.map_err(NotFound::Down)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_somebody_typed_is_taken_for_what_it_looks_like() {
        let keys = AddressKeys::new("0123456789abcdef0123456789abcdef".parse().unwrap(), None);
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert!(matches!(which(" ada@example.com\n", Some(&keys)), Ok(Which::Recipient(hashes)) if hashes.len() == 1));
        assert!(matches!(which(trace, None), Ok(Which::Trace(_))));
        let id = "01a2219e-340f-70f6-9c09-d5b8ae776354";
        assert_eq!(which(id, None).unwrap(), Which::Id(id.parse().unwrap()));
        assert!(matches!(which("order-17", None), Ok(Which::Id(_))), "an id of a producer's own");
        assert!(matches!(which("ada@example.com", None), Err(NotFound::NoKey)));
        for unclear in ["", " ", "ada@", "@example.com", "a b@c"] {
            assert!(matches!(which(unclear, Some(&keys)), Err(NotFound::Unclear)), "{unclear:?}");
        }
    }
}
