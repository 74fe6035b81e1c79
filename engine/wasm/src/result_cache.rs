//! The result cache: results for arguments of earlier calls.
//!
//! Functions are pure, so a result is valid as long as the component is. Decision: sets of four
//! entries with one lock each, found by a keyed hash of the arguments, whose bytes are then
//! compared. A collision costs a call and never changes a result. New results replace those without
//! a cache hit. A flood of different arguments therefore costs one call each, and no memory.

use crate::args::Arg;
use crate::call_value::CallValue;
use hashbrown::DefaultHashBuilder;
use parking_lot::Mutex;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

/// Entries of a set.
const WAYS: usize = 4;

/// The position of some arguments in the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheSlot(u64);

#[derive(Debug)]
pub(crate) struct ResultCache {
    /// Created with the first result, because most functions in tests are never called.
    sets: OnceLock<Box<[Mutex<Set>]>>,
    sets_max: usize,
    bytes_max: usize,
    hasher: DefaultHashBuilder,
}

#[derive(Debug, Default)]
struct Set {
    /// The oldest first.
    places: [CacheEntry; WAYS],
    hits: u64,
}

#[derive(Debug, Default)]
struct CacheEntry {
    hash: u64,
    key: Vec<u8>,
    answer: Option<CallValue>,
    /// The fuel of the call.
    fuel: u64,
    /// Whether it was used since it was stored, or since its set was last full of used entries.
    used: bool,
}

impl ResultCache {
    pub(crate) fn new(answers_max: usize, bytes_max: usize) -> Self {
        let hasher = DefaultHashBuilder::default();
        Self { sets: OnceLock::new(), sets_max: answers_max / WAYS, bytes_max, hasher }
    }

