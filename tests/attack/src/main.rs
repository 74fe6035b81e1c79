//! `seawall-attack`: attacks against loopback and its own namespaces, with legitimate load beside
//! them, bounded in number and time. See `README.md` for the scenarios and the JSON.
//!
//! It knows nothing of the engine: it sees what a client sees.

mod addresses;
mod attack;
mod caps;
mod cli;
mod connect;
mod dice;
mod fds;
mod guard;
mod h1;
mod h2;
mod legit;
mod namespace;
mod origin;
mod report;
mod run;
mod sample;
mod scenario;
mod table;
mod tally;
#[cfg(test)]
mod testing;
mod tls;
mod wire;

use clap::Parser as _;
use std::io::Write as _;
use std::process::ExitCode;

/// The arguments were rejected, or the run failed.
const REFUSED: u8 = 2;
/// Ended by a signal, as shells count it.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match cli::Arguments::parse().obey() {
        Ok(cli::Ended::Well) => ExitCode::SUCCESS,
        Ok(cli::Ended::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) => {
            let _told = writeln!(std::io::stderr(), "seawall-attack: {error:#}");
            ExitCode::from(REFUSED)
        }
    }
}
