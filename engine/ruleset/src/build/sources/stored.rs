//! A member's files from outside the policy folder: those of the last valid part.
//!
//! They are read in the same way as files in the policy folder. The current entry, folder, limits
//! and permissions apply, not those at the time of storing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::gather::{entries_of, gather_host, gather_members};
use super::names::Memo;
use super::reached::Reached;
use super::store::{CachedList, Entry, SourceStore};
use super::{MemberSources, ReadError, Sources};

/// Returns the last valid copies of lists, by full name and path.
pub type KeptLists<'k> = &'k dyn Fn(&str, &str) -> Result<Option<CachedList>, String>;

/// Files by their paths relative to the policy root.
pub struct Stored<'s> {
    files: &'s BTreeMap<String, Arc<[u8]>>,
    kept: KeptLists<'s>,
}

impl<'s> Stored<'s> {
    /// Creates a store of these files and copies of lists.
    #[must_use]
    pub fn new(files: &'s BTreeMap<String, Arc<[u8]>>, kept: KeptLists<'s>) -> Self {
        Self { files, kept }
    }
}

impl std::fmt::Debug for Stored<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl Sources {
    /// Returns the files of a member, taken from `stored`; `None` if the operator's files have no
    /// entry of the member. One `memo` can serve many members.
    #[must_use]
    pub fn member_of(
        &self,
        name: &str,
        stored: &dyn SourceStore,
        memo: &mut Memo,
    ) -> Option<MemberSources> {
        let from = (&*self.root, Some(name));
        gather_members(from, &Hosts(&self.host), &|_| stored, memo).pop()
    }

    /// Returns the operator's files only. Does not end a reading of `memo`.
    #[must_use]
    pub fn gather_host(root: &str, store: &dyn SourceStore, memo: &mut Memo) -> Self {
        let host = Arc::new(gather_host(root, store, memo));
        Self { root: root.to_owned(), host, members: Vec::new() }
    }

    /// Returns the operator's files of this value with each member's files read again from the
    /// store that `hers` returns. The entries are those of the operator's files here.
    #[must_use]
    pub fn with_members_from<'s>(
        &self,
        hers: &dyn Fn(&str) -> &'s dyn SourceStore,
        memo: &mut Memo,
    ) -> Self {
        let members = gather_members((&self.root, None), &Hosts(&self.host), hers, memo);
        memo.settle();
        Self { root: self.root.clone(), host: Arc::clone(&self.host), members }
    }
}

impl SourceStore for Stored<'_> {
    fn read(&self, path: &str, bytes_max: u64, _: &str) -> Result<Arc<[u8]>, ReadError> {
        let bytes = self.files.get(path).ok_or(ReadError::Missing)?;
        if bytes.len() as u64 > bytes_max {
            return Err(ReadError::TooLarge { bytes_max });
        }
        Ok(Arc::clone(bytes))
    }

    fn list(&self, folder: &str, _: &str, _: usize) -> Result<Vec<Entry>, ReadError> {
        Ok(entries_of(self.files.keys().map(|path| &**path), folder))
    }

    fn is_file(&self, path: &str, _: &str) -> bool {
        self.files.contains_key(path)
    }

    fn kept_list(&self, name: &str, path: &str) -> Result<Option<CachedList>, String> {
        (self.kept)(name, path)
    }
}

/// The operator's files as they were read.
struct Hosts<'h>(&'h Reached);

impl Hosts<'_> {
    fn there(&self) -> impl Iterator<Item = &str> {
        let is_there = |path: &&str| self.0.bytes(path) != Some(&Err(ReadError::Missing));
        self.0.paths().filter(is_there)
    }
}

