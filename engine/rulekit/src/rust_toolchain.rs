//! Finds and runs the Rust compiler for the target of rules.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The target of rules: WebAssembly without an environment.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Bytes of stack in the rule's memory. The linker's default of 1 MiB would be most of its memory.
const STACK_BYTES: u32 = 64 << 10;

/// Lines of a failed command's output that are shown.
const TAIL_LINES: usize = 40;

/// The use of a compiler's output.
#[expect(missing_debug_implementations, reason = "a callback has none")]
pub enum BuildOutputMode<'a> {
    /// Its end is part of the error, if there is one.
    Quiet,
    /// Each line is passed on immediately and is not repeated in an error.
    Aloud(&'a mut dyn FnMut(&str)),
}

/// The method to compile Rust for the target of rules on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// The `rustc` in the path has the target.
    Installed,
    /// Debian's compiler, which also builds the standard library.
    Debian,
}

impl Compiler {
    /// Returns the compiler for a build in this folder.
    ///
    /// # Errors
    /// There is none; the message contains how to install one.
    pub fn find(folder: &Path) -> Result<Self> {
        let mut asked = Command::new("rustc");
        asked.args(["--print", "target-libdir", "--target", TARGET]).current_dir(folder);
        let libraries = asked.output().ok().filter(|out| out.status.success()).map(|out| {
            let path = String::from_utf8_lossy(&out.stdout).trim().to_owned();
            PathBuf::from(path)
        });
        if libraries.is_some_and(|path| path.is_dir()) {
            return Ok(Self::Installed);
        }
        let debian = ["/usr/bin/rustc", "/usr/bin/cargo", "/usr/bin/wasm-ld"];
        if debian.iter().all(|path| Path::new(path).exists()) {
            return Ok(Self::Debian);
        }
        bail!(
            "no Rust compiler for {TARGET}. With rustup (https://rustup.rs): `rustup target add \
             {TARGET}`. On Debian: `apt-get install rustc-web cargo-web rust-web-src lld`"
        )
    }

    /// Compiles the package `name` in `folder`, and returns the core module.
    ///
    /// # Errors
    /// It does not compile.
    pub fn build(
        self,
        folder: &Path,
        name: &str,
        target_dir: &Path,
        talk: BuildOutputMode<'_>,
    ) -> Result<Vec<u8>> {
        let file = format!("{}.wasm", name.replace('-', "_"));
        let module = target_dir.join(TARGET).join("release").join(file);
        // An old module would be used if this build produced none. Mostly there is none.
        let _ = std::fs::remove_file(&module);
        run(&mut self.command(folder, name, target_dir), talk, NO_COMPILE)?;
        std::fs::read(&module)
            .with_context(|| format!("the compiler produced no {}", module.display()))
            .context("Cargo.toml must contain `[lib] crate-type = [\"cdylib\", \"lib\"]`")
    }

    fn command(self, folder: &Path, name: &str, target_dir: &Path) -> Command {
        let mut command = match self {
            Self::Installed => Command::new("cargo"),
            Self::Debian => {
                let mut command = Command::new("/usr/bin/cargo");
                command
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld");
                command
            }
        };
        command.args(["build", "--release", "--target", TARGET, "--lib", "--package", name]);
        if self == Self::Debian {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        // Flags for the processor of this machine, and paths of this machine, must not affect
        // rules.
        let root = folder.parent().unwrap_or(folder).display();
        let flags = [
            format!("-Clink-arg=-zstack-size={STACK_BYTES}"),
            format!("--remap-path-prefix={root}=seawall"),
        ];
        command
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .arg("--target-dir")
            .arg(target_dir)
            .current_dir(folder);
        command
    }
}

/// The error after the output of the compiler was shown.
pub(crate) const NO_COMPILE: &str = "the rule does not compile: see the errors of the compiler \
    above";

/// Runs a command. On failure, the error contains the command and its output. If the output was
/// already passed on, the error is `aloud`.
pub(crate) fn run(command: &mut Command, mut talk: BuildOutputMode<'_>, aloud: &str) -> Result<()> {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {shown}"))?;
    let mut lines = Vec::new();
    let stderr = child.stderr.take().map(BufReader::new);
    for line in stderr.into_iter().flat_map(|said| said.split(b'\n')).map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        match &mut talk {
            BuildOutputMode::Aloud(hand_on) => hand_on(&line),
            BuildOutputMode::Quiet => lines.push(line),
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for {shown}"))?;
    if status.success() {
        return Ok(());
    }
    if matches!(talk, BuildOutputMode::Aloud(_)) {
        bail!("{aloud}");
    }
    let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
    bail!("{shown} ended with {status}:\n{}", tail.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing() -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo something went wrong >&2; exit 3"]);
        command
    }

    #[test]
    fn a_failed_command_shows_itself_and_what_it_said() {
        let error =
            run(&mut failing(), BuildOutputMode::Quiet, NO_COMPILE).unwrap_err().to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("something went wrong"),
            "{error}"
        );
        assert!(error.contains("\"sh\""), "{error}");
        let mut missing = Command::new("no-such-command-here");
        let error = run(&mut missing, BuildOutputMode::Quiet, NO_COMPILE).unwrap_err().to_string();
        assert!(error.contains("cannot start"), "{error}");
    }

    #[test]
    fn what_was_handed_on_is_not_said_twice() {
        let mut heard = Vec::new();
        let mut hear = |line: &str| heard.push(line.to_owned());
        let error = run(&mut failing(), BuildOutputMode::Aloud(&mut hear), NO_COMPILE)
            .unwrap_err()
            .to_string();
        assert!(error.contains("the compiler above") && !error.contains("went wrong"), "{error}");
        assert_eq!(heard, ["something went wrong"]);
    }
}
