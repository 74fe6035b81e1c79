//! Tests of restarts: what survives, and that damaged bytes restore nothing.

use std::net::IpAddr;

use proptest::prelude::*;
use seawall_model::{Client, ClientPrefixes, CounterId, Generation, Prefix};

use super::*;
use crate::{
    AddBanResult, BanOrigin, BanScope, BanTarget, Key, LevelTiming, ManualLevel, Penalty, Rate,
    RateLimitConfig, RateLimitOutcome,
};

const NOW: Tick = Tick::TEST_START;
const DAY_MS: u64 = 86_400_000;
const LIMIT: CounterId = CounterId(0);
const TRACKS: [(TrackKind, u32); 3] =
    [(TrackKind::Requests, 1), (TrackKind::Bytes, 2), (TrackKind::Distinct, 3)];
const RATE: Rate = Rate { n: 3, window_ms: 10_000, burst: 2 };
const HOLD: Penalty = Penalty { for_ms: 5_000, doubling_to_ms: Some(60_000) };
const TERMS: LevelTiming = LevelTiming { sustained_ms: 20_000, leave_after_ms: 60_000 };

fn specs(window_ms: u64, keys: usize) -> Vec<CounterSpec> {
    let tracks =
        TRACKS.map(|(counted, _)| CounterShape::Track { counted, keyed: true, heavy: true });
    let shapes = [CounterShape::Limit].into_iter().chain(tracks).enumerate();
    let spec = |(n, shape)| {
        let name: Box<str> = format!("counter-{n}").into();
        CounterSpec { identity: format!("{name} per client").into(), name, shape, window_ms, keys }
    };
    shapes.map(spec).collect()
}

fn state(keys: usize) -> State {
    State::new(Seed([5; 16]), &specs(RATE.window_ms, keys))
}

fn key(state: &State, n: u64) -> Key {
    let mut builder = state.key();
    builder.part(&n.to_le_bytes());
    builder.finish()
}

fn at_once(now: Tick) -> RestoreClock {
    RestoreClock { now, elapsed_ms: 0 }
}

fn restored(bytes: &[u8], specs: &[CounterSpec], when: RestoreClock) -> (State, RestoreReport) {
    State::restore(bytes, specs, StateLimits::default(), when).unwrap()
}

/// Sends a request of client `n` for `thing`: adds it to every track and checks the limit.
fn request(state: &State, n: u64, thing: u64, now: Tick) -> RateLimitOutcome {
    let (key, thing) = (key(state, n), key(state, thing));
    for (_, id) in TRACKS {
        let track = state.track(CounterId(id)).unwrap();
        track.feed(key, 1 + n, Some(thing), RATE.window_ms, now);
    }
    let terms = RateLimitConfig { rate: &RATE, hold: Some(&HOLD), pass: None };
    state.limit(LIMIT).unwrap().admit_on(key, &terms, now)
}

/// Returns everything that a policy can read about a client.
fn reads(state: &State, n: u64, now: Tick) -> (RateLimitOutcome, Vec<u64>) {
    let key = key(state, n);
    let would = state.limit(LIMIT).unwrap().peek(key, &RATE, Some(&HOLD), now);
    let track = |id| state.track(CounterId(id)).unwrap();
    let mut numbers = vec![
        track(1).count(key, RATE.window_ms, now),
        track(2).bytes(key, RATE.window_ms, now),
        track(3).distinct(key, RATE.window_ms, now),
    ];
    for (_, id) in TRACKS {
        numbers.push(track(id).share_percent(key, RATE.window_ms, now));
        numbers.push(u64::from(track(id).top(key, 2, RATE.window_ms, now)));
    }
    (would, numbers)
}

fn ban(state: &State, net: &str, for_ms: u64, scope: BanScope<'_>, now: Tick) -> AddBanResult {
    let unit = BanTarget::Net(Prefix::parse(net).unwrap().0);
    let why = BanOrigin { rule: "floor.flood".into(), generation: Generation(7) };
    state.bans().add(unit, for_ms, why, scope, now)
}

fn covers(state: &State, ip: &str, scope: BanScope<'_>, now: Tick) -> Option<(u64, String)> {
    let client = Client::of(ip.parse::<IpAddr>().unwrap(), &ClientPrefixes::default());
    let hit = state.bans().covers(&client, Some(64_500), scope, now)?;
    Some((hit.until.since_ms(now), format!("{} {}", hit.why.rule, hit.why.generation)))
}

