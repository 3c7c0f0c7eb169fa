//! One e-mail address.

mod spelling;

use std::fmt;
use std::str::FromStr;

/// One address that a mail can be sent to: `local@domain`, at most 254 bytes (RFC 5321, section 4.5.3.1, less the angle
/// brackets), local part at most 64. No blanks, no control characters, no quoted local part, no address literal.
///
/// Letters beyond ASCII are taken in both parts (RFC 6531), composed (NFC), as RFC 6532 wants them sent, however they were
/// given. Debug shows nothing of it: addresses do not belong in logs.
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
    /// A blank, a control character, a quote, or another character that needs quoting.
    #[error("has a character before the @ that an address can't have there: {0}")]
    Character(Refused),
    /// A dot at the start, at the end, or after another.
    #[error("has a dot before the @ that stands at the start, at the end, or after another dot")]
    Dots,
    /// What looks like an encoded word (RFC 2047).
    #[error("has =?..?= before the @, which some programs take for another text")]
    EncodedWord,
    /// The domain is no host name, in ASCII or after conversion (UTS 46).
    #[error("has no valid domain after the @")]
    Domain,
}

/// A character that was refused. Shown as it is where it can be seen, else by its number: `U+202E`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(pub char);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(c) = *self;
        // Escaped but for what escapes mean something: the quotes and the backslash.
        let visible = c.is_ascii_graphic() || (!c.is_whitespace() && c.escape_debug().len() == 1);
        if visible { write!(f, "{c}") } else { write!(f, "U+{:04X}", u32::from(c)) }
    }
}

impl EmailAddress {
    const MAX: usize = 254;
    const MAX_LOCAL: usize = 64;

    /// As it was given, but composed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Before the `@`, as it was given, but composed: what a mail server is told.
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

    /// The form in which two addresses of one person are equal: before the `@` without regard to width, case and composition
    /// (RFC 8265, `UsernameCaseMapped`), the domain in A-labels. Strictly the case and the width of a local part may matter;
    /// in practice two accounts that differ by it are one person's mistake.
    pub fn folded(&self) -> String {
        format!("{}@{}", spelling::folded(self.local_part()), self.ascii_domain)
    }
}

impl FromStr for EmailAddress {
    type Err = InvalidEmailAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Composed, it may be shorter in bytes.
        if text.chars().nth(Self::MAX).is_some() {
            return Err(InvalidEmailAddress::TooLong);
        }
        let text = spelling::composed(text);
        let at = text.rfind('@').ok_or(InvalidEmailAddress::Form)?;
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if local.is_empty() || domain.is_empty() {
            return Err(InvalidEmailAddress::Form);
        }
        if local.len() > Self::MAX_LOCAL {
            return Err(InvalidEmailAddress::TooLong);
        }
        check_local_part(local)?;
        let ascii_domain = host_name(domain).ok_or(InvalidEmailAddress::Domain)?;
        // The form that is sent is what must fit.
        if local.len() + 1 + ascii_domain.len() > Self::MAX {
            return Err(InvalidEmailAddress::TooLong);
        }
        Ok(Self { at, ascii_domain, text })
    }
}

/// RFC 5321 Dot-string with RFC 6531's characters beyond ASCII, less those that no keyboard means: controls, blanks, and
/// invisible marks that turn text around. Nor what looks like an encoded word (RFC 2047): there are servers and readers that
/// decode it, though they must not here, and then the mail is somebody else's. Nor either of these in another width, which
/// there are those who narrow.
fn check_local_part(local: &str) -> Result<(), InvalidEmailAddress> {
    if let Some(c) = local.chars().find(|c| !is_atom(*c) || !(is_atom(spelling::usual_width(*c)))) {
        return Err(InvalidEmailAddress::Character(Refused(c)));
    }
    let local: String = local.chars().map(spelling::usual_width).collect();
    if local.split('.').any(str::is_empty) {
        return Err(InvalidEmailAddress::Dots);
    }
    match local.split_once("=?") {
        Some((_, rest)) if rest.contains("?=") => Err(InvalidEmailAddress::EncodedWord),
        _ => Ok(()),
    }
}

