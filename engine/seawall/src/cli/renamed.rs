//! Arguments of earlier versions: an error names the argument that replaces each of them.
//!
//! clap rejects them as unknown. Its own tip compares letters, and would propose another flag.

use std::ffi::OsString;

use clap::Error;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};

/// Adds the tip to an error about an argument of an earlier version.
pub(super) fn explain(mut error: Error, args: &[OsString]) -> Error {
    let Some(tip) = unknown_argument(&error).and_then(|unknown| tip(unknown, args)) else {
        return error;
    };
    for by_likeness in [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand] {
        error.remove(by_likeness);
    }
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    error
}

/// The flag or command that clap does not know.
fn unknown_argument(error: &Error) -> Option<&str> {
    let of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    of(ContextKind::InvalidSubcommand).or_else(|| of(ContextKind::InvalidArg))
}

/// The replacement of an argument in the command `args`.
fn tip(unknown: &str, args: &[OsString]) -> Option<String> {
    let mut words = args.iter().skip(1).map(|arg| arg.to_string_lossy());
    let command = words.next()?;
    let words: Vec<_> = words.collect();
    // The value of a flag, where it has one: `--for 1h` or `--for=1h`.
    let value = |flag: &str, name: &str| {
        let joined = format!("{flag}=");
        let at = words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1));
        let value = at.map(|value| value.to_string());
        let of = |word: &std::borrow::Cow<'_, str>| word.strip_prefix(&joined).map(str::to_owned);
        value.or_else(|| words.iter().find_map(of)).unwrap_or_else(|| name.to_owned())
    };
    let flag = unknown.split(['=', ' ']).next().unwrap_or_default();
    Some(match (&*command, flag) {
        ("rollback", "--lift") => "use `--clear-penalties`".to_owned(),
        ("reload", "--lift") => format!("use `--clear-penalties {}`", value("--lift", "RULE")),
        ("history", "--write") => format!("use `--export {}`", value("--write", "DIR")),
        ("check", "--for") => "use `--target server`".to_owned(),
        ("check" | "explain" | "fields", "--format") => match &*value("--format", "") {
            "human" => "omit it: text is the default".to_owned(),
            _ => "use `--json`".to_owned(),
        },
        ("rule", "key") => "use `seawall rule keygen`".to_owned(),
        ("level", "--end") => "use `seawall level clear`".to_owned(),
        // `level NAME --for D`, where `level sett NAME --for D` is a typing error.
        ("level", name) if words.get(1).is_some_and(|word| word.starts_with('-')) => {
            format!("use `seawall level set {name} --for {}`", value("--for", "DURATION"))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn message(line: &str) -> String {
        let args: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let error = Cli::try_parse_from(&args).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        explain(error, &args).to_string()
    }

    #[test]
    fn an_earlier_argument_is_an_error_that_names_the_new_one() {
        for (line, tip) in [
            ("seawall rollback --lift", "use `--clear-penalties`"),
            ("seawall rollback 41 --lift", "use `--clear-penalties`"),
            ("seawall reload --lift floor.a", "use `--clear-penalties floor.a`"),
            ("seawall reload --lift=floor.a", "use `--clear-penalties floor.a`"),
            ("seawall reload --lift", "use `--clear-penalties RULE`"),
            ("seawall level attack --for 1h", "use `seawall level set attack --for 1h`"),
            ("seawall level attack --for=1h", "use `seawall level set attack --for 1h`"),
            (
                "seawall level alert --site a.example --for 1h",
                "use `seawall level set alert --for 1h`",
            ),
            ("seawall level --end", "use `seawall level clear`"),
            ("seawall level --end --site a.example", "use `seawall level clear`"),
            ("seawall rule key ours", "use `seawall rule keygen`"),
            ("seawall history 41 --write old", "use `--export old`"),
            ("seawall check --for run a.wall", "use `--target server`"),
            ("seawall check a.wall --for=run", "use `--target server`"),
            ("seawall check --format json a.wall", "use `--json`"),
            ("seawall check --format=human a.wall", "omit it: text is the default"),
            ("seawall explain a.wall GET x --format json", "use `--json`"),
            ("seawall fields --format json", "use `--json`"),
        ] {
            let message = message(line);
            let tips: Vec<&str> = message.lines().filter(|line| line.contains("tip:")).collect();
            assert_eq!(tips, [format!("  tip: {tip}")], "{line}: {message}");
        }
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        for line in [
            "seawall sail",
            "seawall check",
            "seawall level sett attack --for 1h",
            "seawall status --lift",
            "seawall bans add x --format json",
            "seawall explain a.wall --curl",
        ] {
            let args: Vec<OsString> = line.split(' ').map(Into::into).collect();
            let error = || Cli::try_parse_from(&args).unwrap_err();
            assert_eq!(explain(error(), &args).to_string(), error().to_string(), "{line}");
        }
    }
}
