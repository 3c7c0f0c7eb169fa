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
use web::middleware::timeout::Received;
use web::{Kind, Problem, ProblemBody, Refused, body};

use super::actions::{self, Because, Deed, Went};
use super::door::FORBIDDEN;
use super::mails::{self, NotFound};
use super::openapi::{Acts, Always, Body, Cleared, Controls, Done, History, Limited, Paused, Queues, Reasoned, Search};
use super::overview;
use super::site::Site;
use super::who::{Role, Who};
use crate::controls::{self, Ask, MOST, Scope, paper};
use crate::mail_log::find::Which;
use crate::mail_log::paper::{MailObject, object, object_beyond};
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

/// One mail
///
/// With its attempts that were no plain successes.
#[utoipa::path(
    get, path = "/v1/mails/{id}", tag = "mails", operation_id = "mail", security(("token" = [])),
    params(("id" = String, Path, description = "The id of its task, or the producer's own.", example = "0199f2a4-7c1e-7d3a-9a55-3c0b8f1f6a10")),
    responses(Always, (status = 200, description = "What is known of it.", body = MailObject)),
)]
pub(super) async fn mail(State(site): Shared, Path(id): Path<String>) -> Answer {
    let which = mails::which(&id, None).map_err(not_found)?;
    let story = mails::story(&site.pool, which).await.map_err(not_found)?;
    match (story.mails.first(), story.beyond()) {
        (Some(mail), _) => Ok(Json(object(&story, mail)).into_response()),
        (None, Some(beyond)) => Ok(Json(object_beyond(&id, beyond)).into_response()),
        (None, None) => Err(Problem::new(Kind::NOT_FOUND)),
    }
}

/// Find mails
///
/// Those to a recipient or those of a trace, the latest 100. An address stands in no URL.
#[utoipa::path(
    post, path = "/v1/mails/search", tag = "mails", operation_id = "search", security(("token" = [])),
    request_body = Search,
    responses(
        Always, Body,
        (status = 200, description = "They may be none.", body = super::openapi::Found),
        (status = 409, description = "`no-address-key`: addresses can't be looked up here",
            body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
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

/// What waits where
#[utoipa::path(
    get, path = "/v1/queues", tag = "sending", operation_id = "queues", security(("token" = [])),
    responses(Always, (status = 200, description = "Queues that are there.", body = Queues)),
)]
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

/// What the fleet does
///
/// What workers say of themselves, and the last hour by the minute, the oldest first.
#[utoipa::path(
    get, path = "/v1/fleet", tag = "sending", operation_id = "fleet", security(("token" = [])),
    responses(Always, (status = 200, description = "What it does.", body = overview::FleetObject<'_>)),
)]
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

/// What is paused and limited
#[utoipa::path(
    get, path = "/v1/sending", tag = "sending", operation_id = "sending", security(("token" = [])),
    responses(Always, (status = 200, description = "What holds.", body = Controls)),
)]
pub(super) async fn sending(State(site): Shared) -> Answer {
    let controls = actions::controls(&site.pool).await.map_err(|error| down(&error))?;
    let controls: Vec<Value> = controls.all().into_iter().map(paper::object).collect();
    Ok(Json(json!({ "controls": controls })).into_response())
}

/// Who did what
///
/// The latest 200, the latest first.
#[utoipa::path(
    get, path = "/v1/actions", tag = "sending", operation_id = "actions", security(("token" = [])),
    responses(Always, (status = 200, description = "What was done.", body = History)),
)]
pub(super) async fn history(State(site): Shared) -> Answer {
    let actions = actions::history(&site.pool).await.map_err(|error| down(&error))?;
    let actions: Vec<Value> = actions.iter().map(paper::done).collect();
    Ok(Json(json!({ "actions": actions })).into_response())
}

