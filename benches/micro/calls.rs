//! The cost of calling a rule: what the sandbox adds to the rule itself.
//!
//! The guest is text, so no wasm target is needed. Its functions return the length of their input,
//! so the rest is the cost of the call with its copies. The shipped rules are measured if they are
//! built. `Isolation::PerCall` is the cost of a fresh instance; the row of recycling has it once
//! per lifetime of an instance.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use criterion::{Bencher, BenchmarkId, Criterion, criterion_group, criterion_main};
use seawall_benches::{Browser, request, rules_beside, shipped_component};
use seawall_model::{Facts, HeaderView, Tick};
use seawall_state::{Seed, State};
use seawall_wasm::{
    Arg, CallLimits, EPOCH_TICK_MS, Function, Isolation, ParamKind, ResultKind, Sandbox,
    SandboxLimits, Signature, pack_headers,
};

/// Takes nothing, two texts and a number, or a list; answers how much it got.
const GUEST: &str = r#"(component
  (core module $m
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (global.get $top))
      (global.set $top (i32.add (global.get $top) (local.get 3)))
      (local.get $at))
    (func (export "reset") (param i64) (global.set $top (i32.const 1024)))
    (func (export "empty") (result i64) (i64.const 7))
    (func (export "three") (param i32 i32 i32 i32 i64) (result i64)
      (i64.add (local.get 4)
        (i64.extend_i32_u (i32.add (local.get 1) (local.get 3)))))
    (func (export "fields") (param i32 i32) (result i64) (i64.extend_i32_u (local.get 1))))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (alias core export $i "realloc" (core func $realloc))
  (alias core export $i "reset" (core func $reset))
  (func (export "empty") (result s64) (canon lift (core func $i "empty")))
  (func (export "three") (param "ua" (list u8)) (param "path" (list u8)) (param "n" s64) (result s64)
    (canon lift (core func $i "three") (memory (core memory $memory)) (realloc (core func $realloc))
      (post-return (core func $reset))))
  (func (export "fields") (param "all" (list u8)) (result s64)
    (canon lift (core func $i "fields") (memory (core memory $memory)) (realloc (core func $realloc))
      (post-return (core func $reset)))))"#;

const AGENT: &[u8] = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const PATH: &[u8] = b"/blog/2026/how-we-moved-the-archive";

/// A header field.
type Field = (&'static str, &'static str);

/// What Chrome sends with a page: 12 fields, 568 bytes packed.
const CHROME: [Field; 12] = [
    ("host", "www.example.org"),
    ("connection", "keep-alive"),
    ("sec-ch-ua", "\"Chromium\";v=\"154\", \"Google Chrome\";v=\"154\", \"Not?A_Brand\";v=\"24\""),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Windows\""),
    ("upgrade-insecure-requests", "1"),
    (
        "user-agent",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/154.0.0.0 Safari/537.36",
    ),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-US,en;q=0.9"),
];

/// A sandbox whose clock advances, as a server's does.
struct Running {
    sandbox: Sandbox,
    stop: Arc<AtomicBool>,
}

