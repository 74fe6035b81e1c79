//! `seawall rule test`: the cases, asked of the component as a server would ask.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use seawall_rulekit::{Language, Project};

use crate::cli::exit::{ExitStatus, print_out};

/// Ask the built rule all of its cases: alone, in order, again and shuffled.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The component, where it is not the one beside rule.toml
    #[arg(value_name = "FILE.wasm")]
    file: Option<PathBuf>,
}

impl Test {
    pub(super) fn run(&self) -> Result<ExitStatus> {
        let project = Project::open(Path::new("."))?;
        let trial = super::common::trial(&project, self.file.as_deref())?;
        let findings = trial.run()?;
        for finding in &findings {
            print_out(format!("{}: {}", finding.place, finding.says));
        }
        let passed = trial.cases().saturating_sub(findings.len());
        print_out(format!("{passed} passed, {} failed", findings.len()));
        if findings.is_empty() {
            print_out("the same alone, in order, again at once and shuffled");
            return Ok(ExitStatus::Success);
        }
        let trapped = findings.iter().any(|finding| finding.says.contains("(trap)"));
        if trapped && project.language != Language::Rust {
            print_out(
                "what an exception says is not seen in here: the function's own test shows it",
            );
        }
        Ok(ExitStatus::Failure)
    }
}
