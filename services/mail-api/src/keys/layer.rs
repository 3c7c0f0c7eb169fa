//! Who may come in, and how much they may ask for.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use web::{Kind, Left, Problem, Quotas};

use super::{Caller, KeyId, Keyring};

/// What stands before the routes that take mails. Clones share it.
#[derive(Debug, Clone)]
pub struct Doors {
    /// Who is known.
    pub keys: Keyring,
    /// How many mails each may ask for; `None`: any number.
    pub quotas: Option<Arc<Quotas<KeyId>>>,
}

/// One request of a caller. Clones are the same request.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Who asks.
    pub caller: Arc<Caller>,
    quotas: Option<Arc<Quotas<KeyId>>>,
    left: Arc<Mutex<Option<Left>>>,
}

impl Turn {
    /// Counts so many mails.
    ///
    /// # Errors
    /// [`Kind::RATE_LIMITED`]: the caller has asked for too many.
    pub fn count(&self, mails: usize) -> Result<(), Problem> {
        let mails = u32::try_from(mails).ok().and_then(NonZeroU32::new);
        let (Some(quotas), Some(mails)) = (&self.quotas, mails) else { return Ok(()) };
        let left = quotas.count_many(&self.caller.id, mails);
        let refused = left.retry_after();
        let mut known = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        // What was refused took nothing: what was left before is.
        if refused.is_none() || known.is_none() {
            *known = Some(left);
        }
        refused.map_or(Ok(()), |wait| Err(Problem::new(Kind::RATE_LIMITED).retry_after(wait)))
    }

    fn tell(&self, headers: &mut HeaderMap) {
        let left = *self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(quotas), Some(left)) = (&self.quotas, left) {
            quotas.tell(left, headers);
        }
    }
}

/// Lets a request pass whose key is good and has not asked for too much; a handler finds its [`Turn`] among the extensions. One mail is
/// counted here, before a body is read, and the others of a batch when it was.
pub async fn check(State(doors): State<Doors>, mut request: Request, next: Next) -> Response {
    let caller = match doors.keys.admit(request.headers()).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let turn = Turn { caller, quotas: doors.quotas, left: Arc::default() };
    let mut response = match turn.count(1) {
        Ok(()) => {
            request.extensions_mut().insert(turn.clone());
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    turn.tell(response.headers_mut());
    response
}
