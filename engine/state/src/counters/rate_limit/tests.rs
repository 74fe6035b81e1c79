//! Tests of limits: the worked examples of the documentation, and comparison with a naive model.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::counters::table::PackedEntry;
use crate::key::tests::key;
use crate::snapshot::REMEMBERED_MS_MAX;
use RateLimitOutcome::Allowed;

const START: Tick = Tick::TEST_START;
const MINUTE_MS: u64 = 60_000;
/// Longest window of the language.
const WINDOW_MS_MAX: u64 = 7 * 86_400_000;

fn table() -> RateLimitTable {
    RateLimitTable::new(1_000, 0)
}

fn per_minute(n: u64, burst: u64) -> Rate {
    Rate { n, window_ms: MINUTE_MS, burst }
}

fn hold(for_ms: u64, doubling_to_ms: Option<u64>) -> Penalty {
    Penalty { for_ms, doubling_to_ms }
}

/// Sends `times` requests as a `test` block does, the last at `over_ms`. Returns how many were
/// admitted.
fn send(table: &RateLimitTable, rate: &Rate, times: u64, over_ms: u64) -> u64 {
    let at = |i| START.plus_ms(over_ms * i / (times - 1));
    (0..times).filter(|i| table.admit(key(1), rate, None, at(*i)) == Allowed).count() as u64
}

#[test]
fn the_reserve_takes_what_the_rate_does_not() {
    for (n, burst) in [(10, 5), (20, 10), (120, 40)] {
        let (table, rate) = (table(), per_minute(n, burst));
        // `20/1m burst 10` also admits the 25 of the documentation: they are fewer than 30.
        assert_eq!(send(&table, &rate, n + burst, 30_000), n + burst);
        let next = table.admit(key(1), &rate, None, START.plus_ms(30_000));
        assert!(matches!(next, RateLimitOutcome::Exceeded { hold_began: None, .. }), "{next:?}");
        assert_eq!(table.admit(key(2), &rate, None, START.plus_ms(30_000)), Allowed);
    }
    assert_eq!(send(&table(), &per_minute(20, 10), 25, 30_000), 25);
}

#[test]
fn what_is_refused_counts_nowhere() {
    let (table, rate) = (table(), per_minute(10, 0));
    assert_eq!(send(&table, &rate, 1_000, 30_000), 10);
    assert_eq!(table.admit(key(1), &rate, None, START.plus_ms(2 * MINUTE_MS)), Allowed);
}

#[test]
fn the_reserve_refills_over_ten_windows() {
    let (table, rate) = (table(), per_minute(1, 10));
    assert_eq!(send(&table, &rate, 12, 11), 11);
    // A tenth of ten is refilled after one window, but the window is still full of the others.
    let later = START.plus_ms(MINUTE_MS + 11);
    assert_eq!(table.admit(key(1), &rate, None, later), Allowed);
    assert!(matches!(table.admit(key(1), &rate, None, later), RateLimitOutcome::Exceeded { .. }));
    let full = later.plus_ms(10 * MINUTE_MS);
    let admitted = (0..20).filter(|_| table.admit(key(1), &rate, None, full) == Allowed).count();
    assert_eq!(admitted, 11);
}

#[test]
fn a_hold_runs_from_its_trigger_and_attempts_do_not_extend_it() {
    let (table, rate) = (table(), per_minute(1, 0));
    let hold = hold(300_000, None);
    assert_eq!(table.admit(key(1), &rate, Some(&hold), START), Allowed);
    for after_ms in [0, 1_000, 299_999] {
        let outcome = table.admit(key(1), &rate, Some(&hold), START.plus_ms(after_ms));
        let over = RateLimitOutcome::Exceeded {
            retry_after_ms: 300_000 - after_ms,
            hold_began: Some(START),
        };
        assert_eq!(outcome, over);
    }
    assert_eq!(table.admit(key(1), &rate, Some(&hold), START.plus_ms(300_000)), Allowed);
}

