//! How a body ends, and how far it is.

use crate::ProxyLimits;
use crate::http1::chunked::ChunkedValidator;
use crate::http1::head::Framing;

/// A body whose framing is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyError;

/// A walk along one body.
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

    /// Returns how many of `bytes` belong to the body, and goes past them.
    ///
    /// # Errors
    /// The framing is broken.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<usize, BodyError> {
        match self {
            Self::Length(left) => {
                let here = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= here as u64;
                Ok(here)
            }
            Self::Chunked(walk) => walk.walk(bytes).map_err(|_| BodyError),
            Self::UntilClose => Ok(bytes.len()),
        }
    }

    /// Returns how many bytes at the front of `bytes` belong to the body, and how many of those are
    /// left once the framing of chunks is taken out.
    ///
    /// # Errors
    /// The framing is broken.
    pub(crate) fn take_unchunked(&mut self, bytes: &mut [u8]) -> Result<(usize, usize), BodyError> {
        match self {
            Self::Chunked(walk) => walk.unchunk(bytes).map_err(|_| BodyError),
            _ => self.take(bytes).map(|count| (count, count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_framing_takes_its_own_bytes_and_no_others() {
        let limits = ProxyLimits::default();
        let mut length = Body::Length(5);
        assert_eq!((length.take(b"abc"), length.take(b"defgh")), (Ok(3), Ok(2)));
        assert!(length.is_done());
        assert_eq!(length.take(b"next"), Ok(0));
        let mut chunked = Body::of_request(Framing::Chunked, &limits);
        assert_eq!(chunked.take(b"3\r\nabc\r\n0\r\n\r\nGET"), Ok(13));
        assert!(chunked.is_done());
        assert_eq!(Body::of_request(Framing::Chunked, &limits).take(b"3\nabc"), Err(BodyError));
        let mut open = Body::UntilClose;
        assert_eq!((open.take(b"abc"), open.is_done()), (Ok(3), false));
        assert!(Body::EMPTY.is_done());
    }

    #[test]
    fn chunks_become_their_data_however_they_arrive() {
        let whole = b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nt: v\r\n\r\nnext";
        for piece in 1..=whole.len() {
            let mut body = Body::of_request(Framing::Chunked, &ProxyLimits::default());
            let (mut data, mut taken) = (Vec::new(), 0);
            for part in whole.chunks(piece) {
                let mut part = part.to_vec();
                let (count, kept) = body.take_unchunked(&mut part).unwrap();
                data.extend_from_slice(&part[..kept]);
                taken += count;
            }
            assert_eq!((data.as_slice(), taken), (&b"abcde"[..], whole.len() - 4), "{piece}");
        }
    }
}
