//! `seawall rule inspect`: what a component is, before anybody lets it in. It is not run.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use seawall_rulekit::{Description, describe, fitness, parse_cases, sha256};
use serde_json::{Value, json};

use super::common::kib;
use crate::cli::exit::{ExitStatus, fail, print_json, print_out};

/// Say what a component exports, imports and asks for; fails where no server would take it.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Print it for tools
    #[arg(long)]
    json: bool,
}

/// What is known of a file: what it says of itself, if it can be read, and why it is refused, if it
/// is.
struct Seen {
    told: Option<Description>,
    cases: Vec<String>,
    refused: Option<String>,
}

impl Inspect {
    pub(super) fn run(&self) -> Result<ExitStatus> {
        let wasm = super::common::read(&self.file)?;
        let seen = look(&wasm);
        if self.json {
            print_json(as_json(&wasm, &seen));
        } else {
            human(&seen).iter().for_each(print_out);
        }
        let Some(why) = seen.refused else { return Ok(ExitStatus::Success) };
        Ok(fail(ExitStatus::Failure, format!("{}: {why}", self.file.display())))
    }
}

fn look(wasm: &[u8]) -> Seen {
    let told = match describe(wasm) {
        Ok(told) => told,
        Err(why) => {
            return Seen { told: None, cases: Vec::new(), refused: Some(format!("{why:#}")) };
        }
    };
    let unfit = fitness(wasm).err().map(|why| why.to_string());
    match parse_cases("its cases", &told.cases) {
        Ok(cases) => {
            let cases = cases.into_iter().map(|case| case.name).collect();
            Seen { told: Some(told), cases, refused: unfit }
        }
        Err(why) => {
            let refused = Some(unfit.unwrap_or_else(|| format!("{why:#}")));
            Seen { told: Some(told), cases: Vec::new(), refused }
        }
    }
}

fn human(seen: &Seen) -> Vec<String> {
    let Some(told) = &seen.told else { return Vec::new() };
    let most = told
        .memory_bytes_max
        .map_or("no bound of its own".to_owned(), |most| format!("at most {} KiB", most >> 10));
    let mut lines = vec![
        format!("size     {}", kib(told.bytes)),
        format!("sha256   {}", told.sha256),
        format!("memory   begins with {} KiB, {most}", told.memory_bytes >> 10),
    ];
    let imports =
        if told.imports.is_empty() { "nothing".to_owned() } else { told.imports.join(", ") };
    lines.push(format!("imports  {}", imports.escape_debug()));
    lines.extend(told.functions.iter().map(|function| format!("exports  {function}")));
    lines.push(format!("cases    {}", seen.cases.len()));
    lines.extend(seen.cases.iter().map(|name| format!("         {}", name.escape_debug())));
    lines
}

fn as_json(wasm: &[u8], seen: &Seen) -> Value {
    let told = seen.told.as_ref();
    let functions = told.map(|told| {
        let function = |f: &seawall_rulekit::Function| {
            let param = |(name, kind): &(String, seawall_rulekit::Kind)| {
                json!({ "name": name, "type": kind.word() })
            };
            let params: Vec<Value> = f.params.iter().map(param).collect();
            json!({ "name": f.name(), "export": f.export, "params": params, "result": f.result.word() })
        };
        told.functions.iter().map(function).collect::<Vec<_>>()
    });
    json!({
        "bytes": wasm.len(),
        "sha256": sha256(wasm),
        "memory_bytes": told.map(|told| told.memory_bytes),
        "memory_bytes_max": told.and_then(|told| told.memory_bytes_max),
        "imports": told.map(|told| &told.imports),
        "functions": functions,
        "cases": seen.cases,
        "refused": seen.refused,
    })
}