#[test]
fn each_trigger_within_the_longest_hold_doubles() {
    let (table, rate) = (table(), Rate { n: 1, window_ms: 10, burst: 0 });
    let hold = hold(1_000, Some(5_000));
    let mut now = START;
    for expected_ms in [1_000, 2_000, 4_000, 5_000] {
        assert_eq!(table.admit(key(1), &rate, Some(&hold), now), Allowed);
        let outcome = table.admit(key(1), &rate, Some(&hold), now);
        assert_eq!(
            outcome,
            RateLimitOutcome::Exceeded { retry_after_ms: expected_ms, hold_began: Some(now) }
        );
        now = now.plus_ms(expected_ms);
    }
    now = now.plus_ms(1);
    assert_eq!(table.admit(key(1), &rate, Some(&hold), now), Allowed);
    let RateLimitOutcome::Exceeded { retry_after_ms, .. } =
        table.admit(key(1), &rate, Some(&hold), now)
    else {
        panic!("one is the rate")
    };
    assert_eq!(retry_after_ms, 1_000, "5001 ms after the last trigger it starts anew");
}

#[test]
fn a_pass_newer_than_the_hold_counts_from_anew_until_the_next_hold() {
    let (table, rate) = (table(), per_minute(3, 0));
    let hold = hold(1_800_000, None);
    let ask = |pass: Option<Tick>, at: Tick| {
        table.admit_on(key(1), &RateLimitConfig { rate: &rate, hold: Some(&hold), pass }, at)
    };
    let older = Some(START);
    let triggered = START.plus_ms(10);
    (0..3).for_each(|_| assert_eq!(ask(older, START), Allowed));
    assert!(matches!(ask(older, triggered), RateLimitOutcome::Exceeded { .. }));
    let newer = Some(START.plus_ms(20));
    let later = START.plus_ms(5_000);
    assert_eq!(ask(newer, later), Allowed);
    assert!(
        matches!(ask(None, later), RateLimitOutcome::Exceeded { .. }),
        "the neighbour has no pass"
    );
    (0..2).for_each(|_| assert_eq!(ask(newer, later), Allowed));
    let again = ask(newer, later);
    assert!(
        matches!(again, RateLimitOutcome::Exceeded { hold_began: Some(at), .. } if at == later)
    );
    assert!(
        matches!(ask(newer, later.plus_ms(1)), RateLimitOutcome::Exceeded { .. }),
        "it wants a newer one"
    );
}

#[test]
fn looking_changes_nothing() {
    let (table, rate) = (table(), per_minute(1, 0));
    let hold = hold(1_000_000, None);
    assert_eq!(table.peek(key(1), &rate, Some(&hold), START), Allowed);
    assert_eq!(table.filled().resident, 0);
    assert_eq!(table.admit(key(1), &rate, Some(&hold), START), Allowed);
    assert!(matches!(
        table.peek(key(1), &rate, Some(&hold), START),
        RateLimitOutcome::Exceeded { .. }
    ));
    let later = START.plus_ms(2 * MINUTE_MS);
    assert_eq!(table.admit(key(1), &rate, Some(&hold), later), Allowed, "no hold had begun");
}

#[test]
fn a_full_table_of_held_keys_lets_newcomers_in() {
    let table = RateLimitTable::new(1, 0);
    let rate = Rate { n: 0, window_ms: 1_000, burst: 0 };
    let hold = hold(10_000, None);
    let capacity = table.filled().capacity;
    let outcomes: Vec<_> =
        (0..100).map(|n| table.admit(key(n), &rate, Some(&hold), START)).collect();
    assert_eq!(outcomes.iter().filter(|o| **o != Allowed).count(), capacity);
    let refused = 100 - capacity as u64;
    assert_eq!(
        table.filled(),
        TableOccupancy { resident: capacity, capacity, evictions: 0, refused }
    );
    // The holds end when the rejections end.
    let later = START.plus_ms(10_000);
    assert_ne!(table.admit(key(99), &rate, Some(&hold), later), Allowed);
}

#[test]
fn lifting_ends_the_holds_since_a_moment() {
    let (table, rate) = (table(), Rate { n: 0, window_ms: 1_000, burst: 0 });
    let hold = hold(100_000, None);
    let began = |n, at| table.admit(key(n), &rate, Some(&hold), at);
    began(1, START);
    began(2, START.plus_ms(50));
    assert_eq!(table.lift_holds(START.plus_ms(50), START.plus_ms(60)), 1);
    let held = |n| table.peek(key(n), &rate, None, START.plus_ms(60));
    assert!(matches!(held(1), RateLimitOutcome::Exceeded { hold_began: Some(_), .. }));
    assert!(matches!(held(2), RateLimitOutcome::Exceeded { hold_began: None, .. }));
}

