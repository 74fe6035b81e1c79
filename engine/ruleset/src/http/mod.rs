//! The facts of HTTP as data for the language, and the normalization of host and path.
//!
//! One table defines the fields. [`Field`] is the same list as an enum, and a test compares both.
//! Host and path are normalized here once, in the same way for the server, for tests and for
//! replay.

mod country_names;
mod enums;
mod fields;
pub(crate) mod foreign_syntax;
mod impossible_values;

pub use fields::{Field, SCHEMA};
pub(crate) use fields::{country, crawler, method};

/// Most bytes of a request target to normalize. The data plane rejects longer ones before.
pub const TARGET_BYTES_MAX: usize = 32 * 1024;

/// Most memory of all counters of one policy: 1 GiB. The memory is allocated at load, so that a
/// lack of memory is reported there and not by the out-of-memory killer.
pub const COUNTER_MEMORY_MAX: usize = 1 << 30;

/// Why a path is rejected before any rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin with `/`.
    NotAbsolute,
    /// A `%` without two hexadecimal digits after it.
    Escape,
    /// A NUL byte, raw or escaped.
    Nul,
    /// `..` above the root.
    AboveRoot,
    /// Longer than [`TARGET_BYTES_MAX`].
    TooLong,
}

/// Why a host is rejected before any rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostError;

/// Returns whether a byte can occur in a token (RFC 9110 §5.6.2).
#[must_use]
pub const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Normalizes a path: percent-decodes it once, merges `//`, and removes dot segments. Keeps `%2F`
/// and `;` parameters. Replaces the content of `out`.
///
/// # Errors
/// [`PathError`] names what makes the path ambiguous or hostile; the response is 400.
pub fn normalize_path(raw: &[u8], out: &mut Vec<u8>) -> Result<(), PathError> {
    out.clear();
    if raw.len() > TARGET_BYTES_MAX {
        return Err(PathError::TooLong);
    }
    if raw.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    decode(raw, out)?;
    remove_dots(out)
}

/// Returns the part of a normalized path that names the script which a CGI or PHP origin runs. It
/// ends with the first segment that has one of these extensions; the rest is PATH_INFO. An escaped
/// `/` ends a segment too, because some origins decode it first. Case makes no difference.
#[must_use]
pub fn script_of<'p>(path: &'p [u8], extensions: &[Box<str>]) -> Option<&'p [u8]> {
    let mut start = 0;
    while start < path.len() {
        let rest = path.get(start..).unwrap_or_default();
        let (len, separator) = segment_of(rest);
        let end = start.saturating_add(len);
        if is_script(rest.get(..len).unwrap_or_default(), extensions) {
            return path.get(..end);
        }
        start = end.saturating_add(separator);
    }
    None
}

/// Returns the bytes of the first segment, and of the separator after it. Each byte is read once,
/// because a path can consist of separators only.
fn segment_of(path: &[u8]) -> (usize, usize) {
    for (at, byte) in path.iter().enumerate() {
        let behind = || path.get(at..).unwrap_or_default();
        match byte {
            b'/' => return (at, 1),
            b'%' if behind().get(..3).is_some_and(|three| three.eq_ignore_ascii_case(b"%2f")) => {
                return (at, 3);
            }
            _ => {}
        }
    }
    (path.len(), 1)
}

fn is_script(segment: &[u8], extensions: &[Box<str>]) -> bool {
    let Some(dot) = segment.iter().rposition(|byte| *byte == b'.') else { return false };
    let extension = segment.get(dot.saturating_add(1)..).unwrap_or_default();
    extensions.iter().any(|known| extension.eq_ignore_ascii_case(known.as_bytes()))
}

/// Decodes escapes. An escaped `/` stays as received, because it is not a separator.
fn decode(raw: &[u8], out: &mut Vec<u8>) -> Result<(), PathError> {
    let mut rest = raw.iter().copied();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let high = rest.next().and_then(hex).ok_or(PathError::Escape)?;
                let low = rest.next().and_then(hex).ok_or(PathError::Escape)?;
                let decoded = (high << 4) | low;
                if decoded == b'/' {
                    out.extend_from_slice(b"%2F");
                    continue;
                }
                decoded
            }
            byte => byte,
        };
        if byte == 0 {
            return Err(PathError::Nul);
        }
        out.push(byte);
    }
    Ok(())
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Merges separators and resolves `.` and `..`, in place and in one pass over the segments.
fn remove_dots(path: &mut Vec<u8>) -> Result<(), PathError> {
    let plain = !path.windows(2).any(|pair| pair == b"//" || pair == b"/.");
    if plain {
        return Ok(());
    }
    let whole = std::mem::take(path);
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut ends_in_directory = false;
    for segment in whole.split(|byte| *byte == b'/').skip(1) {
        ends_in_directory = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop().ok_or(PathError::AboveRoot)?;
            }
            segment => segments.push(segment),
        }
    }
    for segment in &segments {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    if ends_in_directory || path.is_empty() {
        path.push(b'/');
    }
    Ok(())
}

