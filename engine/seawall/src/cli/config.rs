//! `seawall config`: check a configuration file, or show what follows from it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use seawall_config::{ConfigDiagnostic, ConfigError};
use seawall_control::{effective_config, load_config};
use serde_json::{Value, json};

use crate::cli::common::config_path;
use crate::cli::exit::{ExitStatus, print_err, print_json, print_out};
use crate::cli::help;

/// Check configuration files, or show the effective configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check configuration files and report every error
    ///
    /// The command reads these files only: it does not check certificates, policies or origins.
    #[command(after_long_help = help::CONFIG_CHECK)]
    Check(Check),
    /// Show every setting with its effective value and where the value comes from
    ///
    /// The output is TOML. A comment behind each value names the line that sets it, or says
    /// `default`.
    #[command(after_long_help = help::CONFIG_SHOW)]
    Show(Show),
}

/// Check configuration files.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Configuration files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the errors as JSON
    #[arg(long)]
    json: bool,
}

/// Show the effective configuration.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Configuration file [default: seawall.toml here, else in /etc/seawall]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print the settings as JSON
    #[arg(long)]
    json: bool,
}

impl ConfigCommand {
    pub(crate) fn run(&self) -> ExitStatus {
        match self {
            Self::Check(check) => check.run(),
            Self::Show(show) => show.run(),
        }
    }
}

impl Check {
    fn run(&self) -> ExitStatus {
        let mut found = Vec::new();
        let mut exit = ExitStatus::Success;
        for file in &self.files {
            let checked = load_config(file);
            if checked.is_err() {
                exit = ExitStatus::Failure;
            }
            match checked {
                Ok(_) if self.json => {}
                Ok(_) => print_out(format!("{}: correct", file.display())),
                Err(error) if self.json => found.extend(error.diagnostics.iter().map(as_json)),
                Err(error) => say(&error),
            }
        }
        if self.json {
            print_json(Value::Array(found));
        }
        exit
    }
}

impl Show {
    fn run(&self) -> ExitStatus {
        match effective_config(config_path(self.file.as_deref())) {
            Ok(config) if self.json => print_json(format!("{:#}", config.json())),
            Ok(config) => print_out(config.to_string().trim_end()),
            Err(error) => {
                say(&error);
                return ExitStatus::Failure;
            }
        }
        ExitStatus::Success
    }
}

fn say(error: &ConfigError) {
    print_err(format!("configuration\n{error}"));
}

fn as_json(one: &ConfigDiagnostic) -> Value {
    json!({
        "severity": "error",
        "file": one.file,
        "line": one.line,
        "column": one.column,
        "message": one.message,
        "help": one.help,
    })
}
