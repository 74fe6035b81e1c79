//! `seawall fmt`: formats policy files.
//!
//! A file is replaced by a rename, never overwritten: a running server that watches it reads a
//! complete policy at any moment. The formatted text is compared with the original first; a bug in
//! the formatter must not change the meaning of a policy.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use seawall_policy::diagnostic::{Diagnostic, FileId, SHOWN_MAX};
use seawall_policy::span::line_column;
use seawall_policy::syntax::parse::{FILE_BYTES_MAX, parse};
use seawall_policy::syntax::print::{format, is_same};

use crate::cli::exit::{ExitStatus, fail, print_err, print_out};

/// The file name for standard input and output.
const STDIN: &str = "-";
/// The most lines of each side that a difference shows: 3.
const DIFFERENCE_LINES_MAX: usize = 3;
/// The most names to try for the temporary file: 16. A crash may have left some behind.
const NAMES_MAX: usize = 16;

/// Format policy files in place.
#[derive(Debug, Args)]
pub(crate) struct Fmt {
    /// Policy files; `-` formats standard input to standard output
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Change no file; list the files that are not formatted and exit with 1
    #[arg(long)]
    check: bool,
}

/// The result of formatting one file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// The file is formatted.
    Unchanged,
    /// The file is not formatted.
    Changed { before: String, after: String },
    /// The file has errors, one on each line.
    Rejected(Vec<String>),
    /// The formatter has changed the meaning of the policy: a bug.
    Broken,
}

impl Fmt {
    pub(crate) fn run(&self) -> ExitStatus {
        let exits = self.files.iter().map(|file| self.format_file(file));
        // Every file is formatted; the worst exit code counts.
        exits.max_by_key(|exit| *exit as u8).unwrap_or(ExitStatus::Success)
    }

    fn format_file(&self, file: &Path) -> ExitStatus {
        let name = file.display();
        let bytes = match read(file) {
            Ok(bytes) => bytes,
            Err(error) => return fail(ExitStatus::Failure, format!("{name}: {error}")),
        };
        let outcome = format_bytes(&name.to_string(), &bytes);
        match outcome {
            Outcome::Rejected(errors) => {
                errors.iter().for_each(print_err);
                ExitStatus::Failure
            }
            Outcome::Broken => fail(
                ExitStatus::InternalError,
                format!("{name}: not changed: a bug of the formatter would change its meaning"),
            ),
            Outcome::Changed { before, after } if self.check => {
                print_out(format!("{name}{}", difference(&before, &after)));
                ExitStatus::Failure
            }
            Outcome::Unchanged if self.check => ExitStatus::Success,
            Outcome::Unchanged if is_stdin(file) => write_stdout(&bytes),
            Outcome::Unchanged => ExitStatus::Success,
            Outcome::Changed { after, .. } if is_stdin(file) => write_stdout(after.as_bytes()),
            Outcome::Changed { after, .. } => match replace(file, after.as_bytes()) {
                Ok(()) => {
                    print_out(name);
                    ExitStatus::Success
                }
                Err(error) => fail(ExitStatus::Failure, format!("{name}: not written: {error}")),
            },
        }
    }
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new(STDIN)
}

fn write_stdout(text: &[u8]) -> ExitStatus {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => ExitStatus::Success,
        Err(error) => fail(ExitStatus::Failure, format!("standard output: {error}")),
    }
}

/// Reads at most one byte more than a policy may have, so that a longer file is rejected.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let most = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if is_stdin(file) {
        io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn format_bytes(name: &str, bytes: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let (_, errors) = parse(FileId::default(), bytes);
        return Outcome::Rejected(diagnostic_lines(name, &String::from_utf8_lossy(bytes), &errors));
    };
    match format(text) {
        Err(errors) => Outcome::Rejected(diagnostic_lines(name, text, &errors)),
        Ok(after) if after == text => Outcome::Unchanged,
        Ok(after) if after.len() > FILE_BYTES_MAX => {
            let (bytes, most) = (after.len(), FILE_BYTES_MAX);
            let message =
                format!("the formatted file would have {bytes} bytes; the limit is {most}");
            Outcome::Rejected(vec![format!("{name}: {message}")])
        }
        Ok(after) if is_same(text, &after) && format(&after).as_ref() == Ok(&after) => {
            Outcome::Changed { before: text.to_owned(), after }
        }
        Ok(_) => Outcome::Broken,
    }
}

