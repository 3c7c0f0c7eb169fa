//! A way to the broker on which everything takes a while: what is at work is met in the middle of it.

use std::net::SocketAddr;
use std::time::Duration;

use testkit::{TcpProxy, Vhost};

/// How long each direction takes.
const LATENCY: Duration = Duration::from_millis(150);

/// The broker, from far away.
pub(crate) struct SlowWay {
    _proxy: TcpProxy,
    variables: [(&'static str, String); 1],
}

impl SlowWay {
    pub(crate) async fn to(vhost: &Vhost) -> Self {
        let url = vhost.amqp_url();
        let authority = url.split(['@', '/']).find(|part| part.parse::<SocketAddr>().is_ok()).expect("an address");
        let proxy = TcpProxy::start(authority.parse().expect("it was an address")).await;
        proxy.latency(LATENCY);
        let variables = [("AMQP_URL", url.replace(authority, &proxy.addr().to_string()))];
        Self { _proxy: proxy, variables }
    }

    /// What a command needs to go this way.
    pub(crate) fn variables(&self) -> &[(&'static str, String)] {
        &self.variables
    }
}
