//! A decision, by the number of rules, by what the request is, and by where the first hit is.
//!
//! `indexed` is what the server does, `plain` takes rule after rule and is the reference it is held
//! against. Compare rows of one run only.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use seawall_benches::{Browser, policy, regex_policy, request, rules, shipped, site_policy};
use seawall_model::{Facts, ResponseInfo, Tick};
use seawall_ruleset::RuleSet;
use seawall_state::{Seed, State};

const SIZES: [usize; 4] = [100, 300, 1_000, 10_000];

fn state(rules: &RuleSet) -> State {
    State::new(Seed([7; 16]), rules.counter_specs())
}

fn indexed(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    group.throughput(Throughput::Elements(1));
    for n in [0].into_iter().chain(SIZES) {
        let rules = rules(&policy(n));
        let state = state(&rules);
        let browser = Browser::new(1);
        let mut row = |name: &str, facts: Facts<'_>| {
            group.bench_function(BenchmarkId::new(name, n), |b| {
                b.iter(|| rules.decide(black_box(&facts), &state, Tick(1)));
            });
        };
        row("benign", request(&browser, "/blog/2026/a-post", 1));
        row("hit first", request(&browser, "/old/0.php", 1));
        let last = format!("/old/{}.php", n.saturating_sub(5));
        row("hit last", request(&browser, &last, 1));
        let agents: Vec<Browser> = (0..20_000).map(Browser::never_seen).collect();
        let mut at = 0_usize;
        group.bench_function(BenchmarkId::new("benign, agent never seen", n), |b| {
            b.iter(|| {
                at = at.wrapping_add(1);
                let browser = agents.get(at % agents.len()).unwrap_or(&browser);
                rules.decide(black_box(&request(browser, "/blog/2026/a-post", 1)), &state, Tick(1))
            });
        });
    }
    group.finish();
}

fn regexes(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide with regexes");
    for n in [100, 1_000] {
        let rules = rules(&regex_policy(n));
        let state = state(&rules);
        let browser = Browser::new(1);
        let facts = request(&browser, "/blog/2026/a-post", 1);
        group.bench_function(BenchmarkId::new("benign", n), |b| {
            b.iter(|| rules.decide(black_box(&facts), &state, Tick(1)));
        });
    }
    group.finish();
}

fn plain(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide plainly");
    for n in [100, 1_000] {
        let rules = rules(&policy(n));
        let state = state(&rules);
        let browser = Browser::new(1);
        let facts = request(&browser, "/blog/2026/a-post", 1);
        group.bench_function(BenchmarkId::new("benign", n), |b| {
            b.iter(|| rules.decide_without_index(black_box(&facts), &state, Tick(1), &()));
        });
    }
    group.finish();
}

/// The shipped baseline, with its counters and without its rule in WASM; and with it, where that is
/// built.
fn baseline(c: &mut Criterion) {
    let mut group = c.benchmark_group("baseline");
    let browser = Browser::new(1);
    for (name, with_wasm) in [("without WASM", false), ("with WASM", true)] {
        let Some(rules) = shipped(with_wasm) else { continue };
        let state = state(&rules);
        let mut n = 0_u32;
        group.bench_function(name, |b| {
            b.iter(|| {
                n = n.wrapping_add(1);
                let facts = request(&browser, "/blog/2026/a-post", n / 8);
                // A thousand requests a second.
                rules.decide(black_box(&facts), &state, Tick(u64::from(n)))
            });
        });
    }
    if let Some(rules) = shipped(false) {
        let state = state(&rules);
        let facts = request(&browser, "/blog/2026/a-post", 1);
        let answered = ResponseInfo { status: 200, bytes_out: 1_000, latency_ms: 20 };
        group.bench_function("the answer is counted", |b| {
            b.iter(|| rules.on_response(black_box(&facts), answered, &state, Tick(1)));
        });
    }
    group.finish();
}

fn limits(c: &mut Criterion) {
    let text = "policy 1\nfloor { limit flood { per client to 600/10s burst 200 then block 429 hold 1m } }";
    let rules = rules(text);
    let state = state(&rules);
    let browser = Browser::new(1);
    let mut n = 0_u32;
    c.bench_function("limit/clients in turn", |b| {
        b.iter(|| {
            n = n.wrapping_add(1);
            let facts = request(&browser, "/", n);
            rules.decide(black_box(&facts), &state, Tick(u64::from(n)))
        });
    });
}

fn assemble(c: &mut Criterion) {
    let mut group = c.benchmark_group("assemble");
    group.sample_size(10);
    for (name, text) in [
        ("1000 rules", policy(1_000)),
        ("10000 rules", policy(10_000)),
        ("850 sites, 1000 rules", site_policy(850, 1_000)),
        ("850 sites, 9000 rules", site_policy(850, 9_000)),
    ] {
        let made = rules(&text);
        let bytes = made.summary().index.bytes;
        group.bench_function(BenchmarkId::new(name, format!("index {} KiB", bytes / 1_024)), |b| {
            b.iter(|| rules(black_box(&text)));
        });
    }
    group.finish();
}

criterion_group!(benches, indexed, regexes, plain, baseline, limits, assemble);
criterion_main!(benches);
