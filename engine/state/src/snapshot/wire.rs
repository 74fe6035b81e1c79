//! The encoding of a snapshot: numbers, texts, times, and sections with their lengths.
//!
//! Numbers are LEB128 with one byte for small numbers, because a snapshot contains millions of
//! small numbers. A time is written relative to the time of the snapshot. The reader maps that time
//! to its own clock, and all other times follow.

use seawall_model::Tick;

use crate::counters::table::EvictionClass;
use crate::key::{Key, Tag};

/// Most bytes of one entry, with a margin: two sets of registers and a key.
const ENTRY_BYTES_MAX: usize = 1_024;
/// Most bytes of a 64-bit number.
const NUMBER_BYTES_MAX: u32 = 10;

/// A snapshot that is being written.
#[derive(Debug)]
pub(crate) struct SnapshotEncoder {
    pub(crate) bytes: Vec<u8>,
    /// The time of the snapshot.
    pub(crate) at: Tick,
    /// The window of most entries of the current counter.
    pub(crate) usual_ms: u64,
    /// Number of written entries, and of omitted ones.
    pub(crate) entries: usize,
    pub(crate) left_out: usize,
    bytes_max: usize,
}

impl SnapshotEncoder {
    pub(crate) fn new(at: Tick, bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), at, usual_ms: 0, entries: 0, left_out: 0, bytes_max }
    }

    /// Counts an entry and returns whether there is space for it. Held entries can use a quarter
    /// more than others.
    pub(crate) fn has_room(&mut self, standing: EvictionClass) -> bool {
        let of = |parts: usize| self.bytes_max.saturating_mul(parts) / 16;
        let end = if standing == EvictionClass::Held { of(15) } else { of(12) };
        let fits = self.bytes.len().saturating_add(ENTRY_BYTES_MAX) <= end;
        let count = if fits { &mut self.entries } else { &mut self.left_out };
        *count = count.saturating_add(1);
        fits
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    /// Writes a number relative to another, in either direction.
    pub(crate) fn near(&mut self, number: u64, other: u64) {
        let distance = number.wrapping_sub(other);
        // Zigzag: the sign is the lowest bit, so that small distances are small numbers.
        self.number((distance << 1) ^ ((distance as i64 >> 63) as u64));
    }

    pub(crate) fn moment(&mut self, moment: Tick) {
        self.near(self.at.0, moment.0);
    }

    pub(crate) fn window(&mut self, window_ms: u64) {
        self.near(window_ms, self.usual_ms);
    }

    pub(crate) fn key(&mut self, key: Key) {
        self.raw(&key.upper().to_le_bytes());
        self.raw(&key.lower().to_le_bytes());
    }

    pub(crate) fn tag(&mut self, tag: Tag) {
        self.raw(&tag.upper.to_le_bytes());
        self.raw(&tag.lower.to_le_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.raw(text.as_bytes());
    }

    /// Writes the output of `fill` with its kind and its length.
    pub(crate) fn section(&mut self, kind: u8, fill: impl FnOnce(&mut Self)) {
        self.byte(kind);
        let place = self.bytes.len();
        self.raw(&[0; 8]);
        let begin = self.bytes.len();
        fill(self);
        let length = (self.bytes.len().saturating_sub(begin) as u64).to_le_bytes();
        if let Some(room) = self.bytes.get_mut(place..begin) {
            room.copy_from_slice(&length);
        }
    }
}

/// A time on the clock of the writer, and on that of the reader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MappedTick {
    pub(crate) was: Tick,
    pub(crate) is: Tick,
}

/// A snapshot or a section that is being read. Every method returns `None` for bytes that no writer
/// produces. No allocation depends on a length in the bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SnapshotDecoder<'b> {
    rest: &'b [u8],
    /// The time of the snapshot on the writer's clock.
    pub(crate) was: Tick,
    /// The same time on the reader's clock.
    pub(crate) is: Tick,
    /// The current time on the reader's clock.
    pub(crate) now: Tick,
    pub(crate) usual_ms: u64,
    /// Whether tables contain whole keys, as in the first format.
    pub(crate) has_whole_keys: bool,
}

impl<'b> SnapshotDecoder<'b> {
    pub(crate) fn new(rest: &'b [u8], is: Tick, now: Tick) -> Self {
        Self { rest, was: Tick(0), is, now, usual_ms: 0, has_whole_keys: false }
    }

