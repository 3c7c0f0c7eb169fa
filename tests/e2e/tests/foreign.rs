//! A producer in another language that knows nothing of us but the queue's name and two fields.

use std::time::Duration;

use e2e::{RELEASE, Run, Sluice, VHOST, check, pods, python, random, repository};
use serde_json::json;

pub(crate) async fn tests(run: &mut Run) {
    let sluice = Sluice::install(&run.cluster, "foreign", json!({})).await;
    check!(run, a_producer_that_declares_with_no_arguments_gets_its_bare_task_mailed(&sluice));
    sluice.remove().await;
}

async fn a_producer_that_declares_with_no_arguments_gets_its_bare_task_mailed(sluice: &Sluice) {
    // A user of its own, as an operator adds one.
    let password = random(20);
    let node = format!("{RELEASE}-rabbitmq-0");
    let own: [&[&str]; 2] = [
        &["rabbitmqctl", "add_user", "billing", &password],
        &[
            "rabbitmqctl",
            "set_permissions",
            "-p",
            VHOST,
            "billing",
            "^email_queue$",
            "^(amq\\.default|email_queue)$",
            "^$",
        ],
    ];
    for command in own {
        pods::exec(&sluice.pods, &node, "rabbitmq", command).await.unwrap();
    }
    let script = repository().join("tests/system/clients/produce.py").display().to_string();
    python(sluice, ("billing", &password), &[&script, "grace@example.com", "grace"]).await.unwrap();
    sluice.inbox().await.has_mail_to("grace@example.com", Duration::from_secs(60)).await;
}
