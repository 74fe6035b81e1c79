//! The command line as a whole.

use clap::{CommandFactory, Parser};

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
