//! Who is let in, to pages by their session, to the API by their token.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use web::middleware::client::{Client, Peer, address};
use web::{Kind, Problem};

use super::proxy::Told;
use super::session::{By, COOKIE};
use super::site::Site;
use super::who::{Role, Who};
use crate::preview::guard::is_ours;

const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

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

/// A browser sends it for another site.
pub(super) const FOREIGN: Kind = Kind::new(
    StatusCode::FORBIDDEN,
    "sent-by-another-site",
    "The request was sent by another site",
    "Send it from a program, or from a page of the console.",
);

/// Who asks, as far as it can be told by a request.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    /// What the request says.
    pub(super) headers: HeaderMap,
    /// The other end of its connection.
    peer: IpAddr,
}

impl Asker {
    /// Who sent this.
    pub(super) fn of(request: &Request) -> Self {
        // Every connection has one.
        let peer = request.extensions().get::<Peer>().map_or(NOBODY, |peer| peer.0.ip());
        Self { headers: request.headers().clone(), peer }
    }
}

/// Lets those in that are known; a handler finds [`Who`] and [`Asker`] among the extensions. Others are asked to sign in.
pub(super) async fn pages(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    if request.method() == Method::POST && !is_own_form(request.headers()) {
        return site.sent_by_another_site(request.headers());
    }
    let asker = Asker::of(&request);
    let Some(who) = site.session(&asker) else { return Redirect::to("/sign-in").into_response() };
    request.extensions_mut().insert(who);
    request.extensions_mut().insert(asker);
    next.run(request).await
}

/// Lets those in whose token is good.
pub(super) async fn api(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    let asker = Asker::of(&request);
    let with_token = site.bearer(request.headers());
    // Who has no token is known by where the request comes from: a browser would send one for any other site, too.
    if with_token.is_none() && request.method() != Method::GET && !is_own_form(request.headers()) {
        return Problem::new(FOREIGN).into_response();
    }
    match with_token.or_else(|| site.without_a_token(&asker)) {
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

    /// Who it is: as the proxy says, as a cookie of ours says, or anybody of this machine.
    pub(super) fn session(&self, asker: &Asker) -> Option<Who> {
        let cookie = || cookie(&asker.headers, COOKIE).and_then(|cookie| self.sessions.read(cookie, SystemTime::now()));
        let signed_in = || cookie().filter(|(who, by)| self.still_knows(who, by)).map(|(who, _)| who);
        match self.told(asker) {
            Told::Person(who) => Some(who),
            Told::Nothing | Told::Stranger => signed_in().or_else(|| self.everybody(&asker.headers)),
        }
    }

    /// What a proxy says of them.
    pub(super) fn told(&self, asker: &Asker) -> Told {
        self.proxy.as_ref().map_or(Told::Nothing, |proxy| proxy.tells(asker.peer, &asker.headers))
    }

    /// The same for programs; a session is for pages.
    fn without_a_token(&self, asker: &Asker) -> Option<Who> {
        match self.told(asker) {
            Told::Person(who) => Some(who),
            Told::Nothing | Told::Stranger => self.everybody(&asker.headers),
        }
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
        token.and_then(|(_, token)| self.tokens.holder(token)).cloned()
    }

    /// Who sent a request.
    pub(super) fn client(&self, request: &Request) -> Client {
        let asker = Asker::of(request);
        Client::of(address(asker.peer, &asker.headers, &self.trusted))
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
