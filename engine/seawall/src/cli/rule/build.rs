//! `seawall rule build`: from source to a component that a server would take.

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
use crate::cli::exit::{ExitStatus, print_err, print_out};

/// Build the rule of this folder to a component.
#[derive(Debug, Args)]
pub(crate) struct Build {}

impl Build {
    pub(super) fn run(&self) -> Result<ExitStatus> {
        let Self {} = self;
        let folder = std::env::current_dir().context("the current folder is gone")?;
        let project = Project::open(&folder)?;
        // Read first: a mistake in a case need not wait for the compiler.
        let cases = read_cases(&folder)?;
        match project.language {
            Language::Rust => rust(&project, &cases)?,
            Language::JavaScript | Language::Python => script(&project, &cases)?,
        }
        Ok(ExitStatus::Success)
    }
}

fn hand_on(line: &str) {
    let _unwritten = writeln!(std::io::stderr(), "{line}");
}

fn rust(project: &Project, cases: &[Case]) -> Result<()> {
    project.check_package()?;
    let folder = &project.folder;
    let compiler = Compiler::find(folder)?;
    let name = &project.name;
    print_err(format!("compiling {name} for {TARGET}, about 10 s the first time"));
    let target = folder.join("target");
    let module = compiler.build(folder, name, &target, BuildOutputMode::Aloud(&mut hand_on))?;
    let component = assemble(module, name, &cases_text(folder)?)?;
    keep(project, &component, cases).map(print_out)
}

/// A build takes long, so it is done once for the same sources.
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
    let component = script.build(&mut hand_on)?;
    print_err("trying it in the sandbox");
    let said = keep(project, &component, cases)?;
    script.note(&hash, &component, &said)?;
    print_out(said);
    Ok(())
}

/// Tries the component, puts it into its place, and says what it is.
fn keep(project: &Project, component: &[u8], cases: &[Case]) -> Result<String> {
    let trial = TestRunner::new(component, cases, |function| project.limits(function))?;
    project.hold_against(&trial.description.functions)?;
    save(&project.component(), component)?;
    report(project, &trial)
}

fn report(project: &Project, trial: &TestRunner) -> Result<String> {
    let told = &trial.description;
    let file = format!("{}.wasm", project.name);
    let cases = trial.cases();
    let mut text = format!("{file}: {}, imports nothing, {cases} cases inside\n", kib(told.bytes));
    for (function, worst) in told.functions.iter().zip(trial.fuel()?) {
        let limits = project.limits(function);
        let fuel = match worst {
            Some(fuel) if fuel > limits.fuel => format!(
                "the cases take up to {fuel} fuel, MORE than the {} of rule.toml: raise it",
                limits.fuel
            ),
            Some(fuel) => format!("the cases take up to {fuel} of {} fuel", limits.fuel),
            None => "no case of it is answered".to_owned(),
        };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "  {function}: {fuel}");
    }
    text.push_str("in a policy, with the file in `wasm/` beside it:");
    let module = Path::new("wasm").join(&file).display().to_string();
    for function in &told.functions {
        text.push('\n');
        text.push_str(&project.limits(function).declaration(function, &module));
    }
    Ok(text)
}
