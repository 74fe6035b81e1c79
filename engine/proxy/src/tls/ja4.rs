//! JA4, the fingerprint of a TLS client. It shows the client program, whatever its user agent
//! claims.
//!
//! It follows FoxIO's description of JA4 (TLS client), which is free to use. The JA4+ family is not
//! implemented, because its licence forbids hosting.
//!
//! Limitation: a program that sends a browser's ClientHello has a browser's fingerprint, and there
//! are libraries for that.

use sha2::{Digest, Sha256};

use crate::tls::client_hello::{EXT_ALPN, ParsedClientHello, is_grease};

/// Characters of a fingerprint.
#[cfg(test)]
const JA4_CHARS: usize = 36;
/// Hexadecimal digits that are kept of a hash.
const HASH_DIGITS: usize = 12;
/// Maximum of a number with two digits.
const COUNT_MAX: usize = 99;

/// Returns the fingerprint of a ClientHello.
pub(crate) fn ja4(hello: &ParsedClientHello) -> String {
    let known = |numbers: &[u16]| -> Vec<u16> {
        numbers.iter().copied().filter(|number| !is_grease(*number)).collect()
    };
    let (mut ciphers, mut extensions) = (known(&hello.ciphers), known(&hello.extensions));
    let version = version(hello, &known(&hello.versions));
    let name = if hello.sni.is_some() { 'd' } else { 'i' };
    let (of_ciphers, of_extensions) =
        (ciphers.len().min(COUNT_MAX), extensions.len().min(COUNT_MAX));
    let alpn = alpn(hello.alpn.as_deref());
    ciphers.sort_unstable();
    extensions.retain(|kind| *kind != 0 && *kind != EXT_ALPN);
    extensions.sort_unstable();
    let signatures = known(&hello.signatures);
    let mut rest = list(&extensions);
    if !signatures.is_empty() {
        rest.push('_');
        rest.push_str(&list(&signatures));
    }
    let rest = if extensions.is_empty() { String::new() } else { rest };
    format!(
        "t{version}{name}{of_ciphers:02}{of_extensions:02}{alpn}_{}_{}",
        hash(&list(&ciphers)),
        hash(&rest)
    )
}

fn version(hello: &ParsedClientHello, offered: &[u16]) -> &'static str {
    match offered.iter().max().copied().unwrap_or(hello.legacy_version) {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

/// Returns the first and the last character of the first protocol, or of its hexadecimal digits.
fn alpn(protocol: Option<&[u8]>) -> String {
    let Some((first, last)) = protocol.and_then(|p| Some((*p.first()?, *p.last()?))) else {
        return "00".to_owned();
    };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return format!("{}{}", char::from(first), char::from(last));
    }
    format!("{:x}{:x}", first >> 4, last & 15)
}

fn list(numbers: &[u16]) -> String {
    numbers.iter().map(|number| format!("{number:04x}")).collect::<Vec<_>>().join(",")
}

fn hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(HASH_DIGITS);
    }
    let digest = Sha256::digest(text.as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.get(..HASH_DIGITS).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::client_hello::{ParseProgress, read, tests::said};

    /// Returns the example of FoxIO's description, a Chrome.
    fn chrome() -> ParsedClientHello {
        ParsedClientHello {
            legacy_version: 0x0303,
            ciphers: vec![
                0x1a1a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8,
                0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
            ],
            extensions: vec![
                0x2a2a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005,
                0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015, 0x3a3a,
            ],
            versions: vec![0x5a5a, 0x0304, 0x0303],
            signatures: vec![0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601],
            alpn: Some(b"h2".to_vec()),
            sni: Some("example.com".into()),
        }
    }

    #[test]
    fn the_example_of_its_description_comes_out() {
        assert_eq!(ja4(&chrome()), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn order_and_grease_make_no_difference_and_the_rest_does() {
        let mut other = chrome();
        other.ciphers.reverse();
        other.extensions.rotate_left(5);
        other.ciphers.retain(|number| !is_grease(*number));
        assert_eq!(ja4(&other), ja4(&chrome()));
        other.signatures.swap(0, 1);
        assert_ne!(ja4(&other), ja4(&chrome()));
    }

    #[test]
    fn what_is_left_out_has_its_sign() {
        let bare = ParsedClientHello { legacy_version: 0x0301, ..ParsedClientHello::default() };
        assert_eq!(ja4(&bare), "t10i000000_000000000000_000000000000");
        let odd = ParsedClientHello { alpn: Some(vec![0xab]), sni: Some("a".into()), ..chrome() };
        assert!(ja4(&odd).starts_with("t13d1516ab_"));
        let many = ParsedClientHello { ciphers: vec![1; 120], ..chrome() };
        assert!(ja4(&many).starts_with("t13d9916h2_"));
    }

    #[test]
    fn one_library_has_one_print_for_every_site() {
        let print = |name: &str| match read(&said(name, &["h2", "http/1.1"])) {
            ParseProgress::Complete(hello) => ja4(&hello),
            other => panic!("{other:?}"),
        };
        let one = print("alice.example");
        assert_eq!(one, print("bob.example"));
        assert!(one.starts_with("t13d") && one.contains("h2_") && one.len() == JA4_CHARS, "{one}");
    }
}
