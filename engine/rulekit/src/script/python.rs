//! Python: built by componentize-py, with CPython inside.

use super::project::{RAW, Script, WORLD, installed, note_installed, version};
use crate::describe::{Function, Kind};
use crate::rust_toolchain::{BuildOutputMode, NO_COMPILE, run};
use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Lowest version for the builder. The rule itself runs on the included version.
const PYTHON_MIN: (u32, u32) = (3, 10);

/// The file with the pinned packages.
const LISTS: [&str; 1] = ["requirements.txt"];

/// The main module for the builder, in `target/python`.
const ENTRY: &str = "seawall_entry";

pub(super) fn build(script: &Script<'_>, say: &mut dyn FnMut(&str)) -> Result<()> {
    let folder = &script.folder;
    ensure!(
        folder.join("rule.py").is_file(),
        "there is no rule.py in this folder: it must contain \
        the rule"
    );
    script.write(&format!("python/{ENTRY}.py"), &entry(&script.functions))?;
    find_python()?;
    install(folder, say)?;
    say("seawall: building rule.py, about 10 s");
    let mut lines = Vec::new();
    let built = run(
        &mut command(script),
        BuildOutputMode::Aloud(&mut |line: &str| lines.push(line.to_owned())),
        NO_COMPILE,
    );
    if built.is_err() {
        complaint(&lines).iter().for_each(|line| say(line));
    }
    built
}

fn command(script: &Script<'_>) -> Command {
    let folder = &script.folder;
    let mut command = Command::new(folder.join(".venv/bin/componentize-py"));
    command.args(["--quiet", "--wit-path", "target/wit", "--world", WORLD, "componentize"]);
    // Paths in messages are relative to the first folder.
    command.args(["--stub-wasi", "--python-path", "."]);
    if !script.project.sdk.as_os_str().is_empty() {
        command.arg("--python-path").arg(&script.project.sdk);
    }
    command.args(["--python-path", "target/python", ENTRY]);
    command.arg("--output").arg(Path::new("target").join(RAW));
    command.env("VIRTUAL_ENV", folder.join(".venv")).env_remove("PYTHONPATH").current_dir(folder);
    command
}

/// Returns the part of the builder's output that concerns the rule, because the builder wraps it in
/// an error of its own.
fn complaint(lines: &[String]) -> Vec<String> {
    const OPENS: &str = "AssertionError: ";
    let Some(first) = lines.iter().position(|line| line.starts_with(OPENS)) else {
        return lines.to_vec();
    };
    lines
        .iter()
        .skip(first)
        .take_while(|line| !line.starts_with("Caused by:") && !line.starts_with("Stack backtrace:"))
        .filter(|line| !line.is_empty())
        .map(|line| line.strip_prefix(OPENS).unwrap_or(line).replace("File \"/0/", "File \""))
        .collect()
}

fn find_python() -> Result<()> {
    if version("python3").is_some_and(|found| found >= PYTHON_MIN) {
        return Ok(());
    }
    let (major, minor) = PYTHON_MIN;
    bail!(
        "Python {major}.{minor} or later is missing: install it from https://python.org, or on \
         Debian with `apt-get install python3 python3-venv`. The builder (componentize-py, 70 MB) \
         is then installed in .venv/ of this folder"
    )
}

/// Installs the packages in the rule's folder, unless they are present.
fn install(folder: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
    let place = folder.join(".venv");
    let Some(hash) = installed(&place, folder, &LISTS)? else { return Ok(()) };
    ensure!(
        folder.join("requirements.txt").is_file(),
        "there is no requirements.txt in this folder: it must list the builder, \
         `componentize-py==0.25.1`"
    );
    say("seawall: installing the packages of requirements.txt in .venv/, 70 MB the first time");
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear", ".venv"]).current_dir(folder);
    run(
        &mut venv,
        BuildOutputMode::Aloud(say),
        "python3 could not create .venv: see its output above",
    )
    .context("on Debian, run `apt-get install python3-venv`")?;
    let mut pip = Command::new(place.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    pip.args(["--requirement", "requirements.txt"]).current_dir(folder);
    run(
        &mut pip,
        BuildOutputMode::Aloud(say),
        "pip could not install the packages: see its output above",
    )
    .context("requirements.txt must list the packages that build the rule")?;
    note_installed(&place, &hash)
}

/// Returns the code between the rule's functions and those of the component.
fn entry(functions: &[Function]) -> String {
    let mut text =
        "# Written by `seawall rule build` from rule.toml.\nfrom seawall_rule import _guard\n\n\
                    _guard.install()\n\nimport rule\nfrom seawall_rule import _glue\n\n"
            .to_owned();
    let mut class = "\n\nclass WitWorld:\n".to_owned();
    for (n, function) in functions.iter().enumerate() {
        let name = function.name();
        let names: Vec<String> = (0..function.params.len()).map(|n| format!("a{n}")).collect();
        let args: Vec<String> = function
            .params
            .iter()
            .zip(&names)
            .map(|((_, kind), name)| taken(*kind, name))
            .collect();
        let params: String = names.iter().map(|name| format!(", {name}")).collect();
        let given = match function.result {
            Kind::Bool => "give_bool",
            Kind::Int => "give_int",
            _ => "give_string",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "_rule{n} = _glue.function(rule, \"{name}\")");
        let _ = writeln!(
            class,
            "    def {name}(self{params}):\n        return _glue.{given}(_rule{n}({}))\n",
            args.join(", ")
        );
    }
    text + &class
}

/// Returns the expression that converts an argument. Other types need no conversion.
fn taken(kind: Kind, name: &str) -> String {
    match kind {
        Kind::Address => format!("_glue.take_ip({name})"),
        Kind::Headers => format!("_glue.take_headers({name})"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_converts_what_crosses() {
        let params = vec![("ua".to_owned(), Kind::Text), ("all".to_owned(), Kind::Headers)];
        let odd = Function { export: "header-oddness".into(), params, result: Kind::Int };
        let text = entry(&[odd]);
        let guard = text.find("_guard.install()").unwrap();
        assert!(guard < text.find("import rule").unwrap(), "{text}");
        assert!(text.contains(
            "    def header_oddness(self, a0, a1):\n        return _glue.give_int(_rule0(a0, \
             _glue.take_headers(a1)))\n"
        ));
    }

    #[test]
    fn of_a_complaint_the_rules_part_is_shown() {
        let said = "Traceback (most recent call last):\n  File \"/x/.venv/bin/componentize-py\", line 8\n\
                    AssertionError:   File \"/0/rule.py\", line 4\n    x = 1 +;\n           ^\n\
                    SyntaxError: invalid syntax\n\n\nCaused by:\n    SyntaxError\n\nStack backtrace:\n  0: x";
        let lines: Vec<String> = said.lines().map(ToOwned::to_owned).collect();
        assert_eq!(
            complaint(&lines),
            [
                "  File \"rule.py\", line 4",
                "    x = 1 +;",
                "           ^",
                "SyntaxError: invalid syntax"
            ]
        );
        let other = vec!["no such option".to_owned()];
        assert_eq!(complaint(&other), other);
    }
}
