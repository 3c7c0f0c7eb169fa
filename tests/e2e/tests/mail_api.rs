//! mail-api: mails that other applications ask for, over HTTP and by a row in a database of their own.

use std::time::Duration;

use e2e::{Helm, LOAD, MAIL_API, Namespace, RELEASE, Sluice, pods, random};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

/// Asks for a mail to TO with KEY, and prints the status. It begins when the way is open: network policies let a new pod through only a
/// moment after its start.
const SCRIPT: &str = r#"
body='{"type":"email.welcome","recipient":"'$TO'","name":"Ada"}'
for ((try = 0; try < 100; try++)); do
  if { exec 3<>"/dev/tcp/$HOST/80"; } 2>/dev/null; then break; else sleep 0.2; fi
done
printf 'POST /v1/mails HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' \
  "$HOST" "$KEY" "${#body}" "$body" >&3
IFS=' ' read -r -t 30 _ status _ <&3 || true
echo "${status:-none}"
"#;

/// What a pod beside the system is answered that asks for a mail with this key.
async fn asked(sluice: &Sluice, to: &str, key: &str) -> String {
    let pod = format!("shop-{}", random(5));
    let environment = [("HOST", MAIL_API), ("TO", to), ("KEY", key)];
    pods::run_script(&sluice.pods, &pod, &json!({ pods::OURS: LOAD }), SCRIPT, &environment).await;
    pods::finished(&sluice.pods, &pod, Duration::from_secs(60)).await.trim().to_owned()
}

/// Runs `mail-api` in its pod: what it printed.
async fn mail_api(sluice: &Sluice, arguments: &[&str]) -> String {
    let command = [&["/usr/local/bin/mail-api"], arguments].concat();
    let pods = sluice.pods_of("mail-api").await;
    pods::exec(&sluice.pods, pods::name(&pods[0]), "mail-api", &command).await.unwrap()
}

pub(crate) async fn a_mail_that_is_asked_for_over_http_arrives_and_the_first_key_is_made_in_the_pod(sluice: &Sluice) {
    let nobodys = format!("slc_{}_{}", "0".repeat(16), "0".repeat(64));
    assert_eq!(asked(sluice, "nobody@example.com", &nobodys).await, "401", "nobody has a key");
    let key = mail_api(sluice, &["keys", "add", "shop", "--type", "email.welcome"]).await;
    assert_eq!(asked(sluice, "asked@example.com", key.trim()).await, "202");
    sluice.inbox().await.has_mail_to("asked@example.com", Duration::from_secs(60)).await;
    let restarts = sluice.pods_of("mail-api").await.iter().map(pods::restarts).sum::<i32>();
    assert_eq!(restarts, 0, "it did not need a key to start");
}

/// The release of a database server that is the shop's.
const THEIRS: &str = "shop";
/// The secret with its URL for the relay.
const OUTBOX: &str = "shop-outbox";

/// Another application: a database of its own in a namespace of its own, which knows of Sluice what `mail-api schema` printed.
pub(crate) struct Shop {
    home: Namespace,
    pods: Api<Pod>,
    password: String,
}

impl Shop {
    /// Sets it up as its people would, and brings the URL for the relay to where Sluice is.
    pub(crate) async fn open(sluice: &Sluice) -> Self {
        let home = Namespace::create(&sluice.cluster, THEIRS).await;
        let relays =
            json!([{ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": sluice.namespace } } }]);
        let small = json!({ "resources": { "requests": { "cpu": "20m" } }, "networkPolicy": { "clients": relays } });
        Helm::new(&sluice.cluster, &home.name).install_chart("postgresql", THEIRS, &small).await.out();
        let pods = Api::namespaced(sluice.cluster.client.clone(), &home.name);
        let shop = Self { home, pods, password: random(20) };
        let password = random(20);
        shop.as_admin("postgres", "CREATE DATABASE shop").await;
        let roles = format!(
            "CREATE ROLE shop LOGIN PASSWORD '{}'; CREATE ROLE sluice_relay LOGIN PASSWORD '{password}'; \
             CREATE TABLE orders (number int PRIMARY KEY); GRANT INSERT ON orders TO shop",
            shop.password
        );
        shop.as_admin("shop", &roles).await;
        let schema = mail_api(sluice, &["schema", "--app-role", "shop", "--relay-role", "sluice_relay"]).await;
        shop.as_admin("shop", &schema).await;

        let uri = format!("postgres://sluice_relay:{password}@{}/shop", shop.database());
        let secret = json!({ "metadata": { "name": OUTBOX }, "stringData": { "uri": uri } });
        sluice.api::<Secret>().create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
        shop
    }

    /// Where its database is, host and port.
    pub(crate) fn database(&self) -> String {
        format!("{THEIRS}-postgresql.{}.svc:5432", self.home.name)
    }

    pub(crate) async fn close(self) {
        self.home.delete().await;
    }

    /// SQL as the superuser.
    async fn as_admin(&self, database: &str, sql: &str) {
        let psql = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-c", sql];
        self.psql(&psql).await;
    }

    /// SQL as the application, with the rights that `--app-role` gave it.
    async fn as_application(&self, sql: &str) {
        let password = format!("PGPASSWORD={}", self.password);
        let psql =
            ["env", &password, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "shop", "-c", sql];
        self.psql(&psql).await;
    }

    async fn psql(&self, command: &[&str]) {
        let pod = format!("{THEIRS}-postgresql-0");
        pods::exec(&self.pods, &pod, "postgresql", command).await.unwrap();
    }
}

pub(crate) async fn a_row_in_an_applications_own_database_becomes_a_mail_of_its_own_type(sluice: &Sluice, shop: &Shop) {
    let over = json!({
        "mailApi": { "relays": [{ "name": "shop", "database": { "existingSecret": OUTBOX }, "replicas": 1 }] },
        "mails": { "files": {
            "order.paid.toml": "[fields]\norder = \"text\"\n\n[sample]\norder = \"A-17\"\n",
            "order.paid.en.subject": "Order {{ order }} is paid",
            "order.paid.en.txt": "Thank you for {{ order }}.\n",
        } },
        "networkPolicy": { "external": { "database": [{ "namespace": shop.home.name, "port": 5432 }] } },
    });
    // It waits until the relay is ready: it can take tasks out of the shop's outbox.
    sluice.upgrade(over).await;
    sluice.settled(&format!("{RELEASE}-mail-relay-shop"), 1, Duration::from_secs(60)).await;

    let order = |number: u32, end: &str| {
        format!(
            "BEGIN; INSERT INTO orders VALUES ({number}); \
             SELECT sluice.enqueue_mail('order.paid', 'buyer-{number}@example.com', '{{\"order\": \"A-{number}\"}}'); {end}"
        )
    };
    shop.as_application(&order(16, "ROLLBACK")).await;
    shop.as_application(&order(17, "COMMIT")).await;
    let inbox = sluice.inbox().await;
    inbox.has_mail_to("buyer-17@example.com", Duration::from_secs(60)).await;
    let mails = inbox.mails().await.unwrap();
    let of = |to: &str| mails.iter().find(|mail| mail.to == to).map(|mail| mail.subject.as_str());
    assert_eq!(of("buyer-17@example.com"), Some("Order A-17 is paid"));
    assert_eq!(of("buyer-16@example.com"), None, "what was rolled back is no mail");
}
