//! The compiler with a shell in place of the compiler process. Its output is prepared, and a pipe
//! controls when it continues.

use std::fs;
use std::process::Command;

use seawall_wasm::{SEAL_KEY_BYTES, SandboxLimits, Translator};
use tempfile::TempDir;

use super::*;
use crate::util::clock::clock;

const DIGEST: Digest = [1; 32];

fn guest() -> Vec<u8> {
    let text = "(component (core module $m (func (export \"f\") (result i64) i64.const 1))
        (core instance $i (instantiate $m))
        (func (export \"f\") (result s64) (canon lift (core func $i \"f\"))))";
    wat::parse_str(text).unwrap()
}

/// A folder with a key and the code that the process would make of [`guest`].
struct Place {
    around: TempDir,
    sandbox: Sandbox,
    guest: Vec<u8>,
}

impl Place {
    fn new() -> Self {
        Self::with(guest())
    }

    fn with(guest: Vec<u8>) -> Self {
        let around = tempfile::tempdir().unwrap();
        let key = [5; SEAL_KEY_BYTES];
        let folder = around.path().join("code");
        CodeCache::open(&folder).unwrap();
        fs::write(folder.join("key"), key).unwrap();
        let limits = SandboxLimits { instances_max: 1, ..SandboxLimits::default() };
        let code = Translator::new(limits).unwrap().translate(&guest).unwrap();
        fs::write(around.path().join("made"), code).unwrap();
        Self { around, sandbox: Sandbox::new(limits), guest }
    }

    /// Returns a compiler whose process records its start and then runs `script`.
    fn compiler(&self, script: &str) -> Arc<ComponentCompiler> {
        let here = self.around.path().display();
        let script = format!("cd {here}; cat >/dev/null; echo started >>starts; {script}");
        let helper = CompilerProcess {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script, "sh".into()],
        };
        Arc::new(ComponentCompiler::new(Some(self.around.path().join("code")), helper, clock()))
    }

    /// Returns a compiler whose process records its input, waits to be released and then fails.
    fn recorder(&self) -> Arc<ComponentCompiler> {
        let here = self.around.path().display();
        let held = "while [ ! -e go ]; do sleep 0.01; done";
        let script = format!("cd {here}; echo $(cat) >>order; {held}; echo it is bad >&2; exit 1");
        let helper = CompilerProcess {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script, "sh".into()],
        };
        Arc::new(ComponentCompiler::new(None, helper, clock()))
    }

    fn let_all_go(&self) {
        fs::write(self.around.path().join("go"), "").unwrap();
    }

    /// Returns the recorded inputs, in order.
    fn order(&self) -> Vec<String> {
        let order = fs::read_to_string(self.around.path().join("order")).unwrap_or_default();
        order.lines().map(str::to_owned).collect()
    }

    /// Requests a component without waiting for it.
    fn names(&self, compiler: &Arc<ComponentCompiler>, member: Option<&str>, component: &str) {
        let (bytes, digest) = (component.as_bytes(), digest_of(component));
        let job = CompileJob { bytes, digest, path: "a.wasm", member };
        let told = visit(compiler, Some(0)).compile(&self.sandbox, job).unwrap_err();
        assert_eq!(told, LoadError::Compiling);
    }

    fn starts(&self) -> usize {
        fs::read_to_string(self.around.path().join("starts")).map_or(0, |text| text.lines().count())
    }

    fn pipe(&self, name: &str) {
        let made = Command::new("mkfifo").arg(self.around.path().join(name)).status().unwrap();
        assert!(made.success());
    }

    fn let_go(&self, name: &str) {
        fs::write(self.around.path().join(name), "go\n").unwrap();
    }

    fn job(&self, digest: Digest, is_members: bool) -> CompileJob<'_> {
        let member = is_members.then_some("ann");
        CompileJob { bytes: &self.guest, digest, path: "a.wasm", member }
    }

    fn ask(
        &self,
        compiler: &Arc<ComponentCompiler>,
        patience_ms: Option<u64>,
    ) -> std::result::Result<Component, LoadError> {
        visit(compiler, patience_ms).compile(&self.sandbox, self.job(DIGEST, false))
    }
}

fn digest_of(component: &str) -> Digest {
    let mut digest = [0; 32];
    digest[..component.len()].copy_from_slice(component.as_bytes());
    digest
}

fn visit(compiler: &Arc<ComponentCompiler>, ms: Option<u64>) -> CompileSession {
    compiler.compile_session(Patience { host_ms: ms, members_ms: ms }, StopFlag::default())
}

fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        std::thread::yield_now();
    }
}

