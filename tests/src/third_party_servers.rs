//! Real servers as origins: nginx, HAProxy, node and Python, where they are installed.
//!
//! Each reports the requests that it parsed, one `METHOD target` a line: a product in its log, a
//! runtime in its handler. If a server is not installed, the caller gets `None` and must report it.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::origin::Origin;
use crate::wait::wait_for;

/// A running server. It is killed when dropped.
#[derive(Debug)]
pub struct Peer {
    /// The address of the server.
    pub address: SocketAddr,
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
}

impl Peer {
    /// Starts `nginx`, `haproxy`, `node` or `python3`; returns `None` if it is not installed.
    #[must_use]
    pub fn start(name: &str) -> Option<Self> {
        let file = match name {
            "nginx" => "nginx.conf",
            "haproxy" => "haproxy.cfg",
            "node" => "node.mjs",
            _ => "python.py",
        };
        Self::run(name, file, &[])
    }

    /// Starts HAProxy in front of two servers: one with PROXY headers and one with
    /// `X-Forwarded-For`. The fixture tells the form of each of its addresses.
    #[must_use]
    pub fn in_front(of: [SocketAddr; 2]) -> Option<Self> {
        Self::run("haproxy", "front.cfg", &of)
    }

    fn run(name: &str, file: &str, targets: &[SocketAddr]) -> Option<Self> {
        let program = find(name)?;
        let folder = tempfile::tempdir().unwrap();
        let address = Origin::nowhere();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/origins");
        let mut text = std::fs::read_to_string(fixtures.join(file)).unwrap();
        for (number, target) in targets.iter().enumerate() {
            text = text.replace(&format!("TARGET{number}"), &target.to_string());
        }
        let text = text.replace("PORT", &address.port().to_string());
        let file = folder.path().join(file);
        std::fs::write(&file, text.replace("FOLDER", &folder.path().display().to_string()))
            .unwrap();
        let mut command = Command::new(program);
        match name {
            "nginx" => command.arg("-p").arg(folder.path()).arg("-c").arg(&file),
            "haproxy" => command.arg("-db").arg("-f").arg(&file),
            _ => command.arg(&file),
        };
        let streams = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = streams.spawn().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (hears, out) = (Arc::clone(&said), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                hears.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let mut peer = Self { address, child, said, folder };
        wait_for(&format!("{name} to listen"), || {
            assert!(peer.child.try_wait().unwrap().is_none(), "{name} did not start");
            TcpStream::connect(peer.address).ok()
        });
        Some(peer)
    }

    /// Returns the requests that it parsed so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let log = self.folder.path().join("access.log");
        match std::fs::read(log) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect(),
            Err(_) => self.said.lock().unwrap().clone(),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both fail if the process has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the path of a program, from `PATH` or the folders of administrators.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}
