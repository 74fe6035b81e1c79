//! `State`: all counters and bans of one generation of a policy.
//!
//! The structure of a generation's `State` never changes; its tables do, and generations share
//! them. [`State::carry`] creates the next state: a counter with the same identity gets the same
//! table. What the old generation counts during the tests of the new one is therefore present when
//! the new one is published. A generation that is discarded has changed nothing.

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

/// The kind of a counter.
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
        /// Whether it has a `per`. Without one it has a single key, for any `keys`.
        keyed: bool,
        /// Whether `share()` or `top()` reads it.
        heavy: bool,
    },
}

/// A counter as a policy declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterSpec {
    /// Name, key and counted value as text. Equal identities are the same counter across reloads.
    pub identity: Box<str>,
    /// The full name, for reports.
    pub name: Box<str>,
    /// The kind.
    pub shape: CounterShape,
    /// The window. Changing it keeps the counts.
    pub window_ms: u64,
    /// Number of keys to store; see [`TABLE_KEYS_MAX`](crate::TABLE_KEYS_MAX).
    pub keys: usize,
}

impl CounterSpec {
    fn keys(&self) -> usize {
        match self.shape {
            CounterShape::Track { keyed: false, .. } => 1,
            _ => self.keys,
        }
    }

    /// Returns its memory. It is allocated at the start; for requests in flight it is a maximum.
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

    /// Returns whether both count the same values.
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

    /// Returns the same counts with another specification; `None` if it counts other values.
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

/// The occupancy of a counter's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStats {
    /// The full name of the counter.
    pub name: Box<str>,
    /// Keys with a slot, including idle ones.
    pub keys: usize,
    /// Number of slots.
    pub capacity: usize,
    /// Live keys that were evicted.
    pub evictions: u64,
    /// Keys that were rejected; for a track of distinct values, also keys without registers.
    pub refused: u64,
}

/// The counters after a change of the policy, by full name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CarryOverReport {
    /// Counters that continue.
    pub kept: Vec<Box<str>>,
    /// Counters that continue with another window or table size.
    pub rescaled: Vec<Box<str>>,
    /// Counters that begin.
    pub new: Vec<Box<str>>,
    /// Counters that end with the old generation, with their holds.
    pub removed: Vec<Box<str>>,
}

impl CarryOverReport {
    /// Compares the counters of `old` with those of `new`.
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

/// Limits of a [`State`] besides its counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateLimits {
    /// The limits on bans.
    pub bans: BanLimits,
}

