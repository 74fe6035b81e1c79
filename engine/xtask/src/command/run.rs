//! `cargo xtask run`: from a fresh clone to a defended site in one command.

use crate::command::{rules, setup};
use crate::demo::legitimate_traffic::SITES;
use crate::demo::origin::Origin;
use crate::demo::scenes;
use crate::demo::seawall::{LogOutput, STOP_WITHIN, Seawall};
use crate::demo::workdir::{Earlier, Folder, ORIGIN_PORT};
use crate::pacing;
use crate::repo::Repo;
use crate::shell;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Interval of the checks whether seawall still runs.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Builds, starts the demo, and stays up until Ctrl-C.
///
/// # Errors
/// Something does not build or start, or Seawall ends by itself.
pub(crate) fn stay(repo: &Repo) -> anyhow::Result<()> {
    let binary = build(repo)?;
    let interrupted = interrupts()?;
    let origin = start_origin(repo)?;
    let folder = Folder::prepare(repo, repo.join("demo-run"), origin.addr(), Earlier::Keep)?;
    let mut seawall = Seawall::start(&binary, &folder.config(), &LogOutput::Aloud)?;
    explain(repo, &binary, &folder);
    // Ends with Ctrl-C; checks meanwhile whether seawall still runs.
    while let Err(RecvTimeoutError::Timeout) = interrupted.recv_timeout(ASK_EVERY) {
        if seawall.has_ended()? {
            bail!("seawall has ended by itself");
        }
    }
    println!("run: stopping; requests in flight have {} s to end", STOP_WITHIN.as_secs());
    let stopping = pacing::now();
    seawall.terminate()?;
    let well = seawall.wait()?;
    anyhow::ensure!(well, "seawall did not end well");
    println!("run: stopped after {} ms", stopping.elapsed().as_millis());
    Ok(())
}

/// Builds, and runs the demo by itself.
///
/// # Errors
/// Something does not build or start, or a promise is broken.
pub(crate) fn once(repo: &Repo) -> anyhow::Result<()> {
    let binary = build(repo)?;
    let origin = start_origin(repo)?;
    let dir = repo.join("demo-run/once");
    let folder = Folder::prepare(repo, dir, origin.addr(), Earlier::Discard)?;
    scenes::play(&binary, &folder)
}

/// Everything that has to be built, in the profile that builds in minutes.
fn build(repo: &Repo) -> anyhow::Result<PathBuf> {
    setup::run()?;
    rules::build(repo)?;
    println!("run: building seawall (the first time takes several minutes: pingora and wasmtime)");
    shell::show(&mut repo.cargo(&["build", "--release", "--package", "seawall"]))?;
    repo.seawall("release")
}

fn start_origin(repo: &Repo) -> anyhow::Result<Origin> {
    let origin = Origin::start(&repo.join("demo/sites"), ORIGIN_PORT)?;
    if origin.addr().port() != ORIGIN_PORT {
        println!("run: port {ORIGIN_PORT} is in use, the origin takes {}", origin.addr().port());
    }
    Ok(origin)
}

/// Returns one message for each Ctrl-C or SIGTERM.
pub(crate) fn interrupts() -> anyhow::Result<Receiver<()>> {
    let (sender, receiver) = sync_channel(1);
    // A second Ctrl-C while the first is being obeyed changes nothing.
    ctrlc::set_handler(move || {
        let _ = sender.try_send(());
    })
    .context("taking over Ctrl-C")?;
    Ok(receiver)
}

/// Prints what runs where and what to try.
fn explain(repo: &Repo, binary: &Path, folder: &Folder) {
    let at = folder.listen();
    let shown =
        |path: PathBuf| path.strip_prefix(repo.root()).unwrap_or(&path).display().to_string();
    println!("\nSeawall defends three sites at http://{at}/, told apart by Host:");
    for site in SITES {
        println!("  curl -i -H 'Host: {site}.example' http://{at}/");
    }
    let tls = folder.listen_tls().port();
    println!("Over TLS, with a certificate of its own that -k lets pass:");
    println!("  curl -ik --resolve alice.example:{tls}:127.0.0.1 https://alice.example:{tls}/");
    println!("In a browser: http://alice.localhost:{}/ (and garden, radio)", at.port());
    println!("\nEdit {} and save: the next request is evaluated by it.", shown(folder.policy()));
    let (binary, config) = (shown(binary.to_path_buf()), shown(folder.config()));
    println!("What it runs, and the last error: {binary} status -c {config}");
    println!("Ctrl-C stops it.\n");
}
