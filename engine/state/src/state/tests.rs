//! Tests of edits: what they keep, and what they reset.

use proptest::prelude::*;
use seawall_model::{Client, ClientPrefixes, Generation, Prefix, Tick};

use super::*;
use crate::{BanOrigin, BanScope, BanTarget, Key, Penalty, Rate, RateLimitOutcome};

const NOW: Tick = Tick::TEST_START;
const LIMIT: CounterId = CounterId(0);
const TRACK: CounterId = CounterId(1);

fn limit(name: &str, window_ms: u64, keys: usize) -> CounterSpec {
    let identity = format!("limit {name} per client").into();
    CounterSpec { identity, name: name.into(), shape: CounterShape::Limit, window_ms, keys }
}

fn track(name: &str, counted: TrackKind, window_ms: u64, keys: usize) -> CounterSpec {
    let identity = format!("track {name} per client").into();
    let shape = CounterShape::Track { counted, keyed: true, heavy: true };
    CounterSpec { identity, name: name.into(), shape, window_ms, keys }
}

fn both(window_ms: u64, keys: usize) -> [CounterSpec; 2] {
    [limit("login", window_ms, keys), track("seen", TrackKind::Requests, window_ms, keys)]
}

fn state(specs: &[CounterSpec]) -> State {
    State::new(Seed([5; 16]), specs)
}

fn key(state: &State, text: &str) -> Key {
    let mut builder = state.key();
    builder.part(text.as_bytes());
    builder.finish()
}

fn rate(n: u64, window_ms: u64) -> Rate {
    Rate { n, window_ms, burst: 0 }
}

/// Returns whether a request of `who` is admitted, and the value of the track.
fn ask(state: &State, who: &str, n: u64, window_ms: u64, now: Tick) -> (bool, u64) {
    let key = key(state, who);
    let track = state.track(TRACK).unwrap();
    track.feed(key, 1, None, window_ms, now);
    let hold = Penalty { for_ms: 5_000, doubling_to_ms: None };
    let outcome = state.limit(LIMIT).unwrap().admit(key, &rate(n, window_ms), Some(&hold), now);
    (outcome == RateLimitOutcome::Allowed, track.count(key, window_ms, now))
}

fn names(names: &[Box<str>]) -> Vec<&str> {
    names.iter().map(|name| &**name).collect()
}

#[test]
fn a_state_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<State>();
}

#[test]
fn an_id_finds_its_table_and_no_other() {
    let state = state(&both(1_000, 10));
    assert!(state.limit(LIMIT).is_some() && state.track(LIMIT).is_none());
    assert!(state.track(TRACK).is_some() && state.limit(TRACK).is_none());
    assert!(state.limit(CounterId(2)).is_none() && state.track(CounterId(9)).is_none());
}

#[test]
fn the_report_names_what_became_of_each() {
    let old = state(&[
        limit("same", 1_000, 10),
        limit("window", 1_000, 10),
        limit("keys", 1_000, 10),
        limit("gone", 1_000, 10),
        track("other", TrackKind::Requests, 1_000, 10),
    ]);
    let (_, report) = old.carry(&[
        limit("fresh", 1_000, 10),
        limit("keys", 1_000, 20),
        limit("same", 1_000, 10),
        limit("window", 2_000, 10),
        track("other", TrackKind::Bytes, 1_000, 10),
    ]);
    assert_eq!(names(&report.kept), ["same"]);
    assert_eq!(names(&report.rescaled), ["keys", "window"]);
    assert_eq!(names(&report.new), ["fresh", "other"]);
    assert_eq!(names(&report.removed), ["gone"]);
}

#[test]
fn counts_go_on_in_the_same_table() {
    let old = state(&both(1_000, 10));
    assert_eq!(ask(&old, "a", 2, 1_000, NOW), (true, 1));
    let mut specs = both(1_000, 10).to_vec();
    specs.push(limit("more", 1_000, 10));
    let (new, _) = old.carry(&specs);
    assert_eq!(ask(&new, "a", 2, 1_000, NOW), (true, 2));
    assert_eq!(ask(&old, "a", 2, 1_000, NOW), (false, 3), "in flight, and counted with the rest");
    assert_eq!(ask(&new, "a", 2, 1_000, NOW), (false, 4));
}

