//! A disk on which one step fails: there is never a partial snapshot, and never none after a good
//! one.

use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// The steps of a write, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Write,
    Sync,
    Rename,
    SyncFolder,
}

const STEPS: [Step; 5] = [Step::Create, Step::Write, Step::Sync, Step::Rename, Step::SyncFolder];

/// A disk that fails one step, from the `after`th time on.
#[derive(Debug)]
struct Faulty {
    step: Step,
    errno: i32,
    after: usize,
    seen: AtomicUsize,
}

impl Faulty {
    fn pass(&self, step: Step) -> io::Result<()> {
        if step == self.step && self.seen.fetch_add(1, Ordering::Relaxed) >= self.after {
            return Err(io::Error::from_raw_os_error(self.errno));
        }
        Ok(())
    }
}

impl FileSystem for Faulty {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.pass(Step::Create)?;
        RealFileSystem.create(path)
    }

    /// A full disk takes the first half.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.pass(Step::Write) {
            RealFileSystem.write(file, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        RealFileSystem.write(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.pass(Step::Sync)?;
        RealFileSystem.sync(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass(Step::Rename)?;
        RealFileSystem.rename(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.pass(Step::SyncFolder)?;
        RealFileSystem.sync_folder(folder)
    }
}

fn faulty(folder: &Path, step: Step, errno: i32, after: usize) -> SnapshotStore {
    let medium = Arc::new(Faulty { step, errno, after, seen: AtomicUsize::new(0) });
    SnapshotStore { medium, ..at_start(folder) }
}

#[test]
fn whatever_fails_the_last_good_snapshot_stays() {
    for step in STEPS {
        for errno in [libc::ENOSPC, libc::EIO] {
            // A snapshot is written in two parts; either can fail.
            for after in 0..if step == Step::Write { 2 } else { 1 } {
                let folder = tempfile::tempdir().unwrap();
                at_start(folder.path()).write(&busy()).unwrap();
                let state = busy();
                ban(&state, 1);
                let failing = faulty(folder.path(), step, errno, after);
                assert!(failing.write(&state).is_err(), "{step:?}");
                // If only the sync of the folder fails, the new one is there.
                let bans = if step == Step::SyncFolder { 2 } else { 1 };
                assert_eq!(restore(&at_start(folder.path())).bans().len(), bans, "{step:?}");
                assert_eq!(
                    names(&folder),
                    ["snapshot", "snapshot.key"],
                    "nothing is left: {step:?}"
                );
                at_start(folder.path()).write(&state).unwrap();
                assert_eq!(restore(&at_start(folder.path())).bans().len(), 2);
            }
        }
    }
}

#[test]
fn a_disk_that_fails_from_the_start_leaves_nothing_half() {
    for step in STEPS {
        let folder = tempfile::tempdir().unwrap();
        let failing = faulty(folder.path(), step, libc::EIO, 0);
        assert!(failing.write(&busy()).is_err(), "{step:?}");
        assert_eq!(restore(&at_start(folder.path())).bans().len(), 0, "{step:?}");
        at_start(folder.path()).write(&busy()).unwrap();
        assert_eq!(restore(&at_start(folder.path())).bans().len(), 1);
    }
}

#[test]
fn a_failure_is_told_once_and_its_end_too() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(SnapshotLedger::default());
    let keeper = faulty(folder.path(), Step::Sync, libc::ENOSPC, 0);
    let mut writer = SnapshotWriter { keeper, ledger: ledger.clone(), last: None };
    let state = busy();
    (0..3).for_each(|_| _ = writer.look(&state));
    let error = || ledger.0.lock().unwrap().error.clone();
    assert!(error().is_some_and(|error| error.contains("No space left")), "{:?}", error());
    // A failed write is retried, although the state did not change.
    writer.keeper = at_start(folder.path());
    writer.look(&state);
    assert_eq!(error(), None);
    assert_eq!(restore(&at_start(folder.path())).bans().len(), 1);
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_like_any() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let keeper = at_start(&file.join("state"));
    assert_eq!(restore(&keeper).bans().len(), 0);
    assert!(keeper.write(&busy()).is_err());
}

/// Every truncation and every flipped byte of a snapshot of 4 KiB, from the file to the state.
#[test]
fn no_damaged_file_is_half_read() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = at_start(folder.path());
    let state = empty();
    (0..450).for_each(|n| ban(&state, n));
    keeper.write(&state).unwrap();
    let whole = fs::read(keeper.place()).unwrap();
    assert!((3_000..6_000).contains(&whole.len()), "{}", whole.len());
    let key = keeper.secret.read().unwrap();
    assert!(encryption::open(&key, whole.clone()).is_ok());
    for place in 0..whole.len() {
        assert!(encryption::open(&key, whole[..place].to_vec()).is_err(), "cut at {place}");
        let mut flipped = whole.clone();
        flipped[place] ^= 0xff;
        assert!(encryption::open(&key, flipped).is_err(), "flipped at {place}");
    }
    for place in [0, 9, 20, 40, 100, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[place] ^= 1;
        fs::write(keeper.place(), flipped).unwrap();
        assert_eq!(restore(&keeper).bans().len(), 0);
    }
}
