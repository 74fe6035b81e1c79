//! The files of each member's last good part, in the folder for what outlives the process.
//!
//! A member whose files are wrong keeps her last good part, over a restart and an upgrade too: what
//! a part is made of is written here once it is in force, and read where her files cannot be used
//! at start. A copy says what it must hold, is written whole or not at all, and is believed only
//! where it is whole. What is read of it is no policy yet: her entry, her folder and her budgets
//! are held against it as against files on the disk.
//!
//! Where this does not help: where the folder cannot be written to, a member whose files are wrong
//! has no part after a restart, and that is told when the copy is not written.

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

/// Most bytes of all members' copies together; of a member whose copy does not fit no new one is
/// kept. As much as the files of all members may have.
pub const LAST_GOOD_BYTES_MAX: u64 = 512 << 20;
/// The most bytes of the head of a copy: the names and digests of 100 files.
const HEAD_BYTES_MAX: u64 = 4 << 20;
/// The most bytes of one copy.
const COPY_BYTES_MAX: u64 =
    HEAD_BYTES_MAX + MEMBER_POLICY_BYTES_MAX + MEMBER_LIST_BYTES_MAX + MEMBER_COMPONENT_BYTES_MAX;
/// What a file takes at least.
const BLOCK_BYTES: u64 = 4096;
/// What a copy begins with; behind it stands the digest of the next line, which is the head.
const MAGIC: &str = "seawall member 1";
/// The most bytes of that line: the words and a digest.
const MAGIC_BYTES_MAX: u64 = 128;
const FOLDER: &str = "members";
const ENDING: &str = "member";

/// Since when a part is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Since {
    /// The generation in which it came into force.
    pub(crate) generation: u64,
    /// Equal for equal files, in hexadecimal digits.
    pub(crate) content: String,
}

/// What a copy says of itself.
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

/// A part in force, to be written.
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
    /// What lies on the disk, by the member's name.
    kept: BTreeMap<Box<str>, Kept>,
    /// What is yet to be written, by the member's name.
    waiting: BTreeMap<Box<str>, Good>,
    /// The members that the policy in force names.
    named: BTreeSet<Box<str>>,
    /// Nothing of that policy is left out, so that what it does not name is not needed.
    whole: bool,
}

#[derive(Debug, Clone)]
struct Kept {
    since: Since,
    bytes: u64,
}

impl LastGood {
    /// The copies in the folder `state_dir`, which need not be there yet. One whose head is damaged
    /// is set aside.
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

    /// Since when the part that a member's copy holds was in force.
    pub(crate) fn since(&self, name: &str) -> Option<Since> {
        self.book().kept.get(name).map(|kept| kept.since.clone())
    }

    /// The files of a member's copy, by their paths. One that is damaged is set aside, which is
    /// told.
    pub(crate) fn read(&self, name: &str) -> Option<Contents> {
        self.since(name)?;
        let place = self.place(name);
        let why = match read_file::read(&place, COPY_BYTES_MAX) {
            Ok(bytes) => match opened(&bytes) {
                Ok((head, files)) if head.member == name => return Some(files),
                Ok(_) => "it is another member's".to_owned(),
                Err(why) => why,
            },
            Err(FileReadError::Missing) => "it is gone".to_owned(),
            Err(error) => error.to_string(),
        };
        self.book().kept.remove(name);
        damaged(&place, &why);
        None
    }

    /// Takes note of what is in force, to be [written](Self::write) where nobody waits for it:
    /// parts that are new, and the members that the policy names, of which `whole` says whether
    /// nothing is left out.
    pub(crate) fn note(&self, good: Vec<Good>, named: BTreeSet<Box<str>>, whole: bool) {
        let mut book = self.book();
        (book.named, book.whole) = (named, whole);
        book.waiting.extend(good.into_iter().map(|good| (Box::from(good.sources.name()), good)));
    }

