//! Everything that a root policy reaches, read into memory, each file for its owner.
//!
//! The only step of a reload that touches a disk, and it does so through [`SourceStore`], which the
//! control plane implements: here is no I/O. Paths are relative to the policy root, cleaned of `.`
//! and `..`, and one that leaves the root is never asked for.
//!
//! Who owns a file is decided before it is opened, and never by who names it first: what the
//! host's files reach is the host's, then the files of all `member` entries are their members',
//! and a member's file can name only what lies in her own folder and is nobody else's. So nothing
//! that a member writes changes what the host or another member has.
//!
//! Where this does not protect: members that share one folder may read each other's lists there,
//! since a list belongs to no one but its folder. One folder for each member is the way to have
//! none of that.

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

/// What the files of one member reach. A copy shares the bytes.
#[derive(Debug, Clone)]
pub struct MemberSources {
    name: Box<str>,
    file: Result<Box<str>, ReadError>,
    folder: Box<str>,
    reached: Arc<Reached>,
    state: State,
}

/// Whether a member's files can be gone by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Read,
    /// They keep changing while they are read.
    Unsettled,
    /// They are left out.
    Absent,
}

impl MemberSources {
    /// The member, as her entry calls her.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of her file from the policy root.
    ///
    /// # Errors
    /// Her entry's path leaves the root, or is the host's or another member's: what is wrong with
    /// the entry.
    pub fn file(&self) -> Result<&str, &ReadError> {
        self.file.as_deref()
    }

    /// The folder of her file from the policy root, which her files may not leave; empty where it
    /// is the root.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// What her files reach; nothing where they are left out.
    #[must_use]
    pub fn reached(&self) -> &Reached {
        &self.reached
    }

    /// Whether her files keep changing while they are read, so that nothing can be said of them.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.state == State::Unsettled
    }

    /// Whether her files are left out.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.state == State::Absent
    }

    /// A digest of all that her part is made of: her policy files, lists, components, the good
    /// copies of her lists, and what could not be read and why.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest_over(|reached| reached.digest_with_kept())
    }

    /// The same without the good copies of her lists, which change by themselves: what tells
    /// whether she changed anything.
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
            // Whatever was read of them is chance, and must not differ from one look to the next.
            State::Unsettled => parts.add(b"unsettled"),
            State::Absent => parts.add(b"absent"),
        }
        parts.finish()
    }

    /// The same with its policy files alone: lists and components are held elsewhere.
    #[must_use]
    pub fn policies(&self) -> Self {
        Self { reached: Arc::new(self.reached.only_policies()), ..self.clone() }
    }
}

/// What a root policy reaches.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    root: String,
    host: Arc<Reached>,
    members: Vec<MemberSources>,
}

impl Sources {
    /// Reads the root policy and all that it reaches.
    #[must_use]
    pub fn gather(root: &str, store: &dyn SourceStore) -> Self {
        Self::gather_again(root, store, &mut Memo::default())
    }

    /// The same, where `memo` is that of an earlier reading: what did not change is not parsed
    /// again.
    #[must_use]
    pub fn gather_again(root: &str, store: &dyn SourceStore, memo: &mut Memo) -> Self {
        let sources = gather::gather(root, store, memo);
        memo.settle();
        sources
    }

    /// The root policy's path.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// What the host's files reach.
    #[must_use]
    pub fn host(&self) -> &Reached {
        &self.host
    }

    /// The members that have a file, in the order of their `member` entries. Of two entries of one
    /// name the first counts.
    #[must_use]
    pub fn members(&self) -> &[MemberSources] {
        &self.members
    }