/// Returns a state with some of everything, about 4 KiB.
fn busy() -> State {
    let state = state(100);
    for n in 0..30 {
        for thing in 0..n {
            request(&state, n, thing, NOW.plus_ms(thing * 100));
        }
    }
    ban(&state, "192.0.2.7/32", 60_000, BanScope::Host, NOW);
    ban(&state, "2001:db8:0:4200::/56", 90_000, BanScope::Host, NOW);
    ban(&state, "198.51.100.0/24", 90_000, BanScope::Member("alice"), NOW);
    let why = BanOrigin { rule: "by hand".into(), generation: Generation(8) };
    state.bans().add(BanTarget::Asn(64_500), 90_000, why, BanScope::Host, NOW);
    state.evaluate_level(("attack", None), true, &TERMS, NOW);
    state.evaluate_level(("attack", Some("a.example")), true, &TERMS, NOW);
    state
}

#[test]
fn bans_come_back_with_unit_scope_end_and_origin() {
    let state = busy();
    let (again, report) = restored(&state.snapshot(NOW).bytes, &specs(10_000, 100), at_once(NOW));
    assert_eq!((report.bans, again.bans().list(NOW)), (4, state.bans().list(NOW)));
    let said = |ip, scope| covers(&again, ip, scope, NOW);
    assert_eq!(said("192.0.2.7", BanScope::Host), Some((90_000, "by hand 8".into())));
    let member = said("198.51.100.9", BanScope::Member("alice"));
    assert_eq!(member, Some((90_000, "floor.flood 7".into())));
    assert!(said("2001:db8:0:42ff::1", BanScope::Host).is_some());
}

#[test]
fn levels_go_on_with_their_waiting() {
    let state = busy();
    let later = NOW.plus_ms(1_000_000);
    let when = RestoreClock { now: later, elapsed_ms: 19_000 };
    let (again, _) = restored(&state.snapshot(NOW).bytes, &specs(10_000, 100), when);
    let look = |ms| again.evaluate_level(("attack", None), true, &TERMS, later.plus_ms(ms)).0;
    assert!(!look(999));
    assert!(look(1_000), "it has held for 19 s before");
}

fn held(now: Tick) -> ManualLevel {
    ManualLevel { level: "attack".into(), until: now.plus_ms(60_000) }
}

#[test]
fn a_level_set_by_hand_holds_for_the_rest_of_its_time() {
    let state = state(10);
    assert!(
        state.set_manual_level(None, held(NOW))
            && state.set_manual_level(Some("a.example"), held(NOW))
    );
    let later = NOW.plus_ms(1_000_000);
    let when = RestoreClock { now: later, elapsed_ms: 20_000 };
    let (again, _) = restored(&state.snapshot(NOW).bytes, &specs(10_000, 10), when);
    let left = |site| again.manual_level(site, later).map(|held| held.until.since_ms(later));
    assert_eq!(
        [left(None), left(Some("a.example")), left(Some("b"))],
        [Some(40_000), Some(40_000), None]
    );
    let when = RestoreClock { now: later, elapsed_ms: 60_000 };
    let (again, _) = restored(&state.snapshot(NOW).bytes, &specs(10_000, 10), when);
    assert_eq!((again.manual_level(None, later), again.sites_with_held_levels().len()), (None, 0));
}

#[test]
fn more_pages_of_bans_than_one_come_back() {
    let state = state(10);
    for n in 0..3_000_u32 {
        let why = BanOrigin { rule: format!("r{}", n % 7).into(), generation: Generation(1) };
        // All end at one of three times.
        let for_ms = 1_000 + u64::from(n % 3);
        state.bans().add(BanTarget::Asn(n), for_ms, why, BanScope::Host, NOW);
    }
    let (again, report) = restored(&state.snapshot(NOW).bytes, &specs(10_000, 10), at_once(NOW));
    assert_eq!(report.bans, 3_000);
    let sorted = |state: &State| {
        let mut list = state.bans().list(NOW);
        list.sort_by_key(|ban| format!("{:?}", ban.unit));
        list
    };
    assert_eq!(sorted(&again), sorted(&state));
}

