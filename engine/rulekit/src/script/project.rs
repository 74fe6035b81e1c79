//! A rule in JavaScript or Python as its builders see it: where it lies, and what is installed for
//! it.

use crate::Project;
use crate::describe::Function;
use crate::files::{hash_of, save};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The world's name, for builders: it must not be that of a file of the rule.
pub(super) const WORLD: &str = "seawall-built";

/// What a builder leaves, in `target/`.
pub(super) const RAW: &str = "raw.wasm";

/// A rule in JavaScript or Python, ready to be built.
#[derive(Debug)]
pub struct Script<'p> {
    pub(super) project: &'p Project,
    /// Absolute.
    pub(super) folder: PathBuf,
    pub(super) functions: Vec<Function>,
}

impl<'p> Script<'p> {
    /// The rule of a project that is not in Rust.
    ///
    /// # Errors
    /// `rule.toml` declares no functions for it.
    pub fn open(project: &'p Project) -> Result<Self> {
        let functions = project.declared()?;
        let folder = project.folder.canonicalize();
        let folder = folder.with_context(|| format!("{}", project.folder.display()))?;
        Ok(Self { project, folder, functions })
    }

    pub(super) fn target(&self) -> PathBuf {
        self.folder.join("target")
    }

    /// Writes a file below `target/`.
    pub(super) fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.target().join(path);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&path, text))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// What packages were installed from, in the folder where they are.
const INSTALLED: &str = ".seawall";

/// Whether `place` was installed from these lists; the hash of the lists to write there if not.
pub(super) fn installed(place: &Path, folder: &Path, lists: &[&str]) -> Result<Option<String>> {
    let lists: Vec<PathBuf> = lists.iter().map(|list| folder.join(list)).collect();
    let hash = hash_of(folder, &lists, "")?;
    let noted = std::fs::read_to_string(place.join(INSTALLED)).unwrap_or_default();
    Ok((noted != hash).then_some(hash))
}

/// Says in `place` what it was installed from, once it was.
pub(super) fn note_installed(place: &Path, hash: &str) -> Result<()> {
    save(&place.join(INSTALLED), hash.as_bytes())
}

/// A program's version, as its `--version` says it: the first two numbers.
pub(super) fn version(program: &str) -> Option<(u32, u32)> {
    let said = std::process::Command::new(program).arg("--version").output().ok()?;
    version_in(&String::from_utf8_lossy(&said.stdout))
}

pub(super) fn version_in(said: &str) -> Option<(u32, u32)> {
    let digits = said.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut numbers = digits.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
