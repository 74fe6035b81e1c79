//! The `seawall` process of the demo: start, status, stop.
//!
//! It runs in a process group of its own, so that Ctrl-C only reaches xtask, which then stops it as
//! a service manager would: SIGTERM, and time to finish.

use crate::pacing;
use anyhow::{Context, bail};
use seawall_admin_api::StatusReport;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Start of the line that says every listener is bound.
const READY: &str = "seawall: ready, generation";
/// Time from start to ready: it compiles the components.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Time from SIGTERM to the end.
pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(15);
/// Its last lines that are kept for when something goes wrong.
const LINES_MAX: usize = 30;

/// Where its lines go.
#[derive(Debug, Clone)]
pub(crate) enum LogOutput {
    /// To the terminal.
    Aloud,
    /// Into this file.
    File(PathBuf),
}

/// The running process; killed when dropped before it was stopped.
#[derive(Debug)]
pub(crate) struct Seawall {
    child: Child,
    binary: PathBuf,
    config: PathBuf,
    said: Arc<Mutex<VecDeque<String>>>,
}

impl Seawall {
    /// Starts `seawall run -c config` and waits until it is ready.
    ///
    /// # Errors
    /// It does not start, ends, or is not ready in time; with its last lines.
    pub(crate) fn start(binary: &Path, config: &Path, voice: &LogOutput) -> anyhow::Result<Self> {
        let mut child = Command::new(binary)
            .args(["run", "-c"])
            .arg(config)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let stderr = child.stderr.take().context("seawall has no standard error")?;
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let seawall = Self {
            child,
            binary: binary.to_path_buf(),
            config: config.to_path_buf(),
            said: Arc::clone(&said),
        };
        let ready = listen(stderr, said, voice)?;
        match ready.recv_timeout(READY_WITHIN) {
            Ok(()) => Ok(seawall),
            Err(_) => bail!("seawall did not become ready; it said:\n{}", seawall.last_words()),
        }
    }

    /// Returns its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the reported address for `http` or `https`.
    pub(crate) fn listens(&self, scheme: &str) -> Option<SocketAddr> {
        let start = format!("seawall: listening on {scheme}://");
        let said = self.said.lock().unwrap_or_else(|broken| broken.into_inner());
        said.iter().find_map(|line| line.strip_prefix(&start)?.parse().ok())
    }

    /// Requests the status.
    ///
    /// # Errors
    /// It does not respond, or not in the expected form.
    pub(crate) fn status(&self) -> anyhow::Result<StatusReport> {
        let mut command = Command::new(&self.binary);
        command.args(["status", "--json", "-c"]).arg(&self.config);
        parse_status(&crate::shell::quiet(&mut command)?)
    }

    /// Returns whether it has ended by itself.
    ///
    /// # Errors
    /// The system does not know the process.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait().context("asking after seawall")?.is_some())
    }

    /// Sends SIGTERM, without waiting.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub(crate) fn terminate(&self) -> anyhow::Result<()> {
        // The shell has `kill` built in, so this needs no package and no unsafe code.
        let kill = format!("kill -TERM {}", self.child.id());
        crate::shell::quiet(Command::new("sh").args(["-c", &kill])).map(drop)
    }

    /// Waits for the end after [`Seawall::terminate`]; gives back whether it ended well.
    ///
    /// # Errors
    /// It did not end in time.
    pub(crate) fn wait(&mut self) -> anyhow::Result<bool> {
        let child = &mut self.child;
        let ended = pacing::poll(STOP_WITHIN, || child.try_wait().context("waiting for seawall"))?;
        match ended {
            Some(status) => Ok(status.success()),
            None => bail!("seawall did not end within {} s of SIGTERM", STOP_WITHIN.as_secs()),
        }
    }

    /// Returns its last lines.
    pub(crate) fn last_words(&self) -> String {
        let said = self.said.lock().unwrap_or_else(|broken| broken.into_inner());
        said.iter().map(|line| format!("    {line}\n")).collect()
    }
}

impl Drop for Seawall {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads its lines on a thread; the channel says when it is ready and closes when it ends.
fn listen(
    stderr: ChildStderr,
    said: Arc<Mutex<VecDeque<String>>>,
    voice: &LogOutput,
) -> anyhow::Result<Receiver<()>> {
    let mut file = match voice {
        LogOutput::Aloud => None,
        LogOutput::File(path) => {
            Some(File::create(path).with_context(|| format!("making {}", path.display()))?)
        }
    };
    let (ready, receiver) = sync_channel(1);
    std::thread::Builder::new()
        .name("seawall-stderr".into())
        .spawn(move || relay(stderr, &said, file.as_mut(), &ready))
        .context("starting a thread")?;
    Ok(receiver)
}

fn relay(
    stderr: ChildStderr,
    said: &Mutex<VecDeque<String>>,
    mut file: Option<&mut File>,
    ready: &SyncSender<()>,
) {
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        match file.as_deref_mut() {
            // A full disk must not stop the demo's server by filling its pipe.
            Some(file) => drop(writeln!(file, "{line}")),
            None => eprintln!("{line}"),
        }
        if line.starts_with(READY) {
            let _ = ready.try_send(());
        }
        let mut said = said.lock().unwrap_or_else(|broken| broken.into_inner());
        if said.len() == LINES_MAX {
            said.pop_front();
        }
        said.push_back(line);
    }
}

fn parse_status(text: &str) -> anyhow::Result<StatusReport> {
    // An array would be read as a report whose fields are all absent.
    let fields: serde_json::Map<_, _> = serde_json::from_str(text).context("reading the status")?;
    serde_json::from_value(fields.into()).context("reading the status")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_with_and_without_an_error() {
        let fine = r#"{"policy": {"generation": 7, "last_error": null}, "sites": []}"#;
        let fine = parse_status(fine).unwrap().policy;
        assert_eq!(fine.generation, 7);
        assert!(fine.last_error.is_none());
        let text = r#"{"policy": {"generation": 7, "last_error": {"file": "a.wall", "line": 3,
                       "column": 5, "code": "N001", "message": "unknown word `blokc`"}}}"#;
        let error = parse_status(text).unwrap().policy.last_error.unwrap();
        assert_eq!(error.to_string(), "a.wall:3:5: N001: unknown word `blokc`");
    }

    #[test]
    fn a_status_of_another_form_is_refused() {
        for text in
            ["", "[]", r#"{"policy": {"generation": "7"}}"#, r#"{"policy": {"last_error": {}}}"#]
        {
            assert!(parse_status(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_program_that_ends_before_it_is_ready_is_shown_with_its_last_words() {
        let config = std::env::temp_dir().join("no-such-config.toml");
        let error = Seawall::start(Path::new("/bin/cat"), &config, &LogOutput::Aloud).unwrap_err();
        assert!(error.to_string().contains("did not become ready"), "{error}");
    }
}
