//! JavaScript and TypeScript: bundled by esbuild, built by componentize-qjs.

use super::project::{Script, installed, note_installed, version};
use crate::describe::{Function, Kind};
use crate::rust_toolchain::{BuildOutputMode, NO_COMPILE, run};
use crate::scaffold::camel;
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// The script that runs both builders.
const DRIVER: &str = include_str!("build.mjs");

/// Lowest version of Node.js for both.
const NODE_MAJOR_MIN: u32 = 18;

/// The files with the pinned packages.
const LISTS: [&str; 2] = ["package.json", "package-lock.json"];

pub(super) fn build(script: &Script<'_>, say: &mut dyn FnMut(&str)) -> Result<()> {
    let folder = &script.folder;
    let source = source(folder)?;
    let sdk = script.project.sdk.display().to_string();
    script.write("entry.js", &entry(&script.functions, source, &sdk))?;
    script.write("build.mjs", DRIVER)?;
    find_node()?;
    install(folder, say)?;
    say(&format!("seawall: building {source}"));
    let mut node = Command::new("node");
    node.arg("target/build.mjs").current_dir(folder);
    run(&mut node, BuildOutputMode::Aloud(say), NO_COMPILE)
}

/// Returns the source file of the rule.
fn source(folder: &Path) -> Result<&'static str> {
    match (folder.join("rule.js").is_file(), folder.join("rule.ts").is_file()) {
        (true, false) => Ok("rule.js"),
        (false, true) => Ok("rule.ts"),
        (true, true) => bail!("both rule.js and rule.ts exist: keep one of them"),
        (false, false) => {
            bail!(
                "there is no rule.js and no rule.ts in this folder: one of them must contain the \
                rule"
            )
        }
    }
}

fn find_node() -> Result<()> {
    let node = version("node").is_some_and(|(major, _)| major >= NODE_MAJOR_MIN);
    if node && version("npm").is_some() {
        return Ok(());
    }
    bail!(
        "Node.js {NODE_MAJOR_MIN} or later with npm is missing: install it from \
         https://nodejs.org, or on Debian with `apt-get install nodejs npm`. The builders \
         (componentize-qjs and esbuild, 50 MB) are then installed in node_modules/ of this folder"
    )
}

/// Installs the packages in the rule's folder, unless they are present.
fn install(folder: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
    let place = folder.join("node_modules");
    let Some(hash) = installed(&place, folder, &LISTS)? else { return Ok(()) };
    let pinned = folder.join("package-lock.json").is_file();
    say("seawall: installing the packages of package.json in node_modules/, 50 MB the first time");
    let mut npm = Command::new("npm");
    npm.arg(if pinned { "ci" } else { "install" });
    // Only the builders run, and only at a build; no install script of a package does.
    npm.args(["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(folder);
    run(
        &mut npm,
        BuildOutputMode::Aloud(say),
        "npm could not install the packages: see its output above",
    )
    .context("package.json must list the packages that build the rule")?;
    // Without a previous list of exact versions, the installation has written one.
    let hash = if pinned { hash } else { installed(&place, folder, &LISTS)?.unwrap_or(hash) };
    note_installed(&place, &hash)
}

/// Returns the code between the rule's functions and those of the component.
fn entry(functions: &[Function], source: &str, sdk: &str) -> String {
    let mut text = format!(
        "// Written by `seawall rule build` from rule.toml.\nimport \"../{sdk}/guard.js\";\nimport {{ \
         given, taken }} from \"../{sdk}/glue.js\";\n"
    );
    for (n, function) in functions.iter().enumerate() {
        let name = camel(&function.export);
        let names: Vec<String> = (0..function.params.len()).map(|n| format!("a{n}")).collect();
        let args: Vec<String> = function
            .params
            .iter()
            .zip(&names)
            .map(|((_, kind), name)| format!("taken.{}({name})", word(*kind)))
            .collect();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "import {{ {name} as rule{n} }} from \"../{source}\";\nexport function {name}({}) {{\n  \
             return given.{}(rule{n}({}));\n}}\n",
            names.join(", "),
            word(function.result),
            args.join(", ")
        );
    }
    text
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        // `rule.toml` cannot declare the last two.
        Kind::Bytes | Kind::Foreign => Kind::Text.word(),
        kind => kind.word(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_converts_what_crosses() {
        let params = vec![("ua".to_owned(), Kind::Text), ("all".to_owned(), Kind::Headers)];
        let odd = Function { export: "header-oddness".into(), params, result: Kind::Int };
        let text = entry(&[odd], "rule.ts", "sdk");
        let guard = text.find("import \"../sdk/guard.js\"").unwrap();
        let rule = text.find("import { headerOddness as rule0 } from \"../rule.ts\"").unwrap();
        assert!(guard < rule, "chance and the clock are gone before the rule begins");
        assert!(text.contains(
            "export function headerOddness(a0, a1) {\n  return given.int(rule0(taken.string(a0), \
             taken.headers(a1)));\n}"
        ));
    }

    #[test]
    fn the_rule_is_one_file_of_two_names() {
        let folder = tempfile::tempdir().unwrap();
        let error = source(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no rule.js and no rule.ts"), "{error}");
        std::fs::write(folder.path().join("rule.ts"), "").unwrap();
        assert_eq!(source(folder.path()).unwrap(), "rule.ts");
        std::fs::write(folder.path().join("rule.js"), "").unwrap();
        let error = source(folder.path()).unwrap_err().to_string();
        assert!(error.contains("keep one of them"), "{error}");
    }
}
