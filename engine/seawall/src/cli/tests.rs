//! The command line as a whole: its help, and the commands that the manual mentions.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Arg, CommandFactory, Parser};

use super::*;

#[test]
fn the_command_line_is_valid() {
    Cli::command().debug_assert();
}

#[test]
fn a_missing_or_unknown_argument_is_a_usage_error() {
    for line in [
        &["seawall", "sail"][..],
        &["seawall", "check"],
        &["seawall", "fmt"],
        &["seawall", "test"],
        &["seawall", "explain"],
        &["seawall", "rule"],
        &["seawall", "level"],
        &["seawall", "level", "set"],
        &["seawall", "level", "set", "attack"],
        &["seawall", "level", "clear", "attack"],
        &["seawall", "diff"],
        &["seawall", "rollback", "yesterday"],
        &["seawall", "rollback", "--member", "alice", "--clear-penalties"],
        &["seawall", "history", "--export", "there"],
        &["seawall", "bans", "add", "192.0.2.7"],
        &["seawall", "rule", "new", "--lang", "cobol", "hello"],
        &["seawall", "rule", "inspect"],
    ] {
        assert_eq!(Cli::try_parse_from(line).unwrap_err().exit_code(), 2, "{line:?}");
    }
}

#[test]
fn every_help_has_a_description_examples_and_exit_codes() {
    for command in commands() {
        let name = command.get_name().to_owned();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.starts_with(char::is_uppercase) && !about.ends_with('.'), "{name}: {about}");
        let below = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        for part in ["Examples:\n  seawall ", "\n\nExit codes:\n  0   success\n  1   "] {
            // A rule is built in its folder.
            assert!(
                below.replace("cd hello && ", "").contains(part),
                "{name}: {part:?} in {below}"
            );
        }
        for arg in command.get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty() && !help.ends_with('.'), "{name} {}: {help:?}", arg.get_id());
        }
    }
}

