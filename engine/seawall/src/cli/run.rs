//! `seawall run`: runs the proxy until a signal stops it.

use clap::Args;

use super::common::ConfigFile;
use crate::cli::exit::ExitStatus;
use crate::server;

/// Run the proxy with a configuration file.
#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    config: ConfigFile,
    /// Take over from the server that started this process; set by `seawall` itself
    #[arg(long, hide = true)]
    upgrade_child: bool,
}

impl Run {
    pub(crate) fn run(&self) -> ExitStatus {
        server::run(&self.config, self.upgrade_child)
    }
}
