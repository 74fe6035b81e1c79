//! `rule.toml`: the description of a rule and its requested limits. The policy sets the actual
//! ones.

use crate::Language;
use crate::describe::{Function, Kind};
use crate::scaffold::check_name;
use crate::wit_world::{self, Written};
use anyhow::{Context, Result, bail, ensure};
use seawall_wasm::CallLimits;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::Value;

/// The contract for which this version builds.
const ABI: &str = "seawall:rule@0.1.0";

/// A rule's folder.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder.
    pub folder: PathBuf,
    /// The rule's name.
    pub name: String,
    /// Its language.
    pub language: Language,
    /// The path of the SDK, relative to the folder.
    pub sdk: PathBuf,
    functions: Vec<Declared>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: String,
    version: String,
    abi: String,
    language: String,
    about: String,
    sdk: Option<PathBuf>,
    #[serde(default)]
    function: Vec<Declared>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    name: String,
    params: Option<Vec<String>>,
    result: Option<String>,
    fuel: Option<u64>,
    memory_bytes: Option<usize>,
    on_failure: Option<Value>,
}

/// The properties of a function in an `extern`, besides its types.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Fuel of one call.
    pub fuel: u64,
    /// Bytes of memory of one instance.
    pub memory_bytes: usize,
    /// The result that stands for a failure; by default false, 0 or an empty text.
    on_failure: Option<Value>,
}

impl Default for Limits {
    fn default() -> Self {
        let CallLimits { fuel, memory_bytes, .. } = CallLimits::default();
        Self { fuel, memory_bytes, on_failure: None }
    }
}

impl Project {
    /// Opens the rule in this folder.
    ///
    /// # Errors
    /// There is none, or its `rule.toml` is invalid; the message contains the position and the
    /// correction.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("rule.toml");
        ensure!(
            path.exists(),
            "there is no rule.toml in this folder: change to the folder of a rule, or create one \
             with `seawall rule new --lang rust NAME` (or `js`, or `python`)"
        );
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: Manifest = toml::from_str(&text)
            .map_err(|error| anyhow::anyhow!("rule.toml: {}", error.to_string().trim_end()))?;
        let language = manifest.check().context("rule.toml")?;
        let Manifest { name, sdk, function, .. } = manifest;
        // Python finds the SDK by name, in the folder that contains it.
        let beside = if language == Language::Python { "" } else { language.sdk() };
        let sdk = sdk.unwrap_or_else(|| beside.into());
        Ok(Self { folder: folder.to_owned(), name, language, sdk, functions: function })
    }

    /// Checks that cargo knows the rule by its name.
    ///
    /// # Errors
    /// It does not.
    pub fn check_package(&self) -> Result<()> {
        let path = self.folder.join("Cargo.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: toml::Table = toml::from_str(&text)
            .map_err(|error| anyhow::anyhow!("Cargo.toml: {}", error.to_string().trim_end()))?;
        let package = manifest.get("package").and_then(|package| package.get("name")?.as_str());
        let package = package.unwrap_or_default();
        ensure!(
            package == self.name,
            "the rule is `{}` in rule.toml and `{}` in Cargo.toml: use the same name",
            self.name,
            package.escape_debug()
        );
        Ok(())
    }

    /// Returns the path of its component.
    #[must_use]
    pub fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }

    /// Returns the requested limits of this function.
    #[must_use]
    pub fn limits(&self, function: &Function) -> Limits {
        let found = self.functions.iter().find(|declared| declared.name == function.name());
        let plain = Limits::default();
        found.map_or(plain.clone(), |declared| Limits {
            fuel: declared.fuel.unwrap_or(plain.fuel),
            memory_bytes: declared.memory_bytes.unwrap_or(plain.memory_bytes),
            on_failure: declared.on_failure.clone(),
        })
    }

    /// Returns the functions that `rule.toml` declares, with all types. The world of a rule in
    /// another language than Rust is built from them.
    ///
    /// # Errors
    /// Nothing is declared, or something that no component can export; the message names the entry.
    pub fn declared(&self) -> Result<Vec<Function>> {
        let written = self.functions.iter().map(|function| Written {
            name: &function.name,
            params: function.params.as_deref(),
            result: function.result.as_deref(),
        });
        wit_world::functions(written, self.language).context("rule.toml")
    }

    /// Compares `rule.toml` with the exports of the component.
    ///
    /// # Errors
    /// The first difference.
    pub fn hold_against(&self, functions: &[Function]) -> Result<()> {
        for declared in &self.functions {
            let name = &declared.name;
            let Some(have) = functions.iter().find(|have| have.name() == *name) else {
                let names: Vec<String> =
                    functions.iter().map(|f| format!("`{}`", f.name())).collect();
                bail!(
                    "rule.toml names a function `{name}`, but the component has {}: correct the \
                     `name` below `[[function]]`",
                    names.join(", ")
                );
            };
            let params =
                declared.params.as_ref().is_none_or(|said| said.join(", ") == have.params_text());
            let result = declared.result.as_ref().is_none_or(|said| said == have.result.word());
            ensure!(
                params && result,
                "rule.toml has other `params` or another `result` for `{name}` than the component: \
                 the function is {have}"
            );
            if let Some(value) = &declared.on_failure {
                ensure!(
                    stands_for(have.result, value),
                    "rule.toml: `on_failure` of `{name}` must have the type of its result, {}",
                    have.result.word()
                );
            }
        }
        Ok(())
    }
}

