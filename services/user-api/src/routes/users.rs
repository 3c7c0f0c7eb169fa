//! `POST /v1/users`.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use uuid::Uuid;
use web::middleware::timeout::Received;
use web::openapi::Refusals;
use web::{IDEMPOTENCY_REPLAYED, IdempotencyKey, Kind, Problem, body};

use super::registration_body::{self, RegistrationBody};
use super::{Api, accept_language};
use crate::error::{ALREADY_TAKEN, OVERLOADED};
use crate::registration::{RegisterError, Registered, User};
use crate::telemetry::Outcome;

/// Bodies are at most so long, in bytes.
pub(super) const LIMIT: usize = 16 * 1024;

/// A user that has been registered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserBody {
    /// UUIDv7.
    id: Uuid,
    /// As it was sent.
    #[schema(example = "ada")]
    username: String,
    /// As it was sent.
    #[schema(example = "ada@example.com")]
    email: String,
    /// RFC 3339, in UTC.
    #[schema(example = "2026-11-23T10:00:00.123456Z", format = "date-time")]
    created_at: String,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        // Fails for years beyond 9999 alone.
        let created_at = user.created_at.format(&Rfc3339).unwrap_or_default();
        Self { id: user.id, username: user.username, email: user.email, created_at }
    }
}

/// Register a user
///
/// The welcome mail follows as soon as broker and mail server allow. Send an `Idempotency-Key` to be able to repeat a
/// request whose answer was lost: the same request with the same key gets the same answer for 24 hours.
#[utoipa::path(
    post,
    path = "/v1/users",
    tag = "users",
    operation_id = "register",
    request_body = RegistrationBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = r#"^(?!""$)[!-~]+$"#,
            description = "Visible ASCII, such as a UUID. Kept for registrations that succeed, for 24 hours."),
        ("Accept-Language" = Option<String>, Header, description = "Languages, as browsers send them: the mail is in the one \
            that is wanted most, if the body has no `locale`."),
    ),
    responses(
        Refusals,
        (status = 201, description = "Registered, now or by an earlier request with the same Idempotency-Key.",
            body = UserBody,
            headers(
                ("Idempotency-Replayed" = String, description = "`true` if it was an earlier request that registered."),
                ("RateLimit-Policy" = String, description = "The limit: quota `q` per window of `w` seconds."),
                ("RateLimit" = String, description = "What is left of it: `r` requests; all of it again in `t` seconds."),
            )),
        (status = 409, description = "`already-taken`: the errors name the name, the address, or both."),
        (status = 413, description = "`body-too-large`: over 16 KiB"),
        (status = 422, description = "`validation-failed`: the errors name every field. `idempotency-key-reused`: the key \
            stands for another registration."),
        (status = 429, description = "`rate-limited`. `too-many-connections`: the connection is closed.",
            headers(
                ("RateLimit-Policy" = String, description = "The limit."),
                ("RateLimit" = String, description = "What is left of it."),
            )),
        (status = 503, description = "`overloaded`: nothing was done. `database-unavailable`, `server-timeout`: it may have \
            been done after all; repeat it with the same Idempotency-Key."),
    ),
)]
pub async fn register(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let (outcome, answer) = match attempt(&api, request).await {
        Ok(Registered::Now(user)) => {
            // Written for each of them, this line was a twelfth of the service's time; span, metric and row tell the same.
            tracing::debug!(user.id = %user.id, "registered");
            (Outcome::Created, Ok(created(user)))
        }
        Ok(Registered::Before(user)) => {
            let mut answer = created(user);
            answer.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
            (Outcome::Replayed, Ok(answer))
        }
        Err(problem) => (outcome(problem.kind()), Err(problem)),
    };
    api.metrics.registration(outcome);
    answer
}

async fn attempt(api: &Api, request: Request) -> Result<Registered, Problem> {
    let (head, body) = request.into_parts();
    let key = IdempotencyKey::given(&head.headers)?;
    body::look(&head.headers, LIMIT)?;
    // Said now, a no costs next to nothing.
    api.registrar.look()?;
    let body = body::read(body, LIMIT).await?;
    Received::all_of(&head.extensions);
    let mut asked = registration_body::read(&body)?;
    asked.preferred = accept_language::preferred(&head.headers);
    api.registrar.register(&asked, key.as_ref()).await.map_err(RegisterError::into)
}

fn created(user: User) -> Response {
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    (StatusCode::CREATED, no_store, Json(UserBody::from(user))).into_response()
}

fn outcome(kind: Kind) -> Outcome {
    match kind {
        ALREADY_TAKEN => Outcome::Taken,
        Kind::IDEMPOTENCY_KEY_REUSED => Outcome::KeyReused,
        OVERLOADED => Outcome::Overloaded,
        Kind::DATABASE_UNAVAILABLE => Outcome::DatabaseUnavailable,
        kind if kind.status().is_server_error() => Outcome::Failed,
        _ => Outcome::Invalid,
    }
}
