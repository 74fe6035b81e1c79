//! An address in the contract: 4 or 16 bytes in network order.

use std::net::IpAddr;

/// Returns the address in `bytes`; `None` if they are not 4 or 16.
#[must_use]
pub fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_read_and_nothing_else() {
        assert_eq!(address(&[192, 0, 2, 1]), Some("192.0.2.1".parse().unwrap()));
        let v6: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
        assert_eq!(address(&v6.octets()), Some(v6.into()));
        for len in [0, 3, 5, 15, 17] {
            assert_eq!(address(&vec![0; len]), None, "{len}");
        }
    }
}
