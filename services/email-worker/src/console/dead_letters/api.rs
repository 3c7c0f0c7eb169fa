//! Dead letters and jobs for programs.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};
use time::OffsetDateTime;
use web::json::Fields;
use web::{Kind, Problem, ProblemBody, Refused};

use super::query::Query;
use super::{ACT_WAITS, MOST_PER_SECOND, PER_SECOND, Wanted, task};
use crate::console::api::{BROKER_UNAVAILABLE, down, may_act, number, read};
use crate::console::form::Form;
use crate::console::openapi::{Acts, Always, Body, Done, Jobs, LetterWithTask, Letters, Meant, Queried};
use crate::console::site::Site;
use crate::console::who::{Role, Who};
use crate::dead_letters::Filter;
use crate::dead_letters::jobs::Action;
use crate::dead_letters::jobs::paper::{JobObject, object};
use crate::dead_letters::snapshot::{Kept, Snapshot};
use crate::paper::rfc3339;

/// What a URL asks for makes no sense.
pub(in crate::console) const INVALID_QUERY: Kind = Kind::new(
    StatusCode::BAD_REQUEST,
    "invalid-query",
    "The query of the URL says something that is not known here",
    "The detail names the parameter; the manual lists them all.",
);

/// There are too many to be read in the time of a request.
pub(in crate::console) const BEING_READ: Kind = Kind::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "dead-letters-being-read",
    "The dead letters are being read for the first time",
    "Try again after Retry-After.",
);

/// Since somebody counted, letters came or went.
pub(in crate::console) const OTHERWISE: Kind = Kind::new(
    StatusCode::CONFLICT,
    "not-as-expected",
    "Another number of letters is meant than was expected",
    "Look at them again, and send the number that is true now; or leave `expected` out.",
);

type Shared = State<Arc<Site>>;
type Me = Extension<Who>;
type Answer = Result<Response, Problem>;

/// Letters in an answer where nobody says how many, and at most.
const LETTERS: usize = 100;
const MOST_LETTERS: usize = 1000;
/// No queue is longer.
const FURTHEST: usize = 1_000_000_000;

/// List dead letters
///
/// Those that are meant, from either end, without their tasks. Where several parameters are there, a letter must fit all of them.
#[utoipa::path(
    get, path = "/v1/dead-letters", tag = "dead letters", operation_id = "dead_letters", security(("token" = [])),
    params(
        ("id" = Option<String>, Query, description = "The one with this id."),
        ("reason" = Option<String>, Query, description = "Reasons, separated by commas.", example = "mailbox-full"),
        ("type" = Option<String>, Query, description = "Types, separated by commas; `none` is a bare task."),
        ("domain" = Option<String>, Query, description = "Domains of recipients, separated by commas."),
        ("since" = Option<String>, Query, pattern = "^(0|[1-9][0-9]{0,3}[smhd])?$", description = "Dead for no longer than this.", example = "2h"),
        ("older_than" = Option<String>, Query, pattern = "^(0|[1-9][0-9]{0,3}[smhd])?$", description = "Dead for longer than this.", example = "30m"),
        ("from" = Option<String>, Query, pattern = "^(newest|oldest)?$", description = "From which end; `newest` without it."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "At most so many; 100 without it."),
        ("offset" = Option<u32>, Query, minimum = 0, maximum = 1_000_000_000, description = "Without the first so many."),
    ),
    responses(Always, Queried, (status = 200, description = "They may be none.", body = Letters)),
)]
pub(in crate::console) async fn list(State(site): Shared, uri: Uri) -> Answer {
    let form = Form::of(uri.query().unwrap_or_default().as_bytes());
    let query = Query::of(&form).map_err(wrong)?;
    let number = |name: &str, or: usize| form.given(name).map_or(Ok(or), str::parse::<usize>);
    let limit = number("limit", LETTERS).ok().filter(|limit| (1..=MOST_LETTERS).contains(limit));
    let limit = limit.ok_or_else(|| wrong(format!("limit: a number from 1 to {MOST_LETTERS}")))?;
    let offset = number("offset", 0).ok().filter(|offset| *offset <= FURTHEST);
    let offset = offset.ok_or_else(|| wrong(format!("offset: a number up to {FURTHEST}")))?;
    let snapshot = site.snapshot().await?;
    let part = snapshot.part(&query.filter, query.from, offset, limit);
    let letters: Vec<Value> = part.letters.iter().map(|kept| kept.letter.json(snapshot.at, false)).collect();
    let by = json!({ "reason": part.by.reasons, "type": part.by.kinds, "domain": part.by.domains });
    let about = json!({
        "as_of": rfc3339(OffsetDateTime::from(snapshot.at)),
        "total": snapshot.total(),
        "not_listed": snapshot.left_out(),
        "meant": part.meant,
        "by": by,
        "letters": letters,
    });
    Ok(Json(about).into_response())
}

