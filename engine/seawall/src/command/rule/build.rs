//! `seawall rule build`: from source to a component that a server would take.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use seawall_rulekit::{
    Compiler, Project, TARGET, Talk, Trial, assemble, cases_text, read_cases, save,
};

use super::kib;
use crate::exit::{Exit, say, tell};

/// Build the rule of this folder to a component.
#[derive(Debug, Args)]
pub(crate) struct Build {}

impl Build {
    pub(super) fn run(&self) -> Result<Exit> {
        let Self {} = self;
        let folder = std::env::current_dir().context("the current folder is gone")?;
        let project = Project::open(&folder)?;
        project.check_package()?;
        // Read first: a mistake in a case need not wait for the compiler.
        let cases = read_cases(&folder)?;
        let compiler = Compiler::find(&folder)?;
        let name = &project.name;
        tell(format!("compiling {name} for {TARGET}, about 10 s the first time"));
        let mut hand_on = |line: &str| {
            let _unwritten = writeln!(std::io::stderr(), "{line}");
        };
        let target = folder.join("target");
        let module = compiler.build(&folder, name, &target, Talk::Aloud(&mut hand_on))?;
        let component = assemble(module, name, &cases_text(&folder)?)?;
        let trial = Trial::new(&component, &cases, |function| project.limits(function))?;
        project.hold_against(&trial.description.functions)?;
        save(&project.component(), &component)?;
        report(&project, &trial)?;
        Ok(Exit::Fine)
    }
}

fn report(project: &Project, trial: &Trial) -> Result<()> {
    let told = &trial.description;
    let file = format!("{}.wasm", project.name);
    let cases = trial.cases();
    say(format!("{file}: {}, imports nothing, {cases} cases inside", kib(told.bytes)));
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
        say(format!("  {function}: {fuel}"));
    }
    say("in a policy, with the file in `wasm/` beside it:");
    let module = Path::new("wasm").join(&file).display().to_string();
    for function in &told.functions {
        say(project.limits(function).declaration(function, &module));
    }
    Ok(())
}
