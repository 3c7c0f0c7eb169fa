//! One e-mail address.

use std::fmt;
use std::str::FromStr;

/// One address that a mail can be sent to: `local@domain`, at most 254 bytes (RFC 5321, section 4.5.3.1, less the angle
/// brackets), local part at most 64. No blanks, no control characters, no quoted local part, no address literal.
///
/// Letters beyond ASCII are taken in both parts (RFC 6531). Debug shows nothing of it: addresses do not belong in logs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    text: String,
    at: usize,
    ascii_domain: String,
}

/// Why a text is no address. Says nothing about the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmailAddress {
    /// Over 254 bytes, or a local part over 64.
    #[error("must be at most 254 bytes long, of which at most 64 before the @")]
    TooLong,
    /// No `@`, or nothing before or after it.
    #[error("must have the form name@domain")]
    Form,
    /// Blanks, control characters, quotes, or other characters that need quoting.
    #[error("has characters before the @ that an address can't have here")]
    LocalPart,
    /// The domain is no host name, in ASCII or after conversion (UTS 46).
    #[error("has no valid domain after the @")]
    Domain,
}

impl EmailAddress {
    const MAX: usize = 254;
    const MAX_LOCAL: usize = 64;

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Before the `@`, as it was given.
    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// After the `@`, in A-labels and lower case: what is asked of DNS.
    pub fn ascii_domain(&self) -> &str {
        &self.ascii_domain
    }

    /// The local part is not ASCII: only a server with SMTPUTF8 can take it.
    pub fn needs_smtputf8(&self) -> bool {
        !self.local_part().is_ascii()
    }

    /// The form in which two addresses of one person are equal: lower case, domain in A-labels. Strictly the case of a
    /// local part may matter; in practice two accounts that differ by it are one person's mistake.
    pub fn folded(&self) -> String {
        format!("{}@{}", self.local_part().to_lowercase(), self.ascii_domain)
    }
}

impl FromStr for EmailAddress {
    type Err = InvalidEmailAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > Self::MAX {
            return Err(InvalidEmailAddress::TooLong);
        }
        let at = text.rfind('@').ok_or(InvalidEmailAddress::Form)?;
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if local.is_empty() || domain.is_empty() {
            return Err(InvalidEmailAddress::Form);
        }
        if local.len() > Self::MAX_LOCAL {
            return Err(InvalidEmailAddress::TooLong);
        }
        if !is_dot_atom(local) {
            return Err(InvalidEmailAddress::LocalPart);
        }
        let ascii_domain = host_name(domain).ok_or(InvalidEmailAddress::Domain)?;
        // The form that is sent must fit as well.
        if local.len() + 1 + ascii_domain.len() > Self::MAX {
            return Err(InvalidEmailAddress::TooLong);
        }
        Ok(Self { text: text.to_owned(), at, ascii_domain })
    }
}

/// RFC 5321 Dot-string with RFC 6531's characters beyond ASCII, less those that no keyboard means: controls, blanks, and
/// invisible marks that turn text around. Nor what looks like an encoded word (RFC 2047): there are servers and readers that
/// decode it, though they must not here, and then the mail is somebody else's.
fn is_dot_atom(local: &str) -> bool {
    let atom = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        _ if c.is_ascii() => "!#$%&'*+-/=?^_`{|}~".contains(c),
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => false,
        _ => !c.is_control() && !c.is_whitespace(),
    };
    let encoded_word = local.split_once("=?").is_some_and(|(_, rest)| rest.contains("?="));
    !encoded_word && local.split('.').all(|part| !part.is_empty() && part.chars().all(atom))
}

/// The domain in A-labels, if it is a host name (RFC 1123): letters, digits and hyphens, labels of 1 to 63.
fn host_name(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii_strict(domain).ok()?;
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let valid = ascii.len() <= 253 && ascii.split('.').all(label);
    // A number at the end is an IPv4 address, which would need brackets.
    let number = ascii.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    (valid && !number).then_some(ascii)
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_plain_address_is_taken() {
        for text in [
            "ada@example.com",
            "Ada.Lovelace+news@mail.example.co.uk",
            "o'neil!#$%&*+-/=?^_`{|}~@example.com",
            "ada@localhost",
            "ada@b\u{fc}cher.example",
            "\u{9b4f}@example.com",
        ] {
            let address: EmailAddress = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(address.as_str(), text);
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused_with_the_reason() {
        use InvalidEmailAddress::{Domain, Form, LocalPart, TooLong};
        let long_local = format!("{}@example.com", "a".repeat(65));
        let huge_local = format!("{}@example.com", "a".repeat(10_000));
        let long_domain = format!("a@{}.com", "b".repeat(64));
        for (text, why) in [
            ("", Form),
            ("ada", Form),
            ("@example.com", Form),
            ("ada@", Form),
            ("ada@example.com\r\nBcc: eve@example.com", LocalPart),
            ("ada\r\nBcc: eve@example.com", LocalPart),
            ("ada lovelace@example.com", LocalPart),
            ("\"ada lovelace\"@example.com", LocalPart),
            ("ada@one.example,bob@two.example", LocalPart),
            ("Ada <ada@example.com>", LocalPart),
            ("<ada@example.com>", LocalPart),
            ("ada..l@example.com", LocalPart),
            (".ada@example.com", LocalPart),
            ("ada.@example.com", LocalPart),
            ("ada\0@example.com", LocalPart),
            ("=?utf-8?q?eve=40evil.example=3e?=@example.com", LocalPart),
            ("ad\u{202e}a@example.com", LocalPart),
            ("ada@[127.0.0.1]", Domain),
            ("ada@127.0.0.1", Domain),
            ("ada@-example.com", Domain),
            ("ada@example..com", Domain),
            ("ada@exa_mple.com", Domain),
            ("ada@example.com ", Domain),
            ("ada@example.com\r\n", Domain),
            (long_local.as_str(), TooLong),
            (huge_local.as_str(), TooLong),
            (long_domain.as_str(), Domain),
        ] {
            assert_eq!(text.parse::<EmailAddress>(), Err(why), "{:?}", text.get(..40).unwrap_or(text));
        }
    }

    #[test]
    fn one_persons_spellings_fold_to_one() {
        let folded = |text: &str| text.parse::<EmailAddress>().expect(text).folded();
        assert_eq!(folded("Ada@B\u{dc}CHER.example"), folded("ada@xn--bcher-kva.EXAMPLE"));
        assert_ne!(folded("ada@example.com"), folded("ada+1@example.com"));
    }

    #[test]
    fn an_address_never_shows_in_debug_output() {
        let address: EmailAddress = "ada@example.com".parse().expect("valid");
        assert!(!format!("{address:?}").contains("ada"));
    }
}
