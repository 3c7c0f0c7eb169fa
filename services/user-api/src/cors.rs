//! Pages of other origins that may register people from a browser: CORS, as the Fetch standard has it.

use std::str::FromStr;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long browsers need not ask again; none keeps it for longer than two hours.
const KEPT: Duration = Duration::from_secs(2 * 60 * 60);

/// What pages may send beside what they always may.
const SENT: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// What pages may read beside what they always may.
const READ: [HeaderName; 5] = [
    header::RETRY_AFTER,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("idempotency-replayed"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
];

/// Whose pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Everybody's.
    Any,
    /// Those of one origin, written as browsers write it.
    One(HeaderValue),
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        one(text).map(Self::One).ok_or_else(|| {
            "not an origin as browsers write it, such as https://app.example or http://localhost:3000: no path, no slash at the \
             end, small letters, no default port; * is any"
                .to_owned()
        })
    }
}

fn one(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let default = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let plain = !authority.host().is_empty() && !text.contains(['@', '*']) && authority.port_u16() != Some(default);
    let as_written = format!("{scheme}://{authority}").to_lowercase() == text;
    if plain && as_written { HeaderValue::from_str(text).ok() } else { None }
}

/// `None`: no page but those of the same origin, which is what browsers do when nothing is said.
///
/// Without credentials: nobody here has a session that a page could use.
pub fn layer(origins: &[Origin]) -> Option<CorsLayer> {
    let each = origins.iter().filter_map(|origin| match origin {
        Origin::Any => None,
        Origin::One(origin) => Some(origin.clone()),
    });
    let allowed = if origins.contains(&Origin::Any) { AllowOrigin::any() } else { AllowOrigin::list(each) };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(SENT)
        .expose_headers(READ)
        .max_age(KEPT);
    (!origins.is_empty()).then_some(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_taken_as_browsers_write_it_and_in_no_other_way() {
        for text in [
            "*",
            " https://app.example",
            "http://localhost:3000",
            "https://[::1]:8443",
            "https://xn--bcher-kva.example",
        ] {
            assert!(text.parse::<Origin>().is_ok(), "{text:?} is refused");
        }
        for text in [
            "",
            "null",
            "app.example",
            "https://app.example/",
            "https://app.example/path",
            "https://App.example",
            "https://app.example:443",
            "http://app.example:80",
            "https://user@app.example",
            "https://*.app.example",
            "ftp://app.example",
            "https://",
            "https://a.example https://b.example",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text:?} is taken");
        }
    }
}
