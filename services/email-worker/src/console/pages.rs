//! The pages: HTML by templates, in the language of the browser.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;
use serde_json::{Value, json};

use super::actions::{self, Because, Deed, Went};
use super::door::{Asker, cookie};
use super::form::Form;
use super::language::Language;
use super::live;
use super::mails;
use super::overview::{self, Waiting};
use super::session::COOKIE;
use super::site::Site;
use super::who::{Role, Who};
use crate::controls::{self, AT_ONCE, Ask, Kind, Scope, paper};
use crate::mail_log::paper::object;
use crate::mail_log::story::Story;
use crate::paper::{bytes, hex, seconds};
use crate::rate::Ceiling;
use crate::suppressions::store::Suppressed;

/// All of them.
pub(super) const TEMPLATES: [(&str, &str); 15] = [
    ("layout.html", include_str!("templates/layout.html")),
    ("sign_in.html", include_str!("templates/sign_in.html")),
    ("signed_in.html", include_str!("templates/signed_in.html")),
    ("signed_out.html", include_str!("templates/signed_out.html")),
    ("overview.html", include_str!("templates/overview.html")),
    ("find.html", include_str!("templates/find.html")),
    ("mail.html", include_str!("templates/mail.html")),
    ("sending.html", include_str!("templates/sending.html")),
    ("history.html", include_str!("templates/history.html")),
    ("dead_letters.html", include_str!("templates/dead_letters.html")),
    ("dead_letter.html", include_str!("templates/dead_letter.html")),
    ("confirm.html", include_str!("templates/confirm.html")),
    ("jobs.html", include_str!("templates/jobs.html")),
    ("job.html", include_str!("templates/job.html")),
    ("error.html", include_str!("templates/error.html")),
];

/// Nothing but what comes from here.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// Makes HTML.
#[derive(Debug)]
pub(super) struct Pages(Environment<'static>);

impl Pages {
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.add_filter("t", |state: &minijinja::State<'_, '_>, text: &str| translated(state, text));
        engine.add_filter("time", readable);
        engine.add_filter("bars", |series: Vec<minijinja::Value>| {
            let series: Vec<Value> = series.iter().map(|count| json!(count)).collect();
            overview::bars(&series)
        });
        engine.add_filter("age", |seconds: f64| age(seconds));
        for (name, template) in TEMPLATES {
            engine.add_template(name, template).with_context(|| format!("reading the console's {name}"))?;
        }
        Ok(Self(engine))
    }

    /// The middle of a page.
    pub(super) fn inner(&self, view: &View, template: &str, content: impl Serialize) -> anyhow::Result<String> {
        let about = view.about();
        Ok(self.0.get_template(template)?.render(context! { ..Serde(content), ..about })?)
    }

    fn html(&self, view: &View, template: &str, title: &str, content: impl Serialize) -> anyhow::Result<String> {
        let (about, inner) = (view.about(), self.inner(view, template, content)?);
        let whole = context! { title, path => view.path, live => view.live.as_deref(), content => minijinja::Value::from_safe_string(inner), ..about };
        Ok(self.0.get_template("layout.html")?.render(whole)?)
    }
}

fn translated(state: &minijinja::State<'_, '_>, text: &str) -> String {
    let is_chinese = state.lookup("language").is_some_and(|language| language.as_str() == Some("zh"));
    let language = if is_chinese { Language::Chinese } else { Language::English };
    language.text(text).to_owned()
}

/// A moment of RFC 3339 as people read it; the page says that it is UTC.
fn readable(moment: &str) -> String {
    moment.trim_end_matches('Z').replace('T', " ")
}

