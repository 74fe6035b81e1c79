//! The running proxies of a scene, and the origin behind them.
//!
//! Every program listens on loopback only. It ends with its handle; `setpriv` ends it where this
//! process is killed.

use super::proxy::ProxyKind;
use super::template;
use super::work::{DENIED, Scene};
use crate::attack::child_process::{ChildGuard, Interrupted};
use crate::attack::cpu_time;
use crate::attack::server::free;
use crate::attack::testbed::Folder;
use crate::demo::http_client::Client;
use crate::{pacing, shell};
use anyhow::{Context, bail, ensure};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

/// The host of the first site. It is a name that resolves, since wrk sends the name in its URL in
/// the TLS handshake.
pub(super) const HOST: &str = "localhost";
/// The core of the proxies.
const PROXY_CORE: &str = "0";
/// The core of origin and load.
pub(super) const LOAD_CORE: &str = "1";
/// Both, where a proxy has two workers.
const BOTH_CORES: &str = "0,1";
/// Time from start to the first response.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The files at the origin.
const FILES: [(&str, usize); 2] = [("64KiB", 64 * 1024), ("1MiB", 1024 * 1024)];

/// What does not change between scenes.
#[derive(Debug)]
pub(super) struct Environment<'t> {
    /// `benches/load/`.
    pub(super) templates: PathBuf,
    /// The proxies, Seawall first, with their programs.
    pub(super) proxies: Vec<(ProxyKind, PathBuf)>,
    /// The program of the origin.
    pub(super) nginx: PathBuf,
    /// A message for each Ctrl-C.
    pub(super) interrupts: &'t Receiver<()>,
}

/// A proxy that runs.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) kind: ProxyKind,
    child: ChildGuard,
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    log: PathBuf,
}

/// All of a scene. The programs end before the folder is removed.
#[derive(Debug)]
pub(super) struct Testbed<'t> {
    pub(super) environment: &'t Environment<'t>,
    pub(super) proxies: Vec<Proxy>,
    _origin: ChildGuard,
    pub(super) scene: Scene,
    pub(super) folder: Folder,
}

impl Environment<'_> {
    /// Fails after Ctrl-C.
    ///
    /// # Errors
    /// The run was interrupted.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match self.interrupts.try_recv() {
            Err(TryRecvError::Empty) => Ok(()),
            Ok(()) | Err(TryRecvError::Disconnected) => Err(Interrupted.into()),
        }
    }

    /// Returns the text of a file in `benches/load/`.
    fn template(&self, name: &str) -> anyhow::Result<String> {
        let path = self.templates.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }
}

/// Returns the hosts of a scene, its first site first.
fn hosts(scene: Scene) -> Vec<String> {
    let others = (1..scene.sites).map(|n| format!("member-{n}.example"));
    std::iter::once(HOST.to_owned()).chain(others).collect()
}

/// Returns a command on `cores`, which the kernel ends with this process.
fn pinned(cores: &str, program: &Path) -> Command {
    let mut command = match shell::find("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "TERM", "taskset"]);
            command
        }
        None => Command::new("taskset"),
    };
    command.args(["-c", cores]).arg(program);
    command
}

/// Returns the command of a load generator.
pub(super) fn generator(program: &str, scene: Scene) -> Command {
    pinned(if scene.workers > 1 { BOTH_CORES } else { LOAD_CORE }, Path::new(program))
}

impl<'t> Testbed<'t> {
    /// Starts the origin and every proxy, and waits until all respond.
    ///
    /// # Errors
    /// A program does not start, or responds with an unexpected status.
    pub(super) fn start(environment: &'t Environment<'t>, scene: Scene) -> anyhow::Result<Self> {
        let folder = Folder::new("load")?;
        folder.write("hosts.txt", &hosts(scene).join("\n"))?;
        certificate(&folder)?;
        folder.make("files")?;
        for (name, bytes) in FILES {
            folder.write(&format!("files/{name}"), &text_of(bytes))?;
        }
        let [origin] = free()?;
        let origin_child = start_origin(environment, &folder, scene, origin)?;
        let mut testbed =
            Self { environment, proxies: Vec::new(), _origin: origin_child, scene, folder };
        for (kind, program) in &environment.proxies {
            let proxy = testbed.start_proxy(*kind, program, origin)?;
            testbed.proxies.push(proxy);
        }
        for proxy in &mut testbed.proxies {
            proxy.wait_until_ready(environment)?;
        }
        Ok(testbed)
    }

    fn start_proxy(
        &self,
        kind: ProxyKind,
        program: &Path,
        origin: SocketAddr,
    ) -> anyhow::Result<Proxy> {
        let name = kind.name();
        let dir = self.folder.make(name)?;
        for part in ["run", "state"] {
            self.folder.make(&format!("{name}/{part}"))?;
        }
        let [http, https] = free()?;
        let mut values = self.values(&dir, origin);
        values.extend([("http", http), ("https", https)].map(|(key, at)| (key, at.to_string())));
        let ports = [("http_port", http), ("https_port", https), ("origin_port", origin)];
        values.extend(ports.map(|(key, at)| (key, at.port().to_string())));
        let hosts = hosts(self.scene);
        for file in kind.files() {
            let text = template::fill(&self.environment.template(file)?, &values, &hosts);
            let text = text.with_context(|| format!("benches/load/{file}"))?;
            self.folder.write(&format!("{name}/{file}"), &text)?;
        }
        let config = dir.join(kind.files().first().context("a proxy without configuration")?);
        let cores = if self.scene.workers > 1 { BOTH_CORES } else { PROXY_CORE };
        let mut command = pinned(cores, program);
        command.current_dir(&dir).args(kind.arguments(&config, self.scene.workers));
        let log = dir.join("output.log");
        let child = ChildGuard::start(&mut command, &log)?;
        Ok(Proxy { kind, child, http, https, log })
    }

