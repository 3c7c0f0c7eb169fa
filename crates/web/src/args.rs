//! The variables of an HTTP server.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use ipnet::IpNet;
use platform::config::duration;
use tokio::net::TcpListener;

use crate::server::{Limits, Rules};

/// The HTTP server.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP")]
pub struct HttpArgs {
    /// Where the API is served, address and port
    #[arg(long, env = "HTTP_ADDR", default_value = "0.0.0.0:8080")]
    pub http_addr: SocketAddr,
    /// How long a client may take to send a request, and the service to answer it
    #[arg(long, env = "REQUEST_TIMEOUT", default_value = "15s", value_parser = duration)]
    pub request_timeout: Duration,
    /// How long a client may take to read an answer, from the moment when it does not
    #[arg(long, env = "WRITE_TIMEOUT", default_value = "30s", value_parser = duration)]
    pub write_timeout: Duration,
    /// How long a connection may be idle after an answer; longer than proxies keep theirs
    #[arg(long, env = "IDLE_TIMEOUT", default_value = "75s", value_parser = duration)]
    pub idle_timeout: Duration,
    /// Connections at once; more wait to be accepted
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,
    /// Connections at once of one client (IPv4 address or IPv6 /64) that is not among TRUSTED_PROXIES; 0 = any number
    #[arg(long, env = "MAX_CONNECTIONS_PER_CLIENT", default_value_t = 256)]
    pub max_connections_per_client: u32,
    /// Proxies whose X-Forwarded-For or Forwarded header is believed; their connections are not counted: networks such as 10.0.0.0/8, separated by commas
    #[arg(long, env = "TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
}

impl HttpArgs {
    /// Takes the port.
    ///
    /// # Errors
    /// It is taken.
    pub async fn listen(&self) -> anyhow::Result<(TcpListener, SocketAddr)> {
        let asked = self.http_addr;
        let listener = TcpListener::bind(asked).await.with_context(|| format!("listening on {asked} (HTTP_ADDR)"))?;
        let addr = listener.local_addr().context("asking for the port of HTTP_ADDR")?;
        Ok((listener, addr))
    }

    /// What connections are allowed; `grace` is what the service has to end.
    pub fn rules(&self, grace: Duration) -> Rules {
        let limits = Limits { head: self.request_timeout, idle: self.idle_timeout, write: self.write_timeout };
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Rules {
            limits,
            connections: count(self.max_connections),
            per_client: count(self.max_connections_per_client),
            trusted: self.trusted_proxies.clone(),
            // The rest of it is for closing, and for what works in the background.
            farewell: grace / 2,
        }
    }

    /// What makes no sense, each with whether it is so.
    pub fn contradictions(&self) -> [(bool, &'static str); 4] {
        [
            (self.request_timeout.is_zero(), "REQUEST_TIMEOUT is 0s: no request would ever be answered"),
            (self.write_timeout.is_zero(), "WRITE_TIMEOUT is 0s: no answer could be read"),
            (
                self.idle_timeout.is_zero(),
                "IDLE_TIMEOUT is 0s: each connection would be closed before its second request",
            ),
            (
                self.max_connections_per_client > self.max_connections,
                "MAX_CONNECTIONS_PER_CLIENT is more than MAX_CONNECTIONS: one client could have them all; 0 means any number",
            ),
        ]
    }
}

/// A network, or one address.
///
/// # Errors
/// It is neither.
pub fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let alone = || text.parse().map(|ip: IpAddr| IpNet::from(ip));
    text.parse().or_else(|_| alone()).map_err(|_| "not a network such as 10.0.0.0/8 or fd00::/8".to_owned())
}
