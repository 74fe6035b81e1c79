//! The policy root on disk: what `ruleset` reads its sources from.
//!
//! Nothing leaves the root: a path is resolved, links and all, and what is opened is the resolved
//! path, without following a link that took a file's place since. Links inside the root are what
//! Kubernetes mounts are made of, so they are resolved and not refused.
//!
//! Where this does not protect: a person who may swap whole directories inside the root while it
//! is read can race the resolution. Whoever may write there writes the policy anyway.

use std::fs;
use std::path::{Path, PathBuf};

use seawall_ruleset::{ReadError, Store};

use crate::disk::{self, DiskError};

/// Most entries of one folder that are looked at for a pattern, and most matches of a pattern.
pub const GLOB_ENTRIES_MAX: usize = 10_000;

/// A folder as a store of policies.
#[derive(Debug)]
pub struct FolderStore {
    root: PathBuf,
}

impl FolderStore {
    /// The store below `root`. It is resolved at each read, so the folder may be swapped.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        Self { root: root.to_owned() }
    }

    /// The real place of `path`, which must lie inside the root.
    fn resolve(&self, path: &str) -> Result<PathBuf, ReadError> {
        let relative = Path::new(path);
        if relative.is_absolute() {
            return Err(ReadError::Outside);
        }
        let root = fs::canonicalize(&self.root).map_err(|error| told(error.into()))?;
        let real = fs::canonicalize(root.join(relative)).map_err(|e| told(e.into()))?;
        if real.starts_with(&root) { Ok(real) } else { Err(ReadError::Outside) }
    }

    /// The folders or files below `folder` whose name fits `part`.
    fn fitting(&self, folder: &str, part: &str) -> Result<Vec<String>, ReadError> {
        let join = |name: &str| match folder {
            "" => name.to_owned(),
            _ => format!("{folder}/{name}"),
        };
        if !part.contains(['*', '?']) {
            return Ok(vec![join(part)]);
        }
        let place = match self.resolve(if folder.is_empty() { "." } else { folder }) {
            Ok(place) if place.is_dir() => place,
            Ok(_) | Err(ReadError::Missing) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        let entries = fs::read_dir(place).map_err(|error| told(error.into()))?;
        for (number, entry) in entries.enumerate() {
            if number >= GLOB_ENTRIES_MAX {
                let why = format!("a folder of more than {GLOB_ENTRIES_MAX} entries");
                return Err(ReadError::Unreadable(why));
            }
            let entry = entry.map_err(|error| told(error.into()))?;
            // A name that is not UTF-8 cannot be written in a policy either.
            if let Some(name) = entry.file_name().to_str()
                && fits(part, name)
            {
                found.push(join(name));
            }
        }
        Ok(found)
    }
}

impl Store for FolderStore {
    fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
        let real = self.resolve(path)?;
        disk::read_resolved(&real, bytes_max).map_err(told)
    }

    /// The files that fit `pattern`, in the order a person would count them: `a2` before `a10`.
    /// `*` and `?` stand for what they do in a shell and never for a `/` or a leading dot.
    fn glob(&self, pattern: &str) -> Result<Vec<String>, ReadError> {
        if pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
            return Err(ReadError::Outside);
        }
        let mut found = vec![String::new()];
        for part in pattern.split('/') {
            let mut next = Vec::new();
            for folder in &found {
                next.extend(self.fitting(folder, part)?);
                if next.len() > GLOB_ENTRIES_MAX {
                    let why = format!("more than {GLOB_ENTRIES_MAX} matches");
                    return Err(ReadError::Unreadable(why));
                }
            }
            found = next;
        }
        // What is no file, or leaves the root, is no match: a pattern names what may be read.
        found.retain(|path| self.resolve(path).is_ok_and(|real| real.is_file()));
        found.sort_by(|a, b| natural(a, b));
        Ok(found)
    }
}

fn told(error: DiskError) -> ReadError {
    match error {
        DiskError::Missing => ReadError::Missing,
        DiskError::Unreadable(why) => ReadError::Unreadable(why),
        DiskError::TooLarge { bytes_max } => ReadError::TooLarge { bytes_max },
        DiskError::NotAFile => ReadError::NotAFile,
        DiskError::Changing => ReadError::Changing,
    }
}

