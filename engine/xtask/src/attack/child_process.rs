//! Child processes that end with this process, however it ends.

use crate::pacing;
use anyhow::Context;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

/// The run was interrupted.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// A program that is killed when its handle is dropped.
#[derive(Debug)]
pub(crate) struct ChildGuard(Child);

impl ChildGuard {
    /// Starts it in a process group of its own, so that Ctrl-C only reaches xtask; its output goes
    /// to `log`.
    ///
    /// # Errors
    /// It does not start, or the file cannot be created.
    pub(crate) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let file = File::create(log).with_context(|| format!("making {}", log.display()))?;
        let line = crate::shell::line_of(command);
        let again = file.try_clone().context("a second handle of the log")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(again)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        Ok(Self(child))
    }

    /// Returns its number, and that of its group.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Returns how it ended, if it has.
    ///
    /// # Errors
    /// The system does not know it.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.0.try_wait().context("asking after a program")
    }

    /// Waits for its end, or for an interrupt.
    ///
    /// # Errors
    /// It does not end in time, or the run is interrupted.
    pub(crate) fn wait(
        &mut self,
        limit: Duration,
        interrupts: &Receiver<()>,
    ) -> anyhow::Result<ExitStatus> {
        let ended = pacing::poll(limit, || {
            if interrupts.try_recv() != Err(TryRecvError::Empty) {
                return Err(Interrupted.into());
            }
            self.ended()
        })?;
        ended.with_context(|| format!("a program did not end within {} s", limit.as_secs()))
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        // Its group: what it started goes with it, and would stay if only it went. All of these fail
        // when it has ended already, which is what is wanted. The shell has `kill` built in, so this
        // needs no package and no unsafe code.
        let group = format!("kill -KILL -{} 2>&-", self.0.id());
        let _ = Command::new("sh").args(["-c", &group]).status();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    fn sleeper(log: &str) -> (ChildGuard, std::path::PathBuf) {
        let log = std::env::temp_dir().join(format!("{log}-{}", std::process::id()));
        let kept =
            ChildGuard::start(Command::new("sh").args(["-c", "sleep 600 & echo here; wait"]), &log);
        (kept.unwrap(), log)
    }

    /// Processes of a group that have not ended.
    fn in_group(group: u32) -> usize {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let stats =
            entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
        let of_it = stats.filter(|stat| {
            let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            let fields: Vec<&str> = rest.split_whitespace().collect();
            fields[0] != "Z" && fields[2] == group.to_string()
        });
        of_it.count()
    }

    #[test]
    fn who_is_not_held_any_more_is_gone() {
        let (kept, log) = sleeper("xtask-kept");
        let group = kept.id();
        // The shell and what it started.
        let full =
            pacing::poll(Duration::from_secs(60), || Ok((in_group(group) == 2).then_some(())));
        assert!(full.unwrap().is_some(), "{}", in_group(group));
        drop(kept);
        let empty =
            pacing::poll(Duration::from_secs(60), || Ok((in_group(group) == 0).then_some(())));
        assert!(empty.unwrap().is_some(), "{}", in_group(group));
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn an_interrupt_ends_the_waiting() {
        let (mut kept, log) = sleeper("xtask-interrupted");
        let (sender, interrupts) = sync_channel(1);
        assert!(kept.wait(Duration::ZERO, &interrupts).is_err());
        sender.send(()).unwrap();
        let error = kept.wait(Duration::from_secs(600), &interrupts).unwrap_err();
        assert!(error.is::<Interrupted>(), "{error:#}");
        std::fs::remove_file(log).unwrap();
    }
}
