//! Who may reach whom, who may do what at the broker, and what the logs give away.

use std::time::Duration;

use e2e::{
    Broker, EMAIL_WORKER, Namespace, RELEASE, Run, Sluice, VHOST, Way, check, connections, nothing_is_given_away, pods,
    python, register,
};
use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::{Value, json};

use crate::console::an_operator_pauses_a_domain_and_lets_it_go_on_over_the_console;
use crate::mail_api::{
    Shop, a_mail_that_is_asked_for_over_http_arrives_and_the_first_key_is_made_in_the_pod,
    a_row_in_an_applications_own_database_becomes_a_mail_of_its_own_type,
};
use crate::mails::a_config_map_that_changes_changes_the_next_mails_without_a_restart;

pub(crate) async fn tests(run: &mut Run) {
    let values = json!({ "emailWorker": { "autoscaling": { "minReplicas": 1 } }, "mailApi": { "enabled": true } });
    let sluice = Sluice::install(&run.cluster, "boundaries", values).await;
    let stranger = Namespace::create(&run.cluster, "stranger").await;
    // Here with mail-api, which an installation has only when it is asked for.
    check!(run, helm_test_asks_mail_api_too(&sluice));
    check!(run, each_part_reaches_what_it_needs_and_nothing_else(&sluice));
    check!(run, another_namespace_reaches_nothing(&sluice, &stranger));
    check!(run, who_publishes_to_the_queue_can_not_read_it(&sluice));
    check!(run, kedas_user_can_read_statistics_and_nothing_else(&sluice));
    check!(run, no_service_can_read_the_database_of_another(&sluice));
    check!(run, a_mail_that_is_asked_for_over_http_arrives_and_the_first_key_is_made_in_the_pod(&sluice));
    let shop = Shop::open(&sluice).await;
    check!(run, a_row_in_an_applications_own_database_becomes_a_mail_of_its_own_type(&sluice, &shop));
    check!(run, the_relay_of_that_database_reaches_it_and_the_broker_and_nothing_else(&sluice, &shop));
    shop.close().await;
    check!(run, an_operator_pauses_a_domain_and_lets_it_go_on_over_the_console(&sluice));
    check!(run, a_config_map_that_changes_changes_the_next_mails_without_a_restart(&sluice));
    check!(run, no_secret_is_in_any_log(&sluice));
    stranger.delete().await;
    sluice.remove().await;
}

/// Labels that make a pod, for the policies, one of a component. It has none of the named ports: no service sends it requests.
fn labels(component: &str) -> Value {
    let chart = if component == "postgresql" { "postgresql" } else { "sluice" };
    json!({
        "app.kubernetes.io/name": chart,
        "app.kubernetes.io/instance": RELEASE,
        "app.kubernetes.io/part-of": "sluice",
        "app.kubernetes.io/component": component,
    })
}

async fn helm_test_asks_mail_api_too(sluice: &Sluice) {
    let said = sluice.helm.test(RELEASE).await.out();
    assert!(said.contains("a mail without a key is refused"), "{said}");
}

const DATABASE: &str = "sluice-postgresql:5432";
const AMQP: &str = "sluice-rabbitmq:5672";
const SMTP: &str = "sluice-mailbox:1025";

/// Whatever somebody listens on, in the release and beside it.
const EVERYTHING: [&str; 10] = [
    "sluice-user-api:80",
    "sluice-mail-api:80",
    AMQP,
    "sluice-rabbitmq:15672",
    "sluice-rabbitmq:15692",
    DATABASE,
    SMTP,
    "sluice-mailbox:1080",
    "kubernetes.default.svc:443",
    "keda-operator.keda.svc:9666",
];

async fn each_part_reaches_what_it_needs_and_nothing_else(sluice: &Sluice) {
    let may: &[(&str, &[&str])] = &[
        ("user-api", &[AMQP, DATABASE]),
        ("mail-api", &[AMQP, DATABASE]),
        ("email-worker", &[AMQP, DATABASE, SMTP]),
        ("mailbox", &[]),
        ("postgresql", &[]),
    ];
    join_all(may.iter().map(|(component, open)| reaches(sluice, component, &EVERYTHING, open))).await;
}

/// The release's own database is none of its business.
async fn the_relay_of_that_database_reaches_it_and_the_broker_and_nothing_else(sluice: &Sluice, shop: &Shop) {
    let theirs = shop.database();
    let everything = [&EVERYTHING[..], &[&theirs]].concat();
    reaches(sluice, "mail-relay", &everything, &[AMQP, &theirs]).await;
}

/// Of all these, a component reaches those that are `open`, and no other.
async fn reaches(sluice: &Sluice, component: &str, everything: &[&str], open: &[&str]) {
    let tried = connections(&sluice.pods, &labels(component), everything).await;
    let way = |target: &str| if open.contains(&target) { Way::Open } else { Way::Closed };
    let expected = everything.iter().map(|target| ((*target).to_owned(), way(target))).collect();
    assert_eq!(tried, expected, "from {component}");
}