/// One dead letter
///
/// With its task, as JSON in a text: without personal data for whoever only looks.
#[utoipa::path(
    get, path = "/v1/dead-letters/{id}", tag = "dead letters", operation_id = "dead_letter", security(("token" = [])),
    params(("id" = String, Path, description = "Its id.")),
    responses(Always, (status = 200, description = "It.", body = LetterWithTask)),
)]
pub(in crate::console) async fn letter(State(site): Shared, Extension(who): Me, Path(id): Path<String>) -> Answer {
    let snapshot = site.snapshot().await?;
    let kept = snapshot.letter(&id).ok_or_else(|| Problem::new(Kind::NOT_FOUND))?;
    Ok(Json(with_task(kept, &snapshot, who.role)).into_response())
}

fn with_task(kept: &Kept, snapshot: &Snapshot, role: Role) -> Value {
    let mut letter = kept.letter.json(snapshot.at, false);
    letter["task"] = task::shown(kept, role).into();
    letter
}

/// Redrive dead letters
///
/// A job puts them back on the queue, in the background. Without a filter all are meant.
#[utoipa::path(
    post, path = "/v1/dead-letters/redrive", tag = "dead letters", operation_id = "redrive", security(("token" = [])),
    request_body = Meant,
    responses(
        Always, Body, Acts,
        (status = 202, description = "The job; `Location` says where it is.", body = JobObject<'_>,
            headers(("Location" = String, description = "Its path."))),
        (status = 409, description = "`not-as-expected`: another number of letters is meant than `expected`",
            body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(in crate::console) async fn redrive(site: Shared, me: Me, request: Request) -> Answer {
    start(site, me, request, Action::Redrive).await
}

/// Discard dead letters
///
/// A job throws them away, in the background. Without a filter all are meant.
#[utoipa::path(
    post, path = "/v1/dead-letters/discard", tag = "dead letters", operation_id = "discard", security(("token" = [])),
    request_body = Meant,
    responses(
        Always, Body, Acts,
        (status = 202, description = "The job; `Location` says where it is.", body = JobObject<'_>,
            headers(("Location" = String, description = "Its path."))),
        (status = 409, description = "`not-as-expected`: another number of letters is meant than `expected`",
            body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(in crate::console) async fn discard(site: Shared, me: Me, request: Request) -> Answer {
    start(site, me, request, Action::Discard).await
}

/// Which letters, how fast, why, and how many the caller believes them to be.
struct Asked {
    filter: Filter,
    per_second: u32,
    reason: Option<String>,
    expected: Option<usize>,
}

fn asked(body: &[u8]) -> Result<Asked, Problem> {
    let mut fields = Fields::of(web::json::value(body)?)?;
    let age = |text: &str| platform::config::duration(text).map_err(Refused::because);
    let filter = Filter {
        id: fields.optional("id", |text| Ok(text.to_owned())),
        reasons: words(&mut fields, "reasons"),
        kinds: words(&mut fields, "types"),
        domains: words(&mut fields, "domains"),
        since: fields.optional("since", age),
        older_than: fields.optional("older_than", age),
    };
    let per_second = number(&mut fields, "per_second").unwrap_or(u64::from(PER_SECOND));
    let per_second = u32::try_from(per_second).ok().filter(|rate| (1..=MOST_PER_SECOND).contains(rate));
    if per_second.is_none() {
        fields.wrong::<()>("per_second", format!("must be from 1 to {MOST_PER_SECOND}"));
    }
    let expected = number(&mut fields, "expected").and_then(|expected| usize::try_from(expected).ok());
    let reason = fields.optional("reason", |text| Ok(text.to_owned()));
    let errors = fields.finish();
    match per_second {
        Some(per_second) if errors.is_empty() => Ok(Asked { filter, per_second, reason, expected }),
        _ => Err(web::json::invalid(errors)),
    }
}

fn words(fields: &mut Fields<'_>, name: &str) -> Vec<String> {
    let Some(raw) = fields.optional_value(name) else { return Vec::new() };
    let words = serde_json::from_str::<Vec<String>>(raw.get()).ok();
    let words = words.filter(|words| !words.iter().any(|word| word.contains('\0')));
    words.or_else(|| fields.wrong(name, "must be a list of strings without NUL")).unwrap_or_default()
}

async fn start(State(site): Shared, Extension(who): Me, request: Request, action: Action) -> Answer {
    may_act(&who)?;
    let Asked { filter, per_second, reason, expected } = asked(&read(request).await?)?;
    let meant = site.snapshot().await?.count(&filter);
    if expected.is_some_and(|expected| expected != meant) {
        return Err(Problem::new(OTHERWISE).detail(format!("{meant} are meant")));
    }
    let wanted = Wanted { action, filter, meant, per_second, reason };
    let id = super::start(&site.pool, &who, wanted).await.map_err(|error| down(&error))?;
    let job = super::job(&site.pool, id).await.map_err(|error| down(&error))?;
    let job = job.ok_or_else(|| Problem::new(Kind::NOT_FOUND))?;
    Ok((StatusCode::ACCEPTED, [("location", format!("/v1/jobs/{id}"))], Json(object(&job))).into_response())
}

/// List jobs
///
/// The latest, those that are under way first.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "dead letters", operation_id = "jobs", security(("token" = [])),
    responses(Always, (status = 200, description = "They may be none.", body = Jobs)),
)]
pub(in crate::console) async fn jobs(State(site): Shared) -> Answer {
    let jobs = super::jobs(&site.pool).await.map_err(|error| down(&error))?;
    let jobs: Vec<Value> = jobs.iter().map(object).collect();
    Ok(Json(json!({ "jobs": jobs })).into_response())
}

/// One job
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "dead letters", operation_id = "job", security(("token" = [])),
    params(("id" = i64, Path, description = "Its number.")),
    responses(Always, (status = 200, description = "How far it is.", body = JobObject<'_>)),
)]
pub(in crate::console) async fn job(State(site): Shared, Path(id): Path<String>) -> Answer {
    let job = super::job(&site.pool, number_of(&id)?).await.map_err(|error| down(&error))?;
    let job = job.ok_or_else(|| Problem::new(Kind::NOT_FOUND))?;
    Ok(Json(object(&job)).into_response())
}

/// Stop a job
///
/// What it did stays done. `done` is false where it had ended before.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/stop", tag = "dead letters", operation_id = "stop", security(("token" = [])),
    params(("id" = i64, Path, description = "Its number.")),
    responses(Always, Acts, (status = 200, description = "It does no more.", body = Done)),
)]
pub(in crate::console) async fn stop(State(site): Shared, Extension(who): Me, Path(id): Path<String>) -> Answer {
    may_act(&who)?;
    let stopped = super::stop(&site.pool, &who, number_of(&id)?).await.map_err(|error| down(&error))?;
    Ok(Json(json!({ "done": stopped })).into_response())
}

fn number_of(id: &str) -> Result<i64, Problem> {
    id.parse().map_err(|_| Problem::new(Kind::NOT_FOUND))
}

fn wrong(why: String) -> Problem {
    Problem::new(INVALID_QUERY).detail(why)
}

impl Site {
    async fn snapshot(&self) -> Result<Arc<Snapshot>, Problem> {
        let known = self.look.within(ACT_WAITS).await;
        match known.snapshot {
            Some(snapshot) => Ok(snapshot),
            None if known.trouble.is_some() => {
                Err(Problem::new(BROKER_UNAVAILABLE).retry_after(Duration::from_secs(2)))
            }
            None => Err(Problem::new(BEING_READ).retry_after(Duration::from_secs(2))),
        }
    }
}
