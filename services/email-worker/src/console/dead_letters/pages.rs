//! The pages of dead letters and jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::query::{PER_PAGE, Query};
use super::{ACT_WAITS, MOST_PER_SECOND, PAGE_WAITS, PER_SECOND, Wanted, task};
use crate::console::door::Asker;
use crate::console::form::Form;
use crate::console::live;
use crate::console::pages::View;
use crate::console::site::Site;
use crate::console::who::Who;
use crate::dead_letters::Filter;
use crate::dead_letters::jobs::paper::object;
use crate::dead_letters::jobs::{Action, Job};
use crate::dead_letters::look::Known;
use crate::dead_letters::snapshot::{From, Kept, Snapshot};
use crate::paper::rfc3339;

type Shared = State<Arc<Site>>;
type Me = Extension<Who>;

/// Names that a list of counts shows, the most frequent ones.
const NAMES: usize = 12;

/// The letters, a page at a time, from either end.
pub(in crate::console) async fn list(
    State(site): Shared,
    Extension(who): Me,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let view = site.view(Some(&who), &headers, "/dead-letters");
    let (query, wrong) = match Query::of(&Form::of(uri.query().unwrap_or_default().as_bytes())) {
        Ok(query) => (query, None),
        Err(wrong) => (Query::default(), Some(wrong)),
    };
    let known = site.look.within(PAGE_WAITS).await;
    let jobs = match super::jobs(&site.pool).await {
        Ok(jobs) => jobs,
        Err(error) => return site.down(&view, &error),
    };
    let open: Vec<Value> = jobs.iter().filter(|job| job.is_open()).map(object).collect();
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let fields: BTreeMap<_, _> = query.fields().into_iter().collect();
    let content = json!({
        "wrong": wrong,
        "reading": known.reading.map(|(read, total)| json!({ "read": read, "total": total })),
        "trouble": known.trouble.is_some(),
        "list": known.snapshot.as_ref().map(|snapshot| listed(snapshot, &query)),
        "fields": fields,
        "from_oldest": query.from == From::Oldest,
        "jobs": open,
    });
    site.page(status, &view, "dead_letters.html", "Dead letters", content)
}

fn listed(snapshot: &Snapshot, query: &Query) -> Value {
    let part = snapshot.part(&query.filter, query.from, query.page * PER_PAGE, PER_PAGE);
    let letters: Vec<Value> = part.letters.iter().map(|kept| row(kept, snapshot)).collect();
    let narrower = |counts: &BTreeMap<String, usize>, edit: fn(&mut Filter, String)| {
        let mut counts: Vec<_> = counts.iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let named = counts.into_iter().take(NAMES).map(|(name, count)| {
            json!({ "name": name, "count": count, "link": query.link_with(|filter| edit(filter, name.clone())) })
        });
        named.collect::<Vec<_>>()
    };
    let turned = Query { page: 0, from: query.from.other(), ..query.clone() };
    json!({
        "as_of": rfc3339(OffsetDateTime::from(snapshot.at)),
        "total": snapshot.total(),
        "left_out": snapshot.left_out(),
        "meant": part.meant,
        "letters": letters,
        "first": query.page * PER_PAGE + 1,
        "last": query.page * PER_PAGE + part.letters.len(),
        "before": (query.page > 0).then(|| query.link(query.page - 1)),
        "after": ((query.page + 1) * PER_PAGE < part.meant).then(|| query.link(query.page + 1)),
        "turned": turned.link(0),
        "is_all": query.filter.is_all(),
        "reasons": narrower(&part.by.reasons, |filter, name| filter.reasons = vec![name]),
        "kinds": narrower(&part.by.kinds, |filter, name| filter.kinds = vec![name]),
        "domains": narrower(&part.by.domains, |filter, name| filter.domains = vec![name]),
    })
}

fn row(kept: &Kept, snapshot: &Snapshot) -> Value {
    let letter = &kept.letter;
    json!({
        "id": letter.id,
        "task": contract::TaskId::from_message_id(&letter.id).to_string(),
        "reason": letter.reason,
        "detail": letter.detail,
        "kind": letter.kind,
        "domain": letter.recipient.as_ref().map(|(_, domain)| domain),
        "attempts": letter.attempts,
        "died": letter.died.map(|died| rfc3339(OffsetDateTime::from(died))),
        "age_seconds": letter.age(snapshot.at).map(|age| age.as_secs()),
    })
}

/// One letter, and its task.
pub(in crate::console) async fn letter(
    State(site): Shared,
    Extension(who): Me,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let view = site.view(Some(&who), &headers, "/dead-letters");
    let Known { snapshot: Some(snapshot), .. } = site.look.within(PAGE_WAITS).await else {
        return site.error(&view, StatusCode::SERVICE_UNAVAILABLE, "Dead letter", "The dead letters are being read.");
    };
    let Some(kept) = snapshot.letter(&id) else { return site.nothing(Some(&who), &headers) };
    let content = json!({ "letter": row(kept, &snapshot), "task": task::shown(kept, who.role) });
    site.page(StatusCode::OK, &view, "dead_letter.html", "Dead letter", content)
}

