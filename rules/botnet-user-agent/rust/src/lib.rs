//! Returns how many signs of an invented or outdated browser a User-Agent has.
//!
//! Attack tools contain lists of agents that are never updated, or build agents at random from
//! parts. Decision: many weak signs with weights, rather than a list of bad agents, so that the
//! next list of a tool gets the same points. A sign that is *impossible* for a browser weighs more
//! than a rare one. Declared machines get no points, because the rule cannot verify their claim.
//!
//! Limitation: a copied User-Agent of a current browser gets 0 points.

mod age;
mod agent;
mod clash;
mod hints;
mod weights;

use agent::Agent;
use seawall_rule::Headers;

/// Most bytes of a User-Agent that are read. Browsers send up to 200, apps up to 400.
const READ_BYTES_MAX: usize = 512;

/// Returns how much the User-Agent looks like that of an attack tool, from 0 to 100. Act from 60
/// on.
#[seawall_rule::export]
pub fn botnet_user_agent(ua: &[u8], all: Headers<'_>) -> i64 {
    let read = ua.get(..READ_BYTES_MAX).unwrap_or(ua);
    if read.iter().all(u8::is_ascii_whitespace) {
        return weights::ABSENT;
    }
    let agent = Agent::read(within_dirt(read));
    let written = clash::writing(read, &agent);
    if agent.says_machine {
        return written.min(100);
    }
    let said = age::points(&agent) + clash::points(&agent);
    (written + said + clash::tool(&agent) + hints::points(ua, &agent, all)).min(100)
}

/// Returns the text without quotes and line ends, which have points of their own.
fn within_dirt(text: &[u8]) -> &[u8] {
    let is_dirt = |byte: &u8| matches!(byte, b'"' | b'\'') || byte.is_ascii_whitespace();
    let start = text.iter().position(|byte| !is_dirt(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_dirt(byte)).map_or(start, |at| at + 1);
    text.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
