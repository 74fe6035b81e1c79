//! The program under test, and its commands.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the path of `seawall`: that of `SEAWALL_BIN`, else the one beside the tests.
#[must_use]
pub fn binary() -> PathBuf {
    let path = match std::env::var_os("SEAWALL_BIN") {
        Some(named) => PathBuf::from(named),
        None => {
            // The tests are in `target/PROFILE/deps`, the program one folder above.
            let tests = std::env::current_exe().unwrap();
            tests.parent().and_then(Path::parent).unwrap().join("seawall")
        }
    };
    assert!(
        path.is_file(),
        "{} is not there: build it with `cargo build -p seawall`, or name it in SEAWALL_BIN",
        path.display()
    );
    path
}

/// Returns a command for the program, without arguments. All tests share one cache folder beside
/// the tests, so they also show that processes can share it.
#[must_use]
pub fn program() -> Command {
    program_with(None, None)
}

/// Returns the same for another path, and with a limit on open files.
#[must_use]
pub(crate) fn program_with(path: Option<&Path>, open_files: Option<u32>) -> Command {
    let path = path.map_or_else(binary, Path::to_owned);
    let tests = std::env::current_exe().unwrap();
    let mut command = match open_files {
        None => Command::new(path),
        Some(most) => {
            // The shell sets the limit, then executes the program.
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\"")]).arg(path);
            shell
        }
    };
    command.env("XDG_CACHE_HOME", tests.parent().unwrap().join("seawall-test-cache"));
    command
}

/// The result of a command.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs `seawall` with the arguments `words` in `folder`, to its end.
#[must_use]
pub fn seawall(folder: &Path, words: &[&str]) -> Ran {
    let mut command = program();
    command.args(words).current_dir(folder).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Asserts success, and returns the output.
#[track_caller]
pub fn fine(ran: &Ran) -> &str {
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    &ran.out
}

/// Asserts exit code 1 and an output that contains all `parts`.
#[track_caller]
pub fn refused(ran: &Ran, parts: &[&str]) {
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    let said = format!("{}{}", ran.out, ran.err);
    let missing: Vec<_> = parts.iter().filter(|part| !said.contains(**part)).collect();
    assert!(missing.is_empty(), "{missing:?} is not in:\n{said}");
}
