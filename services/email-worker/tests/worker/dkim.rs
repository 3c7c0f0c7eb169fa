//! Signatures (DKIM), looked at by a verifier that is not ours: dkimpy.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::helpers::{PATIENCE, World, registration};

/// Python asks this for a record of DNS, and nothing else is there.
const VERIFIER: &str = "
import sys, dkim
name, record = sys.argv[1].encode(), sys.argv[2].encode()
dns = lambda asked, timeout=5: record if asked.rstrip(b'.') == name else None
print('good' if dkim.verify(sys.stdin.buffer.read(), dnsfunc=dns) else 'bad')
";

/// What a command prints, given this.
fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A Python that has dkimpy, if there is one.
fn python() -> Option<&'static str> {
    let has_it = |python: &&str| {
        let looked = Command::new(python).args(["-c", "import dkim"]).stderr(Stdio::null()).status();
        looked.is_ok_and(|status| status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(|python| has_it(python));
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "dkimpy is missing: scripts/setup servers");
    found
}

/// A private key in PEM, and what is published of it.
fn key() -> (String, String) {
    let private = piped("openssl", &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], b"");
    let public = piped("openssl", &["pkey", "-pubout"], &private);
    let public: String = String::from_utf8(public).unwrap().lines().filter(|line| !line.starts_with("-----")).collect();
    (String::from_utf8(private).unwrap(), format!("v=DKIM1; k=rsa; p={public}"))
}

fn verified(python: &str, name: &str, record: &str, mail: &[u8]) -> String {
    String::from_utf8(piped(python, &["-c", VERIFIER, name, record], mail)).unwrap().trim().to_owned()
}

#[tokio::test]
async fn every_mail_is_signed_as_a_foreign_verifier_finds_until_it_is_changed() {
    let Some(python) = python() else { return };
    let world = World::new().await;
    let (private, record) = key();
    let dkim = [("DKIM_PRIVATE_KEY", private.as_str()), ("DKIM_SELECTOR", "s2026")];
    let worker = world.worker_with(&dkim).await;
    for locale in ["en", "zh"] {
        let body = json!({"email": "ada@example.com", "username": ".ada  l\u{f6}velace", "locale": locale}).to_string();
        let id = contract::TaskId::new();
        world.client.publish(contract::queue::EMAIL, body.as_bytes(), registration(id)).await;
    }
    world.smtp.wait_for_mails(2, PATIENCE).await;
    let name = "s2026._domainkey.example.com";
    for mail in world.smtp.mails() {
        let text = String::from_utf8(mail.data.clone()).unwrap();
        assert_eq!(verified(python, name, &record, &mail.data), "good", "{text}");
        let bad = |what: &str, changed: &str| {
            assert_ne!(changed, text, "{what} changed nothing");
            assert_eq!(verified(python, name, &record, changed.as_bytes()), "bad", "{what}");
        };
        bad("another body", &text.replacen("--=_", "x\r\n--=_", 2));
        bad("another sender", &text.replacen("From: ", "From: Eve ", 1));
        bad("a second sender", &text.replacen("From: ", "From: eve@example.org\r\nFrom: ", 1));
        bad("a header that was not there", &text.replacen("From: ", "Reply-To: eve@example.org\r\nFrom: ", 1));
        let (_, other) = key();
        assert_eq!(verified(python, name, &other, &mail.data), "bad", "another key");
    }
    world.marked(2).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn another_selector_and_domain_are_those_of_the_configuration() {
    let Some(python) = python() else { return };
    let world = World::new().await;
    let (private, record) = key();
    let dkim =
        [("DKIM_PRIVATE_KEY", private.as_str()), ("DKIM_SELECTOR", "s2027"), ("DKIM_DOMAIN", "mail.example.net")];
    let worker = world.worker_with(&dkim).await;
    world.register("ada@example.com").await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    let mail = world.smtp.mails().remove(0);
    assert_eq!(verified(python, "s2027._domainkey.mail.example.net", &record, &mail.data), "good");
    world.marked(1).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn without_a_key_nothing_is_signed() {
    let world = World::new().await;
    let worker = world.worker().await;
    world.register("ada@example.com").await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    assert_eq!(world.smtp.mails()[0].header("DKIM-Signature"), None);
    world.marked(1).await;
    world.ends_clean(worker).await;
}
