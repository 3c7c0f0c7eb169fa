//! What is served, and where.

use std::path::Path as Directory;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use mail::{Language, MailOptions, MailType, MailTypes, Rendered, Types, Watched};

use super::asked::Asked;
use super::changes::Changes;
use super::page::{Mail, Page, Pages};
use super::{guard, view, written};

/// What all pages are made of.
#[derive(Debug)]
pub(super) struct Site {
    directory: String,
    types: Types,
    changes: Changes,
    options: MailOptions,
    pages: Pages,
}

impl Site {
    pub(super) fn new(directory: &Directory, watched: &Watched, options: MailOptions) -> anyhow::Result<Self> {
        Ok(Self {
            directory: directory.display().to_string(),
            types: watched.types(),
            changes: Changes::new(watched.state()),
            options,
            pages: Pages::new()?,
        })
    }

    fn page(&self, status: StatusCode, types: &MailTypes, mail: Option<Mail>, missing: Option<String>) -> Response {
        let (state, version) = self.changes.now();
        let title =
            mail.as_ref().map_or_else(|| "Mails".to_owned(), |mail| format!("{} {}", mail.mail_type, mail.language));
        let page = Page {
            title,
            directory: self.directory.clone(),
            version,
            problems: state.refused.iter().flat_map(|refused| refused.iter().map(ToString::to_string)).collect(),
            built_in_alone: types.iter().all(MailType::is_built_in),
            types: view::types(types, mail.as_ref().map(|mail| &*mail.path)),
            missing,
            mail,
        };
        match self.pages.html(&page) {
            Ok(html) => (status, Html(html)).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
        }
    }

    fn missing(&self, types: &MailTypes, what: String) -> Response {
        self.page(StatusCode::NOT_FOUND, types, None, Some(what))
    }

    /// Gives the mail that is asked for, or says why not.
    fn mail(&self, which: &Which, query: Option<&str>, give: impl FnOnce(&Rendered, &Asked) -> Response) -> Response {
        let (types, asked) = (self.types.current(), Asked::of(query));
        match find(&types, which) {
            Ok((mail_type, language)) => match written::written(&types, mail_type, language, &asked, &self.options) {
                Ok(mail) => give(&mail, &asked),
                Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")).into_response(),
            },
            Err(what) => self.missing(&types, what),
        }
    }
}

type Shared = State<Arc<Site>>;
/// A type and a language, as a path has them.
type Which = (String, String);

pub(super) fn all(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(start))
        .route("/mails/{type}/{language}", get(mail))
        .route("/mails/{type}/{language}/html", get(html))
        .route("/mails/{type}/{language}/mail.eml", get(eml))
        .route("/changes/{seen}", get(async |State(site): Shared, Path(seen): Path<String>| site.changes.since(&seen)))
        .route("/page.css", get(async || ([(header::CONTENT_TYPE, "text/css")], include_str!("page.css"))))
        .route("/page.js", get(async || ([(header::CONTENT_TYPE, "text/javascript")], include_str!("page.js"))))
        .fallback(nothing)
        .with_state(site)
}

async fn start(State(site): Shared) -> Response {
    site.page(StatusCode::OK, &site.types.current(), None, None)
}

async fn nothing(State(site): Shared, uri: Uri) -> Response {
    site.missing(&site.types.current(), format!("There is nothing at {}.", uri.path()))
}

async fn mail(State(site): Shared, Path(which): Path<Which>, RawQuery(query): RawQuery) -> Response {
    let (types, asked) = (site.types.current(), Asked::of(query.as_deref()));
    match find(&types, &which) {
        Ok((mail_type, language)) => {
            let mail = view::mail(&types, mail_type, language, &asked, &site.options);
            let status = if mail.error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
            site.page(status, &types, Some(mail), None)
        }
        Err(what) => site.missing(&types, what),
    }
}

async fn html(State(site): Shared, Path(which): Path<Which>, RawQuery(query): RawQuery) -> Response {
    site.mail(&which, query.as_deref(), |mail, asked| {
        let policy = if asked.pictures { guard::MAIL_WITH_PICTURES } else { guard::MAIL };
        let html = mail.html().unwrap_or_default().to_owned();
        ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
    })
}

async fn eml(State(site): Shared, Path(which): Path<Which>, RawQuery(query): RawQuery) -> Response {
    let (mail_type, language) = &which;
    // Of letters, digits and marks that need no quoting, or there is no such mail.
    let file = format!("attachment; filename=\"{mail_type}.{language}.eml\"");
    site.mail(&which, query.as_deref(), |mail, _| {
        let headers = [(header::CONTENT_TYPE, "message/rfc822"), (header::CONTENT_DISPOSITION, &file)];
        (headers, mail.bytes().to_vec()).into_response()
    })
}

fn find<'a>(types: &'a MailTypes, (name, tag): &Which) -> Result<(&'a MailType, &'a Language), String> {
    let mail_type = types.get(name).ok_or_else(|| format!("There is no type {name}."))?;
    let language = mail_type.languages().find(|language| language.as_str() == tag);
    Ok((mail_type, language.ok_or_else(|| format!("{name} has no language {tag}."))?))
}
