//! `POST /v1/mails`.

use axum::extract::{Request, State};
use axum::response::Response;
use web::openapi::Refusals;
use web::{Problem, json};

use super::Api;
use super::answer::{Accepted, accepted};
use super::request;
use crate::asked::MailBody;
use crate::db::{Before, NewMail};
use crate::error::RECIPIENT_LIMITED;
use crate::mailing::{self, Done, Taken};

/// Bodies are at most so long, in bytes: a task of 64 KiB, with room for blanks and escapes.
const LIMIT: usize = 128 * 1024;

/// Send a mail
///
/// The answer comes after the mail is committed: it will be sent as soon as broker and mail server allow. Send an `Idempotency-Key` to be
/// able to repeat a request whose answer was lost: the same request with the same key gets the same id for 24 hours.
#[utoipa::path(
    post,
    path = "/v1/mails",
    tag = "mails",
    operation_id = "send",
    security(("key" = [])),
    request_body = MailBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = r#"^(?!""$)[!-~]+$"#,
            description = "Visible ASCII, such as a UUID. Kept for mails that were taken, for 24 hours, for each API key."),
    ),
    responses(
        Refusals,
        (status = 202, description = "Taken and committed, now or by an earlier request with the same Idempotency-Key.",
            body = Accepted,
            headers(
                ("Idempotency-Replayed" = String, description = "`true` if it was an earlier request."),
                ("RateLimit-Policy" = String, description = "The limit of the key: `q` mails per window of `w` seconds."),
                ("RateLimit" = String, description = "What is left of it: `r` mails; all of it again in `t` seconds."),
            )),
        (status = 401, description = "`unauthorized`: no key, or none that is good"),
        (status = 403, description = "`type-not-allowed`: the key is for other types"),
        (status = 413, description = "`body-too-large`: over 128 KiB"),
        (status = 422, description = "`validation-failed`: the errors name every field. `idempotency-key-reused`: the key \
            stands for another request."),
        (status = 429, description = "`rate-limited`: the key's limit. `recipient-limited`: the recipient's. \
            `too-many-connections`: the connection is closed.",
            headers(
                ("RateLimit-Policy" = String, description = "The limit of the key."),
                ("RateLimit" = String, description = "What is left of it."),
            )),
        (status = 503, description = "`database-unavailable`, `server-timeout`: it may have been done after all; repeat it \
            with the same Idempotency-Key."),
    ),
)]
pub async fn send(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let mut read = request::read(&api, request, LIMIT, "mail").await?;
    let asked =
        read.work(&api, |body, _, rules| json::value(body).and_then(|value| rules.read(value)).map(NewMail::from));
    let mail = match asked.await? {
        Ok(mail) => mail,
        // What was good the first time may not be any more: its time has come, or its type has gone.
        Err(problem) => return read.before(&api).await?.map_or(Err(problem), replayed),
    };
    let repeatable = read.repeatable();
    let request = mailing::Request { mails: vec![mail], refused: None, repeatable: repeatable.as_ref() };
    match api.taker.take(request).await? {
        Done::Before(before) => replayed(before),
        Done::Now(taken) => match taken.first() {
            Some(Taken::As(id)) => Ok(accepted(*id, false)),
            Some(Taken::Limited(wait)) => Err(Problem::new(RECIPIENT_LIMITED).retry_after(*wait)),
            None => Err(Problem::new(web::Kind::INTERNAL_ERROR)),
        },
    }
}

fn replayed(before: Before) -> Result<Response, Problem> {
    let id = before.ids.first().copied().flatten();
    id.map(|id| accepted(id, true)).ok_or_else(|| Problem::new(web::Kind::INTERNAL_ERROR))
}
