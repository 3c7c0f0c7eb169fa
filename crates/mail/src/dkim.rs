//! Signs mails (DKIM, RFC 6376), so that a receiver can tell that they are the domain's, and unchanged.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use contract::EmailAddress;
use mail_auth::common::crypto::{RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter as _;
use mail_auth::dkim::{DkimSigner, Done};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

/// What is signed: all that a reader or a program goes by (RFC 6376, 5.4.1; RFC 8058 for the last ones). One that a mail
/// lacks is signed as missing, so that nobody can add it; `From` and `Subject` are there once more for the same reason.
const HEADERS: [&str; 14] = [
    "From",
    "From",
    "To",
    "Subject",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Auto-Submitted",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
];

/// A private key, RSA: the one kind that all receivers know. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DkimKey(String);

/// Why a text is no key. Says nothing about the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a private RSA key of 2048 to 8192 bits in PEM, such as `openssl genrsa 2048` makes")]
pub struct InvalidDkimKey;

impl DkimKey {
    fn read(&self) -> Result<RsaKey<Sha256>, InvalidDkimKey> {
        let der = PrivateKeyDer::from_pem_slice(self.0.as_bytes()).map_err(|_| InvalidDkimKey)?;
        RsaKey::from_key_der(der).map_err(|_| InvalidDkimKey)
    }
}

impl FromStr for DkimKey {
    type Err = InvalidDkimKey;

    fn from_str(text: &str) -> Result<Self, InvalidDkimKey> {
        let key = Self(text.to_owned());
        key.read().map(|_| key)
    }
}

impl fmt::Debug for DkimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DkimKey(..)")
    }
}

/// A name below which the public key is published: `SELECTOR._domainkey.DOMAIN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimName(String);

/// Why a text is no selector, or no domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a name as it stands in DNS, such as s2026 or example.com")]
pub struct InvalidDkimName;

impl FromStr for DkimName {
    type Err = InvalidDkimName;

    fn from_str(text: &str) -> Result<Self, InvalidDkimName> {
        // Host names are read in one place.
        let name: EmailAddress = format!("x@{text}").parse().map_err(|_| InvalidDkimName)?;
        let fits = !text.contains('@');
        fits.then(|| Self(name.ascii_domain().to_owned())).ok_or(InvalidDkimName)
    }
}

/// Signs for one domain, with one key. Cheap to clone.
#[derive(Clone)]
pub struct Dkim(Arc<DkimSigner<RsaKey<Sha256>, Done>>);

/// The library could not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("signing the mail (DKIM): {0}")]
pub struct Unsigned(String);

impl Dkim {
    /// Signs for `domain` with the key whose other half is published at the selector.
    ///
    /// # Errors
    /// None: the key was read before.
    pub fn new(key: &DkimKey, domain: &DkimName, selector: &DkimName) -> Result<Self, InvalidDkimKey> {
        let signer = DkimSigner::from_key(key.read()?).domain(&domain.0).selector(&selector.0).headers(HEADERS);
        Ok(Self(Arc::new(signer)))
    }

    /// The header of this mail, to be put before it.
    pub(crate) fn sign(&self, mail: &[u8]) -> Result<String, Unsigned> {
        let signature = self.0.sign(mail).map_err(|error| Unsigned(error.to_string()))?;
        Ok(signature.to_header())
    }
}

impl fmt::Debug for Dkim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dkim(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_dns() {
        for (text, name) in [
            ("s2026", Some("s2026")),
            ("a.b", Some("a.b")),
            ("Example.COM", Some("example.com")),
            ("b\u{fc}cher.example", Some("xn--bcher-kva.example")),
            ("", None),
            ("a b", None),
            ("a@example.com", None),
            ("a;d=evil", None),
        ] {
            assert_eq!(text.parse::<DkimName>().ok(), name.map(|name| DkimName(name.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_told() {
        for text in ["", "secret", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"] {
            assert_eq!(text.parse::<DkimKey>(), Err(InvalidDkimKey));
        }
        assert!(!InvalidDkimKey.to_string().contains("secret"));
    }

    /// With `--release --ignored --nocapture`, on a machine with nothing else to do.
    #[test]
    #[ignore = "prints figures"]
    #[allow(clippy::print_stderr, reason = "the figures are for people")]
    fn how_long_a_signature_takes() {
        for bits in ["2048", "3072", "4096"] {
            let output = std::process::Command::new("openssl").args(["genrsa", bits]).output().unwrap();
            let key: DkimKey = String::from_utf8(output.stdout).unwrap().parse().unwrap();
            let dkim = Dkim::new(&key, &"example.com".parse().unwrap(), &"s2026".parse().unwrap()).unwrap();
            for length in [4, 10, 100] {
                let body = "All that there is to say in a line of a mail.\r\n".repeat(length * 1024 / 47);
                let mail = format!("From: a@example.com\r\nTo: b@example.com\r\nSubject: Hello\r\n\r\n{body}");
                let mut times: Vec<_> = (0..301)
                    .map(|_| {
                        let began = std::time::Instant::now();
                        dkim.sign(mail.as_bytes()).unwrap();
                        began.elapsed()
                    })
                    .collect();
                times.sort_unstable();
                eprintln!("RSA {bits}, {length} KiB: {:?}, at most {:?}", times[150], times[300]);
            }
        }
    }
}
