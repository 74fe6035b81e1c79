//! Property test of reloads: an edit never weakens the protection.
//!
//! A constant flood meets random edits, valid and invalid. Each generation is built and published
//! as in the server, with time as an argument. After an edit, the flood is evaluated three times:
//! by the active generation; by the old rule set on a deep copy of the state, without the edit; and
//! by the new rule set on a deep copy that was restored from a snapshot, which shares no code with
//! `State::carry`. The active generation must reject what both others reject. An edit that does not
//! concern the flood must not change any verdict. In addition: holds and bans continue, counts
//! never shrink below their proportion, bursts are never refilled, and the report about counters is
//! exact.
//!
//! `SEAWALL_STORM_EDITS=1000` sets the number of edits; `SEAWALL_STORM_SEED=7` repeats a failed
//! run.

pub(super) mod draft;
mod model;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use seawall_model::{
    Client, ClientPrefixes, CounterId, Decision, Facts, Generation, Prefix, Reason, Tick, Verdict,
    VerdictKind,
};
use seawall_state::{
    BanTarget, CarryOverReport, CounterSpec, DecisionCounters, ListedBan, Rate, RestoreClock, Seed,
    State, StateLimits,
};

use self::draft::{ATTACKED, Counters, Dice, Draft, Kind, spoil};
use self::model::{Read, counted, drained, held_until, key, limits};
use super::workshop;
use crate::{
    ActiveGeneration, Effort, LevelInputs, MemoryStore, Purpose, RuleSet, RuleSetBuilder,
    RuleSetHandle, Severity, Sources,
};

/// Number of runs, and of edits in each: three seconds together.
const STORMS: u64 = 8;
const EDITS: u64 = 50;

/// Requests between two edits.
const REQUESTS: usize = 60;
/// Requests that begin under a generation and end while the next one is published.
const IN_FLIGHT: usize = 4;
/// Most milliseconds between two requests: six requests a second, so that windows of seconds fill
/// and empty.
const PAUSE_MS: u64 = 300;

const SITES: [&str; 2] = ["a.example", "b.example"];

/// A request of the flood, or of an ordinary client.
#[derive(Debug, Clone, Copy)]
struct Request {
    ip: [u8; 4],
    host: &'static str,
    path: &'static str,
    method: &'static str,
}

impl Request {
    fn attack(dice: &mut Dice) -> Self {
        Self {
            ip: dice.one(&ATTACKERS),
            host: dice.one(&SITES),
            path: dice.one(&PATHS),
            method: dice.one(&["GET", "POST"]),
        }
    }

    fn visit(dice: &mut Dice) -> Self {
        let path = dice.one(&["/", "/page", "/other"]);
        Self { ip: [203, 0, 113, dice.roll(9) as u8], path, method: "GET", ..Self::attack(dice) }
    }

    fn facts(&self) -> Facts<'static> {
        let client = Client::of(self.ip.into(), &ClientPrefixes::default());
        Facts { client, method: self.method, ..super::get("192.0.2.1", self.host, self.path) }
    }

    fn is_attack(&self) -> bool {
        self.path.starts_with(ATTACKED)
    }
}

/// Two networks of attackers, so that `client.net` is a key of its own.
const ATTACKERS: [[u8; 4]; 6] = [
    [198, 51, 100, 1],
    [198, 51, 100, 2],
    [198, 51, 100, 3],
    [198, 51, 100, 4],
    [192, 0, 2, 1],
    [192, 0, 2, 2],
];
const PATHS: [&str; 3] = ["/x0", "/x1", "/x2"];

/// Returns the requests of all attackers.
fn all_attacks() -> impl Iterator<Item = Request> {
    ATTACKERS.into_iter().flat_map(|ip| {
        SITES.into_iter().flat_map(move |host| {
            PATHS.into_iter().map(move |path| Request { ip, host, path, method: "GET" })
        })
    })
}

/// A rule set with its state.
struct World {
    rules: Arc<RuleSet>,
    state: Arc<State>,
}