/// Before anything is done: how many are meant.
pub(in crate::console) async fn confirm(State(site): Shared, Extension(who): Me, request: Request) -> Response {
    let view = site.view(Some(&who), request.headers(), "/dead-letters");
    let form = match site.form_of_an_operator(&view, &who, request).await {
        Ok(form) => form,
        Err(answer) => return *answer,
    };
    let asked = form.text("what").parse::<Action>().map_err(|()| "what: redrive or discard".to_owned());
    match asked.and_then(|action| Ok((action, Query::of(&form)?))) {
        Ok((action, query)) => site.confirmation(&view, action, &query, None).await,
        Err(wrong) => site.error(&view, StatusCode::UNPROCESSABLE_ENTITY, "Dead letters", &wrong),
    }
}

/// Somebody is sure.
pub(in crate::console) async fn start(State(site): Shared, Extension(who): Me, request: Request) -> Response {
    let view = site.view(Some(&who), request.headers(), "/dead-letters");
    let form = match site.form_of_an_operator(&view, &who, request).await {
        Ok(form) => form,
        Err(answer) => return *answer,
    };
    let (action, query) = match form.text("what").parse::<Action>().ok().zip(Query::of(&form).ok()) {
        Some(asked) => asked,
        None => return site.error(&view, StatusCode::UNPROCESSABLE_ENTITY, "Dead letters", "This form is not ours."),
    };
    let per_second = form.text("per_second").parse().ok().filter(|rate| (1..=MOST_PER_SECOND).contains(rate));
    let Some(per_second) = per_second else {
        let wrong = format!("per_second: a number from 1 to {MOST_PER_SECOND}");
        return site.confirmation(&view, action, &query, Some(wrong)).await;
    };
    let meant = form.text("meant").parse().unwrap_or(0);
    let reason = form.optional("why").map(str::to_owned);
    let wanted = Wanted { action, filter: query.filter, meant, per_second, reason };
    match super::start(&site.pool, &who, wanted).await {
        Ok(id) => Redirect::to(&format!("/jobs/{id}")).into_response(),
        Err(error) => site.down(&view, &error),
    }
}

impl Site {
    async fn confirmation(&self, view: &View, action: Action, query: &Query, wrong: Option<String>) -> Response {
        let known = self.look.within(ACT_WAITS).await;
        let Some(snapshot) = known.snapshot else {
            let text = if known.trouble.is_some() {
                "The broker does not answer."
            } else {
                "The dead letters are being read."
            };
            return self.error(view, StatusCode::SERVICE_UNAVAILABLE, "Dead letters", text);
        };
        let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let content = json!({
            "wrong": wrong,
            "what": action.slug(),
            "fields": query.fields(),
            "filter": query.filter.to_string(),
            "meant": snapshot.count(&query.filter),
            "left_out": snapshot.left_out(),
            "as_of": rfc3339(OffsetDateTime::from(snapshot.at)),
            "per_second": PER_SECOND,
            "most": MOST_PER_SECOND,
            "back": query.link(query.page),
        });
        let title = match action {
            Action::Redrive => "Redrive dead letters",
            Action::Discard => "Discard dead letters",
        };
        self.page(status, view, "confirm.html", title, content)
    }
}

/// The jobs, those that are under way first.
pub(in crate::console) async fn jobs(State(site): Shared, Extension(who): Me, headers: HeaderMap) -> Response {
    let view = site.view(Some(&who), &headers, "/jobs");
    match super::jobs(&site.pool).await {
        Ok(jobs) => {
            let jobs: Vec<Value> = jobs.iter().map(object).collect();
            site.page(StatusCode::OK, &view, "jobs.html", "Jobs", json!({ "jobs": jobs }))
        }
        Err(error) => site.down(&view, &error),
    }
}

/// How far one is.
pub(in crate::console) async fn job(
    State(site): Shared,
    Extension(who): Me,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let view = site.view(Some(&who), &headers, "/jobs");
    let Ok(id) = id.parse() else { return site.nothing(Some(&who), &headers) };
    match super::job(&site.pool, id).await {
        Ok(Some(job)) => {
            let view = if job.is_open() { view.live(format!("/jobs/{id}/live")) } else { view };
            site.page(StatusCode::OK, &view, "job.html", "Job", about(&job))
        }
        Ok(None) => site.nothing(Some(&who), &headers),
        Err(error) => site.down(&view, &error),
    }
}

/// The same again and again, while somebody looks.
pub(in crate::console) async fn job_live(
    State(site): Shared,
    Path(id): Path<String>,
    Extension(asker): Extension<Asker>,
) -> Response {
    let headers = asker.headers.clone();
    let Ok(id) = id.parse::<i64>() else { return site.nothing(None, &headers) };
    live::events(site, asker, move |site, who| {
        let view = site.view(Some(&who), &headers, "/jobs");
        async move {
            let job = super::job(&site.pool, id).await.ok()??;
            site.pages.inner(&view, "job.html", about(&job)).ok()
        }
    })
}

fn about(job: &Job) -> Value {
    json!({ "job": object(job), "open": job.is_open() })
}

/// Somebody ends one before it is done.
pub(in crate::console) async fn stop(
    State(site): Shared,
    Extension(who): Me,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let view = site.view(Some(&who), request.headers(), "/jobs");
    if let Err(answer) = site.form_of_an_operator(&view, &who, request).await {
        return *answer;
    }
    let Ok(id) = id.parse() else {
        return site.error(&view, StatusCode::NOT_FOUND, "Not here", "There is nothing at this address.");
    };
    match super::stop(&site.pool, &who, id).await {
        Ok(_) => Redirect::to(&format!("/jobs/{id}")).into_response(),
        Err(error) => site.down(&view, &error),
    }
}
