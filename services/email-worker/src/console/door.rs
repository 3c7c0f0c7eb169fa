//! Who is let in, to pages by their session, to the API by their token.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use web::middleware::client::{Client, Peer, address};
use web::{Kind, Problem};

use super::session::{By, COOKIE};
use super::site::Site;
use super::who::{Role, Who};
use crate::preview::guard::is_ours;

/// Who they say they are is not known.
pub(super) const UNAUTHORIZED: Kind = Kind::new(
    StatusCode::UNAUTHORIZED,
    "unauthorized",
    "No token, or none that is good",
    "Send `Authorization: Bearer TOKEN` with a token of CONSOLE_TOKENS.",
);

/// They may look, and not act.
pub(super) const FORBIDDEN: Kind = Kind::new(
    StatusCode::FORBIDDEN,
    "forbidden",
    "This is for operators",
    "Use the token of an operator: a viewer looks, and does nothing.",
);

/// Lets those in that have a session; a handler finds [`Who`] among the extensions. Others are asked to sign in.
pub(super) async fn pages(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    if request.method() == Method::POST && !is_own_form(request.headers()) {
        return site.sent_by_another_site(request.headers());
    }
    let Some(who) = site.session(request.headers()) else { return Redirect::to("/sign-in").into_response() };
    request.extensions_mut().insert(who);
    next.run(request).await
}

/// Lets those in whose token is good.
pub(super) async fn api(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    match site.bearer(request.headers()) {
        Some(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        // Whoever sends none does not guess.
        None if !request.headers().contains_key(header::AUTHORIZATION) || site.may_try(site.client(&request)) => {
            let mut response = Problem::new(UNAUTHORIZED).into_response();
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
            response
        }
        None => Problem::new(Kind::RATE_LIMITED).retry_after(super::site::MINUTE).into_response(),
    }
}

impl Site {
    /// Where nobody has to sign in, everybody on this machine is an operator.
    fn everybody(&self, headers: &HeaderMap) -> Option<Who> {
        let open = self.is_open() && is_ours(headers);
        open.then(|| Who { name: "this machine".to_owned(), role: Role::Operator })
    }

    /// Whose session it is.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<Who> {
        let everybody = || self.everybody(headers);
        let known = cookie(headers, COOKIE).and_then(|cookie| self.sessions.read(cookie, SystemTime::now()));
        known.filter(|(who, by)| self.still_knows(who, by)).map(|(who, _)| who).or_else(everybody)
    }

    /// Whoever came in by a way that is closed by now has to sign in again.
    fn still_knows(&self, who: &Who, by: &By) -> bool {
        match by {
            By::Token => self.tokens.knows(who),
            By::Provider(issuer) => self.provider.as_ref().is_some_and(|provider| provider.issuer() == issuer),
        }
    }

    fn bearer(&self, headers: &HeaderMap) -> Option<Who> {
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token =
            sent.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        token.and_then(|(_, token)| self.tokens.holder(token)).cloned().or_else(|| self.everybody(headers))
    }

    /// Who sent a request.
    pub(super) fn client(&self, request: &Request) -> Client {
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
        // Every connection has one.
        let peer = peer.unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        Client::of(address(peer, request.headers(), &self.trusted))
    }
}

/// What the cookie of this name says.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    pairs.flat_map(|line| line.split(';')).find_map(|pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then_some(value)
    })
}

/// Browsers say where a request comes from (<https://www.w3.org/TR/fetch-metadata/>), older ones by its origin. What says neither is no
/// browser, and still needs the key of a form.
pub(super) fn is_own_form(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(from) = text("sec-fetch-site") {
        return from == "same-origin";
    }
    let host = text("host").unwrap_or_default();
    text("origin").is_none_or(|origin| origin.split_once("://").is_some_and(|(_, of)| of == host))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn a_form_of_another_site_is_told_by_what_the_browser_says() {
        let host = ("host", "console.example");
        for (sent, own) in [
            (&[host, ("sec-fetch-site", "same-origin")][..], true),
            (&[host, ("sec-fetch-site", "same-site")], false),
            (&[host, ("sec-fetch-site", "cross-site")], false),
            (&[host, ("sec-fetch-site", "none")], false),
            (&[host, ("origin", "https://console.example")], true),
            (&[host, ("origin", "https://evil.example")], false),
            (&[host, ("origin", "null")], false),
            (&[host], true),
        ] {
            assert_eq!(is_own_form(&headers(sent)), own, "{sent:?}");
        }
    }

    #[test]
    fn our_cookie_is_found_among_others() {
        for (line, value) in [
            ("__Host-sluice=abc", Some("abc")),
            ("a=b; __Host-sluice=abc; c=d", Some("abc")),
            ("sluice=abc; x__Host-sluice=abc", None),
            ("", None),
        ] {
            assert_eq!(cookie(&headers(&[("cookie", line)]), COOKIE), value, "{line}");
        }
    }
}
