//! Returns how much a query looks generated to bypass caches.
//!
//! Bypassing a cache needs new queries, and most tools generate random letters and digits for
//! names, values or both. Decision: the score depends on the *form* of a text (unusual pairs of
//! letters, alternating letters and digits), not on the number of different bytes. By that number,
//! a word and eight random letters are equal. Usual parameters for opaque texts, such as `fbclid`,
//! `token` or `v`, get few points or none.
//!
//! Limitation: random numbers look like ids, and words of a dictionary look like searches.

mod names;
mod token;

use names::Name;
use token::{Place, Token, strangeness};

/// Most bytes of a query that are read.
const READ_BYTES_MAX: usize = 1_024;

/// Most parameters that are read.
const PARAMS_MAX: usize = 16;

/// The points, each out of 100.
mod points {
    /// A parameter without a name, such as `?x7Kq2Lp9`: an ordinary one is a word.
    pub(crate) const NO_NAME: i64 = 10;
    /// Percent-encoded letters or digits, which no browser sends.
    pub(crate) const NEEDLESSLY_ENCODED: i64 = 30;
    /// Most points for the value of a parameter for opaque texts.
    pub(crate) const OPAQUE_MAX: i64 = 10;
    /// Most points for the value of a parameter that sites themselves use to bypass caches.
    pub(crate) const VERSION_MAX: i64 = 25;
    /// Most points for the value of a search or another well-known parameter.
    pub(crate) const KNOWN_MAX: i64 = 55;
}

/// Returns how random the query looks, from 0 to 100. Act from 60 on.
#[seawall_rule::export]
pub fn query_entropy(query: &[u8]) -> i64 {
    let read = query.get(..READ_BYTES_MAX).unwrap_or(query);
    let read = read.strip_prefix(b"?").unwrap_or(read);
    let mut most = 0;
    let mut sum = 0;
    let params = read.split(|byte| matches!(byte, b'&' | b';')).filter(|param| !param.is_empty());
    for param in params.take(PARAMS_MAX) {
        let points = param_points(param);
        most = most.max(points);
        sum += points;
    }
    // One unusual parameter is almost sufficient; others add a quarter each.
    (most + (sum - most) / 4).min(100)
}

fn param_points(param: &[u8]) -> i64 {
    let mut halves = param.splitn(2, |byte| *byte == b'=');
    let (name, value) = (halves.next().unwrap_or_default(), halves.next());
    let Some(value) = value else {
        return alone(name);
    };
    let (name_token, value_token) =
        (strangeness(name, Place::Name), strangeness(value, Place::Value));
    let encoded = if name_token.needlessly_encoded || value_token.needlessly_encoded {
        points::NEEDLESSLY_ENCODED
    } else {
        0
    };
    let strange = match names::name(name) {
        Name::Tracking => 0,
        Name::Opaque => (value_token.points / 8).min(points::OPAQUE_MAX),
        Name::Version => (value_token.points / 2).min(points::VERSION_MAX),
        Name::Known => (value_token.points * 3 / 4).min(points::KNOWN_MAX),
        Name::Other => name_token.points + value_token.points,
    };
    (strange + encoded).min(100)
}

/// Returns the points of a parameter without `=`.
fn alone(text: &[u8]) -> i64 {
    let Token { points, needlessly_encoded } = strangeness(text, Place::Name);
    let bare = if points > 0 { points::NO_NAME } else { 0 };
    let encoded = if needlessly_encoded { points::NEEDLESSLY_ENCODED } else { 0 };
    (points + bare + encoded).min(100)
}

#[cfg(test)]
mod tests;
