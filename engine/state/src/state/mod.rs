//! `State`: every counter and ban that one generation of a policy sees.
//!
//! A generation's `State` is made once and never changes shape; what changes is in its tables,
//! which generations share. [`State::carry`] makes the next one: a counter of equal identity gets
//! the same table, so what the old generation goes on counting while the new one is rehearsed is
//! there when it is published, and a generation that is thrown away has changed nothing.

mod codec;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use seawall_model::{CounterId, Generation, Tick};

use crate::bans::{BanLimits, Bans};
use crate::counters::concurrent::{CONCURRENT_KEY_BYTES, ConcurrentTable};
use crate::counters::distinct::DISTINCT_KEY_BYTES;
use crate::counters::generation_guard::Epoch;
use crate::counters::heavy_hitters::HEAVY_BYTES;
use crate::counters::rate_limit::{LIMIT_KEY_BYTES, RateLimitTable};
use crate::counters::table::TableOccupancy;
use crate::counters::track::{
    BYTES_KEY_BYTES, HeavyHitterMode, REQUESTS_KEY_BYTES, TrackKind, TrackTable,
};
use crate::fairness::KnownClients;
use crate::key::{KeyBuilder, Seed};
use crate::levels::manual::{ManualLevel, ManualLevels};
use crate::levels::{ActiveLevels, LevelChange, LevelStates, LevelTiming};

/// What kind of counter it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterShape {
    /// A `limit … to`.
    Limit,
    /// A `limit … concurrent`. Its window is 0.
    Concurrent,
    /// A `track`.
    Track {
        /// What it counts.
        counted: TrackKind,
        /// Whether it has a `per`; one without has a single key, whatever `keys` says.
        keyed: bool,
        /// Whether `share()` or `top()` is asked of it.
        heavy: bool,
    },
}

/// A counter, as a policy declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterSpec {
    /// Name, key and what is counted, as text: equal identity is the same counter across reloads.
    pub identity: Box<str>,
    /// The full name, for reports.
    pub name: Box<str>,
    /// The kind.
    pub shape: CounterShape,
    /// The window. An edit of it keeps the counts.
    pub window_ms: u64,
    /// Keys that are to find room; see [`TABLE_KEYS_MAX`](crate::TABLE_KEYS_MAX).
    pub keys: usize,
}

impl CounterSpec {
    fn keys(&self) -> usize {
        match self.shape {
            CounterShape::Track { keyed: false, .. } => 1,
            _ => self.keys,
        }
    }

    /// The memory that it takes, all of it from the start; for requests under way, at most.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let (key, more) = match self.shape {
            CounterShape::Limit => (LIMIT_KEY_BYTES, 0),
            CounterShape::Concurrent => (CONCURRENT_KEY_BYTES, 0),
            CounterShape::Track { counted, heavy, .. } => (
                match counted {
                    TrackKind::Distinct => DISTINCT_KEY_BYTES,
                    TrackKind::Requests => REQUESTS_KEY_BYTES,
                    TrackKind::Bytes => BYTES_KEY_BYTES,
                },
                if heavy { HEAVY_BYTES } else { 0 },
            ),
        };
        self.keys().saturating_mul(key).saturating_add(more)
    }

    /// Whether what one counts is what the other counts.
    fn counts_as(&self, other: &Self) -> bool {
        match (self.shape, other.shape) {
            (CounterShape::Limit, CounterShape::Limit)
            | (CounterShape::Concurrent, CounterShape::Concurrent) => true,
            (CounterShape::Track { counted, .. }, CounterShape::Track { counted: new, .. }) => {
                counted == new
            }
            _ => false,
        }
    }

    fn weighed(&self) -> HeavyHitterMode {
        match self.shape {
            CounterShape::Track { heavy: true, .. } => HeavyHitterMode::Window(self.window_ms),
            _ => HeavyHitterMode::Off,
        }
    }
}

#[derive(Debug, Clone)]
enum Table {
    Limit(RateLimitTable),
    Concurrent(ConcurrentTable),
    Track(TrackTable),
}

#[derive(Debug)]
struct Counter {
    spec: CounterSpec,
    table: Table,
}

