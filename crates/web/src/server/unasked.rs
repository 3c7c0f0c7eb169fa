//! Answers that no handler gives: to a head that is no request, and to a connection that is one too many.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::middleware::request_id;
use crate::problem::{Kind, Problem};

/// What is wrong with a head that hyper answered with this status, as far as it had come.
pub(super) fn unreadable(status: StatusCode, head: &[u8]) -> Problem {
    match status {
        // As hyper has room for the longest request line that it would refuse for that, it complains of the headers.
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE if !head.contains(&b'\n') => Problem::new(Kind::URI_TOO_LONG),
        StatusCode::URI_TOO_LONG => Problem::new(Kind::URI_TOO_LONG),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Problem::new(Kind::HEAD_TOO_LARGE),
        _ => Problem::new(Kind::BAD_REQUEST).detail("it is not HTTP/1.1 as RFC 9112 has it"),
    }
}

/// The whole answer; the connection ends with it.
pub(super) fn written(problem: &Problem) -> Vec<u8> {
    let id = request_id::generate();
    let mut headers = HeaderMap::new();
    let body = problem.json(&id);
    problem.write_headers(&mut headers);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let mut answer = format!("HTTP/1.1 {}\r\n", problem.kind().status()).into_bytes();
    for (name, value) in &headers {
        answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let rest =
        format!("content-length: {}\r\nx-request-id: {id}\r\nx-content-type-options: nosniff\r\n\r\n", body.len());
    answer.extend(rest.into_bytes());
    answer.extend(body);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_is_no_request_is_answered_with_what_is_wrong_with_it() {
        for (status, head, kind) in [
            (431, &b"GET /aaaaaaaaaa"[..], Kind::URI_TOO_LONG),
            (431, b"GET / HTTP/1.1\r\nX: aaaaaaa", Kind::HEAD_TOO_LARGE),
            (414, b"GET /aaaaaaaaaa HTTP/1.1\r\n", Kind::URI_TOO_LONG),
            (400, b"\x16\x03\x01", Kind::BAD_REQUEST),
        ] {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            assert_eq!(unreadable(status, head).kind(), kind, "{status} {}", String::from_utf8_lossy(head));
        }
    }
}
