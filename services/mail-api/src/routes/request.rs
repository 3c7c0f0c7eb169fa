//! What both ways of asking have in common.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::thread::available_parallelism;

use axum::extract::Request;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use web::middleware::timeout::Received;
use web::{IdempotencyKey, Kind, Problem, body};

use super::Api;
use crate::asked::Rules;
use crate::db::{Before, Repeatable};
use crate::keys::Turn;

/// Bodies up to this many bytes are read in about a millisecond. Decision 28 in `docs/decisions`.
const SHORT: usize = 16 * 1024;

/// A request whose body was read, and not looked at.
pub(super) struct Read {
    turn: Turn,
    body: Vec<u8>,
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
    let (fingerprint, body) = match &key {
        Some(_) => aside(body, move |body| (fingerprint(what, &body), body)).await?,
        None => ([0; 32], body),
    };
    let api_key = turn.caller.id.to_string();
    Ok(Read { turn, body, key, api_key, fingerprint })
}

impl Read {
    /// Works on the body, which is away then, with the rules that its mails are held to.
    pub(super) async fn work<T, F>(&mut self, api: &Api, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&[u8], &Turn, &Rules<'_>) -> T + Send + 'static,
    {
        let turn = self.turn.clone();
        let types = api.types.as_ref().map(|types| types.current());
        let held = move |body: Vec<u8>| {
            let rules = Rules { scope: &turn.caller.scope, types, now: OffsetDateTime::now_utc() };
            work(&body, &turn, &rules)
        };
        aside(std::mem::take(&mut self.body), held).await
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

/// Works on a body: here, or on a thread of its own where it is so long that other requests would wait. As many at once as there are cores.
async fn aside<T, F>(body: Vec<u8>, work: F) -> Result<T, Problem>
where
    T: Send + 'static,
    F: FnOnce(Vec<u8>) -> T + Send + 'static,
{
    static CORES: LazyLock<Semaphore> =
        LazyLock::new(|| Semaphore::new(available_parallelism().map_or(2, NonZeroUsize::get)));
    if body.len() <= SHORT {
        return Ok(work(body));
    }
    // Held by the work, which goes on when nobody waits for it any more.
    let turn = CORES.acquire().await.map_err(|_| Problem::new(Kind::INTERNAL_ERROR))?;
    let working = spawn_blocking(move || {
        let _turn = turn;
        work(body)
    });
    working.await.map_err(|_| Problem::new(Kind::INTERNAL_ERROR))
}

/// The same for the same JSON, in whatever order and with whatever blanks it is written.
pub(super) fn fingerprint(what: &str, body: &[u8]) -> [u8; 32] {
    let sorted = serde_json::from_slice::<Value>(body).and_then(|value| serde_json::to_vec(&value));
    let digest = Sha256::new().chain_update(what).chain_update([0]);
    digest.chain_update(sorted.as_deref().unwrap_or(body)).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_body_is_read_beside_the_runtime_and_a_short_one_in_it() {
        let here = std::thread::current().id();
        for (length, beside) in [(SHORT, false), (SHORT + 1, true)] {
            let there = aside(vec![b' '; length], |_| std::thread::current().id()).await.unwrap();
            assert_eq!(there != here, beside, "{length} bytes");
        }
    }

    #[test]
    fn a_request_is_the_same_however_its_json_is_written() {
        let print = |body: &str| fingerprint("mail", body.as_bytes());
        assert_eq!(print(r#"{"a":1,"b":{"c":2,"d":3}}"#), print(r#" {"b": {"d":3, "c":2}, "a":1}"#));
        assert_ne!(print(r#"{"a":1}"#), print(r#"{"a":2}"#));
        assert_ne!(print(r#"{"a":1}"#), fingerprint("batch", br#"{"a":1}"#));
    }
}
