//! Where things are in this repository.

use crate::shell;
use anyhow::Context;
use std::path::{Path, PathBuf};

/// The repository that xtask works on.
#[derive(Debug, Clone)]
pub(crate) struct Repo {
    root: PathBuf,
}

impl Repo {
    /// Returns the repository around the folder that cargo names, else around the current one.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
            Some(dir) => PathBuf::from(dir),
            None => std::env::current_dir().context("the current folder is gone")?,
        };
        start
            .ancestors()
            .find(|dir| dir.join("engine/xtask/Cargo.toml").is_file())
            .map(|dir| Self { root: dir.to_path_buf() })
            .context("this is not inside the Seawall repository")
    }

    /// Returns the top folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns a path below the top folder.
    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Cargo, in the top folder.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> std::process::Command {
        let mut cargo = shell::cargo();
        cargo.current_dir(&self.root).args(arguments);
        cargo
    }

    /// Returns the `seawall` program in the folder of a cargo profile (`debug`, `release`, `dist`).
    ///
    /// # Errors
    /// Cargo does not say where it builds.
    pub(crate) fn seawall(&self, profile: &str) -> anyhow::Result<PathBuf> {
        Ok(self.target_dir()?.join(profile).join("seawall"))
    }

    /// Returns the folder in which cargo builds.
    ///
    /// # Errors
    /// Cargo does not say where it builds.
    pub(crate) fn target_dir(&self) -> anyhow::Result<PathBuf> {
        let text = shell::quiet(&mut self.cargo(&["metadata", "--no-deps", "--format-version=1"]))?;
        let metadata: serde_json::Value =
            serde_json::from_str(&text).context("cargo metadata is not JSON")?;
        let target = metadata
            .get("target_directory")
            .and_then(serde_json::Value::as_str)
            .context("cargo metadata names no target directory")?;
        Ok(PathBuf::from(target))
    }
}
