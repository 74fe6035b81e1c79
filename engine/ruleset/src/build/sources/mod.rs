//! All files that a root policy refers to, read into memory, with the owner of each.
//!
//! This is the only step of a reload that reads a disk, through [`SourceStore`], which the control
//! plane implements. Paths are relative to the policy root and without `.` and `..`.
//!
//! The owner of a file is determined before it is opened: first the operator's files, then the
//! files of all `member` entries. A member's file can name only files in the member's own folder
//! that belong to no other owner. So a member cannot change what the operator or another member
//! has.
//!
//! Limitation: members that share a folder can read each other's lists there.

mod error;
mod gather;
mod limits;
mod names;
mod owners;
mod pattern;
mod reached;
mod store;
mod stored;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use error::ReadError;
pub use gather::entries_of;
pub use limits::{
    COMPONENT_BYTES_MAX, FILES_MAX, GLOB_ENTRIES_MAX, LIST_BYTES_MAX, MEMBER_COMPONENT_BYTES_MAX,
    MEMBER_ENTRIES_MAX, MEMBER_FILES_MAX, MEMBER_FOLDERS_MAX, MEMBER_LIST_BYTES_MAX,
    MEMBER_MATCH_STEPS_MAX, MEMBER_POLICY_BYTES_MAX, MEMBERS_BYTES_MAX, MemberLimit,
    POLICY_BYTES_MAX, TOTAL_BYTES_MAX,
};
pub use names::Memo;
use reached::Parts;
pub use reached::Reached;
pub use store::{CachedList, Entry, SourceStore};
pub use stored::{KeptLists, Stored};

/// The files of one member. A clone shares the bytes.
#[derive(Debug, Clone)]
pub struct MemberSources {
    name: Box<str>,
    file: Result<Box<str>, ReadError>,
    folder: Box<str>,
    reached: Arc<Reached>,
    state: State,
}

/// Whether the files of a member are usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Read,
    /// The files change while they are read.
    Unsettled,
    /// The files are omitted.
    Absent,
}

impl MemberSources {
    /// Returns the name in the member's entry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path of the member's file relative to the policy root.
    ///
    /// # Errors
    /// The path in the entry leaves the root, or belongs to the operator or to another member.
    pub fn file(&self) -> Result<&str, &ReadError> {
        self.file.as_deref()
    }

    /// Returns the folder of the member's file relative to the policy root; empty for the root. The
    /// member's files cannot leave it.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Returns the files of the member; none if they are omitted.
    #[must_use]
    pub fn reached(&self) -> &Reached {
        &self.reached
    }

    /// Returns whether the files change while they are read, so that they have no defined content.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.state == State::Unsettled
    }

    /// Returns whether the member's files are omitted.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.state == State::Absent
    }

    /// Returns a digest of all inputs of the member's part: policy files, lists, components, stored
    /// copies of lists, and the errors of unreadable files.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest_over(|reached| reached.digest_with_kept())
    }

    /// Returns the digest without the stored copies of lists, which change by themselves. It shows
    /// whether the member changed anything.
    #[must_use]
    pub fn content(&self) -> [u8; 32] {
        self.digest_over(Reached::digest)
    }

    fn digest_over(&self, of: impl Fn(&Reached) -> [u8; 32]) -> [u8; 32] {
        let mut parts = Parts::default();
        parts.add(self.name.as_bytes());
        match &self.file {
            Ok(file) => parts.add(file.as_bytes()),
            Err(why) => parts.add(format!("!{why}").as_bytes()),
        }
        match self.state {
            State::Read => parts.add(&of(&self.reached)),
            // The content read is arbitrary and must not affect the digest.
            State::Unsettled => parts.add(b"unsettled"),
            State::Absent => parts.add(b"absent"),
        }
        parts.finish()
    }

    /// Returns a copy with the policy files only. Lists and components are stored elsewhere.
    #[must_use]
    pub fn policies(&self) -> Self {
        Self { reached: Arc::new(self.reached.only_policies()), ..self.clone() }
    }
}

/// The files of a root policy.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    root: String,
    host: Arc<Reached>,
    members: Vec<MemberSources>,
}

impl Sources {
    /// Reads the root policy and all files that it refers to.
    #[must_use]
    pub fn gather(root: &str, store: &dyn SourceStore) -> Self {
        Self::gather_again(root, store, &mut Memo::default())
    }

    /// Reads again with the `memo` of an earlier reading. Unchanged texts are not parsed again.
    #[must_use]
    pub fn gather_again(root: &str, store: &dyn SourceStore, memo: &mut Memo) -> Self {
        let sources = gather::gather(root, store, memo);
        memo.settle();
        sources
    }

    /// Returns the path of the root policy.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Returns the operator's files.
    #[must_use]
    pub fn host(&self) -> &Reached {
        &self.host
    }

    /// Returns the members with a file, in the order of their `member` entries. If a name occurs
    /// twice, the first entry counts.
    #[must_use]
    pub fn members(&self) -> &[MemberSources] {
        &self.members
    }

