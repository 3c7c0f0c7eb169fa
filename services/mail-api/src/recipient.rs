//! Who gets a mail, as the limit counts them.

use contract::EmailAddress;
use sha2::{Digest as _, Sha256};

/// Where dots before the `@` mean nothing, and what all of these are called.
const DOTLESS: [&str; 2] = ["gmail.com", "googlemail.com"];

/// A hash of one mailbox, whichever of its addresses was given: in any case and width, and with anything behind a `+`.
///
/// Not keyed: whoever can read the table can read the outbox too, which has the addresses. It keeps them out of backups and listings.
pub fn digest(address: &EmailAddress) -> [u8; 32] {
    Sha256::new().chain_update("sluice recipient").chain_update([0]).chain_update(mailbox(address)).finalize().into()
}

fn mailbox(address: &EmailAddress) -> String {
    let folded = address.folded();
    let (local, domain) = folded.rsplit_once('@').unwrap_or((&folded, ""));
    let base = match local.split_once('+') {
        // What begins with it has nothing else.
        Some(("", _)) | None => local,
        Some((base, _)) => base,
    };
    match DOTLESS {
        names if names.contains(&domain) => format!("{}@{}", base.replace('.', ""), DOTLESS[0]),
        _ => format!("{base}@{domain}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn same(one: &str, other: &str) -> bool {
        digest(&one.parse().unwrap()) == digest(&other.parse().unwrap())
    }

    #[test]
    fn one_mailbox_is_one_recipient_however_it_is_written() {
        for (one, other) in [
            ("ada@example.com", "ADA@Example.COM"),
            ("ada@example.com", "ada+news@example.com"),
            ("ada@example.com", "Ada+a+b@example.com"),
            ("ada@example.com", "ada\u{ff0b}news@example.com"),
            ("ada@b\u{fc}cher.example", "ada+1@xn--bcher-kva.example"),
            ("ada.lovelace@gmail.com", "a.d.alovelace+x@googlemail.com"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("ada@example.com", "bob@example.com"),
            ("ada@example.com", "ada@example.org"),
            ("ada.l@example.com", "adal@example.com"),
            ("+a@example.com", "+b@example.com"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }
}