impl World {
    /// Returns a deep copy of a state, for a rule set.
    fn copied(of: &State, rules: &Arc<RuleSet>, now: Tick) -> Self {
        let bytes = of.snapshot(now).bytes;
        let when = RestoreClock { now, elapsed_ms: 0 };
        let restored = State::restore(&bytes, rules.counter_specs(), StateLimits::default(), when);
        let (state, _) = restored.expect("a snapshot is read");
        let world = Self { rules: Arc::clone(rules), state: Arc::new(state) };
        world.tick(now);
        world
    }

    fn tick(&self, now: Tick) {
        self.rules.tick(&self.state, &SITES, &|_| LevelInputs::default(), now);
    }

    /// Returns the name of the active level.
    fn level(&self) -> &str {
        self.rules.level_name(&self.state, SITES[0])
    }

    /// Evaluates a request with the old parameters at a limit without a threshold: its count is
    /// converted, and one more is counted.
    fn touch(&self, read: Read, attack: &Request, now: Tick) {
        let key = key(&self.rules, &self.state, read.id, &attack.facts());
        let endless = Rate { n: u64::MAX, window_ms: read.window_ms, burst: read.burst };
        let table = self.state.limit(read.id).expect("a limit");
        let _counted = table.admit(key, &endless, None, now);
    }

    fn judge(&self, request: &Request, now: Tick) -> Told {
        let decision = self.rules.decide(&request.facts(), &self.state, now);
        Told { decision, by: self.rules.name(decision.reason).into() }
    }
}

/// A decision with the name of its cause, because rule numbers have no meaning in another
/// generation.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    decision: Decision,
    by: Box<str>,
}

impl Told {
    fn denies(&self) -> bool {
        self.decision.verdict.kind() != VerdictKind::Allow
    }

    fn same_as(&self, other: &Self) -> bool {
        self.decision.verdict == other.decision.verdict && self.by == other.by
    }
}

/// Counts of the events in a run: a run without events proves nothing.
#[derive(Debug, Default)]
struct Seen {
    both_deny: u64,
    admitted: u64,
    banned: u64,
    visits: u64,
    held_over_edits: u64,
    counts_over_edits: u64,
    spent_over_edits: u64,
    windows_changed: u64,
    resized: u64,
    parted: u64,
    edits: BTreeMap<&'static str, u64>,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.both_deny += other.both_deny;
        self.admitted += other.admitted;
        self.banned += other.banned;
        self.visits += other.visits;
        self.held_over_edits += other.held_over_edits;
        self.counts_over_edits += other.counts_over_edits;
        self.spent_over_edits += other.spent_over_edits;
        self.windows_changed += other.windows_changed;
        self.resized += other.resized;
        self.parted += other.parted;
        for (what, times) in other.edits {
            *self.edits.entry(what).or_default() += times;
        }
    }
}

/// A run.
struct Storm {
    dice: Dice,
    workshop: RuleSetBuilder,
    draft: Draft,
    handle: RuleSetHandle,
    now: Tick,
    /// The end of each announced ban, by client, and by whether it belongs to the member.
    bans: HashMap<([u8; 4], bool), Tick>,
    seen: Seen,
    seed: u64,
    /// The last edit, for messages about failures.
    last: String,
}

/// Builds a rule set as a reload does. Returns the reason if a reload would reject it.
fn made(
    workshop: &RuleSetBuilder,
    store: &MemoryStore,
    previous: Option<&RuleSet>,
) -> Result<RuleSet, Vec<String>> {
    let sources = Sources::gather("root.wall", store);
    let assembly = workshop.assemble_within(
        &sources,
        Purpose::Run,
        crate::Terms::new(previous, Effort::Reload),
    );
    let failed =
        assembly.tests.iter().filter(|test| !test.passed && !sources.is_members(&test.file));
    let wrong = assembly.diagnostics.iter().filter(|d| d.severity == Severity::Error);
    let complaints: Vec<String> =
        wrong.map(|d| d.one_line()).chain(failed.map(|test| test.says.clone())).collect();
    assembly.rules.filter(|_| complaints.is_empty()).ok_or(complaints)
}

