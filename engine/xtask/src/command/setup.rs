//! `cargo xtask setup`: finds what the build needs and this machine lacks, and installs it.
//!
//! It checks the machine first and only installs what is missing, so every other task can call it.
//! It prints what it installs and why. Without the permission to install (no root) it prints the
//! line to run and fails: a build without its tools would fail later, with a worse message.

use crate::shell;
use anyhow::{Context, bail};
use std::process::Command;

/// The target that rules are built for.
const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Debian's way to that target: a compiler, the sources of its standard library, and a linker.
const DEBIAN_WASM: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld"];

/// A program that the build calls, and the Debian package that has it.
struct Tool {
    /// Any of these will do.
    programs: &'static [&'static str],
    package: &'static str,
    why: &'static str,
}

impl Tool {
    fn is_missing(&self) -> bool {
        self.programs.iter().all(|program| shell::find(program).is_none())
    }
}

const TOOLS: [Tool; 2] = [
    Tool {
        programs: &["cc", "gcc", "clang"],
        package: "gcc libc6-dev",
        why: "a C compiler: cargo links with it, and pingora's zlib-ng and mimalloc are C",
    },
    Tool {
        programs: &["cmake"],
        package: "cmake",
        why: "cmake: the zlib-ng that pingora pulls in is configured with it",
    },
];

/// Programs of `cargo xtask bench load`, and the Debian packages that have them. The build does not
/// need them, so the other tasks do not install them.
const BENCH_TOOLS: [Tool; 5] = [
    Tool {
        programs: &["nginx"],
        package: "nginx-core",
        why: "nginx: `bench load` compares with it, and it is the origin there",
    },
    Tool {
        programs: &["haproxy"],
        package: "haproxy",
        why: "HAProxy: `bench load` compares with it",
    },
    Tool { programs: &["wrk"], package: "wrk", why: "wrk: the load of `bench load`" },
    Tool {
        programs: &["h2load"],
        package: "nghttp2-client",
        why: "h2load: the load over HTTP/2 of `bench load`",
    },
    Tool {
        programs: &["openssl"],
        package: "openssl",
        why: "openssl: certificates of `bench load`",
    },
];

/// Makes sure of everything that the build needs, and of the programs that only benches need.
/// Where the latter cannot be installed, it prints the reason: all other tasks work without them.
///
/// # Errors
/// Something that the build needs is missing and could not be installed.
pub(crate) fn all() -> anyhow::Result<()> {
    run()?;
    let mut packages = Vec::new();
    for tool in BENCH_TOOLS.iter().filter(|tool| tool.is_missing()) {
        println!("setup: missing {}", tool.why);
        packages.push(tool.package);
    }
    if packages.is_empty() {
        return Ok(());
    }
    match install(&packages) {
        Ok(()) => println!("setup: installed {}", packages.join(", ")),
        Err(error) => println!("setup: `bench load` will not run: {error:#}"),
    }
    Ok(())
}

/// Makes sure of everything that the build needs.
///
/// # Errors
/// Something is missing and could not be installed; the message says what to run.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut installed = Vec::new();
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| tool.is_missing()).collect();
    for tool in &missing {
        println!("setup: missing {}", tool.why);
    }
    if !missing.is_empty() {
        let packages: Vec<&str> =
            missing.iter().flat_map(|tool| tool.package.split_whitespace()).collect();
        install(&packages)?;
        if let Some(tool) = missing.iter().find(|tool| tool.is_missing()) {
            bail!("still missing after installing {}: {}", tool.package, tool.why);
        }
        installed.extend(packages);
    }
    if !has_wasm_target() {
        println!(
            "setup: missing a Rust standard library for {WASM_TARGET}: rules are built for it"
        );
        installed.push(add_wasm_target()?);
    }
    match installed.as_slice() {
        [] => println!("setup: everything is here"),
        new => println!("setup: installed {}", new.join(", ")),
    }
    Ok(())
}

/// Returns whether rules can be built: by rustup's compiler, or by Debian's. It asks what the
/// building of the rules will ask.
fn has_wasm_target() -> bool {
    has_rustup_target() || has_debian_target()
}

/// Returns whether rustup has the target for the compiler in use.
fn has_rustup_target() -> bool {
    shell::quiet(Command::new("rustup").args(["target", "list", "--installed"]))
        .is_ok_and(|targets| targets.lines().any(|target| target.trim() == WASM_TARGET))
}

/// Returns whether Debian's four packages are installed.
fn has_debian_target() -> bool {
    DEBIAN_WASM.iter().all(|package| {
        shell::quiet(Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]))
            .is_ok_and(|status| status.trim() == "install ok installed")
    })
}

/// Gets the target from rustup, else from Debian.
fn add_wasm_target() -> anyhow::Result<&'static str> {
    if shell::find("rustup").is_some() {
        println!("setup: rustup target add {WASM_TARGET}");
        match shell::quiet(Command::new("rustup").args(["target", "add", WASM_TARGET])) {
            Ok(_) if has_rustup_target() => return Ok(WASM_TARGET),
            Ok(_) => println!("setup: rustup reports success, but the target is not there"),
            Err(error) => println!("setup: {error:#}"),
        }
        println!("setup: rustup has no such target to give; trying Debian's packages");
    }
    install(&DEBIAN_WASM)?;
    Ok("rustc-web")
}

/// Installs Debian packages, as root only.
fn install(packages: &[&str]) -> anyhow::Result<()> {
    let list = packages.join(" ");
    let by_hand = format!("apt-get update && apt-get install --yes {list}");
    if shell::find("apt-get").is_none() {
        bail!("this machine has no apt-get; install by its own means what Debian calls: {list}");
    }
    if shell::quiet(Command::new("id").arg("-u")).context("who am I?")?.trim() != "0" {
        bail!("only root may install packages; as root, or behind sudo, run:\n    {by_hand}");
    }
    if !has_package_lists() {
        update()?;
    }
    println!("setup: apt-get install {list} (a minute or so)");
    if let Err(error) = apt(&install_arguments(packages)) {
        println!("setup: {error:#}");
        println!("setup: the package lists may be old");
        update()?;
        apt(&install_arguments(packages))
            .with_context(|| format!("by hand it would be: {by_hand}"))?;
    }
    Ok(())
}

fn install_arguments<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    arguments
}

fn update() -> anyhow::Result<()> {
    println!("setup: apt-get update, since there is no fresh list of packages");
    apt(&["update"])
}

fn apt(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    shell::quiet(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive")).map(drop)
}

/// Returns whether apt knows any package: images often ship with the lists removed.
fn has_package_lists() -> bool {
    std::fs::read_dir("/var/lib/apt/lists").is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    })
}