#[test]
fn a_key_has_its_bytes() {
    assert_eq!(size_of::<PackedCount>(), 44);
    let made = RateLimitTable::new(90_000, 0).filled().capacity * (size_of::<PackedCount>() + 12);
    let told = 90_000 * LIMIT_KEY_BYTES;
    assert!(told.abs_diff(made) < made / 100, "{told} is said, {made} is taken");
}

#[test]
fn a_limit_to_more_than_can_be_counted_is_met_all_the_same() {
    let table = table();
    let rate = Rate { n: u64::MAX, window_ms: MINUTE_MS, burst: 0 };
    assert_eq!(table.admit(key(1), &rate, None, START), Allowed);
    let left = 3;
    let almost = |count: &mut RateLimitEntry| count.window.add(crate::TABLE_COUNT_MAX - 1 - left);
    let made = || panic!("it is there");
    table.shared.counts.update(key(1), START, made, almost);
    let admitted = (0..100).filter(|_| table.admit(key(1), &rate, None, START) == Allowed).count();
    assert_eq!(admitted as u64, left);
    assert!(matches!(table.peek(key(1), &rate, None, START), RateLimitOutcome::Exceeded { .. }));
}

#[test]
fn extremes_do_not_wrap() {
    let table = table();
    for rate in [
        Rate { n: u64::MAX, window_ms: u64::MAX, burst: u64::MAX },
        Rate { n: 0, window_ms: 0, burst: 0 },
        Rate { n: 1, window_ms: u64::MAX, burst: 1 },
    ] {
        let hold = hold(u64::MAX, Some(u64::MAX));
        for now in [Tick(0), Tick(u64::MAX), Tick(5), START] {
            table.admit(key(1), &rate, Some(&hold), now);
            table.admit(key(2), &rate, None, now);
        }
    }
    let never = table.peek(key(3), &Rate { n: 0, window_ms: 10, burst: 0 }, None, START);
    assert_eq!(never, RateLimitOutcome::Exceeded { retry_after_ms: u64::MAX, hold_began: None });
}

#[test]
fn threads_admit_exactly_the_rate_together() {
    let (table, rate) = (table(), per_minute(1_000, 50));
    let admitted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..1_000)
                        .filter(|_| table.admit(key(1), &rate, None, START) == Allowed)
                        .count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(admitted, 1_050);
}

#[test]
fn a_request_of_an_older_generation_counts_and_converts_nothing() {
    let older = table();
    let newer = older.shared_with(1);
    let (hourly, minutely) = (Rate { n: 100, window_ms: 3_600_000, burst: 0 }, per_minute(5, 0));
    let now = START.plus_ms(1_800_000);
    // Six in the thirty minutes since the hour are one in the last minute.
    (0..6).for_each(|_| assert_eq!(older.admit(key(1), &hourly, None, now), Allowed));
    (0..2).for_each(|_| assert_eq!(newer.admit(key(1), &minutely, None, now), Allowed));
    // In flight since before the edit: evaluated with the hourly rate, counted by the minute.
    assert_eq!(older.admit(key(1), &hourly, None, now), Allowed);
    assert_eq!(newer.admit(key(1), &minutely, None, now), Allowed);
    assert!(matches!(newer.admit(key(1), &minutely, None, now), RateLimitOutcome::Exceeded { .. }));
}

/// Returns how many requests an empty burst admits `after_ms` later under other parameters, which
/// are seen then for the first time.
fn refilled(old: Rate, new: Rate, after_ms: u64) -> usize {
    let table = table();
    while table.admit(key(1), &old, None, START) == Allowed {}
    let later = START.plus_ms(after_ms);
    (0..100).take_while(|_| table.admit(key(1), &new, None, later) == Allowed).count()
}

#[test]
fn time_before_an_edit_refills_at_the_slower_of_both_terms() {
    let rate = |burst, window_ms| Rate { n: 0, window_ms, burst };
    // Five of ten windows refill one of two, for any new burst.
    assert_eq!(refilled(rate(2, 1_000), rate(2, 1_000), 5_000), 1);
    assert_eq!(refilled(rate(2, 1_000), rate(90, 1_000), 5_000), 1);
    assert_eq!(refilled(rate(90, 1_000), rate(2, 1_000), 5_000), 1);
    assert_eq!(refilled(rate(2, 1_000), rate(2, 100), 5_000), 1);
    assert_eq!(refilled(rate(2, 100), rate(2, 1_000), 5_000), 1);
}

