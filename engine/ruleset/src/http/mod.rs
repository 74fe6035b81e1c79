//! The vocabulary of HTTP, handed to the language as data, and how a request answers to it.
//!
//! One table says which fields exist; [`Field`] is the same list as an enum, and a test holds the
//! two together. Host and path are read here, once, the same way for the server, for tests and for
//! replay: what a rule compares must not depend on who asked.

mod country_names;
mod enums;
mod fields;
pub(crate) mod foreign_syntax;
mod impossible_values;

pub use fields::{Field, SCHEMA};
pub(crate) use fields::{country, crawler, method};

/// The most bytes of a request target that are folded; a longer one is refused by the edge before.
pub const TARGET_BYTES_MAX: usize = 32 * 1024;

/// The most memory that the counters of one policy may take together: 1 GiB. It is taken when the
/// policy is loaded, and a server that has not got it should not find out by being killed.
pub const COUNTER_MEMORY_MAX: usize = 1 << 30;

/// Why a path is refused before any rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin with `/`.
    NotAbsolute,
    /// A `%` without two hexadecimal digits behind it.
    Escape,
    /// A NUL byte, written out or escaped.
    Nul,
    /// `..` above the root.
    AboveRoot,
    /// Longer than [`TARGET_BYTES_MAX`].
    TooLong,
}

/// Why a Host is refused before any rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostError;

/// A byte of a token (RFC 9110 §5.6.2).
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

/// The path as the policy reads it (LANGUAGE §5): percent-decoded once, `//` merged, dot segments
/// removed, `%2F` kept, a `;` parameter kept. `out` is replaced.
///
/// # Errors
/// What makes the path ambiguous or hostile; the answer is 400.
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

/// The part of a folded path that names the script which a CGI or PHP origin runs for it: up to the
/// first segment with one of these extensions. What stands behind it is the script's (PATH_INFO). An
/// escaped `/` ends a segment too, since some origins decode it first; capitals make no difference.
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

/// Bytes of the first segment, and of the separator behind it. Each byte is looked at once, since a
/// path can be nothing but separators.
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

/// Decodes escapes; an escaped `/` stays as it came, since it is no separator.
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

/// Merges separators and resolves `.` and `..`, in place in one pass over the segments.
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

/// A Host as the policy reads it: lower case, the port and one final dot off.
///
/// # Errors
/// It is empty, longer than 255 bytes, or holds a byte that no host has.
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
    // No label is empty (RFC 1035 §2.3.1), or `a..` would be read once as `a.` and then as `a`.
    let whole = name.split('.').all(|label| !label.is_empty());
    if !whole || name.len() > 255 || !name.bytes().all(good) {
        return Err(HostError);
    }
    Ok(name.to_ascii_lowercase())
}

/// Whether nothing is to be done: small letters, digits, dashes and dots between them, as nearly
/// every host comes.
fn is_folded(raw: &[u8]) -> bool {
    let mut before = b'.';
    let good = raw.iter().all(|byte| {
        let after = std::mem::replace(&mut before, *byte);
        matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-') || (*byte == b'.' && after != b'.')
    });
    good && before != b'.' && raw.len() <= 255
}

/// Nothing, or `:` and a port number.
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
        // Nothing but separators, as long as a target can be: each byte is looked at once.
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
            // A port changes nothing about the name and keeps the short way from being taken.
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
