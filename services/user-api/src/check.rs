//! `user-api check URL`: is an installation reachable, and does it do what it must? For `helm test`, smoke tests and people.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use contract::EmailAddress;
use platform::backoff::Backoff;
use reqwest::{Client, Response, StatusCode, Url, header};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks from outside. Without `register` nothing is left behind: a registration that must be refused is tried. With it, a user with
/// a name and an address of chance is registered at that domain, and a mail goes there.
///
/// Where nobody answers yet, it is tried again for `wait`: the rules of a new pod's network may come after the pod.
///
/// Returns one line for each thing that was seen.
///
/// # Errors
/// The first thing that is not as it must be.
pub async fn check(url: &Url, register: Option<&Domain>, wait: Duration) -> anyhow::Result<Vec<String>> {
    let target = Target { base: url, client: Client::builder().no_proxy().timeout(PATIENCE).build()? };
    target.connects(Instant::now() + wait).await?;
    let mut seen = vec![target.serves_its_description().await?, target.refuses_what_is_wrong().await?];
    if let Some(domain) = register {
        seen.push(target.registers(domain).await?);
    }
    Ok(seen)
}

/// `http://` and a host. A check of `https://` would be one of the proxy before the service.
///
/// # Errors
/// What is wrong with it.
pub fn target(text: &str) -> Result<Url, String> {
    let mut url: Url = text.parse().map_err(|error| format!("not a URL such as http://user-api: {error}"))?;
    // What is joined to a path that does not end so would replace its last part.
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    match url.scheme() {
        "http" if url.has_host() => Ok(url),
        _ => Err("only http:// is checked: point it at the Service, or at a forwarded port".to_owned()),
    }
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

struct Target<'a> {
    base: &'a Url,
    client: Client,
}

impl Target<'_> {
    fn url(&self, path: &str) -> anyhow::Result<Url> {
        self.base.join(path).with_context(|| format!("append {path} to {}", self.base))
    }

    async fn connects(&self, until: Instant) -> anyhow::Result<()> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            match self.client.head(self.base.clone()).send().await {
                Err(error) if error.is_connect() && Instant::now() < until => sleep(backoff.next_delay()).await,
                Err(error) => return Err(error).with_context(|| format!("connect to {}", self.base)),
                Ok(_) => return Ok(()),
            }
        }
    }

    async fn serves_its_description(&self) -> anyhow::Result<String> {
        let url = self.url("openapi.json")?;
        let sent = self.client.get(url.clone()).send().await.with_context(|| format!("GET {url}"))?;
        let document = body(sent, StatusCode::OK, &format!("GET {url}")).await?;
        let version = document.pointer("/info/version").and_then(Value::as_str);
        let version = version.with_context(|| format!("GET {url}: this is not user-api's description"))?;
        Ok(format!("user-api {version} answers at {}", self.base))
    }

    async fn refuses_what_is_wrong(&self) -> anyhow::Result<String> {
        let (what, sent) = self.post(&json!({"username": "-", "email": "-", "password": "-"})).await?;
        let kind = sent.headers().get(header::CONTENT_TYPE).cloned();
        ensure!(
            kind.as_ref().is_some_and(|kind| kind == "application/problem+json"),
            "{what}: refused with {kind:?}, not a problem document (is something in between?)"
        );
        let problem = body(sent, StatusCode::UNPROCESSABLE_ENTITY, &what).await?;
        let named = problem.pointer("/errors").and_then(Value::as_array).map_or(0, Vec::len);
        ensure!(named == 3, "{what}: {named} of 3 wrong fields were named");
        Ok("a registration with three wrong fields is refused, and all three are named".to_owned())
    }

    async fn registers(&self, domain: &Domain) -> anyhow::Result<String> {
        // The last digits are chance: 62 bits of it.
        let (name, password) = (Uuid::now_v7().simple().to_string(), Uuid::now_v7().simple().to_string());
        let username = format!("check-{}", name.split_at(12).1);
        let user = json!({"username": username, "email": format!("{username}@{}", domain.0), "password": password});
        let (what, sent) = self.post(&user).await?;
        let registered = body(sent, StatusCode::CREATED, &what).await?;
        let id =
            registered.get("id").and_then(Value::as_str).with_context(|| format!("{what}: no id in the answer"))?;
        Ok(format!("a user was registered, with id {id}"))
    }

    async fn post(&self, user: &Value) -> anyhow::Result<(String, Response)> {
        let url = self.url("v1/users")?;
        let what = format!("POST {url}");
        let sent = self.client.post(url).json(user).send().await.with_context(|| what.clone())?;
        Ok((what, sent))
    }
}

async fn body(response: Response, expected: StatusCode, what: &str) -> anyhow::Result<Value> {
    let status = response.status();
    let body = response.text().await.with_context(|| format!("{what}: reading the answer"))?;
    ensure!(
        status == expected,
        "{what}: {status} instead of {expected}: {}",
        body.chars().take(300).collect::<String>()
    );
    serde_json::from_str(&body).with_context(|| format!("{what}: the answer is not JSON"))
}
