//! Connections that are secured by TLS.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::reply::Broken;
use super::transaction::Failure;

/// What to do about a port that speaks no TLS at first.
const IN_THE_CLEAR: &str = "this port begins in the clear: SMTP_TLS=starttls, or SMTP_PORT=465 for implicit";

/// Why no secure connection can ever be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// Nothing to trust.
    #[error("no root certificates found on this machine (SSL_CERT_FILE names others){0}")]
    NoRoots(String),
    /// Neither a DNS name nor an IP address.
    #[error("{0:?} is not a host name that a certificate can be for")]
    Host(String),
    /// The TLS library refused its configuration.
    #[error("TLS: {0}")]
    Setup(String),
}

/// Trusts the certificates that the machine trusts; read once.
pub(super) struct TlsClient {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl TlsClient {
    pub(super) fn new(host: &str) -> Result<Self, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(TlsError::NoRoots(why));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Host(host.to_owned()))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    pub(super) async fn secure(&self, tcp: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
        let secured = self.connector.connect(self.name.clone(), tcp).await;
        let explained = |error: std::io::Error| platform::tls::help(&error.to_string(), IN_THE_CLEAR);
        secured.map_err(|error| Failure::Broken(Broken::Tls(explained(error))))
    }
}
