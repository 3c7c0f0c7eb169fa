//! The preview of mail types: a small site for whoever writes mails, on their own machine.
//!
//! Each page is made of the set of files as it is when the page is asked for. What a mail has of its own is in a frame that
//! runs no script and fetches nothing.

mod asked;
mod changes;
pub(crate) mod guard;
mod page;
mod routes;
mod view;
mod written;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use mail::{MailOptions, Watched};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use routes::Site;

/// Between two looks at the files: somebody waits for what they saved.
const PAUSE: Duration = Duration::from_millis(200);

/// A site that is ready to be served.
#[derive(Debug)]
pub(crate) struct Preview {
    listener: TcpListener,
    addr: SocketAddr,
    watched: Watched,
    router: Router,
}

impl Preview {
    /// Reads the files, right or wrong, and takes the port.
    pub(crate) async fn open(directory: &Path, addr: SocketAddr, options: MailOptions) -> anyhow::Result<Self> {
        let listening = async {
            let listener = TcpListener::bind(addr).await?;
            let addr = listener.local_addr()?;
            Ok::<_, std::io::Error>((listener, addr))
        };
        let (listener, addr) = listening.await.with_context(|| format!("listening on {addr} (--addr)"))?;
        let watched = Watched::patient(directory)?.every(PAUSE);
        let site = Site::new(directory, &watched, options)?;
        let router = guard::around(routes::all(Arc::new(site)), addr);
        Ok(Self { listener, addr, watched, router })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }

    /// Serves until the token is cancelled, then ends at once: pages that listen for changes would never be done.
    pub(crate) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let serving = async { axum::serve(self.listener, self.router).await };
        tokio::select! {
            served = serving => served.context("serving the preview"),
            () = self.watched.run(stop) => Ok(()),
        }
    }
}
