//! Connections that are secured by TLS.

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::reply::Broken;
use super::transaction::Failure;
use crate::tls::{TlsError, trusting_this_machine};

/// What to do about a port that speaks no TLS at first.
const IN_THE_CLEAR: &str = "this port begins in the clear: SMTP_TLS=starttls, or SMTP_PORT=465 for implicit";

/// Trusts the certificates that the machine trusts; read once.
pub(super) struct TlsClient {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl TlsClient {
    pub(super) fn new(host: &str) -> Result<Self, TlsError> {
        let config = trusting_this_machine()?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Host(host.to_owned()))?;
        Ok(Self { connector: TlsConnector::from(config), name })
    }

    pub(super) async fn secure(&self, tcp: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
        let secured = self.connector.connect(self.name.clone(), tcp).await;
        let explained = |error: std::io::Error| platform::tls::help(&error.to_string(), IN_THE_CLEAR);
        secured.map_err(|error| Failure::Broken(Broken::Tls(explained(error))))
    }
}