#[test]
fn a_clock_that_was_put_frees_and_lengthens_no_ban_and_no_hold() {
    let state = busy();
    for n in 0..10 {
        request(&state, 99, n, NOW);
    }
    let bytes = state.snapshot(NOW).bytes;
    for wall in [NOW.0 - DAY_MS, NOW.0 - 1, NOW.0, NOW.0 + 12_345, NOW.0 + DAY_MS, 4_000] {
        // Four seconds pass, regardless of the wall clock.
        let when = RestoreClock { now: Tick(wall), elapsed_ms: 4_000 };
        let (again, _) = restored(&bytes, &specs(10_000, 100), when);
        let left = covers(&again, "2001:db8:0:4200::1", BanScope::Host, when.now);
        assert_eq!(left.map(|(left_ms, _)| left_ms), Some(86_000), "{wall}");
        let outcome = |ms| reads(&again, 99, when.now.plus_ms(ms)).0;
        let RateLimitOutcome::Exceeded { hold_began, .. } = outcome(999) else {
            panic!("the hold ended: {wall}")
        };
        assert_eq!(hold_began, Some(Tick(wall.saturating_sub(4_000))), "{wall}");
        let RateLimitOutcome::Exceeded { hold_began, .. } = outcome(1_000) else {
            panic!("{wall}")
        };
        assert_eq!(hold_began.map(|at| at.since_ms(when.now)), Some(1_000), "a new hold: {wall}");
    }
}

#[test]
fn what_ends_while_nothing_runs_has_ended() {
    let state = busy();
    let later = NOW.plus_ms(60_000);
    let when = RestoreClock { now: later, elapsed_ms: 60_000 };
    let (again, report) = restored(&state.snapshot(NOW).bytes, &specs(10_000, 100), when);
    assert_eq!(report.bans, 3, "one ended on the way");
    assert_eq!(reads(&again, 5, later).1, [0; 9]);
    // Nothing lasts longer than 30 days, so a longer time counts as 30 days.
    let far = RestoreClock { now: NOW.plus_ms(1 << 60), elapsed_ms: 1 << 60 };
    assert_eq!(restored(&state.snapshot(NOW).bytes, &specs(10_000, 100), far).1.bans, 0);
}

#[test]
fn a_hold_doubles_the_next_one_over_a_restart() {
    let state = state(10);
    let over = |state: &State, now| (0..6).fold(None, |_, n| Some(request(state, 1, n, now)));
    let held = |outcome| match outcome {
        Some(RateLimitOutcome::Exceeded { hold_began, retry_after_ms }) => {
            hold_began.map(|_| retry_after_ms)
        }
        _ => None,
    };
    over(&state, NOW);
    // The hold has ended, and the key is idle.
    let idle = NOW.plus_ms(50_000);
    let (again, _) = restored(&state.snapshot(idle).bytes, &specs(10_000, 10), at_once(idle));
    over(&again, idle);
    let later = idle.plus_ms(50_000);
    let (again, _) = restored(&again.snapshot(later).bytes, &specs(10_000, 10), at_once(later));
    assert!(held(over(&again, later)) >= Some(20_000), "twice doubled");
}

#[test]
fn an_edit_while_nothing_runs_is_an_edit() {
    let state = busy();
    let now = NOW.plus_ms(3_000);
    let bytes = state.snapshot(now).bytes;
    for (window_ms, keys) in [(60_000, 100), (10_000, 500), (5_000, 40)] {
        let edited = specs(window_ms, keys);
        let (again, report) = restored(&bytes, &edited, at_once(now));
        let (carried, carry) = state.carry(&edited);
        assert_eq!((report.counters.rescaled.len(), carry.rescaled.len()), (4, 4));
        for n in 20..30 {
            assert_eq!(reads(&again, n, now), reads(&carried, n, now), "{window_ms} {keys} {n}");
        }
    }
}

#[test]
fn counters_of_other_names_are_dropped_and_told() {
    let state = busy();
    let mut edited = specs(10_000, 100);
    edited[1].identity = "another".into();
    edited[1].name = "another".into();
    let (again, report) = restored(&state.snapshot(NOW).bytes, &edited, at_once(NOW));
    let names = |names: &[Box<str>]| names.join(" ");
    let CarryOverReport { kept, rescaled, new, removed: gone } = &report.counters;
    assert_eq!(names(kept), "counter-0 counter-2 counter-3");
    assert_eq!((names(new), names(gone)), ("another".to_owned(), "counter-1".to_owned()));
    assert!(rescaled.is_empty());
    assert_eq!(again.track(CounterId(1)).unwrap().count(key(&again, 9), 10_000, NOW), 0);
}

