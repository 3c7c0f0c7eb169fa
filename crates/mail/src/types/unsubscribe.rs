//! Where somebody goes who wants no more of these mails (RFC 2369), with one click where it can be (RFC 8058).

use std::fmt::Write as _;

use super::fields::is_url;

/// Longest target, in bytes: it can't be folded, and no line on the wire may be longer than 998.
const MAX: usize = 900;

/// Whether a text can stand in `List-Unsubscribe`.
pub(crate) fn is_target(text: &str) -> bool {
    text.len() <= MAX && (is_url(text) || text.strip_prefix("mailto:").is_some_and(is_mailbox))
}

fn is_mailbox(rest: &str) -> bool {
    rest.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && rest.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b',' | b'{' | b'}'))
}

/// Appends the header lines for a target. One click is for https alone, as RFC 8058 wants it.
pub(crate) fn write(target: &str, out: &mut String) {
    // Writing to a String does not fail.
    let _ = write!(out, "List-Unsubscribe:\r\n <{target}>\r\n");
    if target.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
        out.push_str("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_url_or_a_mailbox_can_stand_in_the_header() {
        for good in
            ["https://example.com/u?t=a%20b", "mailto:leave@example.com?subject=unsubscribe", "http://example.com/"]
        {
            assert!(is_target(good), "{good}");
        }
        for bad in [
            "",
            "https://example.com/>\r\nBcc: x@example.com",
            "https://example.com/ https://evil.example/",
            "mailto:a@b>,<mailto:c@d",
            "mailto:a@b,c@d",
            "mailto:@",
            "javascript:alert(1)",
            "tel:123",
        ] {
            assert!(!is_target(bad), "{bad}");
        }
    }

    #[test]
    fn one_click_is_for_https_alone() {
        for (target, clicks) in [
            ("https://example.com/", true),
            ("HTTPS://example.com/", true),
            ("http://example.com/", false),
            ("mailto:a@b", false),
        ] {
            let mut out = String::new();
            write(target, &mut out);
            assert_eq!(out.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"), clicks, "{target}");
        }
    }
}