fn live(generation: Generation, rules: Arc<RuleSet>, state: Arc<State>) -> ActiveGeneration {
    let tally = Arc::new(DecisionCounters::new(rules.rule_names().len()));
    ActiveGeneration { generation, rules, state, tally }
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let workshop = workshop();
        let draft = Draft::new(&mut dice);
        let rules = made(&workshop, &draft.store(), None)
            .unwrap_or_else(|why| panic!("storm {seed}: {why:?}\n{}", draft.root()));
        let rules = Arc::new(rules);
        let state = Arc::new(State::new(Seed([3; 16]), rules.counter_specs()));
        Self {
            dice,
            workshop,
            draft,
            handle: RuleSetHandle::new(live(state.generation(), rules, state)),
            now: Tick::TEST_START,
            bans: HashMap::new(),
            seen: Seen::default(),
            seed,
            last: String::new(),
        }
    }

    fn world(&self) -> World {
        let live = self.handle.load();
        World { rules: Arc::clone(&live.rules), state: Arc::clone(&live.state) }
    }

    /// Returns the position of a failure.
    fn place(&self) -> String {
        let Self { seed, last, now, draft, .. } = self;
        format!("storm {seed}, after {last}, at {}\n{}", now.0, draft.root())
    }

    /// Makes one edit and sends requests to the result.
    fn edit(&mut self) {
        let old = self.world();
        let counters = self.draft.counters();
        let (kind, what, store) = if self.dice.odds(4) {
            spoil(&self.draft, &mut self.dice)
        } else {
            let (kind, what) = self.draft.edit(&mut self.dice);
            (kind, what, self.draft.store())
        };
        self.last = format!("{what} ({kind:?})");
        *self.seen.edits.entry(what).or_default() += 1;
        let digest = old.state.snapshot(self.now).bytes;
        let rules = made(&self.workshop, &store, Some(&old.rules));
        let refused = rules.as_ref().err();
        assert_eq!(refused.is_some(), kind == Kind::Wrong, "{refused:?}: {}", self.place());
        // A dry run creates the next state and discards it.
        drop(rules.as_ref().map(|rules| old.state.carry(rules.counter_specs())));
        let same = old.state.snapshot(self.now).bytes == digest;
        assert!(same, "what was not published changed the state, {}", self.place());
        match rules {
            Ok(rules) => self.publish(kind, &old, &counters, rules),
            Err(_) => {
                old.tick(self.now);
                let [untouched, by_road] =
                    [(); 2].map(|()| World::copied(&old.state, &old.rules, self.now));
                self.flood(kind, &untouched, by_road);
            }
        }
    }

    /// Publishes a rule set in the order of the server, with requests between the steps.
    fn publish(&mut self, kind: Kind, old: &World, counters: &Counters, rules: RuleSet) {
        let bans = old.state.bans().list(self.now);
        let before = self.held(old, &limits(&old.rules));
        let (state, report) = old.state.carry(rules.counter_specs());
        assert_eq!(told(report), expected(counters, &self.draft.counters()), "{}", self.place());
        let new = World { rules: Arc::new(rules), state: Arc::new(state) };
        // Before the tables are settled, because the first request can come at once.
        self.carried(old, &new, false);
        self.in_flight(old);
        old.tick(self.now);
        new.tick(self.now);
        let (was, is) = (old.level(), new.level());
        assert_eq!(was, is, "the level is another one, {}", self.place());
        let generation = self.handle.load().generation.next();
        self.handle.publish(live(generation, Arc::clone(&new.rules), Arc::clone(&new.state)));
        self.in_flight(old);
        // A request that is faster than the copying of tables.
        let early = kind == Kind::Change && self.dice.odds(2);
        if early {
            self.in_flight(&new);
        }
        new.state.settle(&old.state);
        let limits_are = limits(&new.rules);
        let after = self.held(&new, &limits_are);
        self.nothing_shorter(&before, &after, Terms::Others);
        self.carried(old, &new, early);
        self.converted(old, &limits_are);
        self.still_banned(&bans, &new);
        // The copies evaluate the levels when they are created, so the active generation does too.
        new.tick(self.now);
        let untouched = World::copied(&old.state, &old.rules, self.now);
        // Early requests are now counted twice, or not at all, in a copy of the old state.
        let from = if early { &new.state } else { &old.state };
        let by_road = World::copied(from, &new.rules, self.now);
        self.flood(kind, &untouched, by_road);
        self.late(old, &new, &limits_are);
    }

    /// Sends requests that began under a generation and are evaluated by it.
    fn in_flight(&mut self, world: &World) {
        for _ in 0..IN_FLIGHT {
            let request = Request::attack(&mut self.dice);
            let told = world.judge(&request, self.now);
            self.note(&request, &told);
        }
    }

    /// Sends requests of the old generation that end long after the publication of the new one.
    /// They shorten no hold, ban or count of the new one.
    fn late(&mut self, old: &World, new: &World, limits: &BTreeMap<Box<str>, Read>) {
        let (bans, before) = (new.state.bans().list(self.now), self.held(new, limits));
        self.in_flight(old);
        let after = self.held(new, limits);
        self.nothing_shorter(&before, &after, Terms::Same);
        self.still_banned(&bans, new);
    }

    /// Continues the flood, evaluated by the active generation and by both copies.
    ///
    /// A snapshot omits idle keys, and with them that a burst was smaller before. The restored copy
    /// can therefore be milder, and counts what it allows: its history then differs, and it is
    /// created again from the active generation.
    fn flood(&mut self, kind: Kind, untouched: &World, mut by_road: World) {
        let live = self.world();
        for _ in 0..REQUESTS {
            let second = self.now.0 / 1_000;
            self.now = self.now.plus_ms(self.dice.roll(PAUSE_MS));
            if second != self.now.0 / 1_000 {
                [&live, untouched, &by_road].into_iter().for_each(|world| world.tick(self.now));
            }
            if self.dice.odds(6) {
                self.visit(&live);
                continue;
            }
            let request = Request::attack(&mut self.dice);
            let is = live.judge(&request, self.now);
            let was = untouched.judge(&request, self.now);
            let other = by_road.judge(&request, self.now);
            self.seen.both_deny += u64::from(was.denies() && other.denies());
            let place = || format!("{request:?}: {was:?}, {other:?}, {is:?}, {}", self.place());
            assert!(!was.denies() || !other.denies() || is.denies(), "an opening: {}", place());
            assert!(!other.denies() || is.denies(), "milder than by the other road: {}", place());
            if kind != Kind::Change {
                assert!(is.same_as(&was), "an edit that nobody could notice: {}", place());
            }
            if is.denies() && !other.denies() {
                by_road = World::copied(&live.state, &live.rules, self.now);
                self.seen.parted += 1;
            }
            self.note(&request, &is);
        }
    }

    fn visit(&mut self, live: &World) {
        let request = Request::visit(&mut self.dice);
        let told = live.judge(&request, self.now);
        assert!(!told.denies(), "{request:?} of a visitor: {told:?}, {}", self.place());
        self.seen.visits += 1;
    }

    /// Compares a decision with the announced bans, and records its own.
    fn note(&mut self, request: &Request, told: &Told) {
        assert!(request.is_attack());
        let place = || format!("{request:?}: {told:?}, {}", self.place());
        let runs = |members: bool| {
            self.bans.get(&(request.ip, members)).is_some_and(|until| self.now < *until)
        };
        if runs(false) {
            assert_eq!(told.decision.reason, Reason::Banned, "a ban ended early: {}", place());
        }
        if runs(true) && request.host == SITES[0] {
            assert!(told.denies(), "a member's ban ended early: {}", place());
        }
        if let Verdict::Ban { for_ms } = told.decision.verdict {
            let end = self.bans.entry((request.ip, told.by.starts_with("ann."))).or_default();
            *end = (*end).max(self.now.plus_ms(for_ms));
        }
        self.seen.admitted += u64::from(!told.denies());
        self.seen.banned += u64::from(told.decision.reason == Reason::Banned);
    }
}

