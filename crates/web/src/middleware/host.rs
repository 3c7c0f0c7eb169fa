//! The Host header, which HTTP/1.1 cannot do without (RFC 9112, section 3.2).

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::problem::{Kind, Problem};

/// Answers 400 where there is none, or none that names a host: whoever stands between could take the request for another's.
pub async fn layer(request: Request, next: Next) -> Response {
    match fault(request.version(), request.headers()) {
        Some(fault) => Problem::new(Kind::BAD_REQUEST).detail(fault).into_response(),
        None => next.run(request).await,
    }
}

fn fault(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let Some(host) = hosts.next() else {
        return (version >= Version::HTTP_11).then_some("the Host header is missing");
    };
    if hosts.next().is_some() {
        return Some("there is more than one Host header");
    }
    let is_host = |authority: Authority| !authority.host().is_empty() && !authority.as_str().contains('@');
    let valid = Authority::try_from(host.as_bytes()).is_ok_and(is_host);
    (!valid).then_some("the Host header names no host")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn http_1_1_needs_one_host_that_is_one() {
        for (version, hosts, is_right) in [
            (Version::HTTP_11, &["example.com"][..], true),
            (Version::HTTP_11, &["example.com:8080"], true),
            (Version::HTTP_11, &["[::1]:80"], true),
            (Version::HTTP_11, &["127.0.0.1"], true),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_11, &[""], false),
            (Version::HTTP_11, &["a.example", "b.example"], false),
            (Version::HTTP_11, &["a.example", "a.example"], false),
            (Version::HTTP_11, &["a.example/path"], false),
            (Version::HTTP_11, &["user@a.example"], false),
            (Version::HTTP_10, &["a b"], false),
        ] {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            assert_eq!(fault(version, &headers).is_none(), is_right, "{version:?} {hosts:?}");
        }
    }
}
