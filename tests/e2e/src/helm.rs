//! The `helm` program, as a user runs it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::context::Cluster;

/// Names a file of values for every installation: what the cluster at hand needs.
pub(crate) const VALUES: &str = "SLUICE_E2E_VALUES";
/// An installation that is not up after this long has failed.
const PATIENCE: &str = "240s";
/// No helm command takes longer.
const LIMIT: Duration = Duration::from_secs(300);

/// Helm in one namespace of one cluster.
#[derive(Debug, Clone)]
pub struct Helm {
    context: String,
    namespace: String,
}

/// What a command of helm said.
#[derive(Debug)]
pub struct Said {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// What it printed.
    ///
    /// # Panics
    /// When it failed, with what it said.
    #[track_caller]
    pub fn out(self) -> String {
        assert!(self.ok, "helm failed: {}", self.err);
        self.out
    }

    /// What it complained of.
    ///
    /// # Panics
    /// When it did not fail.
    #[track_caller]
    pub fn refusal(self) -> String {
        assert!(!self.ok, "helm should have refused, but did it:\n{}", self.out);
        self.err
    }
}

impl Helm {
    /// Helm in this namespace.
    pub fn new(cluster: &Cluster, namespace: &str) -> Self {
        Self { context: cluster.context.clone(), namespace: namespace.to_owned() }
    }

    /// `helm install RELEASE charts/sluice`, waited for.
    pub async fn install(&self, release: &str, values: &Value) -> Said {
        self.with_values(&["install", release, &chart("sluice"), "--wait", "--timeout", PATIENCE], values).await
    }

    /// `helm install RELEASE charts/CHART`, waited for, with these values alone: the file's are for the product.
    pub async fn install_chart(&self, name: &str, release: &str, values: &Value) -> Said {
        let arguments = ["install", release, &chart(name), "--wait", "--timeout", PATIENCE, "--values", "-"];
        self.run(&arguments, &values.to_string()).await
    }

    /// `helm upgrade`, waited for. Values of earlier revisions are not reused.
    pub async fn upgrade(&self, release: &str, values: &Value) -> Said {
        self.with_values(&["upgrade", release, &chart("sluice"), "--wait", "--timeout", PATIENCE], values).await
    }

    /// `helm rollback RELEASE`, waited for.
    pub async fn rollback(&self, release: &str) -> Said {
        self.run(&["rollback", release, "--wait", "--timeout", PATIENCE], "").await
    }

    /// `helm uninstall`, waited for.
    pub async fn uninstall(&self, release: &str) -> Said {
        self.run(&["uninstall", release, "--wait", "--timeout", PATIENCE], "").await
    }

    /// `helm test`.
    pub async fn test(&self, release: &str) -> Said {
        // Helm waits for all of the time when the pod fails.
        self.run(&["test", release, "--logs", "--timeout", "60s"], "").await
    }

    /// `helm template`: without a look at the cluster.
    pub async fn template(&self, release: &str, values: &Value) -> Said {
        self.with_values(&["template", release, &chart("sluice")], values).await
    }

    /// `helm upgrade --install --dry-run=server`: with a look at the cluster, changing nothing.
    pub async fn try_out(&self, release: &str, values: &Value) -> Said {
        self.with_values(&["upgrade", "--install", release, &chart("sluice"), "--dry-run=server"], values).await
    }

    /// The same on another API server.
    pub async fn try_out_at(&self, server: &str, release: &str, values: &Value) -> Said {
        let arguments =
            ["upgrade", "--install", release, &chart("sluice"), "--dry-run=server", "--kube-apiserver", server];
        self.with_values(&arguments, values).await
    }

    async fn with_values(&self, arguments: &[&str], values: &Value) -> Said {
        let file = std::env::var(VALUES).unwrap_or_default();
        let mut arguments = arguments.to_vec();
        if !file.is_empty() {
            arguments.extend(["--values", &file]);
        }
        arguments.extend(["--values", "-"]);
        self.run(&arguments, &values.to_string()).await
    }

    async fn run(&self, arguments: &[&str], input: &str) -> Said {
        let mut helm = Command::new("helm");
        helm.args(arguments).args(["--kube-context", &self.context, "--namespace", &self.namespace]);
        helm.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = helm.spawn().expect("helm is on the PATH");
        let mut stdin = child.stdin.take().unwrap();
        // A helm that ends without reading is heard below.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("helm {} takes too long", arguments.join(" "))).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { ok: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// The repository that the suite belongs to.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn chart(name: &str) -> String {
    repository().join("charts").join(name).display().to_string()
}
