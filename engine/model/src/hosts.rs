//! Host patterns, and a map from a host to a value.
//!
//! A pattern is a name (`alice.example`), or `*.` and a name. The second form matches every name
//! below that name, but not the name itself. The exact name wins over a wildcard, and the longer
//! wildcard over the shorter. The order of the lines in `seawall.toml` does not matter.

use std::net::Ipv6Addr;

use hashbrown::HashMap;

/// A checked host pattern, lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPattern {
    name: Box<str>,
    wildcard: bool,
}

/// Why a text is not a host pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPatternError {
    /// Empty, or longer than the 253 bytes of a DNS name (RFC 1035 §2.3.4).
    Length,
    /// A `*` that is not the whole first label.
    Wildcard,
    /// A byte that is invalid in a host name (letters, digits, `-`, `_` and `.` are valid).
    Byte,
    /// The text in brackets is not an IPv6 address.
    Address,
    /// An empty label, or one longer than 63 bytes (RFC 1035 §2.3.4).
    Label,
}

impl std::fmt::Display for HostPatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Length => "a host name has 1 to 253 bytes",
            Self::Wildcard => "`*` is valid only as the whole first label, as in `*.example.org`",
            Self::Byte => {
                "a host name can contain letters, digits, `-`, `_` and `.` only; write other \
                 letters in the DNS form `xn--…`"
            }
            Self::Address => "only an IPv6 address is valid in brackets, as in `[2001:db8::1]`",
            Self::Label => "a label of a host name has 1 to 63 bytes",
        })
    }
}

impl std::error::Error for HostPatternError {}

impl HostPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// [`HostPatternError`] names the problem.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        let (name, wildcard) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
            let address = address.ok_or(HostPatternError::Address)?;
            // The host of a request is normalized in the same way, so that both forms are equal.
            return Ok(Self { name: format!("[{address}]").into(), wildcard: false });
        }
        let name = name.to_ascii_lowercase();
        if name.is_empty() || name.len() > 253 {
            return Err(HostPatternError::Length);
        }
        if name.contains('*') {
            return Err(HostPatternError::Wildcard);
        }
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            return Err(HostPatternError::Byte);
        }
        if name.split('.').any(|label| label.is_empty() || label.len() > 63) {
            return Err(HostPatternError::Label);
        }
        Ok(Self { name: name.into(), wildcard })
    }

    /// Returns whether this pattern matches every host that `other` matches.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        if !self.wildcard {
            return !other.wildcard && self.name == other.name;
        }
        let below = other
            .name
            .strip_suffix(&*self.name)
            .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1);
        below || (other.wildcard && self.name == other.name)
    }

    /// Returns whether the pattern matches `host` (lower case, no port).
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        if self.wildcard {
            host.strip_suffix(&*self.name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            host == &*self.name
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.wildcard { "*." } else { "" })?;
        f.write_str(&self.name)
    }
}

/// A map from hosts to values.
#[derive(Debug, Clone)]
pub struct HostMap<T> {
    exact: HashMap<Box<str>, T>,
    below: HashMap<Box<str>, T>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), below: HashMap::new() }
    }
}

impl<T> HostMap<T> {
    /// Stores `value` under `pattern` and returns the previous value.
    pub fn insert(&mut self, pattern: &HostPattern, value: T) -> Option<T> {
        let map = if pattern.wildcard { &mut self.below } else { &mut self.exact };
        map.insert(pattern.name.clone(), value)
    }

    /// Removes and returns the value under `pattern`.
    pub fn remove(&mut self, pattern: &HostPattern) -> Option<T> {
        let map = if pattern.wildcard { &mut self.below } else { &mut self.exact };
        map.remove(&pattern.name)
    }

    /// Returns the value for `host` (lower case, no port). Needs at most one look-up for each
    /// label.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<&T> {
        if let Some(value) = self.exact.get(host) {
            return Some(value);
        }
        if self.below.is_empty() {
            return None;
        }
        let mut rest = host;
        while let Some((label, parent)) = rest.split_once('.') {
            if let Some(value) = self.below.get(parent).filter(|_| !label.is_empty()) {
                return Some(value);
            }
            rest = parent;
        }
        None
    }

    /// Returns whether the map is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    #[test]
    fn exact_wins_over_wildcard_and_longer_over_shorter() {
        let mut map = HostMap::default();
        for name in ["*.example", "*.a.example", "b.a.example"] {
            map.insert(&pattern(name), name);
        }
        assert_eq!(map.find("b.a.example"), Some(&"b.a.example"));
        assert_eq!(map.find("c.a.example"), Some(&"*.a.example"));
        assert_eq!(map.find("a.example"), Some(&"*.example"));
        assert_eq!(map.find("x.y.a.example"), Some(&"*.a.example"));
        assert_eq!(map.find("example"), None);
        assert_eq!(map.find(".example"), None);
        assert_eq!(map.find("notexample"), None);
    }

    #[test]
    fn a_pattern_covers_what_it_names() {
        assert!(pattern("*.a.example").covers(&pattern("x.a.example")));
        assert!(pattern("*.a.example").covers(&pattern("*.x.a.example")));
        assert!(!pattern("*.a.example").covers(&pattern("a.example")));
        assert!(!pattern("a.example").covers(&pattern("*.a.example")));
        assert!(pattern("A.example").matches("a.example"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for (text, error) in [
            ("", HostPatternError::Length),
            ("a*.example", HostPatternError::Wildcard),
            ("a..example", HostPatternError::Label),
            ("a.example:80", HostPatternError::Byte),
            ("*.", HostPatternError::Length),
        ] {
            assert_eq!(HostPattern::parse(text), Err(error), "{text}");
        }
    }
}
