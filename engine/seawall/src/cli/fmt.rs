//! `seawall fmt`: policies in the one way of writing them.
//!
//! A file is replaced by a rename, never written over: a policy that a running server watches is
//! whole at every moment. Before that, what was made of it is held against what it was; a
//! formatter with a bug may refuse to work, but must not change what a policy says.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use seawall_policy::diagnostic::{Diagnostic, FileId, SHOWN_MAX};
use seawall_policy::span::line_column;
use seawall_policy::syntax::parse::{FILE_BYTES_MAX, parse};
use seawall_policy::syntax::print::{format, is_same};

use crate::cli::exit::{ExitStatus, fail, print_err, print_out};

/// The name of standard input and output.
const STDIN: &str = "-";
/// The most lines that a difference shows of each side: 3.
const DIFFERENCE_LINES_MAX: usize = 3;
/// How many names are tried for the file beside: 16. Others are left over from a crash.
const NAMES_MAX: usize = 16;

/// Format policies in place.
#[derive(Debug, Args)]
pub(crate) struct Fmt {
    /// Policies; `-` reads standard input and writes to standard output
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Change nothing; say which files are not formatted, and fail if there is one
    #[arg(long)]
    check: bool,
}

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// It is as it should be.
    Kept,
    /// It is not; this is how it should be.
    Changes { before: String, after: String },
    /// It has errors, told one a line.
    Refused(Vec<String>),
    /// The formatter has a bug.
    Broken,
}

impl Fmt {
    pub(crate) fn run(&self) -> ExitStatus {
        let exits = self.files.iter().map(|file| self.one(file));
        // Each file is done whatever became of the others; the worst decides.
        exits.max_by_key(|exit| *exit as u8).unwrap_or(ExitStatus::Success)
    }

