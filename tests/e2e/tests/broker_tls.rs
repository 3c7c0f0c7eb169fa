//! A broker that speaks AMQP over TLS alone.

use std::time::Duration;

use e2e::{RELEASE, Run, Sluice, check, issue, register};
use serde_json::json;

const SECRET: &str = "broker-certificate";

pub(crate) async fn tests(run: &mut Run) {
    let tls = json!({ "rabbitmq": { "tls": { "enabled": true, "existingSecret": SECRET } } });
    let sluice = Sluice::prepare(&run.cluster, "tls", tls).await;
    issue(&sluice, SECRET, format!("{RELEASE}-rabbitmq.{}.svc", sluice.namespace)).await;
    sluice.helm.install(RELEASE, &sluice.values).await.out();
    check!(run, over_tls_with_an_authority_of_ones_own_a_registration_becomes_a_mail(&sluice));
    sluice.remove().await;
}

async fn over_tls_with_an_authority_of_ones_own_a_registration_becomes_a_mail(sluice: &Sluice) {
    for user in ["user-api", "email-worker"] {
        let url = sluice.secret(&format!("{RELEASE}-rabbitmq-{user}"), "connection_string").await;
        assert!(url.starts_with("amqps://") && url.contains(":5671/"), "{user} is told to use TLS");
    }
    register(sluice, "ada", &[]).await;
    sluice.inbox().await.has_mail_to("ada@example.com", Duration::from_secs(60)).await;
}
