//! Addresses beyond ASCII.

use contract::EmailAddress;
use email_worker::smtp::{SendError, Unsendable};
use testkit::{SmtpOptions as ServerOptions, SmtpServer};

use crate::{open, render, short};

#[tokio::test]
async fn a_domain_beyond_ascii_needs_nothing_of_the_server() {
    let server =
        SmtpServer::start(ServerOptions { smtputf8: false, eight_bit_mime: false, ..ServerOptions::default() }).await;
    let mut session = open(&server).await;
    session.send(&render("ada@b\u{fc}cher.example", "ada", None)).await.unwrap();
    session.send(&render("ada@\u{4f8b}\u{5b50}.\u{6d4b}\u{8bd5}", "\u{827e}\u{8fbe}", Some("zh-CN"))).await.unwrap();
    let mails = server.mails();
    assert_eq!(mails[0].to, ["ada@xn--bcher-kva.example"]);
    assert_eq!(mails[0].header("To").unwrap(), "ada@xn--bcher-kva.example");
    assert_eq!(mails[1].to, ["ada@xn--fsqu00a.xn--0zwm56d"]);
    assert!(mails.iter().all(|mail| mail.parameters.is_empty() && mail.data.is_ascii()));
}

#[tokio::test]
async fn a_local_part_beyond_ascii_goes_with_smtputf8() {
    let server = SmtpServer::start(ServerOptions::default()).await;
    let mut session = open(&server).await;
    session.send(&render("j\u{fc}rgen@b\u{fc}cher.example", "J\u{fc}rgen", None)).await.unwrap();
    session.send(&render("ada@example.com", "ada", None)).await.unwrap();
    let mails = server.mails();
    assert_eq!(mails[0].to, ["j\u{fc}rgen@xn--bcher-kva.example"]);
    assert_eq!(mails[0].parameters, "SMTPUTF8 BODY=8BITMIME");
    assert_eq!(mails[0].header("To").unwrap(), "j\u{fc}rgen@xn--bcher-kva.example");
    assert_eq!(mails[1].parameters, "");
}

#[tokio::test]
async fn a_decomposed_address_is_told_to_the_server_composed() {
    let server = SmtpServer::start(ServerOptions::default()).await;
    let mut session = open(&server).await;
    session.send(&render("ju\u{308}rgen@bu\u{308}cher.example", "J\u{fc}rgen", None)).await.unwrap();
    let mails = server.mails();
    assert_eq!(mails[0].to, ["j\u{fc}rgen@xn--bcher-kva.example"]);
    assert_eq!(mails[0].header("To").unwrap(), "j\u{fc}rgen@xn--bcher-kva.example");
}

#[tokio::test]
async fn a_local_part_in_full_width_keeps_it() {
    let server = SmtpServer::start(ServerOptions::default()).await;
    let mut session = open(&server).await;
    session.send(&render("\u{ff41}da@\u{ff45}xample.com", "ada", None)).await.unwrap();
    assert_eq!(server.mails()[0].to, ["\u{ff41}da@example.com"], "only NFKC would narrow it, and RFC 6532 says not to");
}

#[tokio::test]
async fn without_smtputf8_the_mail_is_refused_before_anything_is_said() {
    let server = SmtpServer::start(ServerOptions { smtputf8: false, ..ServerOptions::default() }).await;
    let mut session = open(&server).await;
    let error = session.send(&render("j\u{fc}rgen@example.com", "ada", None)).await.unwrap_err();
    assert_eq!(error, SendError::Unsendable(Unsendable::NeedsSmtpUtf8));
    assert!(!error.to_string().contains("rgen"), "{error}");
    assert!(server.mail_from_times().is_empty());
    session.send(&render("ada@example.com", "ada", None)).await.unwrap_or_else(|error| panic!("{}", short(&error)));
}

#[tokio::test]
async fn without_8bitmime_it_is_not_asked_for() {
    let server = SmtpServer::start(ServerOptions { eight_bit_mime: false, ..ServerOptions::default() }).await;
    let mut session = open(&server).await;
    session.send(&render("j\u{fc}rgen@example.com", "ada", None)).await.unwrap();
    assert_eq!(server.mails()[0].parameters, "SMTPUTF8");
}

#[test]
fn addresses_that_could_end_a_command_or_a_header_never_come_so_far() {
    let long = format!("{}@example.com", "a".repeat(10_240));
    for address in [
        long.as_str(),
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com>\r\nRCPT TO:<eve@example.com",
        "ada\r\n@example.com",
        "ada@exam\nple.com",
        "\"ada lovelace\"@example.com",
        "<ada@example.com>",
        "ada@example.com,eve@example.com",
        "ada@[127.0.0.1]",
    ] {
        assert!(address.parse::<EmailAddress>().is_err(), "{address:.60}");
    }
}
