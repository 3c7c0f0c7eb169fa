//! The body of a request: read within its limits, or refused without reading it.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::TryStreamExt as _;

use crate::problem::{Kind, Problem};

/// Looks at the headers alone: whether a body like this, of `limit` bytes at most, would be read at all.
///
/// # Errors
/// [`Kind::UNSUPPORTED_MEDIA_TYPE`], [`Kind::BODY_TOO_LARGE`]
pub fn look(headers: &HeaderMap, limit: usize) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"));
    if !text(header::CONTENT_TYPE).is_some_and(is_json) {
        return Err(Problem::new(Kind::UNSUPPORTED_MEDIA_TYPE));
    }
    if text(header::CONTENT_ENCODING).is_some_and(|coding| !coding.trim().eq_ignore_ascii_case("identity")) {
        return Err(Problem::new(Kind::UNSUPPORTED_MEDIA_TYPE).detail("bodies are not accepted compressed"));
    }
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(Problem::new(Kind::BODY_TOO_LARGE));
    }
    Ok(())
}

/// Reads it, if it has no more than `limit` bytes.
///
/// # Errors
/// [`Kind::BODY_TOO_LARGE`]; [`Kind::BAD_REQUEST`] if it breaks off.
pub async fn read(body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut read = Vec::new();
    let mut chunks = body.into_data_stream();
    let broken = |_| Problem::new(Kind::BAD_REQUEST).detail("the body broke off");
    while let Some(chunk) = chunks.try_next().await.map_err(broken)? {
        if read.len() + chunk.len() > limit {
            return Err(Problem::new(Kind::BODY_TOO_LARGE));
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}

/// `application/json`, also one with a suffix, in UTF-8 if anything is said about it.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    json && parts.all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        !name.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_utf_8_is_taken_and_nothing_else() {
        for text in ["application/json", "Application/JSON; charset=\"UTF-8\"", "application/vnd.x+json;charset=utf-8"]
        {
            assert!(is_json(text), "{text}");
        }
        for text in ["", "text/plain", "application/jsonp", "application/json; charset=latin1", "text/x+json"] {
            assert!(!is_json(text), "{text}");
        }
    }
}
