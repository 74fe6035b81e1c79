//! The behaviour of the reloader, with real files in a folder and a backend that knows three words.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread::JoinHandle;

use seawall_admin_api::{
    Back, ClearedPenalties, CounterReport, FileDigest, Left, MembersRefused, TestCounts,
};
use tokio::sync::oneshot;

use super::*;
use crate::generations::contents::Made;
use crate::policy_source::read_file::{self, FileReadError};
use crate::reload::status::ReloadStatusSnapshot;
use crate::reload::trigger::{DEBOUNCE_MS, FileChange, SETTLE_MS_MAX};
use crate::reload::watcher::PolicyWatcher;
use crate::storage::digest::hex;
use crate::util::clock::clock;

/// Far more than a reload takes; a test that waits this long has failed.
const LONG_MS: u64 = 20_000;

/// A file is valid if it ends in `end`, and makes the backend panic if it contains that word. One
/// that begins with `hold` blocks until it is released.
struct Toy {
    hold: mpsc::Receiver<()>,
    file: PathBuf,
    generation: u64,
    published: Arc<Mutex<Vec<String>>>,
    assembled: Arc<AtomicU64>,
}

/// Content of a file, and what is pinned.
struct Read {
    text: String,
    aside: Option<RollbackPin>,
}

fn digest_of(text: &str) -> [u8; 32] {
    let mut out = [0u8; 32];
    for (i, byte) in text.bytes().enumerate() {
        out[i % 32] = out[i % 32].wrapping_mul(31).wrapping_add(byte);
    }
    out
}

impl Toy {
    fn on_disk(&self) -> Result<String, NotRead> {
        match read_file::read(&self.file, 1 << 20) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(FileReadError::Changing) => Err(NotRead::Unsettled),
            Err(error) => Ok(error.to_string()),
        }
    }
}

/// Returns a generation of one file of the operator.
fn made(text: &str) -> Made {
    let digest = hex(&digest_of(text));
    Made {
        root: "a".into(),
        files: vec![FileDigest { path: "a".into(), sha256: text.into() }].into(),
        content: digest.clone(),
        host: digest.clone(),
        policies: digest,
        ..Made::default()
    }
}

impl PolicyBackend for Toy {
    type Draft = Read;
    type Ready = String;

    fn gather(&mut self, _: Patience, beside: Option<Beside<'_>>) -> Result<Read, NotRead> {
        let text = self.on_disk()?;
        let content = hex(&digest_of(&text));
        let host = |beside: &Beside<'_>| beside.aside.host.clone();
        match beside.filter(|beside| host(beside).is_some_and(|left| left.content == content)) {
            Some(Beside { serves, .. }) if serves.files.is_empty() => {
                Err(NotRead::Refused(own_refusal("not kept")))
            }
            Some(Beside { aside, serves }) => {
                Ok(Read { text: serves.files[0].sha256.clone(), aside: Some(aside.clone()) })
            }
            None => Ok(Read { text, aside: None }),
        }
    }

    fn aside(&self, draft: &Read) -> Option<RollbackPin> {
        draft.aside.clone()
    }

    fn digest(&self, draft: &Read) -> [u8; 32] {
        digest_of(&draft.text)
    }

    fn recall(&mut self, past: &Past, _: &Back, _: Beside<'_>) -> Result<Read, PolicyRejection> {
        let text = past.files[0].sha256.clone();
        let content = self.on_disk().map(|text| hex(&digest_of(&text)));
        let content = content.ok().filter(|content| *content != hex(&digest_of(&text)));
        let host = content.map(|content| Left { content, active_generation: past.generation });
        Ok(Read { text, aside: RollbackPin { host, ..RollbackPin::default() }.or_none() })
    }

    fn assemble(&mut self, draft: &Read) -> Result<String, PolicyRejection> {
        let draft = &draft.text;
        self.assembled.fetch_add(1, Ordering::Relaxed);
        assert!(draft != "panic", "asked to");
        if draft.starts_with("hold") {
            // Fails when the test has ended.
            let _let_go = self.hold.recv();
        }
        if draft.ends_with("end") { Ok(draft.clone()) } else { Err(own_refusal(draft)) }
    }