/// A character of a Dot-string, the dot among them.
fn is_atom(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        _ if c.is_ascii() => ".!#$%&'*+-/=?^_`{|}~".contains(c),
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => false,
        _ => !c.is_control() && !c.is_whitespace(),
    }
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
        use InvalidEmailAddress::{Domain, Dots, EncodedWord, Form, TooLong};
        let character = |c| InvalidEmailAddress::Character(Refused(c));
        let long_local = format!("{}@example.com", "a".repeat(65));
        let huge_local = format!("{}@example.com", "a".repeat(10_000));
        let long_domain = format!("a@{}.com", "b".repeat(64));
        for (text, why) in [
            ("", Form),
            ("ada", Form),
            ("@example.com", Form),
            ("ada@", Form),
            ("ada\u{ff20}example.com", Form),
            ("ada@example.com\r\nBcc: eve@example.com", character('@')),
            ("ada\r\nBcc: eve@example.com", character('\r')),
            ("ada lovelace@example.com", character(' ')),
            ("\"ada lovelace\"@example.com", character('"')),
            ("ada@one.example,bob@two.example", character('@')),
            ("Ada <ada@example.com>", character(' ')),
            ("<ada@example.com>", character('<')),
            ("ada..l@example.com", Dots),
            (".ada@example.com", Dots),
            ("ada.@example.com", Dots),
            ("ada\u{ff0e}@example.com", Dots),
            ("ada\0@example.com", character('\0')),
            ("=?utf-8?q?eve=40evil.example=3e?=@example.com", EncodedWord),
            ("\u{ff1d}?utf-8?q?eve=40evil.example=3e?\u{ff1d}@example.com", EncodedWord),
            ("ad\u{202e}a@example.com", character('\u{202e}')),
            ("eve\u{ff20}evil.example@example.com", character('\u{ff20}')),
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
    fn a_refused_character_is_named() {
        for (c, name) in [
            ('"', "\""),
            ('(', "("),
            ('\\', "\\"),
            ('\u{ff08}', "\u{ff08}"),
            (' ', "U+0020"),
            ('\r', "U+000D"),
            ('\0', "U+0000"),
            ('\u{a0}', "U+00A0"),
            ('\u{202e}', "U+202E"),
            ('\u{feff}', "U+FEFF"),
        ] {
            let refused = format!("a{c}b@example.com").parse::<EmailAddress>().expect_err(name).to_string();
            let said = format!("has a character before the @ that an address can't have there: {name}");
            assert_eq!(refused, said, "{c:?}");
        }
    }

    #[test]
    fn what_is_sent_is_composed_and_its_length_is_counted_so() {
        let composed = format!("{}@example.com", "\u{e4}".repeat(32));
        let decomposed = format!("{}@example.com", "a\u{308}".repeat(32));
        assert_eq!(decomposed.parse::<EmailAddress>().expect("64 bytes when composed").as_str(), composed);
        let longer = format!("{}@example.com", "a\u{308}".repeat(33));
        assert_eq!(longer.parse::<EmailAddress>(), Err(InvalidEmailAddress::TooLong));
        // There are letters that composing makes longer.
        let grows = format!("{}@example.com", "\u{958}".repeat(21));
        assert_eq!(grows.parse::<EmailAddress>(), Err(InvalidEmailAddress::TooLong));
    }

    #[test]
    fn a_mail_server_is_told_the_local_part_and_the_domain_in_a_labels() {
        for (text, local, domain, needs_smtputf8) in [
            ("Ada@Example.COM", "Ada", "example.com", false),
            ("ada@b\u{fc}cher.example", "ada", "xn--bcher-kva.example", false),
            ("a\u{308}da@example.com", "\u{e4}da", "example.com", true),
        ] {
            let address: EmailAddress = text.parse().expect(text);
            let told = (address.local_part(), address.ascii_domain(), address.needs_smtputf8());
            assert_eq!(told, (local, domain, needs_smtputf8), "{text}");
        }
    }

    #[test]
    fn the_length_of_what_is_sent_counts() {
        let (local, label) = ("a".repeat(64), "b".repeat(63));
        for (rest, expected) in
            [(47, None), (48, Some(InvalidEmailAddress::TooLong)), (49, Some(InvalidEmailAddress::TooLong))]
        {
            // In A-labels 254 bytes and more, but fewer characters.
            let text = format!("{local}@{label}.{label}.b\u{fc}cher.{}", "c".repeat(rest));
            assert_eq!(text.parse::<EmailAddress>().err(), expected, "{rest}");
        }
    }

    #[test]
    fn one_persons_spellings_fold_to_one() {
        let folded = |text: &str| text.parse::<EmailAddress>().expect(text).folded();
        for (one, other) in [
            ("Ada@B\u{dc}CHER.example", "ada@xn--bcher-kva.EXAMPLE"),
            ("ada@b\u{fc}cher.example", "ada@bu\u{308}cher.example"),
            ("ada@example.com", "ada@\u{ff45}\u{ff58}\u{ff41}\u{ff4d}ple\u{3002}com"),
            ("j\u{fc}rgen@example.com", "ju\u{308}rgen@example.com"),
            ("j\u{fc}rgen@example.com", "JU\u{308}RGEN@example.com"),
            ("ada@example.com", "\u{ff21}\u{ff44}\u{ff41}@example.com"),
            ("\u{e1}da@example.com", "\u{ff41}\u{301}da@example.com"),
            ("\u{30d0}@example.com", "\u{ff8a}\u{ff9e}@example.com"),
            ("\u{ac00}@example.com", "\u{1100}\u{1161}@example.com"),
            ("k@example.com", "\u{212a}@example.com"),
        ] {
            assert_eq!(folded(one), folded(other), "{one:?} and {other:?}");
        }
        for (one, other) in [
            ("ada@example.com", "ada+1@example.com"),
            ("ada@example.com", "\u{e1}da@example.com"),
            // The same in NFKC, which RFC 6532 advises against: more than their width is lost.
            ("x2@example.com", "x\u{b2}@example.com"),
            ("fi@example.com", "\u{fb01}@example.com"),
            ("\u{30d0}@example.com", "\u{30cf}@example.com"),
        ] {
            assert_ne!(folded(one), folded(other), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn an_address_never_shows_in_debug_output() {
        let address: EmailAddress = "ada@example.com".parse().expect("valid");
        assert_eq!(format!("{address:?}"), "EmailAddress(<redacted>)");
    }
}
