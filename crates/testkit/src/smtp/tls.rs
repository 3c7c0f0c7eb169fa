//! A certificate authority of the test process, and the server's certificate.

use std::sync::{Arc, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

struct Certificates {
    ca_pem: String,
    config: Arc<ServerConfig>,
}

fn certificates() -> &'static Certificates {
    static ONE: OnceLock<Certificates> = OnceLock::new();
    ONE.get_or_init(|| {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new([]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::new(ca, ca_key);

        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Certificates { ca_pem, config: Arc::new(config) }
    })
}

pub(crate) fn ca_pem() -> &'static str {
    &certificates().ca_pem
}

pub(crate) fn acceptor() -> TlsAcceptor {
    TlsAcceptor::from(certificates().config.clone())
}

/// A certificate that signs itself, of a server by this name, as PEM.
pub fn self_signed(name: &str) -> String {
    let key = KeyPair::generate().unwrap();
    let mut certificate = CertificateParams::new([name.to_owned()]).unwrap();
    certificate.distinguished_name.push(DnType::CommonName, name);
    certificate.self_signed(&key).unwrap().pem()
}
