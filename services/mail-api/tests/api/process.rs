//! The commands, as processes.

use testkit::Service;

use crate::support::{SOON, add_key, mail, migrated};

fn variables(database: &str) -> Vec<(&'static str, String)> {
    vec![("DATABASE_URL", database.to_owned()), ("AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f".to_owned())]
}

#[tokio::test]
async fn from_an_empty_database_to_the_first_mail_it_is_three_commands() {
    let database = testkit::database().await;
    let vars = variables(database.url());
    let early = Service::spawn_with("mail-api", &["keys", "add", "shop"], &vars[..1]).failed(SOON).await;
    assert!(early.1.contains("mail-api migrate"), "{early:?}");
    assert!(Service::spawn_with("mail-api", &["migrate"], &vars[..1]).exited(SOON).await.success());
    let none = Service::spawn_with("mail-api", &["serve"], &vars).failed(SOON).await;
    assert_eq!(none.0, Some(78), "{none:?}");
    assert!(none.1.contains("mail-api keys add NAME"), "{none:?}");
    let added = Service::spawn_with("mail-api", &["keys", "add", "shop"], &vars[..1]);
    assert!(added.exited(SOON).await.success());
    let key = added.log_lines().concat();
    assert!(key.starts_with("slc_") && key.len() == 85, "{key}");
    let service = Service::spawn_with("mail-api", &["serve"], &vars);
    service.ready().await;
    let url = format!("{}/v1/mails", service.base_url());
    let asked = reqwest::Client::new().post(url).bearer_auth(&key).json(&mail("ada")).send().await.unwrap();
    assert_eq!(asked.status(), 202);
    assert!(service.terminate().await.success());
    let log = service.log_lines().join("\n");
    assert!(!log.contains("ada@") && !log.contains(&key[21..]), "an address or a key is in the log: {log}");
}

#[tokio::test]
async fn what_is_wrong_in_its_settings_ends_it_with_one_line_that_names_it() {
    for (name, value, code) in [
        ("KEY_RATE_LIMIT_WINDOW", "0s", 64),
        ("RECIPIENT_LIMIT_WINDOW", "0s", 64),
        ("RECIPIENT_LIMIT", "-1", 64),
        ("MAX_CONNECTIONS", "10", 64),
        ("MAILS_DIR", "/nowhere", 78),
    ] {
        let mut vars = variables("postgres://u@127.0.0.1:9/d");
        vars.push((name, value.to_owned()));
        let (found, line) = Service::spawn_with("mail-api", &["serve"], &vars).failed(SOON).await;
        assert_eq!(found, Some(code), "{line}");
        assert!(line.contains(name), "{name}: {line}");
    }
}

#[tokio::test]
async fn told_to_end_it_finishes_and_ends_with_0() {
    let database = migrated().await;
    add_key(database.pool(), &["shop"]).await;
    let service = Service::spawn_with("mail-api", &["serve"], &variables(database.url()));
    service.ready().await;
    assert!(service.terminate().await.success());
    let away = Service::spawn_with("mail-api", &["serve"], &variables("postgres://u@127.0.0.1:9/d"));
    away.wait_for_log("the database is not available", SOON).await;
    assert!(away.terminate().await.success());
}
