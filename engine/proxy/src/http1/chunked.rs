//! Finds the end of a chunked body, byte by byte.
//!
//! No byte of the next request is taken for the body. What a lenient parser accepts is rejected: a
//! bare LF, a sign, an endless extension. The validator stores no bytes.

use seawall_ruleset::http::is_token_byte;

use crate::ProxyLimits;

/// A chunked body is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkError;

/// Hexadecimal digits of a chunk size: 15 of them stay below 2^60.
const SIZE_DIGITS_MAX: u8 = 15;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParserState {
    Size {
        digits: u8,
        value: u64,
    },
    /// Blanks between a size and its extension, which only a `;` may end (RFC 9112 §7.1.1).
    Blank {
        bytes: usize,
        value: u64,
    },
    Extension {
        bytes: usize,
        value: u64,
    },
    SizeEnd {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// After the last chunk: in the name of a trailer, of which so many bytes came.
    TrailerName {
        bytes: usize,
    },
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

/// What of a chunked body is forwarded. Extensions never are: they only concern one connection (RFC 9112
/// §7.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkFilter {
    /// The data alone.
    Data,
    /// The chunks, without trailers.
    Chunks,
    /// The chunks and the trailers.
    ChunksAndTrailers,
}

impl ChunkFilter {
    /// Returns whether a byte outside of the data passes that leads from one state to the next.
    const fn passes(self, before: ParserState, after: ParserState) -> bool {
        match (self, before, after) {
            (Self::Data, ..)
            | (_, _, ParserState::Blank { .. } | ParserState::Extension { .. }) => false,
            (Self::Chunks, before, after) => !is_trailer(before, after),
            _ => true,
        }
    }
}

/// Returns whether a byte that leads from one state to the next is part of a trailer line.
const fn is_trailer(before: ParserState, after: ParserState) -> bool {
    !matches!(after, ParserState::EndLf)
        && matches!(
            before,
            ParserState::TrailerName { .. } | ParserState::TrailerValue | ParserState::TrailerLf
        )
}

/// Validates one chunked body.
#[derive(Debug)]
pub(crate) struct ChunkedValidator {
    place: ParserState,
    trailer_bytes: usize,
    /// The lines of the trailers, where the data alone is forwarded.
    trailers: Vec<u8>,
    extension_bytes_max: usize,
    trailer_bytes_max: usize,
}

impl ChunkedValidator {
    pub(crate) const fn new(limits: &ProxyLimits) -> Self {
        Self {
            place: ParserState::Size { digits: 0, value: 0 },
            trailer_bytes: 0,
            trailers: Vec::new(),
            extension_bytes_max: limits.max_chunk_extension_bytes,
            trailer_bytes_max: limits.max_trailer_bytes,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.place == ParserState::End
    }

    /// Returns the lines of the trailers that [`ChunkFilter::Data`] has left out.
    pub(crate) fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Validates `bytes` and returns how many of them belong to the body.
    ///
    /// # Errors
    /// A byte is not valid at its position.
    pub(crate) fn walk(&mut self, bytes: &[u8]) -> Result<usize, ChunkError> {
        let mut rest = bytes;
        while !self.is_done() {
            if let ParserState::Data { left } = self.place {
                let here = left.min(rest.len() as u64);
                rest = rest.get(usize::try_from(here).unwrap_or(usize::MAX)..).unwrap_or_default();
                let left = left - here;
                self.place =
                    if left == 0 { ParserState::DataCr } else { ParserState::Data { left } };
            }
            let Some((byte, after)) = rest.split_first() else { break };
            self.place = self.step(*byte)?;
            rest = after;
        }
        Ok(bytes.len() - rest.len())
    }

    /// Validates `bytes` and moves what passes `filter` to their front. Returns how many bytes belong
    /// to the body, and how many of those passed.
    ///
    /// # Errors
    /// A byte is not valid at its position.
    pub(crate) fn filter(
        &mut self,
        bytes: &mut [u8],
        filter: ChunkFilter,
    ) -> Result<(usize, usize), ChunkError> {
        let (mut at, mut kept) = (0, 0);
        while !self.is_done() && at < bytes.len() {
            if let ParserState::Data { left } = self.place {
                let rest = bytes.len() - at;
                let here = usize::try_from(left).map_or(rest, |left| left.min(rest));
                let _moved = self.walk(bytes.get(at..at + here).unwrap_or_default())?;
                if at != kept {
                    bytes.copy_within(at..at + here, kept);
                }
                (at, kept) = (at + here, kept + here);
                continue;
            }
            let byte = bytes.get(at).copied().unwrap_or_default();
            let before = self.place;
            self.place = self.step(byte)?;
            at += 1;
            if filter == ChunkFilter::Data && is_trailer(before, self.place) {
                self.trailers.push(byte);
            }
            if filter.passes(before, self.place) {
                if let Some(place) = bytes.get_mut(kept) {
                    *place = byte;
                }
                kept += 1;
            }
        }
        Ok((at, kept))
    }

    fn step(&mut self, byte: u8) -> Result<ParserState, ChunkError> {
        match (self.place, byte) {
            (ParserState::Size { digits, value }, _) => self.size(digits, value, byte),
            (ParserState::Blank { bytes, value }, b' ' | b'\t')
                if bytes < self.extension_bytes_max =>
            {
                Ok(ParserState::Blank { bytes: bytes + 1, value })
            }
            (ParserState::Blank { bytes, value }, b';') => {
                Ok(ParserState::Extension { bytes, value })
            }
            (ParserState::Extension { value, .. }, b'\r') => Ok(ParserState::SizeEnd { value }),
            (ParserState::Extension { bytes, value }, _) => {
                let printable = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
                if !printable || bytes >= self.extension_bytes_max {
                    return Err(ChunkError);
                }
                Ok(ParserState::Extension { bytes: bytes + 1, value })
            }
            (ParserState::SizeEnd { value: 0 }, b'\n') => Ok(ParserState::TrailerName { bytes: 0 }),
            (ParserState::SizeEnd { value }, b'\n') => Ok(ParserState::Data { left: value }),
            (ParserState::DataCr, b'\r') => Ok(ParserState::DataLf),
            (ParserState::DataLf, b'\n') => Ok(ParserState::Size { digits: 0, value: 0 }),
            (ParserState::TrailerName { .. } | ParserState::TrailerValue, _) => self.trailer(byte),
            (ParserState::TrailerLf, b'\n') => Ok(ParserState::TrailerName { bytes: 0 }),
            (ParserState::EndLf, b'\n') => Ok(ParserState::End),
            _ => Err(ChunkError),
        }
    }

    fn size(&self, digits: u8, value: u64, byte: u8) -> Result<ParserState, ChunkError> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if digits > 0 => return Ok(ParserState::SizeEnd { value }),
            b';' if digits > 0 && self.extension_bytes_max > 0 => {
                return Ok(ParserState::Extension { bytes: 1, value });
            }
            b' ' | b'\t' if digits > 0 && self.extension_bytes_max > 0 => {
                return Ok(ParserState::Blank { bytes: 1, value });
            }
            _ => return Err(ChunkError),
        };
        if digits == SIZE_DIGITS_MAX {
            return Err(ChunkError);
        }
        Ok(ParserState::Size { digits: digits + 1, value: value * 16 + u64::from(digit) })
    }

    /// Checks the first byte of a trailer line. A trailer is a header; a line without a name may be
    /// another request.
    fn trailer(&mut self, byte: u8) -> Result<ParserState, ChunkError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > self.trailer_bytes_max && byte != b'\r' {
            return Err(ChunkError);
        }
        match (self.place, byte) {
            (ParserState::TrailerName { bytes: 0 }, b'\r') => Ok(ParserState::EndLf),
            (ParserState::TrailerName { bytes: 1.. }, b':') => Ok(ParserState::TrailerValue),
            // With a `_` it would stand for another header behind a gateway, and a trailer cannot
            // be removed.
            (ParserState::TrailerName { bytes }, _) if is_token_byte(byte) && byte != b'_' => {
                Ok(ParserState::TrailerName { bytes: bytes + 1 })
            }
            (ParserState::TrailerValue, b'\r') => Ok(ParserState::TrailerLf),
            (ParserState::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => {
                Ok(ParserState::TrailerValue)
            }
            _ => Err(ChunkError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how much of `bytes` is the body, and whether it ends there.
    fn check(bytes: &[u8]) -> Result<(usize, bool), ChunkError> {
        let mut whole = ChunkedValidator::new(&ProxyLimits::default());
        let at_once = whole.walk(bytes).map(|n| (n, whole.is_done()));
        let mut chunks = ChunkedValidator::new(&ProxyLimits::default());
        let mut taken = 0;
        for byte in bytes {
            if chunks.is_done() {
                break;
            }
            match chunks.walk(std::slice::from_ref(byte)) {
                Ok(n) => taken += n,
                Err(bad) => {
                    assert_eq!(at_once, Err(bad), "in one piece and in many");
                    return Err(bad);
                }
            }
        }
        assert_eq!(at_once, Ok((taken, chunks.is_done())), "in one piece and in many");
        at_once
    }

    #[test]
    fn a_body_ends_where_its_chunks_say() {
        for (bytes, taken, done) in [
            (&b"0\r\n\r\n"[..], 5, true),
            (b"0\r\n\r\nGET / HTTP/1.1\r\n", 5, true),
            (b"5\r\nhello\r\n0\r\n\r\nX", 15, true),
            (b"5\r\nhel", 6, false),
            (b"A;name=value\r\n0123456789\r\n00\r\n\r\n", 32, true),
            (b"0\r\nDigest: x\r\n\r\nrest", 16, true),
            (b"3\r\n\r\n0\r\n0\r\n\r\n", 13, true),
        ] {
            assert_eq!(check(bytes), Ok((taken, done)), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_a_lenient_reader_forgives_is_refused() {
        for bytes in [
            &b"5\nhello\r\n0\r\n\r\n"[..],
            b"+5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"\r\n",
            b";a\r\n",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5;a\nb\r\nhello\r\n",
            b"5;a\rb\r\nhello\r\n",
            b"0\r\nA: b\n\r\n",
            b"0\r\n\n",
            b"0\r\nA: b\rc\r\n\r\n",
            b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"0\r\nA : b\r\n\r\n",
            b"0\r\nA_B: c\r\n\r\n",
            b"0\r\n: b\r\n\r\n",
            b"0\r\n A: b\r\n\r\n",
            b"0\r\nA: b\r\n c\r\n\r\n",
            b"0\r\nA: \0\r\n\r\n",
            b"0\r\nA\r\n\r\n",
            b"1234567890123456\r\n",
        ] {
            assert_eq!(check(bytes), Err(ChunkError), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn extensions_and_trailers_end_at_their_limits() {
        let limits = ProxyLimits::default();
        let extension = |n: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(n - 1));
        let at = extension(limits.max_chunk_extension_bytes);
        assert_eq!(check(at.as_bytes()), Ok((at.len(), true)));
        let past = extension(limits.max_chunk_extension_bytes + 1);
        assert_eq!(check(past.as_bytes()), Err(ChunkError));

        // One trailer line: its bytes count, its line end does not.
        let trailer = |n: usize| format!("0\r\nt:{}\r\n\r\n", "t".repeat(n - 2));
        let at = trailer(limits.max_trailer_bytes);
        assert_eq!(check(at.as_bytes()), Ok((at.len(), true)));
        let past = trailer(limits.max_trailer_bytes + 1);
        assert_eq!(check(past.as_bytes()), Err(ChunkError));
    }

    #[test]
    fn a_size_has_fifteen_digits_at_most() {
        assert_eq!(check(b"00000000000000f\r\n"), Ok((17, false)));
        assert_eq!(check(b"000000000000000f\r\n"), Err(ChunkError));
    }
}
