//! `mail-api check URL`.

use anyhow::ensure;
use reqwest::{StatusCode, header};
use serde_json::json;
use web::check::{CheckArgs, Target};

/// Looks from outside, with no key: nothing can be left behind. Returns one line for each thing that was seen.
///
/// # Errors
/// The first thing that is not as it must be.
pub async fn check(args: &CheckArgs) -> anyhow::Result<Vec<String>> {
    let target = Target::reached(args).await?;
    Ok(vec![target.serves_its_description("mail-api").await?, wants_a_key(&target).await?])
}

async fn wants_a_key(target: &Target<'_>) -> anyhow::Result<String> {
    let mail = json!({"type": "email.welcome", "recipient": "check@example.com", "name": "check"});
    let (headers, _) = target.refuses("v1/mails", &mail, StatusCode::UNAUTHORIZED).await?;
    let asked = headers.get(header::WWW_AUTHENTICATE);
    ensure!(asked.is_some_and(|scheme| scheme == "Bearer"), "POST v1/mails: WWW-Authenticate is {asked:?}");
    Ok("a mail without a key is refused".to_owned())
}
