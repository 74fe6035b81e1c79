//! The compiler process: its start, and what it does.
//!
//! The author of a component determines the cost of compiling it: a few hundred kilobytes can keep
//! a compiler busy for minutes. So this program starts itself as a process that confines itself
//! before it reads the first byte. The system ends it at its limits. By then it has no file, no
//! network, no other process, and never the key. It reads a component from standard input and
//! writes code to standard output. The parent seals the code.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Once;

use seawall_sys::ProcessLimits;
use seawall_wasm::{LoadError, SandboxLimits, Seal, Translator};

use super::limits::CODE_BYTES_MAX;

/// CPU seconds for compiling a small component, as the sandbox counts them.
pub const COMPILE_CPU_S_MAX: u64 = 10;
/// Bytes of address space for that.
pub const COMPILE_BYTES_MAX: u64 = 1 << 30;
/// CPU seconds for compiling a large component.
pub const COMPILE_LARGE_CPU_S_MAX: u64 = 90;
/// Bytes of address space for that.
pub const COMPILE_LARGE_BYTES_MAX: u64 = 3 << 30;
/// Niceness of the process: on a busy machine it gets about a tenth of a CPU, so that a reload
/// under attack makes progress.
pub const COMPILE_NICENESS: i32 = 10;
/// Maximum bytes of its error message about a component.
const MESSAGE_BYTES_MAX: u64 = 4 << 10;

/// Its message for a failed allocation, before it aborts.
const OUT_OF_MEMORY: &str = "memory allocation of";

/// Start of the line in which it reports confinement that this system lacks.
const LACKS: &str = "compiling without ";
/// That line is logged once: it describes the system, which does not change.
static LACKS_TOLD: Once = Once::new();

/// The allocator's setting for the address space that it reserves at a time. Its default, a
/// gibibyte, is as much as the limit.
const ARENA: &str = "MIMALLOC_ARENA_RESERVE";
const ARENA_KIB: &str = "16384";

/// How the process is started.
#[derive(Debug, Clone)]
pub struct CompilerProcess {
    /// The program: this one.
    pub program: PathBuf,
    /// Its arguments before the two limits.
    pub args: Vec<String>,
}

impl Default for CompilerProcess {
    /// This program, even if its file was replaced since it started; without `/proc`, its file.
    fn default() -> Self {
        let own = PathBuf::from("/proc/self/exe");
        let program = if own.exists() { own } else { std::env::current_exe().unwrap_or(own) };
        Self { program, args: vec!["compile".into()] }
    }
}

/// Returns whether a component of so many bytes is a large one.
pub(super) fn is_large(bytes: usize) -> bool {
    bytes > SandboxLimits::default().component_bytes_max
}

/// Returns the limits on compiling this many bytes, as text.
pub(super) fn limits_text(bytes: usize) -> String {
    in_words(confinement(bytes))
}

fn in_words(limits: ProcessLimits) -> String {
    let mib = limits.address_space_bytes >> 20;
    format!("{} s of CPU time or {mib} MiB of memory", limits.cpu_s)
}

/// Returns the limits on compiling this many bytes.
fn confinement(bytes: usize) -> ProcessLimits {
    let (cpu_s, address_space_bytes) = match is_large(bytes) {
        false => (COMPILE_CPU_S_MAX, COMPILE_BYTES_MAX),
        true => (COMPILE_LARGE_CPU_S_MAX, COMPILE_LARGE_BYTES_MAX),
    };
    ProcessLimits { cpu_s, address_space_bytes, niceness: COMPILE_NICENESS }
}

impl CompilerProcess {
    /// Compiles `component` and returns its code, sealed.
    ///
    /// # Errors
    /// [`LoadError::Engine`] is an error of the machine, all others are errors of the component.
    pub(crate) fn compile(&self, component: &[u8], seal: &Seal) -> Result<Vec<u8>, LoadError> {
        let limits = confinement(component.len());
        let code = self.run(component, limits).map_err(ours)??;
        Ok(seal.seal(component, &code))
    }

    /// Returns code without a seal.
    fn run(
        &self,
        component: &[u8],
        limits: ProcessLimits,
    ) -> io::Result<Result<Vec<u8>, LoadError>> {
        let mut child = Command::new(&self.program)
            .arg0("seawall")
            .args(&self.args)
            .arg(limits.cpu_s.to_string())
            .arg(limits.address_space_bytes.to_string())
            .env_clear()
            .env(ARENA, ARENA_KIB)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // The process reads everything before it writes anything, so neither waits for the other.
        if let Some(mut input) = child.stdin.take() {
            // If it has ended already, its exit status shows why.
            let _told = input.write_all(component);
        }
        let (mut code, mut said) = (Vec::new(), Vec::new());
        if let Some(output) = child.stdout.take() {
            output.take(CODE_BYTES_MAX).read_to_end(&mut code)?;
        }
        if let Some(output) = child.stderr.take() {
            output.take(MESSAGE_BYTES_MAX).read_to_end(&mut said)?;
        }
        let said = String::from_utf8_lossy(&said);
        let (lacks, said) = without_lacks(&said);
        if let Some(lacks) = lacks {
            LACKS_TOLD.call_once(|| log::warn!(target: "seawall::rules", "{LACKS}{lacks}"));
        }
        Ok(outcome(child.wait()?, code, said, limits))
    }
}

/// Splits the output into the missing confinement, if it begins with that, and the message.
fn without_lacks(said: &str) -> (Option<&str>, &str) {
    match said.strip_prefix(LACKS) {
        None => (None, said),
        Some(rest) => {
            let (lacks, said) = rest.split_once('\n').unwrap_or((rest, ""));
            (Some(lacks), said)
        }
    }
}

