//! Whose each file is, before any member's file is opened.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::store::SourceStore;
use super::{ReadError, folder_of};

/// A member, or nobody where it is the host.
type Owner = Option<Box<str>>;

/// What is the host's, and which file each member's entry names.
#[derive(Debug, Default)]
pub(super) struct Owners {
    files: BTreeMap<String, Owner>,
    /// The folders of members' files.
    folders: BTreeMap<String, Box<str>>,
    /// Whose the real place of each is; made when it is asked for first.
    real: Option<BTreeMap<String, Owner>>,
}

impl Owners {
    /// Notes what is the host's.
    pub(super) fn host(&mut self, path: &str) {
        self.files.insert(path.to_owned(), None);
    }

    /// Notes the file of a member's entry.
    ///
    /// # Errors
    /// It is somebody else's already.
    pub(super) fn member(&mut self, path: &str, name: &str) -> Result<(), ReadError> {
        if let Some(by) = self.files.get(path) {
            return Err(ReadError::Owned { by: by.clone() });
        }
        self.files.insert(path.to_owned(), Some(name.into()));
        self.folders.entry(folder_of(path).to_owned()).or_insert_with(|| name.into());
        Ok(())
    }

    /// Whether something that is not hers may lie in a member's folder.
    pub(super) fn is_shared(&self, folder: &str, name: &str) -> bool {
        let other = |(_, owner): &(&String, &Owner)| owner.as_deref() != Some(name);
        below(&self.files, folder).any(|entry| other(&entry))
    }

    /// Whose the file `path` is, where it is not the member's whose folder `folder` is: by its
    /// path, and where `folder` is shared by its real place too, since a link can lead there.
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

    /// Whose each real place is. A file that is no link has its own place, whatever leads there.
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

    /// The member in whose folder, inside `folder`, a path lies.
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

/// The entries below a folder.
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

/// Whether a path lies below a folder.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}