    /// Returns the position of these arguments; `None` if they are too long or the cache is
    /// disabled.
    pub(crate) fn spot(&self, args: &[Arg<'_>]) -> Option<CacheSlot> {
        if self.sets_max == 0 || args.iter().map(key_bytes).sum::<usize>() > self.bytes_max {
            return None;
        }
        let mut hasher = self.hasher.build_hasher();
        for arg in args {
            match arg {
                Arg::Bool(value) => hasher.write_u8((*value).into()),
                Arg::Int(n) => hasher.write_i64(*n),
                // The comparison distinguishes borders between arguments.
                Arg::Bytes(bytes) => hasher.write(bytes),
            }
        }
        Some(CacheSlot(hasher.finish()))
    }

    pub(crate) fn get(&self, spot: CacheSlot, args: &[Arg<'_>]) -> Option<(CallValue, u64)> {
        let mut set = set_of(self.sets.get()?, spot)?.lock();
        let same = |kept: &&mut CacheEntry| kept.hash == spot.0 && is_key(&kept.key, args);
        let kept = set.places.iter_mut().find(same)?;
        let answer = kept.answer.clone()?;
        kept.used = true;
        let fuel = kept.fuel;
        set.hits = set.hits.saturating_add(1);
        Some((answer, fuel))
    }

    pub(crate) fn keep(
        &self,
        spot: CacheSlot,
        args: &[Arg<'_>],
        (answer, fuel): (&CallValue, u64),
    ) {
        if matches!(answer, CallValue::Text(text) if text.len() > self.bytes_max) {
            return;
        }
        let make = || (0..self.sets_max).map(|_| Mutex::default()).collect();
        let Some(set) = set_of(self.sets.get_or_init(make), spot) else { return };
        let mut set = set.lock();
        if set.places.iter().all(|kept| kept.used) {
            set.places.iter_mut().for_each(|kept| kept.used = false);
        }
        // Two threads can store the same result: the second copy is never used and is replaced
        // later.
        let unused = set.places.iter().position(|kept| !kept.used);
        let Some(younger) = unused.and_then(|at| set.places.get_mut(at..)) else { return };
        younger.rotate_left(1);
        if let Some(kept) = younger.last_mut() {
            kept.hash = spot.0;
            write_key(&mut kept.key, args);
            kept.answer = Some(answer.clone());
            kept.fuel = fuel;
        }
    }

    /// Returns the number of cache hits.
    pub(crate) fn hits(&self) -> u64 {
        self.sets.get().map_or(0, |sets| sets.iter().map(|set| set.lock().hits).sum())
    }
}

/// Returns the set for the upper half of the hash, by multiplication, because a division costs as
/// much as the lock.
fn set_of(sets: &[Mutex<Set>], spot: CacheSlot) -> Option<&Mutex<Set>> {
    let at = (spot.0 >> 32).wrapping_mul(sets.len() as u64) >> 32;
    sets.get(usize::try_from(at).ok()?)
}

/// Returns the bytes of this argument in a key. Types are not included, because they never change.
fn key_bytes(arg: &Arg<'_>) -> usize {
    match arg {
        Arg::Bool(_) => 1,
        Arg::Int(_) => 8,
        Arg::Bytes(bytes) => bytes.len().saturating_add(8),
    }
}

fn write_key(key: &mut Vec<u8>, args: &[Arg<'_>]) {
    key.clear();
    key.reserve_exact(args.iter().map(key_bytes).sum());
    for arg in args {
        match arg {
            Arg::Bool(value) => key.push((*value).into()),
            Arg::Int(n) => key.extend_from_slice(&n.to_le_bytes()),
            Arg::Bytes(bytes) => {
                key.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
                key.extend_from_slice(bytes);
            }
        }
    }
}

fn is_key(key: &[u8], args: &[Arg<'_>]) -> bool {
    let rest = args.iter().try_fold(key, |rest, arg| match arg {
        Arg::Bool(value) => rest.strip_prefix(&[u8::from(*value)]),
        Arg::Int(n) => rest.strip_prefix(&n.to_le_bytes()),
        Arg::Bytes(bytes) => {
            rest.strip_prefix(&(bytes.len() as u64).to_le_bytes())?.strip_prefix(*bytes)
        }
    });
    rest.is_some_and(<[u8]>::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAME: CacheSlot = CacheSlot(7);

    #[test]
    fn a_collision_never_changes_an_answer() {
        let memo = ResultCache::new(WAYS, 64);
        let ways: [[Arg<'_>; 2]; 3] = [
            [Arg::Bytes(b"ab"), Arg::Bytes(b"c")],
            [Arg::Bytes(b"a"), Arg::Bytes(b"bc")],
            [Arg::Bytes(b""), Arg::Bytes(b"abc")],
        ];
        for (n, args) in (0..).zip(&ways) {
            assert_eq!(memo.get(SAME, args), None);
            memo.keep(SAME, args, (&CallValue::Int(n), 5));
        }
        for (n, args) in (0..).zip(&ways) {
            assert_eq!(memo.get(SAME, args), Some((CallValue::Int(n), 5)));
        }
        assert_eq!(memo.hits(), 3);
    }

    #[test]
    fn what_is_asked_for_again_outlives_a_flood() {
        let memo = ResultCache::new(WAYS, 64);
        memo.keep(SAME, &[Arg::Int(-1)], (&CallValue::Bool(true), 5));
        for n in 0..100 {
            assert_eq!(memo.get(SAME, &[Arg::Int(-1)]), Some((CallValue::Bool(true), 5)), "{n}");
            memo.keep(SAME, &[Arg::Int(n)], (&CallValue::Bool(false), 5));
            let set = memo.sets.get().unwrap()[0].lock();
            let kept = set.places.iter().filter(|kept| kept.answer == Some(CallValue::Bool(false)));
            let kept: Vec<_> = kept.map(|kept| kept.key[0]).collect();
            let last = u8::try_from(n).unwrap();
            assert_eq!(kept, (last.saturating_sub(2)..=last).collect::<Vec<_>>());
        }
    }

    #[test]
    fn long_arguments_and_answers_are_not_kept() {
        let memo = ResultCache::new(WAYS, 20);
        assert!(memo.spot(&[Arg::Bytes(&[0; 12])]).is_some());
        assert!(memo.spot(&[Arg::Bytes(&[0; 13])]).is_none());
        assert!(memo.spot(&[Arg::Bytes(&[0; 4]), Arg::Bool(true)]).is_some());
        assert!(memo.spot(&[Arg::Bytes(&[0; 4]), Arg::Int(1), Arg::Bool(true)]).is_none());
        memo.keep(SAME, &[], (&CallValue::Text(vec![0; 21]), 5));
        assert_eq!(memo.get(SAME, &[]), None);
        memo.keep(SAME, &[], (&CallValue::Text(vec![0; 20]), 5));
        assert_eq!(memo.get(SAME, &[]), Some((CallValue::Text(vec![0; 20]), 5)));
        assert!(ResultCache::new(WAYS - 1, 64).spot(&[]).is_none());
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_function(asked in proptest::collection::vec((any::<u8>(), 0..40_i64), 1..400)) {
            let memo = ResultCache::new(16, 64);
            for (byte, n) in asked {
                let (bytes, of) = ([byte % 4], |b: u8, n: i64| CallValue::Int(i64::from(b % 4) * 100 + n));
                let args = [Arg::Bytes(&bytes), Arg::Int(n)];
                let spot = memo.spot(&args).unwrap();
                if let Some(known) = memo.get(spot, &args) {
                    prop_assert_eq!(known, (of(byte, n), 5));
                }
                memo.keep(spot, &args, (&of(byte, n), 5));
            }
            let full: usize = memo.sets.get().unwrap().iter()
                .map(|set| set.lock().places.iter().filter(|kept| kept.answer.is_some()).count())
                .sum();
            prop_assert!(full <= 16);
        }
    }
}