async fn another_namespace_reaches_nothing(sluice: &Sluice, stranger: &Namespace) {
    let ports = [
        ("sluice-user-api", 80),
        ("sluice-mail-api", 80),
        ("sluice-rabbitmq", 5672),
        ("sluice-rabbitmq", 15672),
        ("sluice-postgresql", 5432),
        ("sluice-mailbox", 1025),
        ("sluice-mailbox", 1080),
    ];
    let target = |(service, port): &(&str, u16)| format!("{service}.{}.svc:{port}", sluice.namespace);
    let targets: Vec<String> = ports.iter().map(target).collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let pods: Api<Pod> = Api::namespaced(sluice.cluster.client.clone(), &stranger.name);
    for (target, way) in connections(&pods, &labels("email-worker"), &targets).await {
        assert_eq!(way, Way::Closed, "{target} from another namespace, with the worker's labels");
    }
}

async fn who_publishes_to_the_queue_can_not_read_it(sluice: &Sluice) {
    let node = format!("{RELEASE}-rabbitmq-0");
    let rights = ["rabbitmqctl", "-q", "list_permissions", "-p", VHOST, "--formatter", "json"];
    let printed = pods::exec(&sluice.pods, &node, "rabbitmq", &rights).await.unwrap();
    let rights: Vec<Value> = serde_json::from_str(&printed).unwrap();
    let of =
        |user: &str| rights.iter().find(|right| right["user"] == user).unwrap_or_else(|| panic!("{user}: {printed}"));
    assert_eq!(rights.len(), 4, "no other user has any right: {printed}");
    for user in ["user-api", "mail-api"] {
        assert_eq!((&of(user)["read"], &of(user)["configure"]), (&json!("^$"), &json!("^$")), "{user}");
        // Not by its rights alone: it tries. That it can publish is seen in each mail.
        let refusal = over_amqp(sluice, user, READ).await;
        assert!(refusal.contains("read access") && refusal.contains("refused"), "{user}: {refusal}");
        assert_eq!(get_a_message(sluice, user).await, 401, "{user}: without a tag there is no management API at all");
    }
}

async fn kedas_user_can_read_statistics_and_nothing_else(sluice: &Sluice) {
    let broker = sluice.broker("keda").await;
    assert!(broker.messages(contract::queue::EMAIL).await.is_ok(), "it can read the queue's length");
    let reads = get_a_message(sluice, "keda").await;
    assert!((400..500).contains(&reads), "reading a message is answered {reads}");
    let publish = json!({ "properties": {}, "routing_key": contract::queue::EMAIL, "payload": "{}", "payload_encoding": "string" });
    let (published, _) = broker.post(&format!("exchanges/{VHOST}/amq.default/publish"), &publish).await.unwrap();
    assert!((400..500).contains(&published), "publishing is answered {published}");
    for attempt in [READ, PUBLISH, DECLARE] {
        let refusal = over_amqp(sluice, "keda", attempt).await;
        assert!(refusal.contains("ACCESS_REFUSED"), "{attempt}: {refusal}");
    }
    let (users, _) = broker.get("users").await.unwrap();
    assert!((400..500).contains(&users), "the list of users is answered {users}");
}

const READ: &str = "basic_get('email_queue')";
const PUBLISH: &str = "basic_publish('', 'email_queue', b'{}')";
const DECLARE: &str = "queue_declare('email_queue', durable=True)";

/// Tries something over AMQP that must be refused: what the broker says.
async fn over_amqp(sluice: &Sluice, user: &str, attempt: &str) -> String {
    let (name, password) = sluice.login(&format!("{RELEASE}-rabbitmq-{user}")).await;
    let code = format!(
        "-c import pika, sys; channel = pika.BlockingConnection(pika.URLParameters(sys.argv[1])).channel(); \
         channel.confirm_delivery(); channel.{attempt}"
    );
    let tried = python(sluice, (&name, &password), &[&code]).await;
    tried.expect_err(&format!("{attempt} must be refused to {user}"))
}

/// Takes a message off the queue over the management API, and puts it back: the status.
async fn get_a_message(sluice: &Sluice, user: &str) -> u16 {
    let broker: Broker = sluice.broker(user).await;
    let get = json!({ "count": 1, "ackmode": "ack_requeue_true", "encoding": "auto" });
    broker.post(&format!("queues/{VHOST}/{}/get", contract::queue::EMAIL), &get).await.unwrap().0
}

async fn no_service_can_read_the_database_of_another(sluice: &Sluice) {
    let pairs = [("user-api", "email_worker"), ("email-worker", "mail_api"), ("mail-api", "user_api")];
    for (role, database) in pairs {
        let refusal = sluice.query_in(database, role, "SELECT 1").await.unwrap_err();
        let refused = refusal.contains("permission denied")
            || refusal.contains("pg_hba.conf rejects")
            || refusal.contains("no pg_hba.conf entry");
        assert!(refused, "{role} in {database}: {refusal}");
    }
}

async fn no_secret_is_in_any_log(sluice: &Sluice) {
    // Something to log: a mail goes through, and a worker begins anew.
    register(sluice, "grace", &[]).await;
    sluice.inbox().await.has_mail_to("grace@example.com", Duration::from_secs(30)).await;
    for pod in sluice.pods_of("email-worker").await {
        pods::delete(&sluice.pods, pods::name(&pod)).await;
    }
    sluice.settled(EMAIL_WORKER, 1, Duration::from_secs(60)).await;

    nothing_is_given_away(sluice).await;
}
