//! How much a query looks like made up to get around caches.
//!
//! A cache-buster needs a query that nobody has asked before, and most tools draw letters and digits
//! by chance for its names, its values or both. Decision: what counts is how a text is *written*
//! (pairs of letters that no language has, letters and digits in turn), not how many different
//! bytes it has: by that measure an ordinary word and eight letters by chance are alike. Where
//! ordinary sites put opaque texts, such as `fbclid`, `token` or `v`, they count little or nothing.
//!
//! Where this does not protect: numbers by chance are what ordinary ids look like, and words out of
//! a dictionary are what searches look like.

mod names;
mod token;

use names::Name;
use token::{Place, Token, strangeness};

/// Bytes of a query that are read.
const READ_BYTES_MAX: usize = 1_024;

/// Parameters that are read.
const PARAMS_MAX: usize = 16;

/// What the points mean; all are out of 100.
mod points {
    /// A parameter that is a value alone, such as `?x7Kq2Lp9`: an ordinary one is a word.
    pub(crate) const NO_NAME: i64 = 10;
    /// Letters or digits in percent-encoding: no browser writes them so.
    pub(crate) const NEEDLESSLY_ENCODED: i64 = 30;
    /// The most that the value of a parameter for opaque texts may count.
    pub(crate) const OPAQUE_MAX: i64 = 10;
    /// The most that the value of a parameter that sites themselves use against caches may count.
    pub(crate) const VERSION_MAX: i64 = 25;
    /// The most that the value of a search or another well-known parameter may count.
    pub(crate) const KNOWN_MAX: i64 = 55;
}

/// How much the query looks like made up by chance, from 0 to 100. Act from 60 on.
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
    // One strange parameter says most of what there is to say; more of them add a quarter each.
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

/// A parameter without `=`.
fn alone(text: &[u8]) -> i64 {
    let Token { points, needlessly_encoded } = strangeness(text, Place::Name);
    let bare = if points > 0 { points::NO_NAME } else { 0 };
    let encoded = if needlessly_encoded { points::NEEDLESSLY_ENCODED } else { 0 };
    (points + bare + encoded).min(100)
}

#[cfg(test)]
mod tests;
