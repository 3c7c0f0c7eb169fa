//! Looks at a running service from outside: is it reachable, and does it do what it must? For `helm test`, smoke tests and people.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use platform::backoff::Backoff;
use platform::config::duration;
use reqwest::header::{self, HeaderMap};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is looked at.
// No group of its own: a service may have arguments of the same name around it.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct CheckArgs {
    /// Where it is served, such as http://localhost:8080
    #[arg(value_parser = url)]
    pub url: Url,
    /// How long to try again while nobody answers
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub wait: Duration,
}

/// `http://` and a host. A check of `https://` would be one of the proxy before the service.
fn url(text: &str) -> Result<Url, String> {
    let mut url: Url = text.parse().map_err(|error| format!("not a URL such as http://localhost:8080: {error}"))?;
    // What is joined to a path that does not end so would replace its last part.
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    match url.scheme() {
        "http" if url.has_host() => Ok(url),
        _ => Err("only http:// is checked: point it at the Service, or at a forwarded port".to_owned()),
    }
}

/// A service that answers.
#[derive(Debug)]
pub struct Target<'a> {
    base: &'a Url,
    client: Client,
}

impl<'a> Target<'a> {
    /// Where nobody answers yet, it is tried again for as long as the arguments say: the rules of a new pod's network may come after the
    /// pod.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn reached(args: &'a CheckArgs) -> anyhow::Result<Self> {
        let target = Self { base: &args.url, client: Client::builder().no_proxy().timeout(PATIENCE).build()? };
        target.connects(Instant::now() + args.wait).await?;
        Ok(target)
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

    /// It serves its OpenAPI document. Returns a line that says so.
    ///
    /// # Errors
    /// It does not, or it is something else.
    pub async fn serves_its_description(&self, service: &str) -> anyhow::Result<String> {
        let url = self.url("openapi.json")?;
        let sent = self.client.get(url.clone()).send().await.with_context(|| format!("GET {url}"))?;
        let document = body(sent, StatusCode::OK, &format!("GET {url}")).await?;
        let version = document.pointer("/info/version").and_then(Value::as_str);
        let version = version.with_context(|| format!("GET {url}: this is not {service}'s description"))?;
        Ok(format!("{service} {version} answers at {}", self.base))
    }

    /// What is posted has this answer.
    ///
    /// # Errors
    /// It has another one.
    pub async fn answers(&self, path: &str, sent: &Value, expected: StatusCode) -> anyhow::Result<Value> {
        let (what, answer) = self.post(path, sent).await?;
        body(answer, expected, &what).await
    }

    /// What is posted is refused so, with a problem document: returns the headers and that.
    ///
    /// # Errors
    /// It is not.
    pub async fn refuses(&self, path: &str, sent: &Value, expected: StatusCode) -> anyhow::Result<(HeaderMap, Value)> {
        let (what, answer) = self.post(path, sent).await?;
        let headers = answer.headers().clone();
        let kind = headers.get(header::CONTENT_TYPE);
        ensure!(
            kind.is_some_and(|kind| kind == "application/problem+json"),
            "{what}: refused with {kind:?}, not a problem document (is something in between?)"
        );
        Ok((headers, body(answer, expected, &what).await?))
    }

    async fn post(&self, path: &str, sent: &Value) -> anyhow::Result<(String, Response)> {
        let url = self.url(path)?;
        let what = format!("POST {url}");
        let answer = self.client.post(url).json(sent).send().await.with_context(|| what.clone())?;
        Ok((what, answer))
    }

    fn url(&self, path: &str) -> anyhow::Result<Url> {
        self.base.join(path).with_context(|| format!("append {path} to {}", self.base))
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
