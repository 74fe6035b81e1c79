//! The request header of an HTTP/1.1 request in a file.
//!
//! As strict as the server: ambiguous text is rejected with its line number. A bare LF counts as
//! CRLF, since editors write it.

use super::ParsedRequest;

/// Parses the request header; a body after it is ignored.
pub(super) fn read(bytes: &[u8]) -> Result<ParsedRequest, String> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = lines.next().map(end_off).unwrap_or_default();
    let first = std::str::from_utf8(first).map_err(|_| wrong(1, "the request line is not text"))?;
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(wrong(1, "the request line must be METHOD TARGET HTTP/1.1"));
    };
    if !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
        return Err(wrong(1, "the version must be HTTP/1.1 or HTTP/1.0"));
    }
    let is_absolute = !target.starts_with('/');
    // A placeholder until the Host header is parsed.
    let url = if is_absolute { target.to_owned() } else { format!("http://-{target}") };
    let mut request = ParsedRequest::new(method, &url).map_err(|why| wrong(1, &why))?;
    let authority = request.authority.clone();
    let mut hosts = 0_usize;
    for (at, line) in lines.enumerate() {
        let line = end_off(line);
        if line.is_empty() {
            break;
        }
        let number = at.saturating_add(2);
        let Some(at) = line.iter().position(|byte| *byte == b':') else {
            return Err(wrong(number, "a header must be `name: value`"));
        };
        let (name, value) = line.split_at_checked(at).unwrap_or_default();
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        let name = std::str::from_utf8(name).unwrap_or_default();
        if !super::is_token(name) || value.contains(&0) || value.contains(&b'\r') {
            return Err(wrong(number, "a header must be `name: value`"));
        }
        if name.eq_ignore_ascii_case("host") {
            hosts = hosts.saturating_add(1);
            request.authority = String::from_utf8_lossy(value).into_owned();
        } else {
            request.headers.push((name.to_ascii_lowercase(), value.to_vec()));
        }
    }
    if is_absolute {
        // RFC 9112 §3.2.2: the host of the target replaces the Host header.
        request.authority = authority;
    } else if hosts != 1 {
        return Err(format!("the request has {hosts} Host headers instead of one"));
    }
    Ok(request)
}

fn end_off(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn wrong(line: usize, why: &str) -> String {
    format!("line {line}: {why}")
}