/// Returns for each track its window, and its value for each attack.
fn tracked(world: &World, now: Tick) -> BTreeMap<Box<str>, (u64, Vec<u64>)> {
    let specs = world.rules.counter_specs().iter().enumerate();
    let read = |(at, spec): (usize, &CounterSpec)| {
        let id = CounterId(u32::try_from(at).unwrap());
        let table = world.state.track(id)?;
        let one = |attack: Request| {
            let key = key(&world.rules, &world.state, id, &attack.facts());
            table.count(key, spec.window_ms, now) + table.distinct(key, spec.window_ms, now)
        };
        Some((spec.identity.clone(), (spec.window_ms, all_attacks().map(one).collect())))
    };
    specs.filter_map(read).collect()
}

/// Whether two values were read with the same parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Terms {
    Same,
    Others,
}

/// The end of the hold and the count, for each limit and attack.
type Held = BTreeMap<Box<str>, Vec<(Option<Tick>, u64)>>;

/// The checks of a state at an edit.
impl Storm {
    fn held(&self, world: &World, limits: &BTreeMap<Box<str>, Read>) -> Held {
        let all = |read: &Read| {
            let one = |attack: Request| {
                let key = key(&world.rules, &world.state, read.id, &attack.facts());
                let held = held_until(&world.state, *read, key, self.now);
                (held, counted(&world.state, *read, key, self.now))
            };
            all_attacks().map(one).collect()
        };
        limits.iter().map(|(identity, read)| (identity.clone(), all(read))).collect()
    }

