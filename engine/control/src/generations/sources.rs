//! A past generation as a source of policy files.

use std::collections::BTreeMap;
use std::sync::Arc;

use seawall_admin_api::{FileDigest, Marks, Past};
use seawall_ruleset::{CachedList, Entry, Memo, ReadError, SourceStore, Sources, entries_of};

/// Returns a content by its digest in hexadecimal digits.
type FetchBlobFn<'f> = &'f dyn Fn(&str) -> Option<Vec<u8>>;
/// Returns the last good copy of a list, by name and path.
type Kept<'k> = &'k dyn Fn(&str, &str) -> Result<Option<CachedList>, String>;

struct ArchivedSources<'m> {
    files: BTreeMap<&'m str, &'m str>,
    fetch: FetchBlobFn<'m>,
    kept: Kept<'m>,
}

/// Returns the files of a generation: the operator's, and those of each member's active part. A
/// content that `fetch` does not have is a missing file.
#[must_use]
pub fn past_sources(past: &Past, fetch: FetchBlobFn<'_>) -> Sources {
    let kept: Kept<'_> = &|_, _| Ok(None);
    let parts = past.parts.iter().map(|(name, marks)| (&**name, marks)).collect();
    past_members(&past_host(past, fetch, kept), &parts, fetch, kept)
}

/// Returns the operator's files of a generation, with good copies of lists.
pub(crate) fn past_host(past: &Past, fetch: FetchBlobFn<'_>, kept: Kept<'_>) -> Sources {
    let marked = ArchivedSources::new(&past.files, fetch, kept);
    Sources::gather_host(&past.root, &marked, &mut Memo::default())
}

/// Returns the operator's files of `sources` with the members' parts in `parts`. A member that is
/// not in `parts` has no files.
pub(crate) fn past_members(
    sources: &Sources,
    parts: &BTreeMap<&str, &Marks>,
    fetch: FetchBlobFn<'_>,
    kept: Kept<'_>,
) -> Sources {
    let stores: BTreeMap<&str, ArchivedSources<'_>> = parts
        .iter()
        .map(|(name, marks)| (*name, ArchivedSources::new(marks, fetch, kept)))
        .collect();
    let none = ArchivedSources::new(&[], fetch, kept);
    let hers = |name: &str| stores.get(name).unwrap_or(&none) as &dyn SourceStore;
    sources.with_members_from(&hers, &mut Memo::default())
}

impl<'m> ArchivedSources<'m> {
    fn new(marks: &'m [FileDigest], fetch: FetchBlobFn<'m>, kept: Kept<'m>) -> Self {
        let files = marks.iter().map(|file| (&*file.path, &*file.sha256)).collect();
        Self { files, fetch, kept }
    }
}

impl SourceStore for ArchivedSources<'_> {
    fn read(&self, path: &str, bytes_max: u64, _: &str) -> Result<Arc<[u8]>, ReadError> {
        let sha256 = self.files.get(path).ok_or(ReadError::Missing)?;
        let bytes = (self.fetch)(sha256).ok_or(ReadError::Missing)?;
        if bytes.len() as u64 > bytes_max {
            return Err(ReadError::TooLarge { bytes_max });
        }
        Ok(bytes.into())
    }

    fn list(&self, folder: &str, _: &str, _: usize) -> Result<Vec<Entry>, ReadError> {
        Ok(entries_of(self.files.keys().copied(), folder))
    }

    fn is_file(&self, path: &str, _: &str) -> bool {
        self.files.contains_key(path)
    }

    fn kept_list(&self, name: &str, path: &str) -> Result<Option<CachedList>, String> {
        (self.kept)(name, path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::policy_source::policy_dir::PolicyDir;
    use seawall_admin_api::ReloadCause;

    #[test]
    fn remembered_paths_match_as_files_do() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [
            "a.wall",
            "lists/b.wall",
            "lists/m2.wall",
            "lists/m10.wall",
            "lists/.h.wall",
            "deep/er/m1.wall",
        ];
        let marks = paths.map(|path| FileDigest { path: path.to_owned(), sha256: path.to_owned() });
        for pattern in
            ["*.wall", "lists/*.wall", "*/m?.wall", "lists/m*", "a.wall", "*", "none/*", "*/*/m*"]
        {
            let root = format!("policy 1\ninclude \"{pattern}\"\n");
            for path in paths {
                let place = dir.path().join(path);
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                fs::write(place, "policy 1\n").unwrap();
            }
            fs::write(dir.path().join("r"), &root).unwrap();
            let read = Sources::gather("r", &PolicyDir::new(dir.path()));
            let mut marks = marks.to_vec();
            marks.push(FileDigest { path: "r".to_owned(), sha256: "r".to_owned() });
            let fetch = |sha256: &str| {
                Some(
                    if sha256 == "r" { root.clone() } else { "policy 1\n".to_owned() }.into_bytes(),
                )
            };
            let of = crate::generations::test_past(1, ReloadCause::Change);
            let of = Past { root: "r".to_owned(), files: Marks::from(marks), ..of };
            let past = past_sources(&of, &fetch);
            assert_eq!(past.host().included("r", pattern), read.host().included("r", pattern));
            let is_found = pattern.starts_with("none") || read.paths().count() > 1;
            assert!(is_found, "{pattern}");
            if pattern != "*" {
                assert_eq!(past.digest(), read.digest(), "{pattern}");
            }
        }
    }
}