    fn values(&self, dir: &Path, origin: SocketAddr) -> Vec<(&'static str, String)> {
        let file = |name: &str| self.folder.join(name).display().to_string();
        vec![
            ("dir", dir.display().to_string()),
            ("origin", origin.to_string()),
            ("workers", self.scene.workers.to_string()),
            ("certificate", file("certificate.pem")),
            ("key", file("key.pem")),
            ("both", file("both.pem")),
        ]
    }
}

fn start_origin(
    environment: &Environment<'_>,
    folder: &Folder,
    scene: Scene,
    at: SocketAddr,
) -> anyhow::Result<ChildGuard> {
    let values = [
        ("dir", folder.join("").display().to_string().trim_end_matches('/').to_owned()),
        ("origin", at.to_string()),
        ("workers", "1".to_owned()),
    ];
    let text = template::fill(&environment.template("origin.conf")?, &values, &[]);
    let config = folder.write("origin.conf", &text.context("benches/load/origin.conf")?)?;
    let cores = if scene.workers > 1 { BOTH_CORES } else { LOAD_CORE };
    let mut command = pinned(cores, &environment.nginx);
    let log = folder.join("origin.log");
    let mut child = ChildGuard::start(command.arg("-c").arg(config), &log)?;
    let ready = pacing::poll(READY_WITHIN, || {
        environment.check()?;
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        ensure!(child.ended()?.is_none(), "the origin (nginx) has ended: {}", said().trim());
        Ok(status(at, "/").ok())
    })?;
    match ready.context("the origin (nginx) does not respond")? {
        200 => Ok(child),
        other => bail!("the origin (nginx) responded with {other} instead of 200"),
    }
}

/// Returns `bytes` bytes that do not repeat soon. They are text, so that the folder can write them.
fn text_of(bytes: usize) -> String {
    let mut state = 0x2545_f491_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a'.saturating_add(u8::try_from((state >> 24) % 26).unwrap_or(0)))
    };
    std::iter::repeat_with(&mut letter).take(bytes).collect()
}

/// Returns the status of a request on a new connection.
///
/// # Errors
/// There is no response.
pub(super) fn status(at: SocketAddr, path: &str) -> anyhow::Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    Ok(Client::new(Ipv4Addr::LOCALHOST, at).ask(request.as_bytes())?.status)
}

impl Proxy {
    fn wait_until_ready(&mut self, environment: &Environment<'_>) -> anyhow::Result<()> {
        let at = self.http;
        let forwarded = pacing::poll(READY_WITHIN, || {
            environment.check()?;
            self.check()?;
            Ok(status(at, "/").ok())
        })?;
        let name = self.kind.name();
        let forwarded = forwarded.with_context(|| format!("{name} does not respond"))?;
        let rejected = status(at, DENIED).with_context(|| format!("{name} at {DENIED}"))?;
        ensure!(
            (forwarded, rejected) == (200, 403),
            "{name} responds with {forwarded} instead of 200 to `/` and with {rejected} instead of \
             403 to `{DENIED}`"
        );
        Ok(())
    }

    /// Checks that it runs.
    ///
    /// # Errors
    /// It has ended; the error contains its output.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let ended = self.child.ended()?.is_some();
        let said = || std::fs::read_to_string(&self.log).unwrap_or_default();
        ensure!(!ended, "{} has ended: {}", self.kind.name(), said().trim());
        Ok(())
    }

    /// Returns the processor time of the proxy and its workers, in milliseconds.
    ///
    /// # Errors
    /// It has ended.
    pub(super) fn cpu_ms(&self) -> anyhow::Result<u64> {
        cpu_time::of_group_ms(self.child.id()).with_context(|| self.kind.name())
    }

    /// Returns the process group of the proxy and its workers.
    pub(super) fn group(&self) -> u32 {
        self.child.id()
    }
}

/// Writes a certificate for the first site, its key, and both in one file.
fn certificate(folder: &Folder) -> anyhow::Result<()> {
    let (key, cert) = (folder.join("key.pem"), folder.join("certificate.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.args(["-nodes", "-days", "2", "-subj", "/CN=load"]);
    openssl.args(["-addext", &format!("subjectAltName=DNS:{HOST}")]);
    shell::quiet(openssl.arg("-keyout").arg(&key).arg("-out").arg(&cert))?;
    let read = |path| std::fs::read_to_string(path).context("reading what openssl wrote");
    folder.write("both.pem", &format!("{}{}", read(&cert)?, read(&key)?))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_has_as_many_different_hosts_as_sites() {
        let mut hosts = hosts(Scene { sites: 850, workers: 1 });
        assert_eq!(hosts.first().map(String::as_str), Some(HOST));
        hosts.sort();
        hosts.dedup();
        assert_eq!(hosts.len(), 850);
    }

    #[test]
    fn files_have_their_length() {
        assert_eq!(text_of(64 * 1024).len(), 64 * 1024);
    }
}