#[test]
fn a_full_table_loses_nobody() {
    let state = state(2_000);
    for n in 0..50_000 {
        request(&state, n, 0, NOW.plus_ms(n / 50));
    }
    let now = NOW.plus_ms(1_000);
    let (again, _) = restored(&state.snapshot(now).bytes, &specs(10_000, 2_000), at_once(now));
    for (before, after) in state.fill().iter().zip(again.fill()) {
        assert_eq!((before.keys, 0, 0), (after.keys, after.evictions, after.refused));
        assert!(before.evictions > 0);
    }
    for n in 45_000..50_000 {
        assert_eq!(reads(&state, n, now), reads(&again, n, now));
    }
}

#[test]
fn what_holds_nothing_is_left_out() {
    let state = state(1_000);
    (0..500).for_each(|n| _ = request(&state, n, 0, NOW));
    assert_eq!(state.snapshot(NOW).entries, 4 * 500);
    assert_eq!(state.snapshot(NOW.plus_ms(200_000)).entries, 0);
}

#[test]
fn a_change_is_seen_and_quiet_is_too() {
    let state = busy();
    let now = NOW.plus_ms(60_000);
    let mark = state.mark(now);
    assert!(!state.is_changed_since(&mark));
    let _unchanged = (state.snapshot(now), reads(&state, 3, now));
    assert!(!state.is_changed_since(&mark));
    request(&state, 1, 1, now);
    assert!(state.is_changed_since(&mark));
    let changes: [&dyn Fn(); 6] = [
        &|| _ = state.set_manual_level(Some("a.example"), held(now)),
        &|| _ = state.clear_manual_level(Some("a.example")),
        &|| _ = ban(&state, "192.0.2.9/32", 1, BanScope::Host, now),
        &|| _ = state.bans().clear(now),
        &|| _ = state.limit(LIMIT).unwrap().lift_holds(NOW, now),
        &|| _ = state.evaluate_level(("attack", None), false, &TERMS, now),
    ];
    for change in changes {
        let mark = state.mark(now.plus_ms(10_000));
        assert!(!state.is_changed_since(&mark));
        change();
        assert!(state.is_changed_since(&mark));
    }
}

/// Returns a snapshot in the first format: a limit with one key of all 128 bits.
fn first_form(state: &State, n: u64, window: (u64, u64), hold_ms: u64) -> Vec<u8> {
    let mut out = SnapshotEncoder::new(NOW, SNAPSHOT_BYTES_MAX);
    out.byte(1);
    out.raw(&NOW.0.to_le_bytes());
    out.raw(&state.seed.0);
    out.section(COUNTER, |out| {
        let CounterSpec { identity, name, window_ms, keys, .. } = &state.counters[0].spec;
        out.text(identity);
        out.text(name);
        out.byte(0);
        out.number(*keys as u64);
        out.raw(&window_ms.to_le_bytes());
        out.usual_ms = *window_ms;
        out.section(1, |out| {
            out.byte(1);
            out.key(key(state, n));
            out.byte(1);
            out.moment(NOW);
            out.window(*window_ms);
            [window.0, window.1, RATE.burst, 0].iter().for_each(|n| out.number(*n));
            out.moment(NOW);
            out.number(hold_ms);
        });
    });
    out.bytes
}

#[test]
fn the_first_form_is_read_still() {
    let old = state(100);
    let bytes = first_form(&old, 7, (0, 2), 5_000);
    let (again, report) = restored(&bytes, &specs(10_000, 100), at_once(NOW));
    assert_eq!((report.counters.kept.len(), again.fill()[0].keys), (1, 1));
    let held = RateLimitOutcome::Exceeded { retry_after_ms: 5_000, hold_began: Some(NOW) };
    assert_eq!(request(&again, 7, 0, NOW), held);
    let limit = again.limit(LIMIT).unwrap();
    limit.lift_holds(NOW, NOW);
    // Two of three are counted, and the burst of two is full.
    let admitted = (0..9)
        .filter(|_| limit.admit(key(&again, 7), &RATE, None, NOW) == RateLimitOutcome::Allowed);
    assert_eq!(admitted.count(), 3);
}

