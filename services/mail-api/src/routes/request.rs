//! What both ways of asking have in common.

use axum::extract::Request;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use web::middleware::timeout::Received;
use web::{IdempotencyKey, Kind, Problem, body};

use crate::asked::Rules;
use crate::db::{Before, Repeatable};
use crate::keys::Turn;
use crate::router::Api;

/// A request whose body was read, and not looked at.
pub(super) struct Read {
    pub(super) turn: Turn,
    pub(super) body: Vec<u8>,
    key: Option<IdempotencyKey>,
    api_key: String,
    fingerprint: [u8; 32],
}

/// Reads a request of at most `limit` bytes. `what` keeps requests apart that have one body and are sent to two paths.
pub(super) async fn read(api: &Api, request: Request, limit: usize, what: &'static str) -> Result<Read, Problem> {
    let (head, body) = request.into_parts();
    // The layer before has put it there.
    let turn = head.extensions.get::<Turn>().cloned().ok_or_else(|| Problem::new(Kind::INTERNAL_ERROR))?;
    let key = IdempotencyKey::given(&head.headers)?;
    body::look(&head.headers, limit)?;
    api.taker.look()?;
    let body = body::read(body, limit).await?;
    Received::all_of(&head.extensions);
    let fingerprint = if key.is_some() { fingerprint(what, &body) } else { [0; 32] };
    let api_key = turn.caller.id.to_string();
    Ok(Read { turn, body, key, api_key, fingerprint })
}

impl Read {
    pub(super) fn rules<'a>(&'a self, api: &Api) -> Rules<'a> {
        let types = api.types.as_ref().map(|types| types.current());
        Rules { scope: &self.turn.caller.scope, types, now: OffsetDateTime::now_utc() }
    }

    /// What the same request was answered before, if it was.
    pub(super) async fn before(&self, api: &Api) -> Result<Option<Before>, Problem> {
        match self.repeatable() {
            Some(repeatable) => Ok(api.taker.before(&repeatable).await?),
            None => Ok(None),
        }
    }

    pub(super) fn repeatable(&self) -> Option<Repeatable<'_>> {
        let key = self.key.as_ref()?;
        Some(Repeatable { api_key: &self.api_key, key, fingerprint: self.fingerprint })
    }
}

/// The same for the same JSON, in whatever order and with whatever blanks it is written.
fn fingerprint(what: &str, body: &[u8]) -> [u8; 32] {
    let sorted = serde_json::from_slice::<Value>(body).and_then(|value| serde_json::to_vec(&value));
    let digest = Sha256::new().chain_update(what).chain_update([0]);
    digest.chain_update(sorted.as_deref().unwrap_or(body)).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_the_same_however_its_json_is_written() {
        let print = |body: &str| fingerprint("mail", body.as_bytes());
        assert_eq!(print(r#"{"a":1,"b":{"c":2,"d":3}}"#), print(r#" {"b": {"d":3, "c":2}, "a":1}"#));
        assert_ne!(print(r#"{"a":1}"#), print(r#"{"a":2}"#));
        assert_ne!(print(r#"{"a":1}"#), fingerprint("batch", br#"{"a":1}"#));
    }
}
