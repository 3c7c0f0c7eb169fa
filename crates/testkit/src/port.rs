//! Ports for servers that go away and come back.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use rand::RngExt as _;

/// Below the range from which the kernel takes ports for outgoing connections: while a server is down, nobody is given its port,
/// and a client that dials it in a loop does not end up connected to itself.
const RANGE: std::ops::Range<u16> = 12_000..30_000;

/// A port on 127.0.0.1 that no other test process takes as long as this value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    // Locked: goes with the process, even when that is killed.
    _claim: File,
}

impl Port {
    /// Takes a free one.
    pub fn free() -> Self {
        // One directory a user: what another one made could not be written to.
        let user = rustix::process::geteuid().as_raw();
        let claims = std::env::temp_dir().join(format!("sluice-testkit-ports-{user}"));
        fs::create_dir_all(&claims).unwrap_or_else(|e| panic!("making {} for port claims: {e}", claims.display()));
        for _ in 0..1000 {
            let number = rand::rng().random_range(RANGE);
            let Ok(claim) = File::options().create(true).append(true).open(claims.join(number.to_string())) else {
                continue;
            };
            if claim.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _claim: claim };
            }
        }
        panic!("no free port in {RANGE:?} after 1000 attempts");
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The port on 127.0.0.1.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
