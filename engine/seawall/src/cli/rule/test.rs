//! `seawall rule test`: runs the component tests as a server calls the component.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use seawall_rulekit::{Language, Project};

use crate::cli::exit::{ExitStatus, print_out};

/// Run the component tests of the rule, in several orders.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Component to test [default: the one beside rule.toml]
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
            print_out("same results alone, in order, repeated and shuffled");
            return Ok(ExitStatus::Success);
        }
        let trapped = findings.iter().any(|finding| finding.says.contains("(trap)"));
        if trapped && project.language != Language::Rust {
            print_out(
                "the text of an exception is not visible here: call the function in a test of its \
                 language",
            );
        }
        Ok(ExitStatus::Failure)
    }
}
