//! Reads all files: first the operator's, then each member's separately.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::error::ReadError;
use super::limits::{Budget, GLOB_ENTRIES_MAX, MemberLimit, STEPS_OF_MATCH};
use super::names::{Memo, Named};
use super::owners::{Owners, is_below};
use super::pattern::{fits, is_pattern, natural};
use super::reached::Reached;
use super::store::{Entry, SourceStore};
use super::{
    COMPONENT_BYTES_MAX, FILES_MAX, LIST_BYTES_MAX, MEMBERS_BYTES_MAX, MemberSources,
    POLICY_BYTES_MAX, Sources, State, folder_of, resolve,
};
use crate::build::signatures::{SIGNATURE_BYTES_MAX, SIGNATURE_ENDING};

/// Listings of folders, by reader and path. Each is read once.
type Listings = HashMap<(Box<str>, String), Arc<[Entry]>>;

/// The use of a file, which determines its size limit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FileKind {
    Policy,
    List,
    Component,
    Signature,
}

impl FileKind {
    const fn bytes_max(self) -> u64 {
        match self {
            Self::Policy => POLICY_BYTES_MAX,
            Self::List => LIST_BYTES_MAX,
            Self::Component => COMPONENT_BYTES_MAX,
            Self::Signature => SIGNATURE_BYTES_MAX,
        }
    }
}

/// An entry of a member.
struct MemberEntry {
    name: Box<str>,
    grants: Arc<[Box<str>]>,
    /// The path relative to the policy root.
    file: Result<String, ReadError>,
}

/// A member whose files are read.
struct Member<'t> {
    entry: &'t MemberEntry,
    folder: &'t str,
    is_shared: bool,
}

/// The state while the files of one owner are read.
struct Walk<'w> {
    store: &'w dyn SourceStore,
    memo: &'w mut Memo,
    listings: &'w mut Listings,
    owners: &'w mut Owners,
    member: Option<Member<'w>>,
    budget: Budget,
    reached: Reached,
    entries: Vec<MemberEntry>,
    /// The names of the members.
    named: HashSet<Box<str>>,
    /// Policy files already read.
    followed: BTreeSet<String>,
    /// Folders whose entries are already counted.
    listed: BTreeSet<String>,
    /// Cached results of pattern matches.
    matches: HashMap<String, bool>,
    /// Files that policy files name, other than policy files, with the file that names them.
    others: Vec<(String, Arc<[Named]>, usize)>,
}

/// One step of the reading, in source order.
enum Step {
    Policy(String),
    Named(String, Arc<[Named]>, usize),
}

/// The operator's files, and the entries of members.
struct Begun {
    host: Reached,
    entries: Vec<MemberEntry>,
    owners: Owners,
    listings: Listings,
}

fn begin(root: &str, store: &dyn SourceStore, memo: &mut Memo) -> Begun {
    let (mut owners, mut listings) = (Owners::default(), Listings::default());
    let mut walk = Walk::new(store, memo, (&mut listings, &mut owners), None, Budget::host());
    walk.policies(root.to_owned());
    walk.others();
    let (host, mut entries) = (walk.reached, walk.entries);
    host.paths().for_each(|path| owners.host(path));
    for entry in &mut entries {
        if let Ok(path) = &entry.file
            && let Err(why) = owners.member(path, &entry.name)
        {
            entry.file = Err(why);
        }
    }
    Begun { host, entries, owners, listings }
}

/// Reads one member's files. All members together have `left` remaining bytes.
fn member(
    entry: &MemberEntry,
    (store, memo): (&dyn SourceStore, &mut Memo),
    (listings, owners): (&mut Listings, &mut Owners),
    left: &mut u64,
) -> MemberSources {
    let folder = entry.file.as_ref().map_or("", |path| folder_of(path));
    let mut reached = Reached::default();
    if let Ok(path) = &entry.file {
        let is_shared = owners.is_shared(folder, &entry.name);
        let member = Some(Member { entry, folder, is_shared });
        let mut walk = Walk::new(store, memo, (listings, owners), member, Budget::member(*left));
        walk.policies(path.clone());
        walk.others();
        *left = walk.budget.total_bytes;
        reached = walk.reached;
    }
    MemberSources {
        name: entry.name.clone(),
        file: entry.file.clone().map(Into::into),
        folder: folder.into(),
        reached: Arc::new(reached),
        state: State::Read,
    }
}