    pub(crate) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn raw(&mut self, length: usize) -> Option<&'b [u8]> {
        let (head, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.raw(N)?.try_into().ok()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn fixed(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for place in 0..NUMBER_BYTES_MAX {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shift = place.saturating_mul(7);
            let placed = bits.checked_shl(shift)?;
            if placed >> shift != bits {
                return None;
            }
            number |= placed;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn distance(&mut self) -> Option<i64> {
        let zigzag = self.number()?;
        Some((zigzag >> 1) as i64 ^ (zigzag as i64 & 1).wrapping_neg())
    }

    pub(crate) fn near(&mut self, other: u64) -> Option<u64> {
        Some(other.wrapping_add_signed(self.distance()?))
    }

    /// Reads a time; at most the current time.
    pub(crate) fn moment(&mut self) -> Option<MappedTick> {
        let before = self.distance()?;
        let was = Tick(self.was.0.saturating_sub_signed(before));
        let is = Tick(self.is.0.saturating_sub_signed(before)).min(self.now);
        Some(MappedTick { was, is })
    }

    /// Reads a window, which is never 0.
    pub(crate) fn window(&mut self) -> Option<u64> {
        self.near(self.usual_ms).map(|window_ms| window_ms.max(1))
    }

    /// Reads a key, whose upper half is never 0.
    pub(crate) fn key(&mut self) -> Option<Key> {
        let (upper, lower) = (self.fixed()?, self.fixed()?);
        (upper != 0).then(|| Key::of_halves(upper, lower))
    }

    /// Reads the tag of a key.
    pub(crate) fn tag(&mut self) -> Option<Tag> {
        if self.has_whole_keys {
            return self.key().map(Key::tag);
        }
        let upper = self.fixed()?;
        let lower = u32::from_le_bytes(self.array()?);
        (upper != 0).then_some(Tag { upper, lower })
    }

    pub(crate) fn text(&mut self) -> Option<&'b str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.raw(length)?).ok()
    }

    /// Reads the next section and its kind.
    pub(crate) fn section(&mut self) -> Option<(u8, Self)> {
        let kind = self.byte()?;
        let length = usize::try_from(self.fixed()?).ok()?;
        let rest = self.raw(length)?;
        Some((kind, Self { rest, ..*self }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_too_long_is_none() {
        let read = |bytes: &[u8]| SnapshotDecoder::new(bytes, Tick(0), Tick(0)).number();
        assert_eq!(read(&[0xff; 9]), None);
        assert_eq!(read(&[0xff; 20]), None);
        assert_eq!(
            read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            Some(u64::MAX)
        );
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), None);
    }

    #[test]
    fn a_section_claims_no_more_than_there_is() {
        let mut out = SnapshotEncoder::new(Tick(0), 1 << 20);
        out.section(7, |out| out.text("inside"));
        let mut whole = SnapshotDecoder::new(&out.bytes, Tick(0), Tick(0));
        let (kind, mut section) = whole.section().unwrap();
        assert_eq!((kind, section.text(), section.is_at_end()), (7, Some("inside"), true));
        assert!(whole.is_at_end());
        for length in 0..out.bytes.len() {
            assert!(
                SnapshotDecoder::new(&out.bytes[..length], Tick(0), Tick(0)).section().is_none()
            );
        }
    }

    #[test]
    fn room_ends_sooner_for_what_is_not_held() {
        let mut out = SnapshotEncoder::new(Tick(0), 16 * ENTRY_BYTES_MAX);
        out.raw(&[0; 11 * ENTRY_BYTES_MAX]);
        assert!(out.has_room(EvictionClass::Live));
        out.byte(0);
        assert!(!out.has_room(EvictionClass::Live) && out.has_room(EvictionClass::Held));
        out.raw(&[0; 3 * ENTRY_BYTES_MAX]);
        assert!(!out.has_room(EvictionClass::Held));
        assert_eq!((out.entries, out.left_out), (2, 2));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            number in any::<u64>(), other in any::<u64>(), at in any::<u64>(), moment in any::<u64>()
        ) {
            let mut out = SnapshotEncoder::new(Tick(at), 1 << 20);
            out.number(number);
            out.near(number, other);
            out.moment(Tick(moment));
            let mut from = SnapshotDecoder::new(&out.bytes, Tick(at), Tick(u64::MAX));
            from.was = Tick(at);
            prop_assert_eq!(from.number(), Some(number));
            prop_assert_eq!(from.near(other), Some(number));
            let read = from.moment().unwrap();
            if at.abs_diff(moment) < 1 << 63 {
                prop_assert_eq!((read.was, read.is), (Tick(moment), Tick(moment)));
            }
            prop_assert!(from.is_at_end());
        }
    }
}