/// One line for each diagnostic, and one for those that are omitted.
fn diagnostic_lines(name: &str, text: &str, errors: &[Diagnostic]) -> Vec<String> {
    let one = |d: &Diagnostic| {
        let (line, column) = line_column(text, d.span.start);
        let help = d.help.as_deref().map(|help| format!(" ({help})")).unwrap_or_default();
        let (code, word) = (d.code.as_str(), d.severity.word());
        format!("{name}:{line}:{column}: {word}[{code}]: {}{help}", d.message)
    };
    let mut lines: Vec<String> = errors.iter().take(SHOWN_MAX).map(one).collect();
    if errors.len() > SHOWN_MAX {
        lines.push(format!("{name}: and {} more", errors.len() - SHOWN_MAX));
    }
    lines
}

/// `:line` and the first lines that differ, before and after.
fn difference(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (before.split('\n').collect(), after.split('\n').collect());
    let first = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let behind = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new);
    // Common lines at the end must not overlap those at the start.
    let behind = behind.count().min(old.len().min(new.len()) - first);
    let shown = |lines: &[&str], sign: char| {
        let changed = lines.get(first..lines.len() - behind).unwrap_or_default();
        let line = |line: &&str| format!("\n  {sign} {}", visible(line));
        changed.iter().take(DIFFERENCE_LINES_MAX).map(line).collect::<String>()
    };
    format!(":{}:{}{}", first + 1, shown(&old, '-'), shown(&new, '+'))
}

