//! How many of the fields that every browser sends are missing where a browser is claimed.
//!
//! A rule computes, and the policy counts and acts. It sees only what it is given, and keeps nothing
//! between calls: no `static` that changes, no clock, no chance, no files.

use seawall_rule::Headers;

/// Every browser sends these with every request.
const EXPECTED: [&str; 3] = ["accept", "accept-encoding", "accept-language"];

/// From 0, nothing is missing, to 3. Who does not claim to be a browser is not judged.
///
/// It may take `bool`, `i64`, `&[u8]` (a text), `IpAddr` and `Headers<'_>`, at most six of them, and
/// answers `bool`, `i64`, `String` or `Vec<u8>`.
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

    /// An ordinary function, so an ordinary test: `cargo test`.
    #[test]
    fn what_is_missing_is_counted() {
        let all = pack(&[("host", "a.example"), ("accept", "*/*")]);
        assert_eq!(template_rule(b"Mozilla/5.0", Headers::new(&all)), 2);
        assert_eq!(template_rule(b"curl/8.5.0", Headers::new(&all)), 0);
    }
}
