//! A pod that tries TCP connections: it tells which of a network policy's ways are open.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::Value;

use crate::context::random;
use crate::pods;

/// How an attempt to connect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Somebody listens there, and may be reached.
    Open,
    /// Nobody answers: a policy is in between.
    Closed,
}

/// Tries TARGETS, `host:port`, all at once. A new pod is covered by its policies only a moment after its start; what is closed is tried
/// again, since a policy may let it through a moment later.
const SCRIPT: &str = r#"
try() { timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "${1%:*}" "${1##*:}" 2>/dev/null; }
sleep 3
for target in $TARGETS; do
  { if try "$target" || { sleep 1; try "$target"; }; then echo "$target open"; else echo "$target closed"; fi; } &
done
wait
"#;

/// Tries to connect to each of the targets from a pod with these labels.
pub async fn connections(pods: &Api<Pod>, labels: &Value, targets: &[&str]) -> BTreeMap<String, Way> {
    let name = format!("probe-{}", random(5));
    pods::run_script(pods, &name, labels, SCRIPT, &[("TARGETS", &targets.join(" "))]).await;
    let printed = pods::finished(pods, &name, Duration::from_secs(60)).await;
    pods::kill(pods, &name).await;
    let outcome = |line: &str| {
        let (target, way) = line.split_once(' ')?;
        Some((target.to_owned(), if way == "open" { Way::Open } else { Way::Closed }))
    };
    let outcomes: BTreeMap<_, _> = printed.lines().filter_map(outcome).collect();
    assert_eq!(outcomes.len(), targets.len(), "each target was tried: {printed}");
    outcomes
}
