//! The corpus of A33: request boundaries on which two servers disagree.
//!
//! Each case is the bytes of one connection. A second request, `smuggled`, lies where some servers
//! see a body and others the next request. `{n}` in a target is the case's number, always with
//! three digits, so that lengths do not depend on it.

use super::cases::Case;

/// Values of Transfer-Encoding that only some servers treat as `chunked`.
const CODINGS: &[&str] = &[
    "chunked",
    "Chunked",
    "CHUNKED",
    "chunked ",
    "\tchunked",
    "\x0bchunked",
    "\x0cchunked",
    "chunked\0",
    "chunked\x0b",
    "ch\0unked",
    "xchunked",
    "chunkedx",
    "x chunked",
    "chunked, identity",
    "identity, chunked",
    "chunked, chunked",
    "gzip, chunked",
    "chunked, gzip",
    ",chunked",
    "chunked,",
    "chunked;a=b",
    "\"chunked\"",
    "'chunked'",
    "c%68unked",
    "identity",
    "cow",
    "",
    "\r\n chunked",
    "x\r\n\tchunked",
    "\n chunked",
    "\u{212a}unchd, chun\u{212a}ed",
];

/// Names that some servers treat as Transfer-Encoding.
const CODING_NAMES: &[&str] = &[
    "Transfer-Encoding ",
    "Transfer-Encoding\t",
    " Transfer-Encoding",
    "\tTransfer-Encoding",
    "Transfer_Encoding",
    "Transfer-Encoding\0",
    "X: y\nTransfer-Encoding",
    "X: y\rTransfer-Encoding",
    "Transfer\u{a0}-Encoding",
    "\"Transfer-Encoding\"",
];

/// Values of Content-Length around a body of 5 bytes.
const LENGTHS: &[&str] = &[
    "+5",
    "-5",
    "0x5",
    "5 ",
    "5,5",
    "5, 5",
    "5, 6",
    "6, 5",
    "5;",
    "05",
    "0000000000000000000000000000005",
    "5\0",
    "5\x0b",
    "5e0",
    "5.0",
    "5 5",
    "\u{665}",
    "18446744073709551621",
    "4294967301",
    "-1",
    "",
    "\r\n 5",
    "x",
    "0\r\nContent-Length: 5",
    "5\r\nContent-Length: 0",
    "5\r\nContent-Length: 5",
    "5\r\ncontent-length: 6",
    "5\r\nContent_Length: 0",
    "5\r\nContent-Length : 0",
    "5\r\n Content-Length: 0",
    "5\nContent-Length: 0",
];

/// First lines of a chunk of 5 bytes.
const CHUNKS: &[&str] = &[
    "5;a=b\r\n",
    "5;\r\n",
    "5 \r\n",
    " 5\r\n",
    "\t5\r\n",
    "+5\r\n",
    "-5\r\n",
    "0x5\r\n",
    "05\r\n",
    "00000000000000000000005\r\n",
    "100000005\r\n",
    "10000000000000005\r\n",
    "fffffffffffffffb\r\n",
    "5\n",
    "5\r",
    "5\r\r\n",
    "5\n\r\n",
    "5;a\nb\r\n",
    "5;a\rb\r\n",
    "5;a=\"\r\n\"\r\n",
    "5;a=\"b\r\n",
    "5_0\r\n",
    "5\0\r\n",
    "5,5\r\n",
    "g\r\n",
    "\r\n5\r\n",
    "\r\n",
    "",
];

/// How a request's body of chunks ends, after the last chunk's data.
const CHUNK_ENDS: &[&str] = &[
    "0\r\n\r\n",
    "0\n\n",
    "0\r\n\n",
    "0\n\r\n",
    "0;a=b\r\n\r\n",
    "00000\r\n\r\n",
    "0\r\nContent-Length: 60\r\n\r\n",
    "0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "0\r\nX: y\nZ: w\r\n\r\n",
    "0\r\nno colon\r\n\r\n",
    "0\r\n X: folded\r\n\r\n",
    "-0\r\n\r\n",
    "0x0\r\n\r\n",
    "0\r\n",
    "0",
];

