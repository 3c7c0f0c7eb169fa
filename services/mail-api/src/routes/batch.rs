//! `POST /v1/mails/batch`.

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use web::json::{self, Fields, invalid};
use web::openapi::Refusals;
use web::{FieldError, Problem};

use super::Api;
use super::answer::{self, BatchAnswer, ItemResult};
use super::request::{self, Read};
use crate::asked::{MailBody, Rules};
use crate::db::{Before, NewMail};
use crate::error::RECIPIENT_LIMITED;
use crate::mailing::{self, Done, Taken};

/// Bodies are at most so long, in bytes.
const LIMIT: usize = 4 * 1024 * 1024;

/// Mails as they are asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Batch)]
#[expect(dead_code, reason = "describes what `mails` reads")]
pub(crate) struct BatchBody {
    /// Each is taken or refused by itself.
    #[schema(min_items = 1, max_items = 500)]
    mails: Vec<MailBody>,
}

/// Send up to 500 mails
///
/// Each mail is taken or refused by itself; what is taken is committed together. 202 says that all were taken, 207 that some were not:
/// each has a result of its own, in the order of the request. With the same `Idempotency-Key` the same batch gets the same results for 24
/// hours, if any of its mails was taken.
#[utoipa::path(
    post,
    path = "/v1/mails/batch",
    tag = "mails",
    operation_id = "send_batch",
    security(("key" = [])),
    request_body = BatchBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = r#"^(?!""$)[!-~]+$"#,
            description = "Visible ASCII, such as a UUID. Kept for batches of which a mail was taken, for 24 hours, for each API key."),
    ),
    responses(
        Refusals,
        (status = 202, description = "All were taken and committed, now or by an earlier request with the same Idempotency-Key.",
            body = BatchAnswer,
            headers(
                ("Idempotency-Replayed" = String, description = "`true` if it was an earlier request."),
                ("RateLimit-Policy" = String, description = "The limit of the key: `q` mails per window of `w` seconds."),
                ("RateLimit" = String, description = "What is left of it: `r` mails; all of it again in `t` seconds."),
            )),
        (status = 207, description = "Some were not taken: the results say which, and why. The others are committed.",
            body = BatchAnswer,
            headers(
                ("Idempotency-Replayed" = String, description = "`true` if it was an earlier request."),
                ("RateLimit-Policy" = String, description = "The limit of the key."),
                ("RateLimit" = String, description = "What is left of it."),
            )),
        (status = 401, description = "`unauthorized`: no key, or none that is good"),
        (status = 413, description = "`body-too-large`: over 4 MiB"),
        (status = 422, description = "`validation-failed`: it is no batch, or none of 1 to 500 mails. \
            `idempotency-key-reused`: the key stands for another request."),
        (status = 429, description = "`rate-limited`: the key's limit has no room for all of them; none was taken. \
            `too-many-connections`: the connection is closed.",
            headers(
                ("RateLimit-Policy" = String, description = "The limit of the key."),
                ("RateLimit" = String, description = "What is left of it."),
            )),
        (status = 503, description = "`database-unavailable`, `server-timeout`: it may have been done after all; repeat it \
            with the same Idempotency-Key."),
    ),
)]
pub async fn send_batch(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let mut read = request::read(&api, request, LIMIT, "batch").await?;
    let largest = api.largest_batch;
    let sorting = read.work(&api, move |body, turn, rules| {
        let mails = mails(body, largest)?;
        turn.count(mails.len() - 1)?;
        Ok::<_, Problem>(sorted(&mails, rules))
    });
    let (good, refused) = sorting.await??;
    // What was good the first time may not be any more.
    if refused.iter().any(Option::is_some)
        && let Some(before) = read.before(&api).await?
    {
        return Ok(replayed(before));
    }
    take(&api, &read, good, refused).await
}

/// The mails of a body, not looked at.
fn mails(body: &[u8], largest: usize) -> Result<Vec<&RawValue>, Problem> {
    let mut fields = Fields::of(json::value(body)?)?;
    let list = fields.required_value("mails");
    let wrong = |why: String| invalid(vec![FieldError::field("mails", why)]);
    let mails: Option<Vec<&RawValue>> = match list.map(RawValue::get) {
        Some(text) if text.starts_with('[') => serde_json::from_str(text).ok(),
        Some(_) => fields.wrong("mails", "must be a list"),
        None => None,
    };
    let errors = fields.finish();
    let mails = mails.filter(|_| errors.is_empty()).ok_or_else(|| invalid(errors))?;
    match mails.len() {
        0 => Err(wrong("must not be empty".to_owned())),
        count if count > largest => Err(wrong(format!("has {count} mails, and may have {largest}"))),
        _ => Ok(mails),
    }
}

