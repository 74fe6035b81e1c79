//! `seawall test`: runs the tests in policy files.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use seawall_control::{clock, test_line};
use seawall_model::RuleId;
use seawall_ruleset::{Diagnostic, MemberState, Purpose, RuleSet, Style, TEST_FAILED, render};
use seawall_state::DecisionCounters;

use super::common::PolicyHostArgs;
use crate::cli::exit::{ExitStatus, fail, print_out};
use crate::policy_loader::{self, PolicyHost};

/// Run the tests in policy files.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Root policy files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    host: PolicyHostArgs,
    /// Show the number of test requests that each rule has applied to
    #[arg(long)]
    coverage: bool,
}

/// Tests by result, and policies that cannot be tested.
#[derive(Debug, Default)]
struct Count {
    passed: usize,
    failed: usize,
    unusable: usize,
}

impl Test {
    pub(crate) fn run(&self) -> ExitStatus {
        let host = match self.host.load() {
            Ok(host) => host,
            Err(exit) => return exit,
        };
        let mut count = Count::default();
        for file in &self.files {
            if let Err(exit) = self.run_file(file, &host, &mut count) {
                return exit;
            }
        }
        print_out(format!("{} passed, {} failed", count.passed, count.failed));
        if count.failed + count.unusable > 0 { ExitStatus::Failure } else { ExitStatus::Success }
    }

    fn run_file(
        &self,
        file: &Path,
        host: &PolicyHost,
        count: &mut Count,
    ) -> Result<(), ExitStatus> {
        let loader = policy_loader::loader(file, host, clock())
            .map_err(|error| fail(ExitStatus::InternalError, error))?;
        let sources = loader.gather_settled();
        let built = loader.build(&sources, Purpose::Check, None);
        let is_wrong = |said: &Diagnostic| said.code != TEST_FAILED;
        let untested: Vec<&MemberState> =
            built.members.iter().filter(|member| member.diagnostics.iter().any(is_wrong)).collect();
        if built.rules.is_none() || !untested.is_empty() {
            let text = render(&built.everything(), &sources, Style::Plain);
            let _unwritten = write!(std::io::stderr(), "{text}");
            count.unusable += 1;
        }
        for member in &untested {
            let file = file.display();
            print_out(format!(
                "{file}: the files of member {} have errors and are not tested",
                member.name
            ));
        }
        let Some(rules) = &built.rules else {
            print_out(format!("{}: not tested: the policy has errors", file.display()));
            return Ok(());
        };
        if built.tests.is_empty() {
            print_out(format!("{}: no tests", file.display()));
        }
        for test in &built.tests {
            if test.passed {
                count.passed += 1;
            } else {
                count.failed += 1;
                print_out(test_line(test));
            }
        }
        if self.coverage {
            coverage(rules).iter().for_each(print_out);
        }
        Ok(())
    }
}

/// One line for each rule with the number of requests it applied to, and one with uncovered rules.
fn coverage(rules: &RuleSet) -> Vec<String> {
    let names = rules.rule_names();
    let tally = DecisionCounters::new(names.len());
    let _known = rules.run_tests_observed(&tally);
    let hits = |at: usize| {
        let rule = RuleId(u32::try_from(at).unwrap_or(u32::MAX));
        // A shadow rule is covered where it would have acted.
        tally.hits(rule).saturating_add(tally.shadows(rule))
    };
    let wide = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut lines: Vec<String> = Vec::with_capacity(names.len().saturating_add(1));
    lines.extend(names.iter().enumerate().map(|(at, name)| format!("{name:<wide$}  {}", hits(at))));
    let never = names.iter().enumerate().filter(|(at, _)| hits(*at) == 0);
    let never: Vec<&str> = never.map(|(_, name)| &**name).collect();
    lines.push(match never.len() {
        0 => format!("all {} rules applied in a test", names.len()),
        n => format!("{n} of {} rules never applied: {}", names.len(), never.join(", ")),
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"policy 1
floor {
  rule a { when path == "/a" then block }
  shadow rule b { when path starts_with "/b" then block }
  rule c { when path == "/c" then block }
}
test "one" {
  request GET "http://x.example/a" times 3
  expect block by floor.a
  request GET "http://x.example/b"
  expect pass
}
"#;

    #[test]
    fn coverage_counts_requests_and_names_uncovered_rules() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wall");
        std::fs::write(&file, POLICY).unwrap();
        let loader = policy_loader::loader(&file, &PolicyHost::default(), clock()).unwrap();
        let built = loader.build(&loader.gather_settled(), Purpose::Check, None);
        assert_eq!(
            coverage(&built.rules.unwrap()),
            ["floor.a  3", "floor.b  1", "floor.c  0", "1 of 3 rules never applied: floor.c"]
        );
        for coverage in [false, true] {
            let host = PolicyHostArgs { config: None };
            let test = Test { files: vec![file.clone()], host, coverage };
            assert_eq!(test.run(), ExitStatus::Success);
        }
        std::fs::write(&file, POLICY.replace("expect pass", "expect drop")).unwrap();
        assert_eq!(
            Test { files: vec![file], host: PolicyHostArgs { config: None }, coverage: true }.run(),
            ExitStatus::Failure
        );
    }
}