/// Those of `paths` that fit `pattern`, as a folder that holds them would list them.
pub(crate) fn matching<'p>(pattern: &str, paths: impl Iterator<Item = &'p str>) -> Vec<String> {
    let fit = |path: &&str| {
        pattern.split('/').count() == path.split('/').count()
            && pattern.split('/').zip(path.split('/')).all(|(part, name)| fits(part, name))
    };
    let mut found: Vec<String> = paths.filter(fit).map(str::to_owned).collect();
    found.sort_by(|a, b| natural(a, b));
    found
}

/// Whether `name` fits the shell pattern `pattern` of one path part.
fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    // Where to go on when the text after the last `*` does not fit: one character later. One step
    // back is enough, so the work is bounded by the product of the lengths.
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let mut ahead = pattern.clone();
        match (ahead.next(), name.clone().next()) {
            (Some('*'), _) => {
                pattern = ahead;
                retry = Some((pattern.clone(), name.clone()));
            }
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == '?' || wanted == given => {
                pattern = ahead;
                name.next();
            }
            _ => {
                let Some((after_star, mut from)) = retry.take() else { return false };
                if from.next().is_none() {
                    return false;
                }
                pattern = after_star.clone();
                name = from.clone();
                retry = Some((after_star, from));
            }
        }
    }
}

/// Compares as a person counts: runs of digits by their value, everything else by its bytes. Equal
/// values of different lengths fall back to the bytes, so the order is total.
fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let (mut x, mut y) = (a, b);
    loop {
        let ((x_digits, x_rest), (y_digits, y_rest)) = (digits(x), digits(y));
        let order = if x_digits.is_empty() || y_digits.is_empty() {
            let (mut xs, mut ys) = (x.chars(), y.chars());
            let order = xs.next().cmp(&ys.next());
            (x, y) = (xs.as_str(), ys.as_str());
            order
        } else {
            (x, y) = (x_rest, y_rest);
            let (p, q) = (x_digits.trim_start_matches('0'), y_digits.trim_start_matches('0'));
            p.len().cmp(&q.len()).then_with(|| p.cmp(q))
        };
        if order.is_ne() {
            return order;
        }
        if x.is_empty() && y.is_empty() {
            return a.cmp(b);
        }
    }
}

