//! Local responses.
//!
//! A local response is as small as possible and names neither Seawall nor the rule. Its code leads
//! the operator back to the rule. The code is derived from generation and rule. It is no secret,
//! but has no meaning without the history of policies.

use std::fmt::{self, Write as _};

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use seawall_model::{Generation, Reason};

use crate::http1::head::Persistence;

/// Size of most header sections.
const HEAD_BYTES: usize = 160;
/// An odd number, so that the multiplication can be inverted; codes of adjacent rules look
/// unrelated.
const SPREAD: u32 = 0x9e37_79b1;
/// Its inverse modulo 2^32.
const GATHER: u32 = inverse(SPREAD);

/// Newton's iteration: an odd number is its own inverse in the lowest 3 bits, and each step doubles
/// the number of correct bits: 6, 12, 24, 48.
const fn inverse(odd: u32) -> u32 {
    let mut x = odd;
    let mut step = 0;
    while step < 4 {
        x = x.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(x)));
        step += 1;
    }
    x
}

/// Returns the opaque code of a rejection: `w-` and eight hexadecimal digits.
#[must_use]
pub fn rejection_code(generation: Generation, reason: Reason) -> String {
    RejectionCode::of(generation, reason).to_string()
}

/// The code of a rejection; `Display` writes it as it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RejectionCode(u32);

impl RejectionCode {
    /// Its length in bytes.
    const LEN: usize = 10;

    pub(crate) fn of(generation: Generation, reason: Reason) -> Self {
        Self(number(generation, reason).wrapping_mul(SPREAD))
    }
}

impl fmt::Display for RejectionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w-{:08x}", self.0)
    }
}

/// Returns what a code stands for: the low 16 bits of the generation, and the reason.
#[must_use]
pub fn decode_rejection_code(code: &str) -> Option<(u16, Reason)> {
    let digits = code.strip_prefix("w-").filter(|digits| digits.len() == 8)?;
    let number = u32::from_str_radix(digits, 16).ok()?.wrapping_mul(GATHER);
    let reason = match number & 0xffff {
        0 => Reason::Unopposed,
        1 => Reason::Banned,
        2 => Reason::Malformed,
        0xffff => Reason::OutOfFuel,
        rule => Reason::Rule(seawall_model::RuleId(rule - 3)),
    };
    u16::try_from(number >> 16).ok().map(|generation| (generation, reason))
}

/// Generation in the high half, reason in the low one. A policy has at most 10,000 rules.
fn number(generation: Generation, reason: Reason) -> u32 {
    let low = match reason {
        Reason::Unopposed => 0,
        Reason::Banned => 1,
        Reason::Malformed => 2,
        Reason::Rule(rule) => rule.0.saturating_add(3).min(0xfffe),
        Reason::OutOfFuel => 0xffff,
    };
    let high = u32::try_from(generation.0 & 0xffff).unwrap_or_default();
    high << 16 | low
}

/// Whether a response's body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyMode {
    Send,
    /// No: the request was HEAD.
    HeadersOnly,
}

/// A response made by Seawall itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalResponse {
    pub(crate) status: u16,
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) code: Option<RejectionCode>,
    pub(crate) body: BodyMode,
    pub(crate) persistence: Persistence,
}

impl LocalResponse {
    /// Returns a response after which the connection is closed.
    pub(crate) const fn last(status: u16) -> Self {
        Self {
            status,
            retry_after_ms: None,
            code: None,
            body: BodyMode::Send,
            persistence: Persistence::Close,
        }
    }

    /// Returns the body: the code, or else the phrase of the status.
    pub(crate) fn text(&self) -> String {
        self.code.map_or_else(|| format!("{}\n", meaning(self.status)), |code| format!("{code}\n"))
    }

    fn text_len(&self) -> usize {
        self.code.map_or_else(|| meaning(self.status).len(), |_| RejectionCode::LEN) + 1
    }

