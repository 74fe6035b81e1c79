//! What several commands of `seawall rule` do: read a component and prepare its tests.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use seawall_rulekit::{Project, TestRunner, files, fitness, read_cases};

use crate::cli::exit::print_err;

/// The most bytes of a component to read: above the largest component of any language.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// The component of the rule, or the one in `file`, with the tests of the rule.
pub(super) fn trial(project: &Project, file: Option<&Path>) -> Result<TestRunner> {
    let (path, shown) = match file {
        Some(file) => (file.to_owned(), file.display().to_string()),
        None => (built(project)?, format!("{}.wasm", project.name)),
    };
    let wasm = read(&path)?;
    let cases = read_cases(&project.folder)?;
    if is_long(&wasm) {
        print_err(format!("compiling {shown} for the sandbox, about 20 s"));
    }
    let fit = fitness(&wasm).map_err(|why| anyhow!("{shown}: {why}"))?;
    let trial = TestRunner::of(fit, &wasm, &cases, |function| project.limits(function))?;
    project.hold_against(&trial.description.functions)?;
    Ok(trial)
}

/// The component beside `rule.toml`.
fn built(project: &Project) -> Result<PathBuf> {
    let shown = format!("{}.wasm", project.name);
    let path = project.component();
    ensure!(path.exists(), "{shown} does not exist: run `seawall rule build` first");
    if is_outdated(project) {
        print_err(format!("{shown} is older than its sources: run `seawall rule build`"));
    }
    Ok(path)
}

/// The path with an ending added to its name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Reads a component.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let length = std::fs::metadata(path).with_context(|| format!("{}", path.display()))?.len();
    ensure!(
        length <= FILE_BYTES_MAX,
        "{} has {length} bytes; a component may have {FILE_BYTES_MAX}",
        path.display()
    );
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Whether the component contains the runtime of its language.
const fn is_long(wasm: &[u8]) -> bool {
    wasm.len() > 4 << 20
}

/// Endings of source files.
const SOURCES: [&str; 4] = ["rs", "js", "ts", "py"];

/// Whether a source was saved after the component was built.
fn is_outdated(project: &Project) -> bool {
    let saved = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    let mut sources = files(&project.folder).unwrap_or_default();
    sources.retain(|path| path.extension().is_some_and(|ext| SOURCES.iter().any(|of| ext == *of)));
    let newest = sources.iter().filter_map(|path| saved(path)).max();
    newest > saved(&project.component())
}

/// Bytes as KiB, rounded up to a tenth.
pub(super) fn kib(bytes: usize) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 10);
    format!("{}.{} KiB", tenths / 10, tenths % 10)
}
