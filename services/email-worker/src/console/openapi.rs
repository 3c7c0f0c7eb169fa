//! The OpenAPI document of `/v1`, generated from the types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Header, Object, Ref, RefOr, Response, ResponseBuilder, Type};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};
use web::{Kind, ProblemBody};

use super::dead_letters::api as dead_letters;
use super::queues::Depth;
use super::{api, door};
use crate::controls::paper::{ActionObject, ControlObject};
use crate::dead_letters::LetterObject;
use crate::dead_letters::jobs::paper::JobObject;
use crate::mail_log::paper::MailObject;

/// The document as it is committed and served; a test holds it against [`generate`].
pub const COMMITTED: &str = include_str!("../../openapi.json");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sluice console API",
        description = "What became of mails, what waits, and hands on the valve. A viewer's token reads, an operator's acts too, and what \
            it does stands in the history by name. Every error is `application/problem+json` (RFC 9457); the last part of its `type`, \
            such as `validation-failed`, is stable, and the path leads to an explanation.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        api::mail,
        api::search,
        api::queues,
        api::fleet,
        api::sending,
        api::pause,
        api::resume,
        api::limit,
        api::unlimit,
        api::close_circuit,
        api::history,
        dead_letters::list,
        dead_letters::letter,
        dead_letters::redrive,
        dead_letters::discard,
        dead_letters::jobs,
        dead_letters::job,
        dead_letters::stop,
    ),
    components(schemas(ProblemBody)),
    modifiers(&Tokens),
    tags(
        (name = "mails", description = "What became of mails"),
        (name = "sending", description = "What waits, what holds, what was done"),
        (name = "dead letters", description = "Mails that were given up, and what is done with them"),
    ),
)]
struct Document;

/// How a program says who it is.
struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.description = Some("A token of CONSOLE_TOKENS.".to_owned());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// The document as text, with a line break at the end.
///
/// # Errors
/// Never in practice: it consists of texts and numbers.
pub fn generate() -> Result<String, serde_json::Error> {
    web::openapi::written(Document::openapi())
}

/// Every kind of problem that a program can meet here.
pub fn kinds() -> impl Iterator<Item = Kind> {
    let own = [
        door::UNAUTHORIZED,
        door::FORBIDDEN,
        door::FOREIGN,
        api::NO_KEY,
        api::TOO_MANY_QUEUES,
        api::BROKER_UNAVAILABLE,
    ];
    let of_letters = [dead_letters::INVALID_QUERY, dead_letters::BEING_READ, dead_letters::OTHERWISE];
    // Nothing here has such a key.
    let general = Kind::GENERAL.into_iter().filter(|kind| !kind.slug().contains("idempotency"));
    general.chain(own).chain(of_letters)
}

/// What every route may answer.
pub(super) struct Always;

impl IntoResponses for Always {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let header = |description: &str| {
            let mut header = Header::new(Object::with_type(Type::String));
            header.description = Some(description.to_owned());
            header
        };
        let again = || header("Seconds to wait.");
        responses([
            (400, problem("`bad-request`")),
            (401, problem("`unauthorized`: no token, or none that is good").header("WWW-Authenticate", header("`Bearer`"))),
            (404, problem("`not-found`")),
            (405, problem("`method-not-allowed`").header("Allow", header("What is allowed."))),
            (408, problem("`request-timeout`: the request did not arrive in time; the connection is closed.")),
            (414, problem("`uri-too-long`; the connection is closed.")),
            (
                429,
                problem("`rate-limited`: too many tokens were tried that are none. `too-many-connections`; the connection is closed.")
                    .header("Retry-After", again()),
            ),
            (431, problem("`head-too-large`; the connection is closed.")),
            (500, problem("`internal-error`")),
            (
                503,
                problem("`database-unavailable`, `broker-unavailable`, `server-timeout`, `dead-letters-being-read`")
                    .header("Retry-After", again()),
            ),
        ])
    }
}

/// What routes with a body may answer, beside.
pub(super) struct Body;

impl IntoResponses for Body {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses([
            (400, problem("`malformed-json`, `bad-request`")),
            (413, problem("`body-too-large`: over 16 KiB")),
            (415, problem("`unsupported-media-type`: not JSON in UTF-8")),
            (422, problem("`validation-failed`")),
        ])
    }
}

/// What routes for operators may answer, beside.
pub(super) struct Acts;

impl IntoResponses for Acts {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses([(
            403,
            problem("`forbidden`: the token is a viewer's. `sent-by-another-site`: a browser sent it without a token"),
        )])
    }
}

/// What routes whose query is read may answer, beside.
pub(super) struct Queried;

impl IntoResponses for Queried {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses([(400, problem("`invalid-query`, `bad-request`"))])
    }
}

fn responses<const N: usize>(all: [(u16, ResponseBuilder); N]) -> BTreeMap<String, RefOr<Response>> {
    all.into_iter().map(|(status, response)| (status.to_string(), response.build().into())).collect()
}

fn problem(description: &str) -> ResponseBuilder {
    let body = Content::new(Some(Ref::from_schema_name(ProblemBody::name())));
    ResponseBuilder::new().description(description).content("application/problem+json", body)
}

/// Whom or what to look for: either of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub(super) struct Search {
    /// The address that mails went to. It is hashed in memory.
    #[schema(example = "ada@example.com", format = "idn-email", max_length = 254)]
    recipient: Option<String>,
    /// The id of a trace.
    #[schema(pattern = "^[0-9a-fA-F]{31}[1-9a-fA-F]$")]
    trace: Option<String>,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Found {
    /// The latest first.
    mails: Vec<MailObject>,
}

