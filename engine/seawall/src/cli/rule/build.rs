//! `seawall rule build`: builds a component that a server accepts.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use seawall_rulekit::{
    BuildOutputMode, BuildState, Case, Compiler, Language, Project, Script, TARGET, TestRunner,
    assemble, cases_text, read_cases, save,
};

use super::common::kib;
use crate::cli::common::count;
use crate::cli::exit::{ExitStatus, print_err, print_out};

/// Build the rule in the working directory to a component.
#[derive(Debug, Args)]
pub(crate) struct Build {}

impl Build {
    pub(super) fn run(&self) -> Result<ExitStatus> {
        let Self {} = self;
        let folder = std::env::current_dir().context("the working directory does not exist")?;
        let project = Project::open(&folder)?;
        // Read first: an error in a test is reported without waiting for the compiler.
        let cases = read_cases(&folder)?;
        match project.language {
            Language::Rust => rust(&project, &cases)?,
            Language::JavaScript | Language::Python => script(&project, &cases)?,
        }
        Ok(ExitStatus::Success)
    }
}

fn print_compiler_line(line: &str) {
    let _unwritten = writeln!(std::io::stderr(), "{line}");
}

fn rust(project: &Project, cases: &[Case]) -> Result<()> {
    project.check_package()?;
    let folder = &project.folder;
    let compiler = Compiler::find(folder)?;
    let name = &project.name;
    print_err(format!("compiling {name} for {TARGET}, about 10 s the first time"));
    let target = folder.join("target");
    let module =
        compiler.build(folder, name, &target, BuildOutputMode::Aloud(&mut print_compiler_line))?;
    let component = assemble(module, name, &cases_text(folder)?)?;
    test_and_save(project, &component, cases).map(print_out)
}

/// Builds a script, unless its component is built from the same sources already.
fn script(project: &Project, cases: &[Case]) -> Result<()> {
    let script = Script::open(project)?;
    let hash = match script.standing()? {
        BuildState::Current(said) => {
            print_err(format!("{}.wasm is built from these sources already", project.name));
            print_out(said);
            return Ok(());
        }
        BuildState::OutOfDate(hash) => hash,
    };
    let component = script.build(&mut print_compiler_line)?;
    print_err("running the component tests");
    let said = test_and_save(project, &component, cases)?;
    script.note(&hash, &component, &said)?;
    print_out(said);
    Ok(())
}

/// Tests the component, saves it, and returns a report.
fn test_and_save(project: &Project, component: &[u8], cases: &[Case]) -> Result<String> {
    let trial = TestRunner::new(component, cases, |function| project.limits(function))?;
    project.hold_against(&trial.description.functions)?;
    save(&project.component(), component)?;
    report(project, &trial)
}

fn report(project: &Project, trial: &TestRunner) -> Result<String> {
    let description = &trial.description;
    let file = format!("{}.wasm", project.name);
    let cases = trial.cases();
    let mut text =
        format!("{file}: {}, no imports, {}\n", kib(description.bytes), count(cases, "test"));
    for (function, worst) in description.functions.iter().zip(trial.fuel()?) {
        let limits = project.limits(function);
        let fuel = match worst {
            Some(fuel) if fuel > limits.fuel => format!(
                "the tests use up to {fuel} fuel, MORE than the {} in rule.toml: raise it",
                limits.fuel
            ),
            Some(fuel) => format!("the tests use up to {fuel} of {} fuel", limits.fuel),
            None => "no test calls it".to_owned(),
        };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "  {function}: {fuel}");
    }
    text.push_str("declare it in a policy, with the file in `wasm/` beside the policy:");
    let module = Path::new("wasm").join(&file).display().to_string();
    for function in &description.functions {
        text.push('\n');
        text.push_str(&project.limits(function).declaration(function, &module));
    }
    Ok(text)
}
