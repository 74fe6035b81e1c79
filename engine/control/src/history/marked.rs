//! A past generation as a place that sources are read from.

use std::collections::BTreeMap;

use seawall_ruleset::{KeptList, ReadError, Sources, Store};

use crate::outcome::FileMark;
use crate::store::matching;

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
    fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
        let sha256 = self.files.get(path).ok_or(ReadError::Missing)?;
        let bytes = (self.fetch)(sha256).ok_or(ReadError::Missing)?;
        if bytes.len() as u64 > bytes_max {
            return Err(ReadError::TooLarge { bytes_max });
        }
        Ok(bytes)
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, ReadError> {
        Ok(matching(pattern, self.files.keys().copied()))
    }

    fn kept_list(&self, name: &str, path: &str) -> Result<Option<KeptList>, String> {
        (self.kept)(name, path)
    }
}
