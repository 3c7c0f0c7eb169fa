//! Keeps the site to whoever it is for, and mails within their frames.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};

/// For our own pages: nothing but what comes from here, and no script within the page.
const PAGE: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
/// For the HTML of a mail: no script, no form, nothing from anywhere.
pub(super) const MAIL: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; \
     frame-ancestors 'self'; sandbox",
);
/// The same with its pictures.
pub(super) const MAIL_WITH_PICTURES: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: http: https:; form-action 'none'; base-uri 'none'; \
     frame-ancestors 'self'; sandbox",
);

const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    // Addresses of pages have the data in them.
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_DNS_PREFETCH_CONTROL, HeaderValue::from_static("off")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Puts both around all that is served at this address.
pub(super) fn around(router: Router, addr: SocketAddr) -> Router {
    let router = router.layer(from_fn(headers));
    // Whoever names another address wants to be reached by names that are not known here.
    if addr.ip().is_loopback() { router.layer(from_fn(host)) } else { router }
}

async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.extend(ALWAYS);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(PAGE);
    response
}

/// A foreign page can have its own name lead to this machine, and would then read what is served here. The name betrays it.
async fn host(request: Request, next: Next) -> Response {
    if is_ours(request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "This preview is for http://localhost and http://127.0.0.1 alone.\n").into_response()
}

/// Was it asked for by a name of this machine?
pub(crate) fn is_ours(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    Authority::try_from(host.as_bytes()).is_ok_and(|authority| {
        let name = authority.host();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_ours() {
        let ours: [&[&str]; 5] =
            [&["localhost"], &["LOCALHOST:8025"], &["127.0.0.1:8025"], &["127.0.0.1"], &["[::1]:8025"]];
        let foreign: [&[&str]; 9] = [
            &[],
            &[""],
            &["example.com:8025"],
            &["localhost.example.com"],
            &["127.0.0.1.example.com"],
            &["127.0.0.1@example.com"],
            &["192.168.0.1:8025"],
            &["0.0.0.0:8025"],
            &["localhost", "localhost"],
        ];
        for (hosts, expected) in ours.map(|hosts| (hosts, true)).into_iter().chain(foreign.map(|hosts| (hosts, false)))
        {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            assert_eq!(is_ours(&headers), expected, "{hosts:?}");
        }
    }
}