    /// Checks that no active hold ended, and that no count read with the same parameters is
    /// smaller.
    fn nothing_shorter(&mut self, before: &Held, after: &Held, terms: Terms) {
        for (identity, before) in before {
            let Some(after) = after.get(identity) else { continue };
            for ((was, had), (is, has)) in before.iter().zip(after) {
                assert!(is >= was, "a hold of {identity} is shorter, {}", self.place());
                // A count is read at the end of the hold, so it is read later under a new hold.
                let kept = terms == Terms::Others || is > was || has >= had;
                assert!(kept, "a count of {identity} is smaller, {}", self.place());
                self.seen.held_over_edits += u64::from(was.is_some());
            }
        }
    }

    /// Checks that the new state has everything of the old one, read with the old and the new
    /// parameters. After requests before the tables were settled, it can have more.
    fn carried(&mut self, old: &World, new: &World, early: bool) {
        let (had, has) = (tracked(old, self.now), tracked(new, self.now));
        for (identity, had) in had {
            // Over another window the number differs; limits are checked below.
            let Some(has) = has.get(&identity).filter(|has| has.0 == had.0 && !early) else {
                continue;
            };
            assert_eq!(*has, had, "{identity}, {}", self.place());
        }
        let (were, are) = (limits(&old.rules), limits(&new.rules));
        for (identity, was) in &were {
            let Some(is) = are.get(identity) else { continue };
            let spec = |rules: &RuleSet, read: &Read| {
                let CounterId(at) = read.id;
                rules.counter_specs()[at as usize].keys
            };
            self.seen.resized += u64::from(spec(&old.rules, was) != spec(&new.rules, is));
            self.seen.windows_changed += u64::from(was.window_ms != is.window_ms);
            for attack in all_attacks() {
                let facts = attack.facts();
                let old_key = key(&old.rules, &old.state, was.id, &facts);
                let new_key = key(&new.rules, &new.state, is.id, &facts);
                assert_eq!(old_key, new_key, "the key of {identity}, {}", self.place());
                for terms in [was, is] {
                    let (was, is) = (Read { id: was.id, ..*terms }, Read { id: is.id, ..*terms });
                    let had = (
                        held_until(&old.state, was, old_key, self.now),
                        counted(&old.state, was, old_key, self.now),
                    );
                    let has = (
                        held_until(&new.state, is, new_key, self.now),
                        counted(&new.state, is, new_key, self.now),
                    );
                    let more = has.0 > had.0 || (has.0 == had.0 && has.1 >= had.1);
                    let kept = if early { more } else { has == had };
                    let place = || format!("{attack:?} in {identity}, {}", self.place());
                    assert!(kept, "had {had:?}, has {has:?}: {}", place());
                }
            }
        }
    }

