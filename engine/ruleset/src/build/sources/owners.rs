//! The owner of each file, determined before any member's file is opened.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::store::SourceStore;
use super::{ReadError, folder_of};

/// A member; `None` for the operator.
type Owner = Option<Box<str>>;

/// The operator's files, and the file of each member's entry.
#[derive(Debug, Default)]
pub(super) struct Owners {
    files: BTreeMap<String, Owner>,
    /// The folders of members' files.
    folders: BTreeMap<String, Box<str>>,
    /// The owner of each real path; computed on first use.
    real: Option<BTreeMap<String, Owner>>,
}

impl Owners {
    /// Records a file of the operator.
    pub(super) fn host(&mut self, path: &str) {
        self.files.insert(path.to_owned(), None);
    }

    /// Records the file of a member's entry.
    ///
    /// # Errors
    /// The file belongs to another owner.
    pub(super) fn member(&mut self, path: &str, name: &str) -> Result<(), ReadError> {
        if let Some(by) = self.files.get(path) {
            return Err(ReadError::Owned { by: by.clone() });
        }
        self.files.insert(path.to_owned(), Some(name.into()));
        self.folders.entry(folder_of(path).to_owned()).or_insert_with(|| name.into());
        Ok(())
    }

    /// Returns whether a member's folder can contain files of another owner.
    pub(super) fn is_shared(&self, folder: &str, name: &str) -> bool {
        let other = |(_, owner): &(&String, &Owner)| owner.as_deref() != Some(name);
        below(&self.files, folder).any(|entry| other(&entry))
    }

    /// Returns the owner of the file `path` if it is not the member with the folder `folder`. It
    /// compares the path. If `folder` is shared, it compares the real path too, because a link can
    /// lead there.
    pub(super) fn other(
        &mut self,
        path: &str,
        (name, folder, is_shared): (&str, &str, bool),
        store: &dyn SourceStore,
    ) -> Option<Owner> {
        let other = |owner: &&Owner| owner.as_deref() != Some(name);
        if let Some(owner) = self.files.get(path).filter(other) {
            return Some(owner.clone());
        }
        if let Some(owner) = self.deeper(path, folder) {
            return Some(Some(owner));
        }
        if !is_shared {
            return None;
        }
        let real = store.real(path, folder).ok()?;
        if real == path {
            return None;
        }
        if let Some(owner) = self.reals(store).get(&real) {
            return Some(owner).filter(other).cloned();
        }
        self.deeper(&real, folder).map(Some)
    }

    /// Returns the owner of each real path. A file that is not a link owns its own path, even if
    /// links lead there.
    fn reals(&mut self, store: &dyn SourceStore) -> &BTreeMap<String, Owner> {
        let files = &self.files;
        self.real.get_or_insert_with(|| {
            let mut reals = files.clone();
            for (path, owner) in files {
                if let Ok(real) = store.real(path, "") {
                    reals.entry(real).or_insert_with(|| owner.clone());
                }
            }
            reals
        })
    }

    /// Returns the member whose folder, inside `folder`, contains a path.
    fn deeper(&self, path: &str, folder: &str) -> Option<Box<str>> {
        let mut at = folder_of(path);
        while at.len() > folder.len() {
            if let Some(owner) = self.folders.get(at) {
                return Some(owner.clone());
            }
            at = folder_of(at);
        }
        None
    }
}

/// Returns the entries below a folder.
fn below<'m, V>(
    map: &'m BTreeMap<String, V>,
    folder: &str,
) -> impl Iterator<Item = (&'m String, &'m V)> {
    let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    map.range::<str, _>((Bound::Included(&*start), Bound::Unbounded)).take_while({
        let start = start.clone();
        move |(path, _)| path.starts_with(&start)
    })
}

/// Returns whether a path is below a folder.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}
