//! Access logs in the combined format, as requests for a replay.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// Maximum bytes of a log after decompression.
const LOG_BYTES_MAX: u64 = 64 << 20;

/// One line of a log as a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The number of the client, counted from 0 in the order of their first lines.
    pub client: usize,
    /// The method.
    pub method: String,
    /// The request target, as logged.
    pub target: String,
    /// The referring page, if logged.
    pub referer: Option<String>,
    /// The User-Agent, if logged.
    pub user_agent: Option<String>,
}

impl Line {
    /// Returns the loopback address of this line's client; each client has its own.
    #[must_use]
    pub fn source(&self) -> String {
        // 200 addresses for each block: any log that fits stays within 127.0.0.0/8.
        let (high, low) = (self.client / 200, self.client % 200);
        format!("127.{}.{}.{}", 16 + high / 250, high % 250, low + 1)
    }

    /// Returns the bytes of the request for `host`: the values of the log and, if the User-Agent is
    /// a browser's, the headers of a browser that a log does not contain.
    #[must_use]
    pub fn request(&self, host: &str) -> String {
        let Self { method, target, .. } = self;
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
        if let Some(agent) = &self.user_agent {
            text.push_str(&format!("User-Agent: {agent}\r\n"));
            if agent.starts_with("Mozilla/") && !agent.contains("bot") {
                text.push_str("Accept: text/html,*/*;q=0.8\r\nAccept-Language: en\r\n");
                text.push_str("Accept-Encoding: gzip, deflate\r\n");
            }
        }
        if let Some(referer) = &self.referer {
            text.push_str(&format!("Referer: {referer}\r\n"));
        }
        if matches!(method.as_str(), "POST" | "PUT") {
            text.push_str("Content-Length: 0\r\n");
        }
        text.push_str("\r\n");
        text
    }
}

/// Returns the lines of the log at `path`, which may be compressed with gzip.
#[must_use]
pub fn read_log(path: &Path) -> Vec<Line> {
    let file = std::fs::File::open(path).unwrap();
    let mut text = Vec::new();
    if path.extension().is_some_and(|end| end == "gz") {
        flate2::read::GzDecoder::new(file).take(LOG_BYTES_MAX).read_to_end(&mut text).unwrap();
    } else {
        file.take(LOG_BYTES_MAX).read_to_end(&mut text).unwrap();
    }
    let mut clients = HashMap::new();
    let text = String::from_utf8_lossy(&text);
    text.lines().map(|line| parse(line, &mut clients)).collect()
}

fn parse(line: &str, clients: &mut HashMap<String, usize>) -> Line {
    let mut quoted = line.split('"');
    let address = quoted.next().unwrap().split(' ').next().unwrap().to_owned();
    let next = clients.len();
    let client = *clients.entry(address).or_insert(next);
    let mut request = quoted.next().unwrap().split(' ');
    let method = request.next().unwrap().to_owned();
    let target = request.next().unwrap().to_owned();
    let said = |text: Option<&str>| text.filter(|text| *text != "-").map(str::to_owned);
    let referer = said(quoted.nth(1));
    let user_agent = said(quoted.nth(1));
    Line { client, method, target, referer, user_agent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_request() {
        let mut clients = HashMap::new();
        let text = "192.0.2.7 - - [17/May/2015:10:05:03 +0000] \"GET /a?b HTTP/1.1\" 200 3 \
                    \"http://x.example/\" \"Mozilla/5.0 (X11)\"";
        let line = parse(text, &mut clients);
        assert_eq!((line.client, line.source().as_str()), (0, "127.16.0.1"));
        assert_eq!((line.method.as_str(), line.target.as_str()), ("GET", "/a?b"));
        assert_eq!(line.referer.as_deref(), Some("http://x.example/"));
        assert!(line.request("h.example").starts_with("GET /a?b HTTP/1.1\r\nHost: h.example\r\n"));
        let bare = parse("192.0.2.8 - - [x] \"HEAD / HTTP/1.0\" 200 - \"-\" \"-\"", &mut clients);
        assert_eq!((bare.client, bare.referer, bare.user_agent), (1, None, None));
    }
}
