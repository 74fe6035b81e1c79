//! HTTP/1.1 as far as a client needs it: requests out, responses in.

use crate::caps::{ANSWER_BYTES_MAX, HEAD_BYTES_MAX};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Headers of a browser, so that a policy with rules about headers admits a visitor.
pub(crate) const BROWSER: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) \
    Gecko/20100101 Firefox/140.0\r\nAccept: text/html,application/xhtml+xml,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n\
    Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n";

/// Returns a whole request without a body. `fields` are further lines, each with its line end.
pub(crate) fn head(method: &str, path: &str, host: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{BROWSER}{fields}\r\n")
}

/// Returns a header section without its last line end, for scenarios that never finish it.
pub(crate) fn unfinished(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n")
}

/// One response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Whether the server ends the connection after it.
    pub(crate) close: bool,
    /// Header section and body as they came.
    pub(crate) bytes: Vec<u8>,
    /// Where the body starts.
    pub(crate) head_bytes: usize,
}

/// Reads responses from one connection; bytes after a response are kept for the next.
pub(crate) struct Reader {
    held: Vec<u8>,
    any: bool,
}

enum Length {
    Bytes(usize),
    Chunked,
    UntilClose,
}

struct Head {
    status: u16,
    bytes: usize,
    close: bool,
    length: Length,
}

impl Reader {
    /// For a new connection.
    pub(crate) fn new() -> Self {
        Self { held: Vec::new(), any: false }
    }

    /// Returns whether a byte of the failed response had come.
    pub(crate) fn began(&self) -> bool {
        self.any
    }

    /// Returns the next response; interim ones (1xx but 101) are skipped.
    ///
    /// # Errors
    /// The connection ended before the response did (`UnexpectedEof`), or it is invalid
    /// (`InvalidData`).
    pub(crate) async fn answer<R: AsyncRead + Unpin>(
        &mut self,
        io: &mut R,
        to_head: bool,
    ) -> io::Result<Answer> {
        self.any = !self.held.is_empty();
        loop {
            let head = self.head(io, to_head).await?;
            let end = match head.length {
                Length::Bytes(bytes) => head.bytes.saturating_add(bytes),
                Length::Chunked => self.chunks(io, head.bytes).await?,
                Length::UntilClose => self.rest(io).await?,
            };
            self.until(io, end).await?;
            let later = self.held.split_off(end);
            let bytes = std::mem::replace(&mut self.held, later);
            if head.status >= 200 || head.status == 101 {
                return Ok(Answer {
                    status: head.status,
                    close: head.close,
                    bytes,
                    head_bytes: head.bytes,
                });
            }
        }
    }

    async fn head<R: AsyncRead + Unpin>(&mut self, io: &mut R, to_head: bool) -> io::Result<Head> {
        loop {
            if let Some(head) = parse(&self.held, to_head)? {
                return Ok(head);
            }
            if self.held.len() > HEAD_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.more(io).await?;
        }
    }

    async fn more<R: AsyncRead + Unpin>(&mut self, io: &mut R) -> io::Result<()> {
        if self.held.len() > ANSWER_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        match io.read_buf(&mut self.held).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {
                self.any = true;
                Ok(())
            }
        }
    }

    async fn until<R: AsyncRead + Unpin>(&mut self, io: &mut R, end: usize) -> io::Result<()> {
        while self.held.len() < end {
            self.more(io).await?;
        }
        Ok(())
    }

    async fn rest<R: AsyncRead + Unpin>(&mut self, io: &mut R) -> io::Result<usize> {
        loop {
            match self.more(io).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(self.held.len());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns where the chunks that begin at `at` end.
    async fn chunks<R: AsyncRead + Unpin>(
        &mut self,
        io: &mut R,
        mut at: usize,
    ) -> io::Result<usize> {
        let mut last = false;
        loop {
            let Some(line) = line_at(&self.held, at) else {
                self.more(io).await?;
                continue;
            };
            let after = at.saturating_add(line.len()).saturating_add(2);
            if last {
                // Trailers, up to the empty line.
                if line.is_empty() {
                    return Ok(after);
                }
                at = after;
                continue;
            }
            let size = chunk_size(line)?;
            last = size == 0;
            at = if last { after } else { after.saturating_add(size).saturating_add(2) };
            self.until(io, at).await?;
        }
    }
}

fn line_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    rest.get(..end)
}

fn chunk_size(line: &[u8]) -> io::Result<usize> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let text = std::str::from_utf8(digits).map_err(|_| io::ErrorKind::InvalidData)?;
    let size = usize::from_str_radix(text.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
    if size > ANSWER_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(size)
}

fn parse(bytes: &[u8], to_head: bool) -> io::Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    let has = |name: &str, word: &str| {
        response.headers.iter().any(|field| {
            field.name.eq_ignore_ascii_case(name)
                && field
                    .value
                    .to_ascii_lowercase()
                    .windows(word.len())
                    .any(|w| w == word.as_bytes())
        })
    };
    let named = |name: &str| {
        let field = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        field.and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse().ok())
    };
    let empty = to_head || status < 200 || status == 204 || status == 304;
    let kind = match named("content-length") {
        _ if empty => Length::Bytes(0),
        _ if has("transfer-encoding", "chunked") => Length::Chunked,
        Some(bytes) => Length::Bytes(bytes),
        None => Length::UntilClose,
    };
    let old = response.version == Some(0) && !has("connection", "keep-alive");
    let close = old || has("connection", "close") || matches!(kind, Length::UntilClose);
    Ok(Some(Head { status, bytes: length, close, length: kind }))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(text: &str) -> Vec<(u16, bool, String)> {
        let mut io = text.as_bytes();
        let mut reader = Reader::new();
        let mut answers = Vec::new();
        while let Ok(answer) = reader.answer(&mut io, false).await {
            let body = String::from_utf8(answer.bytes[answer.head_bytes..].to_vec()).unwrap();
            answers.push((answer.status, answer.close, body));
        }
        answers
    }

    #[tokio::test]
    async fn answers_end_where_they_say() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\
            HTTP/1.1 204 No\r\n\r\nHTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n\
            3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end";
        let found = all(text).await;
        let expected = [
            (200, false, "ok".to_owned()),
            (204, false, String::new()),
            (403, false, "3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n".to_owned()),
            (200, true, "to the end".to_owned()),
        ];
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn an_answer_cut_short_is_none() {
        let mut reader = Reader::new();
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort";
        let error = reader.answer(&mut text.as_bytes(), false).await.unwrap_err();
        assert_eq!((error.kind(), reader.began()), (io::ErrorKind::UnexpectedEof, true));
        let mut reader = Reader::new();
        reader.answer(&mut "".as_bytes(), false).await.unwrap_err();
        assert!(!reader.began());
        let error = Reader::new().answer(&mut "HTTP/2 what\r\n\r\n".as_bytes(), false).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