/// A line for a terminal, with control and invisible characters escaped.
fn visible(line: &str) -> String {
    let spelt = |c: char| match c {
        '\u{feff}' => "\\u{feff}".to_owned(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    line.chars().map(spelt).collect()
}

/// Replaces the content of a file and keeps its permissions.
pub(super) fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    // A link stays a link; its target is replaced.
    let file = file.canonicalize()?;
    let permissions = file.metadata()?.permissions();
    let (mut new, beside) = create_temporary(&file)?;
    let written = fill(&mut new, permissions, text).and_then(|()| std::fs::rename(&beside, &file));
    if written.is_err() {
        let _left = std::fs::remove_file(&beside);
    }
    written
}

fn fill(new: &mut File, permissions: Permissions, text: &[u8]) -> io::Result<()> {
    // First, so that the new file is never readable for more users than the old one.
    new.set_permissions(permissions)?;
    new.write_all(text)?;
    new.sync_all()
}

/// Creates a file in the same folder, with a name that no `include` or watcher matches.
fn create_temporary(file: &Path) -> io::Result<(File, PathBuf)> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for n in 0..NAMES_MAX {
        let beside = file.with_file_name(format!(".{name}.{}-{n}.new", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&beside) {
            Ok(new) => return Ok((new, beside)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    const UGLY: &str = "policy 1\nfloor { # why\nrule a{when true then drop}}\n";
    const TIDY: &str = "policy 1\nfloor {  # why\n  rule a { when true then drop }\n}\n";

    fn fmt(file: &Path, check: bool) -> ExitStatus {
        Fmt { files: vec![file.to_owned()], check }.run()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut all: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        all.sort();
        all
    }

    #[test]
    fn a_file_is_replaced_with_its_permissions_and_nothing_is_left_beside() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("a.wall"), dir.path().join("link.wall"));
        fs::write(&file, UGLY).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        symlink("a.wall", &link).unwrap();
        assert_eq!(fmt(&link, false), ExitStatus::Success);
        assert_eq!(fs::read_to_string(&file).unwrap(), TIDY);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(dir.path()), ["a.wall", "link.wall"]);
    }

    #[test]
    fn a_formatted_file_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wall");
        fs::write(&file, TIDY).unwrap();
        let before = fs::metadata(&file).unwrap();
        assert_eq!(fmt(&file, false), ExitStatus::Success);
        assert_eq!(fmt(&file, true), ExitStatus::Success);
        let after = fs::metadata(&file).unwrap();
        assert_eq!(before.ino(), after.ino());
    }

    #[test]
    fn check_changes_nothing_and_fails() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wall");
        fs::write(&file, UGLY).unwrap();
        assert_eq!(fmt(&file, true), ExitStatus::Failure);
        assert_eq!(fs::read_to_string(&file).unwrap(), UGLY);
    }

    #[test]
    fn a_file_with_errors_is_left_alone_and_the_others_are_done() {
        let dir = tempfile::tempdir().unwrap();
        let (bad, good) = (dir.path().join("bad.wall"), dir.path().join("good.wall"));
        let missing = dir.path().join("missing.wall");
        fs::write(&bad, "policy 1\nfloor{").unwrap();
        fs::write(&good, UGLY).unwrap();
        let all = Fmt { files: vec![missing, bad.clone(), good.clone()], check: false };
        assert_eq!(all.run(), ExitStatus::Failure);
        assert_eq!(fs::read_to_string(&bad).unwrap(), "policy 1\nfloor{");
        assert_eq!(fs::read_to_string(&good).unwrap(), TIDY);
    }

    #[test]
    fn a_leftover_beside_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wall");
        fs::write(&file, UGLY).unwrap();
        let left = dir.path().join(format!(".a.wall.{}-0.new", std::process::id()));
        fs::write(&left, "old").unwrap();
        assert_eq!(fmt(&file, false), ExitStatus::Success);
        assert_eq!(fs::read_to_string(&left).unwrap(), "old");
        assert_eq!(fs::read_to_string(&file).unwrap(), TIDY);
    }

    #[test]
    fn complaints_have_their_place() {
        let Outcome::Rejected(errors) = format_bytes("a.wall", b"policy 1\n\nfloor { ruel a {} }")
        else {
            panic!("it was not refused");
        };
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with("a.wall:3:9: error[P"), "{errors:?}");
        let Outcome::Rejected(errors) = format_bytes("a.wall", b"policy 1\n# \xff") else {
            panic!("it was not refused");
        };
        assert!(errors[0].starts_with("a.wall:2:3: error[P"), "{errors:?}");
    }

    #[test]
    fn the_longest_file_is_read_and_a_longer_one_refused() {
        let mut text = String::from("policy 1\n#");
        text.push_str(&"x".repeat(FILE_BYTES_MAX - text.len() - 1));
        text.push('\n');
        assert_eq!(format_bytes("a", text.as_bytes()), Outcome::Unchanged);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wall");
        fs::write(&file, format!("{text}\n\n\n")).unwrap();
        assert_eq!(read(&file).unwrap().len(), FILE_BYTES_MAX + 1);
        assert_eq!(fmt(&file, false), ExitStatus::Failure);

        let mut rules = String::from("policy 1\nfloor{");
        rules.push_str(&"let a=1\n".repeat(FILE_BYTES_MAX / 8 - 8));
        rules.push('}');
        let Outcome::Rejected(errors) = format_bytes("a", rules.as_bytes()) else {
            panic!("it was not refused");
        };
        assert!(errors[0].contains("bytes"), "{errors:?}");
    }

    #[test]
    fn the_first_difference_is_shown() {
        assert_eq!(difference("a\nb\r\nc\n", "a\nb\nc\n"), ":2:\n  - b\\r\n  + b");
        assert_eq!(difference("a", "a\n"), ":2:\n  + ");
        assert_eq!(difference("a\n\n\nb\n", "a\n\nb\n"), ":3:\n  - ");
        assert_eq!(difference("1\n2\n3\n4\n5\n", "x\n"), ":1:\n  - 1\n  - 2\n  - 3\n  + x");
        assert_eq!(
            difference("\u{feff}a\u{1b}[1m\n", "a\n"),
            ":1:\n  - \\u{feff}a\\u{1b}[1m\n  + a"
        );
    }
}