impl Counter {
    fn new(spec: &CounterSpec, epoch: Epoch) -> Self {
        let table = match spec.shape {
            CounterShape::Limit => Table::Limit(RateLimitTable::new(spec.keys(), epoch)),
            CounterShape::Concurrent => Table::Concurrent(ConcurrentTable::new(spec.keys())),
            CounterShape::Track { counted, .. } => {
                Table::Track(TrackTable::new(counted, spec.keys(), spec.weighed(), epoch))
            }
        };
        Self { spec: spec.clone(), table }
    }

    /// The same counts under another spec; `None` if it counts something else.
    fn carry(&self, spec: &CounterSpec, epoch: Epoch) -> Option<Self> {
        let resized = spec.keys() != self.spec.keys();
        let table = match (&self.table, spec.shape) {
            (Table::Limit(old), CounterShape::Limit) if resized => {
                let new = RateLimitTable::new(spec.keys(), epoch);
                new.absorb(old, spec.window_ms);
                Table::Limit(new)
            }
            (Table::Limit(old), CounterShape::Limit) => Table::Limit(old.shared_with(epoch)),
            (Table::Concurrent(old), CounterShape::Concurrent) => {
                Table::Concurrent(old.shared_with(spec.keys()))
            }
            (Table::Track(old), CounterShape::Track { counted, .. })
                if counted == old.counted() =>
            {
                Table::Track(if resized {
                    old.resized((spec.keys(), spec.window_ms), spec.weighed(), epoch)
                } else {
                    old.shared_with(spec.weighed(), epoch)
                })
            }
            _ => return None,
        };
        Some(Self { spec: spec.clone(), table })
    }

    fn fill(&self) -> TableStats {
        let TableOccupancy { resident: keys, capacity, evictions, refused } = match &self.table {
            Table::Limit(limit) => limit.filled(),
            Table::Concurrent(limit) => limit.filled(),
            Table::Track(track) => track.filled(),
        };
        TableStats { name: self.spec.name.clone(), keys, capacity, evictions, refused }
    }
}

/// How full a counter's table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStats {
    /// The counter's full name.
    pub name: Box<str>,
    /// Keys that have a slot, idle ones too.
    pub keys: usize,
    /// Slots.
    pub capacity: usize,
    /// Live keys that lost their place to another.
    pub evictions: u64,
    /// Times that a key found no place; for a track of distinct things also those that got or kept
    /// no registers.
    pub refused: u64,
}

/// What became of the counters, by full name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CarryOverReport {
    /// Counts go on.
    pub kept: Vec<Box<str>>,
    /// Counts go on over another window or in a table of another size.
    pub rescaled: Vec<Box<str>>,
    /// Counts begin.
    pub new: Vec<Box<str>>,
    /// Counts end with the old generation, a limit's holds with them.
    pub removed: Vec<Box<str>>,
}

impl CarryOverReport {
    /// What becomes of the counters of `old` where those of `new` follow them.
    pub fn between<'s>(
        old: impl IntoIterator<Item = &'s CounterSpec>,
        new: &[CounterSpec],
    ) -> Self {
        let old: Vec<&CounterSpec> = old.into_iter().collect();
        let known: HashMap<&str, &CounterSpec> =
            old.iter().map(|spec| (&*spec.identity, *spec)).collect();
        let (mut report, mut seen) = (Self::default(), HashSet::new());
        for spec in new.iter().filter(|spec| seen.insert(&*spec.identity)) {
            let before = known.get(&*spec.identity).filter(|before| before.counts_as(spec));
            let names = match before {
                Some(before) if is_rescaled(before, spec) => &mut report.rescaled,
                Some(_) => &mut report.kept,
                None => &mut report.new,
            };
            names.push(spec.name.clone());
        }
        for spec in old {
            if !seen.contains(&*spec.identity) && !report.removed.contains(&spec.name) {
                report.removed.push(spec.name.clone());
            }
        }
        report
    }
}

/// What a [`State`] may hold besides its counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateLimits {
    /// The bans.
    pub bans: BanLimits,
}

/// Every counter and ban that one generation of a policy sees.
#[derive(Debug)]
pub struct State {
    seed: Seed,
    epoch: Epoch,
    counters: Vec<Counter>,
    bans: Arc<Bans>,
    memory: Arc<LevelStates>,
    by_hand: Arc<ManualLevels>,
    regulars: Arc<KnownClients>,
    levels: ActiveLevels,
}

impl State {
    /// An empty state; a [`CounterId`] is the place of its spec in `specs`.
    #[must_use]
    pub fn new(seed: Seed, specs: &[CounterSpec]) -> Self {
        Self::with_limits(seed, specs, StateLimits::default())
    }

