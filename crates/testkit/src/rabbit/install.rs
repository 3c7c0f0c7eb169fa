//! Where RabbitMQ's programs are, and how they are run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Names a directory with a whole system in it whose RabbitMQ is to be used instead of this machine's.
const ROOT: &str = "SLUICE_RABBITMQ_ROOT";

/// Enters the system: in a mount namespace of its own, which goes with the process, where `/tmp`, `/proc` and `/dev` are this machine's.
const ENTER: &str = r#"
root=$1 tmp=$2; shift 2
mkdir -p "$root$tmp"
mount --rbind "$tmp" "$root$tmp" && mount --rbind /proc "$root/proc" && mount --rbind /dev "$root/dev" || exit 71
exec chroot "$root" "$@"
"#;

/// One of the two kinds of installation.
#[derive(Debug)]
pub(crate) enum Install {
    Machine,
    Root(PathBuf),
}

impl Install {
    pub(crate) fn find() -> Self {
        match std::env::var_os(ROOT).filter(|root| !root.is_empty()) {
            Some(root) => {
                let root = std::fs::canonicalize(&root).unwrap_or_else(|e| panic!("{ROOT}={}: {e}", root.display()));
                assert!(
                    server(&root).exists(),
                    "{ROOT}={}: no RabbitMQ in there, see scripts/rabbitmq-4",
                    root.display()
                );
                Self::Root(root)
            }
            None => {
                let found = server(Path::new("/")).exists();
                assert!(found, "RabbitMQ is not installed: `apt-get install rabbitmq-server`, or set {ROOT}");
                Self::Machine
            }
        }
    }

    /// One of its programs, `epmd` among them.
    pub(crate) fn command(&self, program: &str) -> Command {
        let path = match program {
            "epmd" => "/usr/bin/epmd".to_owned(),
            _ => format!("/usr/lib/rabbitmq/bin/{program}"),
        };
        let mut command = match self {
            Self::Machine => Command::new(path),
            Self::Root(root) => {
                let mut command = Command::new("unshare");
                if !rustix::process::geteuid().is_root() {
                    command.arg("--map-root-user");
                }
                command
                    .args(["--mount", "--", "/bin/sh", "-c", ENTER, "enter"])
                    .arg(root)
                    .arg(std::env::temp_dir())
                    .arg(path);
                command
            }
        };
        command.current_dir("/");
        command
    }
}

fn server(root: &Path) -> PathBuf {
    root.join("usr/lib/rabbitmq/bin/rabbitmq-server")
}
