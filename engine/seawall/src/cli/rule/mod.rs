//! `seawall rule`: creates, builds, tests, signs and inspects WASM rules.

mod bench;
mod build;
mod common;
mod enable;
mod inspect;
mod keygen;
mod new;
mod sign;
mod test;
mod verify;

use clap::Subcommand;

use super::help;
use crate::cli::exit::{ExitStatus, fail};

/// Create, build, test, sign and inspect WASM rules.
#[derive(Debug, Subcommand)]
pub(crate) enum Rule {
    /// Create a rule in a new folder
    #[command(after_long_help = help::RULE_NEW)]
    New(new::New),
    /// Build the rule in the working directory to a component
    #[command(after_long_help = help::RULE_BUILD)]
    Build(build::Build),
    /// Run the component tests of the rule, in several orders
    ///
    /// Tests the component with each test alone, and with all in order, repeated and shuffled.
    #[command(after_long_help = help::RULE_TEST)]
    Test(test::Test),
    /// Show the exports, imports, memory and tests of a component
    #[command(after_long_help = help::RULE_INSPECT)]
    Inspect(inspect::Inspect),
    /// Measure the fuel and time of the calls in the component tests
    #[command(after_long_help = help::RULE_BENCH)]
    Bench(bench::Bench),
    /// Clear the quarantine of a rule or a member in the running server
    #[command(after_long_help = help::RULE_ENABLE)]
    Enable(enable::Enable),
    /// Generate a key pair to sign components
    #[command(after_long_help = help::RULE_KEYGEN)]
    Keygen(keygen::Keygen),
    /// Sign a component
    ///
    /// Writes the signature to FILE.wasm.minisig beside the component.
    #[command(after_long_help = help::RULE_SIGN)]
    Sign(sign::Sign),
    /// Verify the signature of a component
    ///
    /// Reads the signature from FILE.wasm.minisig beside the component.
    #[command(after_long_help = help::RULE_VERIFY)]
    Verify(verify::Verify),
}

impl Rule {
    pub(crate) fn run(&self) -> ExitStatus {
        let result = match self {
            Self::New(new) => new.run(),
            Self::Build(build) => build.run(),
            Self::Test(test) => test.run(),
            Self::Inspect(inspect) => inspect.run(),
            Self::Bench(bench) => bench.run(),
            Self::Enable(enable) => enable.run(),
            Self::Keygen(keygen) => keygen.run(),
            Self::Sign(sign) => sign.run(),
            Self::Verify(verify) => verify.run(),
        };
        result.unwrap_or_else(|error| fail(ExitStatus::Failure, format!("{error:#}")))
    }
}
