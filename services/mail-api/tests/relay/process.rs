//! The commands, as processes.

use testkit::{Metric, OtlpReceiver, Service};

use crate::support::{SOON, Shop};

fn variables(database: &str) -> Vec<(&'static str, String)> {
    vec![("DATABASE_URL", database.to_owned()), ("AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f".to_owned())]
}

#[tokio::test]
async fn schema_prints_what_the_library_makes_and_wants_no_variable() {
    let shop = Shop::without_outbox(testkit::database().await).await;
    let arguments = ["schema", "--app-role", &shop.app, "--relay-role", &shop.relay];
    let printed = Service::spawn_with("mail-api", &arguments, &[]);
    assert!(printed.exited(SOON).await.success());
    let sql = printed.log_lines().join("\n");
    assert_eq!(sql.trim_end(), outbox::schema::sql(&shop.options()).trim_end());
    shop.execute(&sql).await;
    assert_eq!(shop.waiting().await, 0);
}

#[tokio::test]
async fn what_is_wrong_in_its_settings_ends_it_with_64_and_one_line_that_names_it() {
    for (arguments, name, value) in [
        (&["relay"][..], "OUTBOX_SCHEMA", "a\\b"),
        (&["relay"], "RELAY_POLL_INTERVAL", "1ms"),
        (&["relay"], "SHUTDOWN_GRACE", "0s"),
        (&["relay"], "DATABASE_URL", "mysql://h/d"),
        (&["schema", "--schema", "a$b"], "--schema", ""),
        (&["schema", "--app-role", ""], "--app-role", ""),
    ] {
        let mut vars = variables("postgres://u@127.0.0.1:9/d");
        if !name.starts_with('-') {
            vars.push((name, value.to_owned()));
        }
        let (code, line) = Service::spawn_with("mail-api", arguments, &vars).failed(SOON).await;
        assert_eq!(code, Some(64), "{line}");
        assert!(line.contains(name), "{name}: {line}");
    }
}

#[tokio::test]
async fn told_to_end_it_ends_with_0_although_neither_database_nor_broker_is_there() {
    let relay = Service::spawn_with("mail-api", &["relay"], &variables("postgres://u@127.0.0.1:9/d"));
    relay.wait_for_log("started", SOON).await;
    relay.wait_for_log("the database is not available", SOON).await;
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn a_mail_goes_on_with_the_trace_of_the_request_that_asked_for_it_and_is_counted() {
    let (shop, vhost, otlp) = (Shop::open().await, testkit::vhost().await, OtlpReceiver::start().await);
    let mut vars = variables(&shop.relay_url());
    vars[1].1 = vhost.amqp_url().to_owned();
    vars.push(("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.endpoint()));
    vars.push(("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()));
    vars.push(("OTEL_METRIC_EXPORT_INTERVAL", "300".to_owned()));
    let relay = Service::spawn_with("mail-api", &["relay"], &vars);
    relay.ready().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let asked = "SELECT sluice.enqueue_mail('order.paid', 'ada@example.com',
                     traceparent => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')";
    sqlx::raw_sql(asked).execute(&shop.as_app().await).await.unwrap();
    let spans = otlp.wait_for_spans(|spans| spans.iter().any(|span| span.name == "send email_queue"), SOON).await;
    let sent = spans.iter().find(|span| span.name == "send email_queue").expect("the span");
    assert_eq!((sent.trace_id.as_str(), sent.parent.as_deref()), (trace, Some("b7ad6b7169203331")));
    let published = |metric: &Metric| metric.points.iter().any(|point| point.value >= 1.0);
    otlp.wait_for_metric("sluice.relay.messages", published, SOON).await;
    assert!(relay.log_lines().iter().all(|line| !line.contains("ada@")), "no address in the log");
    assert!(relay.terminate().await.success());
}
