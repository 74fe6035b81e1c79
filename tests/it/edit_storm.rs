//! A storm of edits in the running program: no edit lets a rejected client in, none affects a
//! client, and no response mixes two generations.
//!
//! A flood and clients continue while the test saves random edits like editors and deployment
//! tools, some of them invalid. Every policy of the storm rejects the clients that were rejected
//! before, so one response to them is a failure. A response uses several files that are replaced in
//! one step, each with the same number. Two different numbers in a response are a failure.
//!
//! `SEAWALL_STORM_EDITS=1000` sets the number of edits. Each storm prints its seed and its results,
//! and `SEAWALL_STORM_SEED` repeats one. The core has a storm of its own with many more policies
//! (`ruleset`, `tests/storm.rs`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use seawall_admin_api::{BanEntry, BanList, StatusReport};
use seawall_tests::{
    Origin, ROOT, SITE, Server, Setup, StopAtEnd, Stopwatch, Visitor, answering, overwrite,
    rename_over, swap_link, wait_until,
};

use crate::rule_determinism::Chance;

/// Edits of the test command.
const EDITS: u64 = 50;
const SEED: u64 = 11;

/// Visitors, each a thread.
const VISITORS: u64 = 3;
/// Who was banned before the storm; they come from these, in turn.
const BANNED: u64 = 120;
/// How often the numbers in a folder come again. A component for each would be compiled anew.
const CODES: u64 = 8;
/// How often its status comes again.
const STATUSES: u64 = 80;
/// What `/whole` says where the parts of an answer do not belong together.
const TORN: std::ops::RangeInclusive<u16> = 590..=599;

/// What is wrong with a root policy that must be refused.
const WRONG: [&str; 5] = [
    "floor { rule broken { when path ==",
    "flor { rule a { when true then drop } }",
    "floor { rule typed { when path > 3 then drop } }",
    "floor { rule unknown { when client.ip in @nobody then drop } }",
    "test \"wrong\" { request GET \"http://a.example/page\" expect drop }",
];