/// First lines, with `{t}` for the target.
const STARTS: &[&str] = &[
    "POST {t} HTTP/1.1\n",
    "POST  {t} HTTP/1.1\r\n",
    "POST\t{t}\tHTTP/1.1\r\n",
    "POST {t}  HTTP/1.1\r\n",
    "POST {t} HTTP/1.1 \r\n",
    " POST {t} HTTP/1.1\r\n",
    "\r\nPOST {t} HTTP/1.1\r\n",
    "\nPOST {t} HTTP/1.1\r\n",
    "post {t} HTTP/1.1\r\n",
    "POST {t} http/1.1\r\n",
    "POST {t} HTTP/1.2\r\n",
    "POST {t} HTTP/2.0\r\n",
    "POST {t} HTTP/01.1\r\n",
    "POST {t} HTTP/1.10\r\n",
    "POST {t} HTTP/1\r\n",
    "POST {t}\r\n",
    "POST {t}\0 HTTP/1.1\r\n",
    "POST {t}#x HTTP/1.1\r\n",
    "POST {t}?a b HTTP/1.1\r\n",
    "P\x01ST {t} HTTP/1.1\r\n",
    "GET {t} HTTP/1.1\r\n",
    "HEAD {t} HTTP/1.1\r\n",
    "OPTIONS {t} HTTP/1.1\r\n",
    "DELETE {t} HTTP/1.1\r\n",
    "TRACE {t} HTTP/1.1\r\n",
];

/// Headers beside a body of 5 bytes that make some servers ignore it.
const FIELDS: &[&str] = &[
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Connection: Upgrade\r\nUpgrade: other",
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
    "Connection: Content-Length",
    "Connection: close, Content-Length",
    "Connection: Transfer-Encoding",
    "Expect: 100-continue",
    "Expect: 100-continuex",
    "X-HTTP-Method-Override: GET",
    "X: a\r\n folded",
    "X: a\rY: b",
    "X: a\nY: b",
    "X: a\0b",
    "X\0: a",
    ": a",
    "no colon",
    "X : a",
    "\r",
];

/// An HTTP/2 request whose headers contradict its frames.
pub(super) struct H2Case {
    /// What it is.
    pub(super) name: &'static str,
    /// Fields beside a browser's.
    pub(super) fields: &'static [(&'static str, &'static str)],
    /// The body sent.
    pub(super) body: &'static str,
}