/// The two largest units are enough.
fn age(seconds: f64) -> String {
    let whole = std::time::Duration::try_from_secs_f64(seconds.max(0.0).trunc()).unwrap_or_default();
    let text = humantime::format_duration(whole).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Who looks at a page, and how.
pub(super) struct View {
    who: Option<Who>,
    language: Language,
    form_key: String,
    path: &'static str,
    /// Does anybody have to sign in?
    signs_in: bool,
    /// Where news of it come from.
    live: Option<String>,
}

impl View {
    fn about(&self) -> minijinja::Value {
        let language = self.language.tag();
        let who = self.who.as_ref().map(|who| context! { name => who.name.as_str(), role => who.role.slug() });
        let may_sign_out = self.who.is_some() && self.signs_in;
        context! { language, who, may_sign_out, form_key => self.form_key.as_str(), may_act => self.may_act() }
    }

    /// News of its middle come from there.
    pub(super) fn live(self, live: impl Into<String>) -> Self {
        Self { live: Some(live.into()), ..self }
    }

    pub(super) fn may_act(&self) -> bool {
        self.who.as_ref().is_some_and(|who| who.role == Role::Operator)
    }
}

impl Site {
    pub(super) fn view(&self, who: Option<&Who>, headers: &HeaderMap, path: &'static str) -> View {
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let form_key = who.map(|who| self.sessions.form_key(who)).unwrap_or_default();
        // Whom others sign in has nothing to end here.
        let signs_in = cookie(headers, COOKIE).is_some();
        View { who: who.cloned(), language: Language::of(accepted), form_key, path, signs_in, live: None }
    }

    pub(super) fn page(
        &self,
        status: StatusCode,
        view: &View,
        template: &str,
        title: &str,
        content: impl Serialize,
    ) -> Response {
        let html = match self.pages.html(view, template, title, content) {
            Ok(html) => html,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), template, "a page could not be written");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
        };
        let headers = [
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (header::VARY, HeaderValue::from_static("Accept-Language, Cookie")),
        ];
        (status, headers, Html(html)).into_response()
    }

    pub(super) fn error(&self, view: &View, status: StatusCode, title: &str, text: &str) -> Response {
        self.page(status, view, "error.html", title, json!({ "text": text, "title": title }))
    }

    pub(super) fn down(&self, view: &View, error: &platform::postgres::NoAnswer) -> Response {
        tracing::warn!(%error, "the console's database does not answer");
        self.error(view, StatusCode::SERVICE_UNAVAILABLE, "Not here", "The database does not answer.")
    }
}

pub(super) type Shared = State<Arc<Site>>;
pub(super) type Me = Extension<Who>;

/// What the fleet does, what waits where, and what holds.
pub(super) async fn overview(State(site): Shared, Extension(who): Me, headers: HeaderMap) -> Response {
    let view = site.view(Some(&who), &headers, "/").live("/live");
    match site.overview().await {
        Ok(content) => site.page(StatusCode::OK, &view, "overview.html", "Overview", content),
        Err(error) => site.down(&view, &error),
    }
}

/// The same again and again, while somebody looks.
pub(super) async fn overview_live(State(site): Shared, Extension(asker): Extension<Asker>) -> Response {
    let headers = asker.headers.clone();
    live::events(site, asker, move |site, who| {
        let view = site.view(Some(&who), &headers, "/");
        async move {
            let content = site.overview().await.ok()?;
            site.pages.inner(&view, "overview.html", content).ok()
        }
    })
}

/// The form to find mails with.
pub(super) async fn find(State(site): Shared, Extension(who): Me, headers: HeaderMap) -> Response {
    let view = site.view(Some(&who), &headers, "/mails");
    site.page(
        StatusCode::OK,
        &view,
        "find.html",
        "Find a mail",
        json!({ "wrong": null, "mails": null, "suppressed": null }),
    )
}

/// What was found. In a body, since an address stands in no URL.
pub(super) async fn found(State(site): Shared, Extension(who): Me, request: Request) -> Response {
    let view = site.view(Some(&who), request.headers(), "/mails");
    let form = match Form::read(request.into_body()).await {
        Ok(form) => form,
        Err(problem) => return problem.into_response(),
    };
    match site.look_up(form.text("what")).await {
        Ok((story, suppressed)) => {
            let alone = story.mails.len() == 1 || (story.mails.is_empty() && !story.is_empty());
            let (template, title) = if alone { ("mail.html", "Mail") } else { ("find.html", "Find a mail") };
            site.page(StatusCode::OK, &view, template, title, told(&story, suppressed.as_ref()))
        }
        Err(mails::NotFound::Down(error)) => site.down(&view, &error),
        Err(wrong) => {
            let content = json!({ "wrong": wrong.to_string(), "mails": null, "suppressed": null });
            site.page(StatusCode::UNPROCESSABLE_ENTITY, &view, "find.html", "Find a mail", content)
        }
    }
}

