//! Values that can't be meant.

use e2e::{Cluster, Helm, Namespace, RELEASE, Run, WithoutKeda, check};
use serde_json::{Value, json};

pub(crate) async fn tests(run: &mut Run) {
    let cluster = run.cluster.clone();
    let namespace = Namespace::create(&cluster, "values").await;
    let helm = Helm::new(&cluster, &namespace.name);
    check!(run, bad_values_are_refused_with_a_message_that_names_the_key(&helm));
    check!(run, a_cluster_without_keda_is_told_how_to_get_it_or_to_switch_autoscaling_off(&cluster, &helm));
    namespace.delete().await;
}

async fn bad_values_are_refused_with_a_message_that_names_the_key(helm: &Helm) {
    let cases: &[(Value, &[&str])] = &[
        (json!({ "userApi": { "replicas": -1 } }), &["userApi", "replicas"]),
        (json!({ "emailWorker": { "autoscaling": { "maxReplicas": -1 } } }), &["autoscaling", "maxReplicas"]),
        (json!({ "emailWorker": { "sendingSlot": 4 } }), &["emailWorker", "sendingSlot"]),
        (json!({ "rabbitMQ": { "enabled": false } }), &["rabbitMQ"]),
        (json!({ "rabbitmq": { "replica": 3 } }), &["rabbitmq", "replica"]),
        (json!({ "rabbitmq": { "replicas": 2 } }), &["rabbitmq", "replicas"]),
        (json!({ "postgresql": { "imgae": {} } }), &["postgresql", "imgae"]),
        (json!({ "emailWorker": { "sendTimeout": "90s" } }), &["emailWorker.sendTimeout", "emailWorker.shutdownGrace"]),
        (
            json!({ "emailWorker": { "terminationGracePeriodSeconds": 30 } }),
            &["emailWorker.terminationGracePeriodSeconds"],
        ),
        (json!({ "userApi": { "terminationGracePeriodSeconds": 10 } }), &["userApi.terminationGracePeriodSeconds"]),
        (json!({ "rabbitmq": { "enabled": false } }), &["broker.existingSecret"]),
        (json!({ "postgresql": { "enabled": false } }), &["database.existingSecret"]),
        (json!({ "mailbox": { "enabled": false } }), &["smtp.host"]),
        (json!({ "rabbitmq": { "tls": { "enabled": true } } }), &["tls.existingSecret"]),
    ];
    for (values, names) in cases {
        let refusal = helm.template(RELEASE, values).await.refusal();
        for name in *names {
            // A schema names a key by its path, with slashes or dots.
            let named = refusal.contains(name) || refusal.contains(&name.replace('.', "/"));
            assert!(named, "{values} is refused without a word about {name}:\n{refusal}");
        }
    }
    helm.try_out(RELEASE, &json!({})).await.out();
}

async fn a_cluster_without_keda_is_told_how_to_get_it_or_to_switch_autoscaling_off(cluster: &Cluster, helm: &Helm) {
    let server = WithoutKeda::before(cluster).await;
    let refusal = helm.try_out_at(&server.url(), RELEASE, &json!({})).await.refusal();
    for name in ["KEDA", "helm install keda", "emailWorker.autoscaling.enabled=false"] {
        assert!(refusal.contains(name), "no word about {name}:\n{refusal}");
    }
}
