//! What a service says first.

use std::time::Duration;

use testkit::Service;

const NOBODY: [(&str, &str); 4] = [
    ("DATABASE_URL", "postgres://nobody@127.0.0.1:9/nothing"),
    ("AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f"),
    ("SMTP_HOST", "127.0.0.1"),
    ("MAIL_FROM", "sluice@example.com"),
];

#[tokio::test]
async fn one_line_has_the_version_and_every_address_whether_or_not_a_server_is_there() {
    let variables = NOBODY.map(|(name, value)| (name, value.to_owned()));
    for (name, arguments, serves) in [
        ("user-api", &[][..], true),
        ("mail-api", &["serve"], true),
        ("mail-api", &["relay"], false),
        ("email-worker", &[], false),
    ] {
        let service = Service::spawn_with(name, arguments, &variables);
        let line = service.wait_for_log(r#""message":"started""#, Duration::from_secs(20)).await;
        let admin = service.admin_url().replace("http://", "");
        assert!(line.contains(env!("CARGO_PKG_VERSION")) && line.contains(&admin), "{name}: {line}");
        let addr = service.http_addr().to_string();
        assert_eq!(line.contains(&addr), serves, "{name} {arguments:?}: {line}");
        service.kill();
    }
}