    /// Checks that other parameters read counts in proportion and refill no burst. Uses copies,
    /// because a burst is read by using it.
    fn converted(&mut self, old: &World, are: &BTreeMap<Box<str>, Read>) {
        let were = limits(&old.rules);
        let both =
            were.iter().filter_map(|(identity, was)| Some((identity, was, are.get(identity)?)));
        let used = World::copied(&old.state, &old.rules, self.now);
        for (_, was, _) in both.clone() {
            // One request each with the old parameters, from which the conversion starts.
            for attack in all_attacks() {
                used.touch(*was, &attack, self.now);
            }
        }
        let [one, other] = [(); 2].map(|()| World::copied(&used.state, &old.rules, self.now));
        for (identity, was, is) in both {
            let is = Read { id: was.id, ..*is };
            let mut drawn = BTreeSet::new();
            for attack in all_attacks() {
                let key = key(&used.rules, &used.state, was.id, &attack.facts());
                let (had, has) = (
                    counted(&used.state, *was, key, self.now),
                    counted(&used.state, is, key, self.now),
                );
                let least = (had * is.window_ms.min(was.window_ms)).div_ceil(was.window_ms);
                let place = || format!("{was:?} {is:?} {identity}, {}", self.place());
                assert!(has >= least, "{had} of {attack:?} are read as {has}: {}", place());
                self.seen.counts_over_edits += u64::from(had > 1);
                if !drawn.insert(format!("{key:?}")) {
                    continue;
                }
                let had = drained(&one.state, *was, key, self.now);
                let has = drained(&other.state, is, key, self.now);
                let place = || format!("{was:?} {is:?} {identity}, {}", self.place());
                assert!(has <= had, "a reserve of {had} is {has}: {}", place());
                self.seen.spent_over_edits += u64::from(had < was.burst);
            }
        }
    }

    /// Checks that no active ban is missing or ends earlier.
    fn still_banned(&self, before: &[ListedBan], new: &World) {
        let are = new.state.bans().list(self.now);
        let running = before.iter().filter(|ban| self.now < ban.until);
        for was in running {
            let lives = are
                .iter()
                .any(|is| is.unit == was.unit && is.member == was.member && is.until >= was.until);
            assert!(lives, "{was:?} ended early, {}", self.place());
        }
        for ((ip, members), until) in self.bans.iter().filter(|(_, until)| self.now < **until) {
            let unit = BanTarget::Net(Prefix::host((*ip).into()));
            let lives = are
                .iter()
                .any(|is| is.unit == unit && is.member.is_some() == *members && is.until >= *until);
            assert!(lives, "the ban of {ip:?} until {} ended early, {}", until.0, self.place());
        }
    }
}

/// The counters, by what happened to them.
type Became = BTreeMap<&'static str, Vec<String>>;

fn told(report: CarryOverReport) -> Became {
    let CarryOverReport { kept, rescaled, new, removed: gone } = report;
    let all = [("kept", kept), ("rescaled", rescaled), ("new", new), ("gone", gone)];
    let sorted = |names: Vec<Box<str>>| {
        let mut names: Vec<String> = names.into_iter().map(String::from).collect();
        names.sort();
        names
    };
    all.into_iter().map(|(what, names)| (what, sorted(names))).collect()
}

/// Returns what must happen to each counter.
fn expected(were: &Counters, are: &Counters) -> Became {
    let mut all = Became::from(["kept", "rescaled", "new", "gone"].map(|what| (what, Vec::new())));
    let mut put = |what, id: &(String, String)| all.entry(what).or_default().push(id.0.clone());
    for (id, is) in are {
        match were.get(id) {
            Some(was) if was == is => put("kept", id),
            Some(_) => put("rescaled", id),
            None => put("new", id),
        }
    }
    were.keys().filter(|id| !are.contains_key(*id)).for_each(|id| put("gone", id));
    all.values_mut().for_each(|names| names.sort());
    all
}

