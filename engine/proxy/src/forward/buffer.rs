//! The buffer of one direction: bytes that may be sent, bytes behind them that were read, and room
//! in front for a header section that is rewritten in place.
//!
//! A buffer has memory only while it holds bytes. The memory comes from a store of the worker and
//! returns to it, so that forwarding allocates nothing once a worker is warm.

use std::cell::RefCell;

use bytes::{Buf, BytesMut};

/// Bytes in front of what is read. A rewritten header section is longer by a few fields at most.
pub(crate) const HEADROOM: usize = 1_024;
/// Bytes behind the headroom of a small buffer: most request header sections fit.
const SMALL_BYTES: usize = 3 * 1_024;
/// The same of a large one. Of 16 to 256 KiB this size forwards bodies at the lowest cost.
pub(crate) const LARGE_BYTES: usize = 32 * 1_024;
/// Unused buffers of each size that a worker keeps: 1 MiB and 2 MiB.
const STORED_MAX: [usize; 2] = [256, 64];

/// The unused memory of one worker, by size.
#[derive(Debug, Default)]
struct Store([Vec<Box<[u8]>>; 2]);

thread_local! {
    static STORE: RefCell<Store> = RefCell::default();
    /// Where a worker writes header sections before their size is known.
    static HEADER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Calls `with` with the worker's room for a header section that is being written.
pub(crate) fn with_header<T>(with: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut header = HEADER.take();
    let done = with(&mut header);
    HEADER.set(header);
    done
}

/// Moves what fits of `from` to the front of `room`, and returns how many bytes that were.
pub(crate) fn move_front(from: &mut BytesMut, room: &mut [u8]) -> usize {
    let count = from.len().min(room.len());
    if let Some(room) = room.get_mut(..count) {
        from.copy_to_slice(room);
    }
    count
}

impl Store {
    const fn class(len: usize) -> Option<usize> {
        if len == HEADROOM + SMALL_BYTES {
            Some(0)
        } else if len == HEADROOM + LARGE_BYTES {
            Some(1)
        } else {
            None
        }
    }
}

/// Returns memory for `size` bytes behind the headroom.
fn take(size: usize) -> Box<[u8]> {
    let (class, size) = if size <= SMALL_BYTES {
        (Some(0), SMALL_BYTES)
    } else if size <= LARGE_BYTES {
        (Some(1), LARGE_BYTES)
    } else {
        (None, size)
    };
    let stored = class
        .and_then(|class| STORE.with_borrow_mut(|store| store.0.get_mut(class).and_then(Vec::pop)));
    stored.unwrap_or_else(|| vec![0; HEADROOM.saturating_add(size)].into_boxed_slice())
}

/// Bytes `start..ready` may be sent; `ready..end` are read and not yet part of a message.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    ready: usize,
    end: usize,
}

/// The memory of a buffer returns to its worker's store, up to a maximum.
impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let Some(class) = Store::class(bytes.len()) else { return };
        // At the end of a thread the store is gone; then the memory is freed.
        let _ = STORE.try_with(|store| {
            if let Ok(mut store) = store.try_borrow_mut()
                && let (Some(stored), Some(max)) = (store.0.get_mut(class), STORED_MAX.get(class))
                && stored.len() < *max
            {
                stored.push(bytes);
            }
        });
    }
}

impl Buffer {
    /// A buffer for `size` bytes behind the headroom.
    pub(crate) fn new(size: usize) -> Self {
        Self { bytes: take(size), start: HEADROOM, ready: HEADROOM, end: HEADROOM }
    }

    /// Gives it the memory of a large buffer, if it has none.
    pub(crate) fn prepare(&mut self) {
        if self.bytes.is_empty() {
            *self = Self::new(LARGE_BYTES);
        }
    }

    /// Returns its memory to the worker, if it holds no bytes.
    pub(crate) fn rest(&mut self) {
        if self.is_empty() && !self.bytes.is_empty() {
            *self = Self::default();
        }
    }