pub(super) fn gather(root: &str, store: &dyn SourceStore, memo: &mut Memo) -> Sources {
    let Begun { host, entries, mut owners, mut listings } = begin(root, store, memo);
    let mut left = MEMBERS_BYTES_MAX;
    let read = |entry: &MemberEntry| {
        member(entry, (store, &mut *memo), (&mut listings, &mut owners), &mut left)
    };
    let members = entries.iter().map(read).collect();
    Sources { root: root.to_owned(), host: Arc::new(host), members }
}

/// Reads the operator's files only.
pub(super) fn gather_host(root: &str, store: &dyn SourceStore, memo: &mut Memo) -> Reached {
    begin(root, store, memo).host
}

/// Reads the files of one member or of all members, each from the store that `hers` returns. The
/// entries are those in the operator's files `hosts`. The results are separate, so that no file of
/// a member counts as the operator's.
pub(super) fn gather_members<'s>(
    (root, only): (&str, Option<&str>),
    hosts: &dyn SourceStore,
    hers: &dyn Fn(&str) -> &'s dyn SourceStore,
    memo: &mut Memo,
) -> Vec<MemberSources> {
    let Begun { entries, mut owners, .. } = begin(root, hosts, memo);
    let mut listings = Listings::default();
    let mut left = MEMBERS_BYTES_MAX;
    let wanted = entries.iter().filter(|entry| only.is_none_or(|name| *entry.name == *name));
    let mut last: Option<&dyn SourceStore> = None;
    let read = |entry: &MemberEntry| {
        let store = hers(&entry.name);
        // A listing is valid for one store only.
        if last.replace(store).is_none_or(|last| !std::ptr::addr_eq(last, store)) {
            listings.clear();
        }
        member(entry, (store, &mut *memo), (&mut listings, &mut owners), &mut left)
    };
    wanted.map(read).collect()
}

impl<'w> Walk<'w> {
    fn new(
        store: &'w dyn SourceStore,
        memo: &'w mut Memo,
        (listings, owners): (&'w mut Listings, &'w mut Owners),
        member: Option<Member<'w>>,
        budget: Budget,
    ) -> Self {
        Self {
            store,
            memo,
            listings,
            owners,
            member,
            budget,
            reached: Reached::default(),
            entries: Vec::new(),
            named: HashSet::new(),
            followed: BTreeSet::new(),
            listed: BTreeSet::new(),
            matches: HashMap::new(),
            others: Vec::new(),
        }
    }

