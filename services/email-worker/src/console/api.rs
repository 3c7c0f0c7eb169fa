//! The same as JSON, for programs: `/v1`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use contract::EmailAddress;
use platform::postgres::NoAnswer;
use serde_json::{Value, json};
use web::json::Fields;
use web::{Kind, Problem, Refused, body};

use super::actions::{self, Because, Deed, Went};
use super::door::FORBIDDEN;
use super::mails::{self, NotFound};
use super::overview;
use super::site::Site;
use super::who::{Role, Who};
use crate::controls::{self, Ask, MOST, Scope, paper};
use crate::mail_log::find::Which;
use crate::mail_log::paper::object;
use crate::mail_log::story::Story;
use crate::mail_log::trace_of_digits;
use crate::rate::Ceiling;

/// Bodies are at most so long, in bytes.
const LIMIT: usize = 16 * 1024;

/// Addresses are not hashed here.
pub(super) const NO_KEY: Kind = Kind::new(
    StatusCode::CONFLICT,
    "no-address-key",
    "Addresses can't be looked up here",
    "Set ADDRESS_HASH_KEY of the console as the workers have it.",
);

/// Each queue costs the broker something.
pub(super) const TOO_MANY_QUEUES: Kind = Kind::new(
    StatusCode::CONFLICT,
    "too-many-queues",
    "Too many types and domains are paused or limited",
    "End one of them first: each type, each domain and each pair has a queue of its own, and there may be 64.",
);

type Shared = State<Arc<Site>>;
type Me = Extension<Who>;
type Answer = Result<Response, Problem>;

pub(super) fn down(error: &NoAnswer) -> Problem {
    tracing::warn!(%error, "the console's database does not answer");
    Problem::database_unavailable()
}

fn not_found(error: NotFound) -> Problem {
    match error {
        NotFound::Unclear => Problem::new(Kind::NOT_FOUND),
        NotFound::NoKey => Problem::new(NO_KEY),
        NotFound::Down(error) => down(&error),
    }
}

/// `GET /v1/mails/{id}`: one mail, with its attempts that were not plain successes.
pub(super) async fn mail(State(site): Shared, Path(id): Path<String>) -> Answer {
    let which = mails::which(&id, None).map_err(not_found)?;
    let story = mails::story(&site.pool, which).await.map_err(not_found)?;
    match (story.mails.first(), story.beyond()) {
        (Some(mail), _) => Ok(Json(object(&story, mail)).into_response()),
        (None, Some(beyond)) => Ok(Json(json!({ "id": id, "state": beyond.slug(), "attempts": 0 })).into_response()),
        (None, None) => Err(Problem::new(Kind::NOT_FOUND)),
    }
}

/// `POST /v1/mails/search`: mails to a recipient, or of a trace, the latest first. An address stands in no URL.
pub(super) async fn search(State(site): Shared, request: Request) -> Answer {
    let body = read(request).await?;
    let mut fields = Fields::of(web::json::value(&body)?)?;
    let recipient = fields.optional("recipient", |text| {
        text.parse::<EmailAddress>().map_err(|_| Refused::from("must have the form name@domain"))
    });
    let trace = fields.optional("trace", |text| {
        trace_of_digits(text).ok_or_else(|| Refused::from("must be 32 hexadecimal digits, not all of them 0"))
    });
    let errors = fields.finish();
    if !errors.is_empty() {
        return Err(web::json::invalid(errors));
    }
    let which = match (recipient, trace) {
        (Some(address), None) => mails::of_address(&address, site.keys.as_ref()).map_err(not_found)?,
        (None, Some(trace)) => Which::Trace(trace),
        _ => return Err(web::json::invalid(vec![web::FieldError::body("must have either recipient or trace")])),
    };
    let story: Story = mails::story(&site.pool, which).await.map_err(not_found)?;
    let mails: Vec<Value> = story.mails.iter().map(|mail| object(&story, mail)).collect();
    Ok(Json(json!({ "mails": mails })).into_response())
}

/// `GET /v1/queues`: what waits where.
pub(super) async fn queues(State(site): Shared) -> Answer {
    let controls = actions::controls(&site.pool).await.map_err(|error| down(&error))?;
    match site.queues.depths(&controls).await {
        Ok(queues) => Ok(Json(json!({ "queues": queues })).into_response()),
        Err(error) => {
            tracing::warn!(%error, "the console's broker does not answer");
            Err(Problem::new(BROKER_UNAVAILABLE).retry_after(Duration::from_secs(2)))
        }
    }
}

/// `GET /v1/fleet`: what workers say of themselves, and the last hour by the minute, the oldest first.
pub(super) async fn fleet(State(site): Shared) -> Answer {
    Ok(Json(overview::fleet(&site.pool).await.map_err(|error| down(&error))?).into_response())
}

