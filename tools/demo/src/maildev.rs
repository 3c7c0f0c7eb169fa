//! maildev, an inbox with a web page, where node and `scripts/setup inbox` have put it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::process::{Child, Command};

/// How long it may take to listen.
const START: Duration = Duration::from_secs(20);
/// Ends the process when we do, however that happens: our end of its standard input is closed then.
const END_WITH_US: &str = "data:text/javascript,process.stdin.on('end',()=>process.exit()).resume()";

/// A running maildev. Dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Maildev {
    child: Child,
    smtp: SocketAddr,
    web: SocketAddr,
    mails: PathBuf,
}

/// The script to start, below the build directory; none where it is not installed.
pub(crate) fn installed(target: &Path) -> Option<PathBuf> {
    let script = target.join("maildev/node_modules/maildev/dist/bin/maildev.js");
    (target.join("maildev/version").is_file() && script.is_file()).then_some(script)
}

impl Maildev {
    /// Starts it on free ports of loopback; it keeps its mails in `mails`.
    pub(crate) async fn start(script: &Path, mails: PathBuf) -> anyhow::Result<Self> {
        let (smtp, web) = (free_port()?, free_port()?);
        let mut child = Command::new("node")
            .args(["--import", END_WITH_US])
            .arg(script)
            .args(["--ip", "127.0.0.1", "--web-ip", "127.0.0.1", "--silent"])
            .args(["--smtp", &smtp.port().to_string(), "--web", &web.port().to_string()])
            .arg("--mail-directory")
            .arg(&mails)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for us to hear: the services go first.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("starting node for maildev")?;
        let listening = async {
            loop {
                if let Some(status) = child.try_wait()? {
                    bail!("maildev ended with {status} (does it need a newer node?)");
                }
                let up = tokio::try_join!(tokio::net::TcpStream::connect(smtp), tokio::net::TcpStream::connect(web));
                if up.is_ok() {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(START, listening).await.context("maildev did not listen in time")??;
        Ok(Self { child, smtp, web, mails })
    }

    /// Where to send mails.
    pub(crate) fn smtp(&self) -> SocketAddr {
        self.smtp
    }

    /// Where to look at them.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.web)
    }

    /// Every mail that has arrived, as it arrived.
    pub(crate) async fn mails(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        let answer = reqwest::get(format!("{}/api/email", self.url())).await.context("asking maildev for its mails")?;
        ensure!(answer.status().is_success(), "maildev answered {}", answer.status());
        let listed: Vec<serde_json::Value> = answer.json().await.context("reading the list of mails")?;
        let mut mails = Vec::new();
        for id in listed.iter().filter_map(|mail| mail["id"].as_str()) {
            let path = self.mails.join(format!("{id}.eml"));
            mails.push(tokio::fs::read(&path).await.with_context(|| format!("reading {}", path.display()))?);
        }
        Ok(mails)
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("ending maildev")
    }
}

fn free_port() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?)
}
