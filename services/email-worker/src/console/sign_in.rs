//! Coming in and going out.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::json;

use super::attempt;
use super::door::{Asker, cookie, is_own_form};
use super::form::Form;
use super::oidc::{Provider, Refused};
use super::pages::View;
use super::proxy::Told;
use super::session::{By, COOKIE};
use super::site::Site;
use super::who::Who;
use crate::paper::one_line;

/// What somebody is told whom others know, and we do not let in.
const NO_GROUP: &str = "You have none of the groups that are let in.";

const REFRESH: HeaderName = HeaderName::from_static("refresh");

type Shared = State<Arc<Site>>;

impl Site {
    /// The ways in, and what went wrong with one of them.
    fn ways_in(&self, view: &View, status: StatusCode, wrong: Option<&str>) -> Response {
        let provider = self.provider.as_ref();
        let content = json!({
            "wrong": wrong,
            "has_tokens": !self.tokens.is_empty(),
            "provider": provider.map(Provider::host),
            "has_proxy": self.proxy.is_some(),
            "is_known": provider.is_some_and(Provider::is_known),
        });
        self.page(status, view, "sign_in.html", "Sign in", content)
    }
}

/// The ways in.
pub(super) async fn form(State(site): Shared, request: Request) -> Response {
    let asker = Asker::of(&request);
    if site.session(&asker).is_some() {
        return Redirect::to("/").into_response();
    }
    let view = site.view(None, &asker.headers, "/sign-in");
    match site.told(&asker) {
        Told::Stranger => site.ways_in(&view, StatusCode::FORBIDDEN, Some(NO_GROUP)),
        Told::Nothing | Told::Person(_) => site.ways_in(&view, StatusCode::OK, None),
    }
}

/// Somebody sends a token.
pub(super) async fn with_token(State(site): Shared, request: Request) -> Response {
    let (client, headers) = (site.client(&request), request.headers().clone());
    let view = site.view(None, &headers, "/sign-in");
    let again = |status, wrong: &str| site.ways_in(&view, status, Some(wrong));
    if !is_own_form(&headers) {
        return again(StatusCode::FORBIDDEN, "Not allowed");
    }
    if !site.may_try(client) {
        return again(StatusCode::TOO_MANY_REQUESTS, "Too many tries. Wait a minute.");
    }
    let form = match Form::read(request.into_body()).await {
        Ok(form) => form,
        Err(problem) => return problem.into_response(),
    };
    let Some(who) = site.tokens.holder(form.text("token")) else {
        tracing::warn!("somebody tried to sign in with a wrong token");
        return again(StatusCode::UNAUTHORIZED, "No such token.");
    };
    let mut response = Redirect::to("/").into_response();
    site.let_in(&mut response, who, By::Token);
    response
}

/// Somebody wants to sign in at the provider.
pub(super) async fn to_provider(State(site): Shared, headers: HeaderMap) -> Response {
    let Some(provider) = &site.provider else { return site.nothing(None, &headers) };
    let (attempt, secrets) = site.sessions.begin(SystemTime::now());
    let Some(door) = provider.door(&secrets) else {
        let view = site.view(None, &headers, "/sign-in");
        return site.ways_in(&view, StatusCode::SERVICE_UNAVAILABLE, None);
    };
    let mut response = Redirect::to(&door).into_response();
    // They come back from another site: a strict cookie would stay away.
    set_cookie(&mut response, attempt::COOKIE, &attempt, attempt::LASTS.as_secs(), "Lax");
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Somebody comes back from the provider.
pub(super) async fn from_provider(State(site): Shared, request: Request) -> Response {
    let (client, headers) = (site.client(&request), request.headers());
    let Some(provider) = &site.provider else { return site.nothing(None, headers) };
    let view = site.view(None, headers, "/sign-in");
    let mut response = if site.may_try(client) {
        let said = Form::of(request.uri().query().unwrap_or_default().as_bytes());
        match site.returned(provider, headers, &said).await {
            Ok(who) => site.welcome(provider, &view, &who),
            Err((status, wrong)) => site.ways_in(&view, status, Some(wrong)),
        }
    } else {
        site.ways_in(&view, StatusCode::TOO_MANY_REQUESTS, Some("Too many tries. Wait a minute."))
    };
    set_cookie(&mut response, attempt::COOKIE, "", 0, "Lax");
    response
}

impl Site {
    /// Who comes back; or what to tell them.
    async fn returned(
        &self,
        provider: &Provider,
        headers: &HeaderMap,
        said: &Form,
    ) -> Result<Who, (StatusCode, &'static str)> {
        let begun = cookie(headers, attempt::COOKIE).and_then(|cookie| self.sessions.begun(cookie, SystemTime::now()));
        let Some(secrets) = begun.filter(|secrets| secrets.is_state(said.text("state"))) else {
            return Err((StatusCode::BAD_REQUEST, "This sign-in was begun elsewhere or too long ago. Try again."));
        };
        // RFC 9207: what another provider says is not for this one.
        if said.optional("iss").is_some_and(|issuer| issuer != provider.issuer()) {
            return Err((StatusCode::BAD_REQUEST, "Another provider than ours sent you here."));
        }
        let Some(code) = said.optional("code") else {
            tracing::warn!(error = one_line(said.text("error"), 100), "the sign-in provider let somebody not in");
            return Err((StatusCode::FORBIDDEN, "The provider did not let you in."));
        };
        let (name, role) = provider.who(code, &secrets).await.map_err(|error| {
            tracing::warn!(%error, "a sign-in at the provider came to nothing");
            let status = match error {
                Refused::Unknown | Refused::Provider(_) => StatusCode::BAD_GATEWAY,
                Refused::Token(_) => StatusCode::FORBIDDEN,
            };
            (status, "The provider's answer could not be used. The log of the console says why.")
        })?;
        role.map(|role| Who { name: name.clone(), role }).ok_or_else(|| {
            tracing::warn!(who = name, "somebody signed in at the provider who has none of the groups that are let in");
            (StatusCode::FORBIDDEN, NO_GROUP)
        })
    }

    /// A page that leads on by itself: where this request came from another site, so would one that is redirected, and a strict cookie
    /// would stay away.
    fn welcome(&self, provider: &Provider, view: &View, who: &Who) -> Response {
        let mut response = self.page(StatusCode::OK, view, "signed_in.html", "Signed in", json!({}));
        response.headers_mut().insert(REFRESH, HeaderValue::from_static("0; url=/"));
        self.let_in(&mut response, who, By::Provider(provider.issuer().to_owned()));
        response
    }

    fn let_in(&self, response: &mut Response, who: &Who, by: By) {
        tracing::info!(who = who.name, role = who.role.slug(), "signed in");
        let session = self.sessions.cookie(who, by, SystemTime::now());
        set_cookie(response, COOKIE, &session, self.sessions.lasts.as_secs(), "Strict");
    }
}

/// The session ends in this browser. That at the provider is the provider's: the page leads there.
pub(super) async fn out(State(site): Shared, headers: HeaderMap) -> Response {
    let mut response = match site.provider.as_ref().and_then(Provider::way_out) {
        Some(way_out) => {
            let content = json!({ "way_out": way_out, "provider": site.provider.as_ref().map(Provider::host) });
            site.page(StatusCode::OK, &site.view(None, &headers, ""), "signed_out.html", "Signed out", content)
        }
        None => Redirect::to("/sign-in").into_response(),
    };
    set_cookie(&mut response, COOKIE, "", 0, "Strict");
    response
}

fn set_cookie(response: &mut Response, name: &str, value: &str, seconds: u64, same_site: &str) {
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite={same_site}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}
