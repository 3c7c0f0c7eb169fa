//! Registrations over HTTP, many at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;

/// What the API answered to one registration.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The address that was to be registered.
    pub email: String,
    /// The HTTP status; `None` where no answer came.
    pub status: Option<u16>,
}

/// A number of registrations, some at a time, over whatever instances there are.
#[derive(Debug, Clone)]
pub struct Load {
    urls: Vec<String>,
    name: String,
    done: Arc<AtomicUsize>,
}

impl Load {
    /// `name` keeps the addresses of different loads apart.
    pub fn new(urls: Vec<String>, name: &str) -> Self {
        Self { urls, name: name.to_owned(), done: Arc::default() }
    }

    /// Registrations answered, or given up, so far.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Registers `count` users, `at_once` at a time. Each is tried once.
    pub async fn run(&self, count: usize, at_once: usize) -> Vec<Answer> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        futures_util::stream::iter(0..count)
            .map(|n| self.register(client.clone(), n))
            .buffer_unordered(at_once)
            .collect()
            .await
    }

    async fn register(&self, client: reqwest::Client, n: usize) -> Answer {
        let email = format!("{}-{n}@example.com", self.name);
        let body = json!({ "username": format!("{}-{n}", self.name), "email": email, "password": format!("a long enough one {n}") });
        let url = format!("{}/v1/users", self.urls[n % self.urls.len()]);
        let response = client.post(url).json(&body).send().await;
        self.done.fetch_add(1, Ordering::Relaxed);
        Answer { email, status: response.ok().map(|response| response.status().as_u16()) }
    }
}