/// The digits that `text` starts with, and the rest.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder() -> (tempfile::TempDir, FolderStore) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("lists")).unwrap();
        fs::write(root.join("a.wall"), "policy").unwrap();
        fs::write(dir.path().join("secret"), "outside").unwrap();
        let store = FolderStore::new(&root);
        (dir, store)
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let (_dir, store) = folder();
        assert_eq!(store.read("a.wall", 6).unwrap(), b"policy");
        assert!(matches!(store.read("a.wall", 5), Err(ReadError::TooLarge { bytes_max: 5 })));
    }

    #[test]
    fn whatever_leads_out_of_the_root_is_refused() {
        let (dir, store) = folder();
        let root = dir.path().join("root");
        symlink("../secret", root.join("link")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink(dir.path().join("secret"), root.join("absolute")).unwrap();
        symlink("link", root.join("chain")).unwrap();
        fs::create_dir(dir.path().join("root-but-longer")).unwrap();
        fs::write(dir.path().join("root-but-longer/x"), "").unwrap();
        symlink("../root-but-longer/x", root.join("prefix")).unwrap();
        let absolute = dir.path().join("root/a.wall");
        for path in [
            "link",
            "up/secret",
            "absolute",
            "chain",
            "prefix",
            "../secret",
            "lists/../../secret",
            absolute.to_str().unwrap(),
        ] {
            assert!(matches!(store.read(path, 99), Err(ReadError::Outside)), "{path}");
        }
        symlink("lists/../a.wall", root.join("inside")).unwrap();
        assert_eq!(store.read("inside", 99).unwrap(), b"policy");
    }

    #[test]
    fn a_link_that_turns_outward_is_refused_from_then_on() {
        let (dir, store) = folder();
        let link = dir.path().join("root/current");
        symlink("a.wall", &link).unwrap();
        assert_eq!(store.read("current", 99).unwrap(), b"policy");
        symlink("../secret", dir.path().join("root/next")).unwrap();
        fs::rename(dir.path().join("root/next"), &link).unwrap();
        assert!(matches!(store.read("current", 99), Err(ReadError::Outside)));
    }

    #[test]
    fn a_swapped_root_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("a"), name).unwrap();
        }
        symlink("one", dir.path().join("root")).unwrap();
        let store = FolderStore::new(&dir.path().join("root"));
        assert_eq!(store.read("a", 99).unwrap(), b"one");
        symlink("two", dir.path().join("next")).unwrap();
        fs::rename(dir.path().join("next"), dir.path().join("root")).unwrap();
        assert_eq!(store.read("a", 99).unwrap(), b"two");
    }

    #[test]
    fn what_is_no_readable_file_says_what_it_is() {
        let (dir, store) = folder();
        let root = dir.path().join("root");
        let fifo = root.join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert!(matches!(store.read("fifo", 99), Err(ReadError::NotAFile)));
        assert!(matches!(store.read("lists", 99), Err(ReadError::NotAFile)));
        assert!(matches!(store.read("none", 99), Err(ReadError::Missing)));
        symlink("loop", root.join("loop")).unwrap();
        assert!(store.read("loop", 99).is_err());
        fs::set_permissions(root.join("a.wall"), fs::Permissions::from_mode(0o000)).unwrap();
        // Root reads what nobody may read.
        let root_user = fs::File::open(root.join("a.wall")).is_ok();
        let read = store.read("a.wall", 99);
        assert!(root_user || matches!(read, Err(ReadError::Unreadable(_))), "{read:?}");
    }

    #[test]
    fn a_pattern_finds_files_in_the_order_of_counting() {
        let (dir, store) = folder();
        let root = dir.path().join("root");
        for name in ["m10.wall", "m2.wall", "m1.wall", "m2.txt", ".hidden.wall", "b.wall"] {
            fs::write(root.join("lists").join(name), "").unwrap();
        }
        fs::create_dir(root.join("lists/dir.wall")).unwrap();
        symlink("../../secret", root.join("lists/out.wall")).unwrap();
        let found = store.glob("lists/*.wall").unwrap();
        assert_eq!(found, ["lists/b.wall", "lists/m1.wall", "lists/m2.wall", "lists/m10.wall"]);
        assert_eq!(store.glob("*/m?.wall").unwrap(), ["lists/m1.wall", "lists/m2.wall"]);
        assert_eq!(store.glob("a.wall").unwrap(), ["a.wall"]);
        assert!(store.glob("none/*.wall").unwrap().is_empty());
        assert!(matches!(store.glob("../*"), Err(ReadError::Outside)));
        assert!(matches!(store.glob("/etc/*"), Err(ReadError::Outside)));
    }

    #[test]
    fn remembered_paths_match_as_files_do() {
        let (dir, store) = folder();
        let paths = ["a.wall", "lists/b.wall", "lists/m2.wall", "lists/m10.wall", "lists/.h.wall"];
        for path in paths {
            fs::write(dir.path().join("root").join(path), "").unwrap();
        }
        for pattern in ["*.wall", "lists/*.wall", "*/m?.wall", "lists/m*", "a.wall", "*", "none/*"]
        {
            let files = store.glob(pattern).unwrap();
            assert_eq!(matching(pattern, paths.into_iter()), files, "{pattern}");
        }
    }

    #[test]
    fn a_folder_past_its_limit_is_refused() {
        let (dir, store) = folder();
        let lists = dir.path().join("root/lists");
        for n in 0..GLOB_ENTRIES_MAX {
            fs::File::create(lists.join(n.to_string())).unwrap();
        }
        assert_eq!(store.glob("lists/*").unwrap().len(), GLOB_ENTRIES_MAX);
        fs::File::create(lists.join("one more")).unwrap();
        assert!(matches!(store.glob("lists/*"), Err(ReadError::Unreadable(_))));
    }

    #[test]
    fn stars_fit_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?", "\u{e9}", true),
            ("?", "", false),
            ("*.wall", ".x.wall", false),
            (".*", ".x", true),
            ("**a", "ba", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        let hard = format!("{}b", "*a".repeat(500));
        assert!(!fits(&hard, &"a".repeat(5_000)));
    }

    #[test]
    fn counting_order_is_total() {
        let mut names = ["a10", "a9", "a", "b", "a009", "a9b", "10", "9", ""];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["", "9", "10", "a", "a009", "a9", "a9b", "a10", "b"]);
    }
}
