//! The `test` blocks of a policy, checked: names resolved, values known.
//!
//! What a request of a test looks like to the engine is the runner's business; here it is what the
//! author wrote.

use std::net::IpAddr;

use seawall_model::{PassKind, Proto, RuleId, VerdictKind};

use crate::diagnostic::FileId;
use crate::ids::{LevelId, ListId};
use crate::set::Set;
use crate::span::Span;

/// A test.
#[derive(Debug, Clone)]
pub struct PolicyTest {
    /// What it says.
    pub name: Box<str>,
    /// The file where it stands.
    pub file: FileId,
    /// Its name there.
    pub span: Span,
    /// The member whose file it stands in.
    pub member: Option<Box<str>>,
    /// The level that holds for all of it.
    pub level: Option<LevelId>,
    /// Lists replaced for all of it.
    pub lists: Vec<(ListId, Set)>,
    /// What the address tables say of clients.
    pub clients: Vec<(IpAddr, TestClient)>,
    /// In page order.
    pub steps: Vec<TestStep>,
}

impl PolicyTest {
    /// How many requests it sends.
    #[must_use]
    pub fn requests(&self) -> u64 {
        let sent = |step: &TestStep| match step {
            TestStep::Request(request) => request.times,
            _ => 0,
        };
        self.steps.iter().map(sent).fold(0, u64::saturating_add)
    }
}

/// What is known of a client of a test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestClient {
    /// The autonomous system.
    pub asn: Option<u32>,
    /// The country.
    pub country: Option<[u8; 2]>,
    /// The verified crawler.
    pub crawler: Option<Box<str>>,
}

/// A line of a test.
#[derive(Debug, Clone)]
pub enum TestStep {
    /// Requests.
    Request(Box<TestRequest>),
    /// Time passes.
    Wait {
        /// Milliseconds.
        ms: u64,
    },
    /// Judges the last request.
    Expect {
        /// What.
        expected: Expected,
        /// Which rule must have decided.
        by: Option<RuleId>,
        /// The place to complain at.
        span: Span,
    },
}

/// What a test expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Reached the origin, by whatever road.
    Pass,
    /// This verdict; arguments left out match any.
    Verdict {
        /// Which.
        kind: VerdictKind,
        /// The status, where one was written.
        status: Option<u16>,
        /// The kind of proof, where one was written.
        proof: Option<PassKind>,
        /// Milliseconds of a ban, a tarpit or a pass, where they were written.
        for_ms: Option<u64>,
    },
}

/// A pass of a test's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TestPass {
    /// None.
    #[default]
    None,
    /// A fresh one of the strongest kind.
    Fresh,
    /// One issued so many milliseconds ago.
    Aged(u64),
    /// One of this kind, issued so many milliseconds ago.
    Of(PassKind, u64),
}

/// What a test sends.
#[derive(Debug, Clone)]
pub struct TestRequest {
    /// As written.
    pub method: Box<str>,
    /// `https` in the URL.
    pub encrypted: bool,
    /// The host of the URL, port and all.
    pub authority: Box<str>,
    /// Path and query of the URL, as written.
    pub target: Box<str>,
    /// From whom.
    pub from: IpAddr,
    /// Header fields in page order, names in lower case; cookies are among them.
    pub headers: Vec<(Box<str>, Box<[u8]>)>,
    /// What the address tables say for this request, beside `given client`.
    pub client: TestClient,
    /// The fingerprint of the ClientHello.
    pub ja4: Option<Box<str>>,
    /// The protocol.
    pub proto: Proto,
    /// The client's open connections, where the line says so.
    pub connections: Option<u32>,
    /// Its requests under way, where the line says so.
    pub in_flight: Option<u32>,
    /// What pass it carries.
    pub pass: TestPass,
    /// The origin's status.
    pub status: u16,
    /// Milliseconds until the origin's answer.
    pub answered_after_ms: u64,
    /// Bytes of the origin's answer.
    pub answer_bytes: u64,
    /// How often.
    pub times: u64,
    /// Spread over so many milliseconds; `None` is one millisecond apart.
    pub over_ms: Option<u64>,
    /// The line, for messages.
    pub span: Span,
}