/// Normalizes a host: lower case, without port and without one final dot.
///
/// # Errors
/// The host is empty, longer than 255 bytes, or has an invalid byte.
pub fn normalize_host(raw: &[u8]) -> Result<String, HostError> {
    let text = std::str::from_utf8(raw).map_err(|_| HostError)?;
    if is_folded(raw) {
        return Ok(text.to_owned());
    }
    let name = if let Some(inner) = text.strip_prefix('[') {
        let (address, port) = inner.split_once(']').ok_or(HostError)?;
        good_port(port)?;
        let address = address.parse::<std::net::Ipv6Addr>().map_err(|_| HostError)?;
        return Ok(format!("[{address}]"));
    } else {
        let at = text.find(':').unwrap_or(text.len());
        let (name, port) = text.split_at_checked(at).ok_or(HostError)?;
        good_port(port)?;
        name
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    // Empty labels are invalid (RFC 1035 §2.3.1); otherwise `a..` would become `a.` and then `a`.
    let whole = name.split('.').all(|label| !label.is_empty());
    if !whole || name.len() > 255 || !name.bytes().all(good) {
        return Err(HostError);
    }
    Ok(name.to_ascii_lowercase())
}

/// Returns whether a host is already normalized: lower-case letters, digits, hyphens and dots
/// between them, as nearly every host.
fn is_folded(raw: &[u8]) -> bool {
    let mut before = b'.';
    let good = raw.iter().all(|byte| {
        let after = std::mem::replace(&mut before, *byte);
        matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-') || (*byte == b'.' && after != b'.')
    });
    good && before != b'.' && raw.len() <= 255
}

/// Checks a port: an empty text, or `:` and a number.
fn good_port(text: &str) -> Result<(), HostError> {
    match text.strip_prefix(':') {
        None if text.is_empty() => Ok(()),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok() => {
            Ok(())
        }
        _ => Err(HostError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(raw: &str) -> Result<String, PathError> {
        let mut out = Vec::new();
        normalize_path(raw.as_bytes(), &mut out)
            .map(|()| String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn the_script_of_a_path_is_the_first_segment_with_its_extension() {
        let php: [Box<str>; 2] = ["php".into(), "cgi".into()];
        for (path, script) in [
            ("/wp-login.php", Some("/wp-login.php")),
            ("/blog/wp-login.php/x/y.php", Some("/blog/wp-login.php")),
            ("/a%2Fb.PHP%2Fc", Some("/a%2Fb.PHP")),
            ("/a%2fb.cgi", Some("/a%2fb.cgi")),
            ("/.php/", Some("/.php")),
            ("/a.php5/b.phpx", None),
            ("/php", None),
            ("/a.php;x", None),
            ("/%2", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(script_of(path.as_bytes(), &php), script.map(str::as_bytes), "{path}");
        }
        // Only separators, in the longest target: each byte is read once.
        for separator in ["/", "%2F"] {
            let long = separator.repeat(TARGET_BYTES_MAX / separator.len());
            assert_eq!(script_of(long.as_bytes(), &php), None);
        }
    }

    #[test]
    fn paths_are_read_as_the_language_says() {
        for (raw, path) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/%61dmin", "/admin"),
            ("//a///b", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%2fb", "/a%2Fb"),
            ("/%2e%2e/x/..", ""),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/%252e", "/%2e"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
        ] {
            let expected =
                if path.is_empty() { Err(PathError::AboveRoot) } else { Ok(path.to_owned()) };
            assert_eq!(folded(raw), expected, "{raw}");
        }
    }

    #[test]
    fn what_is_hostile_is_refused() {
        for (raw, error) in [
            ("", PathError::NotAbsolute),
            ("a", PathError::NotAbsolute),
            ("/%", PathError::Escape),
            ("/%4", PathError::Escape),
            ("/%zz", PathError::Escape),
            ("/%00", PathError::Nul),
            ("/..", PathError::AboveRoot),
            ("/a/../../b", PathError::AboveRoot),
        ] {
            assert_eq!(folded(raw), Err(error), "{raw}");
        }
        let longest = format!("/{}", "a".repeat(TARGET_BYTES_MAX - 1));
        assert!(folded(&longest).is_ok());
        assert_eq!(folded(&format!("{longest}a")), Err(PathError::TooLong));
    }

    #[test]
    fn hosts_lose_port_case_and_final_dot() {
        for (raw, host) in [
            ("Alice.Example", Some("alice.example")),
            ("alice.example:8080", Some("alice.example")),
            ("alice.example.", Some("alice.example")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("[::1]:80", Some("[::1]")),
            ("", None),
            (".", None),
            ("Alice..:8080", None),
            ("a..b", None),
            (".a", None),
            ("a b", None),
            ("a@b", None),
            ("a:b", None),
            ("a:70000", None),
            ("a:80:80", None),
            ("[::1", None),
            ("[x]", None),
        ] {
            assert_eq!(normalize_host(raw.as_bytes()).ok().as_deref(), host, "{raw}");
        }
    }

    proptest::proptest! {
        #[test]
        fn folding_twice_changes_nothing_where_nothing_was_escaped(raw in "/[a-c./;]{0,40}") {
            let mut once = Vec::new();
            if normalize_path(raw.as_bytes(), &mut once).is_ok() {
                let mut twice = Vec::new();
                proptest::prop_assert!(normalize_path(&once, &mut twice).is_ok());
                proptest::prop_assert_eq!(&once, &twice);
                proptest::prop_assert!(!once.windows(2).any(|pair| pair == b"//"));
            }
        }

        #[test]
        fn a_host_that_needs_no_folding_is_what_folding_would_make_of_it(
            raw in "[a-zA-Z0-9.:_-]{0,12}",
        ) {
            // A port does not change the name, and prevents the fast path.
            let with_port = normalize_host(format!("{raw}:80").as_bytes());
            if is_folded(raw.as_bytes()) {
                proptest::prop_assert_eq!(&with_port, &Ok(raw.clone()));
                proptest::prop_assert_eq!(with_port, normalize_host(raw.as_bytes()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(raw in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let mut out = Vec::new();
            let _ = normalize_path(&raw, &mut out);
            let _ = normalize_host(&raw);
        }
    }
}
