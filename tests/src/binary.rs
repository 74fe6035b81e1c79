//! The program under test, and its other words.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where `seawall` is: what `SEAWALL_BIN` names, else beside the tests.
#[must_use]
pub fn binary() -> PathBuf {
    let path = match std::env::var_os("SEAWALL_BIN") {
        Some(named) => PathBuf::from(named),
        None => {
            // The tests are in `target/PROFILE/deps`, the program one above.
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

/// The program, ready for its words. What it keeps for the person who types lies beside the tests, one
/// folder for all of them, so that they also show that programs can share it.
#[must_use]
pub fn program() -> Command {
    program_with(None, None)
}

/// The same by another path, and where it may open no more than so many files.
#[must_use]
pub(crate) fn program_with(path: Option<&Path>, open_files: Option<u32>) -> Command {
    let path = path.map_or_else(binary, Path::to_owned);
    let tests = std::env::current_exe().unwrap();
    let mut command = match open_files {
        None => Command::new(path),
        Some(most) => {
            // The shell takes the limit on, then becomes the program.
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\"")]).arg(path);
            shell
        }
    };
    command.env("XDG_CACHE_HOME", tests.parent().unwrap().join("seawall-test-cache"));
    command
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed as its result.
    pub out: String,
    /// What it complained about.
    pub err: String,
}

/// Runs `seawall` with `words`, in `folder`, to its end.
#[must_use]
pub fn seawall(folder: &Path, words: &[&str]) -> Ran {
    let mut command = program();
    command.args(words).current_dir(folder).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// It went well; what it printed.
#[track_caller]
pub fn fine(ran: &Ran) -> &str {
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    &ran.out
}

/// It refused, and said all of these.
#[track_caller]
pub fn refused(ran: &Ran, parts: &[&str]) {
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    let said = format!("{}{}", ran.out, ran.err);
    let missing: Vec<_> = parts.iter().filter(|part| !said.contains(**part)).collect();
    assert!(missing.is_empty(), "{missing:?} is not in:\n{said}");
}
