//! The head of an HTTP/1.1 request, as a file holds it.
//!
//! Strict where a server is: what two readers could read in two ways is refused with its line. Bare
//! LF is taken for CRLF, since editors write it.

use super::ParsedRequest;

/// Reads the head; a body behind it is not looked at.
pub(super) fn read(bytes: &[u8]) -> Result<ParsedRequest, String> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = lines.next().map(end_off).unwrap_or_default();
    let first = std::str::from_utf8(first).map_err(|_| wrong(1, "the request line is no text"))?;
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(wrong(1, "a request line is METHOD TARGET HTTP/1.1"));
    };
    if !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
        return Err(wrong(1, "the version is neither HTTP/1.1 nor HTTP/1.0"));
    }
    let is_absolute = !target.starts_with('/');
    // A host stands in until the field comes; it cannot stay.
    let url = if is_absolute { target.to_owned() } else { format!("http://-{target}") };
    let mut asked = ParsedRequest::new(method, &url).map_err(|why| wrong(1, &why))?;
    let named = asked.authority.clone();
    let mut hosts = 0_usize;
    for (at, line) in lines.enumerate() {
        let line = end_off(line);
        if line.is_empty() {
            break;
        }
        let number = at.saturating_add(2);
        let Some(at) = line.iter().position(|byte| *byte == b':') else {
            return Err(wrong(number, "a header field is `name: value`"));
        };
        let (name, value) = line.split_at_checked(at).unwrap_or_default();
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        let name = std::str::from_utf8(name).unwrap_or_default();
        if !super::is_token(name) || value.contains(&0) || value.contains(&b'\r') {
            return Err(wrong(number, "a header field is `name: value`"));
        }
        if name.eq_ignore_ascii_case("host") {
            hosts = hosts.saturating_add(1);
            asked.authority = String::from_utf8_lossy(value).into_owned();
        } else {
            asked.headers.push((name.to_ascii_lowercase(), value.to_vec()));
        }
    }
    if is_absolute {
        // RFC 9112 §3.2.2: the target's host holds, whatever the field says.
        asked.authority = named;
    } else if hosts != 1 {
        return Err(format!("a request has one Host field, this one has {hosts}"));
    }
    Ok(asked)
}

fn end_off(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn wrong(line: usize, why: &str) -> String {
    format!("line {line}: {why}")
}
