//! An HTTP/2 request as the HTTP/1 header section that its origin would get.

use http::request::Parts;

use crate::ProxyLimits;
use crate::http1::head::HeadError;

/// Returns the header section of a request.
///
/// Cookies become one, as far as there are not more of them than `h2_max_cookie_fields` or
/// `max_request_headers`. Beyond that each counts as a field, and the request is rejected.
///
/// # Errors
/// The request names a host twice, or two hosts.
pub(crate) fn to_http1_head(parts: &Parts, limits: &ProxyLimits) -> Result<Vec<u8>, HeadError> {
    let mut head = Vec::with_capacity(512);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    for part in [parts.method.as_str(), " ", path, " HTTP/1.1\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    if parts.headers.get_all("host").iter().count() > 1 {
        return Err(HeadError::HostRepeated);
    }
    if let Some(authority) = authority {
        field(&mut head, "host", [authority]);
    }
    let cookies = parts.headers.get_all("cookie").iter().count();
    let cookies_max = limits.h2_max_cookie_fields.max(limits.settings.requests.max_request_headers);
    let are_joined = cookies > 1 && cookies <= cookies_max;
    let mut are_cookies_due = are_joined;
    for (name, value) in &parts.headers {
        match (name.as_str(), authority) {
            ("host", Some(authority)) if value.as_bytes().eq_ignore_ascii_case(authority) => {}
            ("host", Some(_)) => return Err(HeadError::HostMismatch),
            ("cookie", _) if are_joined => {
                // The first stands for all.
                if std::mem::take(&mut are_cookies_due) {
                    let all = parts.headers.get_all("cookie");
                    field(&mut head, "cookie", all.iter().map(|value| value.as_bytes()));
                }
            }
            (name, _) => field(&mut head, name, [value.as_bytes()]),
        }
    }
    head.extend_from_slice(b"\r\n");
    Ok(head)
}

/// Writes a field whose value is given in parts.
fn field<'v>(head: &mut Vec<u8>, name: &str, value: impl IntoIterator<Item = &'v [u8]>) {
    head.extend_from_slice(name.as_bytes());
    for (nth, part) in value.into_iter().enumerate() {
        head.extend_from_slice(if nth == 0 { b": " } else { b"; " });
        head.extend_from_slice(part);
    }
    head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(uri: &str, fields: &[(&str, &str)]) -> Result<String, HeadError> {
        let mut request = http::Request::get(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let head = to_http1_head(&parts, &ProxyLimits::default())?;
        Ok(String::from_utf8(head).unwrap())
    }

    #[test]
    fn the_authority_is_the_host() {
        let text = "GET /a?b HTTP/1.1\r\nhost: a.example\r\nx: y\r\n\r\n";
        let fields = [("x", "y")];
        assert_eq!(head("https://a.example/a?b", &fields).unwrap(), text);
        let both = [("host", "A.example"), ("x", "y")];
        assert_eq!(head("https://a.example/a?b", &both).unwrap(), text);
        assert_eq!(head("/a?b", &[("host", "a.example"), ("x", "y")]).unwrap(), text);
        let two = [("host", "b.example")];
        assert_eq!(head("https://a.example/", &two), Err(HeadError::HostMismatch));
        let twice = [("host", "a.example"), ("host", "a.example")];
        assert_eq!(head("https://a.example/", &twice), Err(HeadError::HostRepeated));
    }

    #[test]
    fn cookies_are_one_field_up_to_a_limit() {
        let fields = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")];
        let text = head("https://a.example/", &fields).unwrap();
        assert_eq!(text.matches("cookie: a=1; b=2\r\n").count(), 1, "{text}");
        let many = vec![("cookie", "a=1"); ProxyLimits::default().h2_max_cookie_fields + 1];
        let text = head("https://a.example/", &many).unwrap();
        assert_eq!(text.matches("cookie: a=1\r\n").count(), many.len());
    }
}
