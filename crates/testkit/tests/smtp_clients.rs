//! A real client gets on with the mail server: encryption, login, sizes, international addresses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, Tls as ClientTls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use testkit::{SmtpOptions, SmtpServer, Tls};

type Client = AsyncSmtpTransport<Tokio1Executor>;

fn client(server: &SmtpServer, tls: Tls, login: Option<(&str, Mechanism)>) -> Client {
    let trusted = || {
        let ca = Certificate::from_pem(server.ca_pem().as_bytes()).unwrap();
        TlsParameters::builder("localhost".to_owned()).add_root_certificate(ca).build().unwrap()
    };
    let tls = match tls {
        Tls::None => ClientTls::None,
        Tls::Starttls => ClientTls::Required(trusted()),
        Tls::Implicit => ClientTls::Wrapper(trusted()),
    };
    let mut client = Client::builder_dangerous("localhost").port(server.addr().port()).tls(tls);
    if let Some((password, mechanism)) = login {
        client =
            client.credentials(Credentials::new("ann".to_owned(), password.to_owned())).authentication(vec![mechanism]);
    }
    client.build()
}

/// The code that the client ends up with; 250 is a mail that was taken.
async fn send(client: &Client, to: &str, content: &[u8]) -> String {
    let envelope = Envelope::new(Some("us@example.com".parse().unwrap()), vec![to.parse().unwrap()]).unwrap();
    match client.send_raw(&envelope, content).await {
        Ok(reply) => reply.code().to_string(),
        Err(error) => error.status().map_or_else(|| format!("no code: {error}"), |code| code.to_string()),
    }
}

const MAIL: &[u8] = b"Subject: hi\r\n\r\nhello\r\n";

#[tokio::test]
async fn encryption_and_login_are_demanded_and_understood() {
    for tls in [Tls::None, Tls::Starttls, Tls::Implicit] {
        let auth = Some(("ann".to_owned(), "secret".to_owned()));
        let server = SmtpServer::start(SmtpOptions { tls, auth, ..SmtpOptions::default() }).await;
        for mechanism in [Mechanism::Plain, Mechanism::Login] {
            let right = client(&server, tls, Some(("secret", mechanism)));
            assert_eq!(send(&right, "bob@example.com", MAIL).await, "250", "{tls:?} {mechanism}");
            let wrong = client(&server, tls, Some(("guess", mechanism)));
            assert_eq!(send(&wrong, "bob@example.com", MAIL).await, "535", "{tls:?} {mechanism}");
        }
        assert_eq!(send(&client(&server, tls, None), "bob@example.com", MAIL).await, "530", "{tls:?} without login");
        let mail = server.mails().pop().unwrap();
        assert_eq!((mail.encrypted, mail.user.as_deref()), (tls != Tls::None, Some("ann")));
        assert!(mail.data.starts_with(MAIL), "{mail:?}");
    }
}

#[tokio::test]
async fn mail_without_starttls_is_refused_where_it_is_demanded() {
    let server = SmtpServer::start(SmtpOptions { tls: Tls::Starttls, ..SmtpOptions::default() }).await;
    assert_eq!(send(&client(&server, Tls::None, None), "bob@example.com", MAIL).await, "530");
}

#[tokio::test]
async fn sizes_and_international_addresses_have_their_limits() {
    let server = SmtpServer::start(SmtpOptions { size: Some(100), ..SmtpOptions::default() }).await;
    let client = client(&server, Tls::None, None);
    assert_eq!(send(&client, "bob@example.com", &[b'x'; 200]).await, "552", "too large");
    assert_eq!(send(&client, "jürgen@example.com", MAIL).await, "250", "SMTPUTF8");
    assert!(server.mails()[0].parameters.contains("SMTPUTF8"), "{:?}", server.mails());
}

/// Not a benchmark: shows that a slow machine's tests are not held up by the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn thousands_of_mails_take_seconds() {
    let server = SmtpServer::start(SmtpOptions { keep: false, ..SmtpOptions::default() }).await;
    let (connections, each) = (8, 250);
    let begin = Instant::now();
    let clients: Vec<_> = (0..connections).map(|_| tokio::spawn(conversation(server.addr(), each))).collect();
    for client in clients {
        client.await.unwrap();
    }
    let rate = f64::from(connections * each) / begin.elapsed().as_secs_f64();
    println!("{rate:.0} mails/s");
    server.wait_for_count(2000, Duration::from_secs(1)).await;
    assert_eq!(server.mail_from_times().len(), 2000);
    assert!(rate > 200.0, "{rate:.0} mails/s");
}

/// Sends mails of 4 KiB one after the other, command by command, over one connection.
async fn conversation(server: std::net::SocketAddr, mails: u32) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(server).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let content = format!("Subject: hi\r\n\r\n{}.\r\n", "all work and no play\r\n".repeat(200));
    let mut reply = [0; 1024];
    let _ = stream.read(&mut reply).await.unwrap();
    stream.write_all(b"EHLO a\r\n").await.unwrap();
    let _ = stream.read(&mut reply).await.unwrap();
    for _ in 0..mails {
        for line in ["MAIL FROM:<a@example.com>\r\n", "RCPT TO:<b@example.com>\r\n", "DATA\r\n", &content] {
            stream.write_all(line.as_bytes()).await.unwrap();
            let n = stream.read(&mut reply).await.unwrap();
            assert!(n > 0 && matches!(reply[0], b'2' | b'3'), "{line}: {:?}", String::from_utf8_lossy(&reply[..n]));
        }
    }
}
