//! Watches the policy root for changes.
//!
//! Directories are watched and never files: only those that policy files lie in or are expected in,
//! and those that lead there. Other folders of a member use no watch. Editors save by a rename, and
//! Kubernetes swaps a link two levels up, so a watch on a file would follow the old one. The events
//! only tell that something changed; the reload reads and compares the content. The poll finds what
//! the events miss (an overflow on a network file system, a link above the root).

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::reload::trigger::{FileChange, ReloadTrigger};

/// Maximum of files whose writers are remembered. Beyond it all files count as closed, which costs
/// at most one reload of a partly written file and another one after it.
const WRITERS_MAX: usize = 1_024;

/// The directory that a path led to when it was resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ResolvedDir {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Maximum of watched folders; beyond it only the poll finds changes, in members' folders.
pub(crate) const WATCHES_MAX: usize = 32_768;

/// Returns the folders to watch beside `root`.
fn watchable<'f>(root: &Path, folders: &'f [PathBuf]) -> impl Iterator<Item = &'f PathBuf> {
    let is_inside = move |folder: &&PathBuf| folder.starts_with(root) && **folder != *root;
    folders.iter().filter(is_inside).take(WATCHES_MAX)
}

/// Watches one folder, by the path that leads to it, and folders below it.
#[derive(Debug)]
pub(crate) struct PolicyWatcher {
    root: PathBuf,
    real: Option<ResolvedDir>,
    /// The watched folders, with what shows whether one was replaced.
    followed: BTreeMap<PathBuf, ResolvedDir>,
    /// It was logged that some have no watch.
    told: bool,
    watcher: Option<RecommendedWatcher>,
    trigger: Arc<ReloadTrigger>,
}

impl PolicyWatcher {
    /// Watches `root`, which may be a link and may be missing for a while.
    pub(crate) fn new(root: &Path, trigger: Arc<ReloadTrigger>) -> Self {
        let root = root.to_owned();
        let followed = BTreeMap::new();
        let mut watch = Self { root, real: None, followed, told: false, watcher: None, trigger };
        watch.renew();
        watch
    }

    /// Renews the watch if the path leads to another folder than before.
    pub(crate) fn renew(&mut self) {
        let real = real(&self.root);
        if self.watcher.is_some() && self.real == real {
            return;
        }
        // For a moment there are two watchers rather than none.
        let made = self.make(real.as_ref());
        self.followed.clear();
        self.watcher = match made {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                log::warn!(
                    target: "seawall::policy",
                    "the policy folder is not watched, only polled: {error}",
                );
                None
            }
        };
        self.real = real;
    }

    /// Watches these folders and no others, as far as they lie in the root; returns whether one was
    /// not watched before.
    pub(crate) fn follow(&mut self, folders: &[PathBuf]) -> bool {
        let (Some(root), Some(watcher)) = (&self.real, &mut self.watcher) else { return false };
        let wanted: BTreeMap<PathBuf, ResolvedDir> = watchable(&root.path, folders)
            .filter_map(|folder| Some((folder.clone(), real(folder)?)))
            .collect();
        let gone = |(path, was): &(&PathBuf, &ResolvedDir)| wanted.get(*path) != Some(*was);
        let gone: Vec<PathBuf> =
            self.followed.iter().filter(gone).map(|(path, _)| path.clone()).collect();
        for path in gone {
            self.followed.remove(&path);
            // A removed folder has no watch any more.
            let _is_gone = watcher.unwatch(&path);
        }
        let mut is_new = false;
        for (path, real) in wanted {
            if self.followed.contains_key(&path) {
                continue;
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.followed.insert(path, real);
                    is_new = true;
                }
                Err(error) if !self.told => {
                    self.told = true;
                    log::warn!(
                        target: "seawall::policy",
                        "a folder is not watched, only polled: {error}",
                    );
                }
                Err(_) => {}
            }
        }
        is_new
    }

    fn make(&self, real: Option<&ResolvedDir>) -> notify::Result<RecommendedWatcher> {
        let mut filter =
            EventFilter { trigger: self.trigger.clone(), ..EventFilter::of(&self.root, real) };
        // Links are not followed: one that points out of the root would watch what no policy may
        // read.
        let config = Config::default().with_follow_symlinks(false);
        let mut watcher = RecommendedWatcher::new(move |event| filter.take(event), config)?;
        if let Some(real) = real {
            watcher.watch(&real.path, RecursiveMode::NonRecursive)?;
        }
        // The folder above shows when the root itself is swapped; without a watch on it, the poll
        // finds that.
        if let Some(above) = above(&self.root)
            && let Err(error) = watcher.watch(&above, RecursiveMode::NonRecursive)
        {
            log::info!(
                target: "seawall::policy",
                "the folder above the policy root is not watched: {error}",
            );
        }
        Ok(watcher)
    }
}

