//! `seawall rule bench`: measures calls in fuel and in nanoseconds on this machine.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use seawall_rulekit::Project;

use crate::cli::exit::{ExitStatus, print_out};

/// Measure the fuel and time of the calls in the component tests.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Component to measure [default: the one beside rule.toml]
    #[arg(value_name = "FILE.wasm")]
    file: Option<PathBuf>,
}

impl Bench {
    pub(super) fn run(&self) -> Result<ExitStatus> {
        let project = Project::open(Path::new("."))?;
        let measurements = super::common::trial(&project, self.file.as_deref())?.bench()?;
        print_out(format!("{:>10} {:>10}", "fuel/call", "ns/call"));
        for m in &measurements {
            print_out(format!("{:>10} {:>10.0}  {}", m.fuel, m.ns, m.place));
        }
        let fuel = measurements.iter().map(|m| m.fuel).max().unwrap_or(0);
        let ns = measurements.iter().map(|m| m.ns).fold(0.0, f64::max);
        print_out(format!("{fuel:>10} {ns:>10.0}  maximum"));
        Ok(ExitStatus::Success)
    }
}
