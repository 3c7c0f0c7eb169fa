//! Who signed in, in a cookie that nobody else can make.
//!
//! Nothing is kept here: any replica with the same secret reads it. It ends by its time, or when its holder is known no more.

use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit as _, Mac as _};
use platform::config::Secret;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::who::{Role, Who, same};
use crate::paper::{bytes, hex};

/// How it is called. The prefix has a browser send it to this host alone, and over TLS or to its own machine:
/// <https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#name-the-__host-prefix>.
pub(super) const COOKIE: &str = "__Host-sluice";

/// Makes sessions, and reads them again.
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    secret: Secret,
    /// For how long each holds.
    pub(super) lasts: Duration,
}

/// How somebody signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    /// With a token of this console's.
    Token,
    /// At this provider.
    Provider(String),
}

#[derive(Serialize, Deserialize)]
struct Payload {
    name: String,
    role: String,
    by: By,
    until: u64,
}

impl Sessions {
    /// With this secret; without one, of a secret that ends with the process.
    pub(super) fn new(secret: Option<Secret>, lasts: Duration) -> Self {
        let secret = secret.unwrap_or_else(|| Secret::from(hex(&rand::random::<[u8; 32]>())));
        Self { secret, lasts }
    }

    /// The value of the cookie.
    pub(super) fn cookie(&self, who: &Who, by: By, now: SystemTime) -> String {
        let (name, role, until) = (who.name.clone(), who.role.slug().to_owned(), unix(now + self.lasts));
        let payload = Payload { name, role, by, until };
        let payload = hex(&serde_json::to_vec(&payload).unwrap_or_default());
        let seal = self.seal("session", &payload);
        format!("{payload}.{seal}")
    }

    /// Whose cookie it is, and how they came in; `None` for one that is over, or that we did not make.
    pub(super) fn read(&self, cookie: &str, now: SystemTime) -> Option<(Who, By)> {
        let (payload, seal) = cookie.split_once('.')?;
        if !same(self.seal("session", payload).as_bytes(), seal.as_bytes()) {
            return None;
        }
        let Payload { name, role, by, until } = serde_json::from_slice(&bytes(payload)?).ok()?;
        let who = Who { name, role: role.parse::<Role>().ok()? };
        (unix(now) < until).then_some((who, by))
    }

    /// What a form of ours says, so that no other page can send one.
    pub(super) fn form_key(&self, who: &Who) -> String {
        self.seal("form", &format!("{}:{}", who.role.slug(), who.name))
    }

    /// Is it the key of a form that we made for them?
    pub(super) fn is_form_of(&self, who: &Who, key: &str) -> bool {
        same(self.form_key(who).as_bytes(), key.as_bytes())
    }

    pub(super) fn seal(&self, purpose: &str, text: &str) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.secret.expose().as_bytes()) else { return String::new() };
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes())
    }
}

pub(super) fn unix(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LASTS: Duration = Duration::from_secs(3600);

    fn with(secret: Option<&str>) -> Sessions {
        Sessions::new(secret.map(|secret| Secret::from(secret.to_owned())), LASTS)
    }

    fn grace() -> Who {
        Who { name: "grace, \u{fc}".to_owned(), role: Role::Operator }
    }

    #[test]
    fn a_session_is_its_holders_until_it_is_over() {
        let sessions = with(Some("one"));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for by in [By::Token, By::Provider("https://login.example".to_owned())] {
            let cookie = sessions.cookie(&grace(), by.clone(), now);
            assert!(cookie.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'.'), "{cookie}");
            assert_eq!(sessions.read(&cookie, now + LASTS - Duration::from_secs(1)), Some((grace(), by)));
            assert_eq!(sessions.read(&cookie, now + LASTS), None);
        }
    }

    #[test]
    fn nobody_else_can_make_one() {
        let now = SystemTime::now();
        let (sessions, others) = (with(Some("one")), with(None));
        let cookie = sessions.cookie(&grace(), By::Token, now);
        assert_eq!(others.read(&cookie, now), None);
        for at in 0..cookie.len() {
            let mut bytes = cookie.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(sessions.read(std::str::from_utf8(&bytes).unwrap(), now), None, "changed at {at}");
        }
        for wrong in ["", ".", "x.y", &cookie[..cookie.len() - 1]] {
            assert_eq!(sessions.read(wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn the_key_of_a_form_is_of_one_person_and_no_session() {
        let sessions = with(None);
        let desk = Who { name: "desk".to_owned(), role: Role::Viewer };
        let key = sessions.form_key(&grace());
        assert!(sessions.is_form_of(&grace(), &key));
        assert!(!sessions.is_form_of(&desk, &key) && !sessions.is_form_of(&grace(), ""));
        assert_eq!(sessions.read(&key, SystemTime::now()), None);
    }
}
