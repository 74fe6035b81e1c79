//! Replays the seeds of the fuzz targets: every seed, every policy of the repository, and parts of
//! them, with the same oracles.

use std::path::{Path, PathBuf};

use seawall_model::{CounterId, Generation, Tick};
use seawall_state::{BanOrigin, BanScope, BanTarget, LevelTiming, Penalty, Rate, Seed, State};

#[path = "../fuzz/edge.rs"]
mod edge;
#[path = "../fuzz/oracles.rs"]
mod oracles;

fn files(below: &str) -> Vec<PathBuf> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { collect(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(below), &mut found);
    found.sort();
    found
}

/// Where the seeds lie.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds")
}

/// All bytes of the policy files, and each cut in three places, which leaves every kind of thing
/// unfinished somewhere.
fn policies() -> Vec<Vec<u8>> {
    let folders =
        ["policies", "tests/fixtures/policies", "tests/corpus/diagnostics", "tests/fuzz/seeds"];
    let grown = folder().join("policy");
    let mut all = Vec::new();
    for path in folders.into_iter().flat_map(files) {
        // What fuzzing has grown is no text, and has no ending.
        if path.extension().is_some_and(|end| end == "wall") || path.parent() == Some(&*grown) {
            let bytes = std::fs::read(&path).unwrap();
            for part in [1, 2, 3] {
                all.push(bytes[..bytes.len() * part / 4].to_vec());
            }
            all.push(bytes);
        }
    }
    assert!(all.len() > 1_000, "{} pieces of policies", all.len());
    all
}

#[test]
fn seeds_of_the_lexer() {
    policies().iter().for_each(|bytes| oracles::lex(bytes));
}

#[test]
fn seeds_of_the_parser() {
    policies().iter().for_each(|bytes| oracles::parse(bytes));
}

#[test]
fn seeds_of_the_checker() {
    policies().iter().for_each(|bytes| oracles::check(bytes));
}

#[test]
fn seeds_of_the_formatter() {
    policies().iter().for_each(|bytes| oracles::format(bytes));
}

/// Each list in each type, cut in many places.
#[test]
fn seeds_of_lists() {
    edge_seeds("list", oracles::list);
    for path in files("tests/fuzz/seeds/list").iter().chain(&files("tests/fixtures/field")) {
        let bytes = std::fs::read(path).unwrap();
        for kind in 0..8 {
            oracles::list(&[&[kind], &bytes[..]].concat());
        }
    }
}

#[test]
fn seeds_of_targets_and_hosts() {
    files("tests/fuzz/seeds/target").iter().for_each(|path| {
        oracles::target(&std::fs::read(path).unwrap());
    });
}

/// Every policy of the tree with a request behind it, and the seeds themselves.
#[test]
fn seeds_of_the_two_walks() {
    files("tests/fuzz/seeds/walk").iter().for_each(|path| {
        oracles::walk(&std::fs::read(path).unwrap());
    });
    for policy in policies() {
        let request = b"\0/wp-login.php\nBadBot/1.0 sqlmap\n*/*\nq=1";
        oracles::walk(&[&policy, &request[..]].concat());
    }
}

/// A state with something of everything, as bytes.
fn busy() -> Vec<u8> {
    let (state, now) = (State::new(Seed([5; 16]), &oracles::counters()), Tick::TEST_START);
    let (rate, hold) = (Rate { n: 2, window_ms: 10_000, burst: 1 }, 60_000);
    let hold = Penalty { for_ms: hold, doubling_to_ms: None };
    for n in 0..200_u32 {
        let key = |n: u32| {
            let mut key = state.key();
            key.part(&n.to_le_bytes());
            key.finish()
        };
        let _judged = state.limit(CounterId(0)).unwrap().admit(key(n % 9), &rate, Some(&hold), now);
        for track in 1..4 {
            let track = state.track(CounterId(track)).unwrap();
            track.feed(key(n % 3), 1, Some(key(n)), rate.window_ms, now);
        }
        let why = BanOrigin { rule: "floor.r".into(), generation: Generation(1) };
        state.bans().add(BanTarget::Asn(n), 90_000, why, BanScope::Host, now);
    }
    let terms = LevelTiming { sustained_ms: 0, leave_after_ms: 9 };
    state.evaluate_level(("attack", Some("a.example")), true, &terms, now);
    state.snapshot(now).bytes
}

#[test]
fn seeds_of_snapshots() {
    files("tests/fuzz/seeds/snapshot").iter().for_each(|path| {
        oracles::snapshot(&std::fs::read(path).unwrap());
    });
    let bytes = busy();
    // Fuzzing begins from what is written today.
    let seed = folder().join("snapshot/busy");
    if std::env::var_os("RENEW_SEEDS").is_some() {
        std::fs::write(&seed, &bytes).unwrap();
    }
    let form = std::fs::read(seed).unwrap()[0];
    assert_eq!(form, bytes[0], "the seed is of another form: run this with RENEW_SEEDS=1");
    oracles::snapshot(&bytes);
    for place in 0..bytes.len() {
        oracles::snapshot(&bytes[..place]);
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << (place % 8);
        oracles::snapshot(&flipped);
    }
}

/// Drives `oracle` with the seeds of `target`: whole, cut in many places, and with a byte turned in
/// each of these.
fn edge_seeds(target: &str, oracle: fn(&[u8])) {
    let seeds = files(&format!("tests/fuzz/seeds/{target}"));
    assert!(!seeds.is_empty(), "no seeds of {target}");
    for path in seeds {
        let bytes = std::fs::read(path).unwrap();
        oracle(&bytes);
        for place in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
            oracle(&bytes[..place]);
            let mut turned = bytes.clone();
            turned[place] ^= 1 << (place % 8);
            oracle(&turned);
        }
    }
}

#[test]
fn seeds_of_proxy_headers() {
    edge_seeds("proxy", edge::proxy);
}

#[test]
fn seeds_of_client_hellos() {
    edge_seeds("hello", edge::hello);
}

#[test]
fn seeds_of_fingerprints() {
    edge_seeds("print", edge::print);
}

/// With them, whatever is known to make two readers see two things.
#[test]
fn seeds_of_heads() {
    edge_seeds("head", edge::head);
    crate::smuggling::bytes().iter().for_each(|bytes| edge::head(bytes));
}

#[test]
fn seeds_of_chunked_bodies() {
    edge_seeds("chunked", edge::chunked);
    for bytes in crate::smuggling::bytes() {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        edge::chunked(&bytes[head.map_or(0, |at| at + 4)..]);
    }
}

#[test]
fn seeds_of_frames() {
    edge_seeds("frames", edge::frames);
}

#[test]
fn seeds_of_the_meter() {
    edge_seeds("meter", edge::meter);
}
