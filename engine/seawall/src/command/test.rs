//! `seawall test`: run the tests that stand in policies.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use seawall_control::{clock, test_line};
use seawall_ruleset::{HostSettings, Purpose, Style, render};

use crate::exit::{Exit, fail, say};
use crate::policy;

/// Run the `test` blocks of root policies.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Root policies
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Tests by how they ended, and whether a policy could not be tested at all.
#[derive(Debug, Default)]
struct Count {
    passed: usize,
    failed: usize,
    unusable: usize,
}

impl Test {
    pub(crate) fn obey(&self) -> Exit {
        let mut count = Count::default();
        for file in &self.files {
            if let Err(exit) = run(file, &mut count) {
                return exit;
            }
        }
        say(format!("{} passed, {} failed", count.passed, count.failed));
        if count.failed + count.unusable > 0 { Exit::Wrong } else { Exit::Fine }
    }
}

fn run(file: &std::path::Path, count: &mut Count) -> Result<(), Exit> {
    let loader = policy::loader(file, HostSettings::default(), clock())
        .map_err(|error| fail(Exit::Ours, error))?;
    let sources = loader.gather_settled();
    let built = loader.build(&sources, Purpose::Check, None);
    if built.rules.is_none() {
        let text = render(&built.diagnostics, &sources, Style::Plain);
        let _unwritten = write!(std::io::stderr(), "{text}");
        count.unusable += 1;
        say(format!("{}: not tested, it has errors", file.display()));
        return Ok(());
    }
    if built.tests.is_empty() {
        say(format!("{}: holds no test", file.display()));
    }
    for test in &built.tests {
        if test.passed {
            count.passed += 1;
        } else {
            count.failed += 1;
            say(test_line(test));
        }
    }
    Ok(())
}
