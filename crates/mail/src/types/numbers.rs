//! How languages write numbers.

/// What stands between thousands and before decimals. Digits are 0 to 9 in every language.
struct Marks {
    group: &'static str,
    decimal: &'static str,
}

fn marks(language: &str) -> Marks {
    let (primary, region) = language.split_once('-').unwrap_or((language, ""));
    let (group, decimal) = match primary {
        "de" if region.ends_with("CH") || region.ends_with("LI") => ("\u{2019}", "."),
        "en" | "zh" | "ja" | "ko" | "he" | "th" => (",", "."),
        "de" | "es" | "it" | "nl" | "pt" | "tr" | "id" | "da" | "el" => (".", ","),
        "fr" => ("\u{202f}", ","),
        "cs" | "fi" | "nb" | "pl" | "ru" | "sv" | "uk" => ("\u{a0}", ","),
        // Not known here: as programs write it.
        _ => ("", "."),
    };
    Marks { group, decimal }
}

/// A number in decimal digits, such as `-1234.5`, as the language writes it.
pub(crate) fn in_language(digits: &str, language: &str) -> String {
    let Marks { group, decimal } = marks(language);
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("\u{2212}", digits),
        None => ("", digits),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let mut out = sign.to_owned();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n).is_multiple_of(3) {
            out.push_str(group);
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push_str(decimal);
        out.push_str(fraction);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_the_language_does() {
        for (digits, language, written) in [
            ("1234567.50", "en", "1,234,567.50"),
            ("1234567.50", "de-AT", "1.234.567,50"),
            ("1234567.50", "de-CH", "1\u{2019}234\u{2019}567.50"),
            ("1234", "fr", "1\u{202f}234"),
            ("-999", "en", "\u{2212}999"),
            ("-1000", "zh-Hant", "\u{2212}1,000"),
            ("1234.5", "ar", "1234.5"),
            ("0", "en", "0"),
        ] {
            assert_eq!(in_language(digits, language), written, "{language}");
        }
    }
}
