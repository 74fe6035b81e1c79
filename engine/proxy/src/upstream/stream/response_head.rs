//! Progress of an origin's response, as its bytes arrive.
//!
//! The limits on header sections apply before any component stores or parses them. Interim
//! responses (1xx) and the final one count together. A line may end in a bare LF, as the later
//! parser permits.
//!
//! Of the body only its length and its last bytes are kept, to tell whether more of it will come.

use memchr::memchr;

use crate::ProxyLimits;
use crate::forward::response_header::ResponseError;

/// Bytes of a line that are examined.
const LINE_BYTES: usize = 64;
/// End of a chunked body without trailers.
const LAST_CHUNK: &[u8; 5] = b"0\r\n\r\n";

/// How much of the body will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Bytes(u64),
    /// Until the last chunk, or until the connection ends.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    Body(Left),
    /// After a 101: no response follows.
    Tunnel,
}

/// Follows the response to one request.
#[derive(Debug)]
pub(super) struct ResponseHeadReader {
    stage: Stage,
    bytes: usize,
    reads: u32,
    lines: usize,
    interims: u32,
    /// The status of the current header section, once its first line is read.
    status: Option<u16>,
    length: Option<u64>,
    /// The first bytes of an incomplete line.
    begun: Vec<u8>,
    /// The last bytes of the body so far.
    tail: [u8; LAST_CHUNK.len()],
}

impl ResponseHeadReader {
    pub(super) const fn new() -> Self {
        Self {
            stage: Stage::Head,
            bytes: 0,
            reads: 0,
            lines: 0,
            interims: 0,
            status: None,
            length: None,
            begun: Vec::new(),
            tail: [0; LAST_CHUNK.len()],
        }
    }

    /// Returns whether a header section is awaited or incomplete.
    pub(super) fn awaits_head(&self) -> bool {
        self.stage == Stage::Head
    }

    /// Returns whether a header section is incomplete.
    pub(super) fn is_in_head(&self) -> bool {
        self.awaits_head() && self.bytes > 0
    }

    /// Returns the status of the last header section, once it is complete.
    pub(super) fn status(&self) -> Option<u16> {
        if self.awaits_head() { None } else { self.status }
    }

    /// Returns whether this is a tunnel.
    pub(super) fn is_tunnel(&self) -> bool {
        self.stage == Stage::Tunnel
    }

    /// Returns whether the origin owes more of its response. Without a length, a body that ends
    /// like the last chunk counts as complete.
    pub(super) fn is_owed(&self) -> bool {
        match self.stage {
            Stage::Head => true,
            Stage::Body(Left::Bytes(left)) => left > 0,
            Stage::Body(Left::Unknown) => &self.tail != LAST_CHUNK,
            Stage::Tunnel => false,
        }
    }

    /// Records the bytes of one read.
    ///
    /// # Errors
    /// A limit on header sections is exceeded. The bytes beyond it must not be stored.
    pub(super) fn came(
        &mut self,
        bytes: &[u8],
        is_to_head: bool,
        limits: &ProxyLimits,
    ) -> Result<(), ResponseError> {
        let mut rest = bytes;
        if self.awaits_head() {
            self.reads = self.reads.saturating_add(1);
        }
        while self.awaits_head() && !rest.is_empty() {
            let (line, after) = match memchr(b'\n', rest) {
                Some(at) => rest.split_at(at.saturating_add(1)),
                None => (rest, Default::default()),
            };
            rest = after;
            self.bytes = self.bytes.saturating_add(line.len());
            if self.bytes > limits.settings.origins.max_response_header_bytes {
                return Err(ResponseError::Bytes);
            }
            self.line(line, is_to_head, limits)?;
        }
        if self.awaits_head() && self.reads >= limits.max_response_header_reads {
            return Err(ResponseError::Drip);
        }
        self.body(rest);
        Ok(())
    }

    /// Records a line of a header section, or the part of one that came.
    fn line(
        &mut self,
        part: &[u8],
        is_to_head: bool,
        limits: &ProxyLimits,
    ) -> Result<(), ResponseError> {
        if !part.ends_with(b"\n") || !self.begun.is_empty() {
            let room = LINE_BYTES.saturating_sub(self.begun.len());
            self.begun.extend_from_slice(part.get(..room).unwrap_or(part));
            if !part.ends_with(b"\n") {
                return Ok(());
            }
            let whole = std::mem::take(&mut self.begun);
            return self.whole_line(&whole, is_to_head, limits);
        }
        self.whole_line(part, is_to_head, limits)
    }

    fn whole_line(
        &mut self,
        line: &[u8],
        is_to_head: bool,
        limits: &ProxyLimits,
    ) -> Result<(), ResponseError> {
        let is_empty = matches!(line, b"\n" | b"\r\n");
        let Some(status) = self.status else {
            // The parser skips empty lines before a header section too.
            if !is_empty {
                self.status = Some(status_of(line));
            }
            return Ok(());
        };
        if !is_empty {
            self.lines = self.lines.saturating_add(1);
            if self.lines > limits.max_response_headers {
                return Err(ResponseError::Fields);
            }
            self.length = self.length.or_else(|| length_of(line));
            return Ok(());
        }
        self.stage = match status {
            101 => Stage::Tunnel,
            100..=199 => return self.interim(limits),
            204 | 304 => Stage::Body(Left::Bytes(0)),
            _ if is_to_head => Stage::Body(Left::Bytes(0)),
            _ => Stage::Body(self.length.map_or(Left::Unknown, Left::Bytes)),
        };
        Ok(())
    }

