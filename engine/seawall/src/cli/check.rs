//! `seawall check`: reports what a reload would report, without a reload.

mod fix;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use seawall_control::{
    BuildResult, Client, PolicyLoader, PolicyView, TEST_CODE, clock, foreseen, test_line,
};
use seawall_ruleset::{
    CostLine, Diagnostic, Fix, PolicyDiff, Purpose, RuleSet, Severity, Sources, Style, bytes_text,
    render,
};
use serde_json::{Value, json};

use super::common::{PolicyHostArgs, count};
use super::{diff, history};
use crate::cli::exit::{ExitStatus, fail, print_err, print_json, print_out};
use crate::policy_loader::{self, PolicyHost};

/// Check policies and report errors and warnings.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Root policy files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    host: PolicyHostArgs,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    /// Report what this target lacks, too
    ///
    /// Without it, what no server of this version supports is a note; with it, an error.
    #[arg(long, value_name = "TARGET")]
    target: Option<CheckTarget>,
    /// Print errors, warnings and notes as JSON
    #[arg(long)]
    json: bool,
    /// Apply the suggested fixes to the files, then check them
    #[arg(long)]
    fix: bool,
    /// Show the changes from the policy that is `running`, or from FILE
    #[arg(long, value_name = "running|FILE", conflicts_with = "json")]
    against: Option<PathBuf>,
    /// Connect to PATH for `running` [default: the configured socket]
    #[arg(long, value_name = "PATH", requires = "against")]
    socket: Option<PathBuf>,
    /// Show the usual time and the highest fuel of each rule
    #[arg(long, conflicts_with = "json")]
    cost: bool,
}

/// The value of `--against` for the policy of the running server.
const RUNNING: &str = "running";

/// What a policy is checked for besides the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckTarget {
    /// A running server of this version.
    Server,
}

impl Check {
    pub(crate) fn run(&self) -> ExitStatus {
        let host = match self.host.load() {
            Ok(host) => host,
            Err(exit) => return exit,
        };
        let mut diagnostics = Vec::new();
        let mut is_wrong = false;
        for file in &self.files {
            match self.check_file(file, &host, &mut diagnostics) {
                Ok(wrong) => is_wrong |= wrong,
                Err(exit) => return exit,
            }
        }
        if self.json {
            print_json(Value::Array(diagnostics));
        }
        if is_wrong { ExitStatus::Failure } else { ExitStatus::Success }
    }

    /// Checks one root policy, prints the result or adds it to `diagnostics`, and returns whether
    /// the check failed.
    fn check_file(
        &self,
        file: &Path,
        host: &PolicyHost,
        diagnostics: &mut Vec<Value>,
    ) -> Result<bool, ExitStatus> {
        let loader = policy_loader::loader(file, host, clock())
            .map_err(|error| fail(ExitStatus::InternalError, error))?;
        let purpose = match self.target {
            Some(CheckTarget::Server) => Purpose::Run,
            None => Purpose::Check,
        };
        if self.fix {
            // On standard error, so that standard output stays one JSON array.
            let changes = fix::apply_fixes(file, &loader, purpose)
                .map_err(|why| fail(ExitStatus::Failure, why))?;
            changes.iter().for_each(print_err);
        }
        let sources = loader.gather_settled();
        let built = loader.build(&sources, purpose, None);
        if self.json {
            diagnostics.extend(as_json(file, &built));
        } else {
            print_report(file, &built, &sources);
            built.rules.iter().filter(|_| self.cost).flat_map(cost_lines).for_each(print_out);
            self.compare(&loader, &built, &sources, host)?;
        }
        Ok(self.is_wrong(&built))
    }

    /// Prints the changes from the policy of `--against`.
    fn compare(
        &self,
        loader: &PolicyLoader,
        built: &BuildResult,
        sources: &Sources,
        host: &PolicyHost,
    ) -> Result<(), ExitStatus> {
        let (Some(against), Some(rules)) = (&self.against, &built.rules) else { return Ok(()) };
        let old = if against.as_os_str() == RUNNING {
            self.running()?
        } else {
            let other = policy_loader::loader(against, host, clock());
            other.map_err(|error| fail(ExitStatus::InternalError, error))?.gather_settled()
        };
        let Some(counters) = loader.counter_specs(&old) else {
            let why = "cannot compare: the policy has errors";
            return Err(fail(ExitStatus::Failure, format!("{}: {why}", against.display())));
        };
        let difference = PolicyDiff::between(&old, sources);
        if difference.is_empty() {
            print_out("no differences apart from formatting");
            return Ok(());
        }
        diff::lines(&difference).iter().for_each(print_out);
        let before = PolicyView { counters: &counters, outline: &old.outline() };
        let after = PolicyView { counters: rules.counter_specs(), outline: rules.outline() };
        foreseen(before, after).lines().iter().for_each(print_out);
        Ok(())
    }