    /// A member that has a file.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&MemberSources> {
        self.members.iter().find(|member| *member.name == *name)
    }

    /// Puts other files, such as those of an earlier generation, in the place of a member's; says
    /// whether she has an entry here.
    pub fn replace_member(&mut self, other: MemberSources) -> bool {
        let place = self.members.iter_mut().find(|member| member.name == other.name);
        place.map(|place| *place = other).is_some()
    }

    /// Puts other files, such as last good ones, in the place of those members' for whom `find`
    /// finds any.
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

    /// Notes that a member's files keep changing while they are read.
    pub fn unsettle(&mut self, name: &str) {
        if let Some(member) = self.members.iter_mut().find(|member| *member.name == *name) {
            member.reached = Arc::default();
            member.state = State::Unsettled;
        }
    }

    /// Notes it of each member whose files were being written while they were read.
    pub fn unsettle_changing(&mut self) {
        for member in self.members.iter_mut().filter(|member| member.reached.changing()) {
            member.reached = Arc::default();
            member.state = State::Unsettled;
        }
    }

    /// Notes it of each member whose files read otherwise in `again`; says whether the host's
    /// files and the entries are the same there.
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

    /// The members whose files keep changing while they are read.
    pub fn unsettled(&self) -> impl Iterator<Item = &str> {
        self.members.iter().filter(|member| member.is_unsettled()).map(|member| &*member.name)
    }

    /// Whose policy file this is; nobody's where it is the host's or no policy file.
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

    /// Whether a policy file is a member's.
    #[must_use]
    pub fn is_members(&self, path: &str) -> bool {
        self.owner(path).is_some()
    }

    /// Whether a file is one of the policy itself.
    #[must_use]
    pub fn is_policy(&self, path: &str) -> bool {
        self.all().any(|reached| reached.is_policy(path))
    }

    /// The host's policy files alone, and the members without their files.
    pub(crate) fn host_policies(&self) -> Self {
        let without = |member: &MemberSources| MemberSources {
            reached: Arc::default(),
            state: State::Absent,
            ..member.clone()
        };
        let members = self.members.iter().map(without).collect();
        Self { root: self.root.clone(), host: Arc::new(self.host.only_policies()), members }
    }

    /// A digest of the host's policy files.
    #[must_use]
    pub fn host_policy_digest(&self) -> [u8; 32] {
        self.host.only_policies().digest()
    }

    fn all(&self) -> impl Iterator<Item = &Reached> {
        std::iter::once(&*self.host).chain(self.members.iter().map(|member| &*member.reached))
    }

    /// All paths that were asked for, read or not, each once.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.all().flat_map(Reached::paths).collect::<BTreeSet<_>>().into_iter()
    }

    /// The folders of all that was looked for, each once, those of the host first.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        let mut seen = BTreeSet::new();
        self.all().flat_map(Reached::folders).filter(move |folder| seen.insert(*folder))
    }

    /// Whether a file was being written while it was read, so that reading again makes sense.
    #[must_use]
    pub fn changing(&self) -> bool {
        self.all().any(Reached::changing)
    }

    /// A digest of everything: equal digests are the same policy, lists and components, and the
    /// same reasons for what is not there.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut parts = Parts::default();
        parts.add(&self.host_digest());
        for member in &self.members {
            parts.add(&member.digest_over(Reached::digest));
        }
        parts.finish()
    }

    /// A digest of what the host's files reach.
    #[must_use]
    pub fn host_digest(&self) -> [u8; 32] {
        self.host.digest()
    }

    /// The SHA-256 of a file, where it was read.
    #[must_use]
    pub fn sha256(&self, path: &str) -> Option<[u8; 32]> {
        self.all().find_map(|reached| reached.sha256(path))
    }

    /// The bytes of a file, where it was read.
    #[must_use]
    pub fn held(&self, path: &str) -> Option<Arc<[u8]>> {
        self.all().find_map(|reached| reached.held(path))
    }

    /// The text of a file, as far as it is text.
    #[must_use]
    pub fn text(&self, path: &str) -> std::borrow::Cow<'_, str> {
        let there = self.all().find(|reached| matches!(reached.bytes(path), Some(Ok(_))));
        there.map_or(std::borrow::Cow::Borrowed(""), |reached| reached.text(path))
    }
}

/// A path as written in `file`, from the root; `None` where it leaves the root.
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

/// The folder of a path, empty for the root.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
