//! Alerts and dashboard in a real Prometheus, which scrapes the services and RabbitMQ: under load no panel is empty, and each alert is
//! seen firing when its cause is made, and resolving when it is mended. Its rules are the chart's, with less patience.

mod rules;
mod stage;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use amqp::Outgoing;
use contract::{TaskId, queue};
use system::{Load, run, task};
use testkit::{Dir, Preamble, Script, Service, Shown, Stage as At, TcpProxy, TlsFront, Trust, address_of, eventually};

use stage::{OF_THE_CHART, Stage, metrics_of};

const SOON: Duration = Duration::from_secs(30);
/// For two thousand mails of a debug build, on a machine that does much else.
const MAILED: Duration = Duration::from_secs(120);
/// Somebody whose domain takes none of our mails.
const REFUSER: &str = "refuser.example";

#[tokio::test(flavor = "multi_thread")]
async fn no_panel_is_empty_and_each_alert_fires_and_resolves() {
    let stage = Stage::set().await;
    let system = &stage.system;
    // Neither a service nor a queue is there.
    stage.fires("SluiceMetricsMissing").await;
    eventually("of the services and of the queue", SOON, async || {
        (stage.firing_at_once("SluiceMetricsMissing").await == 2).then_some(())
    })
    .await;

    let api = system.api(&[OF_THE_CHART.as_slice(), &[("HASH_COST", "cheap")]].concat()).await;
    stage.scrape(&api);
    // Its minute passes beside all that follows.
    let shop = Shop::with_a_task_that_waits(&stage).await;

    // A flood, and no worker.
    let load = Load::new(vec![api.base_url()], "flood");
    let (registered, ()) = tokio::join!(load.run(100, 4), async {
        system.publish(1_050, "flood").await;
        let growing = async {
            let mut pace = tokio::time::interval(Duration::from_millis(250));
            loop {
                pace.tick().await;
                system.publish(20, "growing").await;
            }
        };
        tokio::select! {
            _ = stage.fires("SluiceBacklogGrowing") => {}
            () = growing => {}
        }
    });
    assert!(registered.iter().all(|answer| answer.status == Some(201)), "under load");
    stage.resolves("SluiceMetricsMissing").await;
    stage.fires("SluiceBacklogWithoutWorker").await;

    let types = MailTypes::new();
    let own = [("MAILS_DIR", types.path()), ("MAIL_RATE", "2000"), ("MAIL_EVENTS", "on")];
    let worker = system.worker(&[OF_THE_CHART.as_slice(), &own].concat());
    stage.scrape(&worker);
    stage.resolves("SluiceBacklogWithoutWorker").await;
    stage.resolves("SluiceBacklogGrowing").await;
    stage.is_scraped(&worker).await;
    system.drained(MAILED).await;
    for service in [&api, &worker, &shop.relay] {
        strictly_read(service).await;
    }

    types.break_them();
    let refused = mails_at(REFUSER, 8);
    system
        .smtp
        .set_script(Script::healthy().reply(At::Rcpt, "550 5.7.1 blocked by a rule of ours").for_domain(REFUSER));
    system.publish_all(&refused).await;
    stage.fires("SluiceDeadLetters").await;
    stage.fires("SluiceMailTypesRefused").await;
    types.mend_them();
    let discard = ["dead", "discard", "--all", "--yes"];
    run("email-worker", &discard, &[("AMQP_URL", system.rabbit.amqp_url().to_owned())]).await;
    system.smtp.set_script(Script::healthy());
    stage.resolves("SluiceDeadLetters").await;
    let of_the_domain = format!("sluice_domain_refusals{{sluice_domain=\"{REFUSER}\"}}");
    assert_eq!(stage.prometheus.query(&of_the_domain).await[0].values, [8.0], "it has a figure of its own");
    stage.resolves("SluiceMailTypesRefused").await;

    a_certificate_that_is_not_taken(&stage).await;

    // Twenty that were asked for ten minutes ago.
    let late = mails_at("example.com", 30).into_iter().map(|mut mail| {
        mail.properties.timestamp = mail.properties.timestamp.map(|seconds| seconds - 600);
        mail
    });
    system.publish_all(&late.collect::<Vec<_>>()).await;
    stage.fires("SluiceMailsLate").await;
    stage.resolves("SluiceMailsLate").await;

    system.smtp.stop_listening().await;
    system.publish(1, "into-the-circuit").await;
    stage.fires("SluiceCircuitOpen").await;
    system.smtp.listen_again().await;
    stage.resolves("SluiceCircuitOpen").await;

    let slow = Script::healthy().reply(At::Content, "454 4.7.0 Throttling failure: Maximum sending rate exceeded");
    system.smtp.set_script(slow.above(5, Duration::from_secs(1)));
    system.publish(60, "throttled").await;
    stage.fires("SluiceMailServerThrottles").await;
    system.smtp.set_script(Script::healthy());
    stage.resolves("SluiceMailServerThrottles").await;

    an_event_that_nobody_takes(&stage).await;

    stage.fires("SluiceOutboxStuck").await;
    shop.to_the_broker.heal();
    stage.resolves("SluiceOutboxStuck").await;

    stage.no_panel_is_empty().await;

    // Whoever has the queue gone declares it anew: nobody but the relay may.
    assert!(worker.terminate().await.success(), "it ends well");
    system.rabbit.delete_queue(queue::EMAIL).await;
    let lost = Load::new(vec![api.base_url()], "returned").run(1, 1).await;
    assert_eq!(lost[0].status, Some(201), "nothing is lost");
    stage.fires("SluiceTasksReturned").await;
    stage.resolves("SluiceTasksReturned").await;
    stage.all_alerts_were_seen().await;
    assert!(api.terminate().await.success() && shop.relay.terminate().await.success(), "they end well");
}

