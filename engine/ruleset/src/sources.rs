//! Everything that a root policy reaches, read into memory.
//!
//! The only step of a reload that touches a disk, and it does so through [`Store`], which the
//! control plane implements: here is no I/O. Paths are relative to the policy root, cleaned of `.`
//! and `..`, and one that leaves the root is never asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use seawall_policy::diagnostic::FileId;
use seawall_policy::syntax::ast::{Decl, File, Item, ListSource, Stmt};
use seawall_policy::syntax::parse::parse;
use sha2::{Digest, Sha256};

use crate::trust::{SIGNATURE_BYTES_MAX, SIGNATURE_ENDING};

/// The most files that one policy may reach.
pub const FILES_MAX: usize = 2_000;
/// The most bytes of a policy file (LANGUAGE §2).
pub const POLICY_BYTES_MAX: u64 = 1 << 20;
/// The most bytes of a list file: 10 million addresses.
pub const LIST_BYTES_MAX: u64 = 256 << 20;
/// The most bytes of a component: what a large one may have, which carries a language's runtime.
pub const COMPONENT_BYTES_MAX: u64 = 32 << 20;
/// The most bytes that one policy may reach in all.
pub const TOTAL_BYTES_MAX: u64 = 1 << 30;

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// It is not there.
    Missing,
    /// It is there and cannot be read; in the system's words.
    Unreadable(String),
    /// It is larger than it may be.
    TooLarge {
        /// The most it may have.
        bytes_max: u64,
    },
    /// Its real place is outside the policy root.
    Outside,
    /// A folder, a pipe or a device.
    NotAFile,
    /// It changed while it was read.
    Changing,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such file"),
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            Self::TooLarge { bytes_max } => write!(f, "it has more than {bytes_max} bytes"),
            Self::Outside => f.write_str("it lies outside the policy root"),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::Changing => f.write_str("it is being written"),
        }
    }
}

/// Where files come from.
pub trait Store {
    /// The bytes of a file.
    ///
    /// # Errors
    /// Why there are none.
    fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, ReadError>;

    /// The files that a pattern names, in natural order.
    ///
    /// # Errors
    /// Why they cannot be listed.
    fn glob(&self, pattern: &str) -> Result<Vec<String>, ReadError>;

    /// The SHA-256 of a file that was just read. A store that reads the same bytes more than once
    /// need not work it out each time.
    fn digest(&self, _path: &str, bytes: &Arc<[u8]>) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    /// The copy of a list file from when it was good last, where one is kept that differs from
    /// what was read. `name` is the list's full name.
    ///
    /// # Errors
    /// Why a copy that is there cannot be used.
    fn kept_list(&self, _name: &str, _path: &str) -> Result<Option<KeptList>, String> {
        Ok(None)
    }
}

/// A list file as it was when it was good last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptList {
    /// Its bytes.
    pub bytes: Arc<[u8]>,
    /// Milliseconds since it came into force.
    pub age_ms: u64,
}

type Bytes = Result<Arc<[u8]>, ReadError>;

type Kept = Result<KeptList, String>;

/// What a root policy reaches.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    root: String,
    files: BTreeMap<String, Bytes>,
    /// The SHA-256 of each that was read. Hashing a large component takes as long as all else.
    digests: BTreeMap<String, [u8; 32]>,
    /// What an `include` names: the including file and the pattern as written, to paths.
    included: BTreeMap<(String, String), Result<Vec<String>, ReadError>>,
    /// Files that are members', by path.
    owners: BTreeMap<String, Box<str>>,
    /// Members that are left out.
    without: Vec<Box<str>>,
    /// Good copies of lists, by full name and path.
    kept: BTreeMap<(String, String), Kept>,
    /// Bytes read so far.
    total: u64,
}

/// What a file is wanted for, which says how large it may be.
#[derive(Clone, Copy)]
enum Want {
    Policy,
    List,
    Component,
    Signature,
}

impl Sources {
    /// Reads the root policy and all that it reaches.
    #[must_use]
    pub fn gather(root: &str, store: &dyn Store) -> Self {
        let mut sources = Self { root: root.to_owned(), ..Self::default() };
        let mut waiting = vec![root.to_owned()];
        while let Some(path) = waiting.pop() {
            if sources.files.contains_key(&path) {
                continue;
            }
            sources.read(&path, Want::Policy, store);
            let Some(bytes) = sources.bytes(&path).and_then(|bytes| bytes.as_ref().ok()).cloned()
            else {
                continue;
            };
            let (tree, _) = parse(FileId::default(), &bytes);
            sources.reach(&path, &tree, store, &mut waiting);
        }
        sources
    }