impl Manifest {
    fn check(&self) -> Result<Language> {
        let Some(language) = Language::of(&self.language) else {
            let words = Language::ALL.map(|language| format!("`{}`", language.word()));
            bail!(
                "`language` is `{}`: this version supports {}",
                self.language.escape_debug(),
                words.join(", ")
            );
        };
        check_name(&self.name, language, &[])?;
        ensure!(
            !self.version.is_empty() && !self.about.is_empty(),
            "`version` and `about` must not be empty"
        );
        ensure!(self.abi == ABI, "`abi` is `{}`: this version builds for `{ABI}`", self.abi);
        Ok(language)
    }
}

fn stands_for(result: Kind, value: &Value) -> bool {
    match result {
        Kind::Bool => value.is_bool(),
        Kind::Int => value.is_integer(),
        _ => value.is_str(),
    }
}

impl Limits {
    /// Returns the `extern` that declares a function of `module` in a policy.
    #[must_use]
    pub fn declaration(&self, function: &Function, module: &str) -> String {
        let on_failure = match (&self.on_failure, function.result) {
            (Some(value), _) => value.to_string(),
            (None, Kind::Bool) => "false".to_owned(),
            (None, Kind::Int) => "0".to_owned(),
            (None, _) => "\"\"".to_owned(),
        };
        format!(
            "extern {function} {{\n  module \"{module}\" fuel {} memory {} on_failure return \
             {on_failure}\n}}",
            fuel_text(self.fuel),
            memory_text(self.memory_bytes)
        )
    }
}

fn fuel_text(fuel: u64) -> String {
    if fuel.is_multiple_of(1_000) { format!("{}k", fuel / 1_000) } else { fuel.to_string() }
}

fn memory_text(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 20) {
        format!("{}MiB", bytes >> 20)
    } else {
        format!("{}KiB", bytes.div_ceil(1 << 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"odd\"\nversion = \"0.1.0\"\nabi = \"seawall:rule@0.1.0\"\n\
                        language = \"rust\"\nabout = \"x\"\n";

    fn open(text: &str) -> Result<Project> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rule.toml"), text).unwrap();
        Project::open(folder.path())
    }

    fn odd() -> Function {
        let params = vec![("ua".to_owned(), Kind::Text), ("all".to_owned(), Kind::Headers)];
        Function { export: "odd-one".into(), params, result: Kind::Int }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, part) in [
            (GOOD.replace("name = \"odd\"", "name = \"../odd\""), "is not a valid rule name"),
            (GOOD.replace("0.1.0\"\nl", "9.9.9\"\nl"), "builds for `seawall:rule@0.1.0`"),
            (GOOD.replace("\"rust\"", "\"cobol\""), "supports `rust`, `js`, `python`"),
            (format!("{GOOD}more = 1\n"), "line 6"),
            ("nonsense".to_owned(), "rule.toml"),
        ] {
            let error = format!("{:#}", open(&text).unwrap_err());
            assert!(error.contains(part), "{error}");
        }
        let error = Project::open(tempfile::tempdir().unwrap().path()).unwrap_err().to_string();
        assert!(error.contains("seawall rule new"), "{error}");
    }

    #[test]
    fn what_is_declared_is_held_against_the_component() {
        let with = |rest: &str| open(&format!("{GOOD}[[function]]\n{rest}\n")).unwrap();
        let good = "name = \"odd_one\"\nparams = [\"ua: string\", \"all: headers\"]\nresult = \"int\"\nfuel = 1500\nmemory_bytes = 65536\non_failure = -1";
        let project = with(good);
        project.hold_against(&[odd()]).unwrap();
        assert_eq!(
            project.limits(&odd()).declaration(&odd(), "wasm/odd.wasm"),
            "extern odd_one(ua: string, all: headers) -> int {\n  module \"wasm/odd.wasm\" fuel \
             1500 memory 64KiB on_failure return -1\n}"
        );
        for (wrong, part) in [
            ("name = \"even\"", "has `odd_one`"),
            ("name = \"odd_one\"\nresult = \"bool\"", "the function is odd_one(ua: string"),
            ("name = \"odd_one\"\nparams = []", "the function is odd_one(ua: string"),
            ("name = \"odd_one\"\non_failure = \"\"", "the type of its result, int"),
        ] {
            let error = with(wrong).hold_against(&[odd()]).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_function_without_an_entry_gets_the_defaults() {
        let project = open(GOOD).unwrap();
        let said = project.limits(&odd()).declaration(&odd(), "odd.wasm");
        assert!(said.contains("fuel 50k memory 1MiB on_failure return 0"), "{said}");
    }
}