/// Returns a number from the environment, or the default.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |given| given.parse().expect("a number"))
}

/// Makes a run with this number of edits. Returns the counts of events.
fn stormed(seed: u64, edits: u64) -> Seen {
    let mut storm = Storm::new(seed);
    (0..edits).for_each(|_| storm.edit());
    storm.seen
}

#[test]
fn an_edit_is_never_an_opening() {
    let edits = number("SEAWALL_STORM_EDITS", EDITS);
    let only = std::env::var("SEAWALL_STORM_SEED").map(|seed| seed.parse().expect("a number"));
    let seeds = only.map_or(1..=STORMS, |seed: u64| seed..=seed);
    let mut all = Seen::default();
    seeds.for_each(|seed| all.add(stormed(seed, edits)));
    // A run without these events proves nothing.
    let asked = all.admitted + all.both_deny;
    assert!(all.both_deny > asked / 5 && all.admitted > asked / 10, "{all:#?}");
    let often = [all.banned, all.visits, all.held_over_edits, all.counts_over_edits];
    assert!(often.iter().all(|times| *times > edits), "{all:#?}");
    let seldom = [all.spent_over_edits, all.windows_changed, all.resized];
    assert!(seldom.iter().all(|times| *times > edits / 50), "{all:#?}");
    assert!(all.parted <= asked / 100, "{all:#?}");
    println!("{all:#?}");
}

/// Runs with edits that do not concern the flood, compared with a world without edits.
#[test]
fn a_thousand_edits_elsewhere_are_as_if_nobody_had_edited() {
    let edits = number("SEAWALL_STORM_EDITS", EDITS);
    for seed in 1..=STORMS {
        let mut storm = Storm::new(seed);
        let steady = World::copied(&storm.world().state, &storm.world().rules, storm.now);
        for _ in 0..edits {
            let old = storm.world();
            storm.draft.edit_elsewhere(&mut storm.dice);
            let made = made(&storm.workshop, &storm.draft.store(), Some(&old.rules));
            let rules = made.unwrap_or_else(|why| panic!("{why:?}: {}", storm.place()));
            let (state, _) = old.state.carry(rules.counter_specs());
            let new = World { rules: Arc::new(rules), state: Arc::new(state) };
            [&old, &new, &steady].into_iter().for_each(|world| world.tick(storm.now));
            // Some are evaluated by the old generation during the build of the new one.
            for world in [&old, &new] {
                for _ in 0..REQUESTS / 6 {
                    storm.now = storm.now.plus_ms(storm.dice.roll(PAUSE_MS));
                    let request = Request::attack(&mut storm.dice);
                    let is = world.judge(&request, storm.now);
                    let was = steady.judge(&request, storm.now);
                    assert!(is.same_as(&was), "{request:?}: {was:?}, {is:?}, {}", storm.place());
                }
                new.state.settle(&old.state);
            }
            let generation = storm.handle.load().generation.next();
            storm.handle.publish(live(generation, new.rules, new.state));
        }
    }
}

/// Returns a limit of `n` requests in a week, with `keys` keys and a hold; and a rule that names
/// its edit.
fn weekly(n: usize, keys: usize, edit: usize) -> String {
    format!(
        "floor {{\n  rule edit-{edit} {{ when path == \"/edit\" then block {} }}\n  \
         limit few {{ where path starts_with \"/x\" per client to {n}/7d then block 429 hold 1h \
         keys {keys} }}\n}}\n",
        400 + edit % 100
    )
}

/// Publishes the next generation as the server does.
fn publish(handle: &RuleSetHandle, rules: RuleSet) {
    let old = handle.load();
    let (state, _) = old.state.carry(rules.counter_specs());
    let (rules, state) = (Arc::new(rules), Arc::new(state));
    handle.publish(live(old.generation.next(), rules, Arc::clone(&state)));
    state.settle(&old.state);
}

