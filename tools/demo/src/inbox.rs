//! Where the mails end up: maildev where it is installed, else a mail server in this process that keeps them as files.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use testkit::{SmtpOptions, SmtpServer};

use crate::mail::Mail;
use crate::maildev::{self, Maildev};
use crate::ui::{Style, Ui};

/// An inbox that services can send to.
#[derive(Debug)]
pub(crate) enum Inbox {
    Maildev(Maildev),
    BuiltIn { server: SmtpServer, mails: PathBuf },
}

impl Inbox {
    /// Opens an inbox; it keeps its mails below the build directory, without those of earlier runs.
    pub(crate) async fn open(ui: &Ui, target: &Path) -> anyhow::Result<Self> {
        let mails = target.join("demo/mails");
        if mails.exists() {
            std::fs::remove_dir_all(&mails).with_context(|| format!("emptying {}", mails.display()))?;
        }
        std::fs::create_dir_all(&mails).with_context(|| format!("creating {}", mails.display()))?;
        if let Some(script) = maildev::installed(target) {
            match Maildev::start(&script, mails.clone()).await {
                Ok(maildev) => return Ok(Self::Maildev(maildev)),
                Err(error) => ui.say(&ui.styled(Style::Dim, &format!("no maildev ({error:#}): mails are printed"))),
            }
        }
        Ok(Self::BuiltIn { server: SmtpServer::start(SmtpOptions::default()).await, mails })
    }

    /// Host and port for SMTP.
    pub(crate) fn smtp(&self) -> (String, u16) {
        let addr = match self {
            Self::Maildev(maildev) => maildev.smtp(),
            Self::BuiltIn { server, .. } => server.addr(),
        };
        (addr.ip().to_string(), addr.port())
    }

    /// Where a person finds the mails.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Maildev(maildev) => maildev.url(),
            Self::BuiltIn { mails, .. } => mails.display().to_string(),
        }
    }

    /// Whether there is a page to look at; if not, mails are to be printed as they come.
    pub(crate) fn has_page(&self) -> bool {
        matches!(self, Self::Maildev(_))
    }

    /// Every mail so far. The built-in server's are written to files by the way.
    pub(crate) async fn mails(&self) -> anyhow::Result<Vec<Mail>> {
        let raw = match self {
            Self::Maildev(maildev) => maildev.mails().await?,
            Self::BuiltIn { server, mails } => {
                let raw: Vec<Vec<u8>> = server.mails().into_iter().map(|mail| mail.data).collect();
                for (at, mail) in raw.iter().enumerate() {
                    let path = mails.join(format!("{:04}.eml", at + 1));
                    if !path.exists() {
                        std::fs::write(&path, mail).with_context(|| format!("writing {}", path.display()))?;
                    }
                }
                raw
            }
        };
        Ok(raw.iter().filter_map(|mail| Mail::parse(mail)).collect())
    }

    /// Closes it.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Maildev(maildev) => maildev.stop().await,
            Self::BuiltIn { .. } => Ok(()),
        }
    }
}