    /// [`new`](Self::new) with other limits than the defaults.
    #[must_use]
    pub fn with_limits(seed: Seed, specs: &[CounterSpec], limits: StateLimits) -> Self {
        let bans = Arc::new(Bans::new(&seed, limits.bans));
        let empty = Self {
            seed,
            epoch: 0,
            counters: Vec::new(),
            bans,
            memory: Arc::default(),
            by_hand: Arc::default(),
            regulars: Arc::default(),
            levels: ActiveLevels::default(),
        };
        let (counters, _) = empty.carry_counters(specs, 0);
        Self { counters, ..empty }
    }

    /// The state of the next generation.
    ///
    /// A counter of equal identity keeps its table: both generations count in it. If `keys`
    /// differ, it gets a table of the new size with a copy of every entry, and the publisher calls
    /// [`settle`](Self::settle) on it once the new generation is published. If it shrinks below
    /// what is live, the least recently used are lost, never a held key.
    #[must_use]
    pub fn carry(&self, specs: &[CounterSpec]) -> (Self, CarryOverReport) {
        let epoch = self.epoch.saturating_add(1);
        let (counters, report) = self.carry_counters(specs, epoch);
        let next = Self {
            seed: self.seed,
            epoch,
            counters,
            bans: Arc::clone(&self.bans),
            memory: Arc::clone(&self.memory),
            by_hand: Arc::clone(&self.by_hand),
            regulars: Arc::clone(&self.regulars),
            levels: ActiveLevels::default(),
        };
        (next, report)
    }

    /// Takes over what `older` has counted since [`carry`](Self::carry) in tables that have
    /// another size now; does nothing for the others, and no harm when called again.
    ///
    /// A request that was in flight under the older generation and reaches its limit after this
    /// is counted in the old table only, so each such request can be admitted once too often.
    pub fn settle(&self, older: &Self) {
        let known: HashMap<&str, &Counter> = older.by_identity();
        for counter in &self.counters {
            let window_ms = counter.spec.window_ms;
            match (&counter.table, known.get(&*counter.spec.identity).map(|old| &old.table)) {
                (Table::Limit(new), Some(Table::Limit(old))) if !new.same_as(old) => {
                    new.absorb(old, window_ms);
                }
                (Table::Track(new), Some(Table::Track(old))) if !new.same_as(old) => {
                    new.absorb(old, window_ms);
                }
                _ => {}
            }
        }
    }

    fn by_identity(&self) -> HashMap<&str, &Counter> {
        self.counters.iter().map(|counter| (&*counter.spec.identity, counter)).collect()
    }

    fn carry_counters(
        &self,
        specs: &[CounterSpec],
        epoch: Epoch,
    ) -> (Vec<Counter>, CarryOverReport) {
        let old = self.by_identity();
        let mut counters: Vec<Counter> = Vec::with_capacity(specs.len());
        let mut places: HashMap<&str, usize> = HashMap::new();
        for spec in specs {
            // Two specs of one identity are one counter within a generation too.
            let twin = places.get(&*spec.identity).and_then(|place| counters.get(*place));
            if let Some(shared) = twin.and_then(|twin| twin.carry(spec, epoch)) {
                counters.push(shared);
                continue;
            }
            places.insert(&spec.identity, counters.len());
            let carried = old.get(&*spec.identity).and_then(|counter| counter.carry(spec, epoch));
            counters.push(carried.unwrap_or_else(|| Counter::new(spec, epoch)));
        }
        let report = CarryOverReport::between(self.counters.iter().map(|of| &of.spec), specs);
        (counters, report)
    }

    /// The same with a number after `last`, where its own is no later: numbers that a history knows
    /// are not given again.
    #[must_use]
    pub fn numbered_after(self, last: Generation) -> Self {
        Self { epoch: self.epoch.max(last.0), ..self }
    }

