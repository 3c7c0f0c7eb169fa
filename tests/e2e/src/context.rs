//! The cluster that the suite runs on: only ever one that was named.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rand::RngExt as _;

/// Names the context. There is no default: nobody's current context is used by accident.
pub(crate) const VARIABLE: &str = "SLUICE_E2E_CONTEXT";

/// A cluster.
#[derive(Clone)]
pub struct Cluster {
    /// Speaks to its API server.
    pub client: Client,
    /// The name of its context, for `helm`.
    pub context: String,
    /// Marks what this run of the suite has made.
    pub run: String,
    /// Marks what one of its subjects has made.
    pub subject: &'static str,
}

impl Cluster {
    /// The cluster whose context the environment names.
    ///
    /// # Errors
    /// One line: what to set, or why the cluster can't be used.
    pub async fn named() -> Result<Self, String> {
        let context = std::env::var(VARIABLE).unwrap_or_default();
        if context.is_empty() {
            return Err(format!("{VARIABLE} names no context of your kubeconfig: it says which cluster may be used"));
        }
        let run = random(6);
        let client = client(&context).await?;
        client
            .apiserver_version()
            .await
            .map_err(|error| format!("the cluster of {context} does not answer: {error}"))?;
        Ok(Self { client, context, run, subject: "" })
    }
}

/// A client of its own for a context.
pub(crate) async fn client(context: &str) -> Result<Client, String> {
    let kubeconfig = Kubeconfig::read().map_err(|error| format!("no kubeconfig: {error}"))?;
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let config = config.map_err(|error| format!("the context {context} of {VARIABLE}: {error}"))?;
    Client::try_from(config).map_err(|error| format!("the context {context} of {VARIABLE}: {error}"))
}

/// So many letters and digits, fit for names.
pub fn random(length: usize) -> String {
    let mut random = rand::rng();
    (0..length).map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[random.random_range(0..36)])).collect()
}