    /// Appends what fits of `bytes`, as if it had been read, and returns how many bytes that were.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> usize {
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        let count = bytes.len().min(room.len());
        if let (Some(room), Some(bytes)) = (room.get_mut(..count), bytes.get(..count)) {
            room.copy_from_slice(bytes);
        }
        self.came(count);
        count
    }

    /// What may be sent.
    pub(crate) fn ready(&self) -> &[u8] {
        self.bytes.get(self.start..self.ready).unwrap_or_default()
    }

    /// What was read and is not part of a message yet.
    pub(crate) fn unread(&self) -> &[u8] {
        self.bytes.get(self.ready..self.end).unwrap_or_default()
    }

    /// Whether it holds nothing.
    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room for what comes next. Where there is none behind, what is held moves to the front.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.is_empty() {
            (self.start, self.ready, self.end) = (HEADROOM, HEADROOM, HEADROOM);
        } else if self.end == self.bytes.len() && self.start > HEADROOM {
            self.bytes.copy_within(self.start..self.end, HEADROOM);
            let by = self.start - HEADROOM;
            (self.start, self.ready, self.end) = (HEADROOM, self.ready - by, self.end - by);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Makes it hold `size` bytes behind the headroom at least.
    pub(crate) fn grow(&mut self, size: usize) {
        let wanted = HEADROOM.saturating_add(size);
        if self.bytes.len() < wanted {
            let mut bytes = std::mem::take(&mut self.bytes).into_vec();
            bytes.resize(wanted, 0);
            self.bytes = bytes.into_boxed_slice();
        }
    }

    /// Notes that `count` bytes were read into the room.
    pub(crate) fn came(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.bytes.len());
    }

    /// Notes that `count` bytes more may be sent.
    pub(crate) fn release(&mut self, count: usize) {
        self.ready = self.ready.saturating_add(count).min(self.end);
    }

    /// Notes that `count` bytes were sent.
    pub(crate) fn sent(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.ready);
    }

    /// Puts `header` in the place of the next `len` bytes, and lets it be sent. Returns whether
    /// there was room.
    pub(crate) fn replace(&mut self, len: usize, header: &[u8]) -> bool {
        let behind = self.ready.saturating_add(len);
        if behind > self.end {
            return false;
        }
        if self.start == self.ready && header.len() <= behind {
            let front = behind - header.len();
            if let Some(place) = self.bytes.get_mut(front..behind) {
                place.copy_from_slice(header);
            }
            (self.start, self.ready) = (front, behind);
            return true;
        }
        // Behind an interim response: the gap is closed, or what follows moves back.
        let (after, rest) = (self.ready.saturating_add(header.len()), self.end - behind);
        if after.saturating_add(rest) > self.bytes.len() {
            return false;
        }
        self.bytes.copy_within(behind..self.end, after);
        if let Some(place) = self.bytes.get_mut(self.ready..after) {
            place.copy_from_slice(header);
        }
        (self.ready, self.end) = (after, after + rest);
        true
    }

    /// Releases what was read, with `front` before and `back` behind it. There must be room for both.
    pub(crate) fn wrap(&mut self, front: &[u8], back: &[u8]) {
        let read = self.end.saturating_sub(self.ready);
        let fits_in_front = self.start == self.ready && front.len() <= self.start;
        let from = if fits_in_front {
            self.start = self.start.saturating_sub(front.len());
            self.start
        } else {
            let to = self.ready.saturating_add(front.len());
            if to.saturating_add(read) <= self.bytes.len() {
                self.bytes.copy_within(self.ready..self.end, to);
            }
            self.ready
        };
        let body = from.saturating_add(front.len());
        let behind = body.saturating_add(read);
        if let Some(place) = self.bytes.get_mut(from..body) {
            place.copy_from_slice(front);
        }
        let end = behind.saturating_add(back.len());
        if let Some(place) = self.bytes.get_mut(behind..end) {
            place.copy_from_slice(back);
        }
        (self.ready, self.end) = (end, end);
    }

    /// Passes over `count` bytes that were read: they are not sent.
    pub(crate) fn discard(&mut self, count: usize) {
        let behind = self.ready.saturating_add(count).min(self.end);
        self.bytes.copy_within(behind..self.end, self.ready);
        self.end -= behind - self.ready;
    }

    /// What was read and is not part of a message yet, to be changed in place.
    pub(crate) fn unread_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.ready..self.end).unwrap_or_default()
    }

    /// Where the next byte to send stands, for [`rewind`](Self::rewind). It holds until the next
    /// [`room`](Self::room).
    pub(crate) const fn position(&self) -> usize {
        self.start
    }

    /// Sends again from `position`.
    pub(crate) fn rewind(&mut self, position: usize) {
        self.start = position.min(self.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer of exactly `size` bytes behind the headroom.
    fn filled(bytes: &[u8], size: usize) -> Buffer {
        let memory = vec![0; HEADROOM + size].into_boxed_slice();
        let mut buffer = Buffer { bytes: memory, start: HEADROOM, ready: HEADROOM, end: HEADROOM };
        buffer.room()[..bytes.len()].copy_from_slice(bytes);
        buffer.came(bytes.len());
        buffer
    }

    #[test]
    fn a_longer_header_grows_into_the_headroom() {
        let mut buffer = filled(b"headbody", 16);
        assert!(buffer.replace(4, b"longer-head"));
        buffer.release(4);
        assert_eq!((buffer.ready(), buffer.unread()), (&b"longer-headbody"[..], &b""[..]));
    }

    #[test]
    fn a_second_header_closes_the_gap_or_moves_the_rest() {
        let mut buffer = filled(b"AAAABBBBrest", 16);
        assert!(buffer.replace(4, b"aaa"));
        assert!(buffer.replace(4, b"b"));
        assert_eq!((buffer.ready(), buffer.unread()), (&b"aaab"[..], &b"rest"[..]));
        let mut buffer = filled(b"AAAABBBBrest", 16);
        assert!(buffer.replace(4, b"a"));
        assert!(buffer.replace(4, b"bbbbbb"));
        assert_eq!((buffer.ready(), buffer.unread()), (&b"abbbbbb"[..], &b"rest"[..]));
        let mut full = filled(b"AAAABBBB", 8);
        assert!(full.replace(4, b"a"));
        assert!(!full.replace(4, b"bbbbbb"), "no room");
    }

    #[test]
    fn what_is_held_moves_to_the_front_when_the_end_is_reached() {
        let mut buffer = filled(b"12345678", 8);
        buffer.release(6);
        buffer.sent(5);
        let room = buffer.room();
        assert_eq!(room.len(), 5);
        room[0] = b'9';
        buffer.came(1);
        assert_eq!((buffer.ready(), buffer.unread()), (&b"6"[..], &b"789"[..]));
    }

    #[test]
    fn what_was_read_is_wrapped_in_place_or_behind_what_is_ready() {
        let mut alone = filled(b"body", 16);
        alone.wrap(b"4\r\n", b"\r\n");
        assert_eq!((alone.ready(), alone.unread()), (&b"4\r\nbody\r\n"[..], &b""[..]));
        let mut behind = filled(b"headbody", 16);
        behind.release(4);
        behind.wrap(b"4\r\n", b"\r\n");
        assert_eq!(behind.ready(), b"head4\r\nbody\r\n");
    }

    #[test]
    fn what_was_sent_can_be_sent_again() {
        let mut buffer = filled(b"abc", 8);
        buffer.release(3);
        let position = buffer.position();
        buffer.sent(3);
        assert!(buffer.ready().is_empty());
        buffer.rewind(position);
        assert_eq!(buffer.ready(), b"abc");
    }

    #[test]
    fn memory_is_used_again_and_never_shows_what_it_held() {
        let mut first = Buffer::new(LARGE_BYTES);
        first.append(b"secret");
        let memory = first.bytes.as_ptr();
        drop(first);
        let mut second = Buffer::default();
        assert!(second.room().is_empty());
        second.prepare();
        assert_eq!(second.bytes.as_ptr(), memory);
        assert!(second.is_empty() && second.ready().is_empty() && second.unread().is_empty());
        second.rest();
        assert!(second.bytes.is_empty());
    }

    #[test]
    fn a_worker_keeps_so_many_unused_buffers() {
        let held: Vec<Buffer> = (0..100).map(|_| Buffer::new(LARGE_BYTES)).collect();
        drop(held);
        let stored = STORE.with_borrow(|store| store.0.each_ref().map(Vec::len));
        assert_eq!(stored, [0, STORED_MAX[1]]);
    }
}
