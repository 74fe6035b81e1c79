//! A decision, by the number of rules and by where the first hit is.
//!
//! The evaluator of today takes rule after rule, so its cost follows their number; the figures are
//! the ground that the indexed one will be measured against. Compare rows of one run only.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use seawall_benches::{Browser, policy, request, rules};
use seawall_model::Tick;
use seawall_state::{Seed, State};

fn decide(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    group.throughput(Throughput::Elements(1));
    for n in [0, 100, 1_000] {
        let rules = rules(&policy(n));
        let state = State::new(Seed([7; 16]), rules.counter_specs());
        let browser = Browser::new(1);
        let benign = request(&browser, "/blog/2026/a-post", 1);
        group.bench_function(BenchmarkId::new("benign", n), |b| {
            b.iter(|| rules.decide(black_box(&benign), &state, Tick(1)));
        });
    }
    group.finish();
}

fn limits(c: &mut Criterion) {
    let text = "policy 1\nfloor { limit flood { per client to 600/10s burst 200 then block 429 hold 1m } }";
    let rules = rules(text);
    let state = State::new(Seed([7; 16]), rules.counter_specs());
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
    let text = policy(1_000);
    let mut group = c.benchmark_group("assemble");
    group.sample_size(10);
    group.bench_function("1000 rules", |b| b.iter(|| rules(black_box(&text))));
    group.finish();
}

criterion_group!(benches, decide, limits, assemble);
criterion_main!(benches);
