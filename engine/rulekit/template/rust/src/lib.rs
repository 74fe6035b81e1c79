//! Counts the header fields that every browser sends and that are missing in a request whose
//! User-Agent claims a browser.
//!
//! A rule only computes; the policy counts and acts. A rule sees only its arguments and keeps no
//! state between calls: no mutable `static`, no clock, no random numbers, no files.

use seawall_rule::Headers;

/// Every browser sends these with every request.
const EXPECTED: [&str; 3] = ["accept", "accept-encoding", "accept-language"];

/// Returns a number from 0 (nothing is missing) to 3. Returns 0 if the User-Agent claims no
/// browser.
///
/// The parameters can be `bool`, `i64`, `&[u8]` (a text), `IpAddr` and `Headers<'_>`, at most six.
/// The result can be `bool`, `i64`, `String` or `Vec<u8>`.
#[seawall_rule::export]
pub fn template_rule(ua: &[u8], all: Headers<'_>) -> i64 {
    if !ua.starts_with(b"Mozilla/") {
        return 0;
    }
    EXPECTED.iter().map(|name| i64::from(!all.has(name))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_rule::pack;

    /// An ordinary function has an ordinary test: `cargo test`.
    #[test]
    fn what_is_missing_is_counted() {
        let all = pack(&[("host", "a.example"), ("accept", "*/*")]);
        assert_eq!(template_rule(b"Mozilla/5.0", Headers::new(&all)), 2);
        assert_eq!(template_rule(b"curl/8.5.0", Headers::new(&all)), 0);
    }
}
