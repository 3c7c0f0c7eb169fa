//! Types of a directory that changes: the last good set is the one in use.
//!
//! The directory is looked at once a second, by what the file system says of each file. Notifications of the kernel would be quicker by
//! that second, but they do not come from every file system that a directory may be mounted from, and a ConfigMap's
//! symlinks would need a watch each.

mod fingerprint;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::problem::{Problem, Problems};
use crate::types::MailTypes;
use fingerprint::Fingerprint;

/// Between two looks at the directory.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a set is read at the start that changes meanwhile, and what lies in between.
const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// The types in use: one set, or the last good one of files that change. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Types(watch::Receiver<Arc<MailTypes>>);

impl Types {
    /// The set as it is now. Whoever holds it keeps it whole, whatever the files become.
    pub fn current(&self) -> Arc<MailTypes> {
        Arc::clone(&self.0.borrow())
    }
}

impl From<Arc<MailTypes>> for Types {
    fn from(types: Arc<MailTypes>) -> Self {
        Self(watch::channel(types).1)
    }
}

impl From<MailTypes> for Types {
    fn from(types: MailTypes) -> Self {
        Arc::new(types).into()
    }
}

/// What became of the files' last change.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// How often files were read since the start: each change of them is told of once.
    pub reads: u64,
    /// Why the files as they are now are not in use, but those before. `None` when they are.
    pub refused: Option<Arc<Problems>>,
}

/// A directory of mail types whose changes are followed.
#[derive(Debug)]
pub struct Watched {
    directory: PathBuf,
    pause: Duration,
    /// Of the files that were read last, good or not.
    read: Fingerprint,
    types: watch::Sender<Arc<MailTypes>>,
    state: watch::Sender<State>,
}

impl Watched {
    /// Reads the directory. Blocks, as reading files does.
    ///
    /// # Errors
    /// Everything that is wrong with the files: there is no set before them that could stay.
    pub fn new(directory: impl Into<PathBuf>) -> Result<Self, Problems> {
        let directory = directory.into();
        let (types, read) = read_whole(&directory);
        Ok(Self::of(directory, read, types?, None))
    }

    /// The same for whoever can wait until the files are right: before they are, the built-in types alone are in use, and
    /// [`state`](Self::state) says from the start why.
    ///
    /// # Errors
    /// None: the built-in types' tests read them.
    pub fn patient(directory: impl Into<PathBuf>) -> Result<Self, Problems> {
        let directory = directory.into();
        let (types, read) = read_whole(&directory);
        let (types, refused) = match types {
            Ok(types) => (types, None),
            Err(problems) => (MailTypes::built_in()?, Some(Arc::new(problems))),
        };
        Ok(Self::of(directory, read, types, refused))
    }

    fn of(directory: PathBuf, read: Fingerprint, types: MailTypes, refused: Option<Arc<Problems>>) -> Self {
        let state = watch::Sender::new(State { reads: 0, refused });
        Self { directory, pause: PAUSE, read, types: watch::Sender::new(Arc::new(types)), state }
    }

    /// Looks at the directory in other intervals than each second.
    #[must_use]
    pub fn every(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// The set in use, which changes with the files.
    pub fn types(&self) -> Types {
        Types(self.types.subscribe())
    }

    /// What became of the files' last change: for a metric and a line in the log.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Follows the directory until the token is cancelled. A change is taken when the files have stayed the same for one pause and while
    /// they were read, so that neither half a set is read while it is written, nor one of two halves.
    pub async fn run(mut self, token: CancellationToken) {
        // What was seen, and is not read yet.
        let mut seen = None;
        while token.run_until_cancelled(tokio::time::sleep(self.pause)).await.is_some() {
            let Some(now) = look(&self.directory).await else { continue };
            if now == self.read {
                seen = None;
                continue;
            }
            if seen.as_ref() != Some(&now) {
                seen = Some(now);
                continue;
            }
            let Some((types, read)) = load(&self.directory, now).await else { continue };
            match read {
                Ok(read) => {
                    (self.read, seen) = (read, None);
                    self.settle(types);
                }
                Err(after) => seen = Some(after),
            }
        }
    }

    fn settle(&self, types: Result<MailTypes, Problems>) {
        let refused = match types {
            Ok(types) => {
                self.types.send_replace(Arc::new(types));
                None
            }
            Err(problems) => Some(Arc::new(problems)),
        };
        self.state.send_modify(|state| *state = State { reads: state.reads + 1, refused });
    }
}

/// `None` when the runtime is ending.
async fn look(directory: &Path) -> Option<Fingerprint> {
    let directory = directory.to_owned();
    spawn_blocking(move || Fingerprint::of(&directory)).await.ok()
}

async fn load(directory: &Path, before: Fingerprint) -> Option<(Loaded, Result<Fingerprint, Fingerprint>)> {
    let directory = directory.to_owned();
    spawn_blocking(move || read(&directory, before)).await.ok()
}

type Loaded = Result<MailTypes, Problems>;

/// Reads the set. What the directory looks like afterwards is an error when it is not what it was before, or when another file than
/// those was read in between: two sets that take turns look the same before and after.
fn read(directory: &Path, before: Fingerprint) -> (Loaded, Result<Fingerprint, Fingerprint>) {
    let (types, found) = MailTypes::load_found(directory);
    let after = Fingerprint::of(directory);
    let is_whole = after == before && after.is_of(&found);
    (types, if is_whole { Ok(after) } else { Err(after) })
}

/// The same at the start, which waits for a moment in which nobody changes the files.
fn read_whole(directory: &Path) -> (Loaded, Fingerprint) {
    let mut before = Fingerprint::of(directory);
    for _ in 0..TRIES {
        match read(directory, before) {
            (types, Ok(read)) => return (types, read),
            (_, Err(after)) => before = after,
        }
        std::thread::sleep(BETWEEN_TRIES);
    }
    let what = "changes while it is read, each time";
    (Err(Problems::one(Problem::new(directory.display().to_string(), None, what))), before)
}