#[test]
fn a_component_is_compiled_once_and_kept_over_a_restart() {
    let place = Place::new();
    let compiler = place.compiler("cat made");
    assert_eq!(place.ask(&compiler, None).unwrap().exports().len(), 1);
    place.ask(&compiler, None).unwrap();
    assert_eq!(place.ask(&place.compiler("exit 1"), None).unwrap().exports().len(), 1);
    assert_eq!(place.starts(), 1);
}

#[test]
fn kept_code_that_is_damaged_is_made_anew() {
    let place = Place::new();
    place.ask(&place.compiler("cat made"), None).unwrap();
    for entry in fs::read_dir(place.around.path().join("code")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "code") {
            let mut code = fs::read(&path).unwrap();
            let last = code.len() - 1;
            code[last] ^= 1;
            fs::write(path, code).unwrap();
        }
    }
    place.ask(&place.compiler("cat made"), None).unwrap();
    assert_eq!(place.starts(), 2);
    place.ask(&place.compiler("exit 1"), None).unwrap();
}

#[test]
fn kept_code_of_a_component_that_no_server_takes_is_not_made_anew() {
    let place = Place::with(wat::parse_str("(component (import \"f\" (func)))").unwrap());
    let compiler = place.compiler("cat made");
    for _ in 0..3 {
        let why = place.ask(&compiler, None).unwrap_err();
        assert_eq!(why, LoadError::Imports("f".into()));
    }
    assert_eq!(place.starts(), 1);
}

#[test]
fn what_a_reload_does_not_wait_for_is_there_for_the_next() {
    let place = Place::new();
    place.pipe("gate");
    let compiler = place.compiler("read x <gate; cat made");
    let trigger = Arc::new(ReloadTrigger::default());
    compiler.set_reload_trigger(trigger.clone());
    for _ in 0..3 {
        assert_eq!(place.ask(&compiler, Some(0)).unwrap_err(), LoadError::Compiling);
    }
    assert_eq!(compiler.completion_count(), 0);
    place.let_go("gate");
    until(|| compiler.completion_count() == 1);
    // The trigger is notified a moment after the count has changed.
    let rung = trigger.wait(Duration::from_secs(20)).unwrap();
    assert_eq!(rung.cause, seawall_admin_api::ReloadCause::Change);
    place.ask(&compiler, Some(0)).unwrap();
    assert_eq!(place.starts(), 1);
}

#[test]
fn what_one_reload_has_waited_for_the_next_does_not() {
    let place = Place::new();
    place.pipe("gate");
    let time = Arc::new(AtomicU64::new(1_000_000));
    let shown = time.clone();
    let now: Now = Arc::new(move || Tick(shown.load(Ordering::Relaxed)));
    let compiler = Arc::new(ComponentCompiler {
        now,
        ..Arc::into_inner(place.compiler("read x <gate")).unwrap()
    });
    assert_eq!(place.ask(&compiler, Some(0)).unwrap_err(), LoadError::Compiling);
    time.fetch_add(COMPILE_WAIT_MS, Ordering::Relaxed);
    // The clock does not move: waiting now would never end.
    assert_eq!(place.ask(&compiler, Some(COMPILE_WAIT_MS)).unwrap_err(), LoadError::Compiling);
    place.let_go("gate");
    until(|| compiler.completion_count() == 1);
}

#[test]
fn what_was_waited_for_rings_no_bell() {
    let place = Place::new();
    let compiler = place.compiler("cat made");
    place.ask(&compiler, Some(600_000)).unwrap();
    assert_eq!(compiler.completion_count(), 0);
}

#[test]
fn a_component_that_cannot_be_compiled_costs_its_time_once() {
    let place = Place::new();
    let compiler = place.compiler("echo it is bad >&2; exit 1");
    for _ in 0..3 {
        let why = place.ask(&compiler, None).unwrap_err();
        assert_eq!(why, LoadError::Told("it is bad".into()));
    }
    assert_eq!(place.starts(), 1);
}

#[test]
fn a_component_that_takes_too_much_costs_its_time_once_over_restarts() {
    let place = Place::new();
    let dear = LoadError::TooDear(process::limits_text(place.guest.len()));
    for _ in 0..3 {
        // Each is a process of its own, with empty memory.
        let compiler = place.compiler("kill -XCPU $$");
        for _ in 0..2 {
            assert_eq!(place.ask(&compiler, None).unwrap_err(), dear);
        }
    }
    assert_eq!(place.starts(), 1);
    // The error of one component does not apply to another.
    let other = visit(&place.compiler("cat made"), None);
    other.compile(&place.sandbox, place.job([2; 32], false)).unwrap();
    // An invalid note is ignored, and the new result counts.
    for entry in fs::read_dir(place.around.path().join("code")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "dear") {
            fs::write(path, "anything").unwrap();
        }
    }
    place.ask(&place.compiler("cat made"), None).unwrap();
    assert_eq!(place.starts(), 3);
}

