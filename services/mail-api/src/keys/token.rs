//! The key as its holder has it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What every key begins with: so that programs that look for secrets in the wrong places find it.
const PREFIX: &str = "slc_";

/// The part of a key that may be known: by it the key is looked up and listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u64);

/// `slc_ID_SECRET`: 16 and 64 hexadecimal digits. Debug shows the id alone.
#[derive(Clone)]
pub struct Token {
    id: KeyId,
    secret: [u8; 32],
}

/// What is kept of a secret: its SHA-256.
///
/// No slow hash and no salt: those make it dear to try what people think of. A secret here is 256 bits of chance, which nobody tries, and
/// each request pays for the hash.
#[derive(Clone)]
pub struct Digest([u8; 32]);

/// It is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key of this service: slc_, 16 digits, _ and 64 digits, all hexadecimal")]
pub struct InvalidToken;

impl Token {
    /// A new one, of the system's chance.
    pub fn generate() -> Self {
        Self { id: KeyId(rand::random()), secret: rand::random() }
    }

    /// The part that may be known.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What is kept of the other part.
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.secret).into())
    }

    /// The whole of it, for its holder alone.
    pub fn expose(&self) -> String {
        let secret: String = self.secret.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{PREFIX}{}_{secret}", self.id)
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let (id, secret) = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(InvalidToken)?;
        let digits = secret.as_bytes().chunks_exact(2);
        if secret.len() != 64 {
            return Err(InvalidToken);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits) {
            *byte = hexadecimal(pair[0])? << 4 | hexadecimal(pair[1])?;
        }
        Ok(Self { id: id.parse()?, secret: bytes })
    }
}

/// Lower case alone: one key, one spelling.
fn hexadecimal(digit: u8) -> Result<u8, InvalidToken> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(InvalidToken),
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("id", &self.id).finish_non_exhaustive()
    }
}

impl FromStr for KeyId {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let good = text.len() == 16 && text.bytes().all(|digit| hexadecimal(digit).is_ok());
        let id = u64::from_str_radix(text, 16).ok().filter(|_| good);
        id.map(Self).ok_or(InvalidToken)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Digest {
    /// As it was kept.
    pub fn kept(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// For keeping.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is that of this token; takes as long whatever differs.
    pub fn is_of(&self, token: &Token) -> bool {
        self.0.ct_eq(&token.digest().0).into()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_no_other_has_its_digest() {
        let (token, other) = (Token::generate(), Token::generate());
        let read: Token = token.expose().parse().unwrap();
        assert_eq!((read.id(), read.expose()), (token.id(), token.expose()));
        assert!(token.digest().is_of(&read) && !token.digest().is_of(&other));
        assert!(Digest::kept(token.digest().as_bytes()).unwrap().is_of(&token));
        assert_ne!(token.id(), other.id());
    }

    #[test]
    fn what_is_no_key_is_none() {
        let good = Token::generate().expose();
        for bad in [
            "",
            "slc_",
            "slc__",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}0"),
            &good.to_uppercase(),
            &good.replacen("slc_", "slc_+", 1),
            &format!("{}\u{e9}", &good[..good.len() - 2]),
            &format!("{}g", &good[..good.len() - 1]),
        ] {
            assert_eq!(bad.parse::<Token>().map(|token| token.id()), Err(InvalidToken), "{bad:?}");
        }
    }

    #[test]
    fn nothing_shows_the_secret() {
        let token = Token::generate();
        let shown = format!("{token:?} {:?}", token.digest());
        let secret = token.expose().split_off(21);
        assert!(!shown.contains(&secret[..8]), "{shown}");
    }
}
