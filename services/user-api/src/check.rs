//! `user-api check URL`.

use std::str::FromStr;

use anyhow::{Context as _, ensure};
use contract::EmailAddress;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;
use web::check::{CheckArgs, Target};

/// Where users are registered.
const USERS: &str = "v1/users";

/// Looks from outside. Without `register` nothing is left behind: a registration that must be refused is tried. With it, a user with
/// a name and an address of chance is registered at that domain, and a mail goes there.
///
/// Returns one line for each thing that was seen.
///
/// # Errors
/// The first thing that is not as it must be.
pub async fn check(args: &CheckArgs, register: Option<&Domain>) -> anyhow::Result<Vec<String>> {
    let target = Target::reached(args).await?;
    let mut seen = vec![target.serves_its_description("user-api").await?, refuses_what_is_wrong(&target).await?];
    if let Some(domain) = register {
        seen.push(registers(&target, domain).await?);
    }
    Ok(seen)
}

/// Where mails to a user of chance go.
#[derive(Debug, Clone)]
pub struct Domain(String);

impl FromStr for Domain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address: Result<EmailAddress, _> = format!("check@{text}").parse();
        address.map(|_| Self(text.to_owned())).map_err(|_| "not a domain such as example.com".to_owned())
    }
}

async fn refuses_what_is_wrong(target: &Target<'_>) -> anyhow::Result<String> {
    let wrong = json!({"username": "-", "email": "-", "password": "-"});
    let (_, problem) = target.refuses(USERS, &wrong, StatusCode::UNPROCESSABLE_ENTITY).await?;
    let named = problem.pointer("/errors").and_then(Value::as_array).map_or(0, Vec::len);
    ensure!(named == 3, "POST {USERS}: {named} of 3 wrong fields were named");
    Ok("a registration with three wrong fields is refused, and all three are named".to_owned())
}

async fn registers(target: &Target<'_>, domain: &Domain) -> anyhow::Result<String> {
    // The last digits are chance: 62 bits of it.
    let (name, password) = (Uuid::now_v7().simple().to_string(), Uuid::now_v7().simple().to_string());
    let username = format!("check-{}", name.split_at(12).1);
    let user = json!({"username": username, "email": format!("{username}@{}", domain.0), "password": password});
    let registered = target.answers(USERS, &user, StatusCode::CREATED).await?;
    let id = registered.get("id").and_then(Value::as_str).context("no id in the answer")?;
    Ok(format!("a user was registered, with id {id}"))
}