    fn reach(&mut self, file: &str, tree: &File, store: &dyn Store, waiting: &mut Vec<String>) {
        for item in &tree.items {
            match item {
                Item::Include(pattern) => {
                    let found = self.include(file, &pattern.node, store);
                    for path in found.iter().flatten() {
                        self.own(file, path);
                    }
                    waiting.extend(found.iter().flatten().cloned());
                    self.included.insert((file.to_owned(), pattern.node.to_string()), found);
                }
                Item::Tenant(tenant) => {
                    let path = tenant.file.as_ref().and_then(|path| resolve(file, &path.node));
                    if let (Some(path), None) = (&path, self.owners.get(file)) {
                        self.owners.insert(path.clone(), tenant.name.node.clone());
                    }
                    waiting.extend(path);
                }
                Item::Extern(item) => {
                    if let Some(module) = &item.module {
                        self.want(file, &module.node, Want::Component, store);
                        self.want_signature(file, &module.node, store);
                    }
                }
                Item::Decl(decl) => self.reach_decl(file, decl, store),
                Item::Layer(layer) => self.reach_stmts(file, &layer.stmts, store),
                Item::Site(site) => self.reach_stmts(file, &site.stmts, store),
                Item::Level(_) | Item::Test(_) => {}
            }
        }
    }

    fn reach_stmts(&mut self, file: &str, stmts: &[Stmt], store: &dyn Store) {
        for stmt in stmts {
            match stmt {
                Stmt::Decl(decl) => self.reach_decl(file, decl, store),
                Stmt::Under(under) => self.reach_stmts(file, &under.stmts, store),
                _ => {}
            }
        }
    }

    fn reach_decl(&mut self, file: &str, decl: &Decl, store: &dyn Store) {
        if let Decl::List(list) = decl
            && let ListSource::File { path, .. } = &list.source
        {
            self.want(file, &path.node, Want::List, store);
            self.want_kept(file, &list.name.node, &path.node, store);
        }
    }

    /// Asks for the good copy of a list, whose file is read already.
    fn want_kept(&mut self, file: &str, name: &str, path: &str, store: &dyn Store) {
        let Some(path) = resolve(file, path) else { return };
        // A member's names live in a space of her own.
        let name = match self.owners.get(file) {
            Some(member) => format!("{member}.{name}"),
            None => name.to_owned(),
        };
        let held = |kept: &Kept| kept.as_ref().map_or(0, |kept| kept.bytes.len() as u64);
        if self.kept.len() < FILES_MAX
            && self.kept.values().map(held).sum::<u64>() < TOTAL_BYTES_MAX
            && let Some(kept) = store.kept_list(&name, &path).transpose()
        {
            self.kept.insert((name, path), kept);
        }
    }

    /// The good copy of a list, where one is kept.
    pub(crate) fn kept(&self, name: &str, path: &str) -> Option<&Kept> {
        self.kept.get(&(name.to_owned(), path.to_owned()))
    }

    fn want(&mut self, file: &str, path: &str, want: Want, store: &dyn Store) {
        if let Some(path) = resolve(file, path)
            && !self.files.contains_key(&path)
        {
            self.own(file, &path);
            self.read(&path, want, store);
        }
    }

    /// Reads a component's signature, where there is one.
    fn want_signature(&mut self, file: &str, module: &str, store: &dyn Store) {
        let signature = format!("{module}{SIGNATURE_ENDING}");
        self.want(file, &signature, Want::Signature, store);
        if let Some(path) = resolve(file, &signature)
            && self.files.get(&path) == Some(&Err(ReadError::Missing))
        {
            self.files.remove(&path);
            self.owners.remove(&path);
        }
    }

    /// What a member's file names is the member's.
    fn own(&mut self, file: &str, path: &str) {
        if let Some(owner) = self.owners.get(file).cloned() {
            self.owners.entry(path.to_owned()).or_insert(owner);
        }
    }

    /// Whether a file is a member's.
    #[must_use]
    pub fn is_members(&self, path: &str) -> bool {
        self.owners.contains_key(path)
    }

    /// Whether a file is the same here and there.
    pub(crate) fn same(&self, other: &Self, path: &str) -> bool {
        self.files.get(path).is_some_and(|bytes| other.files.get(path) == Some(bytes))
    }

    /// Whose each file is, those of the host left out.
    pub(crate) fn owners(&self) -> BTreeMap<String, Box<str>> {
        self.owners.clone()
    }

    /// Whether a file is one of the policy itself.
    #[must_use]
    pub fn is_policy(&self, path: &str) -> bool {
        path.ends_with(".wall") || *path == self.root
    }

    /// The policy files alone: lists and components are held elsewhere.
    pub(crate) fn policies(&self) -> Self {
        let mut files = self.files.clone();
        files.retain(|path, _| self.is_policy(path));
        Self { files, kept: BTreeMap::new(), ..self.clone() }
    }