    fn publish(&mut self, ready: String, _: &Read) -> Published {
        self.generation += 1;
        self.published.lock().unwrap().push(ready.clone());
        Published {
            generation: self.generation,
            counters: CounterReport::default(),
            warnings: vec![],
            tests: TestCounts::default(),
            made: made(&ready),
        }
    }

    fn lift(&mut self, lift: &ClearPenalties) -> ClearedPenalties {
        match lift {
            ClearPenalties::Rule(_) => ClearedPenalties { bans: 1, holds: 0 },
            ClearPenalties::Generations(numbers, _) => {
                ClearedPenalties { bans: 0, holds: numbers.len() }
            }
        }
    }

    fn generation(&self) -> u64 {
        self.generation
    }
}

struct Bench {
    dir: tempfile::TempDir,
    trigger: Arc<ReloadTrigger>,
    board: Arc<ReloadStatus>,
    published: Arc<Mutex<Vec<String>>>,
    assembled: Arc<AtomicU64>,
    still: Arc<WriteGate>,
    let_go: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Bench {
    /// A running reloader with a watcher on a folder, whose file `a` is read.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("a"), "first end").unwrap();
        Self::over(dir, root)
    }

    fn over(dir: tempfile::TempDir, root: PathBuf) -> Self {
        let (trigger, board) =
            (Arc::new(ReloadTrigger::default()), Arc::new(ReloadStatus::default()));
        let published = Arc::new(Mutex::new(Vec::new()));
        let assembled = Arc::new(AtomicU64::new(0));
        let (let_go, hold) = mpsc::channel();
        let toy = Toy {
            hold,
            file: root.join("a"),
            generation: 1,
            published: published.clone(),
            assembled: assembled.clone(),
        };
        let running = digest_of("first end");
        let Made { files, content, host, policies, .. } = made("first end");
        let past = Past {
            files,
            content,
            host,
            policies,
            ..crate::generations::test_past(1, ReloadCause::Start)
        };
        board.published(past);
        let first = (running, None);
        let still = Arc::new(WriteGate::default());
        let both = (trigger.clone(), board.clone());
        let reloader = Reloader::new(toy, both, still.clone(), clock(), first);
        let mut watch = PolicyWatcher::new(&root, trigger.clone());
        let poll = Duration::from_millis(POLL_MS);
        let thread = std::thread::spawn(move || reloader.run(poll, || watch.renew()));
        let (let_go, thread) = (Some(let_go), Some(thread));
        Self { dir, trigger, board, published, assembled, still, let_go, thread }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("root/a")
    }

