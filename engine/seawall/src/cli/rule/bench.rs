//! `seawall rule bench`: what a call costs, in fuel and in nanoseconds of this machine.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use seawall_rulekit::Project;

use crate::cli::exit::{ExitStatus, print_out};

/// Measure what a call of the built rule costs, case by case.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// The component, where it is not the one beside rule.toml
    #[arg(value_name = "FILE.wasm")]
    file: Option<PathBuf>,
}

impl Bench {
    pub(super) fn run(&self) -> Result<ExitStatus> {
        let project = Project::open(Path::new("."))?;
        let paces = super::common::trial(&project, self.file.as_deref())?.bench()?;
        print_out(format!("{:>10} {:>10}", "fuel/call", "ns/call"));
        for pace in &paces {
            print_out(format!("{:>10} {:>10.0}  {}", pace.fuel, pace.ns, pace.place));
        }
        let fuel = paces.iter().map(|pace| pace.fuel).max().unwrap_or(0);
        let ns = paces.iter().map(|pace| pace.ns).fold(0.0, f64::max);
        print_out(format!("{fuel:>10} {ns:>10.0}  the most"));
        Ok(ExitStatus::Success)
    }
}