#[test]
fn a_request_of_an_older_generation_spends_the_same_reserve() {
    let older = table();
    let newer = older.shared_with(1);
    let rate = |window_ms| Rate { n: 0, window_ms, burst: 3 };
    assert_eq!(newer.admit(key(1), &rate(1_000), None, START), Allowed);
    assert_eq!(older.admit(key(1), &rate(7_000), None, START), Allowed);
    assert_eq!(newer.admit(key(1), &rate(1_000), None, START), Allowed);
    assert!(matches!(
        newer.admit(key(1), &rate(1_000), None, START),
        RateLimitOutcome::Exceeded { .. }
    ));
    let hold = hold(500, None);
    let over = older.admit(key(1), &rate(7_000), Some(&hold), START);
    assert!(matches!(over, RateLimitOutcome::Exceeded { hold_began: Some(START), .. }));
    let over = newer.admit(key(1), &rate(1_000), None, START);
    assert!(
        matches!(over, RateLimitOutcome::Exceeded { hold_began: Some(START), .. }),
        "the hold is for all"
    );
}

#[test]
fn twins_join_to_the_stricter_of_both() {
    let (older, newer) = (table(), RateLimitTable::new(2_000, 1));
    let rate = Rate { n: 0, window_ms: 1_000, burst: 3 };
    let hold = hold(500, None);
    let spend =
        |table: &RateLimitTable, n| table.admit(key(n), &rate, Some(&hold), START) == Allowed;
    assert!(spend(&older, 1) && spend(&older, 2));
    newer.absorb(&older, 1_000);
    assert!(spend(&older, 1) && spend(&older, 1) && spend(&newer, 1) && spend(&newer, 2));
    while spend(&older, 2) {}
    newer.absorb(&older, 1_000);
    assert!(!spend(&newer, 1), "none of three is left there, though one is here");
    let held = newer.peek(key(2), &rate, None, START);
    assert_eq!(held, newer.peek(key(2), &rate, Some(&hold), START));
    assert!(matches!(held, RateLimitOutcome::Exceeded { hold_began: Some(START), .. }));
    // The stricter value stays: in the other direction nothing is restored.
    older.absorb(&newer, 1_000);
    assert!(!spend(&older, 1));
}

/// A literal model of the documentation: every admission is stored, and every part of the burst is
/// a fraction of its own.
#[derive(Default)]
struct Twin {
    admitted: Vec<u64>,
    spent_parts: u128,
    at: u64,
    hold: Option<(u64, u64)>,
}

impl Twin {
    fn ask(&mut self, rate: &Rate, hold: Option<&Penalty>, now: u64) -> bool {
        let now = now.max(self.at);
        // Counted as the used part of a full burst, in requests times 10·W.
        self.spent_parts =
            self.spent_parts.saturating_sub(u128::from((now - self.at) * rate.burst));
        self.at = now;
        if self.hold.is_some_and(|(began, for_ms)| now < began + for_ms) {
            return false;
        }
        let w = rate.window_ms;
        let in_bucket = |b: u64| self.admitted.iter().filter(|at| **at / w == b).count() as u64;
        let (bucket, elapsed) = (now / w, now % w);
        let before = if bucket == 0 { 0 } else { in_bucket(bucket - 1) };
        let sum = in_bucket(bucket) + (before * (w - elapsed)).div_ceil(w);
        let part = u128::from(10 * w);
        let left = u128::from(rate.burst) * part - self.spent_parts;
        if sum < rate.n {
            self.admitted.push(now);
            return true;
        }
        if left >= part {
            self.spent_parts += part;
            self.admitted.push(now);
            return true;
        }
        if let Some(hold) = hold {
            let for_ms = match (self.hold, hold.doubling_to_ms) {
                (Some((began, last_ms)), Some(most)) if now - began <= most => {
                    (last_ms * 2).min(most).max(hold.for_ms)
                }
                _ => hold.for_ms,
            };
            self.hold = Some((now, for_ms));
        }
        false
    }
}

