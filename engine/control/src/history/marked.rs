//! A past generation as a place that sources are read from.

use std::collections::BTreeMap;
use std::sync::Arc;

use seawall_ruleset::{Entry, KeptList, ReadError, Sources, Store, entries_of};

use crate::outcome::FileMark;

/// Where contents come from, by their digest in hexadecimal digits.
type Fetch<'f> = &'f dyn Fn(&str) -> Option<Vec<u8>>;
/// Where good copies of lists come from, by name and path.
type Kept<'k> = &'k dyn Fn(&str, &str) -> Result<Option<KeptList>, String>;

struct Marked<'m> {
    files: BTreeMap<&'m str, &'m str>,
    fetch: Fetch<'m>,
    kept: Kept<'m>,
}

/// What the root policy `root` reached when it was made of `files`. A content that `fetch` does not
/// have is a missing file.
#[must_use]
pub fn past_sources(root: &str, files: &[FileMark], fetch: Fetch<'_>) -> Sources {
    past_sources_with(root, files, fetch, &|_, _| Ok(None))
}

/// The same with good copies of lists.
pub(crate) fn past_sources_with(
    root: &str,
    files: &[FileMark],
    fetch: Fetch<'_>,
    kept: Kept<'_>,
) -> Sources {
    let files = files.iter().map(|file| (&*file.path, &*file.sha256)).collect();
    Sources::gather(root, &Marked { files, fetch, kept })
}

impl Store for Marked<'_> {
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

    fn kept_list(&self, name: &str, path: &str) -> Result<Option<KeptList>, String> {
        (self.kept)(name, path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::FolderStore;

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
        let marks = paths.map(|path| FileMark { path: path.to_owned(), sha256: path.to_owned() });
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
            let read = Sources::gather("r", &FolderStore::new(dir.path()));
            let mut marks = marks.to_vec();
            marks.push(FileMark { path: "r".to_owned(), sha256: "r".to_owned() });
            let fetch = |sha256: &str| {
                Some(
                    if sha256 == "r" { root.clone() } else { "policy 1\n".to_owned() }.into_bytes(),
                )
            };
            let past = past_sources("r", &marks, &fetch);
            assert_eq!(past.host().included("r", pattern), read.host().included("r", pattern));
            let is_found = pattern.starts_with("none") || read.paths().count() > 1;
            assert!(is_found, "{pattern}");
            if pattern != "*" {
                assert_eq!(past.digest(), read.digest(), "{pattern}");
            }
        }
    }
}
