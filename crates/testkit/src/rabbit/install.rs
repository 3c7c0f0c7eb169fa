//! Where RabbitMQ's programs are, and how they are run.

use std::path::PathBuf;
use std::process::Command;

/// Names a directory with a whole system in it whose RabbitMQ is to be used instead of this machine's.
const ROOT: &str = "SLUICE_RABBITMQ_ROOT";

/// Where Debian keeps its programs.
const DEBIAN: &str = "/usr/lib/rabbitmq/bin";

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
    /// This machine's, with its programs in this directory.
    Machine(PathBuf),
    /// That of a system in a directory.
    Root(PathBuf),
}

impl Install {
    pub(crate) fn find() -> Self {
        match std::env::var_os(ROOT).filter(|root| !root.is_empty()) {
            Some(root) => {
                let root = std::fs::canonicalize(&root).unwrap_or_else(|e| panic!("{ROOT}={}: {e}", root.display()));
                assert!(
                    root.join(&DEBIAN[1..]).join("rabbitmq-server").exists(),
                    "{ROOT}={}: no RabbitMQ in there, see scripts/rabbitmq-4",
                    root.display()
                );
                Self::Root(root)
            }
            None => {
                // Debian's programs on PATH are wrappers that insist on a user of their own.
                let debian = Some(PathBuf::from(DEBIAN)).filter(|dir| dir.join("rabbitmq-server").exists());
                let paths = std::env::var_os("PATH").unwrap_or_default();
                let in_path = || std::env::split_paths(&paths).find(|dir| dir.join("rabbitmq-server").exists());
                let found = debian.or_else(in_path);
                Self::Machine(found.unwrap_or_else(|| {
                    panic!("RabbitMQ is not installed: `apt-get install rabbitmq-server`, put rabbitmq-server into PATH, or set {ROOT}")
                }))
            }
        }
    }

    /// One of its programs, `epmd` among them.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = match self {
            Self::Machine(_) if program == "epmd" => Command::new(program),
            Self::Machine(programs) => Command::new(programs.join(program)),
            Self::Root(root) => {
                let mut command = Command::new("unshare");
                if !rustix::process::geteuid().is_root() {
                    command.arg("--map-root-user");
                }
                command
                    .args(["--mount", "--", "/bin/sh", "-c", ENTER, "enter"])
                    .arg(root)
                    .arg(std::env::temp_dir())
                    .arg(if program == "epmd" { "/usr/bin/epmd".to_owned() } else { format!("{DEBIAN}/{program}") });
                command
            }
        };
        command.current_dir("/");
        command
    }
}
