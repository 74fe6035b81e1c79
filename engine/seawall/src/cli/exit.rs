//! Exit codes: DESIGN §7's, so that scripts can tell a wrong policy from a missing server.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use seawall_model::shown;

/// How a command ended. 2, a mistake on the command line, is clap's to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// Fine.
    Success = 0,
    /// The thing checked is wrong, or what was asked for could not be had.
    Failure = 1,
    /// There is no running server to talk to.
    Unreachable = 3,
    /// Our own fault.
    InternalError = 70,
}

impl From<ExitStatus> for ExitCode {
    fn from(exit: ExitStatus) -> Self {
        Self::from(exit as u8)
    }
}

/// One line of results. A reader that has gone away is no reason to fail. What members and visitors
/// wrote is in it, so what a terminal would act on is spelt out.
pub(crate) fn print_out(text: impl Display) {
    let _unwritten = writeln!(std::io::stdout(), "{}", shown::lines(&text.to_string()));
}

/// Results for a tool, as JSON.
pub(crate) fn print_json(text: impl Display) {
    let _unwritten = writeln!(std::io::stdout(), "{}", shown::json(&text.to_string()));
}

/// One line about us, on standard error. In one piece: while one process takes over from another
/// both write there.
pub(crate) fn print_err(text: impl Display) {
    let text = format!("seawall: {text}\n");
    let _unwritten = std::io::stderr().write_all(shown::lines(&text).as_bytes());
}

/// A drawing of several lines without colours, on standard error.
pub(crate) fn print_rendered(text: &str) {
    let _unwritten = std::io::stderr().write_all(shown::lines(text).as_bytes());
}

/// Says what went wrong and hands on the code.
pub(crate) fn fail(exit: ExitStatus, text: impl Display) -> ExitStatus {
    print_err(text);
    exit
}