    /// Notes that what waits as generation `from` came into force as generation `to`.
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
                    "member {}: no copy of the files of generation {} is kept: {why}; should her \
                     files be wrong at a restart, this part is not in force then",
                    shown::one_line(&name),
                    good.since.generation
                );
            }
        }
    }

    /// Writes one copy; where there is no room, the copies of those in `gone` go first.
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

    /// What the copies of all but one member take.
    fn taken(&self, but: &str) -> u64 {
        let book = self.book();
        let others = book.kept.iter().filter(|(name, _)| ***name != *but);
        others.map(|(_, kept)| room(kept.bytes)).sum()
    }

    /// Removes a member's copy, and what was set aside of it.
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

/// What a file of so many bytes takes.
const fn room(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES)
}

fn damaged(place: &Path, why: &str) {
    let kept = match keep_damaged(place) {
        Ok(aside) => format!("it is kept as {}", aside.display()),
        Err(error) => format!("it cannot be set aside either: {error}"),
    };
    log::error!(
        target: "seawall::server",
        "the copy of a member's last good files {} cannot be used: {why}; {kept}",
        place.display()
    );
}

/// What a copy says of itself, by the name of its member. It is set aside where that cannot be
/// believed, or where its length is another.
fn known(place: &Path) -> Option<(Box<str>, Kept)> {
    let why = match head_of(place) {
        Ok((head, bytes)) if place.file_stem() == Some(stem(&head.member).as_ref()) => {
            let since = Since { generation: head.generation, content: head.content };
            return Some((head.member.into(), Kept { since, bytes }));
        }
        Ok(_) => "it is another member's".to_owned(),
        Err(why) => why,
    };
    damaged(place, &why);
    None
}

/// The head of the copy at `place`, with the bytes of the whole.
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
        return Err("it has not the length that it says".to_owned());
    }
    Ok((head, bytes))
}

/// The head of a copy, and what follows it.
fn parsed(bytes: &[u8]) -> Result<(Head, &[u8]), String> {
    let line = |bytes: &'_ [u8]| bytes.iter().position(|byte| *byte == b'\n');
    let cut = |bytes: &mut &[u8]| {
        let (line, rest) = bytes.split_at_checked(line(bytes)?)?;
        let line = line.to_vec();
        *bytes = rest.get(1..)?;
        Some(line)
    };
    let mut rest = bytes;
    let first = cut(&mut rest).ok_or("it ends too soon")?;
    let head = cut(&mut rest).ok_or("it ends too soon")?;
    let first = String::from_utf8_lossy(&first).into_owned();
    let sum = first.strip_prefix(MAGIC).ok_or("it is none, or one of another version")?;
    if sum.trim_start() != hex(&digest(&head)) {
        return Err("its head is not what was written".to_owned());
    }
    let head: Head = serde_json::from_slice(&head).map_err(|error| error.to_string())?;
    if head.files.len() > MEMBER_FILES_MAX {
        return Err(format!("it has more than {MEMBER_FILES_MAX} files"));
    }
    Ok((head, rest))
}

/// Files by their paths.
type Contents = BTreeMap<String, Arc<[u8]>>;

/// The head and the files of a copy.
fn opened(bytes: &[u8]) -> Result<(Head, Contents), String> {
    let (head, mut rest) = parsed(bytes)?;
    let mut files = BTreeMap::new();
    for Piece { path, sha256, bytes } in &head.files {
        let end = usize::try_from(*bytes).map_err(|error| error.to_string())?;
        let (body, after) = rest.split_at_checked(end).ok_or("it ends too soon")?;
        if hex(&digest(body)) != *sha256 {
            return Err(format!("what it has of {path} is not what was written"));
        }
        files.insert(path.clone(), body.into());
        rest = after;
    }
    if rest.is_empty() { Ok((head, files)) } else { Err("it is too long".to_owned()) }
}

/// All that a part is made of.
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
