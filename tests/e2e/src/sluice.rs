//! One installation of Sluice in a namespace of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::discovery::ApiResource;
use serde_json::{Value, json};

use crate::api::LOAD;
use crate::broker::Broker;
use crate::context::Cluster;
use crate::discretion::nothing_is_given_away;
use crate::helm::Helm;
use crate::inbox::Inbox;
use crate::namespace::Namespace;
use crate::pods;
use crate::wait::until;

/// The release's name in every test, unless the test is about names.
pub const RELEASE: &str = "sluice";
/// The deployment that takes registrations.
pub const USER_API: &str = "sluice-user-api";
/// The deployment that takes mails over HTTP, where it is wanted.
pub const MAIL_API: &str = "sluice-mail-api";
/// The deployment that sends mails.
pub const EMAIL_WORKER: &str = "sluice-email-worker";

/// An installation. Dropped, its namespace is deleted.
pub struct Sluice {
    /// Helm in its namespace.
    pub helm: Helm,
    /// Its pods.
    pub pods: Api<Pod>,
    /// Its namespace's name.
    pub namespace: String,
    /// Where it runs.
    pub cluster: Cluster,
    /// What the release was installed with.
    pub values: Value,
    home: Namespace,
}

impl Sluice {
    /// `helm install` into a new namespace with the suite's values, and these over them.
    pub async fn install(cluster: &Cluster, subject: &str, values: Value) -> Self {
        let sluice = Self::prepare(cluster, subject, values).await;
        sluice.helm.install(RELEASE, &sluice.values).await.out();
        sluice
    }

    /// The same without the installation: a namespace, and values for it.
    pub async fn prepare(cluster: &Cluster, subject: &str, values: Value) -> Self {
        let home = Namespace::create(cluster, subject).await;
        let namespace = home.name.clone();
        let values = merged(merged(images(), suite_values()), values);
        Self {
            helm: Helm::new(cluster, &namespace),
            pods: Api::namespaced(cluster.client.clone(), &namespace),
            cluster: cluster.clone(),
            namespace,
            values,
            home,
        }
    }

    /// Its values with others over them.
    pub fn values_with(&self, over: Value) -> Value {
        merged(self.values.clone(), over)
    }

    /// `helm upgrade` with other values over those of the installation.
    pub async fn upgrade(&self, over: Value) {
        self.helm.upgrade(RELEASE, &self.values_with(over)).await.out();
    }

    /// Takes all of it away, in the background. Before that its logs are looked through: no test may have made it talkative.
    pub async fn remove(self) {
        nothing_is_given_away(&self).await;
        self.home.delete().await;
    }

    /// Objects of a kind in its namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// Objects of a kind that KEDA defines.
    pub fn keda(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        let resource = ApiResource {
            group: "keda.sh".into(),
            version: "v1alpha1".into(),
            api_version: "keda.sh/v1alpha1".into(),
            kind: kind.into(),
            plural: plural.into(),
        };
        Api::namespaced_with(self.cluster.client.clone(), &self.namespace, &resource)
    }

    /// Its inbox.
    pub async fn inbox(&self) -> Inbox {
        Inbox::of(&self.pods).await
    }

    /// Its broker's management API, as a user that a secret names.
    pub async fn broker(&self, user: &str) -> Broker {
        let (name, password) = self.login(&format!("{RELEASE}-rabbitmq-{user}")).await;
        Broker::of(&self.pods, name, password).await
    }

    /// One value of a secret.
    pub async fn secret(&self, name: &str, key: &str) -> String {
        let secret = self.api::<Secret>().get(name).await.unwrap_or_else(|error| panic!("the secret {name}: {error}"));
        let value = secret.data.unwrap_or_default().remove(key).unwrap_or_else(|| panic!("{key} in the secret {name}"));
        String::from_utf8(value.0).unwrap()
    }

    /// User and password in a secret.
    pub async fn login(&self, secret: &str) -> (String, String) {
        (self.secret(secret, "username").await, self.secret(secret, "password").await)
    }

    /// Rows of a query in a service's database, asked by the service's own role.
    pub async fn query(&self, service: &str, sql: &str) -> Result<Vec<String>, String> {
        let database = self.secret(&format!("{RELEASE}-postgresql-{service}"), "dbname").await;
        self.query_in(&database, service, sql).await
    }

    /// The same in any database.
    pub async fn query_in(&self, database: &str, service: &str, sql: &str) -> Result<Vec<String>, String> {
        let (role, password) = self.login(&format!("{RELEASE}-postgresql-{service}")).await;
        let password = format!("PGPASSWORD={password}");
        let psql = ["env", &password, "psql", "-h", "127.0.0.1", "-U", &role, "-d", database, "-Atc", sql];
        let rows = pods::exec(&self.pods, &format!("{RELEASE}-postgresql-0"), "postgresql", &psql).await?;
        Ok(rows.lines().map(str::to_owned).collect())
    }

    /// Addresses of everyone registered.
    pub async fn users(&self) -> Result<BTreeSet<String>, String> {
        Ok(self.query("user-api", "SELECT email FROM users").await?.into_iter().collect())
    }