#[test]
fn no_cut_and_no_flipped_bit_makes_it_panic() {
    let state = state(100);
    for n in 0..12 {
        (0..n * 2).for_each(|thing| _ = request(&state, n, thing, NOW.plus_ms(thing)));
    }
    ban(&state, "192.0.2.7/32", 60_000, BanScope::Host, NOW);
    let bytes = state.snapshot(NOW).bytes;
    assert!((3_000..6_000).contains(&bytes.len()), "about 4 KiB: {}", bytes.len());
    let specs = specs(10_000, 100);
    let read = |bytes: &[u8]| State::restore(bytes, &specs, StateLimits::default(), at_once(NOW));
    let mut whole = 0;
    for length in 0..bytes.len() {
        // A cut between sections gives a shorter snapshot; the length in the envelope detects this.
        whole += usize::from(read(&bytes[..length]).is_ok());
    }
    assert!(whole <= 9, "{whole} cuts were taken");
    for place in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << (place % 8);
        if let Ok((state, _)) = read(&flipped) {
            // The restored state is usable.
            (0..3).for_each(|n| _ = request(&state, n, 1, NOW.plus_ms(5)));
            let _readable = (reads(&state, 1, NOW), state.snapshot(NOW.plus_ms(9)));
        }
    }
    let mut newer = bytes;
    newer[0] = FORMAT + 1;
    assert_eq!(read(&newer).err(), Some(SnapshotError::Version(FORMAT + 1)));
}

proptest! {
    /// The same requests get the same results with and without a restart in between.
    #[test]
    fn a_restart_changes_no_verdict(
        before in prop::collection::vec((0_u64..12, 0_u64..40, 0_u64..3_000), 1..120),
        after in prop::collection::vec((0_u64..12, 0_u64..40, 0_u64..3_000), 1..60),
        down_ms in 0_u64..20_000, days in 0_u64..3,
    ) {
        let state = state(40);
        let mut now = NOW;
        for (n, thing, wait_ms) in before {
            now = now.plus_ms(wait_ms);
            request(&state, n, thing, now);
        }
        let bytes = state.snapshot(now).bytes;
        now = now.plus_ms(down_ms);
        // The wall clock shows another day; whole days are whole windows.
        let ahead_ms = days * DAY_MS;
        let when = RestoreClock { now: now.plus_ms(ahead_ms), elapsed_ms: down_ms };
        let (again, _) = restored(&bytes, &specs(10_000, 40), when);
        for (n, thing, wait_ms) in after {
            now = now.plus_ms(wait_ms);
            for other in 0..12 {
                let (here, there) = (reads(&state, other, now), reads(&again, other, now.plus_ms(ahead_ms)));
                prop_assert_eq!(here.1, there.1);
            }
            let here = request(&state, n, thing, now);
            let there = request(&again, n, thing, now.plus_ms(ahead_ms));
            prop_assert_eq!(moved(here, ahead_ms), there);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), body in any::<bool>()) {
        let head: Vec<u8> = [1_u8].into_iter().chain([7; 24]).chain([3, 200, 0, 0, 0, 0, 0, 0, 0]).collect();
        let bytes = if body { [head, bytes].concat() } else { bytes };
        let _any = State::restore(&bytes, &specs(1_000, 10), StateLimits::default(), at_once(NOW));
    }
}

/// Returns the same outcome on a clock that is ahead.
fn moved(outcome: RateLimitOutcome, ahead_ms: u64) -> RateLimitOutcome {
    match outcome {
        RateLimitOutcome::Exceeded { retry_after_ms, hold_began } => RateLimitOutcome::Exceeded {
            retry_after_ms,
            hold_began: hold_began.map(|at| at.plus_ms(ahead_ms)),
        },
        RateLimitOutcome::Allowed => outcome,
    }
}

#[test]
fn generations_are_counted_on() {
    let specs = [];
    let (state, _) = State::new(Seed([1; 16]), &specs).carry(&specs);
    let bytes = state.snapshot(Tick::TEST_START).bytes;
    let when = RestoreClock { now: Tick::TEST_START, elapsed_ms: 0 };
    let (again, _) = State::restore(&bytes, &specs, StateLimits::default(), when).unwrap();
    assert_eq!((state.generation().0, again.generation().0), (2, 2));
    assert_eq!(again.carry(&specs).0.generation().0, 3);
}
