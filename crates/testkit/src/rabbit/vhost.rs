//! A vhost: what one test sees of a broker.

use std::net::SocketAddr;

use serde_json::json;

use super::client::Client;
use super::management::{Management, QueueInfo};
use super::raw::RawPublisher;
use crate::janitor;

/// A vhost whose default queue type is quorum. One that was made for a test is deleted with this value.
#[derive(Debug)]
pub struct Vhost {
    name: String,
    url: String,
    management: Management,
    temporary: bool,
}

impl Vhost {
    pub(crate) fn root(amqp: SocketAddr, management: SocketAddr) -> Self {
        Self {
            name: "%2f".to_owned(),
            url: format!("amqp://guest:guest@{amqp}/%2f"),
            management: Management::new(&format!("http://guest:guest@{management}")),
            temporary: false,
        }
    }

    pub(crate) async fn create(amqp: &str, management: &str) -> Self {
        let name = format!("test-{}", uuid::Uuid::now_v7().simple());
        let management = Management::new(management);
        management.create_vhost(&name).await;
        Self { url: format!("{amqp}/{name}"), name, management, temporary: true }
    }

    /// Its address for clients, with all rights.
    pub fn amqp_url(&self) -> &str {
        &self.url
    }

    /// Its name, as it stands in URLs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address of the broker's management API, user and password included.
    pub fn management_url(&self) -> &str {
        self.management.url()
    }

    /// The broker's management API.
    pub fn management(&self) -> &Management {
        &self.management
    }

    /// What the broker says of a queue; `None` when there is none of this name.
    pub async fn queue_info(&self, queue: &str) -> Option<QueueInfo> {
        self.management.queue(&self.name, queue).await
    }

    /// All queues.
    pub async fn queues(&self) -> Vec<QueueInfo> {
        self.management.queues(&self.name).await
    }

    /// Gives a queue, by its name, a policy with this definition.
    pub async fn set_policy(&self, queue: &str, definition: serde_json::Value) {
        self.management.set_policy(&self.name, queue, definition).await;
    }

    pub(crate) async fn try_quorum_queue(&self, queue: &str) -> Option<()> {
        self.management.try_quorum_queue(&self.name, queue).await
    }

    /// Deletes a queue and what is in it. Its declaration has to have been answered: on RabbitMQ 3.10, a queue that is deleted while it is
    /// being declared cannot be declared any more (`cluster_not_formed`).
    pub async fn delete_queue(&self, queue: &str) {
        self.management.delete_queue(&self.name, queue).await;
    }

    /// The names that clients gave to their connections here; a new one shows after a moment.
    pub async fn connection_names(&self) -> Vec<String> {
        self.management.connections(&self.name).await.into_iter().map(|(_, name)| name).collect()
    }

    /// What the broker calls the connections whose name (as their clients gave it) contains this: another one for each that
    /// is opened.
    pub async fn connections(&self, named: &str) -> Vec<String> {
        let all = self.management.connections(&self.name).await;
        let mut ids: Vec<_> = all.into_iter().filter(|(_, name)| name.contains(named)).map(|(id, _)| id).collect();
        ids.sort();
        ids
    }

    /// The address for another user, with these rights (regular expressions of names: configure, write, read).
    pub async fn url_of_user(&self, configure: &str, write: &str, read: &str) -> String {
        let user = format!("user-{}", uuid::Uuid::now_v7().simple());
        self.management
            .create_user(&self.name, &user, json!({"configure": configure, "write": write, "read": read}))
            .await;
        self.url.replacen("guest:guest@", &format!("{user}:{user}@"), 1)
    }

    /// A publisher of any bytes.
    pub fn raw_publisher(&self) -> RawPublisher {
        RawPublisher::new(&self.url)
    }

    /// Sets a policy for the queues whose names match; without a definition it is taken back.
    pub async fn policy(&self, name: &str, pattern: &str, definition: Option<serde_json::Value>) {
        self.management.policy(&self.name, name, pattern, definition).await;
    }

    /// From now on there may be so many connections here, or any number: those that stand are left alone, others are refused.
    pub async fn max_connections(&self, most: Option<u32>) {
        self.management.max_connections(&self.name, most).await;
    }

    /// Has the broker close every connection whose name (as its client gave it) contains this; tells how many.
    pub async fn close_connections(&self, named: &str) -> usize {
        let all = self.management.connections(&self.name).await;
        let chosen: Vec<_> = all.into_iter().filter(|(_, name)| name.contains(named)).collect();
        for (id, _) in &chosen {
            self.management.close_connection(id).await;
        }
        chosen.len()
    }

    /// A plain client, without any of our own code for AMQP.
    pub async fn client(&self) -> Client {
        Client::connect(&self.url).await.unwrap_or_else(|e| panic!("connecting to the broker: {e}"))
    }

    pub(crate) async fn try_client(&self) -> Option<()> {
        Client::connect(&self.url).await.ok()?.close().await;
        Some(())
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        if self.temporary {
            let (name, management) = (std::mem::take(&mut self.name), self.management.clone());
            janitor::leave(async move { management.delete_vhost(&name).await });
        }
    }
}
