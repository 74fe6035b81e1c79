//! `seawall check`: what a reload would say, before it is one.

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

use super::common::{Format, PolicyHostArgs};
use super::{diff, history};
use crate::cli::exit::{ExitStatus, fail, print_err, print_out, say_json};
use crate::policy_loader::{self, PolicyHost};

/// Check root policies and all that they reach; failing tests are errors.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Root policies
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    host: PolicyHostArgs,
    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
    /// Hold them against what a running server can do, too
    #[arg(long = "for", value_name = "WHAT")]
    aim: Option<CheckTarget>,
    /// How to print what is found
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Mend in place what can be mended by itself, then check
    #[arg(long)]
    fix: bool,
    /// Say what it would change: against the policy that is `running`, or another FILE
    #[arg(long, value_name = "running|FILE", conflicts_with = "format")]
    against: Option<PathBuf>,
    /// The admin socket of the server that `running` means [default: the configuration's]
    #[arg(long, value_name = "PATH", requires = "against")]
    socket: Option<PathBuf>,
    /// Show what each rule costs, usually and at worst
    #[arg(long, conflicts_with = "format")]
    cost: bool,
}

/// What `--against` takes for the running server.
const RUNNING: &str = "running";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckTarget {
    Run,
}

impl Check {
    pub(crate) fn obey(&self) -> ExitStatus {
        let host = match self.host.load() {
            Ok(host) => host,
            Err(exit) => return exit,
        };
        let mut found = Vec::new();
        let mut wrong = false;
        for file in &self.files {
            let loader = match policy_loader::loader(file, &host, clock()) {
                Ok(loader) => loader,
                Err(error) => return fail(ExitStatus::InternalError, error),
            };
            let purpose =
                if self.aim == Some(CheckTarget::Run) { Purpose::Run } else { Purpose::Check };
            if self.fix {
                // The changes are told beside, so that `--format json` stays one array.
                match fix::mend(file, &loader, purpose) {
                    Ok(changes) => changes.iter().for_each(print_err),
                    Err(why) => return fail(ExitStatus::Failure, why),
                }
            }
            let sources = loader.gather_settled();
            let built = loader.build(&sources, purpose, None);
            wrong |= self.is_wrong(&built);
            match self.format {
                Format::Human => {
                    human(file, &built, &sources);
                    built.rules.iter().filter(|_| self.cost).flat_map(costs).for_each(print_out);
                    if let Err(exit) = self.compare(&loader, &built, &sources, &host) {
                        return exit;
                    }
                }
                Format::Json => found.extend(as_json(file, &built)),
            }
        }
        if self.format == Format::Json {
            say_json(Value::Array(found));
        }
        if wrong { ExitStatus::Failure } else { ExitStatus::Success }
    }

    /// Says what would change if this came after what it is held against.
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
            let why = "it cannot be compared with a policy that is wrong";
            return Err(fail(ExitStatus::Failure, format!("{}: {why}", against.display())));
        };
        let difference = PolicyDiff::between(&old, sources);
        if difference.is_empty() {
            print_out("nothing differs but how it is written");
            return Ok(());
        }
        diff::lines(&difference).iter().for_each(print_out);
        let before = PolicyView { counters: &counters, outline: &old.outline() };
        let after = PolicyView { counters: rules.counter_specs(), outline: rules.outline() };
        foreseen(before, after).lines().iter().for_each(print_out);
        Ok(())
    }

    /// What the running server was made of.
    fn running(&self) -> Result<Sources, ExitStatus> {
        let client = match &self.socket {
            Some(socket) => Client::new(socket),
            None => Client::new(&self.host.config_file().load()?.socket),
        };
        let unreachable = |error| fail(ExitStatus::Unreachable, error);
        let history = client.history().map_err(unreachable)?;
        let newest = history.last().map(|past| client.generation(past.past.generation));
        let Some(now) = newest.transpose().map_err(unreachable)?.flatten() else {
            return Err(fail(ExitStatus::Failure, "the server does not say what it runs"));
        };
        history::sources(&client, &now.past).map_err(unreachable)
    }

    fn is_wrong(&self, built: &BuildResult) -> bool {
        let counts = |d: &Diagnostic| match d.severity {
            Severity::Error => true,
            Severity::Warning => self.strict,
            Severity::Note => false,
        };
        // A server would load it all the same: a member's mistake refuses her part alone.
        let hers = self.strict || self.aim != Some(CheckTarget::Run);
        built.rules.is_none()
            || (hers && !built.members.is_empty())
            || built.diagnostics.iter().any(counts)
            || built.tests.iter().any(|test| !test.passed && (hers || test.member.is_none()))
    }
}

fn human(file: &Path, built: &BuildResult, sources: &Sources) {
    let mut err = std::io::stderr();
    let style = if err.is_terminal() { Style::Colour } else { Style::Plain };
    let everything = built.everything();
    let _unwritten = write!(err, "{}", render(&everything, sources, style));
    let failed: Vec<_> = built.tests.iter().filter(|test| !test.passed).collect();
    failed.iter().for_each(|test| print_err(test_line(test)));
    let count = |severity| everything.iter().filter(|d| d.severity == severity).count();
    let counters = built.rules.as_ref().map_or(String::new(), |rules| {
        format!(", counters take {}", bytes_text(rules.counter_bytes()))
    });
    print_out(format!(
        "{}: {} errors, {} warnings, {} of {} tests fail{counters}",
        file.display(),
        count(Severity::Error),
        count(Severity::Warning),
        failed.len(),
        built.tests.len(),
    ));
    if let (Some(_), false) = (&built.rules, built.members.is_empty()) {
        let names: Vec<&str> = built.members.iter().map(|member| &*member.name).collect();
        print_out(format!("  a server would load it without the files of: {}", names.join(", ")));
    }
}

/// A line for each rule and limit, and one for what all may take.
fn costs(rules: &RuleSet) -> Vec<String> {
    let line = |CostLine { name, class, ns, fuel_max }: CostLine| {
        format!("  {class:<7} {ns:>5} ns  {fuel_max:>9} fuel at worst  {name}")
    };
    let fuel = rules.fuel();
    let all = format!(
        "  one request may take {} fuel of the host's rules, and {} of a member's",
        fuel.decision, fuel.member
    );
    rules.costs().into_iter().map(line).chain([all]).collect()
}

/// What is found, with paths as seen from where the command was typed.
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