/// What waits.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Queues {
    queues: Vec<Depth>,
}

/// What holds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Controls {
    controls: Vec<ControlObject<'static>>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct History {
    actions: Vec<ActionObject<'static>>,
}

/// How it went.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    /// Was there anything to do?
    done: bool,
}

/// A pause. Either a type or a domain; neither: of all mails.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub(super) struct Paused {
    /// Of mails of this type.
    #[schema(example = "shop.receipt", max_length = 100, pattern = r"^[A-Za-z0-9-][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$")]
    r#type: Option<String>,
    /// Of mails to this domain.
    #[schema(example = "gmail.com", max_length = 100, pattern = r"^[a-z]{1,20}(\.[a-z]{2,20}){1,3}$")]
    domain: Option<String>,
    /// It ends by itself after so long.
    #[schema(example = "30m", pattern = "^[1-9][0-9]{0,3}[smhd]$")]
    r#for: Option<String>,
    /// Why, for the others.
    #[schema(pattern = r"^[^\u0000]*$")]
    reason: Option<String>,
}

/// A limit. Either of a type or of a domain; neither: of all mails.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub(super) struct Limited {
    /// Of mails of this type.
    #[schema(example = "shop.receipt", max_length = 100, pattern = r"^[A-Za-z0-9-][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$")]
    r#type: Option<String>,
    /// Of mails to this domain.
    #[schema(example = "gmail.com", max_length = 100, pattern = r"^[a-z]{1,20}(\.[a-z]{2,20}){1,3}$")]
    domain: Option<String>,
    /// Mails a second, a minute or an hour, over the whole fleet; 0 is no limit.
    #[schema(example = "5/s", pattern = "^(0|[1-9][0-9]{0,3}(/[smh])?)$")]
    rate: String,
    /// And so many at once in one worker; of a type or a domain alone.
    #[schema(minimum = 1, maximum = 1000)]
    at_once: Option<u16>,
    /// It ends by itself after so long.
    #[schema(example = "30m", pattern = "^[1-9][0-9]{0,3}[smhd]$")]
    r#for: Option<String>,
    /// Why, for the others.
    #[schema(pattern = r"^[^\u0000]*$")]
    reason: Option<String>,
}

/// Why something is done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub(super) struct Reasoned {
    /// Why, for the others.
    #[schema(pattern = r"^[^\u0000]*$")]
    reason: Option<String>,
}

/// What is to end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub(super) struct Cleared {
    /// Of mails of this type.
    #[schema(example = "shop.receipt", max_length = 100, pattern = r"^[A-Za-z0-9-][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$")]
    r#type: Option<String>,
    /// Of mails to this domain.
    #[schema(example = "gmail.com", max_length = 100, pattern = r"^[a-z]{1,20}(\.[a-z]{2,20}){1,3}$")]
    domain: Option<String>,
    /// Why, for the others.
    #[schema(pattern = r"^[^\u0000]*$")]
    reason: Option<String>,
}

/// Dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Letters {
    /// As of when; RFC 3339.
    as_of: String,
    /// How many there are.
    total: u64,
    /// How many of them are too many to be listed.
    not_listed: u64,
    /// How many are meant.
    meant: u64,
    /// The same by reason, type and domain.
    by: By,
    /// At most `limit` of them.
    letters: Vec<LetterObject<'static>>,
}

/// How many of each.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct By {
    reason: BTreeMap<String, u64>,
    #[serde(rename = "type")]
    kind: BTreeMap<String, u64>,
    domain: BTreeMap<String, u64>,
}

/// A dead letter and its task.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LetterWithTask {
    #[serde(flatten)]
    letter: LetterObject<'static>,
    /// Its task.
    task: String,
}

/// A text without NUL.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(pattern = r"^[^\u0000]*$")]
#[expect(dead_code, reason = "describes what is read field by field")]
pub(super) struct Word(String);

/// Which letters are meant: those that fit all that is said; all, where nothing is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub(super) struct Meant {
    /// The one with this id.
    #[schema(pattern = r"^[^\u0000]*$")]
    id: Option<String>,
    /// Those with one of these reasons.
    #[schema(example = json!(["mailbox-full"]), value_type = Option<Vec<Word>>)]
    reasons: Option<Vec<String>>,
    /// Those of one of these types; `none` is a bare task.
    #[schema(value_type = Option<Vec<Word>>)]
    types: Option<Vec<String>>,
    /// Those to one of these domains.
    #[schema(value_type = Option<Vec<Word>>)]
    domains: Option<Vec<String>>,
    /// Dead for no longer than this.
    #[schema(example = "2h", pattern = "^[1-9][0-9]{0,3}[smhd]$")]
    since: Option<String>,
    /// Dead for longer than this.
    #[schema(example = "30m", pattern = "^[1-9][0-9]{0,3}[smhd]$")]
    older_than: Option<String>,
    /// Letters a second, at most; 500 without it.
    #[schema(minimum = 1, maximum = 10000)]
    per_second: Option<u32>,
    /// How many you believe them to be: if they are not, nothing is done.
    #[schema(minimum = 0)]
    expected: Option<u64>,
    /// Why, for the others.
    #[schema(pattern = r"^[^\u0000]*$")]
    reason: Option<String>,
}

/// Jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Jobs {
    jobs: Vec<JobObject<'static>>,
}
