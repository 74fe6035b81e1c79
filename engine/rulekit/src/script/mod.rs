//! Rules in languages with a runtime, built by a builder from the packages of that language.
//!
//! Decision: the builder is installed in the rule's own folder, in exactly the version in its
//! package list, and nowhere else. A build takes long and contacts a registry, so it is skipped if
//! the sources are unchanged.

mod javascript;
mod project;
mod python;

pub use self::project::Script;
use self::project::{RAW, WORLD};

use crate::Language;
use crate::component::{CONTRACT, into_component};
use crate::files::{cases_folder, cases_text, files, hash_of, save, sha256};
use crate::wit_world::world_of;
use anyhow::{Context, Result};
use std::path::Path;

/// Increases if the same sources must give another component.
const BUILDER_VERSION: u32 = 1;

/// The sources and messages of the last build, in `target/`.
const MARK: &str = "built";

/// Whether a build is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildState {
    /// The component is up to date; the messages of its build.
    Current(String),
    /// The component must be built; the hash of its sources.
    OutOfDate(String),
}

impl Script<'_> {
    /// Returns whether the component is up to date.
    ///
    /// # Errors
    /// A source cannot be read.
    pub fn standing(&self) -> Result<BuildState> {
        let hash = self.hash()?;
        let (mark, component) = (self.target().join(MARK), self.project.component());
        let (Ok(mark), Ok(component)) = (std::fs::read_to_string(mark), std::fs::read(component))
        else {
            return Ok(BuildState::OutOfDate(hash));
        };
        let begins = format!("{hash} {}\n", sha256(&component));
        Ok(mark
            .strip_prefix(&begins)
            .map_or(BuildState::OutOfDate(hash), |said| BuildState::Current(said.to_owned())))
    }

    /// Builds the component. Progress and messages are passed to `say`, line by line.
    ///
    /// # Errors
    /// The tools are missing or cannot be installed, or the rule does not build.
    pub fn build(&self, say: &mut dyn FnMut(&str)) -> Result<Vec<u8>> {
        let cases = cases_text(&self.folder)?;
        self.write_world()?;
        let raw = self.target().join(RAW);
        // An old output could be used instead. Mostly there is none.
        let _ = std::fs::remove_file(&raw);
        match self.project.language {
            Language::Python => python::build(self, say)?,
            Language::JavaScript | Language::Rust => javascript::build(self, say)?,
        }
        let raw = std::fs::read(&raw)
            .with_context(|| format!("the builder produced no {}", raw.display()))?;
        into_component(&raw, &self.functions, &cases)
    }

    /// Stores the hash of the sources and the messages of a build.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn note(&self, hash: &str, component: &[u8], said: &str) -> Result<()> {
        let mark = format!("{hash} {}\n{said}", sha256(component));
        save(&self.target().join(MARK), mark.as_bytes())
    }

    fn hash(&self) -> Result<String> {
        let mut paths = files(&self.folder)?;
        for outside in [self.folder.join(&self.project.sdk), cases_folder(&self.folder)] {
            let outside = outside.canonicalize().unwrap_or(outside);
            if !outside.starts_with(&self.folder) {
                paths.extend(files(&outside)?);
            }
        }
        // Documentation, and the output of builds.
        let left_out = |path: &Path| {
            path.extension().is_some_and(|ext| {
                ["md", "wasm", "part", "pyc"].iter().any(|left_out| ext == *left_out)
            })
        };
        paths.retain(|path| !left_out(path));
        let salt = format!("seawall {}, builder {BUILDER_VERSION}", env!("CARGO_PKG_VERSION"));
        hash_of(&self.folder, &paths, &salt)
    }

    /// Writes the world of the rule and the contract in the form that builders need.
    fn write_world(&self) -> Result<()> {
        self.write("wit/world.wit", &world_of(WORLD, &self.functions))?;
        self.write("wit/deps/seawall-rule/seawall-rule.wit", CONTRACT)
    }
}

#[cfg(test)]
mod tests {
    use super::project::{installed, note_installed, version, version_in};
    use super::*;
    use crate::{Project, scaffold};

    #[test]
    fn versions_are_read_as_programs_say_them() {
        assert_eq!(version_in("v20.19.2\n"), Some((20, 19)));
        assert_eq!(version_in("Python 3.11.7"), Some((3, 11)));
        assert_eq!(version_in("none"), None);
        assert_eq!(version("no-such-program-here"), None);
    }

    #[test]
    fn a_build_is_current_with_its_sources_its_cases_and_its_bytes() {
        for language in [Language::JavaScript, Language::Python] {
            let parent = tempfile::tempdir().unwrap();
            scaffold(parent.path(), "hello", language, &[]).unwrap();
            let folder = parent.path().join("hello");
            let project = Project::open(&folder).unwrap();
            let script = Script::open(&project).unwrap();
            let BuildState::OutOfDate(hash) = script.standing().unwrap() else {
                panic!("not built yet")
            };
            std::fs::write(project.component(), b"built").unwrap();
            script.write("x", "").unwrap();
            script.note(&hash, b"built", "all is well\n").unwrap();
            let current = BuildState::Current("all is well\n".to_owned());
            assert_eq!(script.standing().unwrap(), current);
            std::fs::write(folder.join("README.md"), "mine").unwrap();
            assert_eq!(script.standing().unwrap(), current, "a page is no source");
            std::fs::write(project.component(), b"other").unwrap();
            assert_ne!(script.standing().unwrap(), current);
            std::fs::write(project.component(), b"built").unwrap();
            std::fs::write(folder.join("cases/browsers.toml"), "").unwrap();
            assert_ne!(script.standing().unwrap(), current);
        }
    }

    #[test]
    fn what_was_installed_from_another_list_is_installed_again() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list");
        std::fs::write(&list, "a 1").unwrap();
        let asked = || installed(folder.path(), folder.path(), &["list"]).unwrap();
        note_installed(folder.path(), &asked().unwrap()).unwrap();
        assert_eq!(asked(), None);
        std::fs::write(&list, "a 2").unwrap();
        assert!(asked().is_some());
    }
}
