//! How a body ends, and how much of it is to come.

use std::io::Write;

use crate::ProxyLimits;
use crate::http1::chunked::{ChunkFilter, ChunkedValidator};
use crate::http1::head::Framing;

/// Bytes that the framing of one chunk of our own and the last chunk need at most.
pub(crate) const CHUNK_FRAMING_BYTES: usize = 32;
/// The end of a body that we send in chunks.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Returns the size line of a chunk of our own, and the line's length.
pub(crate) fn chunk_line(bytes: usize) -> ([u8; CHUNK_FRAMING_BYTES], usize) {
    let mut line = [0_u8; CHUNK_FRAMING_BYTES];
    let mut rest = line.as_mut_slice();
    // A size in hexadecimal digits is shorter than the array.
    let _infallible = write!(rest, "{bytes:x}\r\n");
    let len = CHUNK_FRAMING_BYTES - rest.len();
    (line, len)
}

/// A body whose framing is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyError;

/// What is to come of one body.
#[derive(Debug)]
pub(crate) enum Body {
    /// So many bytes are still to come.
    Length(u64),
    /// Until the last chunk.
    Chunked(ChunkedValidator),
    /// Until the stream ends.
    UntilClose,
}

impl Body {
    /// A body without bytes.
    pub(crate) const EMPTY: Self = Self::Length(0);

    /// The body of a request.
    pub(crate) fn of_request(framing: Framing, limits: &ProxyLimits) -> Self {
        match framing {
            Framing::Length(bytes) => Self::Length(bytes),
            Framing::Chunked => Self::Chunked(ChunkedValidator::new(limits)),
        }
    }

    /// Whether all of it has passed. One that lasts until the stream ends never is.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(walk) => walk.is_done(),
            Self::UntilClose => false,
        }
    }

    /// Returns the lines of the trailers that [`ChunkFilter::Data`] has left out.
    pub(crate) fn trailers(&self) -> &[u8] {
        match self {
            Self::Chunked(walk) => walk.trailers(),
            Self::Length(_) | Self::UntilClose => &[],
        }
    }

    /// Returns how many bytes at the front of `bytes` belong to the body, and how many of those are
    /// left, at the front, of what `filter` lets pass of chunks.
    ///
    /// # Errors
    /// The framing is malformed.
    pub(crate) fn take(
        &mut self,
        bytes: &mut [u8],
        filter: ChunkFilter,
    ) -> Result<(usize, usize), BodyError> {
        match self {
            Self::Length(left) => {
                let here = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= here as u64;
                Ok((here, here))
            }
            Self::Chunked(walk) => walk.filter(bytes, filter).map_err(|_| BodyError),
            Self::UntilClose => Ok((bytes.len(), bytes.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(body: &mut Body, bytes: &[u8]) -> Result<(usize, usize), BodyError> {
        body.take(&mut bytes.to_vec(), ChunkFilter::Chunks)
    }

    #[test]
    fn each_framing_takes_its_own_bytes_and_no_others() {
        let limits = ProxyLimits::default();
        let mut length = Body::Length(5);
        assert_eq!(take(&mut length, b"abc"), Ok((3, 3)));
        assert_eq!(take(&mut length, b"defgh"), Ok((2, 2)));
        assert!(length.is_done());
        assert_eq!(take(&mut length, b"next"), Ok((0, 0)));
        let mut chunked = Body::of_request(Framing::Chunked, &limits);
        assert_eq!(take(&mut chunked, b"3\r\nabc\r\n0\r\n\r\nGET"), Ok((13, 13)));
        assert!(chunked.is_done());
        let mut malformed = Body::of_request(Framing::Chunked, &limits);
        assert_eq!(take(&mut malformed, b"3\nabc"), Err(BodyError));
        let mut open = Body::UntilClose;
        assert_eq!((take(&mut open, b"abc"), open.is_done()), (Ok((3, 3)), false));
        assert!(Body::EMPTY.is_done());
    }

    #[test]
    fn chunks_lose_what_is_not_forwarded_however_they_arrive() {
        let whole = b"3 ;x=y\r\nabc\r\n02;z\r\nde\r\n0;last\r\nt: v\r\nu: w\r\n\r\nnext";
        for (filter, left) in [
            (ChunkFilter::Data, "abcde"),
            (ChunkFilter::Chunks, "3\r\nabc\r\n02\r\nde\r\n0\r\n\r\n"),
            (ChunkFilter::ChunksAndTrailers, "3\r\nabc\r\n02\r\nde\r\n0\r\nt: v\r\nu: w\r\n\r\n"),
        ] {
            for piece in 1..=whole.len() {
                let mut body = Body::of_request(Framing::Chunked, &ProxyLimits::default());
                let (mut passed, mut taken) = (Vec::new(), 0);
                for part in whole.chunks(piece) {
                    let mut part = part.to_vec();
                    let (count, kept) = body.take(&mut part, filter).unwrap();
                    passed.extend_from_slice(&part[..kept]);
                    taken += count;
                }
                let passed = String::from_utf8(passed).unwrap();
                assert_eq!((passed.as_str(), taken), (left, whole.len() - 4), "{piece}");
            }
        }
    }
}