#[test]
fn all_of_one_kind_are_waited_for_together_and_the_members_not_at_the_hosts_cost() {
    let place = Place::new();
    let time = Arc::new(AtomicU64::new(1_000_000));
    let shown = time.clone();
    // Each read of the clock takes a tenth of a second.
    let now: Now = Arc::new(move || Tick(shown.fetch_add(100, Ordering::Relaxed)));
    let held = place.compiler("until [ -e go ]; do sleep 0.02; done");
    let compiler = Arc::new(ComponentCompiler { now, ..Arc::into_inner(held).unwrap() });
    let patience = Patience { host_ms: Some(1_000), members_ms: Some(2_000) };
    let visit = compiler.compile_session(patience, StopFlag::default());
    let asked = |digest: Digest, is_members: bool| {
        let before = time.load(Ordering::Relaxed);
        let why = visit.compile(&place.sandbox, place.job(digest, is_members)).unwrap_err();
        assert_eq!(why, LoadError::Compiling);
        time.load(Ordering::Relaxed) - before
    };
    let (first, second) = (asked([2; 32], true), asked([3; 32], true));
    assert!((2_000..2_900).contains(&first) && second < 900, "{first} {second}");
    let (first, second) = (asked([4; 32], false), asked([5; 32], false));
    assert!((1_000..1_900).contains(&first) && second < 900, "{first} {second}");
    place.let_go("go");
    until(|| compiler.completion_count() == 4);
}

#[test]
fn nobody_is_waited_for_and_nothing_is_begun_once_it_is_to_stop() {
    let place = Place::new();
    place.pipe("gate");
    let compiler = place.compiler("read x <gate; cat made");
    let stop = StopFlag::default();
    let visit = compiler.compile_session(Patience::ENDLESS, stop.clone());
    let waiting = std::thread::scope(|scope| {
        let waits = scope.spawn(|| visit.compile(&place.sandbox, place.job(DIGEST, false)));
        until(|| place.starts() == 1);
        stop.stop();
        waits.join().unwrap()
    });
    assert_eq!(waiting.unwrap_err(), LoadError::Compiling);
    let other = visit.compile(&place.sandbox, place.job([2; 32], false));
    assert_eq!(other.unwrap_err(), LoadError::Compiling);
    place.let_go("gate");
    until(|| !compiler.is_busy());
    assert_eq!(place.starts(), 1);
}

#[test]
fn what_the_machine_is_to_blame_for_is_tried_again() {
    for script in ["exit 70", "kill -KILL $$"] {
        let place = Place::new();
        let compiler = place.compiler(script);
        for _ in 0..2 {
            assert!(matches!(place.ask(&compiler, None).unwrap_err(), LoadError::Engine(_)));
        }
        assert_eq!(place.starts(), 2, "{script}");
    }
}

#[test]
fn no_members_component_stands_before_one_of_the_host() {
    let place = Place::new();
    place.pipe("gate");
    // The first process waits.
    let compiler = place.compiler("mkdir first 2>/dev/null && read x <gate; cat made");
    let members = visit(&compiler, Some(0)).compile(&place.sandbox, place.job([2; 32], true));
    assert_eq!(members.unwrap_err(), LoadError::Compiling);
    until(|| place.around.path().join("first").exists());
    place.ask(&compiler, None).unwrap();
    assert_eq!(compiler.completion_count(), 0, "the member's still stands there");
    place.let_go("gate");
    until(|| compiler.completion_count() == 1);
}

#[test]
fn results_and_the_queue_are_bounded() {
    let mut book = Book::default();
    for at in 0..=RESULTS_MAX {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&at.to_le_bytes());
        book.file(digest, Err(LoadError::CoreModule));
    }
    assert_eq!((book.results.len(), book.order.len()), (RESULTS_MAX, RESULTS_MAX));
    assert!(!book.results.contains_key(&[0; 32]), "the oldest went");

    let place = Place::new();
    let compiler = place.recorder();
    let ask = |member, at: usize| place.names(&compiler, member, &at.to_string());
    // The first of each lane waits, and the others wait for it.
    for member in [None, Some("ann")] {
        ask(member, 1_000 + usize::from(member.is_some()));
    }
    until(|| place.order().len() == 2);
    for at in 0..=COMPILE_QUEUE_MAX {
        ask(None, at);
        ask(Some("ann"), 100 + at);
    }
    {
        let book = compiler.book();
        assert_eq!(book.hosts.turns.len(), COMPILE_QUEUE_MAX);
        assert_eq!(book.members.turns.len(), COMPILE_QUEUE_MEMBER_MAX);
        assert_eq!(book.underway.len(), COMPILE_QUEUE_MAX + COMPILE_QUEUE_MEMBER_MAX + 2);
    }
    place.let_all_go();
    until(|| compiler.book().underway.is_empty());
}

