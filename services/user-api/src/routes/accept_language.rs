//! The language that a client would like best: `Accept-Language` (RFC 9110, section 12.5.4).

use axum::http::{HeaderMap, header};

use crate::domain::LocaleTag;

/// More than any browser sends.
const LOOKED_AT: usize = 32;

/// The language with the greatest weight, the first of several. What can't be read is skipped: the header is a wish.
pub(super) fn preferred(headers: &HeaderMap) -> Option<LocaleTag> {
    let lines = headers.get_all(header::ACCEPT_LANGUAGE).iter().filter_map(|line| line.to_str().ok());
    let mut best: Option<(u16, LocaleTag)> = None;
    for range in lines.flat_map(|line| line.split(',')).take(LOOKED_AT) {
        let Some((weight, tag)) = read(range) else { continue };
        if best.as_ref().is_none_or(|(most, _)| weight > *most) {
            best = Some((weight, tag));
        }
    }
    best.map(|(_, tag)| tag)
}

/// A range with its weight in thousandths; `*`, which names none, and what is not wanted at all are none.
fn read(range: &str) -> Option<(u16, LocaleTag)> {
    let (tag, parameters) = range.split_once(';').map_or((range, None), |(tag, rest)| (tag, Some(rest)));
    let weight = parameters.map_or(Some(1_000), weight)?;
    Some((weight, tag.trim().parse().ok()?)).filter(|(weight, _)| *weight > 0)
}

/// `q=0.8`: at most one, with at most three digits after the point.
fn weight(parameter: &str) -> Option<u16> {
    let value = parameter.trim().strip_prefix(['q', 'Q'])?.strip_prefix('=')?;
    let (whole, digits) = value.split_once('.').unwrap_or((value, ""));
    let plain = digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit());
    let thousandths = format!("{digits:0<3}").parse::<u16>().ok().filter(|_| plain)?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_language_with_the_greatest_weight_is_taken_the_first_of_several() {
        for (lines, expected) in [
            (&[][..], None),
            (&[""], None),
            (&["zh-CN"], Some("zh-CN")),
            (&["de-CH, en;q=0.9"], Some("de-CH")),
            (&["en;q=0.5, zh;q=0.8,*;q=0.9"], Some("zh")),
            (&["en ; q=0.8 , zh;Q=0.80"], Some("en")),
            (&["*"], None),
            (&["en;q=0"], None),
            (&["en;q=0.0001, zh;q=0.1"], Some("zh")),
            (&["en;q=1.000,zh"], Some("en")),
            (&["en;q=2, zh;q=x, de;level=1, fr;q=0.1"], Some("fr")),
            (&["not a language, zh"], Some("zh")),
            (&["en;q=0.3", "zh;q=0.7"], Some("zh")),
            (&["\"><script>"], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::ACCEPT_LANGUAGE, HeaderValue::from_static(line));
            }
            let read = preferred(&headers);
            assert_eq!(read.as_ref().map(LocaleTag::as_str), expected, "{lines:?}");
        }
    }
}