fn ours(error: impl Display) -> LoadError {
    LoadError::Engine(format!("the compiler process: {error}"))
}

/// Returns whether the process ended at its limits: with SIGXCPU for CPU time, or aborted after the
/// allocator's message for memory. Another signal has another cause, such as a machine without
/// memory, and shows nothing about the component.
fn is_too_dear(status: ExitStatus, said: &str) -> bool {
    let signal = status.signal();
    signal == Some(libc::SIGXCPU) || (signal == Some(libc::SIGABRT) && said.contains(OUT_OF_MEMORY))
}

fn outcome(
    status: ExitStatus,
    code: Vec<u8>,
    said: &str,
    limits: ProcessLimits,
) -> Result<Vec<u8>, LoadError> {
    if status.success() {
        return Ok(code);
    }
    let said = said.trim();
    if is_too_dear(status, said) {
        return Err(LoadError::TooDear(in_words(limits)));
    }
    match status.code() {
        Some(1) if !said.is_empty() => Err(LoadError::Told(said.to_owned())),
        _ => Err(ours(format!("{status} {said}").trim())),
    }
}

/// Runs the compiler process: it confines itself and drops all privileges that it does not need,
/// then compiles its input. It reports confinement that this system lacks, and continues.
///
/// # Errors
/// Returns the error of the component; [`LoadError::Engine`] is an error of the machine.
pub fn compile_confined(cpu_s: u64, address_space_bytes: u64) -> Result<(), LoadError> {
    let niceness = COMPILE_NICENESS;
    seawall_sys::confine(ProcessLimits { cpu_s, address_space_bytes, niceness }).map_err(ours)?;
    let translator = Translator::new(SandboxLimits::default())?;
    let lacks = seawall_sys::isolate();
    if !lacks.is_empty() {
        writeln!(io::stderr(), "{LACKS}{}", lacks.join(", ")).map_err(ours)?;
    }
    let mut component = Vec::new();
    io::stdin().lock().read_to_end(&mut component).map_err(ours)?;
    let code = translator.translate(&component)?;
    io::stdout().lock().write_all(&code).map_err(ours)
}

#[cfg(test)]
mod tests {
    use seawall_wasm::SEAL_KEY_BYTES;

    use super::*;

    const KEY: [u8; SEAL_KEY_BYTES] = [3; SEAL_KEY_BYTES];
    const SEAL: Seal = Seal::new(KEY);

    /// Runs `script` in a shell in place of the compiler process. The result has the seal of the
    /// input.
    fn compiled_by(script: &str, bytes: usize) -> Result<Vec<u8>, LoadError> {
        let args = vec!["-c".into(), script.into(), "sh".into()];
        let helper = CompilerProcess { program: "/bin/sh".into(), args };
        let component = vec![b'x'; bytes];
        let sealed = helper.compile(&component, &SEAL)?;
        let code = sealed[32..].to_vec();
        assert_eq!(sealed, SEAL.seal(&component, &code));
        Ok(code)
    }

    #[test]
    fn it_is_handed_component_and_limits_and_no_key() {
        assert_eq!(compiled_by("cat", 3).unwrap(), b"xxx");
        let all = "cat /proc/self/environ /proc/self/cmdline; cat";
        let seen = compiled_by(all, 3).unwrap();
        assert!(!seen.windows(KEY.len()).any(|bytes| bytes == KEY), "{seen:?}");
        let limits = |bytes| String::from_utf8(compiled_by("echo $1 $2", bytes).unwrap()).unwrap();
        assert_eq!(limits(2 << 20), "10 1073741824\n");
        assert_eq!(limits((2 << 20) + 1), "90 3221225472\n");
    }

    #[test]
    fn its_end_is_told_by_its_cause() {
        let told = compiled_by("cat >/dev/null; echo it is bad >&2; exit 1", 3).unwrap_err();
        assert_eq!(told, LoadError::Told("it is bad".into()));
        for script in
            ["kill -XCPU $$", "echo memory allocation of 9 bytes failed >&2; kill -ABRT $$"]
        {
            let dear = compiled_by(script, 3).unwrap_err();
            assert!(dear.to_string().contains("10 s of CPU time or 1024 MiB"), "{dear}");
        }
        // Killed from outside, as by a machine without memory: that shows nothing about the
        // component.
        for script in ["exit 70", "exit 1", "kill -KILL $$", "kill -TERM $$", "kill -ABRT $$"] {
            let ours = compiled_by(script, 3).unwrap_err();
            assert!(matches!(ours, LoadError::Engine(_)), "{script}: {ours}");
        }
        let missing = CompilerProcess { program: "no/such/program".into(), args: Vec::new() };
        assert!(matches!(missing.compile(b"x", &SEAL), Err(LoadError::Engine(_))));
    }

    #[test]
    fn what_it_lacks_is_told_apart_from_what_is_wrong() {
        let weaker = "echo 'compiling without landlock (old), seccomp (old)' >&2";
        let script = format!("{weaker}; echo it is bad >&2; exit 1");
        assert_eq!(compiled_by(&script, 3).unwrap_err(), LoadError::Told("it is bad".into()));
        assert_eq!(compiled_by(&format!("{weaker}; cat"), 3).unwrap(), b"xxx");
        let said = "compiling without landlock (old)\nit is bad\n";
        assert_eq!(without_lacks(said), (Some("landlock (old)"), "it is bad\n"));
        assert_eq!(without_lacks("compiling without x"), (Some("x"), ""));
        assert_eq!(without_lacks("it is bad"), (None, "it is bad"));
    }

    #[test]
    fn a_process_that_reads_nothing_stops_nobody() {
        assert_eq!(compiled_by("echo done", 4 << 20).unwrap(), b"done\n");
    }
}
