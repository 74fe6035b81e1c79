//! Counts what a client does below requests, and enforces limits on it.
//!
//! In HTTP/2 a client can cause work with frames that are not requests (resets, pings, settings,
//! empty data …), and no library counts them over time. Both directions are counted: frames that a
//! client makes the server send, mainly resets, are an attack too (MadeYouReset, CVE-2025-8671).
//!
//! Limitation: work below every limit on many connections looks like visitors. The limits on
//! connections and on requests cover that.

use std::collections::HashMap;

use crate::ProxyLimits;
use crate::http2::frames::{Frame, FrameKind, FrameReader};

/// Initial window of a stream and of a connection (RFC 9113 §6.9.2).
const WINDOW: i64 = 65_535;
/// Milliseconds over which frames are counted.
const SPAN_MS: u64 = 1_000;
/// Streams that are remembered beyond the permitted number: a rejected stream is closed a moment
/// later.
const STREAMS_SPARE: usize = 64;

/// The limit that ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum H2Violation {
    /// The client reset more requests than a visitor does.
    Resets,
    /// The client made the server reset more streams than a visitor does.
    MadeToReset,
    /// More frames of a kind per second than any use of them needs.
    Flood,
    /// More request headers over the library's limit than a mistake explains.
    OversizedHeaders,
    /// A header block in too many frames.
    Pieces,
    /// More requests after the last stream was announced than may be in flight.
    TooMany,
}

/// An open stream.
#[derive(Debug, Clone, Copy)]
struct StreamState {
    /// The client has not ended its side.
    receiving: bool,
    /// The server has not ended its side.
    sending: bool,
    /// The server has sent something.
    answered: bool,
    /// Bytes that the client may send.
    window: i64,
    began_ms: u64,
}

/// Frames of one kind in the current second.
#[derive(Debug, Default, Clone, Copy)]
struct PerSecondCounter {
    span: u64,
    count: u32,
}