    /// Returns a member that has a file.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&MemberSources> {
        self.members.iter().find(|member| *member.name == *name)
    }

    /// Replaces a member's files, for example by those of an earlier generation. Returns whether
    /// the member has an entry here.
    pub fn replace_member(&mut self, other: MemberSources) -> bool {
        let place = self.members.iter_mut().find(|member| member.name == other.name);
        place.map(|place| *place = other).is_some()
    }

    /// Replaces the files of all members for which `find` returns other files, such as the last
    /// valid ones.
    pub(crate) fn fill_members<'f>(
        &mut self,
        mut find: impl FnMut(&str) -> Option<&'f MemberSources>,
    ) {
        for place in &mut self.members {
            if let Some(found) = find(&place.name) {
                *place = found.clone();
            }
        }
    }

    /// Marks the files of a member as changing while they are read.
    pub fn unsettle(&mut self, name: &str) {
        if let Some(member) = self.members.iter_mut().find(|member| *member.name == *name) {
            member.reached = Arc::default();
            member.state = State::Unsettled;
        }
    }

    /// Marks each member whose files were being written while they were read.
    pub fn unsettle_changing(&mut self) {
        for member in self.members.iter_mut().filter(|member| member.reached.changing()) {
            member.reached = Arc::default();
            member.state = State::Unsettled;
        }
    }

    /// Marks each member whose files differ in `again`. Returns whether the operator's files and
    /// the entries are equal there.
    pub fn unsettle_differing(&mut self, again: &Self) -> bool {
        let names = |of: &Self| of.members.iter().map(|member| member.name.clone()).collect();
        let (here, there): (Vec<_>, Vec<_>) = (names(self), names(again));
        if here != there || self.host_digest() != again.host_digest() {
            return false;
        }
        for (member, other) in self.members.iter_mut().zip(&again.members) {
            let content = |of: &MemberSources| of.digest_over(Reached::digest);
            if member.state == State::Read && content(member) != content(other) {
                member.reached = Arc::default();
                member.state = State::Unsettled;
            }
        }
        true
    }

    /// Returns the members whose files change while they are read.
    pub fn unsettled(&self) -> impl Iterator<Item = &str> {
        self.members.iter().filter(|member| member.is_unsettled()).map(|member| &*member.name)
    }

    /// Returns the member that owns a policy file; `None` for the operator and for other files.
    #[must_use]
    pub fn owner(&self, path: &str) -> Option<&str> {
        if self.host.is_policy(path) {
            return None;
        }
        let claimed = |member: &&MemberSources| member.file.as_deref() == Ok(path);
        let reaches = |member: &&MemberSources| member.reached.is_policy(path);
        let owner = self.members.iter().find(claimed);
        owner.or_else(|| self.members.iter().find(reaches)).map(|member| &*member.name)
    }

    /// Returns whether a policy file belongs to a member.
    #[must_use]
    pub fn is_members(&self, path: &str) -> bool {
        self.owner(path).is_some()
    }

    /// Returns whether a file is a policy file.
    #[must_use]
    pub fn is_policy(&self, path: &str) -> bool {
        self.all().any(|reached| reached.is_policy(path))
    }

    /// Returns the operator's policy files only, and the members without their files.
    pub(crate) fn host_policies(&self) -> Self {
        let without = |member: &MemberSources| MemberSources {
            reached: Arc::default(),
            state: State::Absent,
            ..member.clone()
        };
        let members = self.members.iter().map(without).collect();
        Self { root: self.root.clone(), host: Arc::new(self.host.only_policies()), members }
    }

    /// Returns a digest of the operator's policy files.
    #[must_use]
    pub fn host_policy_digest(&self) -> [u8; 32] {
        self.host.only_policies().digest()
    }

    fn all(&self) -> impl Iterator<Item = &Reached> {
        std::iter::once(&*self.host).chain(self.members.iter().map(|member| &*member.reached))
    }

    /// Returns all requested paths, read or not, each once.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.all().flat_map(Reached::paths).collect::<BTreeSet<_>>().into_iter()
    }

    /// Returns all searched folders, each once, those of the operator first.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        let mut seen = BTreeSet::new();
        self.all().flat_map(Reached::folders).filter(move |folder| seen.insert(*folder))
    }

    /// Returns whether a file was being written while it was read, so that it should be read again.
    #[must_use]
    pub fn changing(&self) -> bool {
        self.all().any(Reached::changing)
    }

    /// Returns a digest of everything: equal digests mean the same policy, lists and components,
    /// and the same errors of unreadable files.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut parts = Parts::default();
        parts.add(&self.host_digest());
        for member in &self.members {
            parts.add(&member.digest_over(Reached::digest));
        }
        parts.finish()
    }

    /// Returns a digest of the operator's files.
    #[must_use]
    pub fn host_digest(&self) -> [u8; 32] {
        self.host.digest()
    }

    /// Returns the SHA-256 of a file if it was read.
    #[must_use]
    pub fn sha256(&self, path: &str) -> Option<[u8; 32]> {
        self.all().find_map(|reached| reached.sha256(path))
    }

    /// Returns the bytes of a file if it was read.
    #[must_use]
    pub fn held(&self, path: &str) -> Option<Arc<[u8]>> {
        self.all().find_map(|reached| reached.held(path))
    }

    /// Returns the text of a file; invalid UTF-8 is replaced.
    #[must_use]
    pub fn text(&self, path: &str) -> std::borrow::Cow<'_, str> {
        let there = self.all().find(|reached| matches!(reached.bytes(path), Some(Ok(_))));
        there.map_or(std::borrow::Cow::Borrowed(""), |reached| reached.text(path))
    }
}

/// Returns a path written in `file` relative to the root; `None` if it leaves the root.
#[must_use]
pub fn resolve(file: &str, path: &str) -> Option<String> {
    if path.is_empty() || path.starts_with('/') || path.contains(['\0', '\\']) {
        return None;
    }
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Returns the folder of a path; empty for the root.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
