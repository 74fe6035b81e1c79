//! How many small signs of a made-up or forgotten browser a User-Agent has.
//!
//! Attack tools carry lists of agents that were gathered once and never again, or put agents together
//! out of parts by chance. Decision: many weak signs with weights rather than a list of bad agents,
//! so that a tool's next list is judged as its last one was; and what a browser *cannot* say weighs
//! more than what hardly any still says.
//! Who says that it is a machine is not judged: that it lies cannot be seen here.
//!
//! Where this does not protect: one agent of a current browser, copied, scores 0.

mod age;
mod agent;
mod clash;
mod hints;
mod weights;

use agent::Agent;
use seawall_rule::Headers;

/// Bytes of a User-Agent that are read. Browsers' have up to 200, apps' up to 400.
const READ_BYTES_MAX: usize = 512;

/// How much the User-Agent looks like out of an attack tool, from 0 to 100. Act from 60 on.
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

/// Without quotes and line ends, which count by themselves and must not spoil what they surround.
fn within_dirt(text: &[u8]) -> &[u8] {
    let is_dirt = |byte: &u8| matches!(byte, b'"' | b'\'') || byte.is_ascii_whitespace();
    let start = text.iter().position(|byte| !is_dirt(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_dirt(byte)).map_or(start, |at| at + 1);
    text.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
