//! TLS in front of a server that speaks none itself, with a certificate of any kind.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::dir::Dir;

/// A certificate that a server shows. Clients trust what is in [`Trust`]; the names are `localhost` and `127.0.0.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shown {
    /// Signed by an authority that is trusted.
    Good,
    /// It was, until 2020.
    Expired,
    /// For `elsewhere.example`.
    OtherName,
    /// Signed by somebody.
    Stranger,
    /// Signed by itself, and trusted.
    SelfSigned,
    /// The same, as `openssl req -x509` makes it: an authority's (CA:TRUE).
    Authority,
}

impl Shown {
    /// Each, and words that are to be said of it; `None`: it is taken.
    pub const ALL: [(Self, Option<&'static str>); 6] = [
        (Self::Good, None),
        (Self::SelfSigned, None),
        (Self::Expired, Some("expired")),
        (Self::OtherName, Some("elsewhere.example")),
        (Self::Stranger, Some("has signed it")),
        (Self::Authority, Some("basicConstraints=critical,CA:FALSE")),
    ];
}

/// Where a URL leads that has an address and a port in it, with a login or without.
///
/// # Panics
/// When it has none.
pub fn address_of(url: &str) -> SocketAddr {
    let authority = url.split('/').nth(2).and_then(|authority| authority.rsplit('@').next());
    authority.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no address in {url}"))
}

/// What is said before TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preamble {
    /// Nothing.
    None,
    /// PostgreSQL's SSLRequest.
    Postgres,
}

/// Takes TLS connections and passes on what is in them.
#[derive(Debug)]
pub struct TlsFront {
    addr: SocketAddr,
    serving: JoinHandle<()>,
}

impl TlsFront {
    /// In front of `target`, on the runtime of the test.
    pub async fn start(target: SocketAddr, shown: Shown, preamble: Preamble) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of its own");
        let addr = listener.local_addr().expect("its port");
        let acceptor = TlsAcceptor::from(certificates().config(shown));
        let serving = tokio::spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                // Whatever goes wrong, the client sees.
                passing.spawn(async move { drop(pass(client, target, acceptor, preamble).await) });
            }
        });
        Self { addr, serving }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(
    mut client: TcpStream,
    target: SocketAddr,
    acceptor: TlsAcceptor,
    preamble: Preamble,
) -> std::io::Result<()> {
    if preamble == Preamble::Postgres {
        client.read_exact(&mut [0; 8]).await?;
        client.write_all(b"S").await?;
    }
    let mut client = acceptor.accept(client).await?;
    copy_bidirectional(&mut client, &mut TcpStream::connect(target).await?).await?;
    Ok(())
}

/// The certificates that a client is to trust, in a file; dropping it removes that.
#[derive(Debug)]
pub struct Trust {
    path: PathBuf,
    _dir: Dir,
}

impl Trust {
    /// Writes the file.
    #[allow(clippy::new_without_default, reason = "it is a deed")]
    pub fn new() -> Self {
        let dir = Dir::new("trust");
        let path = dir.path().join("trust.pem");
        fs::write(&path, &certificates().trust).expect("writing the certificates");
        Self { path, _dir: dir }
    }

    /// The value of `SSL_CERT_FILE`.
    pub fn path(&self) -> String {
        self.path.display().to_string()
    }
}

struct Certificates {
    trust: String,
    configs: Vec<(Shown, Arc<ServerConfig>)>,
}

impl Certificates {
    fn config(&self, shown: Shown) -> Arc<ServerConfig> {
        let found = self.configs.iter().find(|(known, _)| *known == shown);
        Arc::clone(&found.expect("there is one of each kind").1)
    }
}

fn certificates() -> &'static Certificates {
    static ONE: OnceLock<Certificates> = OnceLock::new();
    ONE.get_or_init(|| {
        let (authority, trusted) = authority();
        let (stranger, _) = self::authority();
        let mut trust = trusted;
        let signed = |issuer: &Issuer<'static, KeyPair>, params: CertificateParams| {
            let key = KeyPair::generate().unwrap();
            config(params.signed_by(&key, issuer).unwrap().der().clone(), &key)
        };
        let mut of_itself = |is_ca: IsCa| {
            let key = KeyPair::generate().unwrap();
            let mut params = named(&["localhost", "127.0.0.1"]);
            params.is_ca = is_ca;
            params.distinguished_name.push(rcgen::DnType::CommonName, format!("{:?}", params.is_ca));
            let certificate = params.self_signed(&key).unwrap();
            trust += &certificate.pem();
            config(certificate.der().clone(), &key)
        };
        let mut expired = named(&["localhost", "127.0.0.1"]);
        (expired.not_before, expired.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
        let configs = vec![
            (Shown::SelfSigned, of_itself(IsCa::ExplicitNoCa)),
            (Shown::Authority, of_itself(IsCa::Ca(BasicConstraints::Unconstrained))),
            (Shown::Good, signed(&authority, named(&["localhost", "127.0.0.1"]))),
            (Shown::Expired, signed(&authority, expired)),
            (Shown::OtherName, signed(&authority, named(&["elsewhere.example"]))),
            (Shown::Stranger, signed(&stranger, named(&["localhost", "127.0.0.1"]))),
        ];
        Certificates { trust, configs }
    })
}

/// An authority, and its certificate as PEM.
fn authority() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    // Another name than that of any other authority.
    params.distinguished_name.push(rcgen::DnType::CommonName, uuid::Uuid::now_v7().to_string());
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

fn named(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn config(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}
