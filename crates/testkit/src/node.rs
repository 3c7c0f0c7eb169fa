//! Packages of npm's that tests run: a browser's driver, and an OpenID Connect provider.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::service::Service;

/// Where our programs are, and the packages that `scripts/setup browser` installs for them.
const HOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/npm");

/// A program of ours.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(HOME).join(name)
}

/// Can they run here? Says so where they can't, or nobody would know that a test was left out. In CI they must.
///
/// # Panics
/// In CI, where they can't.
#[allow(clippy::print_stderr, reason = "shown with --nocapture, and for whoever asks why something was not tried")]
pub fn node_is_there() -> bool {
    let probe = ["--input-type=module", "-e", "import 'playwright-core'; import 'oidc-provider'"];
    let said = Command::new("node").args(probe).current_dir(HOME).output();
    let there = said.is_ok_and(|said| said.status.success());
    if !there {
        let how = "left out: no node, or no packages for it (scripts/setup browser installs them)";
        assert!(std::env::var("CI").is_err(), "{how}");
        eprintln!("{how}");
    }
    there
}

/// npm's oidc-provider, which is certified: with its own forms, one client, and three people: grace of `everybody` and `mail-ops`, desk
/// of `mail-desk`, eve of `everybody`. Any password will do. Dropping it stops it.
#[derive(Debug)]
pub struct OidcProvider(Service);

impl OidcProvider {
    /// The client.
    pub const CLIENT: &str = "console";
    /// Its secret.
    pub const SECRET: &str = "a-secret-of-the-console-and-the-provider";

    /// Starts it; it listens soon. The client's people come back to this address. Further variables are told in its program.
    pub fn start(redirect: &str, more: &[(&str, &str)]) -> Self {
        let variables = [("CLIENT_ID", Self::CLIENT), ("CLIENT_SECRET", Self::SECRET), ("REDIRECT_URI", redirect)];
        let variables: Vec<_> =
            variables.iter().chain(more).map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self(Service::spawn_program("node".into(), &[&script("provider.mjs").to_string_lossy()], &variables))
    }

    /// Its name, which is its address.
    pub fn issuer(&self) -> String {
        self.0.base_url()
    }

    /// Stops it.
    pub fn stop(&self) {
        self.0.kill();
    }

    /// Starts it again at the same address, with a new key.
    pub fn restart(&self) {
        self.0.restart();
    }
}