fn rates() -> impl Strategy<Value = Rate> {
    (0_u64..12, 1_u64..2_000, 0_u64..8).prop_map(|(n, window_ms, burst)| Rate {
        n,
        window_ms,
        burst,
    })
}

fn holds() -> impl Strategy<Value = Option<Penalty>> {
    let some = (1_u64..3_000, prop::option::of(1_u64..10_000))
        .prop_map(|(for_ms, doubling_to_ms)| Penalty { for_ms, doubling_to_ms });
    prop::option::of(some)
}

/// Generates steps: mostly close together, so that limits are reached; sometimes windows apart, or
/// backwards.
fn steps() -> impl Strategy<Value = Vec<(u64, i64)>> {
    let wait = prop_oneof![4 => 0_i64..40, 1 => 0_i64..5_000, 1 => -50_i64..0];
    prop::collection::vec((0_u64..4, wait), 1..300)
}

/// Generates a number up to `most`, with its bounds more often than by chance.
fn up_to(most: u64) -> impl Strategy<Value = u64> {
    prop_oneof![2 => 0..=most, 1 => Just(0), 1 => Just(1), 1 => most - 1..=most]
}

/// Generates every valid rate, and every valid hold.
fn any_terms() -> impl Strategy<Value = (Rate, Option<Penalty>)> {
    let window = prop_oneof![3 => 1_u64..2_000, 1 => 1..=WINDOW_MS_MAX, 1 => Just(WINDOW_MS_MAX)];
    let small = |most| prop_oneof![3 => 0_u64..8, 1 => up_to(most)];
    let rate = (small(crate::TABLE_COUNT_MAX), window, small(u64::from(u32::MAX)))
        .prop_map(|(n, window_ms, burst)| Rate { n, window_ms, burst });
    let lasting = || prop_oneof![3 => 1_u64..3_000, 1 => up_to(REMEMBERED_MS_MAX)];
    let hold = (lasting(), prop::option::of(lasting()))
        .prop_map(|(for_ms, doubling_to_ms)| Penalty { for_ms, doubling_to_ms });
    (rate, prop::option::of(hold))
}

/// The client, the delay, and the pass.
type Ask = (bool, u64, Option<u64>);

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let wait = prop_oneof![6 => 0_u64..40, 2 => 0_u64..5_000, 1 => 0..=2 * WINDOW_MS_MAX];
    prop::collection::vec((any::<bool>(), wait, prop::option::of(0_u64..5_000)), 1..200)
}

