//! The cost of counting one visitor, beside a sharded hash map and `pingora-limits`.
//!
//! Every row begins with a visitor's number and ends with its count. Our tables and the map hash
//! the number under a secret, which is necessary if clients choose the keys. `pingora-limits`
//! hashes it four times with a hasher of its own, and reads the clock. The map counts in two
//! buckets too, but never evicts: it grows with every new visitor, and nothing else here does.
//!
//! After the rows come single look-ups among a million keys, without load and during a flood of new
//! ones, and the number of false positives that a flood of 100,000 keys causes.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use dashmap::DashMap;
use pingora_limits::rate::Rate as PingoraRate;
use seawall_model::{CounterId, Tick};
use seawall_state::{
    CounterShape, CounterSpec, Key, KeyBuilder, Penalty, Rate, RateLimitOutcome, RateLimitTable,
    Seed, State, TrackKind, TrackTable,
};

const SIZES: [u64; 3] = [1_000, 100_000, 1_000_000];
const THREADS: [u64; 2] = [1, 2];
const SEED: Seed = Seed([7; 16]);
const WINDOW_MS: u64 = 10_000;
const RATE: Rate = Rate { n: 60, window_ms: WINDOW_MS, burst: 30 };
const HOLD: Penalty = Penalty { for_ms: 60_000, doubling_to_ms: Some(3_600_000) };
/// Visitors with this number or a higher one are never among the others.
const STRANGERS: u64 = 1 << 40;
/// Single look-ups that are timed.
const SAMPLES: usize = 1_000_000;
/// New keys of a flood at most: the map keeps them all, and that is bounded by this.
const FLOOD_MAX: u64 = 10_000_000;

/// Returns the clock of a bench.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn clock() -> Instant {
    Instant::now()
}