fn real(root: &Path) -> Option<ResolvedDir> {
    let path = std::fs::canonicalize(root).ok()?;
    let data = std::fs::metadata(&path).ok()?;
    Some(ResolvedDir { path, device: data.dev(), inode: data.ino() })
}

fn above(root: &Path) -> Option<PathBuf> {
    let parent = match root.parent()? {
        empty if empty.as_os_str().is_empty() => Path::new("."),
        parent => parent,
    };
    std::fs::canonicalize(parent).ok()
}

/// Notifies the trigger of relevant events.
struct EventFilter {
    trigger: Arc<ReloadTrigger>,
    /// The real folder: all events below it are relevant.
    inside: Option<PathBuf>,
    /// The root's own name in the folder above.
    name: Option<OsString>,
    writers: HashSet<PathBuf>,
}

impl EventFilter {
    fn of(root: &Path, real: Option<&ResolvedDir>) -> Self {
        Self {
            trigger: Arc::default(),
            inside: real.map(|real| real.path.clone()),
            name: root.file_name().map(ToOwned::to_owned),
            writers: HashSet::new(),
        }
    }

    fn take(&mut self, event: notify::Result<Event>) {
        let event = match event {
            Ok(event) if event.need_rescan() => {
                return self.trigger.on_file_change(FileChange::Closed);
            }
            Ok(event) => event,
            Err(_) => return self.trigger.on_file_change(FileChange::Closed),
        };
        let closed = event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write));
        // Reading is not a change, and the reload itself reads.
        if (event.kind.is_access() && !closed) || !event.paths.iter().any(|p| self.is_relevant(p)) {
            return;
        }
        for path in event.paths {
            match event.kind {
                EventKind::Modify(ModifyKind::Data(_)) => {
                    if self.writers.len() >= WRITERS_MAX {
                        self.writers.clear();
                    }
                    self.writers.insert(path);
                }
                EventKind::Modify(ModifyKind::Metadata(_)) | EventKind::Create(_) => {}
                _ => {
                    self.writers.remove(&path);
                }
            }
        }
        self.trigger.on_file_change(match self.writers.is_empty() {
            true => FileChange::Closed,
            false => FileChange::StillOpen,
        });
    }

    fn is_relevant(&self, path: &Path) -> bool {
        self.inside.as_ref().is_some_and(|inside| path.starts_with(inside))
            || path.file_name() == self.name.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;
    use seawall_admin_api::ReloadCause;

    /// Far more than a notification takes; a test that waits this long has failed.
    const LONG: Duration = Duration::from_secs(20);

    fn quiet(trigger: &ReloadTrigger) {
        while trigger.wait(Duration::from_millis(30)).unwrap().cause != ReloadCause::Poll {}
    }

    #[track_caller]
    fn on_event(trigger: &ReloadTrigger, what: &str) {
        assert_eq!(trigger.wait(LONG).unwrap().cause, ReloadCause::Change, "{what}");
        quiet(trigger);
    }

    #[test]
    fn saves_of_every_kind_are_noticed_and_reads_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("policies");
        fs::create_dir_all(root.join("lists")).unwrap();
        fs::write(root.join("a.wall"), "1").unwrap();
        let trigger = Arc::new(ReloadTrigger::default());
        let mut watch = PolicyWatcher::new(&root, trigger.clone());
        assert!(watch.follow(&[root.clone(), root.join("lists")]));
        assert!(!watch.follow(&[root.join("lists")]));
        quiet(&trigger);
        fs::read(root.join("a.wall")).unwrap();
        assert_eq!(trigger.wait(Duration::from_millis(100)).unwrap().cause, ReloadCause::Poll);
        fs::write(root.join("a.wall"), "2").unwrap();
        on_event(&trigger, "a write in place");
        fs::write(root.join("a.tmp"), "3").unwrap();
        on_event(&trigger, "a new file");
        fs::rename(root.join("a.tmp"), root.join("a.wall")).unwrap();
        on_event(&trigger, "a rename over");
        fs::write(root.join("lists/x"), "4").unwrap();
        on_event(&trigger, "a file in a folder below");
        fs::remove_file(root.join("lists/x")).unwrap();
        on_event(&trigger, "a removal");
        fs::create_dir(root.join("new")).unwrap();
        on_event(&trigger, "a new folder");
        assert!(watch.follow(&[root.join("new"), root.join("lists")]));
        fs::write(root.join("new/y"), "5").unwrap();
        on_event(&trigger, "a file in a new folder");
    }

    #[test]
    fn as_many_folders_are_watched_as_may_be_and_those_past_it_are_left_to_the_poll() {
        let root = Path::new("/p");
        let folders = |count: usize| -> Vec<PathBuf> {
            // The operator's folders come first, and folders outside the root do not count.
            let all = ["/q".into(), "/p".into(), "/p/host".into()].into_iter();
            all.chain((1..count).map(|n| format!("/p/members/{n}").into())).collect()
        };
        let watched = |count: usize| watchable(root, &folders(count)).count();
        assert_eq!(watched(WATCHES_MAX - 1), WATCHES_MAX - 1);
        assert_eq!(watched(WATCHES_MAX), WATCHES_MAX, "at it");
        assert_eq!(watched(WATCHES_MAX + 1), WATCHES_MAX, "past it");
        let all = folders(WATCHES_MAX * 2);
        assert_eq!(watchable(root, &all).next(), Some(&PathBuf::from("/p/host")));
    }

    #[test]
    fn folders_that_no_policy_looks_into_are_not_watched() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap().join("root");
        for name in ["a", "b"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let trigger = Arc::new(ReloadTrigger::default());
        let mut watch = PolicyWatcher::new(&root, trigger.clone());
        let outside = dir.path().to_owned();
        assert!(watch.follow(&[root.join("a"), root.join("none"), outside]));
        assert_eq!(watch.followed.keys().collect::<Vec<_>>(), [&root.join("a")]);
        quiet(&trigger);
        fs::write(root.join("b/x"), "1").unwrap();
        assert_eq!(trigger.wait(Duration::from_millis(100)).unwrap().cause, ReloadCause::Poll);
        // A folder that is no longer used, and one that was replaced.
        assert!(watch.follow(&[root.join("b")]));
        fs::write(root.join("a/x"), "1").unwrap();
        quiet(&trigger);
        fs::rename(root.join("b"), root.join("c")).unwrap();
        fs::create_dir(root.join("b")).unwrap();
        on_event(&trigger, "another folder in its place");
        assert!(watch.follow(&[root.join("b")]));
        fs::write(root.join("b/x"), "1").unwrap();
        on_event(&trigger, "a write there");
    }

    #[test]
    fn a_swapped_root_is_noticed_and_watched_in_its_new_place() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let root = dir.path().join("root");
        symlink("one", &root).unwrap();
        let trigger = Arc::new(ReloadTrigger::default());
        let mut watch = PolicyWatcher::new(&root, trigger.clone());
        quiet(&trigger);
        symlink("two", dir.path().join("next")).unwrap();
        fs::rename(dir.path().join("next"), &root).unwrap();
        on_event(&trigger, "the swap");
        watch.renew();
        fs::write(dir.path().join("two/a"), "x").unwrap();
        on_event(&trigger, "a write in the new folder");
    }

    #[test]
    fn a_root_that_comes_back_is_watched_again() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let trigger = Arc::new(ReloadTrigger::default());
        let mut watch = PolicyWatcher::new(&root, trigger.clone());
        fs::create_dir(&root).unwrap();
        on_event(&trigger, "the root is made");
        watch.renew();
        fs::write(root.join("a"), "x").unwrap();
        on_event(&trigger, "a write");
    }

    #[test]
    fn a_file_that_is_still_written_is_told_apart_from_one_that_is_closed() {
        let mut filter = EventFilter::of(Path::new("/p"), None);
        filter.inside = Some("/p".into());
        let event = |kind| Ok(Event::new(kind).add_path("/p/a".into()));
        let data = EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any));
        filter.take(event(data));
        assert_eq!(filter.writers.len(), 1);
        filter.take(event(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(filter.writers.is_empty());
        for n in 0..=WRITERS_MAX {
            filter.take(Ok(Event::new(data).add_path(format!("/p/{n}").into())));
            assert!(filter.writers.len() <= WRITERS_MAX);
        }
    }

    #[test]
    fn an_overflow_and_an_error_ask_for_a_look() {
        let mut filter = EventFilter::of(Path::new("/p"), None);
        let short = Duration::from_millis(1);
        filter.take(Ok(Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan)));
        assert_eq!(filter.trigger.wait(short).unwrap().cause, ReloadCause::Change);
        filter.take(Err(notify::Error::generic("gone")));
        assert_eq!(filter.trigger.wait(short).unwrap().cause, ReloadCause::Change);
        filter
            .take(Ok(Event::new(EventKind::Create(notify::event::CreateKind::File))
                .add_path("/q/x".into())));
        assert_eq!(filter.trigger.wait(short).unwrap().cause, ReloadCause::Poll);
    }
}