impl SourceStore for Hosts<'_> {
    fn read(&self, path: &str, _: u64, _: &str) -> Result<Arc<[u8]>, ReadError> {
        self.0.bytes(path).cloned().unwrap_or(Err(ReadError::Missing))
    }

    fn list(&self, folder: &str, _: &str, _: usize) -> Result<Vec<Entry>, ReadError> {
        Ok(entries_of(self.there(), folder))
    }

    fn is_file(&self, path: &str, _: &str) -> bool {
        self.there().any(|there| there == path)
    }

    fn digest(&self, path: &str, bytes: &Arc<[u8]>) -> [u8; 32] {
        let known = self.0.sha256(path);
        known.unwrap_or_else(|| <sha2::Sha256 as sha2::Digest>::digest(bytes).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "policy 1\ninclude \"hosts/*.wall\"\n";

    fn files(of: &[(&str, &str)]) -> BTreeMap<String, Arc<[u8]>> {
        of.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().into())).collect()
    }

    fn read(of: &[(&str, &str)]) -> Sources {
        Sources::gather("r", &Stored::new(&files(of), &|_, _| Ok(None)))
    }

    fn member(may: &str) -> String {
        format!(
            "policy 1\nmember ann {{ hosts {{ \"a.example\" }} may {{ {may} }} file \"../m/a.wall\" }}\n"
        )
    }

    fn of(sources: &Sources, files: &BTreeMap<String, Arc<[u8]>>) -> Option<MemberSources> {
        sources.member_of("ann", &Stored::new(files, &|_, _| Ok(None)), &mut Memo::default())
    }

    #[test]
    fn stored_files_read_as_those_on_the_disk_did() {
        let entry = member("block, list");
        let hers = [
            (
                "m/a.wall",
                "policy 1\ninclude \"sub/*.wall\"\nlist l: string = file \"l.txt\" max 10\n",
            ),
            ("m/sub/b.wall", "policy 1\n"),
            ("m/l.txt", "x\n"),
        ];
        let host = [("r", ROOT), ("hosts/e.wall", &*entry)];
        let all = read(&[&host[..], &hers[..]].concat());
        let broken = read(&[&host[..], &[("m/a.wall", "policy")]].concat());
        let good = of(&broken, &files(&hers)).unwrap();
        assert_eq!(Some(good.digest()), all.member("ann").map(MemberSources::digest));
        assert_eq!(good.reached().paths().count(), 3);
        assert_ne!(broken.member("ann").map(MemberSources::digest), Some(good.digest()));
    }

    #[test]
    fn what_the_host_grants_and_owns_now_holds_for_stored_files() {
        let host = |entry: &str| read(&[("r", ROOT), ("hosts/e.wall", entry)]);
        let list = [
            ("m/a.wall", "policy 1\nlist l: string = file \"l.txt\" max 10\n"),
            ("m/l.txt", "x\n"),
        ];
        let good = of(&host(&member("block")), &files(&list)).unwrap();
        let refused = good.reached().bytes("m/l.txt").unwrap();
        assert_eq!(refused, &Err(ReadError::NotGranted { word: "list" }));

        let out = [("m/a.wall", "policy 1\ninclude \"../hosts/e.wall\"\n")];
        let good = of(&host(&member("block")), &files(&out)).unwrap();
        assert!(good.reached().held("hosts/e.wall").is_none());

        let big = "x".repeat(1 << 20) + "y";
        let good = of(&host(&member("block")), &files(&[("m/a.wall", &*big)])).unwrap();
        assert!(matches!(good.reached().bytes("m/a.wall"), Some(Err(_))), "over her budget");
        assert!(of(&host("policy 1\n"), &files(&list)).is_none(), "no entry any more");
    }

    #[test]
    fn nothing_that_is_stored_is_taken_for_the_hosts() {
        let root = "policy 1\ninclude \"*.wall\"\nmember ann { hosts { \"a.example\" } file \"m/a.wall\" }\n";
        let sources = read(&[("r", root), ("m/a.wall", "policy 1\n")]);
        let planted = [
            ("m/a.wall", "policy 1\n"),
            (
                "x.wall",
                "policy 1\nmember ann { hosts { \"a.example\" } may { block } file \"m/b.wall\" }\n",
            ),
        ];
        let good = of(&sources, &files(&planted)).unwrap();
        assert_eq!(good.file(), Ok("m/a.wall"));
    }
}
