//! The cluster as one that has no KEDA: its API server, behind a proxy that leaves KEDA's kinds out.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{self, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kube::Client;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::context::Cluster;

const GROUP: &str = "keda.sh";

/// An API server on loopback that can be read, and knows nothing of KEDA.
#[derive(Debug)]
pub struct WithoutKeda {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl WithoutKeda {
    /// In front of this cluster.
    pub async fn before(cluster: &Cluster) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(cluster.client.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, serving }
    }

    /// Where it is, for `helm --kube-apiserver`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for WithoutKeda {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(client): State<Client>, request: Request) -> Response {
    let asked = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    if asked.starts_with(&format!("/apis/{GROUP}")) {
        return StatusCode::NOT_FOUND.into_response();
    }
    // Whatever the client would rather have, what comes back is plain JSON.
    let plain = http::Request::get(asked).body(Vec::new()).unwrap();
    let (status, body) = match client.request_text(plain).await {
        Ok(body) if asked.starts_with("/apis?") || asked == "/apis" => (StatusCode::OK, without_the_group(&body)),
        Ok(body) => (StatusCode::OK, body),
        Err(kube::Error::Api(status)) => {
            let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::BAD_GATEWAY);
            (code, serde_json::to_string(&status).unwrap())
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()),
    };
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn without_the_group(list: &str) -> String {
    let mut list: Value = serde_json::from_str(list).unwrap();
    if let Some(groups) = list["groups"].as_array_mut() {
        groups.retain(|group| group["name"] != GROUP);
    }
    list.to_string()
}