    /// The files of the active generation of the running server.
    fn running(&self) -> Result<Sources, ExitStatus> {
        let client = match &self.socket {
            Some(socket) => Client::new(socket),
            None => Client::new(&self.host.config_file().load()?.socket),
        };
        let unreachable = |error| fail(ExitStatus::Unreachable, error);
        let history = client.history().map_err(unreachable)?;
        let newest = history.last().map(|past| client.generation(past.past.generation));
        let Some(now) = newest.transpose().map_err(unreachable)?.flatten() else {
            return Err(fail(
                ExitStatus::Failure,
                "the server does not name its active generation",
            ));
        };
        history::sources(&client, &now.past).map_err(unreachable)
    }

    fn is_wrong(&self, built: &BuildResult) -> bool {
        let counts = |d: &Diagnostic| match d.severity {
            Severity::Error => true,
            Severity::Warning => self.strict,
            Severity::Note => false,
        };
        // A server loads the policy anyway: an error of a member rejects the member's files only.
        let members = self.strict || self.target != Some(CheckTarget::Server);
        built.rules.is_none()
            || (members && !built.members.is_empty())
            || built.diagnostics.iter().any(counts)
            || built.tests.iter().any(|test| !test.passed && (members || test.member.is_none()))
    }
}

/// Prints the diagnostics, the failed tests and a summary.
fn print_report(file: &Path, built: &BuildResult, sources: &Sources) {
    let mut err = std::io::stderr();
    let style = if err.is_terminal() { Style::Colour } else { Style::Plain };
    let everything = built.everything();
    let _unwritten = write!(err, "{}", render(&everything, sources, style));
    let failed: Vec<_> = built.tests.iter().filter(|test| !test.passed).collect();
    failed.iter().for_each(|test| print_err(test_line(test)));
    let number =
        |severity, noun| count(everything.iter().filter(|d| d.severity == severity).count(), noun);
    let counters = built.rules.as_ref().map_or(String::new(), |rules| {
        format!(", counters take {}", bytes_text(rules.counter_bytes()))
    });
    print_out(format!(
        "{}: {}, {}, {} of {} failed{counters}",
        file.display(),
        number(Severity::Error, "error"),
        number(Severity::Warning, "warning"),
        failed.len(),
        count(built.tests.len(), "test"),
    ));
    if let (Some(_), false) = (&built.rules, built.members.is_empty()) {
        let names: Vec<&str> = built.members.iter().map(|member| &*member.name).collect();
        print_out(format!("  a server would load it without the files of {}", names.join(", ")));
    }
}

/// A line for each rule and limit, and one with the limits of all.
fn cost_lines(rules: &RuleSet) -> Vec<String> {
    let line = |CostLine { name, class, ns, fuel_max }: CostLine| {
        format!("  {class:<7} {ns:>5} ns  {fuel_max:>9} fuel at worst  {name}")
    };
    let fuel = rules.fuel();
    let all = format!(
        "  limits of one request: {} fuel for the operator's rules, {} for the rules of a member",
        fuel.decision, fuel.member
    );
    rules.costs().into_iter().map(line).chain([all]).collect()
}

/// The diagnostics and failed tests, with paths relative to the working directory.
fn as_json(file: &Path, built: &BuildResult) -> Vec<Value> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut found: Vec<Value> = built
        .everything()
        .iter()
        .map(|d| {
            json!({
                "code": d.code,
                "severity": d.severity.word(),
                "file": folder.join(&*d.file),
                "line": d.line,
                "column": d.column,
                "end_line": d.end_line,
                "end_column": d.end_column,
                "message": d.message,
                "help": d.help,
                "fixes": d.fixes.iter().map(fix).collect::<Vec<_>>(),
            })
        })
        .collect();
    for test in built.tests.iter().filter(|test| !test.passed) {
        found.push(json!({
            "code": TEST_CODE,
            "severity": Severity::Error.word(),
            "file": folder.join(&*test.file),
            "line": test.line,
            "column": test.column,
            "end_line": test.line,
            "end_column": test.column,
            "message": format!("test `{}` fails: {}", test.name, test.says),
            "help": null,
            "fixes": [],
        }));
    }
    found
}

fn fix(of: &Fix) -> Value {
    json!({
        "line": of.line,
        "column": of.column,
        "end_line": of.end_line,
        "end_column": of.end_column,
        "replacement": of.replacement,
    })
}