proptest! {
    #[test]
    fn packing_loses_nothing(
        seen in up_to((1 << 48) - 1), window_ms in 1..=crate::TABLE_WINDOW_MS_MAX,
        counts in (up_to(crate::TABLE_COUNT_MAX), up_to(crate::TABLE_COUNT_MAX)),
        hold in (up_to(u64::MAX >> 1), up_to(TABLE_HOLD_MS_MAX), any::<bool>()),
        reserve in up_to(u64::MAX), burst in up_to(u64::from(u32::MAX)),
    ) {
        let window = SlidingWindow::holding(Tick(seen), window_ms, counts);
        let burst = u32::try_from(burst).unwrap();
        let answered = if hold.2 { CheckAnswer::Yes } else { CheckAnswer::No };
        let (hold_began, hold_ms) = (Tick(hold.0), hold.1);
        let count = RateLimitEntry { window, reserve, hold_began, hold_ms, burst, answered };
        prop_assert_eq!(PackedCount::pack(count).unpack(), count);
    }

    /// Compares the table with the same arithmetic on unpacked entries.
    #[test]
    fn a_table_judges_as_the_arithmetic_does(
        start in up_to((1 << 48) - 1), terms in prop::collection::vec(any_terms(), 2), asks in asks(),
    ) {
        let older = table();
        let newer = older.shared_with(1);
        newer.shared.newest.caller(1);
        let mut plain: Option<RateLimitEntry> = None;
        let mut now = Tick(start);
        for (is_older, wait, pass) in asks {
            now = now.plus_ms(wait).min(Tick((1 << 48) - 1));
            let (table, (rate, hold)) =
                if is_older { (&older, &terms[0]) } else { (&newer, &terms[1]) };
            let pass = pass.map(|before| Tick(now.0.saturating_sub(before)));
            let terms = RateLimitConfig { rate, hold: hold.as_ref(), pass };
            let count = plain.get_or_insert_with(|| RateLimitEntry::new(rate, now));
            let expected = if is_older {
                count.check_older(&terms, now)
            } else {
                let step = count.check(&terms, now);
                count.outcome(step, rate)
            };
            prop_assert_eq!(table.admit_on(key(1), &terms, now), expected);
            prop_assert_eq!(table.shared.counts.read(key(1), |count| *count), plain);
        }
    }

    #[test]
    fn a_limit_does_what_the_text_says(rate in rates(), hold in holds(), steps in steps()) {
        let table = table();
        let mut twins: HashMap<u64, Twin> = HashMap::new();
        let mut now = START.0;
        for (n, wait) in steps {
            now = now.saturating_add_signed(wait);
            let outcome = table.admit(key(n), &rate, hold.as_ref(), Tick(now));
            let expected = twins
                .entry(n)
                .or_insert_with(|| Twin { at: now, ..Twin::default() })
                .ask(&rate, hold.as_ref(), now);
            prop_assert_eq!(outcome == Allowed, expected);
        }
        prop_assert_eq!(table.evictions(), 0);
    }

    #[test]
    fn the_time_to_retry_is_honest(rate in rates(), hold in holds(), steps in steps()) {
        let table = table();
        let mut now = START;
        for (_, wait) in steps {
            now = now.plus_ms(wait.unsigned_abs());
            let outcome = table.admit(key(1), &rate, hold.as_ref(), now);
            let RateLimitOutcome::Exceeded { retry_after_ms, .. } = outcome else { continue };
            if retry_after_ms == u64::MAX {
                prop_assert!(rate.n == 0 && rate.burst == 0);
                continue;
            }
            prop_assert!(retry_after_ms > 0);
            let at = |after| table.peek(key(1), &rate, hold.as_ref(), now.plus_ms(after));
            prop_assert_eq!(at(retry_after_ms), Allowed);
            prop_assert_ne!(at(retry_after_ms - 1), Allowed);
        }
    }

    #[test]
    fn an_edit_of_the_burst_refills_nothing(
        window_ms in 1_u64..2_000, bursts in prop::collection::vec(0_u64..50, 1..20),
        spent in 1_u64..10,
    ) {
        // With a rate of 0 only the burst admits, and within one moment nothing refills.
        let table = table();
        let rate = |burst| Rate { n: 0, window_ms, burst };
        let first = 10;
        for _ in 0..spent {
            prop_assert_eq!(table.admit(key(1), &rate(first), None, START), Allowed);
        }
        let mut left = first - spent;
        for burst in bursts {
            left = left.min(burst);
            let found = table.peek(key(1), &rate(burst), None, START) == Allowed;
            prop_assert_eq!(found, left > 0);
            if table.admit(key(1), &rate(burst), None, START) == Allowed {
                left -= 1;
            }
        }
    }

    #[test]
    fn an_edit_of_the_window_refills_nothing(
        windows in prop::collection::vec(1_u64..5_000, 1..20), burst in 1_u64..10,
    ) {
        let table = table();
        let mut admitted = 0;
        for window_ms in windows {
            let rate = Rate { n: 0, window_ms, burst };
            admitted += u64::from(table.admit(key(1), &rate, None, START) == Allowed);
        }
        prop_assert!(admitted <= burst);
    }

    #[test]
    fn an_edit_of_size_and_rate_at_once_answers_as_one_of_the_rate_alone(
        rate in rates(), other in rates(), hold in holds(), steps in steps(),
    ) {
        // A table that is resized in between gives the same results as one that is not.
        let (stays, first) = (table(), table());
        let second = RateLimitTable::new(2_000, 1);
        let mut now = START;
        let half = steps.len() / 2;
        for (i, (n, wait)) in steps.into_iter().enumerate() {
            if i == half {
                second.absorb(&first, other.window_ms);
            }
            now = now.plus_ms(wait.unsigned_abs());
            let (moved, rate) = if i < half { (&first, &rate) } else { (&second, &other) };
            let a = stays.admit(key(n), rate, hold.as_ref(), now);
            prop_assert_eq!(a, moved.admit(key(n), rate, hold.as_ref(), now));
        }
    }
}