/// The root policy of one edit. Everything that refuses somebody stands in each of them, in an order
/// and in terms of its own.
fn root(edit: u64, chance: &mut Chance) -> String {
    let number = |chance: &mut Chance, of: &[&'static str]| chance.of(of).to_owned();
    let sizes = ["1k", "2k", "20k"];
    let hold = number(chance, &["", "hold 1s", "hold 2h", "hold 1m doubling to 1h"]);
    let also = number(chance, &["", " and method == GET", " and path starts_with \"/h\""]);
    let action = number(chance, &["block 403", "block 429", "tag \"t\", block 429"]);
    let mut steps = [
        format!("rule edit {{ when path == \"/edit\" then block {} }}", status_of(edit)),
        format!(
            "limit held {{ where path == \"/held\"{also} per client to {}/{}d burst {} then {action} \
             {hold} keys {} }}",
            number(chance, &["1", "9", "700"]),
            number(chance, &["1", "3", "7"]),
            number(chance, &["0", "5", "50"]),
            number(chance, &sizes),
        ),
        format!(
            "limit few {{ where path == \"/few\" per client to 3/7d then {} }}",
            number(chance, &["block 429", "block 403"]),
        ),
        format!(
            "limit many {{ where path == \"/many\" per client to 3/7d then block 429 keys {} }}",
            number(chance, &sizes),
        ),
        format!(
            "rule trap {{ when path == \"/trap\" then {} }}",
            number(chance, &["ban 1h", "ban 2h", "block 403"]),
        ),
    ];
    for at in (1..steps.len()).rev() {
        steps.swap(at, chance.below(at + 1));
    }
    let others: String = (0..chance.below(4))
        .map(|n| format!("  rule other-{n} {{ when path == \"/other/{n}\" then block 410 }}\n"))
        .collect();
    format!(
        "policy 1\n# edit {edit}\ninclude \"live/*.wall\"\nfloor {{\n  {}\n{others}}}\n",
        steps.join("\n  ")
    )
}

/// What `/edit` is answered with after this edit.
fn status_of(edit: u64) -> u16 {
    u16::try_from(410 + edit % STATUSES).unwrap()
}

/// A folder in which everything has the number of one edit.
fn write_folder(setup: &Setup, folder: &str, edit: u64) {
    let code = edit % CODES;
    let write = |name: &str, text: String| setup.write(&format!("{folder}/{name}"), text);
    write(
        "a.wall",
        format!(
            "policy 1\n\
             extern f() -> int {{ module \"f.wasm\" fuel 50k time 100ms memory 1MiB \
             on_failure return {code} }}\n\
             list marks: string = file \"marks.txt\" max 10\n\
             floor {{ rule mark {{ when path == \"/whole\" then tag \"at-{edit}\" }} }}\n"
        ),
    );
    write("marks.txt", format!("m{code}\n"));
    setup.write(&format!("{folder}/f.wasm"), answering(i64::try_from(code).unwrap()));
    let asks = "path == \"/whole\" and";
    write(
        "b.wall",
        format!(
            "policy 1\nfloor {{\n\
             rule listed {{ when {asks} header(\"x-mark\") in @marks then tag \"listed\" }}\n\
             rule torn-file {{ when {asks} not tagged(\"at-{edit}\") then block 599 }}\n\
             rule torn-code {{ when {asks} f() != {code} then block 598 }}\n\
             rule torn-list {{ when {asks} header(\"x-mark\") == \"m{code}\" \
             and not tagged(\"listed\") then block 597 }}\n\
             rule other-list {{ when {asks} header(\"x-mark\") != \"m{code}\" \
             and tagged(\"listed\") then block 596 }}\n\
             rule whole {{ when path == \"/whole\" then block {} }}\n}}\n",
            status_of(edit)
        ),
    );
}

/// What everybody sees of the storm.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    served: AtomicU64,
    refused: AtomicU64,
    whole: AtomicU64,
    /// The folder that was swapped in last.
    folder: AtomicU64,
    /// What must not happen, as it was seen.
    seen: std::sync::Mutex<Vec<String>>,
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn wrong(&self, what: String) {
        let mut seen = self.seen.lock().unwrap();
        if seen.len() < 20 {
            seen.push(what);
        }
    }

    fn is_fine(&self) {
        // A copy: who fails with the lock in hand takes the others' words away.
        let seen = self.seen.lock().unwrap().clone();
        assert!(seen.is_empty(), "{seen:#?}");
    }
}

/// A visitor, whom no policy refuses.
fn visit(mut visitor: Visitor, shared: &Shared) {
    while shared.goes_on() {
        match visitor.get("/page") {
            Ok(answer) if answer.status == 200 && answer.text() == "ok" => {}
            other => shared.wrong(format!("a visitor was told {other:?}")),
        }
        if shared.served.fetch_add(1, Ordering::Relaxed).is_multiple_of(64) {
            visitor.leave();
        }
    }
}

