//! Policies as values: written to text, edited at random, with known counters.
//!
//! The expected effects of an edit are computed from the draft only, never by the engine under
//! test.

use std::collections::BTreeMap;

use crate::MemoryStore;

/// splitmix64 (Steele, Lea, Flood 2014): the same sequence for the same seed.
pub(in crate::tests) struct Dice(pub(in crate::tests) u64);

impl Dice {
    pub(in crate::tests) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    pub(in crate::tests) fn at(&mut self, len: usize) -> usize {
        self.roll(len.max(1) as u64) as usize
    }

    pub(in crate::tests) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.at(of.len())]
    }

    pub(in crate::tests) fn odds(&mut self, of: u64) -> bool {
        self.roll(of) == 0
    }
}

/// The only paths that generated rules match. Ordinary clients request others and are never
/// rejected.
pub(super) const ATTACKED: &str = "/x";

/// The conditions of rules. `#` is the window of the track `seen`.
const CONDITIONS: [&str; 8] = [
    "true",
    "path == \"/x0\"",
    "path in { \"/x1\", \"/x2\" }",
    "client.ip in @bad",
    "method == POST",
    "SEEN",
    "tagged(\"t\")",
    "host == \"b.example\" or path == \"/x1\"",
];

/// All enforced actions. Tags, scores and bans are rarer than rejections, so that enough requests
/// are counted.
const ACTIONS: [&str; 10] = [
    "block 429",
    "block 403",
    "drop",
    "tag \"t\", block 429",
    "tag \"t\"",
    "score += 8",
    "throttle to 3/5s",
    "throttle to 6/8s",
    "ban 3s",
    "ban 9s",
];

const MEMBERS_ACTIONS: [&str; 6] =
    ["block 429", "block 403", "drop", "tag \"t\", block 429", "tag \"t\"", "ban 4s"];

const KEYS: [&str; 3] = ["client", "client.net", "client, path"];

/// Sizes of tables for all keys of a run.
const ROOMY: [usize; 3] = [400, 1_000, 3_000];

/// The keys of a throttle, which no clause sets.
const THROTTLE_KEYS: usize = 100_000;

#[derive(Debug, Clone, PartialEq)]
struct Limit {
    n: u64,
    window_s: u64,
    burst: u64,
    /// 0 means no hold.
    hold_s: u64,
    doubling: bool,
    key: usize,
    keys: usize,
}

impl Limit {
    fn new(dice: &mut Dice) -> Self {
        Self {
            n: 1 + dice.roll(6),
            window_s: 2 + dice.roll(20),
            burst: dice.one(&[0, 0, 2, 5]),
            hold_s: dice.one(&[0, 2, 8, 30]),
            doubling: dice.odds(3),
            key: dice.at(KEYS.len()),
            keys: dice.one(&ROOMY),
        }
    }

    fn written(&self) -> String {
        let hold = match (self.hold_s, self.doubling) {
            (0, _) => String::new(),
            (s, false) => format!(" hold {s}s"),
            (s, true) => format!(" hold {s}s doubling to 2m"),
        };
        let Self { n, window_s, burst, key, keys, .. } = self;
        format!("per {} to {n}/{window_s}s burst {burst}{hold} keys {keys}", KEYS[*key])
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Step {
    name: String,
    when: usize,
    action: &'static str,
    shadow: bool,
    under: bool,
    limit: Option<Limit>,
}

/// A level that is never reached, declared before the used one: it shifts the number of the other.
const MILD: &str = "level mild { enter when rate(all) > 900k/10s leave after 1m }\n";

#[derive(Debug, Clone, PartialEq)]
struct Track {
    window_s: u64,
    keys: usize,
    key: usize,
    is_distinct: bool,
    where_post: bool,
}

/// A layer of the draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Floor,
    Member,
    Defaults,
}

/// A policy with all its files.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    floor: Vec<Step>,
    member: Vec<Step>,
    defaults: Vec<Step>,
    bad: Vec<u8>,
    seen: Track,
    seen_max: u64,
    mild: bool,
    comment: u64,
    others: u64,
    names: u64,
}

/// The effect of an edit on a flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// None: every request must be evaluated as without the edit.
    Elsewhere,
    /// Some decisions change.
    Change,
    /// The edit must be rejected.
    Wrong,
    /// A member's part or a list is invalid, and the last valid one stays in force.
    Spoilt,
}