    fn within(&self) -> &'w str {
        self.member.as_ref().map_or("", |member| member.folder)
    }

    /// Reads the policy files, beginning with `first`, with includes at their positions.
    fn policies(&mut self, first: String) {
        let mut steps = vec![Step::Policy(first)];
        while let Some(step) = steps.pop() {
            match step {
                Step::Policy(path) => {
                    if !self.followed.insert(path.clone()) {
                        continue;
                    }
                    self.read(&path, FileKind::Policy);
                    // A reference to another owner's file does not make it a policy file of this
                    // member.
                    let read = self.reached.files.get(&path);
                    if !matches!(
                        read,
                        Some(Err(ReadError::Owned { .. } | ReadError::OutsideFolder { .. }))
                    ) {
                        self.reached.policies.insert(path.clone());
                    }
                    let Some(bytes) = self.reached.held(&path) else { continue };
                    let digest = self.reached.sha256(&path).unwrap_or_default();
                    let names = self.memo.names(digest, &bytes);
                    steps.push(Step::Named(path, names, 0));
                }
                Step::Named(file, names, at) => {
                    let Some(named) = names.get(at) else { continue };
                    let next = Step::Named(file.clone(), Arc::clone(&names), at.saturating_add(1));
                    steps.push(next);
                    match named {
                        Named::Include(pattern) => self.include(&file, pattern, &mut steps),
                        Named::Member { name, grants, file: Some(path) } => {
                            self.entry(&file, name, grants, path);
                        }
                        Named::Member { .. } => {}
                        Named::List { .. } | Named::Component(_) => {
                            self.others.push((file, names, at));
                        }
                    }
                }
            }
        }
    }

    fn include(&mut self, file: &str, pattern: &str, steps: &mut Vec<Step>) {
        let key = (file.to_owned(), pattern.to_owned());
        if self.reached.included.contains_key(&key) {
            return;
        }
        let found = match self.inside(file, pattern) {
            Ok(full) if is_pattern(&full) => self.glob(&full),
            Ok(full) => Ok(vec![full]),
            Err(why) => Err(why),
        };
        steps.extend(found.iter().flatten().rev().cloned().map(Step::Policy));
        self.reached.included.insert(key, found);
    }

    /// Records an entry of a member. In a member's own file, an entry has no effect.
    fn entry(&mut self, file: &str, name: &str, grants: &Arc<[Box<str>]>, path: &str) {
        if self.member.is_none() && self.named.insert(name.into()) {
            let file = resolve(file, path).ok_or(ReadError::Outside);
            self.entries.push(MemberEntry { name: name.into(), grants: Arc::clone(grants), file });
        }
    }

    /// Reads the files that are not policy files.
    fn others(&mut self) {
        for (file, names, at) in std::mem::take(&mut self.others) {
            match names.get(at) {
                Some(Named::List { name, path })
                    if self.want(&file, path, FileKind::List).is_some() =>
                {
                    self.kept(&file, name, path);
                }
                Some(Named::Component(path))
                    if self.want(&file, path, FileKind::Component).is_some() =>
                {
                    self.signature(&file, path);
                }
                _ => {}
            }
        }
    }

    /// Reads a file once. Returns `None` if the owner cannot read it.
    fn want(&mut self, file: &str, path: &str, want: FileKind) -> Option<String> {
        let full = resolve(file, path)?;
        let word = if want == FileKind::List { "list" } else { "extern" };
        let is_granted = |member: &Member<'_>| member.entry.grants.iter().any(|had| **had == *word);
        if self.member.as_ref().is_some_and(|member| !is_granted(member)) {
            let why = ReadError::NotGranted { word };
            self.reached.files.entry(full).or_insert(Err(why));
            return None;
        }
        let before = self.reached.files.get(&full);
        if before.is_none_or(|read| matches!(read, Err(ReadError::NotGranted { .. }))) {
            self.read(&full, want);
        }
        Some(full)
    }

    /// Requests the last valid copy of a list. Its file is already read.
    fn kept(&mut self, file: &str, name: &str, path: &str) {
        let Some(path) = resolve(file, path) else { return };
        // A member's names have the member as prefix.
        let name = match &self.member {
            Some(member) => format!("{}.{name}", member.entry.name),
            None => name.to_owned(),
        };
        if self.may_name(&path).is_err() || self.reached.kept.len() >= FILES_MAX {
            return;
        }
        if let Some(kept) = self.store.kept_list(&name, &path).transpose() {
            let bytes = kept.as_ref().map_or(0, |kept| kept.bytes.len() as u64);
            if let Some(left) = self.budget.kept_bytes.checked_sub(bytes) {
                self.budget.kept_bytes = left;
                self.reached.kept.insert((name, path), kept);
            }
        }
    }

    /// Reads the signature of a component if there is one.
    fn signature(&mut self, file: &str, module: &str) {
        let signature = format!("{module}{SIGNATURE_ENDING}");
        if let Some(path) = self.want(file, &signature, FileKind::Signature)
            && self.reached.files.get(&path) == Some(&Err(ReadError::Missing))
        {
            self.reached.files.remove(&path);
        }
    }

    /// Returns a path written in `file` relative to the root, if it stays in the allowed folder.
    fn inside(&self, file: &str, path: &str) -> Result<String, ReadError> {
        let outside = || match &self.member {
            Some(member) => ReadError::OutsideFolder { folder: member.folder.into() },
            None => ReadError::Outside,
        };
        let full = resolve(file, path).ok_or_else(outside)?;
        if is_below(&full, self.within()) { Ok(full) } else { Err(outside()) }
    }

    /// Returns whether the current owner can name this file.
    fn may_name(&mut self, path: &str) -> Result<(), ReadError> {
        let Some(member) = &self.member else { return Ok(()) };
        if !is_below(path, member.folder) {
            return Err(ReadError::OutsideFolder { folder: member.folder.into() });
        }
        let hers = (&*member.entry.name, member.folder, member.is_shared);
        match self.owners.other(path, hers, self.store) {
            Some(by) => Err(ReadError::Owned { by }),
            None => Ok(()),
        }
    }

    fn read(&mut self, path: &str, want: FileKind) {
        let bytes = self.may_name(path).and_then(|()| self.take(path, want));
        if let Ok(bytes) = &bytes {
            self.reached.digests.insert(path.to_owned(), self.store.digest(path, bytes));
        }
        self.reached.files.insert(path.to_owned(), bytes);
    }

    /// Reads a file within the budget.
    fn take(&mut self, path: &str, want: FileKind) -> Result<Arc<[u8]>, ReadError> {
        self.folder(folder_of(path))?;
        self.budget.files = match self.budget.files.checked_sub(1) {
            Some(left) => left,
            None if self.member.is_some() => {
                return Err(ReadError::OverBudget(MemberLimit::Files));
            }
            None => {
                let why = format!("a policy can use at most {FILES_MAX} files");
                return Err(ReadError::Unreadable(why));
            }
        };
        let within = self.within();
        let is_member = self.member.is_some();
        let total = self.budget.total_bytes;
        let (left, limit) = match want {
            FileKind::Policy => (&mut self.budget.policy_bytes, MemberLimit::PolicyBytes),
            FileKind::List => (&mut self.budget.list_bytes, MemberLimit::ListBytes),
            FileKind::Component | FileKind::Signature => {
                (&mut self.budget.component_bytes, MemberLimit::ComponentBytes)
            }
        };
        let bytes_max = want.bytes_max().min(*left).min(total);
        match self.store.read(path, bytes_max, within) {
            Ok(bytes) => {
                *left = left.saturating_sub(bytes.len() as u64);
                self.budget.total_bytes = total.saturating_sub(bytes.len() as u64);
                Ok(bytes)
            }
            Err(ReadError::TooLarge { .. }) if is_member && total < want.bytes_max().min(*left) => {
                Err(ReadError::OverBudget(MemberLimit::AllMembersBytes))
            }
            Err(ReadError::TooLarge { .. }) if is_member && *left < want.bytes_max() => {
                Err(ReadError::OverBudget(limit))
            }
            Err(ReadError::Outside) if is_member => {
                Err(ReadError::OutsideFolder { folder: within.into() })
            }
            read => read,
        }
    }

    /// Records a folder that is read.
    fn folder(&mut self, folder: &str) -> Result<(), ReadError> {
        if !self.reached.folders.contains(folder) {
            let left = self.budget.folders.checked_sub(1);
            self.budget.folders = left.ok_or(ReadError::OverBudget(MemberLimit::Folders))?;
            self.reached.folders.insert(folder.to_owned());
        }
        Ok(())
    }

    /// Returns the files that match `pattern`, in natural order: `a2` before `a10`. Other entries,
    /// and files outside the allowed folder, do not match.
    fn glob(&mut self, pattern: &str) -> Result<Vec<String>, ReadError> {
        let mut found = vec![String::new()];
        let parts: Vec<&str> = pattern.split('/').collect();
        for (number, part) in parts.iter().enumerate() {
            let is_last = number.saturating_add(1) == parts.len();
            let mut next = Vec::new();
            for folder in &found {
                self.fitting(folder, part, is_last, &mut next)?;
                if next.len() > GLOB_ENTRIES_MAX {
                    let why = format!("more than {GLOB_ENTRIES_MAX} matches");
                    return Err(ReadError::Unreadable(why));
                }
            }
            found = next;
        }
        let mut files = Vec::new();
        for path in found {
            if self.is_file(&path)? {
                let steps = STEPS_OF_MATCH.saturating_add(path.len() as u64);
                self.budget.match_steps = self.budget.match_steps.saturating_sub(steps);
                files.push(path);
            }
        }
        if self.budget.match_steps == 0 {
            return Err(ReadError::OverBudget(MemberLimit::MatchSteps));
        }
        files.sort_by(|a, b| natural(a, b));
        Ok(files)
    }

    /// Returns the folders or files in `folder` whose name matches `part`.
    fn fitting(
        &mut self,
        folder: &str,
        part: &str,
        is_last: bool,
        found: &mut Vec<String>,
    ) -> Result<(), ReadError> {
        let join = |name: &str| match folder {
            "" => name.to_owned(),
            _ => format!("{folder}/{name}"),
        };
        if !is_pattern(part) {
            found.push(join(part));
            return Ok(());
        }
        for entry in self.list(folder)?.iter().filter(|entry| is_last || entry.may_be_folder) {
            if fits(part, &entry.name, &mut self.budget.match_steps) {
                found.push(join(&entry.name));
            }
        }
        if self.budget.match_steps == 0 {
            return Err(ReadError::OverBudget(MemberLimit::MatchSteps));
        }
        Ok(())
    }

    /// Returns the entries of a folder. Each counts once, even for several patterns.
    fn list(&mut self, folder: &str) -> Result<Arc<[Entry]>, ReadError> {
        self.folder(folder)?;
        let key = (Box::from(self.within()), folder.to_owned());
        let known = self.listings.get(&key).cloned();
        if let Some(known) = &known
            && self.listed.contains(folder)
        {
            return Ok(Arc::clone(known));
        }
        let entries_max = self.budget.entries.min(GLOB_ENTRIES_MAX);
        let listing = match known {
            Some(known) => known,
            None => self.store.list(folder, &key.0, entries_max)?.into(),
        };
        if listing.len() > entries_max {
            return Err(self.too_many_entries());
        }
        self.budget.entries = self.budget.entries.saturating_sub(listing.len());
        self.listed.insert(folder.to_owned());
        self.listings.insert(key, Arc::clone(&listing));
        Ok(listing)
    }

    /// Returns the error for too many entries, and stops further reading. Otherwise a member's
    /// patterns could read the same folder again and again.
    fn too_many_entries(&mut self) -> ReadError {
        if self.member.is_some() {
            self.budget.entries = 0;
            return ReadError::OverBudget(MemberLimit::Entries);
        }
        ReadError::Unreadable(format!("a folder of more than {GLOB_ENTRIES_MAX} entries"))
    }

    /// Returns whether a match is a file. In a folder that was not listed, it counts as an entry.
    fn is_file(&mut self, path: &str) -> Result<bool, ReadError> {
        if let Some(known) = self.matches.get(path) {
            return Ok(*known);
        }
        if !self.listed.contains(folder_of(path)) {
            self.folder(folder_of(path))?;
            match self.budget.entries.checked_sub(1) {
                Some(left) => self.budget.entries = left,
                None => return Err(self.too_many_entries()),
            }
        }
        let is_file = self.store.is_file(path, self.within());
        self.matches.insert(path.to_owned(), is_file);
        Ok(is_file)
    }
}

/// Implements [`SourceStore::list`] for a store that knows only its paths.
pub fn entries_of<'p>(paths: impl Iterator<Item = &'p str>, folder: &str) -> Vec<Entry> {
    let mut entries: BTreeMap<&str, bool> = BTreeMap::new();
    for path in paths.filter(|path| is_below(path, folder)) {
        let rest = path.get(folder.len()..).unwrap_or_default().trim_start_matches('/');
        let (name, may_be_folder) = match rest.split_once('/') {
            Some((name, _)) => (name, true),
            None => (rest, false),
        };
        *entries.entry(name).or_default() |= may_be_folder;
    }
    let entry =
        |(name, may_be_folder): (&str, bool)| Entry { name: name.to_owned(), may_be_folder };
    entries.into_iter().map(entry).collect()
}
