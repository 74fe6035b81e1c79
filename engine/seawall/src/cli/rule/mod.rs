//! `seawall rule`: from nothing to a rule that a policy can declare.

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

use crate::cli::exit::{ExitStatus, fail};

/// Begin, build, try and look at rules in WebAssembly.
#[derive(Debug, Subcommand)]
pub(crate) enum Rule {
    /// Begin a rule in a folder of its own
    New(new::New),
    /// Build the rule of this folder to a component
    Build(build::Build),
    /// Ask the built rule all of its cases, in every order that could show a memory
    Test(test::Test),
    /// Say what a component exports, imports and asks for
    Inspect(inspect::Inspect),
    /// Measure what a call of the built rule costs
    Bench(bench::Bench),
    /// Let a rule of the running server back out of quarantine
    Enable(enable::Enable),
    /// Make a pair of keys to sign rules with
    Key(keygen::Key),
    /// Sign a component
    Sign(sign::Sign),
    /// Say who vouches for a component
    Verify(verify::Verify),
}

impl Rule {
    pub(crate) fn run(&self) -> ExitStatus {
        let done = match self {
            Self::New(new) => new.run(),
            Self::Build(build) => build.run(),
            Self::Test(test) => test.run(),
            Self::Inspect(inspect) => inspect.run(),
            Self::Bench(bench) => bench.run(),
            Self::Enable(enable) => enable.run(),
            Self::Key(key) => key.run(),
            Self::Sign(sign) => sign.run(),
            Self::Verify(verify) => verify.run(),
        };
        done.unwrap_or_else(|error| fail(ExitStatus::Failure, format!("{error:#}")))
    }
}