/// Numbers that look like chance and are the same each time (SplitMix64).
const fn mixed(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn key(n: u64) -> Key {
    let mut builder = KeyBuilder::new(&SEED);
    builder.part(&n.to_le_bytes());
    builder.finish()
}

/// Something that counts visitors.
trait Counter: Sync {
    const NAME: &'static str;

    /// Made for so many visitors.
    fn made_for(keys: u64) -> Self;

    /// Counts a visit.
    fn update(&self, visitor: u64, now: Tick) -> u64;

    /// Returns what is counted.
    fn look_up(&self, visitor: u64, now: Tick) -> u64;
}

fn state(shape: CounterShape, keys: u64) -> State {
    let identity = "a counter per client".into();
    let keys = usize::try_from(keys).unwrap_or(usize::MAX);
    let spec = CounterSpec { identity, name: "a".into(), shape, window_ms: WINDOW_MS, keys };
    State::new(SEED, &[spec])
}

/// A `limit` with a reserve and a hold.
struct Limit(RateLimitTable);

impl Counter for Limit {
    const NAME: &'static str = "limit";

    fn made_for(keys: u64) -> Self {
        let state = state(CounterShape::Limit, keys);
        Self(state.limit(CounterId(0)).cloned().unwrap_or_else(|| std::process::abort()))
    }

    fn update(&self, visitor: u64, now: Tick) -> u64 {
        u64::from(self.0.admit(key(visitor), &RATE, Some(&HOLD), now) == RateLimitOutcome::Allowed)
    }

    fn look_up(&self, visitor: u64, now: Tick) -> u64 {
        u64::from(self.0.peek(key(visitor), &RATE, Some(&HOLD), now) == RateLimitOutcome::Allowed)
    }
}

/// A `track` that counts requests.
struct Track(TrackTable);

impl Counter for Track {
    const NAME: &'static str = "track";

    fn made_for(keys: u64) -> Self {
        let shape = CounterShape::Track { counted: TrackKind::Requests, keyed: true, heavy: false };
        let state = state(shape, keys);
        Self(state.track(CounterId(0)).cloned().unwrap_or_else(|| std::process::abort()))
    }

    fn update(&self, visitor: u64, now: Tick) -> u64 {
        self.0.feed(key(visitor), 1, None, WINDOW_MS, now);
        0
    }

    fn look_up(&self, visitor: u64, now: Tick) -> u64 {
        self.0.count(key(visitor), WINDOW_MS, now)
    }
}

/// Two buckets of a visitor in the map: which one is current, the one before, the current one.
type Buckets = (u64, u32, u32);

/// What one would write first: a sharded map under `std`'s keyed hash.
struct Map(DashMap<u64, Buckets>);

fn moved((bucket, before, current): Buckets, now: Tick) -> Buckets {
    let is = now.0 / WINDOW_MS;
    match is.saturating_sub(bucket) {
        0 => (bucket, before, current),
        1 => (is, current, 0),
        _ => (is, 0, 0),
    }
}

impl Counter for Map {
    const NAME: &'static str = "dashmap";

    fn made_for(keys: u64) -> Self {
        Self(DashMap::with_capacity(usize::try_from(keys).unwrap_or(0)))
    }

    fn update(&self, visitor: u64, now: Tick) -> u64 {
        let mut entry = self.0.entry(visitor).or_insert((now.0 / WINDOW_MS, 0, 0));
        let (bucket, before, current) = moved(*entry, now);
        *entry = (bucket, before, current.saturating_add(1));
        u64::from(current)
    }

    fn look_up(&self, visitor: u64, now: Tick) -> u64 {
        let found = self.0.get(&visitor).map(|entry| moved(*entry, now));
        let (_, before, current) = found.unwrap_or_default();
        let left_ms = WINDOW_MS.saturating_sub(now.0 % WINDOW_MS);
        u64::from(current) + (u64::from(before) * left_ms).div_ceil(WINDOW_MS)
    }
}

/// `pingora-limits` as it comes: four rows of 1,024 counters, which all visitors share.
struct Pingora(PingoraRate);

impl Counter for Pingora {
    const NAME: &'static str = "pingora-limits";

    fn made_for(_: u64) -> Self {
        Self(PingoraRate::new(Duration::from_millis(WINDOW_MS)))
    }

    fn update(&self, visitor: u64, _: Tick) -> u64 {
        u64::try_from(self.0.observe(&visitor, 1)).unwrap_or(0)
    }

    fn look_up(&self, visitor: u64, _: Tick) -> u64 {
        self.0.rate(&visitor) as u64
    }
}

/// Returns what `threads` threads need for `times` calls each, of visitors in no order.
fn timed(threads: u64, times: u64, keys: u64, call: impl Fn(u64, Tick) -> u64 + Sync) -> Duration {
    each(threads, times, |thread, n| {
        let visitor = mixed(n ^ (thread << 32)) % keys;
        // Every visitor comes every five seconds, which exceeds no limit.
        black_box(call(black_box(visitor), Tick(n * 5_000 / keys)));
    })
}

/// Returns what `threads` threads need for `times` calls each; `call` gets the thread and the call.
fn each(threads: u64, times: u64, call: impl Fn(u64, u64) + Sync) -> Duration {
    let begin = clock();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let call = &call;
            scope.spawn(move || (0..times).for_each(|n| call(thread, n)));
        }
    });
    begin.elapsed()
}

fn filled<C: Counter>(keys: u64) -> C {
    let counter = C::made_for(keys);
    (0..keys).for_each(|visitor| _ = counter.update(visitor, Tick(0)));
    counter
}

fn rows<C: Counter>(c: &mut Criterion) {
    for keys in SIZES {
        let counter: C = filled(keys);
        for threads in THREADS {
            let mut group = c.benchmark_group("tables");
            group.throughput(Throughput::Elements(threads));
            let row = |what| BenchmarkId::new(format!("{what}/{}/{threads}", C::NAME), keys);
            group.bench_function(row("update"), |b| {
                b.iter_custom(|times| timed(threads, times, keys, |v, now| counter.update(v, now)));
            });
            group.bench_function(row("look up"), |b| {
                b.iter_custom(|times| {
                    timed(threads, times, keys, |v, now| counter.look_up(v, now))
                });
            });
            group.finish();
        }
    }
}

/// Visitors that come once, on full tables: the cost of each request in a flood from many
/// addresses.
fn strangers<C: Counter>(c: &mut Criterion) {
    let counter: C = filled(1_000_000);
    for threads in THREADS {
        let mut group = c.benchmark_group("tables");
        group.throughput(Throughput::Elements(threads));
        let mut come = 0;
        group.bench_function(
            BenchmarkId::new("never seen", format!("{}/{threads}", C::NAME)),
            |b| {
                b.iter_custom(|times| {
                    let before = come;
                    come += times * threads;
                    each(threads, times, |thread, n| {
                        let stranger = STRANGERS + (before + n * threads + thread) % FLOOD_MAX;
                        black_box(counter.update(stranger, Tick(before / 1_000)));
                    })
                });
            },
        );
        group.finish();
    }
}

