//! Registrations over HTTP.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;

/// A client of user-api that keeps its connections.
#[derive(Debug, Clone)]
pub struct Registrations {
    client: reqwest::Client,
    url: String,
}

/// What one registration came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 201.
    Created,
    /// 429 or 503, and the seconds of its `Retry-After`, if it had one.
    Refused(Option<u64>),
    /// Anything else.
    Other(u16),
    /// No answer at all.
    None,
}

impl Registrations {
    /// Registers at this instance of user-api.
    pub fn at(url: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        Self { client, url: format!("{url}/v1/users") }
    }

    /// Whether anybody answers there at all.
    pub async fn is_up(&self) -> bool {
        self.client.get(&self.url).send().await.is_ok()
    }

    /// Registers user `name`, whose address is `name@example.com`.
    pub async fn register(&self, name: &str) -> Answer {
        let body = serde_json::json!({
            "username": name,
            "email": format!("{name}@example.com"),
            "password": "correct horse battery staple",
        });
        let Ok(response) = self.client.post(&self.url).json(&body).send().await else { return Answer::None };
        let status = response.status();
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        // Read to its end, or the connection could not be used again.
        if response.bytes().await.is_err() {
            return Answer::None;
        }
        match status {
            StatusCode::CREATED => Answer::Created,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Answer::Refused(wait),
            other => Answer::Other(other.as_u16()),
        }
    }

    /// Registers so many, some at a time, each of which has to be accepted: a closed loop.
    ///
    /// # Panics
    /// When one is not.
    pub async fn accept_all(&self, name: &str, count: usize, at_once: usize) {
        use futures_util::StreamExt as _;
        let registering = futures_util::stream::iter(0..count).map(|n| async move {
            let answer = self.register(&format!("{name}-{n}")).await;
            assert_eq!(answer, Answer::Created, "registration {name}-{n} is accepted");
        });
        registering.buffer_unordered(at_once).collect::<Vec<()>>().await;
    }
}