    /// Records an interim response.
    fn interim(&mut self, limits: &ProxyLimits) -> Result<(), ResponseError> {
        self.interims = self.interims.saturating_add(1);
        if self.interims > limits.max_interim_responses {
            return Err(ResponseError::Interim);
        }
        // Headers and reads count per header section; the bytes count for all together.
        (self.status, self.length) = (None, None);
        (self.lines, self.reads) = (0, 0);
        Ok(())
    }

    fn body(&mut self, bytes: &[u8]) {
        match &mut self.stage {
            Stage::Body(Left::Bytes(left)) => *left = left.saturating_sub(bytes.len() as u64),
            Stage::Body(Left::Unknown) => {
                let new = bytes.len().min(self.tail.len());
                self.tail.rotate_left(new);
                let from = self.tail.len().saturating_sub(new);
                let last = bytes.get(bytes.len().saturating_sub(new)..).unwrap_or_default();
                if let Some(room) = self.tail.get_mut(from..) {
                    room.copy_from_slice(last);
                }
            }
            Stage::Head | Stage::Tunnel => {}
        }
    }
}

/// Returns the status of a status line; 0 if it has none, which the parser rejects.
fn status_of(line: &[u8]) -> u16 {
    let mut words = line.split(|byte| *byte == b' ');
    let digits = words.nth(1).unwrap_or_default().trim_ascii();
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// Returns the length of the body that a header announces, if it does.
fn length_of(line: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"content-length:";
    let name = line.get(..NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let digits = line.get(NAME.len()..)?.trim_ascii();
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> ProxyLimits {
        let mut limits = ProxyLimits {
            max_response_headers: 3,
            max_response_header_reads: 10,
            max_interim_responses: 2,
            ..ProxyLimits::default()
        };
        limits.settings.origins.max_response_header_bytes = 100;
        limits
    }

    /// Returns the result for a response that comes in pieces of so many bytes.
    fn walk(bytes: &[u8], piece: usize) -> Result<ResponseHeadReader, ResponseError> {
        let mut answer = ResponseHeadReader::new();
        for piece in bytes.chunks(piece) {
            answer.came(piece, false, &limits())?;
        }
        Ok(answer)
    }

    fn head_of(bytes: usize) -> Vec<u8> {
        let (start, end) = ("HTTP/1.1 200 OK\r\nX: ", "\r\n\r\n");
        let fill = "x".repeat(bytes - start.len() - end.len());
        format!("{start}{fill}{end}").into_bytes()
    }

    #[test]
    fn a_head_has_its_bytes_and_not_one_more_however_they_come() {
        for piece in [11, 50, 1_000] {
            let answer = walk(&head_of(100), piece).unwrap();
            assert_eq!(answer.status(), Some(200), "in pieces of {piece}");
            assert_eq!(walk(&head_of(101), piece).err(), Some(ResponseError::Bytes));
        }
    }

    #[test]
    fn a_head_has_its_fields_its_reads_and_its_interim_answers() {
        let fields = |n: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(n));
        assert!(walk(fields(3).as_bytes(), 99).is_ok());
        assert_eq!(walk(fields(4).as_bytes(), 99).err(), Some(ResponseError::Fields));
        assert!(walk(&head_of(50), 5).is_ok(), "ten reads");
        assert_eq!(walk(&head_of(55), 5).err(), Some(ResponseError::Drip));
        let interim =
            |n: usize| format!("{}HTTP/1.1 204 N\r\n\r\n", "HTTP/1.1 103 E\r\n\r\n".repeat(n));
        assert_eq!(walk(interim(2).as_bytes(), 99).unwrap().status(), Some(204));
        assert_eq!(walk(interim(3).as_bytes(), 99).err(), Some(ResponseError::Interim));
    }

    #[test]
    fn interim_heads_count_among_the_bytes_of_the_answer() {
        let long = format!("HTTP/1.1 103 E\r\nX: {}\r\n\r\n", "x".repeat(40));
        assert_eq!(walk(long.repeat(2).as_bytes(), 1_000).err(), Some(ResponseError::Bytes));
    }

    #[test]
    fn what_is_owed_is_known_from_the_length_or_the_last_chunk() {
        for (answer, is_owed) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", true),
            ("HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok", false),
            ("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", false),
            ("\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.1 304 N\r\n\r\n", false),
            ("HTTP/1.1 100 C\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 101 S\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\n\r\n2\r\nok\r\n", true),
            ("HTTP/1.1 200 OK\r\n\r\n2\r\nok\r\n0\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\n\r\n", true),
        ] {
            for piece in [7, 1_000] {
                let seen = walk(answer.as_bytes(), piece).unwrap();
                assert_eq!(seen.is_owed(), is_owed, "{answer:?} in pieces of {piece}");
            }
        }
        let mut answer = ResponseHeadReader::new();
        answer.came(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true, &limits()).unwrap();
        assert!(!answer.is_owed(), "an answer to HEAD has no body");
    }
}
