//! A broker and a database that somebody else runs.

use std::time::Duration;

use e2e::{EMAIL_WORKER, Helm, Namespace, RELEASE, Run, Sluice, VHOST, check, pods, register};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

/// The release that is somebody else's.
const THEIRS: &str = "backend";

pub(crate) async fn tests(run: &mut Run) {
    let theirs = Namespace::create(&run.cluster, "theirs").await;
    let sluice = Sluice::prepare(&run.cluster, "external", values(&theirs)).await;
    install_theirs(&sluice, &theirs).await;
    check!(
        run,
        with_urls_of_others_servers_and_nobody_having_declared_the_queue_a_registration_becomes_a_mail(&sluice)
    );
    sluice.remove().await;
    theirs.delete().await;
}

/// Both subcharts off; whatever is there is reached by the URLs in secrets.
fn values(theirs: &Namespace) -> Value {
    let there = |port: u16| json!([{ "namespace": theirs.name, "port": port }]);
    let service = |name: &str| json!({ "database": { "existingSecret": format!("{name}-database") }, "broker": { "existingSecret": format!("{name}-broker") } });
    let mut worker = service("email-worker");
    worker["autoscaling"] = json!({ "management": { "existingSecret": "keda-broker" } });
    json!({
        "rabbitmq": { "enabled": false },
        "postgresql": { "enabled": false },
        "userApi": service("user-api"),
        "emailWorker": worker,
        "networkPolicy": { "external": { "database": there(5432), "broker": there(5672) } },
    })
}

/// A broker and a database in another namespace; their secrets brought over, as somebody would do it by hand.
async fn install_theirs(sluice: &Sluice, theirs: &Namespace) {
    let helm = Helm::new(&sluice.cluster, &theirs.name);
    let ours = json!([{ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": sluice.namespace } } }]);
    let small = json!({ "resources": { "requests": { "cpu": "20m" } }, "networkPolicy": { "clients": ours } });
    helm.install_chart("rabbitmq", &format!("{THEIRS}-broker"), &small).await.out();
    helm.install_chart("postgresql", &format!("{THEIRS}-database"), &small).await.out();

    // An empty broker: nobody has declared the queue, and whoever comes first has to be allowed to.
    let their_pods: Api<Pod> = Api::namespaced(sluice.cluster.client.clone(), &theirs.name);
    let node = pods::list(&their_pods, "app.kubernetes.io/component=rabbitmq").await;
    let node = pods::name(&node[0]).to_owned();
    let queue = contract::queue::EMAIL;
    let configure = format!("^{queue}$");
    let write = format!("^(amq\\.default|{queue})$");
    let steps: [&[&str]; 2] = [
        &["rabbitmqctl", "delete_queue", "-p", VHOST, queue],
        &["rabbitmqctl", "set_permissions", "-p", VHOST, "user-api", &configure, &write, "^$"],
    ];
    for command in steps {
        pods::exec(&their_pods, &node, "rabbitmq", command).await.unwrap();
    }

    let secrets: Api<Secret> = Api::namespaced(sluice.cluster.client.clone(), &theirs.name);
    let of = |user: &str| {
        [
            (format!("{THEIRS}-broker-rabbitmq-{user}"), format!("{user}-broker")),
            (format!("{THEIRS}-database-postgresql-{user}"), format!("{user}-database")),
        ]
    };
    let keda = (format!("{THEIRS}-broker-rabbitmq-keda"), "keda-broker".to_owned());
    for (there, here) in of("user-api").into_iter().chain(of("email-worker")).chain([keda]) {
        let secret = secrets.get(&there).await.unwrap_or_else(|error| panic!("their secret {there}: {error}"));
        let secret = json!({ "metadata": { "name": here }, "data": secret.data });
        sluice.api::<Secret>().create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    }
}

async fn with_urls_of_others_servers_and_nobody_having_declared_the_queue_a_registration_becomes_a_mail(
    sluice: &Sluice,
) {
    sluice.helm.install(RELEASE, &sluice.values).await.out();
    for component in ["rabbitmq", "postgresql"] {
        assert!(sluice.pods_of(component).await.is_empty(), "no {component} of its own");
    }
    sluice.settled(EMAIL_WORKER, 0, Duration::from_secs(60)).await;
    register(sluice, "ada", &[]).await;
    sluice.inbox().await.has_mail_to("ada@example.com", Duration::from_secs(60)).await;
    sluice.settled(EMAIL_WORKER, 0, Duration::from_secs(60)).await;
}
