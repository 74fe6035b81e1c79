//! The files of each member's last good part, in the state folder.
//!
//! A member with invalid files keeps the last good part, over a restart and an upgrade too. The
//! files of a part are written here once it is active, and read if the member's files are unusable
//! at start. A copy contains its digest, is written atomically, and is only used if it is intact.
//! It is not a policy yet: the member's entry, folder and budgets apply to it as to files on the
//! disk.
//!
//! Limitation: without write access to the folder, a member with invalid files has no part after a
//! restart. That is reported when the copy is not written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_model::shown;
use seawall_ruleset::{
    MEMBER_COMPONENT_BYTES_MAX, MEMBER_FILES_MAX, MEMBER_LIST_BYTES_MAX, MEMBER_POLICY_BYTES_MAX,
    MemberSources,
};
use serde::{Deserialize, Serialize};

use crate::policy_source::read_file::{self, FileReadError};
use crate::storage::atomic_write::{FileSystem, RealFileSystem, put};
use crate::storage::damaged::keep_damaged;
use crate::storage::digest::{digest, hex};

/// Maximum bytes of all members' copies: as much as the files of all members may have. If a
/// member's copy does not fit, no new one is stored.
pub const LAST_GOOD_BYTES_MAX: u64 = 512 << 20;
/// Maximum bytes of the header of a copy: the names and digests of 100 files.
const HEAD_BYTES_MAX: u64 = 4 << 20;
/// Maximum bytes of one copy.
const COPY_BYTES_MAX: u64 =
    HEAD_BYTES_MAX + MEMBER_POLICY_BYTES_MAX + MEMBER_LIST_BYTES_MAX + MEMBER_COMPONENT_BYTES_MAX;
/// Least space of a file.
const BLOCK_BYTES: u64 = 4096;
/// Start of a copy; the digest of the next line, which is the header, follows.
const MAGIC: &str = "seawall member 1";
/// Maximum bytes of that line: the words and a digest.
const MAGIC_BYTES_MAX: u64 = 128;
const FOLDER: &str = "members";
const ENDING: &str = "member";

/// Since when a part is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Since {
    /// The generation in which it became active.
    pub(crate) generation: u64,
    /// Equal for equal files, in hexadecimal digits.
    pub(crate) content: String,
}

/// The header of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    member: String,
    generation: u64,
    content: String,
    /// In the order in which their contents follow.
    files: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Piece {
    path: String,
    sha256: String,
    bytes: u64,
}

/// An active part, to be written.
#[derive(Debug)]
pub(crate) struct Good {
    pub(crate) sources: MemberSources,
    pub(crate) since: Since,
}

/// The copies.
#[derive(Debug)]
pub(crate) struct LastGood {
    folder: PathBuf,
    medium: Arc<dyn FileSystem>,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// The copies on the disk, by the member's name.
    kept: BTreeMap<Box<str>, Kept>,
    /// Copies that are not written yet, by the member's name.
    waiting: BTreeMap<Box<str>, Good>,
    /// The members that the active policy names.
    named: BTreeSet<Box<str>>,
    /// The policy was built completely, so copies that it does not name are not needed.
    whole: bool,
}

#[derive(Debug, Clone)]
struct Kept {
    since: Since,
    bytes: u64,
}