#[test]
fn another_threshold_applies_at_once_and_a_hold_runs_on() {
    let old = state(&both(1_000, 10));
    (0..3).for_each(|_| _ = ask(&old, "a", 2, 1_000, NOW));
    let (new, _) = old.carry(&both(1_000, 10));
    assert_eq!(ask(&new, "a", 100, 1_000, NOW.plus_ms(4_999)), (false, 1));
    assert!(ask(&new, "a", 100, 1_000, NOW.plus_ms(5_000)).0);
}

#[test]
fn another_window_reads_as_far_as_the_history_reaches() {
    let old = state(&both(10_000, 10));
    (0..6).for_each(|_| _ = ask(&old, "a", 100, 10_000, NOW));
    let (new, report) = old.carry(&both(60_000, 10));
    assert_eq!(names(&report.rescaled), ["login", "seen"]);
    assert_eq!(ask(&new, "a", 7, 60_000, NOW.plus_ms(9_000)), (true, 7));
    assert_eq!(ask(&new, "a", 7, 60_000, NOW.plus_ms(59_000)), (false, 8));
}

#[test]
fn another_size_loses_no_counts_hold_or_reserve() {
    let old = state(&both(60_000, 10));
    let spent = Rate { n: 0, window_ms: 60_000, burst: 2 };
    let admit = |state: &State, who: &str| {
        state.limit(LIMIT).unwrap().admit(key(state, who), &spent, None, NOW)
    };
    (0..2).for_each(|_| assert_eq!(admit(&old, "spent"), RateLimitOutcome::Allowed));
    (0..3).for_each(|_| _ = ask(&old, "held", 2, 60_000, NOW));
    let (new, _) = old.carry(&both(60_000, 5_000));
    // The old generation counts until the new one is published.
    (0..2).for_each(|_| assert!(ask(&old, "late", 2, 60_000, NOW).0));
    new.settle(&old);
    new.settle(&old);
    assert!(matches!(admit(&new, "spent"), RateLimitOutcome::Exceeded { .. }));
    assert_eq!(ask(&new, "held", 9, 60_000, NOW.plus_ms(1)), (false, 4));
    assert_eq!(ask(&new, "late", 2, 60_000, NOW.plus_ms(1)), (false, 3));
    let fill = new.fill();
    assert!(fill[0].capacity >= 5_000 && fill[0].keys == 3 && fill[0].evictions == 0);
}

#[test]
fn what_is_counted_while_a_table_grows_is_not_read_over_a_window_of_long_ago() {
    let (first, now) = (state(&both(1_000, 10)), NOW.plus_ms(15_000));
    assert!(ask(&first, "a", 9, 1_000, now).0);
    let (second, _) = first.carry(&both(20_000, 10));
    // No request since the change of the window: the copy has the first window.
    let (third, _) = second.carry(&both(20_000, 500));
    (0..4).for_each(|_| assert!(ask(&second, "a", 9, 20_000, now).0));
    third.settle(&second);
    assert_eq!(ask(&third, "a", 5, 20_000, now), (false, 6), "one and four were counted");
}