impl Running {
    fn new(limits: SandboxLimits) -> Self {
        let sandbox = Sandbox::new(limits);
        let stop = Arc::new(AtomicBool::new(false));
        let (ticking, stopped) = (sandbox.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            while !stopped.load(Relaxed) {
                std::thread::park_timeout(Duration::from_millis(EPOCH_TICK_MS));
                ticking.raise_epoch();
            }
        });
        Self { sandbox, stop }
    }

    /// Returns one without a result cache: the cost of a call that has to be made.
    fn forgetful() -> Self {
        Self::new(SandboxLimits { memo_answers: 0, ..SandboxLimits::default() })
    }

    fn bind(&self, wasm: &[u8], name: &str, shape: Shape<'_>, isolation: Isolation) -> Function {
        let component = self.sandbox.compile(wasm).unwrap_or_else(|e| lost(&e.to_string()));
        let Shape(params, result) = shape;
        let signature = Signature { name: name.into(), params: params.to_vec(), result };
        // More than any asks for, so that none ends early on a busy machine.
        let limits = CallLimits { fuel: 500_000, time_ms: 100, isolation, ..CallLimits::default() };
        component.bind(name, &signature, limits).unwrap_or_else(|e| lost(&e.to_string()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

#[expect(clippy::panic, reason = "a bench of nothing would measure nothing")]
fn lost(what: &str) -> ! {
    panic!("{what}")
}

/// What a function takes and gives.
#[derive(Clone, Copy)]
struct Shape<'p>(&'p [ParamKind], ResultKind);

const EMPTY: Shape<'_> = Shape(&[], ResultKind::Int);
const THREE: Shape<'_> =
    Shape(&[ParamKind::Bytes, ParamKind::Bytes, ParamKind::Int], ResultKind::Int);
const FIELDS: Shape<'_> = Shape(&[ParamKind::Bytes], ResultKind::Int);

fn guest() -> Vec<u8> {
    wat::parse_str(GUEST).unwrap_or_else(|error| lost(&error.to_string()))
}

fn three(n: i64) -> [Arg<'static>; 3] {
    [Arg::Bytes(AGENT), Arg::Bytes(PATH), Arg::Int(n)]
}

fn packed() -> Vec<u8> {
    let mut out = Vec::new();
    pack_headers(&Browser::sending(&CHROME), &mut out, 64 << 10)
        .unwrap_or_else(|e| lost(&e.to_string()));
    out
}

/// Calls over and over; an answer that fails ends the bench.
fn call(b: &mut Bencher<'_>, function: &Function, args: &[Arg<'_>]) {
    b.iter(|| match function.call(black_box(args), Tick::TEST_START) {
        Ok(answer) => answer,
        Err(failure) => lost(&failure.to_string()),
    });
}

fn calls(c: &mut Criterion) {
    let running = Running::forgetful();
    let wasm = guest();
    let all = packed();
    let mut group = c.benchmark_group("call");
    for (how, isolation) in [("reused", Isolation::Reused), ("fresh", Isolation::PerCall)] {
        let bind = |name, shape| running.bind(&wasm, name, shape, isolation);
        group.bench_function(BenchmarkId::new("empty", how), |b| {
            call(b, &bind("empty", EMPTY), &[]);
        });
        group.bench_function(BenchmarkId::new("three", how), |b| {
            call(b, &bind("three", THREE), &three(7));
        });
        group.bench_function(BenchmarkId::new("all headers", how), |b| {
            call(b, &bind("fields", FIELDS), &[Arg::Bytes(&all)]);
        });
    }
    group.bench_function("packing 12 fields", |b| {
        let (chrome, mut out) = (Browser::sending(&CHROME), Vec::new());
        b.iter(|| pack_headers(black_box(&chrome), &mut out, 64 << 10));
    });
    group.finish();
}

/// A cache hit, and a cache miss.
fn memory(c: &mut Criterion) {
    let running = Running::new(SandboxLimits::default());
    let function = running.bind(&guest(), "three", THREE, Isolation::Reused);
    let mut group = c.benchmark_group("memo");
    group.bench_function("hit", |b| call(b, &function, &three(7)));
    let mut n = 0;
    group.bench_function("miss", |b| {
        b.iter(|| {
            n += 1;
            function.call(black_box(&three(n)), Tick::TEST_START)
        });
    });
    group.finish();
}

/// The same call on instances that live for 1,000 calls, as shipped, and for as good as ever.
fn recycling(c: &mut Criterion) {
    let wasm = guest();
    let mut group = c.benchmark_group("recycle");
    for (how, calls) in [("every 1,000 calls", 1_000), ("hardly ever", u32::MAX)] {
        let running = Running::new(SandboxLimits {
            memo_answers: 0,
            calls_per_instance_max: calls,
            ..SandboxLimits::default()
        });
        let function = running.bind(&wasm, "three", THREE, Isolation::Reused);
        group.bench_function(how, |b| call(b, &function, &three(7)));
    }
    group.finish();
}

fn loading(c: &mut Criterion) {
    let sandbox = Sandbox::new(SandboxLimits::default());
    let mut group = c.benchmark_group("load");
    group.sample_size(10);
    let mut row = |name: String, wasm: &[u8]| {
        group.bench_function(name, |b| b.iter(|| sandbox.compile(black_box(wasm))));
    };
    let wasm = guest();
    row(format!("the guest of this bench, {} bytes", wasm.len()), &wasm);
    if let Some(wasm) = shipped_component("header-oddness") {
        row(format!("header-oddness, {} bytes", wasm.len()), &wasm);
    }
    group.finish();
}

/// A whole decision by one rule, and by one that asks a component.
fn policies(c: &mut Criterion) {
    let limits = "module \"guest.wasm\" fuel 50k memory 1MiB on_failure return 0";
    let policy = |declared: &str, condition: &str| {
        format!(
            "policy 1\n{declared}\nfloor {{ rule asks {{ when {condition} then block 403 }} }}\n"
        )
    };
    let three = "extern three(ua: string, path: string, n: int) -> int";
    let fields = "extern fields(all: headers) -> int";
    let paths: Vec<String> =
        (0..20_000).map(|n| format!("/blog/2026/{n:05}/how-we-moved")).collect();
    let (browser, chrome) = (Browser::new(1), Browser::sending(&CHROME));
    let mut group = c.benchmark_group("policy");
    for (name, text) in [
        ("asks nothing", policy("", "len(ua) == 1")),
        (
            "two texts and a number",
            policy(&format!("{three} {{ {limits} }}"), "three(ua, path, 7) == 1"),
        ),
        ("all headers", policy(&format!("{fields} {{ {limits} }}"), "fields(headers) == 1")),
    ] {
        let rules = rules_beside(&text, guest());
        let state = State::new(Seed([7; 16]), rules.counter_specs());
        let mut at = 0_usize;
        group.bench_function(name, |b| {
            b.iter(|| {
                // Never a path of the last 1,024 calls, so that there is no cache hit.
                at = at.wrapping_add(1);
                let path = paths.get(at % paths.len()).map_or("/", String::as_str);
                let facts = Facts { headers: &chrome, ..request(&browser, path, 1) };
                rules.decide(black_box(&facts), &state, Tick(1))
            });
        });
    }
    group.finish();
}

/// What a shipped rule is asked about: all of them take texts and headers, which are bytes.
struct Asked<'a> {
    rule: &'static str,
    result: ResultKind,
    args: Vec<Arg<'a>>,
}

