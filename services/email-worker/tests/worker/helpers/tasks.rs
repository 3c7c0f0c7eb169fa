//! Tasks as they are published, by user-api and by others.

use std::time::{SystemTime, UNIX_EPOCH};

use contract::{TaskId, queue};
use futures_util::StreamExt as _;
use serde_json::json;
use testkit::lapin::BasicProperties;

use super::World;

/// A body with the two fields that every task has.
pub(crate) fn body(email: &str) -> Vec<u8> {
    json!({"email": email, "username": "ada"}).to_string().into_bytes()
}

/// The properties that user-api gives a task.
pub(crate) fn registration(id: TaskId) -> BasicProperties {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    BasicProperties::default()
        .with_message_id(id.to_string().into())
        .with_type("email.welcome".into())
        .with_timestamp(now)
        .with_app_id("user-api".into())
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
}

impl World {
    /// Publishes a task as user-api does.
    pub(crate) async fn register(&self, email: &str) -> TaskId {
        let id = TaskId::new();
        self.publish(email, registration(id)).await;
        id
    }

    /// Publishes many, to `<name>-<n>@example.com`.
    pub(crate) async fn register_many(&self, name: &str, count: usize) {
        let publishing = futures_util::stream::iter(0..count).map(|n| async move {
            self.register(&format!("{name}-{n}@example.com")).await;
        });
        publishing.buffer_unordered(100).collect::<Vec<()>>().await;
    }

    /// Publishes a task with these properties.
    pub(crate) async fn publish(&self, email: &str, properties: BasicProperties) {
        self.client.publish(queue::EMAIL, &body(email), properties).await;
    }
}
