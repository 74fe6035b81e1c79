//! Exit codes and output: scripts tell a wrong policy from a missing server by the code.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use seawall_model::shown;

/// The exit code of a command. clap exits with 2 where the command line is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// The command did what it says.
    Success = 0,
    /// The checked file has errors, or the request cannot be fulfilled.
    Failure = 1,
    /// The running server cannot be reached.
    Unreachable = 3,
    /// A fault of Seawall itself.
    InternalError = 70,
}

impl From<ExitStatus> for ExitCode {
    fn from(exit: ExitStatus) -> Self {
        Self::from(exit as u8)
    }
}

/// Prints one line of results to standard output. A closed output is no error. Control characters
/// are escaped, because the text may come from members and clients.
pub(crate) fn print_out(text: impl Display) {
    let _unwritten = writeln!(std::io::stdout(), "{}", shown::lines(&text.to_string()));
}

/// Prints results as JSON to standard output.
pub(crate) fn print_json(text: impl Display) {
    let _unwritten = writeln!(std::io::stdout(), "{}", shown::json(&text.to_string()));
}

/// Prints one line to standard error, in one write: during an upgrade two processes write there.
pub(crate) fn print_err(text: impl Display) {
    let text = format!("seawall: {text}\n");
    let _unwritten = std::io::stderr().write_all(shown::lines(&text).as_bytes());
}

/// Prints rendered diagnostics without colours to standard error.
pub(crate) fn print_rendered(text: &str) {
    let _unwritten = std::io::stderr().write_all(shown::lines(text).as_bytes());
}

/// Prints an error and returns the exit code.
pub(crate) fn fail(exit: ExitStatus, text: impl Display) -> ExitStatus {
    print_err(text);
    exit
}
