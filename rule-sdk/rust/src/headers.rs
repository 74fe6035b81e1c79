//! The header fields of the request, read from the packed list of the contract.
//!
//! Decision: an iterator over borrowed bytes, not a map. Most rules read all fields once, and
//! building a map would cost more fuel than the rule itself.

/// The header fields, in the order of arrival. Names are in lower case. A repeated field occurs
/// repeatedly. Iteration consumes the fields; clone the value (two words) to start again.
///
/// ```
/// let packed = seawall_rule::pack(&[("accept", "*/*")]);
/// let all = seawall_rule::Headers::new(&packed);
/// assert_eq!(all.value("accept"), Some(&b"*/*"[..]));
/// assert!(all.clone().all(|(name, _)| name == b"accept"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers<'r> {
    left: &'r [u8],
}

impl<'r> Headers<'r> {
    /// Creates the fields from `packed`; see [`pack`].
    #[must_use]
    pub const fn new(packed: &'r [u8]) -> Self {
        Self { left: packed }
    }

    /// Returns the value of the first field with this name (lower case).
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'r [u8]> {
        self.clone().find(|(have, _)| *have == name.as_bytes()).map(|(_, value)| value)
    }

    /// Returns whether there is a field with this name (lower case).
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }
}

impl std::fmt::Debug for Headers<'_> {
    /// Prints only the number of bytes, because the fields belong to a client.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Headers({} bytes)", self.left.len())
    }
}

impl<'r> Iterator for Headers<'r> {
    type Item = (&'r [u8], &'r [u8]);

    /// Returns the next field. Invalid bytes end the iteration; the server never sends such.
    fn next(&mut self) -> Option<Self::Item> {
        let (name_len, rest) = self.left.split_first_chunk::<2>()?;
        let (value_len, rest) = rest.split_first_chunk::<4>()?;
        let name_len = usize::from(u16::from_le_bytes(*name_len));
        let value_len = usize::try_from(u32::from_le_bytes(*value_len)).ok()?;
        let (name, rest) = rest.split_at_checked(name_len)?;
        let (value, rest) = rest.split_at_checked(value_len)?;
        self.left = rest;
        Some((name, value))
    }
}

/// Packs fields as the server does, for the tests of a rule. Omits names longer than 65,535 bytes,
/// which the server rejects.
#[must_use]
pub fn pack<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        let (name, value) = (name.as_ref(), value.as_ref());
        let (Ok(name_len), Ok(value_len)) = (u16::try_from(name.len()), u32::try_from(value.len()))
        else {
            continue;
        };
        out.extend_from_slice(&name_len.to_le_bytes());
        out.extend_from_slice(&value_len.to_le_bytes());
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of docs/rule-abi.md, which a test of the server produces.
    const DOCUMENTED: &[u8] = b"\x04\0\x09\0\0\0hosta.example\x02\0\0\0\0\0te";

    #[test]
    fn the_documented_bytes_are_read() {
        let fields: Vec<_> = Headers::new(DOCUMENTED).collect();
        assert_eq!(fields, [(&b"host"[..], &b"a.example"[..]), (b"te", b"")]);
        assert_eq!(pack(&[("host", "a.example"), ("te", "")]), DOCUMENTED);
    }

    #[test]
    fn looking_for_a_field_takes_nothing_away() {
        let all = Headers::new(DOCUMENTED);
        assert_eq!(all.value("te"), Some(&b""[..]));
        assert!(all.has("host") && !all.has("hos"));
        assert_eq!(all.count(), 2);
    }

    #[test]
    fn damaged_bytes_end_the_fields() {
        for len in 0..DOCUMENTED.len() {
            let whole = Headers::new(&DOCUMENTED[..len]).count();
            assert_eq!(whole, usize::from(len >= 19), "{len}");
        }
        let endless = [0xff; 32];
        assert_eq!(Headers::new(&endless).count(), 0);
        assert_eq!(Headers::default().count(), 0);
    }

    #[test]
    fn a_name_that_no_host_sends_is_left_out() {
        let long = vec![b'n'; 65_536];
        assert!(pack(&[(&long, "v")]).is_empty());
        assert_eq!(pack(&[(&long[1..], "v")]).len(), 6 + 65_535 + 1);
    }

    #[test]
    fn what_is_shown_holds_nothing_of_the_visitor() {
        assert_eq!(format!("{:?}", Headers::new(DOCUMENTED)), "Headers(27 bytes)");
    }
}