impl LastGood {
    /// Opens the copies in the folder `state_dir`, which need not exist yet. A copy with a damaged
    /// header is moved aside.
    pub(crate) fn open(state_dir: &Path) -> Self {
        let folder = state_dir.join(FOLDER);
        let kept = fs::read_dir(&folder).into_iter().flatten().flatten();
        let kept = kept.filter_map(|entry| {
            let place = entry.path();
            let is_copy = place.extension().is_some_and(|ending| ending == ENDING);
            is_copy.then(|| known(&place)).flatten()
        });
        let book = Book { kept: kept.collect(), ..Book::default() };
        Self { folder, medium: Arc::new(RealFileSystem), book: Mutex::new(book) }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns since when the part in a member's copy was active.
    pub(crate) fn since(&self, name: &str) -> Option<Since> {
        self.book().kept.get(name).map(|kept| kept.since.clone())
    }

    /// Returns the files of a member's copy, by their paths. A damaged copy is moved aside, with a
    /// log line.
    pub(crate) fn read(&self, name: &str) -> Option<Contents> {
        self.since(name)?;
        let place = self.place(name);
        let why = match read_file::read(&place, COPY_BYTES_MAX) {
            Ok(bytes) => match opened(&bytes) {
                Ok((head, files)) if head.member == name => return Some(files),
                Ok(_) => "the copy belongs to another member".to_owned(),
                Err(why) => why,
            },
            Err(FileReadError::Missing) => "the copy is missing".to_owned(),
            Err(error) => error.to_string(),
        };
        self.book().kept.remove(name);
        damaged(&place, &why);
        None
    }

    /// Records what is active, to be [written](Self::write) later: new parts, and the members that
    /// the policy names. `whole` tells whether the policy was built completely.
    pub(crate) fn note(&self, good: Vec<Good>, named: BTreeSet<Box<str>>, whole: bool) {
        let mut book = self.book();
        (book.named, book.whole) = (named, whole);
        book.waiting.extend(good.into_iter().map(|good| (Box::from(good.sources.name()), good)));
    }

    /// Records that what waits as generation `from` became active as generation `to`.
    pub(crate) fn renumber(&self, from: u64, to: u64) {
        let mut book = self.book();
        let waiting = book.waiting.values_mut().map(|good| &mut good.since);
        waiting.filter(|since| since.generation == from).for_each(|since| since.generation = to);
    }

    /// Writes what waits, and removes what is not needed any more.
    pub(crate) fn write(&self) {
        let mut book = self.book();
        let waiting = std::mem::take(&mut book.waiting);
        let is_named = |name: &str| book.named.contains(name);
        let gone = book.kept.keys().filter(|name| !is_named(name)).cloned();
        let gone: Vec<Box<str>> = gone.collect();
        let whole = book.whole;
        drop(book);
        if whole {
            gone.iter().for_each(|name| self.remove(name));
        }
        for (name, good) in waiting {
            if let Err(why) = self.put(&name, &good, &gone) {
                log::error!(
                    target: "seawall::server",
                    "member {}: the files of generation {} are not stored: {why}; with invalid \
                     files at a restart, this part will not be active",
                    shown::one_line(&name),
                    good.since.generation
                );
            }
        }
    }

    /// Writes one copy; if there is no space, the copies of members in `gone` are removed first.
    fn put(&self, name: &str, good: &Good, gone: &[Box<str>]) -> io::Result<()> {
        let (head, bodies) = packed(name, good);
        let text = serde_json::to_string(&head)?;
        let first = format!("{MAGIC} {}\n", hex(&digest(text.as_bytes())));
        let parts: Vec<&[u8]> = [first.as_bytes(), text.as_bytes(), b"\n"]
            .into_iter()
            .chain(bodies.iter().map(|body| &**body))
            .collect();
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        if self.taken(name).saturating_add(room(bytes)) > LAST_GOOD_BYTES_MAX {
            gone.iter().for_each(|name| self.remove(name));
        }
        let taken = self.taken(name);
        if taken.saturating_add(room(bytes)) > LAST_GOOD_BYTES_MAX {
            return Err(io::Error::other(format!(
                "the copies of all members have at most {LAST_GOOD_BYTES_MAX} bytes; {taken} are \
                 taken by others, and hers takes {bytes}"
            )));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        put(&*self.medium, &self.place(name), &parts)?;
        self.book().kept.insert(name.into(), Kept { since: good.since.clone(), bytes });
        Ok(())
    }

    /// Returns the space of the copies of all members but one.
    fn taken(&self, but: &str) -> u64 {
        let book = self.book();
        let others = book.kept.iter().filter(|(name, _)| ***name != *but);
        others.map(|(_, kept)| room(kept.bytes)).sum()
    }

    /// Removes a member's copy, and its damaged ones.
    fn remove(&self, name: &str) {
        self.book().kept.remove(name);
        let stem = stem(name);
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&stem)
                && let Err(error) = fs::remove_file(entry.path())
            {
                log::warn!(target: "seawall::server", "{}: {error}", entry.path().display());
            }
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{}.{ENDING}", stem(name)))
    }
}

fn stem(name: &str) -> String {
    hex(&digest(name.as_bytes()))
}

/// Returns the space of a file of so many bytes.
const fn room(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES)
}