#[test]
fn every_help_fits_a_terminal_and_speaks_the_glossary() {
    let avoided = avoided_words();
    assert!(avoided.contains("newcomer") && avoided.contains("judge"), "{avoided:?}");
    let mut wrong = Vec::new();
    for help in helps() {
        let long = help.lines().filter(|line| line.chars().count() > COLUMNS_MAX);
        wrong.extend(long.map(|line| format!("longer than {COLUMNS_MAX}: {line}")));
        let found: Vec<&String> = avoided.iter().filter(|word| has_phrase(&help, word)).collect();
        if !found.is_empty() {
            wrong.push(format!("{found:?}, which docs/glossary.md avoids, in: {help}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn examples_are_commands_that_parse() {
    for help in helps() {
        for line in help.lines().filter_map(|line| line.strip_prefix("  ")) {
            // Usage and lists of flags are indented, too, but begin with another word.
            for line in command_lines(line) {
                parse(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
            }
        }
    }
}

#[test]
fn manual_and_messages_mention_existing_commands_and_flags_only() {
    let (mut parsed, mut wrong) = (0, Vec::new());
    let flags = flags();
    for page in texts(&root()) {
        let text = std::fs::read_to_string(&page).unwrap();
        for (at, mention) in mentions(&text) {
            let error = match &mention {
                Mention::Line(line) => parse(line).err(),
                Mention::Inline(line) => parse(line).err().filter(|error| !is_incomplete(error)),
                // Pages for authors mention flags of other programs, too.
                Mention::Flag(_) if !is_for_operators(&page) => None,
                Mention::Flag(flag) if flags.contains(flag) => None,
                Mention::Flag(flag) => {
                    wrong.push(format!("{}:{at}: no command has {flag}", page.display()));
                    None
                }
            };
            wrong.extend(error.map(|error| format!("{}:{at}: {error}", page.display())));
            parsed += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(parsed > 150, "{parsed} mentions: is the manual found?");
}

#[test]
fn a_stale_mention_is_found() {
    let text = "Use `seawall level attack --for 1h` or `seawall check`.\n\n```sh\n$ cd x && seawall \
                rule key a   # a key\nseawall: ready\nseawall run -c a.toml &\n```\n`--lift` and \
                `cargo --release`\n";
    let line = |line: &str| Mention::Line(words(line));
    let inline = |line: &str| Mention::Inline(words(line));
    let found: Vec<_> = mentions(text).collect();
    assert_eq!(
        found,
        [
            (1, inline("seawall level attack --for 1h")),
            (1, inline("seawall check")),
            (4, line("seawall rule key a")),
            (6, line("seawall run -c a.toml")),
            (8, Mention::Flag("--lift".to_owned())),
        ]
    );
    for stale in ["level attack --for 1h", "rule key a", "check --format json a", "check --for run"]
    {
        assert!(
            !is_incomplete(&parse(&words(&format!("seawall {stale}"))).unwrap_err()),
            "{stale}"
        );
    }
    assert!(is_incomplete(&parse(&words("seawall check")).unwrap_err()));
    assert!(!flags().contains("--lift"));
}

/// The most columns of a line of help.
const COLUMNS_MAX: usize = 100;

/// Words that the glossary avoids for one thing, and that help uses for another.
const HOMONYMS: [&str; 2] = [
    "field", // of the policy language; avoided for a header
    "line",  // of commands and of files; avoided for the queue
];

/// All commands with their subcommands, built as clap builds them for a help text.
fn commands() -> Vec<clap::Command> {
    fn collect(command: &clap::Command, found: &mut Vec<clap::Command>) {
        found.push(command.clone());
        let own = command.get_subcommands().filter(|command| command.get_name() != "help");
        own.for_each(|command| collect(command, found));
    }
    let (mut root, mut found) = (Cli::command(), Vec::new());
    root.build();
    collect(&root, &mut found);
    found
}

/// The short and the long help of every command.
fn helps() -> Vec<String> {
    let both = |mut command: clap::Command| {
        [command.render_help().to_string(), command.render_long_help().to_string()]
    };
    commands().into_iter().flat_map(both).collect()
}

/// All flags of all commands, as `--name`.
fn flags() -> BTreeSet<String> {
    let commands = commands();
    let long = commands.iter().flat_map(clap::Command::get_arguments).filter_map(Arg::get_long);
    long.map(|name| format!("--{name}")).collect()
}

/// The third column of the glossary, without words that stand in its first one.
fn avoided_words() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("docs/glossary.md")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| term |"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let terms: Vec<&str> = rows.iter().map(|row| row[1]).collect();
    let avoided = rows.iter().flat_map(|row| row[3].split([',', ';']));
    // A note in parentheses limits the word to one meaning.
    let words = avoided.map(|word| word.split('(').next().unwrap().trim().replace('"', ""));
    words
        .filter(|word| !word.is_empty() && !HOMONYMS.contains(&word.as_str()))
        .filter(|word| !terms.iter().any(|term| has_phrase(term, word)))
        .map(|word| word.to_lowercase())
        .collect()
}

/// Whether the words of `phrase` follow each other in `text`.
fn has_phrase(text: &str, phrase: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let text = text.to_lowercase();
        let words = text.split(|c: char| !(c.is_alphanumeric() || c == '\''));
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let (text, phrase) = (words(text), words(phrase));
    text.windows(phrase.len()).any(|window| window == phrase)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The pages for users and authors, and the sources with their messages. The changelog names what
/// has changed, and this file is full of mistakes.
fn texts(root: &Path) -> Vec<PathBuf> {
    let mut texts = vec![root.join("README.md"), root.join("ARCHITECTURE.md")];
    let folders = ["docs", "rule-sdk", "engine", "packaging", "demo"];
    let mut folders: Vec<PathBuf> = folders.iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_built = path.ends_with("target") || path.ends_with("node_modules");
            let ending = path.extension().and_then(std::ffi::OsStr::to_str);
            if path.is_dir() && !is_built {
                folders.push(path);
            } else if matches!(ending, Some("md" | "rs")) && !path.ends_with("cli/tests.rs") {
                texts.push(path);
            }
        }
    }
    texts
}

fn is_for_operators(page: &Path) -> bool {
    let folder = page.parent().unwrap();
    folder.ends_with("docs/operating") || folder.ends_with("docs/language")
}

/// A mention of a command or a flag in a text.
#[derive(Debug, PartialEq, Eq)]
enum Mention {
    /// A command in a code block: complete.
    Line(Vec<String>),
    /// A command in a sentence, which may lack arguments.
    Inline(Vec<String>),
    /// A flag in a sentence.
    Flag(String),
}

/// All mentions with the numbers of their lines.
fn mentions(text: &str) -> impl Iterator<Item = (usize, Mention)> {
    let mut is_block = false;
    let of = move |(at, line): (usize, &str)| {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
            return Vec::new();
        }
        let found: Vec<Mention> = if is_block {
            command_lines(line.trim_start_matches("$ ")).into_iter().map(Mention::Line).collect()
        } else {
            // Every second part is between backticks.
            line.split('`').skip(1).step_by(2).filter_map(inline).collect()
        };
        found.into_iter().map(|mention| (at + 1, mention)).collect()
    };
    text.lines().enumerate().flat_map(of).collect::<Vec<_>>().into_iter()
}

fn inline(code: &str) -> Option<Mention> {
    if code.starts_with("seawall ") {
        // Between two backticks of a source there may also be half a string.
        return explain::split(code).ok().map(Mention::Inline);
    }
    let flag = code.split([' ', '=']).next().filter(|flag| flag.starts_with("--"))?;
    Some(Mention::Flag(flag.to_owned()))
}

/// The commands of a line for a shell that call `seawall`, without comments.
fn command_lines(line: &str) -> Vec<Vec<String>> {
    let line = line.split("  #").next().unwrap();
    let parts = line.split("&&").flat_map(|part| part.split(['|', ';', '<']));
    // In a drawing of the crates, `seawall` is followed by more than one blank.
    let is_ours = |part: &&str| part.starts_with("seawall ") && !part.starts_with("seawall  ");
    let ours = parts.map(|part| part.trim().trim_end_matches('&')).filter(is_ours);
    ours.map(words).collect()
}

fn words(line: &str) -> Vec<String> {
    explain::split(line).unwrap()
}

fn parse(words: &[String]) -> Result<(), clap::Error> {
    match Cli::try_parse_from(words) {
        Err(error) if !matches!(error.kind(), ErrorKind::DisplayHelp) => Err(error),
        _ => Ok(()),
    }
}

/// Whether only arguments are missing, or `N` stands for a number.
fn is_incomplete(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::ValueValidation
    )
}