/// All counters and bans of one generation of a policy.
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
    /// Creates an empty state. A [`CounterId`] is a position in `specs`.
    #[must_use]
    pub fn new(seed: Seed, specs: &[CounterSpec]) -> Self {
        Self::with_limits(seed, specs, StateLimits::default())
    }

    /// Creates an empty state with these limits.
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

    /// Returns the state of the next generation.
    ///
    /// A counter with the same identity keeps its table: both generations count in it. If `keys`
    /// differ, it gets a table of the new size with a copy of every entry. The publisher must then
    /// call [`settle`](Self::settle) after the new generation is published. If the new table is too
    /// small, the least recently used keys are lost, but never a held key.
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

    /// Adds what `older` has counted since [`carry`](Self::carry) to tables whose size changed.
    /// Does nothing for other tables, and can be called several times.
    ///
    /// A request in flight in the older generation that reaches its limit after this call is
    /// counted in the old table only. Each such request can therefore be admitted once too often.
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
            // Two specifications of one identity are one counter within a generation too.
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

    /// Returns the state with a generation number after `last`, if its own is not later. Numbers in
    /// the history are not used again.
    #[must_use]
    pub fn numbered_after(self, last: Generation) -> Self {
        Self { epoch: self.epoch.max(last.0), ..self }
    }

    /// Returns the generation of this state, if each state is carried from the previous one.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        Generation(self.epoch.saturating_add(1))
    }

    /// Starts a key.
    #[must_use]
    pub fn key(&self) -> KeyBuilder {
        KeyBuilder::new(&self.seed)
    }

    /// Returns the table of a rate limit; `None` for another kind.
    #[must_use]
    pub fn limit(&self, id: CounterId) -> Option<&RateLimitTable> {
        match &self.counters.get(id.0 as usize)?.table {
            Table::Limit(limit) => Some(limit),
            Table::Concurrent(_) | Table::Track(_) => None,
        }
    }

    /// Returns the table of a limit on requests in flight; `None` for another kind.
    #[must_use]
    pub fn concurrent(&self, id: CounterId) -> Option<&ConcurrentTable> {
        match &self.counters.get(id.0 as usize)?.table {
            Table::Concurrent(limit) => Some(limit),
            Table::Limit(_) | Table::Track(_) => None,
        }
    }

    /// Returns the table of a track; `None` for another kind.
    #[must_use]
    pub fn track(&self, id: CounterId) -> Option<&TrackTable> {
        match &self.counters.get(id.0 as usize)?.table {
            Table::Track(track) => Some(track),
            Table::Limit(_) | Table::Concurrent(_) => None,
        }
    }

    /// Returns the bans, which all generations share.
    #[must_use]
    pub fn bans(&self) -> &Bans {
        &self.bans
    }

    /// Returns the known clients, which all generations share.
    #[must_use]
    pub fn regulars(&self) -> &KnownClients {
        &self.regulars
    }

    /// Ends the holds of the limit `name`, or of all limits, that began at `since` or later.
    /// Returns the number of active holds that ended.
    pub fn clear_penalties(&self, name: Option<&str>, since: Tick, now: Tick) -> usize {
        let meant = |counter: &&Counter| name.is_none_or(|name| *counter.spec.name == *name);
        let lift = |counter: &Counter| match &counter.table {
            Table::Limit(limit) => limit.lift_holds(since, now),
            Table::Concurrent(_) | Table::Track(_) => 0,
        };
        self.counters.iter().filter(meant).map(lift).fold(0, usize::saturating_add)
    }

    /// Updates a level with the value of its condition, for a site or, with `None`, for the server.
    /// Returns whether the level is active, and the change. All generations share the state.
    pub fn evaluate_level(
        &self,
        (level, site): (&str, Option<&str>),
        holds: bool,
        terms: &LevelTiming,
        now: Tick,
    ) -> (bool, Option<LevelChange>) {
        self.memory.look((level, site.unwrap_or_default()), holds, terms, now)
    }

    /// Sets a manual level for a site or, with `None`, for the server. It survives generations.
    /// Returns whether there was space for it.
    pub fn set_manual_level(&self, site: Option<&str>, held: ManualLevel) -> bool {
        self.by_hand.set(site.unwrap_or_default(), held)
    }

    /// Ends a manual level. Returns whether it existed.
    pub fn clear_manual_level(&self, site: Option<&str>) -> bool {
        self.by_hand.end(site.unwrap_or_default())
    }

    /// Returns the manual level of a site or, with `None`, of the server, until its end.
    #[must_use]
    pub fn manual_level(&self, site: Option<&str>, now: Tick) -> Option<ManualLevel> {
        self.by_hand.of(site.unwrap_or_default(), now)
    }

    /// Returns the sites with a manual level.
    #[must_use]
    pub fn sites_with_held_levels(&self) -> Vec<Box<str>> {
        self.by_hand.sites()
    }

    /// Removes and returns the manual levels that have ended; that of the server has no site.
    #[must_use]
    pub fn drop_ended_levels(&self, now: Tick) -> Vec<(Option<Box<str>>, ManualLevel)> {
        let ended = self.by_hand.drop_ended(now);
        ended.into_iter().map(|(site, held)| (Some(site).filter(|s| !s.is_empty()), held)).collect()
    }

    /// Activates a level of this generation, for a site or, with `None`, for the server.
    pub fn set_level(&self, site: Option<&str>, level: u16) {
        match site {
            None => self.levels.set_host(level),
            Some(site) => self.levels.set_site(site, level),
        }
    }

    /// Returns the active level of a site: the higher one of its own and the server's.
    #[must_use]
    pub fn level(&self, site: &str) -> u16 {
        self.levels.of(site)
    }

    /// Returns the occupancy of each table, in the order of the specifications.
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
