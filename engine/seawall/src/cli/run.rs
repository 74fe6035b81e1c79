//! `seawall run`: defend the sites of a configuration until told to stop.

use clap::Args;

use super::common::ConfigFile;
use crate::cli::exit::ExitStatus;
use crate::server;

/// Defend the sites of a configuration.
#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    config: ConfigFile,
    /// What `seawall` starts by itself: takes over from the server that started it
    #[arg(long, hide = true)]
    take_over: bool,
}

impl Run {
    pub(crate) fn run(&self) -> ExitStatus {
        server::run(&self.config, self.take_over)
    }
}
