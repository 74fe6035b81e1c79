//! How much of a request was sent to its origin.
//!
//! If a request is given up, its origin only continues if all of it was sent. An origin that still
//! reads sees the end of the connection and stops.

use memchr::memchr;

use crate::ProxyLimits;
use crate::http1::chunked::ChunkedValidator;

#[derive(Debug)]
enum Left {
    /// Nothing was sent.
    All,
    /// So many bytes remain, with the rest of the header section.
    Bytes(u64),
    /// The rest of the header section remains, then chunks.
    Chunks { head: usize, walk: ChunkedValidator },
    /// The sent bytes cannot be parsed.
    Unclear,
}

/// Follows one request as it is sent.
#[derive(Debug)]
pub(super) struct Request {
    left: Left,
    is_head: bool,
}

impl Request {
    pub(super) const fn new() -> Self {
        Self { left: Left::All, is_head: false }
    }

    /// Returns whether the method is HEAD.
    pub(super) const fn is_head(&self) -> bool {
        self.is_head
    }

    /// Returns whether all of it was sent.
    pub(super) fn is_whole(&self) -> bool {
        match &self.left {
            Left::Bytes(left) => *left == 0,
            Left::Chunks { head, walk } => *head == 0 && walk.is_done(),
            Left::All | Left::Unclear => false,
        }
    }

    /// Records what is about to be sent; the first is a whole header section.
    pub(super) fn goes(&mut self, bytes: &[u8], limits: &ProxyLimits) {
        if matches!(self.left, Left::All) {
            self.is_head = bytes.starts_with(b"HEAD ");
            self.left = begin(bytes, limits);
        }
    }

    /// Records what was sent.
    pub(super) fn went(&mut self, bytes: &[u8]) {
        match &mut self.left {
            Left::Bytes(left) => *left = left.saturating_sub(bytes.len() as u64),
            Left::Chunks { head, walk } => {
                let of_head = bytes.len().min(*head);
                *head = head.saturating_sub(of_head);
                if walk.walk(bytes.get(of_head..).unwrap_or_default()).is_err() {
                    self.left = Left::Unclear;
                }
            }
            Left::All | Left::Unclear => {}
        }
    }
}

/// Returns what there is to send, from the header section.
fn begin(bytes: &[u8], limits: &ProxyLimits) -> Left {
    let mut rest = bytes;
    let mut length: u64 = 0;
    let mut is_chunked = false;
    while let Some(at) = memchr(b'\n', rest) {
        let (line, after) = rest.split_at(at.saturating_add(1));
        rest = after;
        if line == b"\r\n" {
            let head = bytes.len().saturating_sub(rest.len());
            return match is_chunked {
                true => Left::Chunks { head, walk: ChunkedValidator::new(limits) },
                false => Left::Bytes(length.saturating_add(head as u64)),
            };
        }
        if let Some(value) = field(line, b"content-length:") {
            let digits = std::str::from_utf8(value.trim_ascii()).ok();
            let Some(bytes) = digits.and_then(|digits| digits.parse().ok()) else {
                return Left::Unclear;
            };
            length = bytes;
        }
        is_chunked = is_chunked || field(line, b"transfer-encoding:").is_some();
    }
    Left::Unclear
}

fn field<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns after how many bytes a request in pieces of this size counts as complete.
    fn whole_after(bytes: &str, piece: usize) -> Option<usize> {
        let (mut request, limits) = (Request::new(), ProxyLimits::default());
        let mut sent = 0;
        let head = bytes.find("\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        request.goes(&bytes.as_bytes()[..head], &limits);
        for piece in bytes.as_bytes().chunks(piece) {
            request.went(piece);
            sent += piece.len();
            if request.is_whole() {
                return Some(sent);
            }
        }
        None
    }

    #[test]
    fn a_request_is_whole_with_its_last_byte_and_not_before() {
        for request in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nHost: a\r\n\r\nhello",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n",
        ] {
            assert_eq!(whole_after(request, 1), Some(request.len()), "{request:?}");
            assert_eq!(whole_after(request, 1_000), Some(request.len()), "{request:?}");
            let cut = request.get(..request.len() - 1).unwrap();
            assert_eq!(whole_after(cut, 1), None, "{cut:?}");
        }
    }

    #[test]
    fn what_is_no_head_is_never_whole() {
        for odd in ["GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"] {
            assert_eq!(whole_after(odd, 1_000), None, "{odd:?}");
        }
    }
}
