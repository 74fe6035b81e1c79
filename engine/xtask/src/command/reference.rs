//! `cargo xtask reference`: writes the files that follow from the declaration of settings.
//!
//! The tests of the configuration compare these files; here they are told to write them instead.

use crate::repo::Repo;
use crate::shell;

/// Tells the tests to write.
const WRITE: &str = "SEAWALL_WRITE_REFERENCE";

/// Writes the table of settings in `docs/limits.md`, and `packaging/seawall.schema.json`.
///
/// # Errors
/// A file cannot be written, or the crate does not build.
pub(crate) fn run(repo: &Repo) -> anyhow::Result<()> {
    let words = ["test", "--package", "seawall-config", "--lib", "reference::"];
    shell::show(repo.cargo(&words).env(WRITE, "1"))
}