    /// Waits until everyone registered has a mail, and looks that nobody has two.
    pub async fn everyone_is_mailed_once(&self) {
        let users = self.users().await.unwrap();
        let inbox = self.inbox().await;
        inbox.has_mail_for(&users, Duration::from_secs(90)).await;
        assert_eq!(inbox.repeated().await, Vec::<String>::new(), "nobody is mailed twice");
    }

    /// A deployment as it is now.
    pub async fn deployment(&self, name: &str) -> Deployment {
        self.api::<Deployment>().get(name).await.unwrap_or_else(|error| panic!("the deployment {name}: {error}"))
    }

    /// Replicas that a deployment is to have.
    pub async fn replicas(&self, name: &str) -> i32 {
        self.deployment(name).await.spec.and_then(|spec| spec.replicas).unwrap_or(1)
    }

    /// `kubectl scale deployment NAME --replicas N`.
    pub async fn scale(&self, name: &str, replicas: i32) {
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        self.api::<Deployment>().patch_scale(name, &PatchParams::default(), &patch).await.expect("scaling");
    }

    /// Waits until a deployment has so many replicas, all ready, and no others are left.
    pub async fn settled(&self, name: &str, replicas: i32, within: Duration) {
        until(&format!("{name} has {replicas} ready replicas"), within, async || {
            let deployment = self.deployment(name).await;
            let wanted = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
            let status = deployment.status.unwrap_or_default();
            let (all, ready) = (status.replicas.unwrap_or(0), status.ready_replicas.unwrap_or(0));
            let as_wanted = wanted == replicas && all == replicas && ready == replicas;
            as_wanted.then_some(()).ok_or_else(|| format!("{wanted} wanted, {all} there, {ready} ready"))
        })
        .await;
    }

    /// Waits until every replica of a stateful set is ready in its newest form.
    pub async fn stateful_set_ready(&self, name: &str, replicas: i32, within: Duration) {
        until(&format!("{name} has {replicas} ready pods"), within, async || {
            let set = self.api::<StatefulSet>().get(name).await.map_err(|error| error.to_string())?;
            let status = set.status.unwrap_or_default();
            let (ready, updated) =
                (status.ready_replicas.unwrap_or(0), status.current_revision == status.update_revision);
            let seen = status.observed_generation == set.metadata.generation;
            (ready == replicas && updated && seen)
                .then_some(())
                .ok_or_else(|| format!("{ready} ready, newest: {updated}"))
        })
        .await;
    }

    /// Pods of a component: `user-api`, `email-worker`, `rabbitmq`, ..
    pub async fn pods_of(&self, component: &str) -> Vec<Pod> {
        pods::list(&self.pods, &format!("app.kubernetes.io/component={component},!{}", pods::OURS)).await
    }
}

/// Names the tag of the images; without it the charts' own.
const TAG: &str = "SLUICE_E2E_TAG";
/// Names another tag, for an upgrade.
const NEXT_TAG: &str = "SLUICE_E2E_NEXT_TAG";

/// Values that choose the images to begin with.
fn images() -> Value {
    images_of(TAG)
}

/// Values that choose newer images of the services.
pub fn next_images() -> Value {
    images_of(NEXT_TAG)
}

fn images_of(variable: &str) -> Value {
    let tag = std::env::var(variable).unwrap_or_default();
    let image = json!({ "image": { "tag": tag } });
    json!({ "userApi": image, "emailWorker": image, "mailApi": image })
}

/// What every test installs: small, open to fast tests, and reachable by the suite's load.
fn suite_values() -> Value {
    json!({
        "userApi": {
            "replicas": 1,
            "appEnv": "development",
            "rateLimit": { "requests": 0 },
            // Two cores are shared by everything: the cost of passwords is not what is tried here.
            "extraEnv": [{ "name": "HASH_COST", "value": "cheap" }],
            "resources": { "requests": { "cpu": "20m" } },
        },
        "emailWorker": {
            "appEnv": "development",
            "autoscaling": { "pollingInterval": 2, "cooldownPeriod": 5, "scaleDownStabilization": 0 },
            "resources": { "requests": { "cpu": "20m" } },
        },
        "mailApi": {
            "replicas": 1,
            "appEnv": "development",
            "resources": { "requests": { "cpu": "20m" } },
        },
        "networkPolicy": { "clients": [{ "podSelector": { "matchLabels": { pods::OURS: LOAD } } }] },
        "rabbitmq": { "resources": { "requests": { "cpu": "20m" } } },
        "postgresql": { "resources": { "requests": { "cpu": "20m" } } },
    })
}

/// Values as helm merges them: objects key by key, anything else as a whole.
pub fn merged(base: Value, over: Value) -> Value {
    match (base, over) {
        (Value::Object(mut base), Value::Object(over)) => {
            for (key, value) in over {
                let below = base.remove(&key).unwrap_or(Value::Null);
                base.insert(key, merged(below, value));
            }
            Value::Object(base)
        }
        (_, over) => over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_merged_key_by_key_and_lists_as_a_whole() {
        let base = json!({ "a": { "b": 1, "c": [1, 2] }, "d": 1 });
        let over = json!({ "a": { "c": [3], "e": null }, "d": { "f": 1 } });
        assert_eq!(merged(base, over), json!({ "a": { "b": 1, "c": [3], "e": null }, "d": { "f": 1 } }));
    }
}
