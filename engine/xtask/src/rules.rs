//! Builds the rules of `rules/` into components under `policies/wasm/`.
//!
//! A rule is built when the hash of what goes into it changed, or when the file that came out of it
//! is no longer the one that was written; otherwise nothing is started.

use crate::shell;
use anyhow::{Context, Result};
use seawall_rulekit::{
    BuildOutputMode, Compiler, TARGET, assemble, cases_text, files, hash_of, save, sha256,
};
use std::path::{Path, PathBuf};

/// Counts up when the same sources should give another file.
const BUILDER_VERSION: u32 = 1;

/// A rule that is ready.
#[derive(Debug)]
pub(crate) struct Built {
    /// The rule's name, which is its folder's.
    pub(crate) name: String,
    /// The component.
    pub(crate) path: PathBuf,
    /// Bytes of the component.
    pub(crate) size: u64,
    /// Whether it was built just now; otherwise it was there already.
    pub(crate) fresh: bool,
}

/// Builds every rule under `rules/*/rust` that needs it, and says on `progress` what it does.
pub(crate) fn build(repo: &Path, progress: &mut dyn FnMut(&str)) -> Result<Vec<Built>> {
    let out = repo.join("policies/wasm");
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut compiler = None;
    let mut built = Vec::new();
    for name in names(repo)? {
        let path = out.join(format!("{name}.wasm"));
        let mark = out.join(format!(".{name}.hash"));
        let sources = source_hash(repo, &name)?;
        let fresh = !is_current(&path, &mark, &sources);
        if fresh {
            let compiler = match compiler {
                Some(found) => found,
                None => *compiler.insert(Compiler::find(repo)?),
            };
            progress(&format!("{name}: compiling for {TARGET}, about 10 s the first time"));
            let component =
                component(repo, &name, compiler).with_context(|| format!("rule `{name}`"))?;
            save(&path, &component)?;
            save(&mark, format!("{sources} {}\n", sha256(&component)).as_bytes())?;
            progress(&format!("{name}: {} bytes, imports nothing", component.len()));
        }
        let size = std::fs::metadata(&path)?.len();
        built.push(Built { name, path, size, fresh });
    }
    Ok(built)
}

/// A shipped rule in a language with tools of its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Script {
    name: String,
    /// The folder of the language below the rule's.
    language: &'static str,
    /// Where `seawall rule build` builds it.
    pub(crate) folder: PathBuf,
}

/// The languages: the folder, the ending of the component in `policies/wasm/`, and the programs that
/// build it.
const SCRIPTS: [(&str, &str, &[&str]); 2] =
    [("js", "js", &["node", "npm"]), ("python", "py", &["python3"])];

impl std::fmt::Display for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", self.name, self.language)
    }
}

impl Script {
    fn tools(&self) -> (&'static str, &'static [&'static str]) {
        let of = SCRIPTS.iter().find(|(language, ..)| *language == self.language);
        of.map_or((self.language, &[]), |(_, ending, tools)| (ending, tools))
    }

    /// Returns the program that would build it and is not here.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        self.tools().1.iter().copied().find(|tool| shell::find(tool).is_none())
    }

    /// Copies what was built to where policies look for it.
    pub(crate) fn publish(&self, repo: &Path) -> Result<PathBuf> {
        let built = self.folder.join(format!("{}.wasm", self.name));
        let place =
            PathBuf::from("policies/wasm").join(format!("{}.{}.wasm", self.name, self.tools().0));
        let bytes =
            std::fs::read(&built).with_context(|| format!("there is no {}", built.display()))?;
        save(&repo.join(&place), &bytes)?;
        Ok(place)
    }
}

/// Returns the shipped rules in such languages, in the order of their names.
pub(crate) fn scripts(repo: &Path) -> Result<Vec<Script>> {
    let mut found = Vec::new();
    for name in names(repo)? {
        for (language, ..) in SCRIPTS {
            let folder = repo.join("rules").join(&name).join(language);
            if folder.join("rule.toml").is_file() {
                found.push(Script { name: name.clone(), language, folder });
            }
        }
    }
    Ok(found)
}

/// Returns the folders of `rules/` that hold a rule in Rust, in the order of their names.
pub(crate) fn names(repo: &Path) -> Result<Vec<String>> {
    let folder = repo.join("rules");
    let entries =
        std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join("rust/Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn component(repo: &Path, name: &str, compiler: Compiler) -> Result<Vec<u8>> {
    let target_dir = repo.join("rules/target");
    let module = compiler.build(&repo.join("rules"), name, &target_dir, BuildOutputMode::Quiet)?;
    assemble(module, name, &cases_text(&repo.join("rules").join(name))?)
}

/// Returns the hash of all that a rule is made of: itself, what rules share, the SDK, the workspace
/// and this builder.
fn source_hash(repo: &Path, name: &str) -> Result<String> {
    let mut paths = vec![repo.join("rules/Cargo.toml"), repo.join("rules/Cargo.lock")];
    let rule = repo.join("rules").join(name);
    paths.push(rule.join("rule.toml"));
    paths.extend(files(&rule.join("rust"))?);
    paths.extend(files(&rule.join("cases"))?);
    for part in ["rule-sdk/wit", "rule-sdk/rust", "rule-sdk/rust-macros", "rules/support"] {
        paths.extend(files(&repo.join(part))?);
    }
    hash_of(repo, &paths, &format!("builder {BUILDER_VERSION}"))
}

/// Returns whether the component is the one that was built from these sources.
fn is_current(path: &Path, mark: &Path, sources: &str) -> bool {
    let (Ok(component), Ok(mark)) = (std::fs::read(path), std::fs::read_to_string(mark)) else {
        return false;
    };
    mark.trim_end() == format!("{sources} {}", sha256(&component))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_current_only_with_its_sources_and_its_bytes() {
        let folder = std::env::temp_dir().join(format!("seawall-rules-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (path, mark) = (folder.join("a.wasm"), folder.join(".a.hash"));
        assert!(!is_current(&path, &mark, "sources"));
        save(&path, b"bytes").unwrap();
        save(&mark, format!("sources {}\n", sha256(b"bytes")).as_bytes()).unwrap();
        assert!(is_current(&path, &mark, "sources"));
        assert!(!is_current(&path, &mark, "others"));
        save(&path, b"other").unwrap();
        assert!(!is_current(&path, &mark, "sources"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn rules_in_other_languages_are_found_and_put_into_their_place() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let found: Vec<String> = scripts(&repo).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["header-oddness in js", "header-oddness in python"]);
        let folder = std::env::temp_dir().join(format!("seawall-scripts-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("policies/wasm")).unwrap();
        let script = Script { name: "a".into(), language: "python", folder: folder.clone() };
        assert!(script.publish(&folder).unwrap_err().to_string().contains("there is no"));
        std::fs::write(folder.join("a.wasm"), "built").unwrap();
        assert_eq!(script.publish(&folder).unwrap(), Path::new("policies/wasm/a.py.wasm"));
        assert!(folder.join("policies/wasm/a.py.wasm").is_file());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn every_shipped_rule_has_cases_and_a_steady_hash() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let names = names(&repo).unwrap();
        let shipped =
            ["botnet-user-agent", "fingerprint", "header-oddness", "path-shape", "query-entropy"];
        assert_eq!(names, shipped, "what the documentation names");
        for name in names {
            assert!(cases_text(&repo.join("rules").join(&name)).is_ok(), "{name}");
            assert_eq!(source_hash(&repo, &name).unwrap(), source_hash(&repo, &name).unwrap());
        }
    }
}