/// Times single calls while `beside` runs in another thread, and prints the quantiles.
#[expect(clippy::print_stdout, reason = "the figures are what a bench is for")]
fn quantiles(what: &str, call: impl Fn(u64), beside: Option<&(dyn Fn(u64) + Sync)>) {
    let ends = AtomicBool::new(false);
    let mut samples = Vec::with_capacity(SAMPLES);
    let flooded = std::thread::scope(|scope| {
        let flood = beside.map(|beside| {
            let ends = &ends;
            scope.spawn(move || {
                let goes_on = |n: &u64| *n < FLOOD_MAX && !ends.load(Relaxed);
                (0..).take_while(goes_on).map(|n| beside(STRANGERS + n)).count()
            })
        });
        for n in 0..SAMPLES as u64 {
            let visitor = mixed(n) % 1_000_000;
            let begin = clock();
            call(black_box(visitor));
            samples.push(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        ends.store(true, Relaxed);
        flood.map_or(0, |flood| flood.join().unwrap_or(0))
    });
    samples.sort_unstable();
    let at = |of_ten_thousand: usize| {
        samples.get(samples.len() * of_ten_thousand / 10_000).copied().unwrap_or(0)
    };
    println!(
        "{what:<44} p50 {:>6} ns  p99 {:>6} ns  p99.9 {:>6} ns  beside {flooded} new keys",
        at(5_000),
        at(9_900),
        at(9_990)
    );
}

fn tails_of<C: Counter>() {
    let counter: C = filled(1_000_000);
    let call = |visitor| _ = black_box(counter.look_up(visitor, Tick(1)));
    quantiles(&format!("{}, look up, quiet", C::NAME), call, None);
    let flood = |stranger| _ = black_box(counter.update(stranger, Tick(1)));
    quantiles(&format!("{}, look up, in a flood", C::NAME), call, Some(&flood));
    let call = |visitor| _ = black_box(counter.update(visitor, Tick(1)));
    quantiles(&format!("{}, update, in a flood", C::NAME), call, Some(&flood));
}

/// A flood of 100,000 keys, then 1,000 visitors that were never seen: how many are over 60?
#[expect(clippy::print_stdout, reason = "the figures are what a bench is for")]
fn innocents() {
    let (limit, rate) = (Limit::made_for(100_000), Pingora::made_for(0));
    for n in 0..100_000 {
        limit.update(mixed(n) | STRANGERS, Tick(0));
        rate.update(mixed(n) | STRANGERS, Tick(0));
    }
    let over = (0..1_000).filter(|n| limit.update(*n, Tick(0)) == 0).count();
    let seen: Vec<u64> = (0..1_000).map(|n| rate.update(n, Tick(0))).collect();
    let over_there = seen.iter().filter(|n| **n > RATE.n).count();
    println!("of 1000 visitors never seen, after 100,000 random keys, are over 60 in ten seconds:");
    println!("  limit {over}, pingora-limits {over_there}, which has them at {:?} on average", {
        seen.iter().sum::<u64>() / seen.len() as u64
    });
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tests = arguments.iter().any(|a| a == "--test");
    let filter = arguments.iter().find(|a| !a.starts_with("--"));
    let settings = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    let mut criterion = settings.configure_from_args();
    if filter.is_none_or(|f| f != "tails") {
        rows::<Limit>(&mut criterion);
        rows::<Track>(&mut criterion);
        rows::<Map>(&mut criterion);
        rows::<Pingora>(&mut criterion);
        strangers::<Limit>(&mut criterion);
        strangers::<Track>(&mut criterion);
        strangers::<Map>(&mut criterion);
        strangers::<Pingora>(&mut criterion);
        criterion.final_summary();
    }
    if !tests && filter.is_none_or(|f| f == "tails") {
        quantiles("the clock alone", |visitor| _ = black_box(visitor), None);
        tails_of::<Limit>();
        tails_of::<Track>();
        tails_of::<Map>();
        tails_of::<Pingora>();
        innocents();
    }
}
