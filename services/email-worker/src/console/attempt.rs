//! Somebody is on their way to the provider, and comes back: nothing is kept here of it.
//!
//! A cookie has something random and when it ends. What the provider is sent, and must send back, is derived from that with the
//! secret of sessions: any replica can do it, and whoever sees one of them does not know the others.

use std::time::{Duration, SystemTime};

use super::session::{Sessions, unix};
use super::who::same;
use crate::paper::hex;

/// How the cookie is called.
pub(super) const COOKIE: &str = "__Host-sluice-attempt";

/// Somebody may take so long to sign in.
pub(super) const LASTS: Duration = Duration::from_secs(600);

/// What goes to the provider, and comes back.
#[derive(Debug)]
pub(super) struct Secrets {
    /// That it is the same browser.
    pub(super) state: String,
    /// That the token was made for this.
    pub(super) nonce: String,
    /// That whoever has the code began it (PKCE, RFC 7636).
    pub(super) verifier: String,
}

impl Secrets {
    /// Did this browser begin it?
    pub(super) fn is_state(&self, state: &str) -> bool {
        same(self.state.as_bytes(), state.as_bytes())
    }
}

impl Sessions {
    /// The cookie of somebody who begins, and what belongs to it.
    pub(super) fn begin(&self, now: SystemTime) -> (String, Secrets) {
        let cookie = format!("{}.{}", unix(now + LASTS), hex(&rand::random::<[u8; 32]>()));
        let secrets = self.secrets(&cookie);
        (cookie, secrets)
    }

    /// What belongs to a cookie; `None` for one that is over. Of a made-up cookie nobody knows what belongs to it.
    pub(super) fn begun(&self, cookie: &str, now: SystemTime) -> Option<Secrets> {
        let (until, _) = cookie.split_once('.')?;
        (unix(now) < until.parse().ok()?).then(|| self.secrets(cookie))
    }

    fn secrets(&self, cookie: &str) -> Secrets {
        let of = |purpose| self.seal(purpose, cookie);
        Secrets { state: of("state"), nonce: of("nonce"), verifier: of("verifier") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_an_attempt_is_known_to_its_browser_until_it_is_over() {
        let sessions = Sessions::new(None, LASTS);
        let now = SystemTime::now();
        let (cookie, sent) = sessions.begin(now);
        let back = sessions.begun(&cookie, now + LASTS - Duration::from_secs(2)).expect("it is not over");
        assert!(back.is_state(&sent.state) && back.nonce == sent.nonce && back.verifier == sent.verifier);
        assert!(sent.state != sent.nonce && sent.nonce != sent.verifier && (43..=128).contains(&sent.verifier.len()));
        assert!(sessions.begun(&cookie, now + LASTS).is_none(), "over");
        let (other, _) = sessions.begin(now);
        assert!(!sessions.begun(&other, now).expect("another").is_state(&sent.state));
        let others = Sessions::new(None, LASTS);
        assert!(!others.begun(&cookie, now).expect("elsewhere").is_state(&sent.state));
        for wrong in ["", ".", "x.y", &cookie[1..2]] {
            assert!(sessions.begun(wrong, now).is_none_or(|secrets| !secrets.is_state(&sent.state)), "{wrong}");
        }
    }
}