/// Mails to different people there.
fn mails_at(domain: &str, count: usize) -> Vec<Outgoing> {
    let email = |n| format!("somebody-{n}@{domain}");
    (0..count).map(|n| task(TaskId::new(), &email(n), "somebody")).collect()
}

/// An application with an outbox of its own, whose relay can't reach the broker.
struct Shop {
    relay: Service,
    to_the_broker: TcpProxy,
}

impl Shop {
    async fn with_a_task_that_waits(stage: &Stage) -> Self {
        let system = &stage.system;
        let database = system.postgres.database().await;
        let schema = run("mail-api", &["schema"], &[]).await;
        let ask =
            "SELECT sluice.enqueue_mail('email.welcome', 'ada@example.com', '{\"username\": \"ada\"}', name => 'ada')";
        for statement in [schema.as_str(), ask] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(database.pool()).await.unwrap();
        }
        let broker = address_of(system.rabbit.amqp_url());
        let to_the_broker = TcpProxy::start(broker).await;
        to_the_broker.cut();
        let url = system.rabbit.amqp_url().replace(&broker.to_string(), &to_the_broker.addr().to_string());
        let mut environment = vec![("DATABASE_URL", database.url().to_owned()), ("AMQP_URL", url)];
        environment.extend(OF_THE_CHART.map(|(name, value)| (name, value.to_owned())));
        let relay = Service::spawn_with("mail-api", &["relay"], &environment);
        stage.scrape(&relay);
        relay.ready().await;
        stage.is_scraped(&relay).await;
        Self { relay, to_the_broker }
    }
}

/// One more API finds a broker whose certificate nobody vouches for, and in its place one that finds a good one.
async fn a_certificate_that_is_not_taken(stage: &Stage) {
    let (system, trust) = (&stage.system, Trust::new());
    let broker = address_of(system.rabbit.amqp_url());
    let api = async |shown| {
        let front = TlsFront::start(broker, shown, Preamble::None).await;
        let url = format!("amqps://guest:guest@localhost:{}/{}", front.port(), system.rabbit.name());
        let own = [("AMQP_URL", url.as_str()), ("SSL_CERT_FILE", &trust.path())];
        let api = system.api(&[OF_THE_CHART.as_slice(), &own].concat()).await;
        stage.scrape(&api);
        (api, front)
    };
    let (stranger, _front) = api(Shown::Stranger).await;
    stage.fires("SluiceNoSecureConnection").await;
    assert!(stranger.terminate().await.success(), "it ends well");
    let (good, _front) = api(Shown::Good).await;
    stage.is_scraped(&good).await;
    stage.resolves("SluiceNoSecureConnection").await;
    assert!(good.terminate().await.success(), "it ends well");
}

/// It is old, and somebody's transaction holds it: relays pass over what they can't lock.
async fn an_event_that_nobody_takes(stage: &Stage) {
    let mut holding = stage.system.ledger_pool().acquire().await.unwrap();
    let held = "BEGIN;
         INSERT INTO mail_events (id, event_id, mail_id, event_type, body, created_at)
         SELECT id, id, id, 'mail.sent', '{}', now() - interval '1 hour'
         FROM (SELECT '01900000-0000-7000-8000-000000000000'::uuid AS id) AS event;
         COMMIT;
         BEGIN;
         SELECT id FROM mail_events FOR UPDATE";
    // Unless a relay is faster by chance.
    while sqlx::raw_sql(held).fetch_all(&mut *holding).await.unwrap().is_empty() {}
    stage.fires("SluiceEventsStuck").await;
    sqlx::raw_sql("COMMIT").execute(&mut *holding).await.unwrap();
    stage.resolves("SluiceEventsStuck").await;
}

/// Files of mail types that can be broken.
struct MailTypes(Dir);

impl MailTypes {
    fn new() -> Self {
        Self(Dir::new("mails"))
    }

    fn path(&self) -> &str {
        self.0.path().to_str().expect("a path in UTF-8")
    }

    fn break_them(&self) {
        fs::write(self.a_type(), "[fields").unwrap();
    }

    fn mend_them(&self) {
        fs::remove_file(self.a_type()).unwrap();
    }

    fn a_type(&self) -> PathBuf {
        self.0.path().join("order.paid.toml")
    }
}

/// By parsers that are not ours, and nothing that the table does not have.
async fn strictly_read(service: &Service) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/openmetrics.py");
    let reading = tokio::process::Command::new("/usr/bin/python3")
        .arg(script)
        .arg(metrics_of(service))
        .stdin(Stdio::null())
        .output();
    let read = tokio::time::timeout(SOON, reading).await.expect("it ends").unwrap();
    let (families, errors) = (String::from_utf8_lossy(&read.stdout), String::from_utf8_lossy(&read.stderr));
    assert!(read.status.success(), "{errors}");
    let families: Vec<&str> = families.split_whitespace().filter(|name| *name != "target").collect();
    assert!(families.contains(&"sluice_component_down"), "{families:?}");
    let table = crate::metrics::table();
    let known = |name: &&str| table.iter().any(|row| row.prometheus.trim_end_matches("_total") == *name);
    let unknown: Vec<_> = families.into_iter().filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "the table in 0011-metrics.md lacks {unknown:?}");
}
