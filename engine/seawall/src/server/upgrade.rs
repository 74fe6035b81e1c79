//! Upgrade: replaces this process by the program on the disk.
//!
//! The server starts a child process as it was started itself, and sends it the listening sockets
//! and its state. Visitors do not notice: new connections wait in the kernel for the milliseconds
//! of the transfer, and open connections are served to their end. A child that fails is ended, and
//! nothing has changed.
//!
//! Limitation: what the parent counts after the transfer, for connections that it still serves, is
//! not known to the child.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use seawall_admin_api::UpgradeOutcome;
use seawall_control::{TransferableState, UpgradeError, UpgradeParent};
use seawall_proxy::ListenerGate;

/// Additional argument of a child process.
const UPGRADE_CHILD: &str = "--upgrade-child";

/// Starts a child and hands over to it. It takes as long as the child needs to load.
pub(super) fn hand_over(gate: &ListenerGate, transfer: &TransferableState) -> UpgradeOutcome {
    let refused = |reason: String| UpgradeOutcome::Rejected { reason };
    if std::process::id() == 1 {
        // The end of process 1 ends all processes of its container.
        let why = "this is process 1 of a container, and a child would end with it; \
                   start another container instead";
        return refused(why.to_owned());
    }
    let (mut child, mut giver) = match start() {
        Ok(started) => started,
        Err(error) => return refused(format!("the child process cannot be started: {error}")),
    };
    let watch = Stopwatch::start();
    match give(&mut giver, gate, transfer) {
        Ok(shut_ms) => {
            let duration_ms = watch.ms();
            giver.wait_done();
            UpgradeOutcome::Done { pid: child.id(), duration_ms, accept_paused_ms: shut_ms }
        }
        Err(error) => {
            let ended = end(&mut child);
            gate.resume();
            refused(format!("{error}{ended}"))
        }
    }
}

/// Starts the same program with the same arguments; returns it with the other end of its channel.
fn start() -> std::io::Result<(Child, UpgradeParent)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_else(|| "seawall".into());
    let words: Vec<_> = words.filter(|word| word != UPGRADE_CHILD).collect();
    let child = Command::new(program)
        .args(words)
        .arg(UPGRADE_CHILD)
        // The variable names one process by its id.
        .env_remove("WATCHDOG_PID")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    Ok((child, UpgradeParent::new(ours)))
}

/// Transfers everything, and returns the milliseconds for which new connections waited.
fn give(
    giver: &mut UpgradeParent,
    gate: &ListenerGate,
    transfer: &TransferableState,
) -> Result<u64, UpgradeError> {
    let sockets = gate.sockets().into_iter().map(|at| (at.address, at.socket));
    giver.prepare(&sockets.collect::<Vec<_>>())?;
    let frozen = transfer.freeze()?;
    let watch = Stopwatch::start();
    gate.pause();
    giver.send_sockets(&frozen.state()?)?;
    frozen.give_away();
    Ok(watch.ms())
}

/// Ends a failed child, and returns how it had ended by itself, if it had.
fn end(child: &mut Child) -> String {
    // A child that is ending exits in a moment.
    for _ in 0..50 {
        if let Ok(Some(status)) = child.try_wait() {
            return format!(" ({status}); its messages are in the log");
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    let _gone = child.kill();
    let _gone = child.wait();
    String::new()
}

/// Measures reported durations.
struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "no decision depends on it")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