    /// The generation whose state this is, as long as each is carried from the one before.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        Generation(self.epoch.saturating_add(1))
    }

    /// Begins a key.
    #[must_use]
    pub fn key(&self) -> KeyBuilder {
        KeyBuilder::new(&self.seed)
    }

    /// The table of a limit on a rate; `None` if `id` is none.
    #[must_use]
    pub fn limit(&self, id: CounterId) -> Option<&RateLimitTable> {
        match &self.counters.get(id.0 as usize)?.table {
            Table::Limit(limit) => Some(limit),
            Table::Concurrent(_) | Table::Track(_) => None,
        }
    }

    /// The table of a limit on requests under way; `None` if `id` is none.
    #[must_use]
    pub fn concurrent(&self, id: CounterId) -> Option<&ConcurrentTable> {
        match &self.counters.get(id.0 as usize)?.table {
            Table::Concurrent(limit) => Some(limit),
            Table::Limit(_) | Table::Track(_) => None,
        }
    }

    /// The table of a track; `None` if `id` is none.
    #[must_use]
    pub fn track(&self, id: CounterId) -> Option<&TrackTable> {
        match &self.counters.get(id.0 as usize)?.table {
            Table::Track(track) => Some(track),
            Table::Limit(_) | Table::Concurrent(_) => None,
        }
    }

    /// The bans, which all generations share.
    #[must_use]
    pub fn bans(&self) -> &Bans {
        &self.bans
    }

    /// The clients that sites know, which all generations share.
    #[must_use]
    pub fn regulars(&self) -> &KnownClients {
        &self.regulars
    }

    /// Ends the holds of the limit `name`, or of all, that began at `since` or later; says how many
    /// ran.
    pub fn clear_penalties(&self, name: Option<&str>, since: Tick, now: Tick) -> usize {
        let meant = |counter: &&Counter| name.is_none_or(|name| *counter.spec.name == *name);
        let lift = |counter: &Counter| match &counter.table {
            Table::Limit(limit) => limit.lift_holds(since, now),
            Table::Concurrent(_) | Table::Track(_) => 0,
        };
        self.counters.iter().filter(meant).map(lift).fold(0, usize::saturating_add)
    }

    /// Takes in whether a level's condition holds now, for a site or, with none, for the host. Says
    /// whether the level is on, and what that changed. The memory is shared by all generations.
    pub fn evaluate_level(
        &self,
        (level, site): (&str, Option<&str>),
        holds: bool,
        terms: &LevelTiming,
        now: Tick,
    ) -> (bool, Option<LevelChange>) {
        self.memory.look((level, site.unwrap_or_default()), holds, terms, now)
    }

    /// Sets a level by hand, for a site or, with none, for the host; it outlives generations. Says
    /// whether there was room for it.
    pub fn set_manual_level(&self, site: Option<&str>, held: ManualLevel) -> bool {
        self.by_hand.set(site.unwrap_or_default(), held)
    }

    /// Ends a level that was set by hand, and says whether there was one.
    pub fn clear_manual_level(&self, site: Option<&str>) -> bool {
        self.by_hand.end(site.unwrap_or_default())
    }

    /// The level that was set by hand for a site or, with none, for the host, while its time lasts.
    #[must_use]
    pub fn manual_level(&self, site: Option<&str>, now: Tick) -> Option<ManualLevel> {
        self.by_hand.of(site.unwrap_or_default(), now)
    }

    /// The sites for which a level was set by hand.
    #[must_use]
    pub fn sites_with_held_levels(&self) -> Vec<Box<str>> {
        self.by_hand.sites()
    }

    /// Forgets levels set by hand whose time is over, and says which they were; the host's has no
    /// site.
    #[must_use]
    pub fn drop_ended_levels(&self, now: Tick) -> Vec<(Option<Box<str>>, ManualLevel)> {
        let ended = self.by_hand.drop_ended(now);
        ended.into_iter().map(|(site, held)| (Some(site).filter(|s| !s.is_empty()), held)).collect()
    }

    /// Puts a level of this generation in force, for a site or, with none, for the host.
    pub fn set_level(&self, site: Option<&str>, level: u16) {
        match site {
            None => self.levels.set_host(level),
            Some(site) => self.levels.set_site(site, level),
        }
    }

    /// The level in force for a site: the worse of its own and the host's.
    #[must_use]
    pub fn level(&self, site: &str) -> u16 {
        self.levels.of(site)
    }

    /// How full each table is, in the order of the specs.
    #[must_use]
    pub fn fill(&self) -> Vec<TableStats> {
        self.counters.iter().map(Counter::fill).collect()
    }
}

fn is_rescaled(old: &CounterSpec, new: &CounterSpec) -> bool {
    old.window_ms != new.window_ms || old.keys() != new.keys()
}

#[cfg(test)]
mod tests;
