//! The broker, seen through its management API.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::Value;

use crate::forward::Forward;
use crate::wait::until;

/// The vhost that everything is in.
pub const VHOST: &str = "sluice";

/// The management API as one user.
#[derive(Debug)]
pub struct Broker {
    way: Forward,
    http: reqwest::Client,
    user: String,
    password: String,
}

impl Broker {
    pub(crate) async fn of(pods: &Api<Pod>, user: String, password: String) -> Self {
        let way = Forward::to(pods.clone(), "app.kubernetes.io/component=rabbitmq", 15672).await;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        Self { way, http, user, password }
    }

    /// `GET /api/..`: status and body.
    pub async fn get(&self, path: &str) -> Result<(u16, Value), String> {
        self.ask(self.http.get(format!("{}/api/{path}", self.way.url()))).await
    }

    /// `POST /api/..`.
    pub async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value), String> {
        self.ask(self.http.post(format!("{}/api/{path}", self.way.url())).json(body)).await
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<(u16, Value), String> {
        let answer =
            request.basic_auth(&self.user, Some(&self.password)).send().await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        Ok((status, answer.json().await.unwrap_or_default()))
    }

    /// What the broker knows of a queue.
    pub async fn queue(&self, name: &str) -> Result<Value, String> {
        match self.get(&format!("queues/{VHOST}/{name}")).await? {
            (200, queue) => Ok(queue),
            (status, body) => Err(format!("asked for the queue {name}, the broker answers {status} {body}")),
        }
    }

    /// Messages in a queue, ready and unacknowledged. The broker's own number, some seconds old.
    pub async fn messages(&self, queue: &str) -> Result<u64, String> {
        self.queue(queue).await?["messages"].as_u64().ok_or_else(|| "not counted yet".to_owned())
    }

    /// Waits until the queue and the retry queues are empty.
    pub async fn drained(&self, within: Duration) {
        until("all queues but the dead letters are empty", within, async || {
            let (status, queues) = self.get(&format!("queues/{VHOST}")).await?;
            let queues = queues.as_array().ok_or_else(|| format!("the broker answers {status}"))?;
            let waiting =
                |queue: &&Value| queue["name"] != contract::queue::DEAD && queue["messages"].as_u64() != Some(0);
            queues
                .iter()
                .find(waiting)
                .map_or(Ok(()), |queue| Err(format!("{} in {}", queue["messages"], queue["name"])))
        })
        .await;
    }
}
