//! Secured connections and logins. Which certificates are trusted is read from the environment, so the tests run in a
//! process of their own with `SSL_CERT_FILE` set: the machine's own trust is neither used nor changed.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use email_worker::smtp::{Login, SmtpOptions, Tls, Transport};
use testkit::{Script, SmtpOptions as ServerOptions, SmtpServer, Stage, Tls as ServerTls};

use crate::{LIMIT, mail, options, short};

#[test]
fn secured_connections_and_logins() {
    let trust = std::env::temp_dir().join(format!("sluice-mail-ca-{}.pem", std::process::id()));
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--test-threads=1", "tls::trusting::"])
        .env("SSL_CERT_FILE", &trust)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let _ = std::fs::remove_file(&trust);
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("test result: ok. 7 passed"), "{said}");
}

/// Begins with trusting the test's authority.
async fn server(tls: ServerTls, auth: bool) -> SmtpServer {
    let auth = auth.then(|| ("worker".to_owned(), "geheim".to_owned()));
    let server = SmtpServer::start(ServerOptions { tls, auth, ..ServerOptions::default() }).await;
    let trust = PathBuf::from(std::env::var_os("SSL_CERT_FILE").expect("run by secured_connections_and_logins"));
    std::fs::write(trust, server.ca_pem()).unwrap();
    server
}

fn login(password: &str) -> Option<Login> {
    Some(Login { username: "worker".to_owned(), password: password.to_owned().into() })
}

fn transport(server: &SmtpServer, change: impl FnOnce(&mut SmtpOptions)) -> Transport {
    let mut options = options(server);
    change(&mut options);
    Transport::smtp(options).unwrap()
}

mod trusting {
    use super::*;

    #[tokio::test]
    #[ignore = "run by secured_connections_and_logins"]
    async fn both_ways_to_secure_a_connection_work_with_a_login() {
        for (theirs, ours) in [(ServerTls::Starttls, Tls::Starttls), (ServerTls::Implicit, Tls::Implicit)] {
            for host in ["localhost", "127.0.0.1"] {
                let server = server(theirs, true).await;
                let transport = transport(&server, |options| {
                    options.tls = ours;
                    host.clone_into(&mut options.host);
                    options.login = login("geheim");
                });
                let mut session = transport.open().await.unwrap_or_else(|error| panic!("{ours:?} {host}: {error}"));
                session.send(&mail()).await.unwrap();
                session.send(&mail()).await.unwrap();
                let taken = server.mails();
                assert!(taken.iter().all(|mail| mail.encrypted && mail.user.as_deref() == Some("worker")), "{ours:?}");
            }
        }
    }

    #[tokio::test]
    #[ignore = "run by secured_connections_and_logins"]
    async fn a_certificate_for_another_host_is_not_trusted() {
        for (theirs, ours) in [(ServerTls::Starttls, Tls::Starttls), (ServerTls::Implicit, Tls::Implicit)] {
            let server = server(theirs, false).await;
            let transport = transport(&server, |options| {
                options.tls = ours;
                "127.0.0.2".clone_into(&mut options.host);
            });
            // The server listens on 127.0.0.1 alone: a forwarder gives it another address.
            let forward = forward("127.0.0.2", server.addr()).await;
            let error = transport.open().await.unwrap_err();
            assert_eq!(short(&error), "connect tls", "{error}");
            forward.abort();
        }
    }

    #[tokio::test]
    #[ignore = "run by secured_connections_and_logins"]
    async fn a_server_without_starttls_is_not_talked_to_in_the_clear() {
        let server = server(ServerTls::None, true).await;
        let transport = transport(&server, |options| {
            options.tls = Tls::Starttls;
            options.login = login("geheim");
        });
        let error = transport.open().await.unwrap_err();
        assert_eq!(short(&error), "connect tls", "{error}");
        assert_eq!(server.counts().commands.get(&Stage::Auth), None, "the password was sent in the clear");
    }

    #[tokio::test]
    #[ignore = "run by secured_connections_and_logins"]
    async fn whatever_goes_wrong_on_the_way_to_a_secure_connection_is_seen_at_connect() {
        let server = server(ServerTls::Starttls, false).await;
        let open = async |tls| {
            let transport = transport(&server, |options| {
                options.tls = tls;
                options.connect_timeout = LIMIT * 5;
            });
            transport.open().await.map_or_else(|error| short(&error), |_| "open".to_owned())
        };
        for (script, expected) in [
            (Script::healthy(), "open"),
            (Script::healthy().reply(Stage::StartTls, "454 4.7.0 TLS not available"), "connect 454 4.7.0"),
            (Script::healthy().drop_at(Stage::StartTls), "connect dropped"),
            (Script::healthy().hang_at(Stage::StartTls), "connect timeout"),
            (Script::healthy().reply(Stage::Connect, "554 no"), "connect 554"),
            (Script::healthy().reply(Stage::Ehlo, "502 no"), "connect 502"),
        ] {
            server.set_script(script);
            assert_eq!(open(Tls::Starttls).await, expected);
        }
        // Greets in the clear where TLS is expected, and the other way round.
        server.set_script(Script::healthy());
        assert_eq!(open(Tls::Implicit).await, "connect tls");
    }