/// The broker does not answer.
pub(super) const BROKER_UNAVAILABLE: Kind = Kind::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "broker-unavailable",
    "The broker does not answer",
    "Try again after Retry-After.",
);

/// `GET /v1/sending`: what is paused and limited.
pub(super) async fn sending(State(site): Shared) -> Answer {
    let controls = actions::controls(&site.pool).await.map_err(|error| down(&error))?;
    let controls: Vec<Value> = controls.all().into_iter().map(paper::object).collect();
    Ok(Json(json!({ "controls": controls })).into_response())
}

/// `GET /v1/actions`: who did what, the latest first.
pub(super) async fn history(State(site): Shared) -> Answer {
    let actions = actions::history(&site.pool).await.map_err(|error| down(&error))?;
    let actions: Vec<Value> = actions.iter().map(paper::done).collect();
    Ok(Json(json!({ "actions": actions })).into_response())
}

/// `POST /v1/sending/pause`
pub(super) async fn pause(site: Shared, me: Me, request: Request) -> Answer {
    set(site, me, request, false).await
}

/// `POST /v1/sending/limit`
pub(super) async fn limit(site: Shared, me: Me, request: Request) -> Answer {
    set(site, me, request, true).await
}

/// `POST /v1/sending/resume`
pub(super) async fn resume(site: Shared, me: Me, request: Request) -> Answer {
    clear(site, me, request, controls::Kind::Pause).await
}

/// `POST /v1/sending/unlimit`
pub(super) async fn unlimit(site: Shared, me: Me, request: Request) -> Answer {
    clear(site, me, request, controls::Kind::Limit).await
}

async fn set(State(site): Shared, Extension(who): Me, request: Request, is_limit: bool) -> Answer {
    may_act(&who)?;
    let body = read(request).await?;
    let mut fields = Fields::of(web::json::value(&body)?)?;
    let scope = scope(&mut fields);
    let rate =
        if is_limit { fields.required("rate", |text| text.parse::<Ceiling>().map_err(Refused::because)) } else { None };
    let lasts = fields.optional("for", |text| platform::config::duration(text).map_err(Refused::because));
    let reason = fields.optional("reason", |text| Ok(text.to_owned()));
    let errors = fields.finish();
    let (Some(scope), true) = (scope, errors.is_empty()) else { return Err(web::json::invalid(errors)) };
    let ask = match rate {
        Some(rate) => Ask::Limit { rate, at_once: None },
        None => Ask::Pause,
    };
    act(&site, &who, Deed::Set(scope, ask), Because { reason, lasts }).await
}

async fn clear(State(site): Shared, Extension(who): Me, request: Request, kind: controls::Kind) -> Answer {
    may_act(&who)?;
    let body = read(request).await?;
    let mut fields = Fields::of(web::json::value(&body)?)?;
    let scope = scope(&mut fields);
    let reason = fields.optional("reason", |text| Ok(text.to_owned()));
    let errors = fields.finish();
    let (Some(scope), true) = (scope, errors.is_empty()) else { return Err(web::json::invalid(errors)) };
    act(&site, &who, Deed::Clear(scope, kind), Because { reason, lasts: None }).await
}

/// `type` or `domain`; neither: all mails.
fn scope(fields: &mut Fields<'_>) -> Option<Scope> {
    let mail_type = fields.optional("type", |text| {
        text.parse().map(Scope::Type).map_err(|_| Refused::from("must be the name of a type"))
    });
    let domain = fields.optional("domain", |text| Scope::domain(text).map_err(|_| Refused::from("must be a domain")));
    match (mail_type, domain) {
        (Some(_), Some(_)) => fields.wrong("domain", "must not be there beside type"),
        (Some(scope), None) | (None, Some(scope)) => Some(scope),
        (None, None) => Some(Scope::Fleet),
    }
}

async fn act(site: &Site, who: &Who, deed: Deed, because: Because) -> Answer {
    match actions::act(&site.pool, who, deed, because).await.map_err(|error| down(&error))? {
        Went::Done => Ok(Json(json!({ "done": true })).into_response()),
        Went::WasNot => Ok(Json(json!({ "done": false })).into_response()),
        Went::TooMany => Err(Problem::new(TOO_MANY_QUEUES).detail(format!("there may be {MOST}"))),
    }
}

pub(super) fn may_act(who: &Who) -> Result<(), Problem> {
    if who.role < Role::Operator { Err(Problem::new(FORBIDDEN)) } else { Ok(()) }
}

pub(super) async fn read(request: Request) -> Result<Vec<u8>, Problem> {
    let (parts, body) = request.into_parts();
    body::look(&parts.headers, LIMIT)?;
    body::read(body, LIMIT).await
}
