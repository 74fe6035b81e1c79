//! `seawall rule inspect`: describes a component without running it.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use seawall_rulekit::{Description, describe, fitness, parse_cases, sha256};
use serde_json::{Value, json};

use super::common::kib;
use crate::cli::exit::{ExitStatus, fail, print_json, print_out};

/// Show the exports, imports, memory and tests of a component.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Component to inspect
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Print the description as JSON
    #[arg(long)]
    json: bool,
}

/// The description of a component, if it can be read, and why a server would reject it, if so.
struct Inspection {
    description: Option<Description>,
    tests: Vec<String>,
    rejected: Option<String>,
}

impl Inspect {
    pub(super) fn run(&self) -> Result<ExitStatus> {
        let wasm = super::common::read(&self.file)?;
        let inspection = inspect(&wasm);
        if self.json {
            print_json(as_json(&wasm, &inspection));
        } else {
            lines(&inspection).iter().for_each(print_out);
        }
        let Some(why) = inspection.rejected else { return Ok(ExitStatus::Success) };
        Ok(fail(ExitStatus::Failure, format!("{}: {why}", self.file.display())))
    }
}

fn inspect(wasm: &[u8]) -> Inspection {
    let description = match describe(wasm) {
        Ok(description) => description,
        Err(why) => {
            return Inspection {
                description: None,
                tests: Vec::new(),
                rejected: Some(format!("{why:#}")),
            };
        }
    };
    let unfit = fitness(wasm).err().map(|why| why.to_string());
    match parse_cases("component tests", &description.cases) {
        Ok(cases) => {
            let tests = cases.into_iter().map(|case| case.name).collect();
            Inspection { description: Some(description), tests, rejected: unfit }
        }
        Err(why) => {
            let rejected = Some(unfit.unwrap_or_else(|| format!("{why:#}")));
            Inspection { description: Some(description), tests: Vec::new(), rejected }
        }
    }
}

fn lines(inspection: &Inspection) -> Vec<String> {
    let Some(description) = &inspection.description else { return Vec::new() };
    let most = description
        .memory_bytes_max
        .map_or("no maximum".to_owned(), |most| format!("at most {} KiB", most >> 10));
    let mut lines = vec![
        format!("size     {}", kib(description.bytes)),
        format!("sha256   {}", description.sha256),
        format!("memory   {} KiB at start, {most}", description.memory_bytes >> 10),
    ];
    let imports = if description.imports.is_empty() {
        "nothing".to_owned()
    } else {
        description.imports.join(", ")
    };
    lines.push(format!("imports  {}", imports.escape_debug()));
    lines.extend(description.functions.iter().map(|function| format!("exports  {function}")));
    lines.push(format!("tests    {}", inspection.tests.len()));
    lines.extend(inspection.tests.iter().map(|name| format!("         {}", name.escape_debug())));
    lines
}

fn as_json(wasm: &[u8], inspection: &Inspection) -> Value {
    let description = inspection.description.as_ref();
    let functions = description.map(|description| {
        let function = |f: &seawall_rulekit::Function| {
            let param = |(name, kind): &(String, seawall_rulekit::Kind)| {
                json!({ "name": name, "type": kind.word() })
            };
            let params: Vec<Value> = f.params.iter().map(param).collect();
            json!({ "name": f.name(), "export": f.export, "params": params, "result": f.result.word() })
        };
        description.functions.iter().map(function).collect::<Vec<_>>()
    });
    json!({
        "bytes": wasm.len(),
        "sha256": sha256(wasm),
        "memory_bytes": description.map(|description| description.memory_bytes),
        "memory_bytes_max": description.and_then(|description| description.memory_bytes_max),
        "imports": description.map(|description| &description.imports),
        "functions": functions,
        "cases": inspection.tests,
        "rejected": inspection.rejected,
    })
}
