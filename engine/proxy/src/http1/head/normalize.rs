//! Normalizes each request before it is evaluated and forwarded, over any version of HTTP.
//!
//! * Several `Cookie` headers become one, joined by `; ` (RFC 9113 §8.2.3). Browsers send one for
//!   each cookie over HTTP/2, and most HTTP/1.1 servers read only one of them, or join them by
//!   commas.
//! * A header with a `_` in its name is removed. CGI writes `-` as `_`, so behind it
//!   `X_Forwarded_For` would replace our `X-Forwarded-For`. A name that would frame the request is
//!   rejected: the client, or a proxy in front, may have framed the request by it.
//!
//! Cookies over HTTP/2 count as one header; `h2_max_cookie_fields` is their own limit. In HTTP/1.1
//! each line counts before it is joined.

/// Returns whether a header of this name is removed.
pub(crate) fn is_left_out(name: &str) -> bool {
    has_underscore(name) && !is_misspelt_framing(name)
}

fn has_underscore(name: &str) -> bool {
    memchr::memchr(b'_', name.as_bytes()).is_some()
}

/// Returns whether a header would frame the request if `_` were `-`.
pub(super) fn is_misspelt_framing(name: &str) -> bool {
    let is = |known: &str| {
        let same = |(a, b): (u8, u8)| a.eq_ignore_ascii_case(&b) || (a == b'_' && b == b'-');
        name.len() == known.len() && name.bytes().zip(known.bytes()).all(same)
    };
    has_underscore(name) && (is("content-length") || is("transfer-encoding"))
}

fn is_cookie(name: &str) -> bool {
    name.len() == 6 && name.eq_ignore_ascii_case("cookie")
}

/// Joins the values of several `Cookie` headers.
fn joined<'v>(values: impl Iterator<Item = &'v [u8]>) -> Vec<u8> {
    values.collect::<Vec<_>>().join(&b"; "[..])
}

/// Returns the normalized header section, made of the request line and the remaining headers.
pub(crate) fn normalized(bytes: &[u8], fields: &[httparse::Header<'_>]) -> Vec<u8> {
    let cookies = fields.iter().filter(|field| is_cookie(field.name));
    let mut head = Vec::with_capacity(bytes.len().saturating_add(8));
    let line_end = memchr::memchr(b'\n', bytes).unwrap_or_default();
    head.extend_from_slice(bytes.get(..=line_end).unwrap_or_default());
    let mut cookie = Some(joined(cookies.map(|field| field.value)));
    for field in fields.iter().filter(|field| !is_left_out(field.name)) {
        let value = if is_cookie(field.name) {
            // The first stands for all.
            let Some(all) = cookie.take() else { continue };
            std::borrow::Cow::Owned(all)
        } else {
            std::borrow::Cow::Borrowed(field.value)
        };
        for part in [field.name.as_bytes(), b": ", &value, b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalized_of(head: &str) -> Option<String> {
        let mut room = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut room);
        assert!(request.parse(head.as_bytes()).unwrap().is_complete());
        let normal = String::from_utf8(normalized(head.as_bytes(), request.headers)).unwrap();
        (normal != head).then_some(normal)
    }

    #[test]
    fn cookies_become_one_where_the_first_stood() {
        let head =
            "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nX: y\r\ncOOkie:b=2 \r\nCookie: c=\r\n\r\n";
        let one = "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2; c=\r\nX: y\r\n\r\n";
        assert_eq!(normalized_of(head).as_deref(), Some(one));
        assert_eq!(normalized_of(one), None);
    }

    #[test]
    fn fields_that_a_gateway_would_take_for_others_are_left_out() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nx_real_ip: 1\r\n_: 2\r\nCookie: a_b=1\r\n\r\n";
        let one = "GET / HTTP/1.1\r\nHost: a\r\nCookie: a_b=1\r\n\r\n";
        assert_eq!(normalized_of(head).as_deref(), Some(one));
        assert_eq!(normalized_of(one), None);
    }
}