    fn one(&self, file: &Path) -> ExitStatus {
        let name = file.display();
        let bytes = match read(file) {
            Ok(bytes) => bytes,
            Err(error) => return fail(ExitStatus::Failure, format!("{name}: {error}")),
        };
        let outcome = judge(&name.to_string(), &bytes);
        match outcome {
            Outcome::Refused(said) => {
                said.iter().for_each(print_err);
                ExitStatus::Failure
            }
            Outcome::Broken => fail(
                ExitStatus::InternalError,
                format!("{name}: left alone, its formatted text says otherwise"),
            ),
            Outcome::Changes { before, after } if self.check => {
                print_out(format!("{name}{}", difference(&before, &after)));
                ExitStatus::Failure
            }
            Outcome::Kept if self.check => ExitStatus::Success,
            Outcome::Kept if is_stdin(file) => pass_on(&bytes),
            Outcome::Kept => ExitStatus::Success,
            Outcome::Changes { after, .. } if is_stdin(file) => pass_on(after.as_bytes()),
            Outcome::Changes { after, .. } => match replace(file, after.as_bytes()) {
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

fn pass_on(text: &[u8]) -> ExitStatus {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => ExitStatus::Success,
        Err(error) => fail(ExitStatus::Failure, format!("standard output: {error}")),
    }
}

/// At most one byte more than a policy may have, so that what is too long is refused as such.
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

fn judge(name: &str, bytes: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let (_, said) = parse(FileId::default(), bytes);
        return Outcome::Refused(told(name, &String::from_utf8_lossy(bytes), &said));
    };
    match format(text) {
        Err(said) => Outcome::Refused(told(name, text, &said)),
        Ok(after) if after == text => Outcome::Kept,
        Ok(after) if after.len() > FILE_BYTES_MAX => {
            let (bytes, most) = (after.len(), FILE_BYTES_MAX);
            let message = format!("formatted it would hold {bytes} bytes; the most is {most}");
            Outcome::Refused(vec![format!("{name}: {message}")])
        }
        Ok(after) if is_same(text, &after) && format(&after).as_ref() == Ok(&after) => {
            Outcome::Changes { before: text.to_owned(), after }
        }
        Ok(_) => Outcome::Broken,
    }
}

/// Complaints with their places, one a line, and how many more there are.
fn told(name: &str, text: &str, said: &[Diagnostic]) -> Vec<String> {
    let one = |d: &Diagnostic| {
        let (line, column) = line_column(text, d.span.start);
        let help = d.help.as_deref().map(|help| format!(" ({help})")).unwrap_or_default();
        let (code, word) = (d.code.as_str(), d.severity.word());
        format!("{name}:{line}:{column}: {word}[{code}]: {}{help}", d.message)
    };
    let mut lines: Vec<String> = said.iter().take(SHOWN_MAX).map(one).collect();
    if said.len() > SHOWN_MAX {
        lines.push(format!("{name}: and {} more", said.len() - SHOWN_MAX));
    }
    lines
}

/// `:line` and the first lines that differ, as they are and as they should be.
fn difference(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (before.split('\n').collect(), after.split('\n').collect());
    let first = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let behind = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new);
    // What is alike at the end is not counted twice where everything is alike.
    let behind = behind.count().min(old.len().min(new.len()) - first);
    let shown = |lines: &[&str], sign: char| {
        let changed = lines.get(first..lines.len() - behind).unwrap_or_default();
        let line = |line: &&str| format!("\n  {sign} {}", visible(line));
        changed.iter().take(DIFFERENCE_LINES_MAX).map(line).collect::<String>()
    };
    format!(":{}:{}{}", first + 1, shown(&old, '-'), shown(&new, '+'))
}

/// A line for a terminal: signs that cannot be seen, and those that would act, are spelt out.
fn visible(line: &str) -> String {
    let spelt = |c: char| match c {
        '\u{feff}' => "\\u{feff}".to_owned(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    line.chars().map(spelt).collect()
}

/// Puts `text` in the place of a file, with the permissions that it had.
pub(super) fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    // A link stays a link; what it leads to is replaced.
    let file = file.canonicalize()?;
    let permissions = file.metadata()?.permissions();
    let (mut new, beside) = create_beside(&file)?;
    let written = fill(&mut new, permissions, text).and_then(|()| std::fs::rename(&beside, &file));
    if written.is_err() {
        let _left = std::fs::remove_file(&beside);
    }
    written
}

fn fill(new: &mut File, permissions: Permissions, text: &[u8]) -> io::Result<()> {
    // First, so that nobody reads it meanwhile who could not read the old one.
    new.set_permissions(permissions)?;
    new.write_all(text)?;
    new.sync_all()
}

/// A new file in the same folder, whose name no `include` or watcher takes for a policy's.
fn create_beside(file: &Path) -> io::Result<(File, PathBuf)> {
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
        let Outcome::Refused(said) = judge("a.wall", b"policy 1\n\nfloor { ruel a {} }") else {
            panic!("it was not refused");
        };
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("a.wall:3:9: error[P"), "{said:?}");
        let Outcome::Refused(said) = judge("a.wall", b"policy 1\n# \xff") else {
            panic!("it was not refused");
        };
        assert!(said[0].starts_with("a.wall:2:3: error[P"), "{said:?}");
    }

    #[test]
    fn the_longest_file_is_read_and_a_longer_one_refused() {
        let mut text = String::from("policy 1\n#");
        text.push_str(&"x".repeat(FILE_BYTES_MAX - text.len() - 1));
        text.push('\n');
        assert_eq!(judge("a", text.as_bytes()), Outcome::Kept);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wall");
        fs::write(&file, format!("{text}\n\n\n")).unwrap();
        assert_eq!(read(&file).unwrap().len(), FILE_BYTES_MAX + 1);
        assert_eq!(fmt(&file, false), ExitStatus::Failure);

        let mut rules = String::from("policy 1\nfloor{");
        rules.push_str(&"let a=1\n".repeat(FILE_BYTES_MAX / 8 - 8));
        rules.push('}');
        let Outcome::Refused(said) = judge("a", rules.as_bytes()) else {
            panic!("it was not refused");
        };
        assert!(said[0].contains("bytes"), "{said:?}");
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