impl PerSecondCounter {
    /// Counts one, and returns whether that is more than `most`.
    fn is_over(&mut self, now_ms: u64, most: u32) -> bool {
        let span = now_ms.checked_div(SPAN_MS).unwrap_or_default();
        if span != self.span {
            *self = Self { span, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count > most
    }
}

/// The frame monitor of one connection.
#[derive(Debug)]
pub(crate) struct FrameMonitor {
    inbound: FrameReader,
    outbound: FrameReader,
    streams: HashMap<u32, StreamState>,
    window: i64,
    /// The highest stream that the client opened.
    last: u32,
    /// A header block has begun and not ended.
    block_open: bool,
    /// The stream that the last header block opened, if it opened one.
    opened: Option<u32>,
    pieces: u32,
    requests: u32,
    /// Streams that the client reset before a response.
    pub(crate) resets: u32,
    made_to_reset: u32,
    /// Streams with a response.
    answered: u32,
    /// Requests that the library handed on. It responds to the others itself (431).
    handed_on: u32,
    /// Frames without effect.
    pub(crate) glitches: u32,
    pings: PerSecondCounter,
    settings: PerSecondCounter,
    priorities: PerSecondCounter,
    updates: PerSecondCounter,
    strange: PerSecondCounter,
}

impl FrameMonitor {
    pub(crate) fn new() -> Self {
        Self {
            inbound: FrameReader::of(true),
            outbound: FrameReader::of(false),
            streams: HashMap::new(),
            window: WINDOW,
            last: 0,
            block_open: false,
            opened: None,
            pieces: 0,
            requests: 0,
            resets: 0,
            made_to_reset: 0,
            answered: 0,
            handed_on: 0,
            glitches: 0,
            pings: PerSecondCounter::default(),
            settings: PerSecondCounter::default(),
            priorities: PerSecondCounter::default(),
            updates: PerSecondCounter::default(),
            strange: PerSecondCounter::default(),
        }
    }

    /// Returns whether a preface, a frame header or a header block has begun and not ended.
    pub(crate) fn is_head_open(&self) -> bool {
        self.block_open || self.inbound.is_inside()
    }

    /// Returns the number of open streams with a complete header section. A stream without one does
    /// not make a connection busy.
    pub(crate) fn requests_open(&self) -> usize {
        let is_opening = self.block_open || self.inbound.is_in_block();
        let opening = self.opened.filter(|of| is_opening && self.streams.contains_key(of));
        self.streams.len().saturating_sub(usize::from(opening.is_some()))
    }

    /// Returns the number of streams on which the client may send and has not ended.
    pub(crate) fn expects_client_data(&self) -> usize {
        if self.window <= 0 {
            return 0;
        }
        self.streams.values().filter(|stream| stream.receiving && stream.window > 0).count()
    }

    /// Returns the number of open streams.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn open(&self) -> usize {
        self.streams.len()
    }

    /// Returns when the oldest open stream began.
    pub(crate) fn oldest_ms(&self) -> Option<u64> {
        self.streams.values().map(|stream| stream.began_ms).min()
    }

    /// Reads what the client sent.
    ///
    /// # Errors
    /// Returns the first limit that it violated.
    pub(crate) fn on_received(
        &mut self,
        bytes: &[u8],
        now_ms: u64,
        limits: &ProxyLimits,
    ) -> Result<(), H2Violation> {
        let mut frames = std::mem::replace(&mut self.inbound, FrameReader::of(false));
        let mut fault = None;
        frames.read(bytes, |frame| {
            if fault.is_none() {
                fault = self.inbound_frame(frame, now_ms, limits).err();
            }
        });
        self.inbound = frames;
        fault.map_or(Ok(()), Err)
    }

    /// Sets how many requests the library has handed on so far.
    pub(crate) fn set_handed_on(&mut self, requests: u32) {
        self.handed_on = requests;
    }

    /// Reads what was sent to the client.
    ///
    /// # Errors
    /// The client made the server send too much of it.
    pub(crate) fn on_sent(
        &mut self,
        bytes: &[u8],
        limits: &ProxyLimits,
    ) -> Result<(), H2Violation> {
        let mut frames = std::mem::replace(&mut self.outbound, FrameReader::of(false));
        frames.read(bytes, |frame| self.outbound_frame(frame));
        self.outbound = frames;
        if self.made_to_reset > limits.h2_max_server_resets {
            Err(H2Violation::MadeToReset)
        } else if self.answered.saturating_sub(self.handed_on) > limits.h2_max_oversized_headers {
            Err(H2Violation::OversizedHeaders)
        } else {
            Ok(())
        }
    }

    fn inbound_frame(
        &mut self,
        frame: Frame,
        now_ms: u64,
        limits: &ProxyLimits,
    ) -> Result<(), H2Violation> {
        let is_flood = match frame.kind {
            FrameKind::Headers => return self.headers(frame, now_ms, limits),
            FrameKind::Continuation => return self.continuation(frame, limits),
            FrameKind::Data => return self.data(frame, now_ms, limits),
            FrameKind::Reset => {
                let unanswered = self.streams.remove(&frame.stream).is_none_or(|s| !s.answered);
                self.resets = self.resets.saturating_add(u32::from(unanswered));
                return if self.resets > limits.h2_max_client_resets {
                    Err(H2Violation::Resets)
                } else {
                    Ok(())
                };
            }
            FrameKind::Ping if frame.is_answer() => false,
            FrameKind::Ping => self.pings.is_over(now_ms, limits.h2_max_pings_per_second),
            FrameKind::Settings => self.settings.is_over(now_ms, limits.h2_max_settings_per_second),
            FrameKind::WindowUpdate => {
                self.glitches = self.glitches.saturating_add(u32::from(frame.begins << 1 == 0));
                self.updates.is_over(now_ms, limits.h2_max_window_updates_per_second)
            }
            FrameKind::Priority => {
                self.priorities.is_over(now_ms, limits.h2_max_priority_per_second)
            }
            FrameKind::PushPromise | FrameKind::GoAway | FrameKind::Unknown => {
                self.glitches = self.glitches.saturating_add(1);
                self.strange.is_over(now_ms, limits.h2_max_glitches_per_second)
            }
        };
        if is_flood { Err(H2Violation::Flood) } else { Ok(()) }
    }

    fn headers(
        &mut self,
        frame: Frame,
        now_ms: u64,
        limits: &ProxyLimits,
    ) -> Result<(), H2Violation> {
        self.block_open = !frame.ends_headers();
        self.pieces = 0;
        self.opened = (frame.stream > self.last).then_some(frame.stream);
        if frame.stream <= self.last {
            // Trailers, or an error that the library reports.
            if let Some(stream) = self.streams.get_mut(&frame.stream)
                && frame.ends_stream()
            {
                stream.receiving = false;
                self.close_if_over(frame.stream);
            }
            return Ok(());
        }
        self.last = frame.stream;
        self.requests = self.requests.saturating_add(1);
        // After the last stream was announced a few more are in flight; a client that continues
        // ignores the announcement.
        if self.requests > limits.settings.connections.max_requests_per_connection.saturating_mul(2)
        {
            return Err(H2Violation::TooMany);
        }
        let most = usize::try_from(limits.h2_max_concurrent_streams).unwrap_or(usize::MAX);
        if self.streams.len() < most.saturating_add(STREAMS_SPARE) {
            let window = i64::from(limits.h2_initial_stream_window_bytes);
            let receiving = !frame.ends_stream();
            let stream =
                StreamState { receiving, sending: true, answered: false, window, began_ms: now_ms };
            self.streams.insert(frame.stream, stream);
        }
        Ok(())
    }

    fn continuation(&mut self, frame: Frame, limits: &ProxyLimits) -> Result<(), H2Violation> {
        self.block_open = !frame.ends_headers();
        self.pieces = self.pieces.saturating_add(1);
        if self.pieces > limits.h2_max_continuation_frames {
            Err(H2Violation::Pieces)
        } else {
            Ok(())
        }
    }

    fn data(&mut self, frame: Frame, now_ms: u64, limits: &ProxyLimits) -> Result<(), H2Violation> {
        let len = i64::from(frame.len);
        self.window = self.window.saturating_sub(len);
        if let Some(stream) = self.streams.get_mut(&frame.stream) {
            stream.window = stream.window.saturating_sub(len);
            stream.receiving &= !frame.ends_stream();
        }
        self.close_if_over(frame.stream);
        if frame.len > 0 || frame.ends_stream() {
            return Ok(());
        }
        self.glitches = self.glitches.saturating_add(1);
        let is_flood = self.strange.is_over(now_ms, limits.h2_max_glitches_per_second);
        if is_flood { Err(H2Violation::Flood) } else { Ok(()) }
    }

    fn outbound_frame(&mut self, frame: Frame) {
        match frame.kind {
            FrameKind::Headers | FrameKind::Data => {
                if let Some(stream) = self.streams.get_mut(&frame.stream) {
                    self.answered = self.answered.saturating_add(u32::from(!stream.answered));
                    stream.answered = true;
                    stream.sending &= !frame.ends_stream();
                }
                self.close_if_over(frame.stream);
            }
            FrameKind::Reset => {
                // A reset after the response means that the response did not need the body.
                let unanswered = self.streams.remove(&frame.stream).is_none_or(|s| !s.answered);
                self.made_to_reset = self.made_to_reset.saturating_add(u32::from(unanswered));
            }
            FrameKind::WindowUpdate => {
                let more = i64::from(frame.begins & 0x7fff_ffff);
                match self.streams.get_mut(&frame.stream) {
                    Some(stream) => stream.window = stream.window.saturating_add(more),
                    None if frame.stream == 0 => self.window = self.window.saturating_add(more),
                    None => {}
                }
            }
            _ => {}
        }
    }

    fn close_if_over(&mut self, stream: u32) {
        if self.streams.get(&stream).is_some_and(|s| !s.receiving && !s.sending) {
            self.streams.remove(&stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::tests::frame;
    use super::*;

    fn begun() -> FrameMonitor {
        let mut meter = FrameMonitor::new();
        meter.set_handed_on(u32::MAX);
        meter.on_received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, &ProxyLimits::default()).unwrap();
        meter
    }

    /// Returns how many of `bytes`, with numbered streams, are accepted before a violation, and
    /// which.
    fn until(mut make: impl FnMut(u32) -> Vec<u8>) -> (u32, Option<H2Violation>) {
        let (mut meter, limits) = (begun(), ProxyLimits::default());
        for n in 0..5_000 {
            if let Err(fault) = meter.on_received(&make(n), 0, &limits) {
                return (n, Some(fault));
            }
        }
        (5_000, None)
    }

    fn open(n: u32, flags: u8) -> Vec<u8> {
        frame(1, 4 | flags, 2 * n + 1, b"h")
    }

    #[test]
    fn each_flood_ends_at_its_limit_and_not_before() {
        let limits = ProxyLimits::default();
        let rapid = |n| [open(n, 1), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat();
        assert_eq!(until(rapid), (limits.h2_max_client_resets, Some(H2Violation::Resets)));
        let ping = |_| frame(6, 0, 0, &[0; 8]);
        assert_eq!(until(ping), (limits.h2_max_pings_per_second, Some(H2Violation::Flood)));
        let settings = |_| frame(4, 0, 0, &[]);
        assert_eq!(until(settings), (limits.h2_max_settings_per_second, Some(H2Violation::Flood)));
        let priority = |_| frame(2, 0, 1, &[0; 5]);
        assert_eq!(until(priority), (limits.h2_max_priority_per_second, Some(H2Violation::Flood)));
        let update = |_| frame(8, 0, 0, &[0; 4]);
        assert_eq!(
            until(update),
            (limits.h2_max_window_updates_per_second, Some(H2Violation::Flood))
        );
        let empty = |_| frame(0, 0, 1, &[]);
        assert_eq!(until(empty), (limits.h2_max_glitches_per_second, Some(H2Violation::Flood)));
        let unknown = |_| frame(77, 0, 0, &[]);
        assert_eq!(until(unknown), (limits.h2_max_glitches_per_second, Some(H2Violation::Flood)));
        let piece = |n| if n == 0 { frame(1, 0, 1, b"h") } else { frame(9, 0, 1, b"h") };
        assert_eq!(
            until(piece),
            (limits.h2_max_continuation_frames + 1, Some(H2Violation::Pieces))
        );
        let requests = |n| open(n, 1);
        assert_eq!(
            until(requests),
            (
                limits.settings.connections.max_requests_per_connection * 2,
                Some(H2Violation::TooMany)
            )
        );
        let answers = |_| frame(6, 1, 0, &[0; 8]);
        assert_eq!(until(answers), (5_000, None), "answers to our pings are none of theirs");
    }

    #[test]
    fn a_second_later_frames_are_counted_anew() {
        let (mut meter, limits) = (begun(), ProxyLimits::default());
        for second in 0..20 {
            for _ in 0..limits.h2_max_pings_per_second {
                assert_eq!(
                    meter.on_received(&frame(6, 0, 0, &[0; 8]), second * 1_000, &limits),
                    Ok(())
                );
            }
        }
    }

    #[test]
    fn resets_that_we_are_made_to_send_count_and_those_after_an_answer_do_not() {
        let (mut meter, limits) = (begun(), ProxyLimits::default());
        let mut sent = 0;
        let fault = (0..500).find_map(|n| {
            meter.on_received(&open(n, 0), 0, &limits).unwrap();
            sent = n;
            meter.on_sent(&frame(3, 0, 2 * n + 1, &[0, 0, 0, 1]), &limits).err()
        });
        assert_eq!((fault, sent), (Some(H2Violation::MadeToReset), limits.h2_max_server_resets));
        let mut meter = begun();
        for n in 0..500 {
            meter.on_received(&open(n, 0), 0, &limits).unwrap();
            meter.on_sent(&frame(1, 4, 2 * n + 1, b"h"), &limits).unwrap();
            assert_eq!(meter.on_sent(&frame(3, 0, 2 * n + 1, &[0; 4]), &limits), Ok(()));
        }
        // A visitor that leaves pages while they load resets streams that have a response already.
        let mut meter = begun();
        for n in 0..500 {
            meter.on_received(&open(n, 1), 0, &limits).unwrap();
            meter.on_sent(&frame(1, 4, 2 * n + 1, b"h"), &limits).unwrap();
            assert_eq!(meter.on_received(&frame(3, 0, 2 * n + 1, &[0; 4]), 0, &limits), Ok(()));
        }
    }

    #[test]
    fn oversized_headers_end_a_connection_and_answers_to_requests_do_not() {
        let (mut meter, limits) = (begun(), ProxyLimits::default());
        let mut answer = |n: u32, handed_on: u32| {
            meter.set_handed_on(handed_on);
            meter.on_received(&open(n, 1), 0, &limits).unwrap();
            // An interim response does not count as one.
            meter.on_sent(&frame(1, 4, 2 * n + 1, b"h"), &limits)?;
            meter.on_sent(&frame(1, 5, 2 * n + 1, b"h"), &limits)
        };
        let most = limits.h2_max_oversized_headers;
        for n in 0..500 {
            assert_eq!(answer(n, n + 1), Ok(()));
        }
        for n in 500..500 + most {
            assert_eq!(answer(n, 500), Ok(()));
        }
        assert_eq!(answer(500 + most, 500), Err(H2Violation::OversizedHeaders));
    }

    #[test]
    fn streams_are_remembered_while_they_live_and_no_more_than_may_be_open() {
        let (mut meter, limits) = (begun(), ProxyLimits::default());
        for n in 0..900 {
            meter.on_received(&open(n, 1), 0, &limits).unwrap();
            meter.on_sent(&frame(1, 5, 2 * n + 1, b"h"), &limits).unwrap();
        }
        assert_eq!(meter.open(), 0);
        for n in 900..1_900 {
            meter.on_received(&open(n, 0), 0, &limits).unwrap();
        }
        assert_eq!(meter.open(), limits.h2_max_concurrent_streams as usize + STREAMS_SPARE);
    }

    #[test]
    fn a_client_is_awaited_only_where_it_may_send() {
        let (mut meter, limits) = (begun(), ProxyLimits::default());
        meter.on_sent(&frame(8, 0, 0, &[0, 0x10, 0, 0]), &limits).unwrap();
        meter.on_received(&open(0, 0), 0, &limits).unwrap();
        assert_eq!(meter.expects_client_data(), 1);
        let window = limits.h2_initial_stream_window_bytes as usize;
        meter.on_received(&frame(0, 0, 1, &vec![0; window]), 0, &limits).unwrap();
        assert_eq!(
            meter.expects_client_data(),
            0,
            "the origin takes nothing more: not the client's fault"
        );
        meter.on_sent(&frame(8, 0, 1, &[0, 0, 0, 9]), &limits).unwrap();
        assert_eq!(meter.expects_client_data(), 1);
        meter.on_received(&frame(0, 1, 1, b"end"), 0, &limits).unwrap();
        assert_eq!(meter.expects_client_data(), 0);
    }

    #[test]
    fn what_has_begun_is_open_until_it_ends() {
        let (mut meter, limits) = (FrameMonitor::new(), ProxyLimits::default());
        assert!(meter.is_head_open(), "the preface");
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        meter.on_received(&preface[..23], 0, &limits).unwrap();
        assert!(meter.is_head_open());
        meter.on_received(&preface[23..], 0, &limits).unwrap();
        assert!(!meter.is_head_open());
        meter.on_received(&frame(1, 1, 1, b"h"), 0, &limits).unwrap();
        assert!(meter.is_head_open(), "HEADERS without an end");
        meter.on_received(&frame(9, 4, 1, b"h"), 0, &limits).unwrap();
        assert!(!meter.is_head_open());
        meter.on_received(&[0, 0], 0, &limits).unwrap();
        assert!(meter.is_head_open(), "two bytes of a frame");
        assert_eq!((meter.open(), meter.requests_open()), (1, 1));
    }

    #[test]
    fn a_head_that_stops_within_a_frame_is_open_and_no_request() {
        let (mut meter, limits) = (begun(), ProxyLimits::default());
        let whole = frame(1, 5, 1, &[0; 100]);
        meter.on_received(&whole[..13], 0, &limits).unwrap();
        assert!(meter.is_head_open());
        assert_eq!((meter.open(), meter.requests_open()), (1, 0));
        meter.on_received(&whole[13..], 0, &limits).unwrap();
        assert!(!meter.is_head_open());
        assert_eq!(meter.requests_open(), 1);
        // Trailers of an upload are not a new request, and the content of DATA is not a header.
        meter.on_received(&frame(1, 4, 3, &[0; 100]), 0, &limits).unwrap();
        meter.on_received(&frame(1, 1, 3, &[0; 100]), 0, &limits).unwrap();
        assert!(meter.is_head_open());
        assert_eq!(meter.requests_open(), 2);
        meter.on_received(&frame(9, 4, 3, &[]), 0, &limits).unwrap();
        meter.on_received(&frame(0, 0, 1, &[0; 100])[..50], 0, &limits).unwrap();
        assert!(!meter.is_head_open());
    }
}
