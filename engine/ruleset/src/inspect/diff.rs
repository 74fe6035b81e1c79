//! The differences between two policies, with their lists and components.

use std::collections::BTreeSet;

use seawall_policy::outline::{Change, Outline};

use crate::build::lists::bare_lines;
use crate::build::sources::Sources;
use crate::build::{PageReader, entries};

/// Lines of each kind in the display of a changed list.
pub const LIST_EXAMPLES_MAX: usize = 5;

/// The differences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyDiff {
    /// Changes in policy files.
    pub changes: Vec<Change>,
    /// Changes in other files that both policies use.
    pub files: Vec<FileChange>,
}

/// A file with a changed content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its path, relative to the policy root.
    pub path: Box<str>,
    /// The change.
    pub lines: LineChange,
}

/// The change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineChange {
    /// A list.
    List {
        /// Number of added lines, and the first of them.
        added: (usize, Vec<Box<str>>),
        /// Number of removed lines, and the first of them.
        removed: (usize, Vec<Box<str>>),
    },
    /// A component or a signature, without details.
    Bytes,
}

impl PolicyDiff {
    /// Returns the differences between `old` and `new`. Both can be invalid.
    #[must_use]
    pub fn between(old: &Sources, new: &Sources) -> Self {
        let both = new.paths().filter(|path| !new.is_policy(path) && !old.is_policy(path));
        let files = both.filter_map(|path| {
            let (before, after) = (old.held(path)?, new.held(path)?);
            let lines = line_change(&before, &after)?;
            Some(FileChange { path: path.into(), lines })
        });
        Self { changes: old.outline().changes(&new.outline()), files: files.collect() }
    }

    /// Returns whether there is no difference.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.files.is_empty()
    }
}

impl Sources {
    /// Returns the outline of the policy files, as far as they can be read.
    #[must_use]
    pub fn outline(&self) -> Outline {
        let PageReader { files, pages, .. } = PageReader::host(self.host(), self.root());
        let mut outline = Outline::of(&pages, &files);
        let entries = entries(&pages);
        for member in self.members() {
            let Some((_, entry)) = entries.get(member.name()).copied() else { continue };
            let Ok(path) = member.file() else { continue };
            let (reached, whose) = (member.reached(), (member.name(), path));
            let hers = PageReader::member(reached, files.clone(), whose, entry);
            outline.add(&Outline::of_member(&pages, &hers.pages, &hers.files));
        }
        outline
    }
}

/// Returns the change of a file. A NUL byte marks a file that is not text.
fn line_change(before: &[u8], after: &[u8]) -> Option<LineChange> {
    if before == after {
        return None;
    }
    if before.contains(&0) || after.contains(&0) {
        return Some(LineChange::Bytes);
    }
    let elements = |bytes| bare_lines(bytes).collect();
    let (before, after): (BTreeSet<&[u8]>, BTreeSet<&[u8]>) = (elements(before), elements(after));
    let only = |here: &BTreeSet<&[u8]>, there: &BTreeSet<&[u8]>| {
        let text = |line: &&[u8]| Box::from(String::from_utf8_lossy(line));
        let examples = here.difference(there).take(LIST_EXAMPLES_MAX).map(text);
        (here.difference(there).count(), examples.collect())
    };
    let (added, removed) = (only(&after, &before), only(&before, &after));
    (added.0 > 0 || removed.0 > 0).then_some(LineChange::List { added, removed })
}

#[cfg(test)]
mod tests {
    use seawall_policy::outline::How;

    use super::*;
    use crate::build::memory_store::MemoryStore;

    const ROOT: &str = "policy 1\nlist drop: cidr = file \"drop.txt\" max 10\n\
                        include \"more.wall\"\n";
    const MORE: &str = "policy 1\nfloor { rule a { when client.ip in @drop then block } }\n";

    fn sources(root: &str, more: &str, drop: &[u8]) -> Sources {
        let store = MemoryStore::default().with("root.wall", root);
        let store = store.with("more.wall", more).with("drop.txt", drop);
        Sources::gather("root.wall", &store)
    }

    #[test]
    fn comments_in_policies_and_lists_are_no_difference() {
        let old = sources(ROOT, MORE, b"192.0.2.0/24 # a\n\n");
        let new = sources(&format!("{ROOT}# more\n"), MORE, b"# b\n 192.0.2.0/24\n");
        assert!(PolicyDiff::between(&old, &new).is_empty());
    }

    #[test]
    fn a_list_is_compared_by_its_elements_and_an_include_by_what_it_holds() {
        let old = sources(ROOT, MORE, b"192.0.2.0/24\n198.51.100.0/24\n");
        let new = sources(ROOT, &MORE.replace("block", "drop"), b"192.0.2.0/24\n203.0.113.0/24\n");
        let PolicyDiff { changes, files } = PolicyDiff::between(&old, &new);
        assert_eq!((changes.len(), &*changes[0].name), (1, "floor.a"));
        assert!(matches!(&changes[0].how, How::Changed(clauses) if clauses[0].word == "then"));
        let one = |line: &str| (1, vec![Box::from(line)]);
        let lines =
            LineChange::List { added: one("203.0.113.0/24"), removed: one("198.51.100.0/24") };
        assert_eq!(files, [FileChange { path: "drop.txt".into(), lines }]);
    }

    #[test]
    fn examples_are_few_and_numbers_are_exact() {
        let lines: String = (0..20).map(|n| format!("192.0.2.{n}\n")).collect();
        let Some(LineChange::List { added, removed }) = line_change(b"", lines.as_bytes()) else {
            panic!("twenty lines differ");
        };
        assert_eq!((added.0, added.1.len(), removed.0), (20, LIST_EXAMPLES_MAX, 0));
        assert_eq!(line_change(b"\0asm", b"\0asm1"), Some(LineChange::Bytes));
        assert_eq!(line_change(b"a\n", b"a"), None);
    }
}