/// A counter of the draft: its window in seconds, and its keys.
pub(super) type Counters = BTreeMap<(String, String), (u64, usize)>;

impl Draft {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let mut draft = Self {
            floor: Vec::new(),
            member: Vec::new(),
            defaults: Vec::new(),
            bad: vec![1, 2],
            seen: Track { window_s: 5, keys: 400, key: 0, is_distinct: false, where_post: false },
            seen_max: 9,
            mild: false,
            comment: 0,
            others: 0,
            names: 0,
        };
        for layer in [Layer::Floor, Layer::Floor, Layer::Floor, Layer::Member, Layer::Defaults] {
            draft.add(layer, dice);
        }
        // At least one limit from the start.
        draft.floor[0].limit = Some(Limit::new(dice));
        draft
    }

    fn steps(&mut self, layer: Layer) -> &mut Vec<Step> {
        match layer {
            Layer::Floor => &mut self.floor,
            Layer::Member => &mut self.member,
            Layer::Defaults => &mut self.defaults,
        }
    }

    fn fresh_name(&mut self) -> String {
        self.names += 1;
        format!("s{}", self.names)
    }

    fn add(&mut self, layer: Layer, dice: &mut Dice) {
        let name = self.fresh_name();
        let limit = (!dice.odds(3)).then(|| Limit::new(dice));
        let when = dice.at(CONDITIONS.len());
        let action = action(layer, dice);
        let (shadow, under) = (dice.odds(9), dice.odds(7));
        let steps = self.steps(layer);
        let at = dice.at(steps.len() + 1);
        steps.insert(at, Step { name, when, action, shadow, under, limit });
    }

    /// Returns its files.
    pub(super) fn store(&self) -> MemoryStore {
        let bad: String = self.bad.iter().map(|n| format!("198.51.100.{n}\n")).collect();
        MemoryStore::default()
            .with("root.wall", self.root())
            .with("ann/ann.wall", self.members())
            .with("lists/bad.txt", bad)
    }

    pub(super) fn root(&self) -> String {
        let Track { window_s, keys, key, is_distinct, where_post } = &self.seen;
        let counted = if *is_distinct { "distinct path" } else { "requests" };
        let only = if *where_post { "where method == POST " } else { "" };
        let others: String = (0..self.others)
            .map(|n| format!("  rule other-{n} {{ when path == \"/other/{n}\" then block 410 }}\n"))
            .collect();
        format!(
            "policy 1\n# edit {}\n\
             member ann {{ hosts {{ \"a.example\" }} may {{ block, drop, ban, tag, limit }} \
             rules 90 keys 90k file \"ann/ann.wall\" }}\n\
             list bad: ip = file \"lists/bad.txt\" max 100\n\
             track all {{ where path starts_with \"{ATTACKED}\" count requests over 10s }}\n\
             track seen {{ {only}count {counted} per {} over {window_s}s keys {keys} }}\n\
             {}level hot {{ enter when rate(all) > 30/10s leave after 20s }}\n\
             floor {{\n{others}{}}}\ndefaults {{\n{}\
             \x20 decide {{ when score >= 8 then block 403 otherwise allow }}\n}}\n\
             test \"a visitor\" {{ request GET \"http://a.example/page\" expect pass }}\n",
            self.comment,
            KEYS[*key],
            if self.mild { MILD } else { "" },
            self.written(&self.floor, ""),
            self.written(&self.defaults, ""),
        )
    }

    fn members(&self) -> String {
        let steps = self.written(&self.member, "ann-");
        format!("policy 1\n# edit {}\nsite \"a.example\" {{\n{steps}}}\n", self.comment)
    }

    fn written(&self, steps: &[Step], of: &str) -> String {
        let seen = match self.seen.is_distinct {
            true => format!("distinct(seen) > {}", self.seen_max % 3),
            false => format!("rate(seen) > {}/{}s", self.seen_max, self.seen.window_s),
        };
        let one = |step: &Step| {
            let Step { name, when, action, shadow, under, limit } = step;
            let asked = CONDITIONS[*when].replace("SEEN", &seen);
            // A member's condition reads no track of the operator, and no step hides the next one.
            let asked = if of.is_empty() { asked } else { asked.replace(&seen, "method == GET") };
            let when = format!(
                "path starts_with \"{ATTACKED}\" and ({asked}) and raw_path != \"/-{name}\""
            );
            let shadow = if *shadow { "shadow " } else { "" };
            let text = match limit {
                None => format!("{shadow}rule {name} {{ when {when} then {action} }}"),
                Some(limit) => format!(
                    "{shadow}limit {name} {{ where {when} {} then {action} }}",
                    limit.written()
                ),
            };
            if *under { format!("  under hot {{ {text} }}\n") } else { format!("  {text}\n") }
        };
        steps.iter().map(one).collect()
    }

    /// Returns its counters. Counters with the same name, key and counted value are the same.
    pub(super) fn counters(&self) -> Counters {
        let mut all = Counters::new();
        let Track { window_s, keys, key, is_distinct, .. } = &self.seen;
        let what = if *is_distinct { "distinct" } else { "requests" };
        all.insert(("all".to_owned(), "requests".to_owned()), (10, 1));
        all.insert(("seen".to_owned(), format!("{what} {}", KEYS[*key])), (*window_s, *keys));
        for (layer, steps) in
            [("floor", &self.floor), ("ann", &self.member), ("defaults", &self.defaults)]
        {
            for step in steps {
                let name = format!("{layer}.{}", step.name);
                let throttle = match step.action {
                    "throttle to 3/5s" => Some(5),
                    "throttle to 6/8s" => Some(8),
                    _ => None,
                };
                if let Some(window_s) = throttle {
                    let id = (format!("{name}.throttle"), "throttle".to_owned());
                    all.insert(id, (window_s, THROTTLE_KEYS));
                }
                if let Some(limit) = &step.limit {
                    let id = (name, format!("limit {}", KEYS[limit.key]));
                    all.insert(id, (limit.window_s, limit.keys));
                }
            }
        }
        all
    }

    /// Makes a random edit. Returns a description for messages about failures.
    pub(super) fn edit(&mut self, dice: &mut Dice) -> (Kind, &'static str) {
        self.comment += 1;
        match dice.roll(20) {
            0 => (Kind::Elsewhere, "a comment"),
            1 => {
                self.others = dice.roll(4);
                (Kind::Elsewhere, "rules that the flood never meets")
            }
            2 => {
                self.mild = !self.mild;
                (Kind::Elsewhere, "a level that nothing reaches")
            }
            3..=4 => self.edit_sizes(dice),
            5 => {
                self.bad = (0..dice.roll(5)).map(|_| dice.roll(6) as u8).collect();
                (Kind::Change, "a list")
            }
            6 => self.edit_track(dice),
            7..=8 => self.edit_steps(dice),
            _ => self.edit_step(dice),
        }
    }

    /// Makes an edit that does not concern the flood.
    pub(super) fn edit_elsewhere(&mut self, dice: &mut Dice) {
        loop {
            let mut next = self.clone();
            if next.edit(dice).0 == Kind::Elsewhere {
                *self = next;
                return;
            }
        }
    }

    /// Changes sizes of tables, which always have space for all keys.
    fn edit_sizes(&mut self, dice: &mut Dice) -> (Kind, &'static str) {
        self.seen.keys = dice.one(&ROOMY);
        for step in self.floor.iter_mut().chain(&mut self.member).chain(&mut self.defaults) {
            if let Some(limit) = &mut step.limit {
                limit.keys = dice.one(&ROOMY);
            }
        }
        (Kind::Elsewhere, "the sizes of all tables")
    }

    fn edit_track(&mut self, dice: &mut Dice) -> (Kind, &'static str) {
        match dice.roll(5) {
            0 => self.seen.window_s = 2 + dice.roll(20),
            1 => self.seen.key = dice.at(KEYS.len()),
            2 => self.seen.is_distinct = !self.seen.is_distinct,
            3 => self.seen.where_post = !self.seen.where_post,
            _ => self.seen_max = 1 + dice.roll(20),
        }
        (Kind::Change, "a track")
    }

    fn layer(&mut self, dice: &mut Dice) -> Layer {
        dice.one(&[Layer::Floor, Layer::Floor, Layer::Member, Layer::Defaults])
    }

    /// Adds, removes or moves steps.
    fn edit_steps(&mut self, dice: &mut Dice) -> (Kind, &'static str) {
        let layer = self.layer(dice);
        let len = self.steps(layer).len();
        match dice.roll(3) {
            0 if len < 6 => {
                self.add(layer, dice);
                (Kind::Change, "a step more")
            }
            1 if len > 1 => {
                let at = dice.at(len);
                self.steps(layer).remove(at);
                (Kind::Change, "a step less")
            }
            _ => {
                let (a, b) = (dice.at(len), dice.at(len));
                if len > 0 {
                    self.steps(layer).swap(a, b);
                }
                (Kind::Change, "two steps change places")
            }
        }
    }

    /// Changes one property of one step.
    fn edit_step(&mut self, dice: &mut Dice) -> (Kind, &'static str) {
        let layer = self.layer(dice);
        let fresh = self.fresh_name();
        let other = action(layer, dice);
        let len = self.steps(layer).len();
        if len == 0 {
            return (Kind::Elsewhere, "nothing but the comment");
        }
        let at = dice.at(len);
        let step = &mut self.steps(layer)[at];
        let what = match (dice.roll(14), &mut step.limit) {
            (0..=1, Some(limit)) => {
                limit.n = 1 + dice.roll(6);
                "a threshold"
            }
            (2..=3, Some(limit)) => {
                limit.window_s = 2 + dice.roll(20);
                "a window"
            }
            (4..=5, Some(limit)) => {
                limit.burst = dice.one(&[0, 2, 5, 9]);
                "a reserve"
            }
            (6..=7, Some(limit)) => {
                limit.hold_s = dice.one(&[0, 2, 8, 30]);
                limit.doubling = dice.odds(2);
                "a hold"
            }
            (8, Some(limit)) => {
                limit.key = dice.at(KEYS.len());
                "a key"
            }
            (9, _) => {
                step.name = fresh;
                "a name"
            }
            (10, _) => {
                step.shadow = !step.shadow;
                "shadow"
            }
            (11, _) => {
                step.under = !step.under;
                "a level"
            }
            (12, _) => {
                step.action = other;
                "an action"
            }
            _ => {
                step.when = dice.at(CONDITIONS.len());
                "a condition"
            }
        };
        (Kind::Change, what)
    }
}

