//! Values that can't be meant.

use e2e::{Helm, Namespace, RELEASE, Run, check};
use serde_json::{Value, json};

pub(crate) async fn tests(run: &mut Run) {
    let namespace = Namespace::create(&run.cluster, "values").await;
    let helm = Helm::new(&run.cluster, &namespace.name);
    check!(run, bad_values_are_refused_with_a_message_that_names_the_key(&helm));
    check!(run, a_cluster_without_keda_is_told_how_to_get_it_or_to_switch_autoscaling_off(&helm));
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

async fn a_cluster_without_keda_is_told_how_to_get_it_or_to_switch_autoscaling_off(helm: &Helm) {
    // Helm's own list of what a cluster can do, which has no KEDA, together with a look at the live one.
    let refusal = helm.template_without_keda(RELEASE, &json!({})).await.refusal();
    for name in ["KEDA", "helm install keda", "emailWorker.autoscaling.enabled=false"] {
        assert!(refusal.contains(name), "no word about {name}:\n{refusal}");
    }
    let off = json!({ "emailWorker": { "autoscaling": { "enabled": false } } });
    helm.template_without_keda(RELEASE, &off).await.out();
}