    /// Returns `Retry-After` in whole seconds. It is rounded up, because a client that retries too
    /// early is rejected again.
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        let ms = self.retry_after_ms.filter(|_| matches!(self.status, 429 | 503))?;
        Some(ms.div_ceil(1_000))
    }

    /// Returns the bytes of body that are sent.
    pub(crate) fn bytes_out(&self) -> u64 {
        if self.body == BodyMode::Send { self.text_len() as u64 } else { 0 }
    }

    /// Returns its fields for a client that speaks HTTP/2.
    pub(crate) fn fields(&self) -> HeaderMap {
        let mut fields = HeaderMap::with_capacity(3);
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        fields.insert(CONTENT_LENGTH, self.text_len().into());
        if let Some(seconds) = self.retry_after_s() {
            fields.insert(RETRY_AFTER, seconds.into());
        }
        fields
    }

    /// Appends the response to pending output.
    pub(crate) fn write_to(&self, out: &mut BytesMut) {
        out.reserve(HEAD_BYTES);
        // Only an allocation could fail here, and it does not return an error.
        let _infallible = self.put(out);
    }

    fn put(&self, out: &mut BytesMut) -> fmt::Result {
        let (status, meaning) = (self.status, meaning(self.status));
        let len = self.text_len();
        write!(
            out,
            "HTTP/1.1 {status} {meaning}\r\nContent-Type: text/plain\r\nContent-Length: {len}\r\n"
        )?;
        if let Some(seconds) = self.retry_after_s() {
            write!(out, "Retry-After: {seconds}\r\n")?;
        }
        if self.persistence == Persistence::Close {
            out.write_str("Connection: close\r\n")?;
        }
        out.write_str("\r\n")?;
        match (self.body, self.code) {
            (BodyMode::HeadersOnly, _) => Ok(()),
            (BodyMode::Send, Some(code)) => writeln!(out, "{code}"),
            (BodyMode::Send, None) => writeln!(out, "{meaning}"),
        }
    }
}

/// Returns the usual phrase of a status.
pub(crate) fn meaning(status: u16) -> &'static str {
    let known = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
    known.unwrap_or("Refused")
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_model::RuleId;

    fn body_text(answer: &LocalResponse) -> String {
        let mut out = BytesMut::new();
        answer.write_to(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn a_code_leads_back_to_its_rule_and_looks_like_none() {
        for (generation, reason) in [
            (1, Reason::Unopposed),
            (1, Reason::Banned),
            (2, Reason::Malformed),
            (3, Reason::OutOfFuel),
            (7, Reason::Rule(RuleId(0))),
            (65_535, Reason::Rule(RuleId(9_999))),
        ] {
            let code = rejection_code(Generation(generation), reason);
            assert_eq!(code.len(), 10, "{code}");
            assert_eq!(decode_rejection_code(&code), Some((generation as u16, reason)), "{code}");
        }
        let neighbours = [4, 5].map(|n| rejection_code(Generation(1), Reason::Rule(RuleId(n))));
        assert_ne!(neighbours[0].get(..8), neighbours[1].get(..8));
        assert_eq!(decode_rejection_code("w-12345"), None);
        assert_eq!(decode_rejection_code("N003"), None);
    }

    #[test]
    fn what_is_said_is_as_long_as_its_head_says() {
        for (code, status) in [(None, 403), (None, 431), (None, 299), (Some(RejectionCode(7)), 429)]
        {
            let answer = LocalResponse { code, ..LocalResponse::last(status) };
            let said = body_text(&answer);
            let (head, body) = said.split_once("\r\n\r\n").unwrap();
            assert_eq!(body, answer.text());
            assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
            assert_eq!(answer.bytes_out(), body.len() as u64);
        }
    }

    #[test]
    fn waiting_is_rounded_up_and_said_only_where_it_means_something() {
        let mut answer = LocalResponse { retry_after_ms: Some(1_001), ..LocalResponse::last(429) };
        assert!(body_text(&answer).contains("\r\nRetry-After: 2\r\n"));
        answer.status = 403;
        assert!(!body_text(&answer).contains("Retry-After"));
    }

    #[test]
    fn an_answer_to_head_describes_its_body_and_sends_none() {
        let answer = LocalResponse { body: BodyMode::HeadersOnly, ..LocalResponse::last(403) };
        assert_eq!(
            body_text(&answer),
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\
             Connection: close\r\n\r\n"
        );
        assert_eq!(answer.bytes_out(), 0);
    }

    #[test]
    fn an_answer_names_no_product() {
        let answer = LocalResponse { code: Some(RejectionCode(0)), ..LocalResponse::last(421) };
        let said = body_text(&answer).to_ascii_lowercase();
        assert!(
            !said.contains("server:") && !said.contains("pingora") && !said.contains("seawall")
        );
        assert!(said.ends_with("\r\n\r\nw-00000000\n"));
    }
}
