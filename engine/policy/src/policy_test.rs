//! The checked `test` blocks of a policy: names are resolved, and values are known.
//!
//! This is the test as its author wrote it. The test runner converts it to requests.

use std::net::IpAddr;

use seawall_model::{PassKind, Proto, RuleId, VerdictKind};

use crate::diagnostic::FileId;
use crate::ids::{LevelId, ListId};
use crate::set::Set;
use crate::span::Span;

/// A policy test.
#[derive(Debug, Clone)]
pub struct PolicyTest {
    /// Its name.
    pub name: Box<str>,
    /// The file that contains it.
    pub file: FileId,
    /// The position of its name.
    pub span: Span,
    /// The member whose file contains it.
    pub member: Option<Box<str>>,
    /// The level for the whole test.
    pub level: Option<LevelId>,
    /// Lists replaced for the whole test.
    pub lists: Vec<(ListId, Set)>,
    /// Values of the address tables for clients.
    pub clients: Vec<(IpAddr, TestClient)>,
    /// The steps, in source order.
    pub steps: Vec<TestStep>,
}

impl PolicyTest {
    /// Returns how many requests the test sends.
    #[must_use]
    pub fn requests(&self) -> u64 {
        let sent = |step: &TestStep| match step {
            TestStep::Request(request) => request.times,
            _ => 0,
        };
        self.steps.iter().map(sent).fold(0, u64::saturating_add)
    }
}

/// Facts about a client of a test.
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
    /// Sends requests.
    Request(Box<TestRequest>),
    /// Lets time pass.
    Wait {
        /// Milliseconds.
        ms: u64,
    },
    /// Checks the last request.
    Expect {
        /// The expected result.
        expected: Expected,
        /// The rule that must have decided.
        by: Option<RuleId>,
        /// The position for diagnostics.
        span: Span,
    },
}

/// The expected result of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// The request reached the origin, for any reason.
    Pass,
    /// This verdict; omitted arguments match any value.
    Verdict {
        /// The kind of verdict.
        kind: VerdictKind,
        /// The status, if given.
        status: Option<u16>,
        /// The kind of proof, if given.
        proof: Option<PassKind>,
        /// Milliseconds of a ban, a tarpit or a pass, if given.
        for_ms: Option<u64>,
    },
}

/// The pass of a test request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TestPass {
    /// No pass.
    #[default]
    None,
    /// A new pass of the strongest kind.
    Fresh,
    /// A pass of this age in milliseconds.
    Aged(u64),
    /// A pass of this kind and of this age in milliseconds.
    Of(PassKind, u64),
}

/// A request of a test.
#[derive(Debug, Clone)]
pub struct TestRequest {
    /// The method as written.
    pub method: Box<str>,
    /// Whether the URL has `https`.
    pub encrypted: bool,
    /// The host of the URL, with its port.
    pub authority: Box<str>,
    /// Path and query of the URL, as written.
    pub target: Box<str>,
    /// The client address.
    pub from: IpAddr,
    /// Header fields in source order, names in lower case. Cookies are among them.
    pub headers: Vec<(Box<str>, Box<[u8]>)>,
    /// Values of the address tables for this request, in addition to `given client`.
    pub client: TestClient,
    /// The fingerprint of the ClientHello.
    pub ja4: Option<Box<str>>,
    /// The protocol.
    pub proto: Proto,
    /// The open connections of the client, if given.
    pub connections: Option<u32>,
    /// The requests of the client in flight, if given.
    pub in_flight: Option<u32>,
    /// The pass in the request.
    pub pass: TestPass,
    /// The status of the origin's response.
    pub status: u16,
    /// Milliseconds until the origin's response.
    pub answered_after_ms: u64,
    /// Bytes of the origin's response.
    pub answer_bytes: u64,
    /// The number of requests.
    pub times: u64,
    /// The milliseconds over which the requests are spread; `None` is one millisecond between two.
    pub over_ms: Option<u64>,
    /// The position of the line, for diagnostics.
    pub span: Span,
}
