//! From a host name to a connection on which mails can be sent.

use std::fmt;
use std::time::Duration;

use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::reply::{Broken, Reply};
use super::server::{Smtp, Tls};
use super::stream::{BytesWritten, SmtpStream};
use super::transaction::{Capabilities, Failure};

/// What the library reads where the real greeting was read already.
const GREETED: &[u8] = b"220 greeted\r\n";
/// More than any greeting or EHLO answer.
const MAX_REPLY: usize = 16 * 1024;

impl Smtp {
    /// TCP, greeting, EHLO, TLS, AUTH.
    pub(super) async fn connect(&self) -> Result<(AsyncSmtpConnection, Capabilities, BytesWritten), Failure> {
        let mut tcp = self.connect_tcp().await?;
        let peer = tcp.peer_addr().map_err(|_| Failure::Broken(Broken::Dropped))?;
        match (self.options.tls, &self.tls) {
            (Tls::None, _) | (_, None) => self.handshake(SmtpStream::new(tcp, peer, b"")).await,
            (Tls::Implicit, Some(tls)) => self.handshake(SmtpStream::new(tls.secure(tcp).await?, peer, b"")).await,
            (Tls::Starttls, Some(tls)) => {
                self.starttls(&mut tcp).await?;
                self.handshake(SmtpStream::new(tls.secure(tcp).await?, peer, GREETED)).await
            }
        }
    }

    /// Greeting, EHLO, AUTH, over a connection that is as secure as it will be.
    pub(super) async fn handshake<S>(
        &self,
        stream: SmtpStream<S>,
    ) -> Result<(AsyncSmtpConnection, Capabilities, BytesWritten), Failure>
    where
        SmtpStream<S>: lettre::transport::smtp::client::AsyncTokioStream + 'static,
    {
        let written = stream.written();
        let mut connection = self.ehlo(stream).await?;
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            if connection.server_info().get_auth_mechanism(&mechanisms).is_none() {
                return Err(lacks(
                    "SMTP_USERNAME is set, but the mail server offers neither AUTH PLAIN nor AUTH LOGIN",
                ));
            }
            connection.auth(&mechanisms, credentials).await.map_err(|error| Failure::read(&error, &[]))?;
        }
        let capabilities = Capabilities::ask(&mut connection, &self.helo).await?;
        Ok((connection, capabilities, written))
    }

    /// Every address of the host is tried, and one that does not answer leaves time for the next.
    async fn connect_tcp(&self) -> Result<TcpStream, Failure> {
        let host = self.options.host.as_str();
        let addresses = lookup_host((host, self.options.port)).await.map_err(|error| unreachable(&host, &error))?;
        let addresses: Vec<_> = addresses.collect();
        let share = match addresses.len() {
            0 | 1 => self.options.connect_timeout,
            _ => (self.options.connect_timeout / 3).max(Duration::from_millis(1)),
        };
        let mut failure = unreachable(&host, &"it has no address");
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => {
                    tcp.set_nodelay(true).map_err(|error| unreachable(&address, &error))?;
                    return Ok(tcp);
                }
                Ok(Err(error)) => failure = unreachable(&address, &error),
                Err(_) => failure = Failure::Broken(Broken::Timeout(share)),
            }
        }
        Err(failure)
    }

    async fn ehlo<S>(&self, stream: SmtpStream<S>) -> Result<AsyncSmtpConnection, Failure>
    where
        SmtpStream<S>: lettre::transport::smtp::client::AsyncTokioStream + 'static,
    {
        AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.helo)
            .await
            .map_err(|error| Failure::read(&error, &[]))
    }

    /// Done by hand: the library would take what somebody on the way slipped in behind the answer to STARTTLS for the
    /// server's first words over the secure connection.
    async fn starttls(&self, tcp: &mut TcpStream) -> Result<(), Failure> {
        reply(tcp).await?;
        command(tcp, &format!("EHLO {}\r\n", self.helo)).await?;
        let capabilities = reply(tcp).await?;
        if !capabilities.iter().skip(1).any(|line| line.trim().eq_ignore_ascii_case("STARTTLS")) {
            let why = "SMTP_TLS=starttls, but the mail server does not offer STARTTLS";
            return Err(Failure::Broken(Broken::Tls(why.to_owned())));
        }
        command(tcp, "STARTTLS\r\n").await?;
        reply(tcp).await?;
        Ok(())
    }
}

fn lacks(what: &'static str) -> Failure {
    Failure::Broken(Broken::Lacks(what))
}

fn unreachable(where_to: &impl fmt::Display, why: &impl fmt::Display) -> Failure {
    Failure::Broken(Broken::Unreachable(format!("{where_to}: {why}")))
}

fn dropped(_: std::io::Error) -> Failure {
    Failure::Broken(Broken::Dropped)
}

async fn command(tcp: &mut TcpStream, line: &str) -> Result<(), Failure> {
    tcp.write_all(line.as_bytes()).await.map_err(dropped)
}

/// The lines of one positive reply, without codes. The server may not have said more than that.
async fn reply(tcp: &mut TcpStream) -> Result<Vec<String>, Failure> {
    let protocol = |what: &str| Failure::Broken(Broken::Protocol(what.to_owned()));
    let mut seen = Vec::new();
    loop {
        if let Some(lines) = complete(&seen).map_err(protocol)? {
            let (code, texts) = lines;
            return match code / 100 {
                2 => Ok(texts),
                4 | 5 => Err(Failure::Refused(Reply::new(code, &texts.join(" "), &[]))),
                _ => Err(protocol("answered with an unexpected code")),
            };
        }
        if seen.len() > MAX_REPLY {
            return Err(protocol("answered without end"));
        }
        if tcp.read_buf(&mut seen).await.map_err(dropped)? == 0 {
            return Err(Failure::Broken(Broken::Dropped));
        }
    }
}

/// Reads one reply; `None` while it is incomplete.
fn complete(seen: &[u8]) -> Result<Option<(u16, Vec<String>)>, &'static str> {
    let mut texts = Vec::new();
    let mut rest = seen;
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(&rest[..end]);
        let line = line.trim_end_matches('\r');
        rest = &rest[end + 1..];
        let code: u16 = line.get(..3).and_then(|code| code.parse().ok()).ok_or("answered without a code")?;
        texts.push(line.get(4..).unwrap_or_default().to_owned());
        match line.as_bytes().get(3) {
            Some(b'-') => {}
            None | Some(b' ') if rest.is_empty() => return Ok(Some((code, texts))),
            None | Some(b' ') => return Err("said more than was asked before the connection was secure"),
            Some(_) => return Err("answered without a code"),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_before_tls_are_read_to_their_end_and_not_beyond() {
        let ok = |code, lines: &[&str]| Ok(Some((code, lines.iter().map(|s| (*s).to_owned()).collect())));
        for (seen, expected) in [
            ("", Ok(None)),
            ("220 mail", Ok(None)),
            ("220 mail\r\n", ok(220, &["mail"])),
            ("220\r\n", ok(220, &[""])),
            ("250-a\r\n", Ok(None)),
            ("250-a\r\n250 STARTTLS\r\n", ok(250, &["a", "STARTTLS"])),
            ("220 go\r\n250 injected\r\n", Err("said more than was asked before the connection was secure")),
            ("220 go\r\n25", Err("said more than was asked before the connection was secure")),
            ("hello\r\n", Err("answered without a code")),
            ("220ready\r\n", Err("answered without a code")),
        ] {
            assert_eq!(complete(seen.as_bytes()), expected, "{seen:?}");
        }
    }
}
