//! Finds the frames in a byte stream that another component parses.
//!
//! Nine bytes of each frame are read (RFC 9113 §4.1), and the next four if they matter. Payloads
//! are counted and skipped, so the cost is the same for all frames.

/// Bytes of a frame header.
const HEAD: usize = 9;
/// Bytes of a payload that are read: a setting has six, an increment four.
const LOOK: usize = 4;
/// Length of the client's preface.
const PREFACE: usize = 24;

/// The type of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    Unknown,
}

/// A frame whose header, and the first bytes of whose payload, have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    flags: u8,
    pub(crate) stream: u32,
    pub(crate) len: u32,
    /// The first four bytes of its payload, as far as there are any.
    pub(crate) begins: u32,
}

impl Frame {
    /// Returns the flag END_STREAM, which is ACK for other frames.
    pub(crate) const fn ends_stream(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Returns the flag ACK of SETTINGS and PING.
    pub(crate) const fn is_answer(&self) -> bool {
        self.flags & 1 != 0
    }

    pub(crate) const fn ends_headers(&self) -> bool {
        self.flags & 4 != 0
    }
}

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct FrameReader {
    preface: usize,
    head: [u8; HEAD + LOOK],
    /// Bytes of `head` that have arrived.
    have: usize,
    /// Bytes of `head` that this frame has.
    want: usize,
    /// Remaining bytes of the payload, and the type of its frame.
    left: usize,
    passing: FrameKind,
}

impl FrameReader {
    /// Returns a reader for what a client sends, or a server.
    pub(crate) const fn of(client: bool) -> Self {
        let preface = if client { PREFACE } else { 0 };
        Self {
            preface,
            head: [0; HEAD + LOOK],
            have: 0,
            want: HEAD,
            left: 0,
            passing: FrameKind::Data,
        }
    }

    /// Returns whether something is incomplete, except the content of DATA.
    pub(crate) fn is_inside(&self) -> bool {
        self.preface > 0 || self.have > 0 || (self.left > 0 && self.passing != FrameKind::Data)
    }

    /// Returns whether a header block is incomplete.
    pub(crate) fn is_in_block(&self) -> bool {
        self.left > 0 && matches!(self.passing, FrameKind::Headers | FrameKind::Continuation)
    }

    /// Reads on, and passes each frame whose beginning has arrived to `each`.
    pub(crate) fn read(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            let skipped = bytes.len().min(self.preface.max(self.left));
            if skipped > 0 {
                self.preface = self.preface.saturating_sub(skipped);
                self.left = self.left.saturating_sub(skipped);
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let taken = bytes.len().min(self.want.saturating_sub(self.have));
            let (now, rest) = bytes.split_at_checked(taken).unwrap_or((bytes, &[]));
            let end = self.have.saturating_add(taken);
            if let Some(room) = self.head.get_mut(self.have..end) {
                room.copy_from_slice(now);
            }
            self.have = end;
            bytes = rest;
            if self.have == HEAD && self.want == HEAD {
                self.want = HEAD + LOOK.min(self.len() as usize);
            }
            if self.have >= self.want {
                let frame = self.frame();
                self.passing = frame.kind;
                each(frame);
                self.left = (self.len() as usize).saturating_sub(self.want - HEAD);
                (self.have, self.want, self.head) = (0, HEAD, [0; HEAD + LOOK]);
            }
        }
    }

    const fn len(&self) -> u32 {
        let [a, b, c, ..] = self.head;
        u32::from_be_bytes([0, a, b, c])
    }

    const fn frame(&self) -> Frame {
        let [_, _, _, kind, flags, s0, s1, s2, s3, p0, p1, p2, p3] = self.head;
        let kind = match kind {
            0 => FrameKind::Data,
            1 => FrameKind::Headers,
            2 => FrameKind::Priority,
            3 => FrameKind::Reset,
            4 => FrameKind::Settings,
            5 => FrameKind::PushPromise,
            6 => FrameKind::Ping,
            7 => FrameKind::GoAway,
            8 => FrameKind::WindowUpdate,
            9 => FrameKind::Continuation,
            _ => FrameKind::Unknown,
        };
        // The highest bit of both is reserved.
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff;
        let begins = u32::from_be_bytes([p0, p1, p2, p3]);
        Frame { kind, flags, stream, len: self.len(), begins }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns an encoded frame.
    pub(in super::super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    fn read_all(frames: &mut FrameReader, bytes: &[u8]) -> Vec<Frame> {
        let mut found = Vec::new();
        frames.read(bytes, |frame| found.push(frame));
        found
    }

    #[test]
    fn frames_are_told_with_what_they_begin_with() {
        let bytes = [
            frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]),
            frame(8, 0, 5, &[0x80, 0, 0, 9]),
            frame(0, 1, 5, b"ab"),
            frame(200, 0, 0, &[]),
        ]
        .concat();
        let found = read_all(&mut FrameReader::of(false), &bytes);
        let told: Vec<_> = found.iter().map(|f| (f.kind, f.stream, f.len, f.begins)).collect();
        assert_eq!(
            told,
            [
                (FrameKind::Settings, 0, 6, 0x0003_0000),
                (FrameKind::WindowUpdate, 5, 4, 0x8000_0009),
                (FrameKind::Data, 5, 2, 0x6162_0000),
                (FrameKind::Unknown, 0, 0, 0),
            ]
        );
        assert!(found[2].ends_stream() && !found[0].is_answer());
    }

    proptest! {
        #[test]
        fn however_bytes_are_cut_the_frames_are_the_same(
            payloads in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u32>(), 0_usize..40), 0..20),
            cuts in prop::collection::vec(1_usize..30, 1..40),
        ) {
            let mut bytes = vec![b'x'; PREFACE];
            for (kind, flags, stream, len) in payloads {
                bytes.extend(frame(kind, flags, stream, &vec![7; len]));
            }
            let whole = read_all(&mut FrameReader::of(true), &bytes);
            let mut frames = FrameReader::of(true);
            let (mut rest, mut found, mut cuts) = (&bytes[..], Vec::new(), cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (now, behind) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                found.extend(read_all(&mut frames, now));
                rest = behind;
            }
            prop_assert_eq!(found, whole);
            prop_assert!(!frames.is_inside());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            read_all(&mut FrameReader::of(true), &bytes);
            read_all(&mut FrameReader::of(false), &bytes);
        }
    }
}