/// One mail's story.
pub(super) async fn mail(
    State(site): Shared,
    Extension(who): Me,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let view = site.view(Some(&who), &headers, "/mails");
    // An address is no id: it would stand in the log of whoever is between.
    let Ok(which) = mails::which(&id, None) else { return site.nothing(Some(&who), &headers) };
    match mails::story(&site.pool, which).await {
        Ok(story) if story.is_empty() => site.nothing(Some(&who), &headers),
        Ok(story) => site.page(StatusCode::OK, &view, "mail.html", "Mail", told(&story, None)),
        Err(mails::NotFound::Down(error)) => site.down(&view, &error),
        Err(_) => site.nothing(Some(&who), &headers),
    }
}

fn told(story: &Story, suppressed: Option<&Suppressed>) -> Value {
    let mails: Vec<Value> = story.mails.iter().map(|mail| object(story, mail)).collect();
    let beyond = story.beyond().map(|beyond| json!({ "state": beyond.slug(), "text": beyond.sentence() }));
    let suppressed = suppressed.map(|row| {
        let (hash, since, until) = (hex(&row.hash), seconds(row.since), seconds(row.until));
        json!({ "hash": hash, "reason": row.reason, "since": since, "until": until, "source": row.source })
    });
    json!({ "wrong": null, "mails": mails, "beyond": beyond, "suppressed": suppressed })
}

/// Somebody lets an address have mails again.
pub(super) async fn unsuppress(State(site): Shared, Extension(who): Me, request: Request) -> Response {
    let view = site.view(Some(&who), request.headers(), "/mails");
    let form = match site.form_of_an_operator(&view, &who, request).await {
        Ok(form) => form,
        Err(answer) => return *answer,
    };
    let Some(hash) = bytes(form.text("hash")).filter(|hash| hash.len() == 32) else {
        return site.error(&view, StatusCode::NOT_FOUND, "Not here", "There is nothing at this address.");
    };
    match actions::act(&site.pool, &who, Deed::Unsuppress(hash), Because::default()).await {
        Ok(_) => Redirect::to("/history").into_response(),
        Err(error) => site.down(&view, &error),
    }
}

/// Pauses and limits, and the form for one more.
pub(super) async fn sending(State(site): Shared, Extension(who): Me, headers: HeaderMap) -> Response {
    let view = site.view(Some(&who), &headers, "/sending");
    site.sending_page(&view, StatusCode::OK, None).await
}

impl Site {
    /// What the first page says.
    async fn overview(&self) -> Result<Value, platform::postgres::NoAnswer> {
        let (controls, fleet) = tokio::try_join!(actions::controls(&self.pool), overview::fleet(&self.pool))?;
        let queues = self.queues.depths(&controls).await;
        let queues = queues.inspect_err(|error| tracing::warn!(%error, "the console's broker does not answer")).ok();
        let waiting = queues.as_deref().map(Waiting::of);
        Ok(json!({ "queues": queues, "waiting": waiting, "controls": held(&controls), "fleet": fleet }))
    }

    /// What is known of mails, and whether their address is suppressed.
    async fn look_up(&self, typed: &str) -> Result<(Story, Option<Suppressed>), mails::NotFound> {
        let which = mails::which(typed, self.keys.as_ref())?;
        let suppressed = mails::suppressed(&self.pool, &which).await?;
        Ok((mails::story(&self.pool, which).await?, suppressed))
    }

    /// A form that somebody may send who operates, and that we made for them.
    pub(super) async fn form_of_an_operator(
        &self,
        view: &View,
        who: &Who,
        request: Request,
    ) -> Result<Form, Box<Response>> {
        let form = Form::read(request.into_body()).await.map_err(|problem| Box::new(problem.into_response()))?;
        if view.may_act() && self.sessions.is_form_of(who, form.text("form_key")) {
            return Ok(form);
        }
        Err(Box::new(self.error(view, StatusCode::FORBIDDEN, "Not allowed", "A viewer looks, and does nothing.")))
    }

