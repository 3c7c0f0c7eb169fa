//! TLS to others, as this machine trusts them.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

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

/// Trusts the certificates that the machine trusts at this moment.
pub(crate) fn trusting_this_machine() -> Result<Arc<ClientConfig>, TlsError> {
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
    Ok(Arc::new(config))
}
