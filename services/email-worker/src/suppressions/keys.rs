//! What an address is known by where it must not be kept: its hash under a key.

use std::fmt;
use std::str::FromStr;

use contract::EmailAddress;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::paper::hex;

/// HMAC-SHA-256 of an address, in the form in which two spellings of it are equal.
pub type AddressHash = [u8; 32];

/// A key with fewer characters could be found by trying.
const SHORTEST: usize = 32;

/// No address has no `@`.
const OF_THE_KEY: &[u8] = b"sluice: which key";

/// A key to hash addresses with. Never shown.
#[derive(Clone)]
pub struct AddressKey {
    mac: Hmac<Sha256>,
    id: String,
}

/// Why a text is no key. Says nothing about the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has fewer than {SHORTEST} characters: make one with `openssl rand -hex 32`")]
pub struct TooShort;

impl FromStr for AddressKey {
    type Err = TooShort;

    fn from_str(text: &str) -> Result<Self, TooShort> {
        if text.chars().count() < SHORTEST {
            return Err(TooShort);
        }
        let mac = Hmac::<Sha256>::new_from_slice(text.as_bytes()).map_err(|_| TooShort)?;
        let id = hex(&finish(&mac, OF_THE_KEY)[..4]);
        Ok(Self { mac, id })
    }
}

impl fmt::Debug for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddressKey({})", self.id)
    }
}

/// The key in use, and the one before it.
#[derive(Debug, Clone)]
pub struct AddressKeys {
    now: AddressKey,
    old: Option<AddressKey>,
}

/// What one address is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressHashes {
    /// Under the key in use.
    pub now: AddressHash,
    /// Under the one before it.
    pub old: Option<AddressHash>,
}

impl AddressKeys {
    /// What is remembered is hashed with `now`, what was remembered may be hashed with `old`.
    pub fn new(now: AddressKey, old: Option<AddressKey>) -> Self {
        Self { now, old }
    }

    /// Which key is in use.
    pub fn id(&self) -> &String {
        &self.now.id
    }

    /// Whether this is one of them.
    pub fn knows(&self, id: &str) -> bool {
        self.now.id == id || self.old.as_ref().is_some_and(|old| old.id == id)
    }

    /// What this address is known by.
    pub fn hashes(&self, email: &EmailAddress) -> AddressHashes {
        let folded = email.folded();
        let hash = |key: &AddressKey| finish(&key.mac, folded.as_bytes());
        AddressHashes { now: hash(&self.now), old: self.old.as_ref().map(hash) }
    }
}

impl AddressHashes {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.now).chain(&self.old).map(<[u8; 32]>::as_slice)
    }
}

fn finish(mac: &Hmac<Sha256>, message: &[u8]) -> AddressHash {
    mac.clone().chain_update(message).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(letter: char) -> AddressKey {
        letter.to_string().repeat(32).parse().unwrap()
    }

    fn hashes(keys: &AddressKeys, email: &str) -> AddressHashes {
        keys.hashes(&email.parse().unwrap())
    }

    #[test]
    fn spellings_of_one_address_have_one_hash_and_others_have_others() {
        let keys = AddressKeys::new(key('a'), None);
        let ada = hashes(&keys, "ada@example.com").now;
        for (email, same) in [
            ("Ada@Example.COM", true),
            ("ada@b\u{fc}cher.example", false),
            ("adb@example.com", false),
            ("ada@example.org", false),
        ] {
            assert_eq!(hashes(&keys, email).now == ada, same, "{email}");
        }
        let (unicode, ascii) = ("ada@b\u{fc}cher.example", "ada@xn--bcher-kva.example");
        assert_eq!(hashes(&keys, unicode), hashes(&keys, ascii));
    }

    /// RFC 4231 has no case with a key of 32 characters and an address: this one is of Python's `hmac`.
    #[test]
    fn the_hash_is_hmac_sha_256() {
        let keys = AddressKeys::new(key('a'), None);
        assert_eq!(
            hex(&hashes(&keys, "ada@example.com").now),
            "0571680565a6fe19c1e6b0208de2b7f6e38582a199b4f1b3ea092fa0a11548b3"
        );
    }

    #[test]
    fn what_the_old_key_hashed_is_found_after_a_rotation() {
        let before = AddressKeys::new(key('a'), None);
        let after = AddressKeys::new(key('b'), Some(key('a')));
        let (was, is) = (hashes(&before, "ada@example.com"), hashes(&after, "ada@example.com"));
        assert_eq!(is.old, Some(was.now));
        assert_ne!(is.now, was.now);
        assert!(after.knows(before.id()) && after.knows(after.id()) && !before.knows(after.id()));
    }

    #[test]
    fn a_short_key_is_refused_and_none_is_shown() {
        assert_eq!("secret".parse::<AddressKey>().unwrap_err(), TooShort);
        let shown = format!("{:?}", "correct horse battery staple, twice".parse::<AddressKey>().unwrap());
        assert!(!shown.contains("horse"), "{shown}");
    }
}