#[test]
fn distinct_things_and_shares_survive_another_size() {
    let spec = |keys| [track("paths", TrackKind::Distinct, 60_000, keys)];
    let old = state(&spec(10));
    let feed = |state: &State, who: &str, things: std::ops::Range<u64>| {
        for n in things {
            let thing = key(state, &format!("thing {n}"));
            let table = state.track(CounterId(0)).unwrap();
            table.feed(key(state, who), 1, Some(thing), 60_000, NOW);
        }
    };
    let read = |state: &State, who: &str| {
        state.track(CounterId(0)).unwrap().distinct(key(state, who), 60_000, NOW)
    };
    feed(&old, "few", 0..5);
    feed(&old, "many", 0..200);
    let many = read(&old, "many");
    let (new, _) = old.carry(&spec(1_000));
    feed(&old, "few", 3..9);
    feed(&old, "late", 0..10);
    feed(&new, "late", 10..20);
    feed(&old, "grown", 0..5);
    feed(&new, "grown", 0..5);
    feed(&old, "grown", 5..100);
    let grown = read(&old, "grown");
    new.settle(&old);
    assert_eq!((read(&new, "few"), read(&new, "many")), (9, many));
    assert!(read(&new, "late") >= 16, "ten and ten others");
    assert_eq!(read(&new, "grown"), grown);
    let share = new.track(CounterId(0)).unwrap().share_percent(key(&new, "many"), 60_000, NOW);
    assert!(share > 50, "{share}");
}

#[test]
fn a_generation_that_is_thrown_away_changes_nothing() {
    let old = state(&both(3_600_000, 10));
    (0..6).for_each(|_| _ = ask(&old, "a", 100, 3_600_000, NOW.plus_ms(3_000_000)));
    drop(old.carry(&both(1_000, 500)));
    assert_eq!(ask(&old, "a", 6, 3_600_000, NOW.plus_ms(3_000_000)), (false, 7));
}

#[test]
fn bans_are_shared_by_all_generations() {
    let old = state(&[]);
    let (new, _) = old.carry(&both(1_000, 10));
    let client = Client::of([192, 0, 2, 1].into(), &ClientPrefixes::default());
    let why = BanOrigin { rule: "floor.r".into(), generation: Generation(1) };
    let unit = BanTarget::Net(Prefix::host(client.ip));
    old.bans().add(unit, 100, why, BanScope::Host, NOW);
    assert!(new.bans().covers(&client, None, BanScope::Host, NOW).is_some());
}

#[test]
fn two_specs_of_one_identity_are_one_counter() {
    let state = state(&[limit("x", 1_000, 10), limit("x", 1_000, 10)]);
    let key = key(&state, "a");
    let admit = |id| state.limit(CounterId(id)).unwrap().admit(key, &rate(1, 1_000), None, NOW);
    assert_eq!(admit(0), RateLimitOutcome::Allowed);
    assert!(matches!(admit(1), RateLimitOutcome::Exceeded { .. }));
}

#[test]
fn a_track_without_per_has_one_key() {
    let shape = CounterShape::Track { counted: TrackKind::Requests, keyed: false, heavy: false };
    let spec = CounterSpec { shape, ..track("all", TrackKind::Requests, 1_000, 1_000_000) };
    let state = state(&[spec]);
    assert_eq!(state.fill()[0].capacity, 8);
    let table = state.track(CounterId(0)).unwrap();
    (0..5).for_each(|_| table.feed(state.key().finish(), 1, None, 1_000, NOW));
    assert_eq!(table.rate(state.key().finish(), 1_000, NOW), 5);
}

proptest! {
    #[test]
    fn any_number_of_edits_keeps_the_counts(
        edits in prop::collection::vec((0_usize..3, 0_usize..4), 0..12),
    ) {
        // Neither the size nor the neighbours of a counter are part of its identity.
        let (n, window_ms) = (20, 60_000);
        let steady = state(&both(window_ms, 100));
        let mut edited = state(&both(window_ms, 100));
        for (i, (size, others)) in edits.iter().enumerate() {
            let mut specs = both(window_ms, [50, 100, 3_000][*size]).to_vec();
            specs.extend((0..*others).map(|o| limit(&format!("{i} {o}"), 1_000, 10)));
            let (next, _) = edited.carry(&specs);
            next.settle(&edited);
            edited = next;
            for who in ["a", "b"] {
                let now = NOW.plus_ms(i as u64 * 700);
                prop_assert_eq!(
                    ask(&steady, who, n, window_ms, now),
                    ask(&edited, who, n, window_ms, now)
                );
            }
        }
    }
}