/// The shipped rules with what a browser sends; the fuel of a call stands in the row's name.
fn rules(c: &mut Criterion) {
    let running = Running::forgetful();
    let all = packed();
    let chrome = Browser::sending(&CHROME);
    let agent = chrome.first("user-agent").unwrap_or_default();
    let both = || vec![Arg::Bytes(agent), Arg::Bytes(&all)];
    let query = vec![Arg::Bytes(b"page=3&sort=price_asc&q=how+to+cook")];
    let mut group = c.benchmark_group("shipped rules");
    for Asked { rule, result, args } in [
        Asked { rule: "header-oddness", result: ResultKind::Int, args: both() },
        Asked { rule: "botnet-user-agent", result: ResultKind::Int, args: both() },
        Asked { rule: "fingerprint", result: ResultKind::Text, args: vec![Arg::Bytes(&all)] },
        Asked { rule: "path-shape", result: ResultKind::Text, args: vec![Arg::Bytes(PATH)] },
        Asked { rule: "query-entropy", result: ResultKind::Int, args: query },
    ] {
        let Some(wasm) = shipped_component(rule) else { continue };
        let params: &[ParamKind] =
            if args.len() == 2 { &[ParamKind::Bytes; 2] } else { &[ParamKind::Bytes] };
        let function = running.bind(&wasm, rule, Shape(params, result), Isolation::Reused);
        if let Err(failure) = function.call(&args, Tick::TEST_START) {
            lost(&format!("{rule}: {failure}"));
        }
        let fuel = function.stats().fuel_peak;
        group.bench_function(BenchmarkId::new(rule, format!("{fuel} fuel")), |b| {
            call(b, &function, &args);
        });
    }
    group.finish();
}

criterion_group!(benches, calls, memory, recycling, policies, loading, rules);
criterion_main!(benches);