/// Pause the sending
///
/// Of a type, of a domain, or, where neither is named, of all mails. Workers follow within two seconds; no mail is lost, and none loses an attempt.
#[utoipa::path(
    post, path = "/v1/sending/pause", tag = "sending", operation_id = "pause", security(("token" = [])),
    request_body = Paused,
    responses(
        Always, Body, Acts,
        (status = 200, description = "It is so.", body = Done),
        (status = 409, description = "`too-many-queues`: too many types and domains are paused or limited",
            body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn pause(site: Shared, me: Me, request: Request) -> Answer {
    set(site, me, request, false).await
}

/// Limit the sending
///
/// At most so many mails over the whole fleet, in place of MAIL_RATE.
#[utoipa::path(
    post, path = "/v1/sending/limit", tag = "sending", operation_id = "limit", security(("token" = [])),
    request_body = Limited,
    responses(
        Always, Body, Acts,
        (status = 200, description = "It is so.", body = Done),
        (status = 409, description = "`too-many-queues`: too many types and domains are paused or limited",
            body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn limit(site: Shared, me: Me, request: Request) -> Answer {
    set(site, me, request, true).await
}

/// End a pause
///
/// `done` is false where there was none.
#[utoipa::path(
    post, path = "/v1/sending/resume", tag = "sending", operation_id = "resume", security(("token" = [])),
    request_body = Cleared,
    responses(
        Always, Body, Acts,
        (status = 200, description = "It is so.", body = Done),
    ),
)]
pub(super) async fn resume(site: Shared, me: Me, request: Request) -> Answer {
    clear(site, me, request, controls::Kind::Pause).await
}

/// End a limit
///
/// `done` is false where there was none.
#[utoipa::path(
    post, path = "/v1/sending/unlimit", tag = "sending", operation_id = "unlimit", security(("token" = [])),
    request_body = Cleared,
    responses(
        Always, Body, Acts,
        (status = 200, description = "It is so.", body = Done),
    ),
)]
pub(super) async fn unlimit(site: Shared, me: Me, request: Request) -> Answer {
    clear(site, me, request, controls::Kind::Limit).await
}

/// Close the circuits
///
/// Of all workers, within two seconds: somebody knows that the mail server is well again. Where it is not, the circuit opens again with
/// the next mail.
#[utoipa::path(
    post, path = "/v1/circuit/close", tag = "sending", operation_id = "close_circuit", security(("token" = [])),
    request_body = Reasoned,
    responses(Always, Body, Acts, (status = 200, description = "It is written down.", body = Done)),
)]
pub(super) async fn close_circuit(State(site): Shared, Extension(who): Me, request: Request) -> Answer {
    may_act(&who)?;
    let body = read(request).await?;
    let mut fields = Fields::of(web::json::value(&body)?)?;
    let reason = fields.optional("reason", |text| Ok(text.to_owned()));
    let errors = fields.finish();
    if !errors.is_empty() {
        return Err(web::json::invalid(errors));
    }
    act(&site, &who, Deed::CloseCircuits, Because { reason, lasts: None }).await
}

/// A whole number: 7, and 7.0, which is the same in JSON.
pub(super) fn number(fields: &mut Fields<'_>, name: &str) -> Option<u64> {
    let text = fields.optional_value(name)?.get();
    let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
    let number = whole.parse().ok().filter(|_| rest.bytes().all(|digit| digit == b'0'));
    number.or_else(|| fields.wrong(name, "must be a whole number"))
}

async fn set(State(site): Shared, Extension(who): Me, request: Request, is_limit: bool) -> Answer {
    may_act(&who)?;
    let body = read(request).await?;
    let mut fields = Fields::of(web::json::value(&body)?)?;
    let scope = scope(&mut fields);
    let rate =
        if is_limit { fields.required("rate", |text| text.parse::<Ceiling>().map_err(Refused::because)) } else { None };
    let at_once = if is_limit { number(&mut fields, "at_once") } else { None };
    let lasts = fields.optional("for", |text| platform::config::duration(text).map_err(Refused::because));
    let reason = fields.optional("reason", |text| Ok(text.to_owned()));
    let most = at_once.and_then(|most| controls::at_once(most, scope.as_ref()?));
    if at_once.is_some() && most.is_none() {
        fields.wrong::<()>("at_once", controls::AT_ONCE);
    }
    let errors = fields.finish();
    let (Some(scope), true) = (scope, errors.is_empty()) else { return Err(web::json::invalid(errors)) };
    let ask = match rate {
        Some(rate) => Ask::Limit { rate, at_once: most },
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
    let read = body::read(body, LIMIT).await?;
    Received::all_of(&parts.extensions);
    Ok(read)
}
