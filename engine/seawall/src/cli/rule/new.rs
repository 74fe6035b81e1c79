//! `seawall rule new`: creates a folder with a rule that builds and passes its tests.

use std::path::Path;

use anyhow::Result;
use clap::{Args, ValueEnum};
use seawall_policy::syntax::parse::RESERVED;
use seawall_rulekit::{Language, scaffold};
use seawall_ruleset::{FUNCTIONS, field_lines};

use crate::cli::exit::{ExitStatus, print_out};

/// Create a rule in a new folder.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// Language of the source
    #[arg(long, value_enum)]
    lang: Lang,
    /// Name of the rule and its folder: lowercase words joined by `-`
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lang {
    Rust,
    Js,
    Python,
}

impl New {
    pub(super) fn run(&self) -> Result<ExitStatus> {
        let language = match self.lang {
            Lang::Rust => Language::Rust,
            Lang::Js => Language::JavaScript,
            Lang::Python => Language::Python,
        };
        let fields = field_lines();
        let mut reserved: Vec<&str> = RESERVED.to_vec();
        reserved.extend(FUNCTIONS.iter().map(|function| function.name));
        reserved.extend(fields.iter().map(|field| field.name));
        let name = &self.name;
        let written = scaffold(Path::new(""), name, language, &reserved)?;
        for path in written.iter().filter(|path| !path.starts_with(language.sdk())) {
            print_out(format!("{name}/{}", path.display()));
        }
        print_out(format!("{name}/{}/  the SDK of this version", language.sdk()));
        print_out(format!("next: cd {name} && seawall rule build && seawall rule test"));
        Ok(ExitStatus::Success)
    }
}
