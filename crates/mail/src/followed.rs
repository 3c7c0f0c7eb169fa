//! The mail types of a service: the built-in ones, or those of `MAILS_DIR`, which may change while it runs.

use std::path::{Path, PathBuf};

use platform::health::{Component, Health, Need};
use platform::tasks::Tasks;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::problem::Problems;
use crate::types::MailTypes;
use crate::watched::{State, Types, Watched};

/// So many mistakes are told at the start, in one line, and with each change, in a line each.
const TOLD: usize = 10;

/// The files of `MAILS_DIR` are not right: somebody has to mend them.
#[derive(Debug, thiserror::Error)]
#[error("reading the mail types in {} (MAILS_DIR): {}", directory.display(), some(problems))]
pub struct MailTypesRefused {
    directory: PathBuf,
    problems: Problems,
}

fn some(problems: &Problems) -> String {
    let told: Vec<_> = problems.iter().take(TOLD).map(ToString::to_string).collect();
    let more = problems.iter().count().saturating_sub(TOLD);
    if more > 0 { format!("{}; and {more} more", told.join("; ")) } else { told.join("; ") }
}

/// Types that a service begins with, and whoever follows their files.
#[derive(Debug)]
pub struct Source {
    /// Those in use.
    pub types: Types,
    watched: Option<Watched>,
}

impl Source {
    /// Reads the files, if there are any.
    ///
    /// # Errors
    /// They are not right.
    pub fn open(directory: Option<&Path>) -> Result<Self, MailTypesRefused> {
        let refused =
            |problems| MailTypesRefused { directory: directory.unwrap_or(Path::new("")).to_owned(), problems };
        match directory {
            None => Ok(Self { types: MailTypes::built_in().map_err(refused)?.into(), watched: None }),
            Some(directory) => {
                let watched = Watched::new(directory).map_err(refused)?;
                Ok(Self { types: watched.types(), watched: Some(watched) })
            }
        }
    }

    /// Follows the files until the token is cancelled, and tells what becomes of their changes.
    pub fn follow(self, health: &Health, tasks: &mut Tasks, token: &CancellationToken) {
        if let Some(watched) = self.watched {
            let component = health.component("mail-types", Need::Informative);
            component.up();
            tasks.spawn("mail-types-told", tell(watched.state(), component, token.clone()));
            tasks.spawn("mail-types", watched.run(token.clone()));
        }
    }
}

async fn tell(mut state: watch::Receiver<State>, health: Component, token: CancellationToken) {
    // Its sender is the task beside this one, which ends by the same token.
    while let Some(Ok(())) = token.run_until_cancelled(state.changed()).await {
        let refused = state.borrow_and_update().refused.clone();
        match refused.as_deref() {
            None => {
                health.up();
                tracing::info!("the mail types were read anew");
            }
            Some(problems) => {
                let first = problems.iter().next().map(ToString::to_string).unwrap_or_default();
                health.down(first);
                for problem in problems.iter().take(TOLD) {
                    tracing::warn!(%problem, "the mail types are not right: those before stay in use");
                }
            }
        }
    }
}