fn action(layer: Layer, dice: &mut Dice) -> &'static str {
    match layer {
        Layer::Member => dice.one(&MEMBERS_ACTIONS),
        // Mostly the first ones; only a floor bans.
        _ if dice.odds(2) => dice.one(&ACTIONS[..4]),
        Layer::Defaults => dice.one(&ACTIONS[..8]),
        _ => dice.one(&ACTIONS),
    }
}

/// Invalid texts, each for another reason.
const WRONG: [&str; 6] = [
    "floor { rule broken { when path ==",
    "flor { rule a { when true then drop } }",
    "floor { rule typed { when path > 3 then drop } }",
    "floor { rule one { when path == \"/q\" then drop } rule two { when path == \"/q\" then drop } }",
    "floor { rule unknown { when client.ip in @nobody then drop } }",
    "test \"wrong\" { request GET \"http://a.example/page\" expect drop }",
];

/// Returns the files of `draft` with an error in them; the last valid ones stay in force.
pub(super) fn spoil(draft: &Draft, dice: &mut Dice) -> (Kind, &'static str, MemoryStore) {
    let store = draft.store();
    match dice.roll(9) {
        0 => {
            let text = "policy 1\nsite \"a.example\" { rule broken { when path ==";
            (Kind::Spoilt, "a member's file is broken", store.with("ann/ann.wall", text))
        }
        1 => {
            let failing = "test \"no\" { request GET \"http://a.example/page\" expect drop }";
            let text = format!("{}{failing}\n", draft.members());
            (Kind::Spoilt, "a member's test fails", store.with("ann/ann.wall", text))
        }
        2 => {
            let page = "<html>404</html>\n";
            (Kind::Spoilt, "a page in place of a list", store.with("lists/bad.txt", page))
        }
        _ => {
            let wrong = dice.one(&WRONG);
            let text = format!("{}{wrong}\n", draft.root());
            (Kind::Wrong, wrong, store.with("root.wall", text))
        }
    }
}