fn damaged(place: &Path, why: &str) {
    let kept = match keep_damaged(place) {
        Ok(aside) => format!("it is kept as {}", aside.display()),
        Err(error) => format!("it cannot be moved aside: {error}"),
    };
    log::error!(
        target: "seawall::server",
        "the copy of a member's last good files {} cannot be used: {why}; {kept}",
        place.display()
    );
}

/// Returns the header of a copy, by the name of its member. The copy is moved aside if the header
/// is invalid or the length differs.
fn known(place: &Path) -> Option<(Box<str>, Kept)> {
    let why = match head_of(place) {
        Ok((head, bytes)) if place.file_stem() == Some(stem(&head.member).as_ref()) => {
            let since = Since { generation: head.generation, content: head.content };
            return Some((head.member.into(), Kept { since, bytes }));
        }
        Ok(_) => "the copy belongs to another member".to_owned(),
        Err(why) => why,
    };
    damaged(place, &why);
    None
}

/// Returns the header of the copy at `place`, with the bytes of the whole.
fn head_of(place: &Path) -> Result<(Head, u64), String> {
    let told = |error: io::Error| error.to_string();
    let (file, known) = read_file::open(place).map_err(|error| error.to_string())?;
    let bytes = known.len();
    let mut start = Vec::new();
    let mut lines = BufReader::new(file.take(MAGIC_BYTES_MAX.saturating_add(HEAD_BYTES_MAX)));
    for _ in 0..2 {
        lines.read_until(b'\n', &mut start).map_err(told)?;
    }
    let (head, _) = parsed(&start)?;
    let bodies: u64 = head.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes));
    if (start.len() as u64).saturating_add(bodies) != bytes {
        return Err("its length differs from its header".to_owned());
    }
    Ok((head, bytes))
}

/// Parses the header of a copy; returns it with what follows.
fn parsed(bytes: &[u8]) -> Result<(Head, &[u8]), String> {
    let line = |bytes: &'_ [u8]| bytes.iter().position(|byte| *byte == b'\n');
    let cut = |bytes: &mut &[u8]| {
        let (line, rest) = bytes.split_at_checked(line(bytes)?)?;
        let line = line.to_vec();
        *bytes = rest.get(1..)?;
        Some(line)
    };
    let mut rest = bytes;
    let first = cut(&mut rest).ok_or("the copy is incomplete")?;
    let head = cut(&mut rest).ok_or("the copy is incomplete")?;
    let first = String::from_utf8_lossy(&first).into_owned();
    let sum = first.strip_prefix(MAGIC).ok_or("not a copy, or of another version")?;
    if sum.trim_start() != hex(&digest(&head)) {
        return Err("its header is damaged".to_owned());
    }
    let head: Head = serde_json::from_slice(&head).map_err(|error| error.to_string())?;
    if head.files.len() > MEMBER_FILES_MAX {
        return Err(format!("it contains more than {MEMBER_FILES_MAX} files"));
    }
    Ok((head, rest))
}

/// Files by their paths.
type Contents = BTreeMap<String, Arc<[u8]>>;

/// Returns the header and the files of a copy.
fn opened(bytes: &[u8]) -> Result<(Head, Contents), String> {
    let (head, mut rest) = parsed(bytes)?;
    let mut files = BTreeMap::new();
    for Piece { path, sha256, bytes } in &head.files {
        let end = usize::try_from(*bytes).map_err(|error| error.to_string())?;
        let (body, after) = rest.split_at_checked(end).ok_or("the copy is incomplete")?;
        if hex(&digest(body)) != *sha256 {
            return Err(format!("its content of {path} is damaged"));
        }
        files.insert(path.clone(), body.into());
        rest = after;
    }
    if rest.is_empty() { Ok((head, files)) } else { Err("the copy is too long".to_owned()) }
}

/// Returns all files of a part.
fn packed(name: &str, good: &Good) -> (Head, Vec<Arc<[u8]>>) {
    let reached = good.sources.reached();
    let files = reached.paths().filter_map(|path| {
        let (body, sha256) = (reached.held(path)?, reached.sha256(path)?);
        let bytes = body.len() as u64;
        Some((Piece { path: path.to_owned(), sha256: hex(&sha256), bytes }, body))
    });
    let (files, bodies) = files.unzip();
    let Since { generation, content } = good.since.clone();
    (Head { member: name.to_owned(), generation, content, files }, bodies)
}

#[cfg(test)]
mod tests;
