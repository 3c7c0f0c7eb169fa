//! RabbitMQ's management API, as far as tests need it.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

/// The API of one node, with all rights.
#[derive(Debug, Clone)]
pub struct Management {
    base: String,
}

/// What the API says of a queue; the numbers are at most a second or so old.
#[derive(Debug, Clone, Deserialize)]
pub struct QueueInfo {
    /// Its name.
    pub name: String,
    /// `quorum` or `classic`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The arguments it was declared with.
    #[serde(default)]
    pub arguments: serde_json::Map<String, Value>,
    /// Messages that wait.
    #[serde(default, rename = "messages_ready")]
    pub ready: u64,
    /// Messages delivered and not settled.
    #[serde(default, rename = "messages_unacknowledged")]
    pub unacked: u64,
    /// Both.
    #[serde(default, rename = "messages")]
    pub total: u64,
    /// Consumers on it.
    #[serde(default)]
    pub consumers: u64,
}

impl Management {
    pub(crate) fn new(base: &str) -> Self {
        Self { base: base.to_owned() }
    }

    /// Its address, user and password included.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// One request: status and JSON (null when there is none). `path` begins with `/api/`; names in it are to be escaped (`/` is `%2f`).
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<(StatusCode, Value)> {
        // A client each time: its connections belong to the runtime that made them, and tests have one each.
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        let mut request = client.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    async fn expect(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self
            .request(method.clone(), path, body)
            .await
            .unwrap_or_else(|e| panic!("{method} {path} at the broker: {e}"));
        assert!(status.is_success(), "{method} {path} at the broker: {status} {answer}");
        answer
    }

    async fn succeeds(&self, method: Method, path: &str, body: Option<Value>) -> bool {
        self.request(method, path, body).await.is_ok_and(|(status, _)| status.is_success())
    }

    pub(crate) async fn is_up(&self) -> bool {
        self.succeeds(Method::GET, "/api/overview", None).await
    }

    /// The version of the node, such as `3.10.8`.
    pub async fn version(&self) -> String {
        self.expect(Method::GET, "/api/overview", None).await["rabbitmq_version"]
            .as_str()
            .expect("a version")
            .to_owned()
    }

    pub(crate) async fn create_vhost(&self, name: &str) {
        // By definitions: before 3.11 the vhost's own endpoint ignores the default queue type.
        let definitions = json!({
            "vhosts": [{"name": name, "metadata": {"default_queue_type": "quorum"}}],
            "permissions": [{"user": "guest", "vhost": name, "configure": ".*", "write": ".*", "read": ".*"}],
        });
        self.expect(Method::POST, "/api/definitions", Some(definitions)).await;
    }

    /// A user whose password is its name.
    pub(crate) async fn create_user(&self, vhost: &str, user: &str, rights: Value) {
        let password = json!({"password": user, "tags": ""});
        self.expect(Method::PUT, &format!("/api/users/{user}"), Some(password)).await;
        self.expect(Method::PUT, &format!("/api/permissions/{vhost}/{user}"), Some(rights)).await;
    }

    pub(crate) async fn delete_vhost(&self, name: &str) {
        let _ = self.request(Method::DELETE, &format!("/api/vhosts/{name}"), None).await;
    }

    /// What the node calls the quorum queues of all vhosts.
    pub(crate) async fn quorum_queues(&self) -> BTreeSet<String> {
        #[derive(Deserialize)]
        struct Queue {
            name: String,
            vhost: String,
            #[serde(rename = "type")]
            kind: String,
        }
        let queues = self.expect(Method::GET, "/api/queues", None).await;
        let mut queues: Vec<Queue> = serde_json::from_value(queues).expect("queues");
        queues.retain(|queue| queue.kind == "quorum");
        let name = |Queue { name, vhost, .. }| format!("{}_{name}", if vhost == "/" { "%2F" } else { &vhost });
        queues.into_iter().map(name).collect()
    }

    pub(crate) async fn queue(&self, vhost: &str, queue: &str) -> Option<QueueInfo> {
        let path = format!("/api/queues/{vhost}/{queue}");
        let (status, answer) =
            self.request(Method::GET, &path, None).await.expect("the broker's management API answers");
        (status != StatusCode::NOT_FOUND).then(|| serde_json::from_value(answer).expect("a queue"))
    }

    pub(crate) async fn queues(&self, vhost: &str) -> Vec<QueueInfo> {
        serde_json::from_value(self.expect(Method::GET, &format!("/api/queues/{vhost}"), None).await).expect("queues")
    }

    pub(crate) async fn set_policy(&self, vhost: &str, queue: &str, definition: Value) {
        let policy =
            json!({"pattern": format!("^{queue}$"), "apply-to": "queues", "priority": 1, "definition": definition});
        self.expect(Method::PUT, &format!("/api/policies/{vhost}/{queue}"), Some(policy)).await;
    }

    pub(crate) async fn try_quorum_queue(&self, vhost: &str, queue: &str) -> Option<()> {
        let arguments = json!({"durable": true, "arguments": {"x-queue-type": "quorum"}});
        self.succeeds(Method::PUT, &format!("/api/queues/{vhost}/{queue}"), Some(arguments)).await.then_some(())
    }

    pub(crate) async fn delete_queue(&self, vhost: &str, queue: &str) {
        self.expect(Method::DELETE, &format!("/api/queues/{vhost}/{queue}"), None).await;
    }

    pub(crate) async fn policy(&self, vhost: &str, name: &str, pattern: &str, definition: Option<Value>) {
        let path = format!("/api/policies/{vhost}/{name}");
        match definition {
            Some(definition) => {
                let policy = json!({"pattern": pattern, "definition": definition, "apply-to": "queues"});
                self.expect(Method::PUT, &path, Some(policy)).await;
            }
            None => {
                self.expect(Method::DELETE, &path, None).await;
            }
        }
    }

    pub(crate) async fn max_connections(&self, vhost: &str, most: Option<u32>) {
        let path = format!("/api/vhost-limits/{vhost}/max-connections");
        match most {
            Some(most) => self.expect(Method::PUT, &path, Some(json!({"value": most}))).await,
            None => self.expect(Method::DELETE, &path, None).await,
        };
    }

    /// The connections of a vhost: their names at the broker, and those that the clients gave.
    pub(crate) async fn connections(&self, vhost: &str) -> Vec<(String, String)> {
        let all = self.expect(Method::GET, &format!("/api/vhosts/{vhost}/connections"), None).await;
        let all = all.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        all.iter().map(|c| (text(&c["name"]), text(&c["client_properties"]["connection_name"]))).collect()
    }

    pub(crate) async fn close_connection(&self, name: &str) {
        let escaped: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let _ = self.request(Method::DELETE, &format!("/api/connections/{escaped}"), None).await;
    }
}
