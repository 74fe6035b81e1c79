//! Tests with more keys than a table can store: they must not affect the stored keys.
//!
//! The tests compare counts and use no clock. `benches/micro/tables.rs` measures the time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use seawall_model::{Client, ClientPrefixes, CounterId, Generation, Prefix, Tick};

use crate::{
    BANS_MAX, BanLimits, BanOrigin, BanScope, BanTarget, Bans, CounterShape, CounterSpec, Key,
    Penalty, Rate, RateLimitOutcome, RateLimitTable, Seed, State,
};

const NOW: Tick = Tick::TEST_START;
const HOUR_MS: u64 = 3_600_000;
const RATE: Rate = Rate { n: 5, window_ms: 10_000, burst: 2 };
const HOLD: Penalty = Penalty { for_ms: HOUR_MS, doubling_to_ms: None };
/// Keys of a flood: six seconds of CPU time.
const CROWD: u64 = 10_000_000;
/// Requests of a flood in a millisecond.
const CROWD_PER_MS: u64 = 200;
/// Above all numbers of ordinary clients.
const STRANGERS: u64 = 1 << 40;

/// Returns a state with one limit and this number of slots.
fn state(slots: usize) -> (State, CounterSpec) {
    let spec = CounterSpec {
        identity: "limit per client".into(),
        name: "flood".into(),
        shape: CounterShape::Limit,
        window_ms: RATE.window_ms,
        keys: slots / 4 * 3,
    };
    (State::new(Seed([9; 16]), std::slice::from_ref(&spec)), spec)
}

fn limit(state: &State) -> &RateLimitTable {
    state.limit(CounterId(0)).unwrap()
}

fn key(state: &State, n: u64) -> Key {
    let mut builder = state.key();
    builder.part(&n.to_le_bytes());
    builder.finish()
}

/// Returns an address that no other client in these tests has.
fn address(n: usize) -> IpAddr {
    IpAddr::from(Ipv4Addr::from(0x0a00_0000 + u32::try_from(n).unwrap()))
}

fn ban(bans: &Bans, n: usize, for_ms: u64, now: Tick) -> crate::AddBanResult {
    let why = BanOrigin { rule: "flood".into(), generation: Generation(1) };
    bans.add(BanTarget::Net(Prefix::host(address(n))), for_ms, why, BanScope::Host, now)
}

fn is_banned(bans: &Bans, n: usize, now: Tick) -> bool {
    let client = Client::of(address(n), &ClientPrefixes::default());
    bans.covers(&client, None, BanScope::Host, now).is_some()
}

#[test]
fn a_crowd_of_millions_grows_no_table_and_frees_nobody() {
    let (state, spec) = state(1 << 20);
    let (limit, held, banned) = (limit(&state), 50_000, 1_000);
    for n in 0..held {
        while limit.admit(key(&state, n), &RATE, Some(&HOLD), NOW) == RateLimitOutcome::Allowed {}
    }
    (0..banned).for_each(|n| _ = ban(state.bans(), n, HOUR_MS, NOW));
    let bytes = limit.bytes();
    let comes = |n: u64| {
        let now = NOW.plus_ms(n / CROWD_PER_MS);
        assert_eq!(
            limit.admit(key(&state, STRANGERS + n), &RATE, None, now),
            RateLimitOutcome::Allowed
        );
    };
    std::thread::scope(|scope| {
        for first in 0..4 {
            scope.spawn(move || (first..CROWD).step_by(4).for_each(comes));
        }
    });
    let end = NOW.plus_ms(CROWD / CROWD_PER_MS);
    let fill = &state.fill()[0];
    assert_eq!((fill.capacity, fill.refused, limit.bytes()), (1 << 20, 0, bytes));
    assert_eq!(bytes, 56 << 20, "bytes of the slots, of which 64 MiB are allowed");
    let left = spec.bytes().checked_sub(bytes).expect("no more than is declared");
    assert!(left < bytes / 100, "{left} more are declared");
    assert!(fill.evictions > 0 && fill.keys > fill.capacity / 100 * 99, "the crowd fills it");
    for n in 0..held {
        let retry_after_ms = HOUR_MS - end.since_ms(NOW);
        let outcome = limit.peek(key(&state, n), &RATE, None, end);
        assert_eq!(
            outcome,
            RateLimitOutcome::Exceeded { retry_after_ms, hold_began: Some(NOW) },
            "{n}"
        );
    }
    assert!((0..banned).all(|n| is_banned(state.bans(), n, end)));
}

#[test]
fn bans_that_find_no_room_push_no_other_out() {
    let total_max = BANS_MAX / 64;
    let bans = Bans::new(&Seed([9; 16]), BanLimits { total_max, ..BanLimits::default() });
    for n in 0..4 * total_max {
        let found_room = ban(&bans, n, HOUR_MS, NOW) != crate::AddBanResult::Full;
        assert_eq!(found_room, n < total_max);
    }
    let end = NOW.plus_ms(HOUR_MS);
    let last = Tick(end.0 - 1);
    assert!((0..total_max).all(|n| is_banned(&bans, n, last) && !is_banned(&bans, n, end)));
    assert!((total_max..4 * total_max).all(|n| !is_banned(&bans, n, last)));
}

#[test]
fn a_flood_of_random_keys_limits_nobody_who_was_never_seen() {
    // A table in which the flood fits, and one that is too small.
    for slots in [1 << 18, 1 << 14] {
        let (state, _) = state(slots);
        let limit = limit(&state);
        for n in 0..100_000 {
            limit.admit(key(&state, STRANGERS + n), &RATE, Some(&HOLD), NOW);
        }
        for visitor in 0..1_000 {
            let ask = || limit.admit(key(&state, visitor), &RATE, Some(&HOLD), NOW);
            let admitted =
                (0..10).take_while(|_| ask() == RateLimitOutcome::Allowed).count() as u64;
            assert_eq!(admitted, RATE.n + RATE.burst, "visitor {visitor} of {slots} slots");
        }
    }
}

#[test]
fn the_addresses_of_one_network_are_one_client() {
    let (state, _) = state(1 << 16);
    let network = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 1, 0x4200, 0, 0, 0, 0));
    let admitted = |first_bit: u32, units: &ClientPrefixes| {
        let keys = (0..10_000_u128).map(|n| {
            // Spread over the bits below the network, from the highest down.
            let ip = IpAddr::from(Ipv6Addr::from(network | (n << (128 - first_bit - 14))));
            let mut builder = state.key();
            builder.part(&u64::from(first_bit).to_le_bytes());
            builder.part(&Client::of(ip, units).key.0.key_bytes());
            builder.finish()
        });
        keys.filter(|key| limit(&state).admit(*key, &RATE, None, NOW) == RateLimitOutcome::Allowed)
            .count()
    };
    let once = usize::try_from(RATE.n + RATE.burst).unwrap();
    let units = ClientPrefixes::default();
    assert_eq!(admitted(64, &units), once, "of one /64");
    assert_eq!(admitted(56, &units), once, "of one /56");
    // The same addresses, counted by /64: they are 157 clients.
    let finer = ClientPrefixes { v6_client_bits: 64, ..units };
    assert_eq!(admitted(56, &finer), 157 * once);
}
