//! The way from here to a pod: port-forwarding through the API server, as `kubectl port-forward` does it.

use std::net::{Ipv4Addr, SocketAddr};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::pods::{is_ready, list};

/// A port on loopback that leads to a pod with certain labels, whichever is ready when a connection comes.
#[derive(Debug)]
pub struct Forward {
    address: SocketAddr,
    listening: JoinHandle<()>,
}

impl Forward {
    /// Forwards to `port` of the pods that `labels` select.
    pub async fn to(pods: Api<Pod>, labels: &str, port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let labels = labels.to_owned();
        let listening = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                connections.spawn(lead(connection, pods.clone(), labels.clone(), port));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, listening }
    }

    /// `http://..`, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Host and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// One connection. Where there is no pod, or it goes away, the connection is closed: the client sees that.
async fn lead(mut here: TcpStream, pods: Api<Pod>, labels: String, port: u16) {
    let Some(pod) = list(&pods, &labels).await.into_iter().find(is_ready) else { return };
    let Ok(mut forwarder) = pods.portforward(&pod.metadata.name.unwrap(), &[port]).await else { return };
    let Some(mut there) = forwarder.take_stream(port) else { return };
    let _ = copy_bidirectional(&mut here, &mut there).await;
}