    #[tokio::test]
    #[ignore = "run by secured_connections_and_logins"]
    async fn the_error_says_what_to_do_about_a_port_that_begins_in_the_clear_and_a_signer_nobody_trusts() {
        let server = server(ServerTls::Starttls, false).await;
        let plain = transport(&server, |options| options.tls = Tls::Implicit).open().await.unwrap_err();
        assert!(plain.to_string().contains("SMTP_TLS=starttls"), "{plain}");
        // Another authority than the one that has signed.
        let trust = PathBuf::from(std::env::var_os("SSL_CERT_FILE").unwrap());
        std::fs::write(trust, testkit::self_signed("other.example")).unwrap();
        let unknown = transport(&server, |options| options.tls = Tls::Starttls).open().await.unwrap_err();
        assert!(unknown.to_string().contains("SSL_CERT_FILE"), "{unknown}");
    }

    #[tokio::test]
    #[ignore = "run by secured_connections_and_logins"]
    async fn what_is_slipped_in_before_the_connection_is_secure_is_not_believed() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let trusted = server(ServerTls::Starttls, false).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let between = tokio::spawn(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut heard = [0; 512];
            for answer in ["220 hi\r\n", "250-hi\r\n250 STARTTLS\r\n", "220 go ahead\r\n250 injected\r\n"] {
                tcp.write_all(answer.as_bytes()).await.unwrap();
                let _ = tcp.read(&mut heard).await;
            }
        });
        let transport = transport(&trusted, |options| {
            options.tls = Tls::Starttls;
            options.port = port;
        });
        assert_eq!(short(&transport.open().await.unwrap_err()), "connect protocol");
        between.await.unwrap();
    }

    #[tokio::test]
    #[ignore = "run by secured_connections_and_logins"]
    async fn a_refused_login_is_seen_at_connect_and_never_shown() {
        let server = server(ServerTls::Starttls, true).await;
        for (password, expected) in [("falsch", "connect 535"), ("geheim", "open")] {
            let transport = transport(&server, |options| {
                options.tls = Tls::Starttls;
                options.login = login(password);
            });
            let opened = transport.open().await;
            let said = opened.as_ref().map_or_else(ToString::to_string, |_| String::new());
            assert!(!said.contains("falsch") && !format!("{transport:?}").contains("geheim"), "{said}");
            let short = opened.map_or_else(|error| short(&error), |_| "open".to_owned());
            assert!(short.starts_with(expected), "{short}");
        }
    }
}

/// In the clear only where that was chosen.
#[tokio::test]
async fn logins_in_the_clear_work_where_they_were_chosen() {
    let auth = Some(("worker".to_owned(), "geheim".to_owned()));
    let server = SmtpServer::start(ServerOptions { auth, ..ServerOptions::default() }).await;
    let open = async |password| {
        let transport = transport(&server, |options| options.login = login(password));
        transport.open().await.map_or_else(|error| short(&error), |_| "open".to_owned())
    };
    assert_eq!(open("geheim").await, "open");
    // LOGIN where PLAIN is not offered.
    server.set_script(Script::healthy().reply(Stage::Ehlo, "250 localhost\nAUTH LOGIN"));
    assert_eq!(open("geheim").await, "open");
    server.set_script(Script::healthy().reply(Stage::Ehlo, "250 localhost\nAUTH CRAM-MD5"));
    assert_eq!(open("geheim").await, "connect lacks");
    server.set_script(Script::healthy().reply(Stage::Auth, "454 4.7.0 temporary failure"));
    assert_eq!(open("geheim").await, "connect 454 4.7.0");
    server.set_script(Script::healthy());
    assert!(open("wrong").await.starts_with("connect 535"));

    let mut session = transport(&server, |_| {}).open().await.unwrap();
    assert_eq!(short(&session.send(&mail()).await.unwrap_err()), "mail 530 5.7.0");
}

async fn forward(host: &str, to: std::net::SocketAddr) -> tokio::task::JoinHandle<()> {
    let listener = tokio::net::TcpListener::bind((host, to.port())).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut to = tokio::net::TcpStream::connect(to).await.unwrap();
            let both = tokio::io::copy_bidirectional(&mut from, &mut to);
            let _ = tokio::time::timeout(Duration::from_secs(5), both).await;
        }
    })
}
