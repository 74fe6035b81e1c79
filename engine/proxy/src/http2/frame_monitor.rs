//! What a client does below requests, and when it is too much.
//!
//! HTTP/2 lets a client make work with frames that are no requests (resets, pings, settings, empty
//! data …), and no library counts them over time. Both directions are watched: what a server is
//! made to send, resets of its own most of all, is an attack too (MadeYouReset, CVE-2025-8671).
//!
//! Where this does not protect: work that stays below every limit on many connections looks like
//! visitors; the limits on connections and on requests are for that.

use std::collections::HashMap;

use crate::ProxyLimits;
use crate::http2::frames::{Frame, FrameKind, FrameReader};

/// The window of a stream before anybody says otherwise, and that of a connection (RFC 9113 §6.9.2).
const WINDOW: i64 = 65_535;
/// Milliseconds over which frames are counted.
const SPAN_MS: u64 = 1_000;
/// Streams that are remembered beside those that may be open: what is refused is closed a moment
/// later.
const STREAMS_SPARE: usize = 64;

/// Why a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum H2Violation {
    /// More requests were taken back than a visitor takes back.
    Resets,
    /// It made us take back more than a visitor does.
    MadeToReset,
    /// More frames of a kind in a second than any use of them needs.
    Flood,
    /// A header block in too many pieces.
    Pieces,
    /// More requests than were announced as the last.
    TooMany,
}

/// A stream that is not over.
#[derive(Debug, Clone, Copy)]
struct StreamState {
    /// The client has not said that this is all.
    receiving: bool,
    /// We have not said that this is all.
    sending: bool,
    /// We have sent something.
    answered: bool,
    /// Bytes that the client may send.
    window: i64,
    began_ms: u64,
}

/// Frames of one kind in the present second.
#[derive(Debug, Default, Clone, Copy)]
struct PerSecondCounter {
    span: u64,
    count: u32,
}

impl PerSecondCounter {
    /// Counts one, and says whether that is more than `most`.
    fn is_over(&mut self, now_ms: u64, most: u32) -> bool {
        let span = now_ms.checked_div(SPAN_MS).unwrap_or_default();
        if span != self.span {
            *self = Self { span, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count > most
    }
}

/// The meter of one connection.
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
    /// Streams that the client took back before we had answered.
    pub(crate) resets: u32,
    made_to_reset: u32,
    /// Frames that mean nothing.
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
            glitches: 0,
            pings: PerSecondCounter::default(),
            settings: PerSecondCounter::default(),
            priorities: PerSecondCounter::default(),
            updates: PerSecondCounter::default(),
            strange: PerSecondCounter::default(),
        }
    }

    /// Whether something has begun (the preface, a frame's head, a header block) and not ended.
    pub(crate) fn is_head_open(&self) -> bool {
        self.block_open || self.inbound.is_inside()
    }

    /// Streams whose request has been read to the end of its head, and that are not over. One whose
    /// head is never sent whole keeps a connection from nothing.
    pub(crate) fn requests_open(&self) -> usize {
        let is_opening = self.block_open || self.inbound.is_in_block();
        let opening = self.opened.filter(|of| is_opening && self.streams.contains_key(of));
        self.streams.len().saturating_sub(usize::from(opening.is_some()))
    }

    /// Streams on which the client could send and has more to say.
    pub(crate) fn expects_client_data(&self) -> usize {
        if self.window <= 0 {
            return 0;
        }
        self.streams.values().filter(|stream| stream.receiving && stream.window > 0).count()
    }

    /// Streams that are not over.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn open(&self) -> usize {
        self.streams.len()
    }

    /// When the oldest of them began.
    pub(crate) fn oldest_ms(&self) -> Option<u64> {
        self.streams.values().map(|stream| stream.began_ms).min()
    }

    /// Reads what the client sent.
    ///
    /// # Errors
    /// The first limit that it broke.
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

    /// Reads what was sent to the client.
    ///
    /// # Errors
    /// We were made to send too much of it.
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
            // Trailers, or a mistake that the library answers.
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
        // Announced as the last, a few more are on their way; who goes on does not listen.
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
                    stream.answered = true;
                    stream.sending &= !frame.ends_stream();
                }
                self.close_if_over(frame.stream);
            }
            FrameKind::Reset => {
                // One that is reset after its answer is an answer that did not need the body.
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
        meter.on_received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, &ProxyLimits::default()).unwrap();
        meter
    }

    /// How many of `bytes`, with streams numbered through, are taken before a fault, and which.
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
        // A visitor who leaves pages while they load takes back what was answered already.
        let mut meter = begun();
        for n in 0..500 {
            meter.on_received(&open(n, 1), 0, &limits).unwrap();
            meter.on_sent(&frame(1, 4, 2 * n + 1, b"h"), &limits).unwrap();
            assert_eq!(meter.on_received(&frame(3, 0, 2 * n + 1, &[0; 4]), 0, &limits), Ok(()));
        }
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
        // Trailers of an upload are no new request, and the contents of DATA no head.
        meter.on_received(&frame(1, 4, 3, &[0; 100]), 0, &limits).unwrap();
        meter.on_received(&frame(1, 1, 3, &[0; 100]), 0, &limits).unwrap();
        assert!(meter.is_head_open());
        assert_eq!(meter.requests_open(), 2);
        meter.on_received(&frame(9, 4, 3, &[]), 0, &limits).unwrap();
        meter.on_received(&frame(0, 0, 1, &[0; 100])[..50], 0, &limits).unwrap();
        assert!(!meter.is_head_open());
    }
}