const SECOND: &str = "GET /__case/{n}/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/// The corpus over HTTP/2.
pub(super) const H2: &[H2Case] = &[
    H2Case { name: "plain", fields: &[], body: "" },
    H2Case { name: "H2.CL 0", fields: &[("content-length", "0")], body: SECOND },
    H2Case { name: "H2.CL short", fields: &[("content-length", "5")], body: SECOND },
    H2Case { name: "H2.CL long", fields: &[("content-length", "500")], body: SECOND },
    H2Case {
        name: "H2.CL twice",
        fields: &[("content-length", "0"), ("content-length", "48")],
        body: SECOND,
    },
    H2Case { name: "H2.CL plus", fields: &[("content-length", "+0")], body: SECOND },
    H2Case {
        name: "H2.TE",
        fields: &[("transfer-encoding", "chunked")],
        body: "0\r\n\r\nGET /__case/{n}/smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    },
    H2Case {
        name: "H2.TE upper",
        fields: &[("Transfer-Encoding", "chunked")],
        body: "0\r\n\r\nGET /__case/{n}/smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    },
    H2Case {
        name: "line end in a value",
        fields: &[("x-a", "b\r\n\r\nGET /__case/{n}/smuggled HTTP/1.1\r\nHost: x")],
        body: "",
    },
    H2Case {
        name: "line feed in a value",
        fields: &[("x-a", "b\n\nGET /__case/{n}/smuggled HTTP/1.1\nHost: x")],
        body: "",
    },
    H2Case {
        name: "line end in a name",
        fields: &[("x-a\r\ntransfer-encoding", "chunked")],
        body: "0\r\n\r\nGET /__case/{n}/smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    },
    H2Case {
        name: "colon in a name",
        fields: &[("transfer-encoding: chunked\r\nx", "y")],
        body: "0\r\n\r\nGET /__case/{n}/smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    },
    H2Case {
        name: "space in a name",
        fields: &[("transfer-encoding ", "chunked")],
        body: "0\r\n\r\nGET /__case/{n}/smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    },
    H2Case { name: "zero byte in a value", fields: &[("x-a", "b\0c")], body: "" },
    H2Case { name: "connection", fields: &[("connection", "content-length")], body: SECOND },
    H2Case {
        name: "upgrade",
        fields: &[("connection", "upgrade"), ("upgrade", "websocket")],
        body: SECOND,
    },
    H2Case { name: "second :path", fields: &[(":path", "/__case/{n}/smuggled")], body: "" },
    H2Case {
        name: "second :method",
        fields: &[(":method", "GET /__case/{n}/smuggled HTTP/1.1")],
        body: "",
    },
    H2Case { name: "host beside :authority", fields: &[("host", "unknown.invalid")], body: "" },
    H2Case { name: "te", fields: &[("te", "trailers, chunked")], body: SECOND },
];

fn smuggled(host: &str) -> String {
    format!("GET /__case/{{n}}/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn head(start: &str, host: &str, fields: &str) -> String {
    let start = start.replace("{t}", "/__case/{n}/first");
    format!("{start}Host: {host}\r\n{}{fields}\r\n\r\n", crate::h1::BROWSER)
}

const POST: &str = "POST {t} HTTP/1.1\r\n";

/// Returns the corpus over HTTP/1.1.
pub(super) fn h1(host: &str) -> Vec<Case> {
    let mut texts = codings(host);
    texts.extend(lengths(host));
    texts.extend(chunks(host));
    texts.extend(starts(host));
    let numbered = texts.into_iter().enumerate().map(|(n, (name, text))| Case {
        name,
        bytes: text.replace("{n}", &format!("{n:03}")).into_bytes(),
    });
    numbered.collect()
}

/// Printable, short and still telling.
fn shown(text: &str) -> String {
    text.escape_debug().to_string()
}

fn codings(host: &str) -> Vec<(String, String)> {
    let second = smuggled(host);
    let mut all = Vec::new();
    let mut both = |what: String, line: String| {
        // The length covers everything; chunks end before the second request.
        let body = format!("0\r\n\r\n{second}");
        let fields = format!("Content-Length: {}\r\n{line}", body.len());
        all.push((format!("CL.TE {what}"), head(POST, host, &fields) + &body));
        // The length ends before the second request; one chunk covers it.
        let chunk = format!("{:x}\r\n{second}\r\n0\r\n\r\n", second.len());
        let digits = format!("{:x}\r\n", second.len()).len();
        let fields = format!("{line}\r\nContent-Length: {digits}");
        all.push((format!("TE.CL {what}"), head(POST, host, &fields) + &chunk));
    };
    for coding in CODINGS {
        both(shown(coding), format!("Transfer-Encoding: {coding}"));
    }
    for name in CODING_NAMES {
        both(format!("name {}", shown(name)), format!("{name}: chunked"));
    }
    for (first, then) in [("chunked", "identity"), ("identity", "chunked"), ("chunked", "x")] {
        let line = format!("Transfer-Encoding: {first}\r\nTransfer-Encoding: {then}");
        let text = head(POST, host, &line) + "0\r\n\r\n" + &second;
        all.push((format!("TE.TE {first}, {then}"), text));
    }
    let old =
        head("POST {t} HTTP/1.0\r\n", host, "Connection: keep-alive\r\nTransfer-Encoding: chunked");
    all.push(("HTTP/1.0 with TE".to_owned(), old + "0\r\n\r\n" + &second));
    all
}

fn lengths(host: &str) -> Vec<(String, String)> {
    let second = smuggled(host);
    let mut all = Vec::new();
    for length in LENGTHS {
        let text = head(POST, host, &format!("Content-Length: {length}")) + "aaaaa" + &second;
        all.push((format!("CL {}", shown(length)), text));
    }
    for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
        let start = format!("{method} {{t}} HTTP/1.1\r\n");
        let fields = format!("Content-Length: {}", second.len());
        all.push((format!("CL.0 {method}"), head(&start, host, &fields) + &second));
        all.push((format!("0.CL {method}"), head(&start, host, "Content-Length: 0") + &second));
        all.push((format!("no length {method}"), head(&start, host, "X: y") + &second));
    }
    for fields in FIELDS {
        let fields = format!("{fields}\r\nContent-Length: {}", second.len());
        let name = fields.split("\r\n").next().unwrap_or_default().to_owned();
        let more = fields.split("\r\n").nth(1).unwrap_or_default();
        let name = format!("beside {} {}", shown(&name), shown(more));
        all.push((name, head(POST, host, &fields) + &second));
    }
    all
}

fn chunks(host: &str) -> Vec<(String, String)> {
    let second = smuggled(host);
    let begun = head(POST, host, "Transfer-Encoding: chunked");
    let mut all = Vec::new();
    for first in CHUNKS {
        let text = format!("{begun}{first}aaaaa\r\n0\r\n\r\n{second}");
        all.push((format!("chunk {}", shown(first)), text));
    }
    for end in CHUNK_ENDS {
        let text = format!("{begun}5\r\naaaaa\r\n{end}{second}");
        all.push((format!("last chunk {}", shown(end)), text));
    }
    for after in ["", "\n", "\r", "xx", "\r\r\n", "\0\0"] {
        let text = format!("{begun}5\r\naaaaa{after}0\r\n\r\n{second}");
        all.push((format!("after a chunk {}", shown(after)), text));
    }
    let long = "a".repeat(100_000);
    all.push((
        "chunk extension of 100,000".to_owned(),
        format!("{begun}5;{long}\r\naaaaa\r\n0\r\n\r\n{second}"),
    ));
    all
}

fn starts(host: &str) -> Vec<(String, String)> {
    let second = smuggled(host);
    let mut all = Vec::new();
    for start in STARTS {
        let text = head(start, host, "Content-Length: 5") + "aaaaa" + &second;
        all.push((format!("start {}", shown(start)), text));
    }
    all.push((
        "line feeds only".to_owned(),
        (head(POST, host, "Content-Length: 5")).replace("\r\n", "\n") + "aaaaa" + &second,
    ));
    all.push((
        "carriage returns only".to_owned(),
        (head(POST, host, "Content-Length: 5")).replace("\r\n", "\r") + "aaaaa" + &second,
    ));
    all.push((
        "no last line end".to_owned(),
        head(POST, host, "Content-Length: 5").trim_end_matches("\r\n").to_owned()
            + "\r\n"
            + &second,
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_at_least_150_and_each_tells_its_number() {
        let cases = h1("alice.example");
        assert!(cases.len() >= 150, "{}", cases.len());
        for (n, case) in cases.iter().enumerate() {
            let target = format!("/__case/{n:03}/");
            let found = case.bytes.windows(target.len()).filter(|w| *w == target.as_bytes());
            assert_eq!(found.count(), 2, "{}", case.name);
        }
    }

    /// The pair that gave the family its names, byte for byte.
    #[test]
    fn the_lengths_of_the_classic_pair_are_right() {
        let cases = h1("a");
        let text = |name: &str| {
            let case = cases.iter().find(|case| case.name == name).unwrap();
            String::from_utf8(case.bytes.clone()).unwrap()
        };
        let length = |text: &str| -> usize {
            let line = text.split("Content-Length: ").nth(1).unwrap();
            line.split("\r\n").next().unwrap().parse().unwrap()
        };
        let cl_te = text("CL.TE chunked");
        let body = cl_te.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(length(&cl_te), body.len());
        assert!(body.starts_with("0\r\n\r\nGET /__case/000/smuggled"));
        let te_cl = text("TE.CL chunked");
        let body = te_cl.split_once("\r\n\r\n").unwrap().1;
        assert!(body.split_at(length(&te_cl)).1.starts_with("GET /__case/001/smuggled"));
    }
}
