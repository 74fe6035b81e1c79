//! Runs other programs, and reports their failures.
//!
//! Every error contains the command as it can be typed and its last lines, so that there is no need
//! to run it again for the cause.

use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Lines of a failed command that are shown.
const TAIL_LINES: usize = 25;

/// Returns where `program` lies on the path, if it does.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Returns the cargo that started us, without the variables it set for us alone: inherited, they
/// would make build scripts that read them run again and again.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// Returns the command as one would type it.
pub(crate) fn line_of(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    if let Some(first) = words.first_mut() {
        // `…/bin/cargo` is typed as `cargo`.
        *first = first.rsplit('/').next().unwrap_or(first).to_owned();
    }
    words.join(" ")
}

/// Runs a command whose output goes to the terminal.
///
/// # Errors
/// It cannot be started, or fails.
pub(crate) fn show(command: &mut Command) -> anyhow::Result<()> {
    let line = line_of(command);
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs a command and gives back what it wrote to standard output.
///
/// # Errors
/// It cannot be started, or fails; then with the last lines it wrote.
pub(crate) fn quiet(command: &mut Command) -> anyhow::Result<String> {
    let line = line_of(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let complaints = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({})\n{}", output.status, tail(&format!("{said}{complaints}")));
    }
    Ok(said)
}

/// Runs a command, shows each line of its standard output and hands it to `each`. Gives back
/// whether it succeeded.
///
/// # Errors
/// It cannot be started or read.
pub(crate) fn watch(command: &mut Command, mut each: impl FnMut(&str)) -> anyhow::Result<bool> {
    let line = line_of(command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start `{line}`"))?;
    let output = child.stdout.take().context("the child has no standard output")?;
    for text in BufReader::new(output).split(b'\n') {
        let bytes = text.with_context(|| format!("reading from `{line}`"))?;
        let text = String::from_utf8_lossy(&bytes);
        println!("{text}");
        each(&text);
    }
    Ok(child.wait().with_context(|| format!("waiting for `{line}`"))?.success())
}

/// Returns the last lines of `text`, indented.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines.iter().skip(from).map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_command_and_its_last_words() {
        let error =
            quiet(Command::new("sh").args(["-c", "echo gone wrong >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("sh -c"), "{text}");
        assert!(text.contains("gone wrong"), "{text}");
        assert!(text.contains('3'), "{text}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = show(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(format!("{error:#}").contains("no-such-program-here"));
        assert_eq!(find("no-such-program-here"), None);
        assert!(find("sh").is_some());
    }

    #[test]
    fn only_the_last_lines_are_shown() {
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let shown = tail(&text);
        assert_eq!(shown.lines().count(), TAIL_LINES);
        assert!(shown.ends_with("line 99"));
    }

    #[test]
    fn a_watched_command_is_read_line_by_line() {
        let mut seen = Vec::new();
        let fine = watch(Command::new("sh").args(["-c", "echo a; echo b"]), |line| {
            seen.push(line.to_owned());
        });
        assert!(fine.unwrap());
        assert_eq!(seen, ["a", "b"]);
    }
}
