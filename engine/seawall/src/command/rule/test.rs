//! `seawall rule test`: the cases, asked of the component as a server would ask.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use seawall_rulekit::Project;

use crate::exit::{Exit, say};

/// Ask the built rule all of its cases: alone, in order, again and shuffled.
#[derive(Debug, Args)]
pub(crate) struct Test {}

impl Test {
    pub(super) fn run(&self) -> Result<Exit> {
        let Self {} = self;
        let project = Project::open(Path::new("."))?;
        let trial = super::trial(&project)?;
        let findings = trial.run()?;
        for finding in &findings {
            say(format!("{}: {}", finding.place, finding.says));
        }
        let passed = trial.cases().saturating_sub(findings.len());
        say(format!("{passed} passed, {} failed", findings.len()));
        if findings.is_empty() {
            say("the same alone, in order, again at once and shuffled");
            return Ok(Exit::Fine);
        }
        Ok(Exit::Wrong)
    }
}