/// Somebody whom every policy refuses.
fn attack(server: &Server, shared: &Shared) {
    let held: Vec<_> = (1..=4).map(|n| ("/held", format!("127.9.2.{n}"))).collect();
    let few = (1..=4).flat_map(|n| ["/few", "/many"].map(|path| (path, format!("127.9.3.{n}"))));
    let mut all: Vec<_> = held
        .into_iter()
        .chain(few)
        .map(|(path, source)| (path, source.clone(), server.visitor(&source)))
        .collect();
    while shared.goes_on() {
        for (path, source, visitor) in &mut all {
            match visitor.get(path) {
                Ok(answer) if [403, 429].contains(&answer.status) => {}
                other => shared.wrong(format!("{source} asked for {path} and got {other:?}")),
            }
            shared.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn banned(n: u64) -> String {
    format!("127.9.4.{}", 1 + n % BANNED)
}

/// Those who are banned try again and again.
fn knock(server: &Server, shared: &Shared) {
    for n in 0.. {
        if !shared.goes_on() {
            return;
        }
        if let Ok(answer) = server.visitor(&banned(n)).get("/page") {
            shared.wrong(format!("{} is banned and got {answer:?}", banned(n)));
        }
        shared.refused.fetch_add(1, Ordering::Relaxed);
        // Ports of a connection that was refused come back after a minute, so they must last.
        std::thread::park_timeout(std::time::Duration::from_millis(3));
    }
}

/// Looks whether answers are whole, and whether a later one is ever of an earlier folder.
fn look(mut visitor: Visitor, shared: &Shared) {
    let mut newest = 0;
    for n in 0.. {
        if !shared.goes_on() {
            return;
        }
        let mark = n % CODES;
        let request = format!("GET /whole HTTP/1.1\r\nHost: {SITE}\r\nX-Mark: m{mark}\r\n\r\n");
        match visitor.ask(request) {
            Ok(answer) if TORN.contains(&answer.status) => {
                shared.wrong(format!("an answer of parts: {}", answer.status));
            }
            Ok(answer) if (410..410 + STATUSES as u16).contains(&answer.status) => {
                let last = shared.folder.load(Ordering::SeqCst);
                let Some(now) = (0..=last).rev().find(|edit| status_of(*edit) == answer.status)
                else {
                    shared.wrong(format!("{} is of no folder before {last}", answer.status));
                    continue;
                };
                if now < newest {
                    shared.wrong(format!("folder {now} judged after folder {newest}"));
                }
                newest = now;
            }
            other => shared.wrong(format!("/whole was answered {other:?}")),
        }
        shared.whole.fetch_add(1, Ordering::Relaxed);
    }
}

/// The ends of all bans, each between two moments on our own clock.
type Ends = BTreeMap<String, (u128, u128)>;

fn ends(server: &Server, watch: Stopwatch) -> Ends {
    let before = watch.elapsed().as_millis();
    let ran = server.setup.run(&["bans", "list", "--json", "-c", "seawall.toml"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let after = watch.elapsed().as_millis();
    let list: BanList = serde_json::from_str(&ran.out).unwrap();
    let end = |ban: BanEntry| {
        let left = u128::from(ban.remaining_ms);
        (ban.target, (before + left, after + left))
    };
    list.bans.into_iter().map(end).collect()
}

/// No ban is missing, and none ends earlier, whatever the clock says.
#[track_caller]
fn none_ended(before: &Ends, after: &Ends) {
    for (unit, (earliest, _)) in before {
        let Some((_, latest)) = after.get(unit) else { panic!("the ban of {unit} is gone") };
        assert!(latest >= earliest, "the ban of {unit} ends {} ms earlier", earliest - latest);
    }
}

/// Whoever edits.
struct Hand<'s> {
    server: &'s Server,
    shared: &'s Shared,
    chance: Chance,
    watch: Stopwatch,
    bans: Ends,
    /// What `status` said last.
    generation: u64,
    /// What was done how often.
    done: BTreeMap<&'static str, u64>,
}

impl Hand<'_> {
    /// Saves the root policy in one of the ways there are.
    fn save(&mut self, edit: u64, text: &str) {
        let setup = &self.server.setup;
        let path = setup.policy(ROOT);
        let ways: [fn(&Path, &str, &Setup, u64); 3] = [
            |path, text, _, _| {
                // Through a link it would write into what another edit wrote.
                if path.is_symlink() { rename_over(path, text) } else { overwrite(path, text) }
            },
            |path, text, _, _| rename_over(path, text),
            |path, text, setup, edit| {
                let name = format!("edits/{edit}");
                setup.write(&name, text);
                swap_link(path, &name);
            },
        ];
        ways[self.chance.below(ways.len())](&path, text, setup, edit);
    }

    /// What `status` says now; the generation only ever grows.
    fn status(&mut self) -> StatusReport {
        let status = self.server.status();
        let generation = status.policy.generation;
        assert!(generation >= self.generation, "{generation} after {}", self.generation);
        self.generation = generation;
        status
    }

    fn wait(&mut self, what: &str, mut is_so: impl FnMut(&StatusReport) -> bool) {
        self.shared.is_fine();
        wait_until(what, || {
            self.shared.is_fine();
            is_so(&self.status())
        });
    }

    /// A root policy that is right, and has to be in force.
    fn edit_root(&mut self, edit: u64) {
        let text = root(edit, &mut self.chance);
        self.save(edit, &text);
        self.wait_for("/edit", edit);
        *self.done.entry("root").or_default() += 1;
    }

    /// Waits until `path` is answered as this edit says.
    fn wait_for(&mut self, path: &str, edit: u64) {
        let server = self.server;
        let wrong = self.done.get("wrong").copied().unwrap_or(0);
        self.wait(&format!("edit {edit} at {path}"), |status| {
            let policy = &status.policy;
            let error = &policy.last_error;
            assert_eq!(policy.reloads.rejected, wrong, "a good edit is refused: {error:?}");
            server.answers(path) == status_of(edit)
        });
    }

    /// Another folder takes the place of the one that is included, with all that is in it.
    fn edit_folder(&mut self, edit: u64) {
        let folder = format!("folders/{edit}");
        write_folder(&self.server.setup, &folder, edit);
        self.shared.folder.store(edit, Ordering::SeqCst);
        swap_link(&self.server.setup.policy("live"), &folder);
        self.wait_for("/whole", edit);
        *self.done.entry("folder").or_default() += 1;
    }

    /// Something wrong, which must be refused and change nothing; then it is put right.
    fn edit_wrongly(&mut self, edit: u64) {
        let before = self.status();
        let (generation, refused) = (self.generation, before.policy.reloads.rejected);
        let text = format!("{}{}\n", root(edit, &mut self.chance), self.chance.of(&WRONG));
        self.save(edit, &text);
        self.wait("the refusal", |status| status.policy.reloads.rejected > refused);
        assert_eq!(self.generation, generation, "it was published");
        assert_ne!(self.server.answers("/edit"), status_of(edit));
        *self.done.entry("wrong").or_default() += 1;
        self.edit_root(edit);
    }

    /// One edit, and what it must have left alone.
    fn edit(&mut self, edit: u64) {
        match self.chance.below(10) {
            0..=4 => self.edit_root(edit),
            5..=6 => self.edit_folder(edit),
            _ => self.edit_wrongly(edit),
        }
        let bans = ends(self.server, self.watch);
        none_ended(&self.bans, &bans);
        self.bans = bans;
        let shared = self.shared;
        let counts = [&shared.served, &shared.refused, &shared.whole];
        let before = counts.map(|count| count.load(Ordering::Relaxed));
        wait_until("all go on", || {
            shared.is_fine();
            counts.iter().zip(before).all(|(count, was)| count.load(Ordering::Relaxed) > was)
        });
    }
}

/// Has everybody refused who is refused from now on.
fn provoke(server: &Server) {
    for n in 1..=4 {
        let mut held = server.visitor(&format!("127.9.2.{n}"));
        assert_eq!([held.status("/held"), held.status("/held")], [200, 403]);
        let mut few = server.visitor(&format!("127.9.3.{n}"));
        for path in ["/few", "/many"] {
            assert_eq!([(); 4].map(|()| few.status(path)), [200, 200, 200, 429]);
        }
    }
    for n in 0..BANNED {
        assert!(server.visitor(&banned(n)).get("/trap").is_err());
    }
}

/// The first policy: its hold is longer than any storm.
fn first() -> String {
    format!(
        "policy 1\ninclude \"live/*.wall\"\nfloor {{\n\
         rule edit {{ when path == \"/edit\" then block {} }}\n\
         limit held {{ where path == \"/held\" per client to 1/7d then block 403 hold 6h keys 1k }}\n\
         limit few {{ where path == \"/few\" per client to 3/7d then block 429 }}\n\
         limit many {{ where path == \"/many\" per client to 3/7d then block 429 keys 1k }}\n\
         rule trap {{ when path == \"/trap\" then ban 3h }}\n}}\n",
        status_of(0)
    )
}

/// Has every component that the storm can use compiled, by a start, which waits for all of them:
/// where the flood keeps the compiler from its work, a good edit is refused until it is done.
fn warm(setup: &Setup) {
    let (mut externs, mut rules) = (String::new(), String::new());
    for code in 0..CODES {
        setup.write(&format!("warm/{code}.wasm"), answering(i64::try_from(code).unwrap()));
        externs.push_str(&format!(
            "extern f{code}() -> int {{ module \"warm/{code}.wasm\" function \"f\" fuel 50k \
             memory 1MiB on_failure return 9 }}\n"
        ));
        let asks = format!("path == \"/{code}\" and f{code}() == 9");
        rules.push_str(&format!("  rule r{code} {{ when {asks} then block 410 }}\n"));
    }
    setup.write(ROOT, format!("policy 1\n{externs}floor {{\n{rules}}}\n"));
    drop(setup.start());
    setup.write(ROOT, first());
    // What it remembers beside the code is no beginning of the storm's.
    for entry in std::fs::read_dir(setup.path("state")).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("code") {
            // One file for each, and the key.
            assert_eq!(std::fs::read_dir(path).unwrap().count() as u64, CODES + 1);
        } else if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |given| given.parse().unwrap())
}

#[test]
fn no_edit_of_a_storm_is_an_opening_or_a_failure() {
    let (edits, seed) = (number("SEAWALL_STORM_EDITS", EDITS), number("SEAWALL_STORM_SEED", SEED));
    println!("storm {seed}: {edits} edits");
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &first());
    warm(&setup);
    write_folder(&setup, "folders/0", 0);
    swap_link(&setup.policy("live"), "folders/0");
    let server = setup.start();
    provoke(&server);
    let provoked = origin.requests();
    let shared = Shared::default();
    let watch = Stopwatch::start();
    let done = std::thread::scope(|scope| {
        let _stopping = StopAtEnd(&shared.stop);
        for n in 1..=VISITORS {
            let visitor = server.visitor(&format!("127.9.1.{n}"));
            scope.spawn(|| visit(visitor, &shared));
        }
        scope.spawn(|| attack(&server, &shared));
        scope.spawn(|| knock(&server, &shared));
        scope.spawn(|| look(server.visitor("127.9.5.1"), &shared));
        let bans = ends(&server, watch);
        assert_eq!(bans.len() as u64, BANNED);
        let (chance, done) = (Chance(seed), BTreeMap::new());
        let mut hand =
            Hand { server: &server, shared: &shared, chance, watch, bans, generation: 1, done };
        (1..=edits).for_each(|edit| hand.edit(edit));
        hand.done
    });
    shared.is_fine();
    let status = server.status();
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (served, refused) = (count(&shared.served), count(&shared.refused));
    println!(
        "{done:?} in {:.1?}: {served} visits served, {refused} attacks refused, {} answers whole, \
         generation {}",
        watch.elapsed(),
        count(&shared.whole),
        status.policy.generation,
    );
    // Whatever the visitors were served came from the origin, and nobody else got there.
    assert_eq!(origin.requests() as u64 - provoked as u64, served);
    assert_eq!(status.proxy.panics, 0);
    let wrong = done.get("wrong").copied().unwrap_or(0);
    assert_eq!(status.policy.reloads.rejected, wrong);
    assert!(edits < 40 || done.len() == 3, "{done:?}");
    // Each good edit was waited for, so each is a generation; the wrong ones are none.
    let good: u64 = done.iter().filter(|(what, _)| **what != "wrong").map(|(_, times)| times).sum();
    assert_eq!(status.policy.generation, 1 + good);
    let generations: Vec<u64> = status.history.iter().map(|past| past.generation).collect();
    assert!(generations.is_sorted_by(|a, b| a < b), "{generations:?}");
}
