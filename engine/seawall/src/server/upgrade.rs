//! Putting the program that lies on the disk in the place of this process.
//!
//! The server starts its successor as it was started itself, and gives it the listening sockets and
//! all that it remembers. No visitor notices: newcomers wait in the kernel for the milliseconds in
//! which the state changes hands, and whoever is connected is served to the end of what they do.
//! A successor that does not come to serve is ended, and nothing has changed.
//!
//! Where this does not protect: what the older process counts after it gave its state away, from the
//! connections that it still serves, is not known to the newer one.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use seawall_admin_api::UpgradeOutcome;
use seawall_control::{TransferableState, UpgradeError, UpgradeParent};
use seawall_proxy::ListenerGate;

/// What a successor is started with, besides what this process was.
pub(super) const TAKE_OVER: &str = "--take-over";

/// Starts a successor and hands over to it. Takes as long as the successor does to load.
pub(super) fn hand_over(gate: &ListenerGate, transfer: &TransferableState) -> UpgradeOutcome {
    let refused = |reason: String| UpgradeOutcome::Rejected { reason };
    if std::process::id() == 1 {
        // The end of process 1 is the end of all in its container.
        let why = "this is process 1 of a container, which a successor could not outlive; \
                   start another container instead";
        return refused(why.to_owned());
    }
    let (mut child, mut giver) = match start() {
        Ok(started) => started,
        Err(error) => return refused(format!("no successor can be started: {error}")),
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

/// The same program with the same words, and the other end of a channel.
fn start() -> std::io::Result<(Child, UpgradeParent)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_else(|| "seawall".into());
    let words: Vec<_> = words.filter(|word| word != TAKE_OVER).collect();
    let child = Command::new(program)
        .args(words)
        .arg(TAKE_OVER)
        // It is told to one process by its number.
        .env_remove("WATCHDOG_PID")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    Ok((child, UpgradeParent::new(ours)))
}

/// Gives everything away, and says for how many milliseconds newcomers waited.
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

/// Ends a successor that came to nothing, and says how it had ended by itself, if it had.
fn end(child: &mut Child) -> String {
    // One that is ending says so in a moment.
    for _ in 0..50 {
        if let Ok(Some(status)) = child.try_wait() {
            return format!(" ({status}); what it said stands in the log");
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    let _gone = child.kill();
    let _gone = child.wait();
    String::new()
}

/// Measures what is told.
struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "nothing is judged by it")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