    /// Replaces a member's policy files by those of `good`, and says whether it had any.
    pub(crate) fn take_back(
        &mut self,
        member: &str,
        owners: &BTreeMap<String, Box<str>>,
        good: &Self,
    ) -> bool {
        let is_hers = |owner: &str| *owner == *member;
        if good.without.iter().any(|name| is_hers(name))
            || !good.owners.values().any(|owner| is_hers(owner))
        {
            return false;
        }
        for path in owners.iter().filter(|(_, owner)| is_hers(owner)).map(|(path, _)| path) {
            if path.ends_with(".wall") {
                self.files.remove(path);
                self.digests.remove(path);
            }
        }
        for path in good.owners.iter().filter(|(_, owner)| is_hers(owner)).map(|(path, _)| path) {
            if let Some(bytes) = good.files.get(path) {
                self.files.insert(path.clone(), bytes.clone());
                self.digests.extend(good.sha256(path).map(|digest| (path.clone(), digest)));
            }
        }
        true
    }

    /// Empties a member's files.
    pub(crate) fn leave_out(&mut self, member: &str, owners: &BTreeMap<String, Box<str>>) {
        self.without.push(member.into());
        for path in owners.iter().filter(|(_, owner)| ***owner == *member).map(|(path, _)| path) {
            if path.ends_with(".wall") {
                let empty = &b"policy 1\n"[..];
                self.files.insert(path.clone(), Ok(Arc::from(empty)));
                self.digests.insert(path.clone(), Sha256::digest(empty).into());
            }
        }
    }

    fn include(
        &self,
        file: &str,
        pattern: &str,
        store: &dyn Store,
    ) -> Result<Vec<String>, ReadError> {
        let pattern = resolve(file, pattern).ok_or(ReadError::Outside)?;
        if pattern.contains(['*', '?']) { store.glob(&pattern) } else { Ok(vec![pattern]) }
    }

    fn read(&mut self, path: &str, want: Want, store: &dyn Store) {
        let most = match want {
            Want::Policy => POLICY_BYTES_MAX,
            Want::List => LIST_BYTES_MAX,
            Want::Component => COMPONENT_BYTES_MAX,
            Want::Signature => SIGNATURE_BYTES_MAX,
        };
        let left = TOTAL_BYTES_MAX.saturating_sub(self.total);
        let bytes: Bytes = if self.files.len() >= FILES_MAX {
            Err(ReadError::Unreadable(format!("a policy reaches at most {FILES_MAX} files")))
        } else {
            store.read(path, most.min(left)).map(Arc::from)
        };
        if let Ok(bytes) = &bytes {
            self.total = self.total.saturating_add(bytes.len() as u64);
            self.digests.insert(path.to_owned(), store.digest(path, bytes));
        }
        self.files.insert(path.to_owned(), bytes);
    }

    /// The root policy's path.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// All paths that were asked for, read or not.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(|path| &**path)
    }

    /// Whether a file was being written while it was read, so that reading again makes sense.
    #[must_use]
    pub fn changing(&self) -> bool {
        self.files.values().any(|bytes| matches!(bytes, Err(ReadError::Changing)))
    }

    /// A digest of everything: equal digests are the same policy, lists and components.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for (path, bytes) in &self.files {
            part(path.as_bytes());
            match bytes {
                Ok(_) => part(&self.sha256(path).unwrap_or_default()),
                Err(why) => part(format!("!{why}").as_bytes()),
            }
        }
        for ((file, pattern), found) in &self.included {
            part(format!("{file} {pattern} {found:?}").as_bytes());
        }
        hasher.finalize().into()
    }

    /// The SHA-256 of a file, where it was read.
    #[must_use]
    pub fn sha256(&self, path: &str) -> Option<[u8; 32]> {
        self.digests.get(path).copied()
    }

    /// The bytes of a file, where it was read.
    #[must_use]
    pub fn held(&self, path: &str) -> Option<Arc<[u8]>> {
        self.files.get(path)?.as_ref().ok().cloned()
    }

    /// The bytes of a file, where it was asked for.
    pub(crate) fn bytes(&self, path: &str) -> Option<&Bytes> {
        self.files.get(path)
    }

    pub(crate) fn included(&self, file: &str, pattern: &str) -> Result<Vec<String>, ReadError> {
        let key = (file.to_owned(), pattern.to_owned());
        self.included.get(&key).cloned().unwrap_or(Err(ReadError::Missing))
    }

    /// The text of a file, as far as it is text.
    #[must_use]
    pub fn text(&self, path: &str) -> std::borrow::Cow<'_, str> {
        match self.files.get(path) {
            Some(Ok(bytes)) => String::from_utf8_lossy(bytes),
            _ => std::borrow::Cow::Borrowed(""),
        }
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

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn paths_are_relative_to_their_file_and_stay_inside() {
        for (file, path, resolved) in [
            ("baseline.wall", "lists/drop.txt", Some("lists/drop.txt")),
            ("members/alice.wall", "keys.txt", Some("members/keys.txt")),
            ("members/alice.wall", "../lists/x", Some("lists/x")),
            ("members/alice.wall", "../../etc/passwd", None),
            ("baseline.wall", "/etc/passwd", None),
            ("baseline.wall", "a/../..", None),
            ("baseline.wall", "./a//b", Some("a/b")),
            ("baseline.wall", "", None),
        ] {
            assert_eq!(resolve(file, path).as_deref(), resolved, "{file} {path}");
        }
    }
}
