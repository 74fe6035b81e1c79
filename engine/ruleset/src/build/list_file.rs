//! The file of a list.

use seawall_policy::diagnostic::Files;
use seawall_policy::program::{List, ListSource};

use crate::build::parts::LoadedList;
use crate::build::sources::resolve;

/// The active file of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFile {
    /// Its path, from the policy root.
    pub path: Box<str>,
    /// SHA-256 of the bytes in force; all zero if no valid file ever existed.
    pub digest: [u8; 32],
}

pub(crate) fn list_file(files: &Files, list: &List, loaded: &LoadedList) -> Option<ListFile> {
    let ListSource::File { path, .. } = &list.source else { return None };
    let path = resolve(files.name(list.file), path)?.into();
    Some(ListFile { path, digest: loaded.digest })
}