    async fn sending_page(&self, view: &View, status: StatusCode, wrong: Option<String>) -> Response {
        match actions::controls(&self.pool).await {
            Ok(controls) => {
                let content = json!({ "controls": held(&controls), "wrong": wrong });
                self.page(status, view, "sending.html", "Sending", content)
            }
            Err(error) => self.down(view, &error),
        }
    }

    /// A form of ours is sent from a page of ours.
    pub(super) fn sent_by_another_site(&self, headers: &HeaderMap) -> Response {
        let view = self.view(None, headers, "");
        self.error(&view, StatusCode::FORBIDDEN, "Not allowed", "This form was sent by another site.")
    }

    /// There is nothing here.
    pub(super) fn nothing(&self, who: Option<&Who>, headers: &HeaderMap) -> Response {
        let view = self.view(who, headers, "");
        self.error(&view, StatusCode::NOT_FOUND, "Not here", "There is nothing at this address.")
    }
}

/// Somebody pauses, limits, or ends one of both.
pub(super) async fn act(State(site): Shared, Extension(who): Me, request: Request) -> Response {
    let view = site.view(Some(&who), request.headers(), "/sending");
    let form = match site.form_of_an_operator(&view, &who, request).await {
        Ok(form) => form,
        Err(answer) => return *answer,
    };
    let (deed, because) = match asked(&form) {
        Ok(asked) => asked,
        Err(wrong) => return site.sending_page(&view, StatusCode::UNPROCESSABLE_ENTITY, Some(wrong)).await,
    };
    match actions::act(&site.pool, &who, deed, because).await {
        Ok(Went::Done | Went::WasNot) => Redirect::to("/sending").into_response(),
        Ok(Went::TooMany) => {
            let wrong = format!("more than {} queues would be needed", crate::controls::MOST);
            site.sending_page(&view, StatusCode::CONFLICT, Some(wrong)).await
        }
        Err(error) => site.down(&view, &error),
    }
}

fn asked(form: &Form) -> Result<(Deed, Because), String> {
    let because = Because { reason: form.optional("reason").map(str::to_owned), lasts: form.lasts()? };
    let deed = match form.text("what") {
        "close-circuit" => Deed::CloseCircuits,
        "pause" => Deed::Set(form.scope()?, Ask::Pause),
        "limit" => {
            let rate = form.text("rate");
            let rate: Ceiling = rate.parse().map_err(|error| format!("{rate:?}: {error}"))?;
            let scope = form.scope()?;
            let at_once = form.optional("at_once").map(|text| at_once(text, &scope)).transpose()?;
            Deed::Set(scope, Ask::Limit { rate, at_once })
        }
        "resume" => Deed::Clear(form.scope()?, Kind::Pause),
        "unlimit" => Deed::Clear(form.scope()?, Kind::Limit),
        other => return Err(format!("there is no action {other:?}")),
    };
    Ok((deed, because))
}

fn at_once(text: &str, scope: &Scope) -> Result<u16, String> {
    let most = text.parse().ok().and_then(|most| controls::at_once(most, scope));
    most.ok_or_else(|| format!("{text:?}: {AT_ONCE}"))
}

/// What holds, each with what the form that ends it says.
fn held(controls: &crate::controls::Controls) -> Vec<Value> {
    let held = controls.all().into_iter().map(|control| {
        let (scope, name) = control.scope.columns();
        json!({ "form": { "scope": scope, "name": name }, "control": paper::object(control) })
    });
    held.collect()
}

/// Who did what.
pub(super) async fn history(State(site): Shared, Extension(who): Me, headers: HeaderMap) -> Response {
    let view = site.view(Some(&who), &headers, "/history");
    let actions = match actions::history(&site.pool).await {
        Ok(actions) => actions,
        Err(error) => return site.down(&view, &error),
    };
    let actions: Vec<Value> = actions.iter().map(paper::done).collect();
    site.page(StatusCode::OK, &view, "history.html", "History", json!({ "actions": actions }))
}
