//! An origin in a process of its own, so that tests can stop and kill it.
//!
//! It is the recording origin of the attack generator. It waits for `/__slow/MS`, and responds to
//! everything else at once.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::binary::binary;

/// A running origin. It is killed when dropped.
#[derive(Debug)]
pub struct ChildOrigin {
    /// The address of the origin.
    pub address: SocketAddr,
    child: Child,
}

impl ChildOrigin {
    /// Starts an origin on a free port.
    #[must_use]
    pub fn start() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts an origin on this address.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        let program = binary().with_file_name("seawall-attack");
        let mut child = Command::new(&program)
            .args(["origin", "--listen", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Self { address, child }
    }

    /// Stops the process. Its connections stay open, and it sends nothing.
    pub fn stop(&self) {
        self.signal("STOP");
    }

    /// Continues the process.
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }
}

impl Drop for ChildOrigin {
    fn drop(&mut self) {
        // Both fail if the process has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
