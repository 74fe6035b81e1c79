//! The scenarios: one line in a table each, the work in the file of its family.
//!
//! Numbers A1 and so on are those of the catalogue in `README.md`. A scenario ends by itself: at the
//! attack's end at the latest, which `hold` and `at_rate` see to.

mod cases;
mod corpus;
mod file;
mod flood;
mod forwarded;
mod given_up;
mod h2_flood;
mod h2_reset;
mod headers;
mod hosts;
mod hpack;
mod idle;
mod many;
mod origin_heads;
mod outage;
mod reload;
mod slow;
mod smuggling;
mod tls;
mod websocket;

use crate::addresses::Spread;
use crate::attack::Attack;
use anyhow::Result;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// An attack under way.
pub(crate) type Attacking = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// As many addresses as connections.
const EACH: usize = 0;

/// One scenario and what it does if nothing else is asked for.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// What is typed.
    pub(crate) name: &'static str,
    /// Which attack of the catalogue.
    pub(crate) vector: &'static str,
    /// What it does, in a line.
    pub(crate) what: &'static str,
    /// Whether it is about TLS or about what is spoken inside.
    pub(crate) needs: Needs,
    /// Connections at once.
    pub(crate) connections: usize,
    /// Beginnings per second: of requests where connections are kept for many, else of connections.
    pub(crate) rate: u32,
    /// Source addresses; [`EACH`] is one for each connection.
    pub(crate) addresses: usize,
    /// How they lie.
    pub(crate) spread: Spread,
    /// The work.
    pub(crate) run: fn(Arc<Attack>) -> Attacking,
}

/// What the target must speak for a scenario to mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// HTTP/1.1, with `--tls` or without.
    H1,
    /// HTTP/2: by prior knowledge, with `--tls` by ALPN.
    H2,
    /// TLS itself, whatever is inside; `--tls` is implied.
    Tls,
}

impl Needs {
    /// Returns its name.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::Tls => "tls",
        }
    }
}

const FAMILIES: [&[Scenario]; 19] = [
    flood::ALL,
    slow::ALL,
    idle::ALL,
    tls::ALL,
    h2_reset::ALL,
    h2_flood::ALL,
    hpack::ALL,
    headers::ALL,
    websocket::ALL,
    forwarded::ALL,
    many::ALL,
    reload::ALL,
    outage::ALL,
    origin_heads::ALL,
    given_up::ALL,
    file::ALL,
    smuggling::ALL,
    hosts::ALL,
    hosts::BODIES,
];

/// Returns every scenario.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    FAMILIES.into_iter().flatten()
}

/// Returns the scenario of this name.
pub(crate) fn find(name: &str) -> Option<&'static Scenario> {
    all().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// Returns how many addresses for so many connections.
    pub(crate) fn addresses(&self, connections: usize) -> usize {
        if self.addresses == EACH { connections } else { self.addresses }
    }
}

#[cfg(test)]
mod tests;
