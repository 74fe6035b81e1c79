//! The files of a rule: read in a fixed order and written atomically.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Folders that builds create.
const MADE: [&str; 5] = ["target", "node_modules", ".venv", "__pycache__", ".mypy_cache"];

/// Returns all files below a folder in a fixed order, without the output of builders. Returns none
/// if the folder does not exist.
///
/// # Errors
/// A folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if folder.is_dir() {
        let mut entries = std::fs::read_dir(folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        entries.sort();
        for path in entries {
            if path.is_dir() {
                let made = MADE.iter().any(|name| path.ends_with(name));
                if !made {
                    found.extend(files(&path)?);
                }
            } else {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Returns the files of `cases/` with their displayed names (`cases/NAME`) and their texts.
pub(crate) fn case_files(rule: &Path) -> Result<Vec<(String, String)>> {
    let folder = cases_folder(rule);
    let rule = folder.parent().unwrap_or(rule);
    let mut found = Vec::new();
    for path in files(&folder)? {
        if path.extension().is_some_and(|ext| ext == "toml") {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.strip_prefix(rule).unwrap_or(&path).display().to_string();
            found.push((name, text));
        }
    }
    Ok(found)
}

/// Returns the folder of the test vectors: in the rule's folder, or beside it if the rule exists in
/// several languages.
#[must_use]
pub fn cases_folder(rule: &Path) -> PathBuf {
    let (own, shared) = (rule.join("cases"), rule.join("../cases"));
    if !own.is_dir() && shared.is_dir() { shared } else { own }
}

/// Returns all test vectors of the rule in this folder, with the files concatenated. Each file is a
/// list of `[[case]]`, so the result is one, too.
///
/// # Errors
/// There are none, or they cannot be read.
pub fn cases_text(rule: &Path) -> Result<String> {
    let mut all = String::new();
    for (name, text) in case_files(rule)? {
        // Writing to a string cannot fail.
        let _ = writeln!(all, "# {name}\n{}\n", text.trim_end());
    }
    ensure!(
        all.contains("[[case]]"),
        "the rule has no component tests: add some in `cases/*.toml`"
    );
    Ok(all)
}

/// Returns the hash of files with their paths relative to `root`, and of `salt`. Missing files are
/// ignored.
///
/// # Errors
/// A file cannot be read.
pub fn hash_of(root: &Path, paths: &[PathBuf], salt: &str) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(format!("{} {salt}\n", salt.len()));
    for path in paths.iter().filter(|path| path.exists()) {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let place = path.strip_prefix(root).unwrap_or(path);
        // The lengths separate the files.
        hash.update(format!("{} {}\n", place.display(), bytes.len()));
        hash.update(&bytes);
    }
    Ok(hex(&hash.finalize()))
}

/// Writes to a temporary file and renames it, so that a watching server never reads an incomplete
/// file.
///
/// # Errors
/// It cannot be written.
pub fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("part");
    std::fs::write(&beside, bytes)
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Returns the SHA-256 of bytes, in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_stand_one_after_the_other_and_none_is_a_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let error = cases_text(folder.path()).unwrap_err().to_string();
        assert!(error.contains("`cases/*.toml`"), "{error}");
        std::fs::create_dir(folder.path().join("cases")).unwrap();
        for (name, text) in [("b.toml", "[[case]]\nb"), ("a.toml", "[[case]]\na\n\n"), ("c.md", "")]
        {
            std::fs::write(folder.path().join("cases").join(name), text).unwrap();
        }
        let all = "# cases/a.toml\n[[case]]\na\n\n# cases/b.toml\n[[case]]\nb\n\n";
        assert_eq!(cases_text(folder.path()).unwrap(), all);
    }
}