/// Sends a request that the generation's own rule rejects. Returns whether the limit then admits;
/// `None` if rule, action and number are not of one generation.
fn admitted(handle: &RuleSetHandle, ip: [u8; 4]) -> Option<bool> {
    let live = handle.load();
    let request = |path| Request { ip, host: "a.example", path, method: "GET" };
    let judge = |path| live.rules.decide(&request(path).facts(), &live.state, Tick::TEST_START);
    let (told, edit) = (judge("/edit"), live.generation.0 as usize - 1);
    let status = u16::try_from(400 + edit % 100).unwrap();
    let refused = Verdict::Block { status, retry_after_ms: None };
    let is_whole =
        told.verdict == refused && live.rules.name(told.reason) == format!("floor.edit-{edit}");
    is_whole.then(|| judge("/x0").verdict == Verdict::Allow)
}

#[test]
fn threads_that_ask_while_generations_change_get_no_more_than_the_limit() {
    const N: usize = 500;
    let rules = |edit| super::rules(&weekly(N, 400, edit));
    let first = rules(0);
    let state = Arc::new(State::new(Seed([3; 16]), first.counter_specs()));
    let handle = RuleSetHandle::new(live(state.generation(), Arc::new(first), state));
    // For each of two attackers: requests, admitted requests, and mixed generations.
    let counts: [[AtomicUsize; 3]; 2] = Default::default();
    let stop = AtomicBool::new(false);
    let ask = |who: usize| {
        let [asked, let_in, torn] = &counts[who];
        while !stop.load(Relaxed) {
            let told = admitted(&handle, [198, 51, 100, who as u8]);
            let_in.fetch_add(usize::from(told == Some(true)), Relaxed);
            torn.fetch_add(usize::from(told.is_none()), Relaxed);
            asked.fetch_add(1, Relaxed);
        }
    };
    let asked = || counts.each_ref().map(|[asked, ..]| asked.load(Relaxed));
    std::thread::scope(|scope| {
        // Two threads for each, so that both sides of an edit use one key.
        for who in [0, 0, 1, 1] {
            scope.spawn(move || ask(who));
        }
        for edit in 1..=100 {
            let before = asked();
            publish(&handle, rules(edit));
            // Every generation evaluates some, so that both reach the limit during it.
            while asked().iter().zip(before).any(|(is, was)| *is < was + 10) {
                std::thread::yield_now();
            }
        }
        stop.store(true, Relaxed);
    });
    let ended =
        counts.each_ref().map(|[_, let_in, torn]| (let_in.load(Relaxed), torn.load(Relaxed)));
    assert_eq!(ended, [(N, 0); 2]);
}

#[test]
fn a_table_that_shrinks_below_what_is_live_keeps_the_held_keys() {
    let rules = |keys| super::rules(&weekly(1, keys, 0));
    let first = rules(1_000);
    let state = Arc::new(State::new(Seed([3; 16]), first.counter_specs()));
    let handle = RuleSetHandle::new(live(state.generation(), Arc::new(first), state));
    let ask = |n: u16, now: Tick| {
        let [high, low] = n.to_be_bytes();
        let request =
            Request { ip: [10, 0, high, low], host: "a.example", path: "/x0", method: "GET" };
        let live = handle.load();
        live.rules.decide(&request.facts(), &live.state, now).verdict == Verdict::Allow
    };
    // Forty are held, and a thousand others were admitted once since then.
    let begun = Tick::TEST_START;
    for held in 0..40 {
        assert!(ask(held, begun) && !ask(held, begun));
    }
    (100..1_000).for_each(|other| assert!(ask(other, begun.plus_ms(1))));
    for keys in [60, 500, 60] {
        publish(&handle, rules(keys));
        let opened: Vec<u16> = (0..40).filter(|held| ask(*held, begun.plus_ms(2))).collect();
        assert_eq!(opened, [0_u16; 0], "with {keys} keys");
    }
    assert!(ask(0, begun.plus_ms(1_209_600_000)), "in a fortnight nothing is left");
}
