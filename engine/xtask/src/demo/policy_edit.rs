//! Edits the policy file while everything runs.
//!
//! It saves as editors and tools do: it overwrites the file, or writes another and renames it (most
//! editors), or swaps a symbolic link (deployment tools). It adds its rules at the top of the
//! shipped policy's `floor`, where an operator would put them.

use anyhow::Context;
use std::path::{Path, PathBuf};

/// The line of the shipped policy below which the demo's rules go.
const FLOOR: &str = "floor {";

/// How a file gets its new text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SaveMethod {
    /// Truncate and write.
    Over,
    /// Write another file beside it and rename that.
    Rename,
    /// Write another file, point a new link at it, and rename the link.
    Link,
}

impl SaveMethod {
    /// All ways in turn.
    pub(crate) fn turn(number: u32) -> Self {
        match number % 3 {
            0 => Self::Over,
            1 => Self::Rename,
            _ => Self::Link,
        }
    }
}

/// The policy file and its text as shipped.
#[derive(Debug)]
pub(crate) struct PolicyFile {
    path: PathBuf,
    shipped: String,
}

/// What the demo adds to the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PolicyChange {
    /// Reject searches whose headers do not fit the browser that they claim.
    OddHeaders,
    /// Also limit how often one client may search: `searches` in ten seconds.
    SearchLimit {
        /// Searches in ten seconds.
        searches: u32,
    },
    /// An unknown keyword.
    Mistake,
}

impl PolicyFile {
    /// Reads the shipped text.
    ///
    /// # Errors
    /// The file cannot be read, or has no floor to write into.
    pub(crate) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let shipped = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        let has_floor = shipped.lines().any(|line| line == FLOOR);
        anyhow::ensure!(has_floor, "{} has no line `{FLOOR}`", path.display());
        Ok(Self { path, shipped })
    }

    /// Returns the policy with a defence in it. `edit` makes the text differ from every other edit.
    pub(crate) fn with(&self, defence: PolicyChange, edit: u32) -> String {
        let rules = rules_of(defence, edit);
        self.shipped.replacen(&format!("{FLOOR}\n"), &format!("{FLOOR}\n{rules}"), 1)
    }

    /// Saves `text`.
    ///
    /// # Errors
    /// The file system refuses.
    pub(crate) fn save(&self, text: &str, saving: SaveMethod) -> anyhow::Result<()> {
        let path = &self.path;
        match saving {
            SaveMethod::Over => std::fs::write(path, text),
            SaveMethod::Rename => replace(path, text),
            SaveMethod::Link => relink(path, text),
        }
        .with_context(|| format!("saving {} ({saving:?})", path.display()))
    }
}

fn rules_of(defence: PolicyChange, edit: u32) -> String {
    let odd = format!(
        "  rule odd-search {{\n    when path == \"/search\" and header_oddness(ua, headers) >= 50\n    \
         then block 403\n    note \"edit {edit}\"\n  }}\n"
    );
    match defence {
        PolicyChange::OddHeaders => odd,
        PolicyChange::SearchLimit { searches } => format!(
            "{odd}  limit searches {{\n    where path == \"/search\" per client to {searches}/10s \
             burst 4\n    then block 429 hold 1m\n  }}\n"
        ),
        PolicyChange::Mistake => odd.replace("block 403", "blokc 403"),
    }
}

/// Returns the name of a file beside `path`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let new = beside(path, ".new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)
}

/// Two targets take turns: the one that is not linked to now is written first.
fn relink(path: &Path, text: &str) -> std::io::Result<()> {
    let (a, b) = (beside(path, ".a"), beside(path, ".b"));
    let target = match std::fs::read_link(path) {
        Ok(now) if now.as_os_str() == a.file_name().unwrap_or_default() => b,
        _ => a,
    };
    std::fs::write(&target, text)?;
    let link = beside(path, ".link");
    if link.symlink_metadata().is_ok() {
        std::fs::remove_file(&link)?;
    }
    std::os::unix::fs::symlink(target.file_name().unwrap_or_default(), &link)?;
    std::fs::rename(&link, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str) -> PolicyFile {
        let dir = std::env::temp_dir().join(format!("seawall-xtask-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("p.wall");
        std::fs::write(&path, "policy 1\nfloor {\n  # here\n}\n").unwrap();
        PolicyFile::open(path).unwrap()
    }

    #[test]
    fn every_way_of_saving_leaves_the_new_text_under_the_same_name() {
        let policy = policy("saving");
        for turn in 0..12 {
            let text = format!("policy 1\n# turn {turn}\n");
            policy.save(&text, SaveMethod::turn(turn)).unwrap();
            assert_eq!(std::fs::read_to_string(&policy.path).unwrap(), text);
        }
        std::fs::remove_dir_all(policy.path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_defence_goes_into_the_floor_and_edits_differ() {
        let policy = policy("text");
        let text = policy.with(PolicyChange::SearchLimit { searches: 8 }, 7);
        let (before, after) = text.split_once("floor {\n").unwrap();
        assert_eq!(before, "policy 1\n");
        assert!(after.starts_with("  rule odd-search {"));
        assert!(after.contains("to 8/10s") && after.ends_with("  # here\n}\n"));
        assert_ne!(text, policy.with(PolicyChange::SearchLimit { searches: 8 }, 8));
        assert!(policy.with(PolicyChange::Mistake, 1).contains("blokc"));
        std::fs::remove_dir_all(policy.path.parent().unwrap()).unwrap();
    }
}