    /// Waits until the status has the wanted content.
    #[track_caller]
    fn until(
        &self,
        what: &str,
        wanted: impl Fn(&ReloadStatusSnapshot) -> bool,
    ) -> ReloadStatusSnapshot {
        let now = clock();
        let began = now();
        while now().since_ms(began) < LONG_MS {
            let posted = self.board.read();
            if wanted(&posted) {
                return posted;
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
        panic!("never came: {what}: {:?}", self.board.read());
    }

    fn ask(&self) -> ReloadOutcome {
        self.wish(ReloadKind::RELOAD)
    }

    fn wish(&self, wish: ReloadKind) -> ReloadOutcome {
        self.trigger.request(wish, Some(1_000)).unwrap().blocking_recv().unwrap()
    }

    /// Makes a reload build something that blocks until it is released.
    fn hold(&self) -> oneshot::Receiver<ReloadOutcome> {
        let before = self.assembled.load(Ordering::Relaxed);
        rename_save(&self.file(), "hold end");
        let waiting = self.trigger.request(ReloadKind::RELOAD, None).unwrap();
        while self.assembled.load(Ordering::Relaxed) == before {
            std::thread::yield_now();
        }
        waiting
    }

    fn let_go(&self) {
        self.let_go.as_ref().unwrap().send(()).unwrap();
    }

    fn published(&self) -> Vec<String> {
        self.published.lock().unwrap().clone()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.trigger.stop();
        drop(self.let_go.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn newest(posted: &ReloadStatusSnapshot, content: &str) -> bool {
    posted.history.back().is_some_and(|past| past.files[0].sha256 == content)
}

fn rename_save(path: &Path, content: &str) {
    let beside = path.with_extension("tmp");
    fs::write(&beside, content).unwrap();
    fs::rename(&beside, path).unwrap();
}

#[test]
fn a_save_is_enough() {
    let bench = Bench::new();
    fs::write(bench.file(), "second end").unwrap();
    let posted = bench.until("the save", |p| newest(p, "second end"));
    assert_eq!(posted.history.back().unwrap().cause, ReloadCause::Change);
    rename_save(&bench.file(), "third end");
    bench.until("the rename-save", |p| newest(p, "third end"));
    assert_eq!(bench.published(), ["second end", "third end"]);
}

#[test]
fn a_broken_save_leaves_the_old_generation_and_one_error() {
    let bench = Bench::new();
    fs::write(bench.file(), "broken").unwrap();
    let posted = bench.until("the error", |p| p.last_error.is_some());
    assert_eq!(posted.last_error.unwrap().message, "broken");
    // The same content again, and an automatic reload, add nothing.
    rename_save(&bench.file(), "broken");
    rename_save(&bench.file().with_file_name("marker"), "x");
    assert!(matches!(bench.ask(), ReloadOutcome::Rejected { generation: 1, .. }));
    assert_eq!(bench.board.read().reloads.rejected, 2, "the save and the command");
    fs::write(bench.file(), "good end").unwrap();
    let posted = bench.until("the mended save", |p| newest(p, "good end"));
    assert_eq!(posted.last_error, None);
}

#[test]
fn going_back_to_what_runs_is_no_new_generation_and_ends_the_error() {
    let bench = Bench::new();
    fs::write(bench.file(), "broken").unwrap();
    bench.until("the error", |p| p.last_error.is_some());
    fs::write(bench.file(), "first end").unwrap();
    bench.until("the error's end", |p| p.last_error.is_none());
    assert_eq!(
        bench.ask(),
        ReloadOutcome::Unchanged {
            generation: 1,
            cleared: None,
            members: MembersRefused::default()
        }
    );
    assert!(bench.published().is_empty());
}

#[test]
fn a_save_in_two_steps_makes_no_noise() {
    use std::io::Write;
    let bench = Bench::new();
    for round in 0..5 {
        let mut file = fs::File::create(bench.file()).unwrap();
        let half = "half ".repeat(round + 1);
        file.write_all(half.as_bytes()).unwrap();
        // The pause of a slow editor: as long as the debounce.
        std::thread::park_timeout(Duration::from_millis(50));
        file.write_all(b"end").unwrap();
        drop(file);
        bench.until("the whole file", |p| newest(p, &format!("{half}end")));
    }
    // A reload is counted a moment after its generation is published.
    let posted = bench.until("all are told", |p| p.reloads.published == 5);
    assert_eq!((posted.reloads.rejected, posted.reloads.published), (0, 5));
}

#[test]
fn kubernetes_swap_of_links_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    for (version, content) in [("..1", "first end"), ("..2", "second end"), ("..3", "third end")] {
        fs::create_dir_all(root.join(version)).unwrap();
        fs::write(root.join(version).join("a"), content).unwrap();
    }
    symlink("..1", root.join("..data")).unwrap();
    symlink("..data/a", root.join("a")).unwrap();
    let bench = Bench::over(dir, root.clone());
    for (version, content) in [("..2", "second end"), ("..3", "third end")] {
        symlink(version, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        bench.until("the swap", |p| newest(p, content));
    }
}

#[test]
fn a_storm_of_saves_is_a_few_reloads_and_ends_with_the_last() {
    let bench = Bench::new();
    let now = clock();
    let began = now();
    let (mut last, mut stalls) = (began, 0);
    for n in 0..1_000 {
        if n % 2 == 0 {
            fs::write(bench.file(), format!("{n} end")).unwrap();
        } else {
            rename_save(&bench.file(), &format!("{n} end"));
        }
        // If the machine delays the writer, that is the quiet time after which a reload is due.
        let saved = now();
        stalls += u64::from(saved.since_ms(last) >= DEBOUNCE_MS / 2);
        last = saved;
    }
    let stormed_ms = last.since_ms(began);
    bench.until("the last save", |p| newest(p, "999 end"));
    // One reload at each end of the longest delay, and the last: the storm's length permits no
    // more.
    let allowed = stormed_ms / SETTLE_MS_MAX + 3 + stalls;
    let assembled = bench.assembled.load(Ordering::Relaxed);
    assert!(assembled <= allowed, "{assembled} reloads in {stormed_ms} ms with {stalls} stalls");
}

#[test]
fn a_command_and_a_signal_reload_without_a_change_event() {
    let bench = Bench::new();
    assert_eq!(
        bench.ask(),
        ReloadOutcome::Unchanged {
            generation: 1,
            cleared: None,
            members: MembersRefused::default()
        }
    );
    bench.trigger.on_sighup();
    bench.until("the signal", |p| p.reloads.unchanged >= 2);
}

#[test]
fn a_panic_while_building_is_a_refusal_and_reloading_goes_on() {
    let bench = Bench::new();
    rename_save(&bench.file(), "panic");
    assert!(matches!(bench.ask(), ReloadOutcome::Rejected { generation: 1, .. }));
    rename_save(&bench.file(), "after end");
    bench.until("the next save", |p| newest(p, "after end"));
}

#[test]
fn a_file_that_goes_away_is_an_error_and_comes_back() {
    let bench = Bench::new();
    fs::remove_file(bench.file()).unwrap();
    bench.until("the error", |p| p.last_error.is_some());
    fs::write(bench.file(), "back end").unwrap();
    bench.until("the file", |p| newest(p, "back end"));
}

/// A backend whose files are different in each read.
struct Restless(u8);

impl PolicyBackend for Restless {
    type Draft = u8;
    type Ready = ();

    fn gather(&mut self, _: Patience, _: Option<Beside<'_>>) -> Result<u8, NotRead> {
        self.0 = self.0.wrapping_add(1);
        if self.0.is_multiple_of(3) { Err(NotRead::Unsettled) } else { Ok(self.0) }
    }
    fn aside(&self, _: &u8) -> Option<RollbackPin> {
        None
    }
    fn digest(&self, draft: &u8) -> [u8; 32] {
        [*draft; 32]
    }
    fn recall(&mut self, _: &Past, _: &Back, _: Beside<'_>) -> Result<u8, PolicyRejection> {
        panic!("nobody goes back");
    }
    fn lift(&mut self, _: &ClearPenalties) -> ClearedPenalties {
        panic!("nothing is lifted");
    }
    fn assemble(&mut self, _: &u8) -> Result<(), PolicyRejection> {
        panic!("nothing that changes is assembled");
    }
    fn publish(&mut self, (): (), _: &u8) -> Published {
        panic!("nothing that changes is published");
    }
    fn generation(&self) -> u64 {
        4
    }
}

#[test]
fn files_that_never_rest_are_refused_in_the_end() {
    let (trigger, board) = (Arc::new(ReloadTrigger::default()), Arc::new(ReloadStatus::default()));
    let both = (trigger.clone(), board.clone());
    let mut reloader = Reloader::new(Restless(0), both, Arc::default(), clock(), ([0; 32], None));
    trigger.on_file_change(FileChange::Closed);
    let call = trigger.wait(Duration::from_millis(1)).unwrap();
    assert!(matches!(
        reloader.reload(call.cause, None),
        ReloadOutcome::Rejected { generation: 4, .. }
    ));
    assert!(board.read().last_error.unwrap().message.contains("keep changing"));
}

/// Returns a bench whose file was saved so often: generations 1, 2, 3 …
fn bench_of(saves: &[&str]) -> Bench {
    let bench = Bench::new();
    for content in saves {
        rename_save(&bench.file(), content);
        bench.until("a save", |p| newest(p, content));
    }
    bench
}

const BACK: ReloadKind = ReloadKind::RollBack { to: None, back: Back::Host, lift: false };

#[test]
fn going_back_puts_old_files_in_force_and_leaves_the_disk_alone() {
    let bench = bench_of(&["second end", "third end"]);
    let outcome = bench.wish(BACK);
    assert!(
        matches!(
            outcome,
            ReloadOutcome::Published { generation: 4, restored_from: Some(2), cleared: None, .. }
        ),
        "{outcome:?}"
    );
    assert_eq!(bench.published().last().unwrap(), "second end");
    assert_eq!(fs::read_to_string(bench.file()).unwrap(), "third end");
    let posted = bench.board.read();
    let past = posted.history.back().unwrap();
    assert_eq!(
        (past.cause, past.by_uid, past.restored_from),
        (ReloadCause::Rollback, Some(1_000), Some(2))
    );
    assert_eq!(posted.aside.unwrap().host.unwrap().active_generation, 2);
    // Automatic reloads do not undo the rollback, and another rollback goes one step further.
    bench.trigger.on_file_change(FileChange::Closed);
    assert!(matches!(bench.wish(BACK), ReloadOutcome::Published { restored_from: Some(1), .. }));
    assert_eq!(bench.published().last().unwrap(), "first end");
    let outcome = bench.wish(BACK);
    assert!(matches!(outcome, ReloadOutcome::Rejected { generation: 5, .. }), "{outcome:?}");
    assert_eq!(bench.board.read().last_error, None, "the files are no worse for it");
}

#[test]
fn what_was_put_aside_comes_back_when_it_changes_or_is_asked_for() {
    let bench = bench_of(&["second end"]);
    bench.wish(BACK);
    rename_save(&bench.file(), "third end");
    let posted = bench.until("the change", |p| newest(p, "third end"));
    assert_eq!(posted.aside, None);
    bench.wish(BACK);
    assert_eq!(bench.published().last().unwrap(), "first end", "4 restores 1, so 5 is made of it");
    assert!(matches!(
        bench.wish(ReloadKind::RELOAD),
        ReloadOutcome::Published { restored_from: None, .. }
    ));
    assert_eq!(bench.published().last().unwrap(), "third end");
    assert_eq!(bench.board.read().aside, None);
}

#[test]
fn mistakes_are_lifted_only_where_that_is_asked_for() {
    let bench = bench_of(&["second end", "third end"]);
    let to_first = |lift| bench.wish(ReloadKind::RollBack { to: Some(1), back: Back::Host, lift });
    let holds = |outcome| match outcome {
        ReloadOutcome::Published { cleared, .. } | ReloadOutcome::Unchanged { cleared, .. } => {
            cleared.map(|cleared| cleared.holds)
        }
        ReloadOutcome::Rejected { .. } => panic!("refused"),
    };
    assert_eq!(holds(to_first(false)), None);
    // Active files are not published again, and their bans can still be ended.
    let again = to_first(true);
    assert!(matches!(again, ReloadOutcome::Unchanged { generation: 4, .. }), "{again:?}");
    assert_eq!(holds(again), Some(2), "those of generations 2 and 3");
    let rule = |rule: &str| bench.wish(ReloadKind::Reload { lift: Some(rule.to_owned()) });
    assert!(matches!(
        rule("floor.a"),
        ReloadOutcome::Published { cleared: Some(ClearedPenalties { bans: 1, .. }), .. }
    ));
    fs::write(bench.file(), "bad").unwrap();
    assert!(matches!(rule("floor.a"), ReloadOutcome::Rejected { .. }));
}

#[test]
fn a_refused_save_can_be_gone_back_from_and_stays_refused() {
    let bench = bench_of(&["second end"]);
    fs::write(bench.file(), "bad").unwrap();
    bench.until("the refusal", |p| p.last_error.is_some());
    assert!(matches!(bench.wish(BACK), ReloadOutcome::Published { restored_from: Some(1), .. }));
    assert!(matches!(bench.wish(ReloadKind::RELOAD), ReloadOutcome::Rejected { .. }));
    fs::write(bench.file(), "good end").unwrap();
    bench.until("the mended file", |p| newest(p, "good end") && p.last_error.is_none());
}

#[test]
fn nobody_who_changes_something_waits_for_a_reload() {
    let bench = Bench::new();
    let waiting = bench.hold();
    // A ban, a level and a snapshot at once.
    let _changing = [(); 3].map(|()| bench.still.enter_within(0).unwrap());
    bench.let_go();
    assert!(matches!(
        waiting.blocking_recv().unwrap(),
        ReloadOutcome::Published { generation: 2, .. }
    ));
}

#[test]
fn a_hand_over_waits_for_no_reload_and_it_publishes_nothing_after() {
    let bench = Bench::new();
    let waiting = bench.hold();
    bench.still.give_away();
    bench.let_go();
    let refused = |outcome| match outcome {
        ReloadOutcome::Rejected { generation: 1, rejection } => rejection.errors[0].message.clone(),
        other => panic!("{other:?}"),
    };
    assert!(refused(waiting.blocking_recv().unwrap()).contains("another process serves now"));
    assert!(
        refused(bench.ask()).contains("another process serves now"),
        "nothing is even assembled"
    );
    assert_eq!(bench.assembled.load(Ordering::Relaxed), 1);
    assert!(bench.published().is_empty());
}

#[test]
fn a_reload_that_is_stopped_publishes_nothing() {
    let bench = Bench::new();
    let waiting = bench.hold();
    bench.trigger.stop();
    bench.let_go();
    assert!(!matches!(waiting.blocking_recv(), Ok(ReloadOutcome::Published { .. })));
    assert!(bench.published().is_empty());
}

/// What a [`Crowd`] is to do, and what it did.
#[derive(Default)]
struct Doings {
    /// The operator's file.
    host: u8,
    /// A member's file differs in each read.
    churns: bool,
    /// Publications that postpone something for the next reload.
    unfinished: u32,
    reads: u32,
    published: Vec<(u8, bool)>,
}

/// A backend with an operator and one member, whose file may change all the time.
struct Crowd(Arc<Mutex<Doings>>);

/// The operator's file, and the member's; none if the member is not waited for.
type Two = (u8, Option<u32>);

impl PolicyBackend for Crowd {
    type Draft = Two;
    type Ready = Two;

    fn aside(&self, _: &Two) -> Option<RollbackPin> {
        None
    }
    fn gather(&mut self, patience: Patience, _: Option<Beside<'_>>) -> Result<Two, NotRead> {
        let mut doings = self.0.lock().unwrap();
        doings.reads += 1;
        let hers = if doings.churns { doings.reads } else { 0 };
        let waits = patience == Patience::Some || !doings.churns;
        Ok((doings.host, waits.then_some(hers)))
    }
    fn is_restless(&self, draft: &Two) -> bool {
        draft.1.is_none()
    }
    fn is_unfinished(&self) -> bool {
        self.0.lock().unwrap().unfinished > 0
    }
    fn digest(&self, draft: &Two) -> [u8; 32] {
        let mut digest = [draft.0; 32];
        digest[0] = u8::from(draft.1.is_none());
        let doings = self.0.lock().unwrap();
        // What is postponed makes the same files worth another reload.
        digest[1] = doings.unfinished as u8;
        digest[2] = draft.1.unwrap_or(0) as u8;
        digest
    }
    fn recall(&mut self, _: &Past, _: &Back, _: Beside<'_>) -> Result<Two, PolicyRejection> {
        panic!("nobody goes back");
    }
    fn lift(&mut self, _: &ClearPenalties) -> ClearedPenalties {
        panic!("nothing is lifted");
    }
    fn assemble(&mut self, draft: &Two) -> Result<Two, PolicyRejection> {
        let mut doings = self.0.lock().unwrap();
        doings.unfinished = doings.unfinished.saturating_sub(1);
        Ok(*draft)
    }
    fn publish(&mut self, ready: Two, _: &Two) -> Published {
        let mut doings = self.0.lock().unwrap();
        doings.published.push((ready.0, ready.1.is_some()));
        Published {
            generation: doings.published.len() as u64,
            counters: CounterReport::default(),
            warnings: vec![],
            tests: TestCounts::default(),
            made: Made::default(),
        }
    }
    fn generation(&self) -> u64 {
        self.0.lock().unwrap().published.len() as u64
    }
}

/// Runs a reloader without polls in another thread while `then` runs, and stops it after that.
fn crowd(doings: Doings, then: impl FnOnce(&ReloadTrigger, &ReloadStatus, &Mutex<Doings>)) {
    let doings = Arc::new(Mutex::new(doings));
    let (trigger, board) = (Arc::new(ReloadTrigger::default()), Arc::new(ReloadStatus::default()));
    let running = Crowd(doings.clone()).digest(&(0, Some(0)));
    let (first, still) = ((running, None), Arc::new(WriteGate::default()));
    let reloader = Reloader::new(
        Crowd(doings.clone()),
        (trigger.clone(), board.clone()),
        still,
        clock(),
        first,
    );
    let poll = Duration::from_millis(LONG_MS * 100);
    let thread = std::thread::spawn(move || reloader.run(poll, || {}));
    then(&trigger, &board, &doings);
    trigger.stop();
    thread.join().unwrap();
}

#[track_caller]
fn comes(what: &str, doings: &Mutex<Doings>, wanted: impl Fn(&Doings) -> bool) {
    let now = clock();
    let began = now();
    while !wanted(&doings.lock().unwrap()) {
        assert!(now().since_ms(began) < LONG_MS, "never came: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn a_member_who_saves_all_the_time_does_not_keep_the_hosts_edit_waiting() {
    crowd(Doings { churns: true, ..Doings::default() }, |trigger, board, doings| {
        for edit in 1..=5 {
            doings.lock().unwrap().host = edit;
            let outcome =
                trigger.request(ReloadKind::RELOAD, None).unwrap().blocking_recv().unwrap();
            assert!(matches!(outcome, ReloadOutcome::Published { .. }), "{outcome:?}");
            assert_eq!(doings.lock().unwrap().published.last(), Some(&(edit, false)));
        }
        assert_eq!(board.read().reloads.rejected, 0);
        // Two reads each of changing files, and two without the member; automatic reloads meanwhile
        // do no more than that.
        let reads = doings.lock().unwrap().reads;
        assert!(reads < 5 * 4 * READS_MAX / 5, "{reads} reads");
    });
}

#[test]
fn a_member_whose_files_come_to_rest_is_looked_at_soon() {
    crowd(Doings { churns: true, host: 1, ..Doings::default() }, |trigger, _, doings| {
        trigger.on_file_change(FileChange::Closed);
        comes("the host's edit", doings, |doings| doings.published == [(1, false)]);
        // There are no more requests, and no event is seen.
        doings.lock().unwrap().churns = false;
        comes("hers", doings, |doings| doings.published.last() == Some(&(1, true)));
    });
}

#[test]
fn what_was_left_for_the_next_time_is_done_without_being_asked_for() {
    crowd(Doings { unfinished: 4, host: 1, ..Doings::default() }, |trigger, _, doings| {
        trigger.on_file_change(FileChange::Closed);
        comes("all of it", doings, |doings| doings.unfinished == 0 && doings.published.len() == 4);
    });
}
