//! HTTP to the provider: what it says where it leads is not followed, what it says is bounded, and TLS is as everywhere else.

use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, Response, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::tls::{TlsError, trusting_this_machine};

/// A request may take so long, from the name to the last byte.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// No document or token is longer, in bytes.
const LIMIT: usize = 1024 * 1024;

/// Asks over a connection of its own each time: it is seldom.
pub(super) struct Http(Option<TlsConnector>);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// It took too long.
    #[error("no answer within {} s", ANSWER_WITHIN.as_secs())]
    Slow,
    /// It names no host, or wants TLS where the issuer has none.
    #[error("{0} can't be asked: an issuer without TLS has no part with it")]
    Address(String),
    /// It is not reached.
    #[error("{host} is not reached: {error}")]
    Unreachable { host: String, error: std::io::Error },
    /// It answers nonsense.
    #[error("{host} does not answer as HTTP does: {error}")]
    Broken { host: String, error: String },
}

impl Http {
    /// With TLS, or for a provider on this machine that has none.
    pub(super) fn new(has_tls: bool) -> Result<Self, TlsError> {
        let tls = has_tls.then(trusting_this_machine).transpose()?;
        Ok(Self(tls.map(TlsConnector::from)))
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, NoAnswer> {
        let uri = request.uri().clone();
        let address = || NoAnswer::Address(uri.to_string());
        let host = uri.host().ok_or_else(address)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let unreachable = |error| NoAnswer::Unreachable { host: host.to_owned(), error };
        let is_secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let tcp = TcpStream::connect((bare.as_str(), port)).await.map_err(unreachable)?;
        let request = relative(request, &uri).ok_or_else(address)?;
        let answer = match (&self.0, is_secure) {
            (Some(tls), true) => {
                let name = ServerName::try_from(bare.clone()).map_err(|_| address())?;
                converse(tls.connect(name, tcp).await.map_err(unreachable)?, request).await
            }
            (None, false) => converse(tcp, request).await,
            // A secret is sent over the way that the issuer has, and no other.
            (Some(_), false) | (None, true) => return Err(address()),
        };
        answer.map_err(|error| NoAnswer::Broken { host: host.to_owned(), error })
    }
}

/// As a server wants it: the path alone, and the host in its header.
fn relative(request: HttpRequest, uri: &Uri) -> Option<Request<Body>> {
    let mut request = request.map(Body::from);
    let authority = uri.authority()?.as_str();
    request.headers_mut().insert(header::HOST, HeaderValue::from_str(authority).ok()?);
    *request.uri_mut() = uri.path_and_query().map_or("/", |path| path.as_str()).parse().ok()?;
    Some(request)
}

async fn converse<S>(stream: S, request: Request<Body>) -> Result<HttpResponse, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let answer = async move {
        let (parts, body) = sender.send_request(request).await.map_err(|error| error.to_string())?.into_parts();
        let body = to_bytes(Body::new(body), LIMIT).await.map_err(|error| error.to_string())?;
        Ok(Response::from_parts(parts, body.to_vec()))
    };
    // It ends with its sender.
    tokio::join!(answer, connection).0
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, NoAnswer>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async { timeout(ANSWER_WITHIN, self.ask(request)).await.unwrap_or(Err(NoAnswer::Slow)) })
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Http({})", if self.0.is_some() { "https" } else { "http" })
    }
}
