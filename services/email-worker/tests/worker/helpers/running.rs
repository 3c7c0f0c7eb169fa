//! A worker in this process.

use std::net::SocketAddr;

use email_worker::app::App;
use email_worker::config::Config;
use platform::tasks::Tasks;
use serde_json::Value;
use testkit::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::PATIENCE;

/// A running worker; ends with this value.
pub(crate) struct Running {
    addr: SocketAddr,
    pub(crate) stop: CancellationToken,
    run: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Running {
    pub(crate) async fn start(config: Config, tasks: Tasks) -> Self {
        let app = App::build(config).await.unwrap();
        let (addr, stop) = (app.admin_addr(), CancellationToken::new());
        let run = tokio::spawn(app.run_with(tasks, stop.clone()));
        Self { addr, stop, run: Some(run) }
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(&self) {
        self.says("ready", |status, _| status == 200).await;
    }

    /// What `/readyz` says: status and body.
    pub(crate) async fn readyz(&self) -> Option<(u16, Value)> {
        get(self.addr, "/readyz").await.map(|(status, body)| (status, serde_json::from_str(&body).unwrap_or_default()))
    }

    /// The status of `/livez`.
    pub(crate) async fn livez(&self) -> Option<u16> {
        get(self.addr, "/livez").await.map(|(status, _)| status)
    }

    /// Waits until `/readyz` says what is expected; gives the body.
    pub(crate) async fn says(&self, what: &str, expected: impl Fn(u16, &Value) -> bool) -> Value {
        let mut last = None;
        let what = format!("/readyz says: {what}");
        let found = eventually(&what, PATIENCE, async || {
            assert!(self.run.as_ref().is_some_and(|run| !run.is_finished()), "the worker ended by itself");
            last = self.readyz().await;
            last.clone().filter(|(status, body)| expected(*status, body))
        });
        found.await.1
    }

    /// Waits until the circuit is open for this reason, and the worker says that it is ready all the same.
    pub(crate) async fn circuit_opens(&self, cause: &str) {
        self.says(&format!("the circuit is open: {cause}"), |status, body| status == 200 && is_held_by(body, cause))
            .await;
    }

    /// Whether the circuit is open for this reason.
    pub(crate) async fn is_held_by(&self, cause: &str) -> bool {
        self.readyz().await.is_some_and(|(_, body)| is_held_by(&body, cause))
    }

    /// Waits until mails are sent again.
    pub(crate) async fn circuit_closes(&self) {
        self.says("the circuit is closed", |_, body| body["components"]["sending"]["status"] == "up").await;
    }

    /// Whether mails are sent, as it says itself.
    pub(crate) async fn is_sending(&self) -> bool {
        self.readyz().await.is_some_and(|(_, body)| body["components"]["sending"]["status"] == "up")
    }

    /// Has it drain, waits for its end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.ends().await.expect("the worker ends without an error");
    }

    /// Waits for its end.
    pub(crate) async fn ends(mut self) -> anyhow::Result<()> {
        let run = self.run.take().expect("it ends once");
        tokio::time::timeout(2 * PATIENCE, run)
            .await
            .expect("the worker ends in time")
            .expect("the worker does not panic")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(run) = &self.run {
            run.abort();
        }
    }
}

/// For this cause nothing is sent, and what was said of it is told as well.
pub(crate) fn is_held_by(body: &Value, cause: &str) -> bool {
    let told = body["components"]["sending"]["reason"].as_str().and_then(|reason| reason.split_once(": "));
    told.and_then(|(_, why)| why.split_once(": ")).is_some_and(|(is, words)| is == cause && !words.is_empty())
}

/// Status and body.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(addr).await.ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: worker\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
