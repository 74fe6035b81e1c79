//! A rule in JavaScript or Python: its folder and its installed packages.

use crate::Project;
use crate::describe::Function;
use crate::files::{hash_of, save};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The name of the world for builders. It must differ from the names of the rule's files.
pub(super) const WORLD: &str = "seawall-built";

/// The output of a builder, in `target/`.
pub(super) const RAW: &str = "raw.wasm";

/// A rule in JavaScript or Python, ready to build.
#[derive(Debug)]
pub struct Script<'p> {
    pub(super) project: &'p Project,
    /// An absolute path.
    pub(super) folder: PathBuf,
    pub(super) functions: Vec<Function>,
}

impl<'p> Script<'p> {
    /// Opens the rule of a project in another language than Rust.
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

/// The file with the hash of the installed package lists.
const INSTALLED: &str = ".seawall";

/// Returns `None` if `place` was installed from these lists, else the hash of the lists.
pub(super) fn installed(place: &Path, folder: &Path, lists: &[&str]) -> Result<Option<String>> {
    let lists: Vec<PathBuf> = lists.iter().map(|list| folder.join(list)).collect();
    let hash = hash_of(folder, &lists, "")?;
    let noted = std::fs::read_to_string(place.join(INSTALLED)).unwrap_or_default();
    Ok((noted != hash).then_some(hash))
}

/// Stores the hash of the lists after an installation in `place`.
pub(super) fn note_installed(place: &Path, hash: &str) -> Result<()> {
    save(&place.join(INSTALLED), hash.as_bytes())
}

/// Returns the first two numbers of a program's version, from `--version`.
pub(super) fn version(program: &str) -> Option<(u32, u32)> {
    let said = std::process::Command::new(program).arg("--version").output().ok()?;
    version_in(&String::from_utf8_lossy(&said.stdout))
}

pub(super) fn version_in(said: &str) -> Option<(u32, u32)> {
    let digits = said.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut numbers = digits.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