#[test]
fn who_names_many_components_keeps_no_other_member_from_the_compiler() {
    let place = Place::new();
    let compiler = place.recorder();
    let trigger = Arc::new(ReloadTrigger::default());
    compiler.set_reload_trigger(trigger.clone());
    place.names(&compiler, Some("ann"), "a0");
    until(|| place.order() == ["a0"]);
    for name in ["a1", "a2", "a3", "a4", "a5"] {
        place.names(&compiler, Some("ann"), name);
    }
    place.names(&compiler, Some("bob"), "b0");
    place.let_all_go();
    until(|| compiler.book().underway.is_empty());
    assert_eq!(place.order(), ["a0", "a1", "b0", "a2", "a3", "a4"]);
    // The component that found the queue full is requested again, since the trigger is notified.
    assert!(compiler.completion_count() >= 6);
    place.names(&compiler, Some("ann"), "a5");
    until(|| place.order().len() == 7);
}

#[test]
fn the_host_waits_for_no_members_turn_though_both_name_the_same() {
    let place = Place::new();
    let compiler = place.recorder();
    place.names(&compiler, Some("ann"), "first");
    until(|| place.order() == ["first"]);
    place.names(&compiler, Some("ann"), "same");
    place.names(&compiler, None, "same");
    until(|| place.order() == ["first", "same"]);
    place.let_all_go();
    until(|| compiler.book().underway.is_empty());
    assert_eq!(place.order().len(), 2, "once");
}

#[test]
fn who_loses_a_place_is_not_waited_for() {
    let place = Place::new();
    let compiler = place.recorder();
    place.names(&compiler, Some("g"), "first");
    until(|| place.order() == ["first"]);
    let greedy = COMPILE_QUEUE_MAX / COMPILE_QUEUE_MEMBER_MAX;
    for member in 0..greedy {
        for at in 0..COMPILE_QUEUE_MEMBER_MAX {
            place.names(&compiler, Some(&format!("g{member}")), &format!("{member}.{at}"));
        }
    }
    assert_eq!(compiler.book().members.turns.len(), COMPILE_QUEUE_MAX);
    place.names(&compiler, Some("modest"), "m");
    let digests: Vec<Digest> = (0..greedy)
        .map(|member| digest_of(&format!("{member}.{}", COMPILE_QUEUE_MEMBER_MAX - 1)))
        .filter(|digest| !compiler.book().underway.contains_key(digest))
        .collect();
    let [lost] = digests[..] else { panic!("{} lost a place", digests.len()) };
    assert_eq!(compiler.wait(&lost, None, &StopFlag::default()).unwrap_err(), LoadError::Compiling);
    place.let_all_go();
    until(|| compiler.book().underway.is_empty());
}

#[test]
fn what_the_machine_is_to_blame_for_is_worth_another_reload_of_the_same_files() {
    let place = Place::new();
    let compiler = place.compiler("kill -KILL $$");
    compiler.try_again(true);
    assert_eq!(compiler.completion_count(), 0, "nothing was to blame");
    place.ask(&compiler, None).unwrap_err();
    for _ in 0..3 {
        compiler.try_again(true);
    }
    assert_eq!(compiler.completion_count(), 1, "once for each failure");
    // Without requests it ends.
    for round in 0..10 {
        place.ask(&compiler, None).unwrap_err();
        compiler.try_again(false);
        assert_eq!(compiler.completion_count(), 1 + u64::from((round + 1).min(COMPILE_TRIES_MAX)));
    }
    compiler.try_again(true);
    assert_eq!(compiler.completion_count(), 2 + u64::from(COMPILE_TRIES_MAX), "who asks is heard");
}

#[test]
fn a_bad_component_is_not_worth_another_reload() {
    let place = Place::new();
    let compiler = place.compiler("echo it is bad >&2; exit 1");
    place.ask(&compiler, None).unwrap_err();
    compiler.try_again(true);
    assert_eq!(compiler.completion_count(), 0);
}

#[test]
fn without_a_folder_that_can_be_used_it_compiles_each_time() {
    let place = Place::new();
    let compiler =
        ComponentCompiler::new(Some("/dev/null/none".into()), CompilerProcess::default(), clock());
    assert!(compiler.vault().unwrap().cache.is_none());
    // Another process has another key, so code under another seal is rejected.
    let code = fs::read(place.around.path().join("made")).unwrap();
    let code = Seal::new([5; SEAL_KEY_BYTES]).seal(&place.guest, &code);
    let loaded = place.sandbox.load(&place.guest, &code, &compiler.vault().unwrap().seal);
    assert_eq!(loaded.unwrap_err(), LoadError::Stale);
}