/// What can be taken, and for each mail why it can't, if it can't.
fn sorted(mails: &[&RawValue], rules: &Rules<'_>) -> (Vec<NewMail>, Vec<Option<ItemResult>>) {
    let mut good = Vec::new();
    let mut refused = Vec::with_capacity(mails.len());
    for mail in mails {
        match rules.read(mail) {
            Ok(asked) => {
                good.push(asked.into());
                refused.push(None);
            }
            Err(problem) => refused.push(Some(ItemResult::refused(&problem))),
        }
    }
    (good, refused)
}

async fn take(
    api: &Api,
    read: &Read,
    good: Vec<NewMail>,
    refused: Vec<Option<ItemResult>>,
) -> Result<Response, Problem> {
    let repeatable = read.repeatable();
    let taken = if good.is_empty() {
        Vec::new()
    } else {
        let kept = repeatable.as_ref().map(|_| kept(&refused));
        let request = mailing::Request { mails: good, refused: kept, repeatable: repeatable.as_ref() };
        match api.taker.take(request).await? {
            Done::Before(before) => return Ok(replayed(before)),
            Done::Now(taken) => taken,
        }
    };
    let mut taken = taken.into_iter().map(result);
    // Those that were not refused, in their order.
    let results = refused.into_iter().filter_map(|refused| refused.or_else(|| taken.next()));
    Ok(answer::batch(results.collect(), false))
}

fn result(taken: Taken) -> ItemResult {
    match taken {
        Taken::As(id) => ItemResult::taken(id),
        Taken::Limited(wait) => ItemResult::refused(&Problem::new(RECIPIENT_LIMITED).retry_after(wait)),
    }
}

/// Beside the idempotency key: status and problem of what was refused, null for what was not.
fn kept(results: &[Option<ItemResult>]) -> Value {
    let kept = |result: &Option<ItemResult>| serde_json::to_value(result).unwrap_or_default();
    results.iter().map(kept).collect::<Vec<_>>().into()
}

/// What was neither taken nor refused was too much for its recipient.
fn replayed(before: Before) -> Response {
    let mut ids = before.ids.into_iter();
    let limited = || ItemResult::refused(&Problem::new(RECIPIENT_LIMITED));
    let kept = before.refused.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let result = |kept: &Value| match refused(kept) {
        Some(refused) => refused,
        None => ids.next().flatten().map_or_else(limited, ItemResult::taken),
    };
    answer::batch(kept.iter().map(result).collect(), true)
}

fn refused(kept: &Value) -> Option<ItemResult> {
    let status = kept.get("status")?.as_u64().and_then(|status| u16::try_from(status).ok())?;
    Some(ItemResult { status, id: None, problem: kept.get("problem").cloned() })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;
    use time::OffsetDateTime;

    use super::*;
    use crate::asked::LARGEST_BATCH;
    use crate::keys::Scope;

    /// With `--release --ignored --nocapture`, on a machine with nothing else to do.
    #[test]
    #[ignore = "prints figures"]
    #[allow(clippy::print_stderr, reason = "the figures are for people")]
    fn how_long_a_batch_is_read() {
        let scope = Scope::default();
        let mail = |data: &Value| json!({"type": "shop.order", "recipient": "ada@example.com", "data": data});
        let long = json!({"text": "x".repeat(8_200)});
        let small = json!({"order": "A-17", "total": "49.90"});
        let many: Value = (0..1_000).map(|n| json!({(n % 10).to_string(): n % 10})).collect::<Vec<_>>().into();
        for (what, data) in [("usual", small), ("4 MiB of text", long), ("4 MiB of many values", json!({"list": many}))]
        {
            for count in [1, 50, LARGEST_BATCH] {
                let body = json!({"mails": vec![mail(&data); count]}).to_string();
                assert!(body.len() <= LIMIT, "{}", body.len());
                let mut times: Vec<(Duration, Duration, Duration)> =
                    (0..21).map(|_| once(&body, &scope, count)).collect();
                times.sort_unstable();
                let (all, read, printed) = times[10];
                eprintln!(
                    "{what}, {count} mails, {} KiB: {all:?} ({read:?} and {printed:?} for the key)",
                    body.len() / 1024
                );
            }
        }
    }

    fn once(body: &str, scope: &Scope, count: usize) -> (Duration, Duration, Duration) {
        let began = Instant::now();
        let mails = mails(body.as_bytes(), LARGEST_BATCH).unwrap();
        let (good, _) = sorted(&mails, &Rules { scope, types: None, now: OffsetDateTime::UNIX_EPOCH });
        let read = began.elapsed();
        assert_eq!(good.len(), count);
        request::fingerprint("batch", body.as_bytes());
        (began.elapsed(), read, began.elapsed().saturating_sub(read))
    }
}
