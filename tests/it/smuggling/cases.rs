//! The cases: each known way to make two parsers see different requests in the same bytes.
//!
//! They are generated from lists of spellings, so a new spelling is one line and is combined with
//! every shape. A path in a case is written `/CASE/…`. The number of the case replaces it, with the
//! same number of bytes.

use seawall_tests::SITE;

/// What must come of a case's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expect {
    /// An answer that refuses, and not a byte to the origin.
    Refused,
    /// These requests reach the origin, with these bodies, and nothing else.
    Whole(Vec<(&'static str, Vec<u8>)>),
    /// The same, and then something refused that does not reach it.
    ThenRefused(Vec<(&'static str, Vec<u8>)>),
    /// A request that turns out broken when its head has gone to the origin: it does not get whole
    /// there, and nothing comes after it.
    Cut,
}

/// One case.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expect: Expect,
}

/// The request that must never be seen where it stands inside another.
const INNER: &str = "GET /CASE/smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";
/// The last request of a case that is sound.
const LAST: &str = "GET /CASE/last HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

const FRONT: &str = "POST /CASE/front";
const GET_FRONT: &str = "GET /CASE/front";
const AFTER: (&str, Vec<u8>) = ("GET /CASE/last", Vec::new());

/// Ways to write `Transfer-Encoding: chunked` that some reader takes for it and another does not.
const ENCODINGS: [&str; 46] = [
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: x chunked",
    "Transfer-Encoding: chunk",
    "Transfer-Encoding: cow",
    "Transfer-Encoding:",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: 'chunked'",
    "Transfer-Encoding: \u{b}chunked",
    "Transfer-Encoding: chunked\u{b}",
    "Transfer-Encoding: \u{c}chunked",
    "Transfer-Encoding: chunked\0",
    "Transfer-Encoding: \0chunked",
    "Transfer-Encoding: chun\0ked",
    "Transfer-Encoding: chunked\u{7f}",
    "Transfer-Encoding: \u{e4}chunked",
    "Transfer-Encoding\0: chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    "Transfer-Encoding\u{b}: chunked",
    "Transfer_Encoding: chunked",
    "Transfer Encoding: chunked",
    " Transfer-Encoding: chunked",
    "\tTransfer-Encoding: chunked",
    "\u{b}Transfer-Encoding: chunked",
    "\0Transfer-Encoding: chunked",
    "X: y\n Transfer-Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X: y\rTransfer-Encoding: chunked",
    "X: y\r\rTransfer-Encoding: chunked",
    "X: y\r\n\u{85}Transfer-Encoding: chunked",
    "Transfer-Encoding:\n chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding: chunked\r\n\t",
    "Transfer-Encoding\r\n: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked",
];

/// Ways to write `Content-Length` that readers understand differently. `N` is the length.
const LENGTHS: [&str; 28] = [
    "Content-Length: +N",
    "Content-Length: -N",
    "Content-Length: 0N",
    "Content-Length: 0xN",
    "Content-Length: N,N",
    "Content-Length: N, 0",
    "Content-Length: 0, N",
    "Content-Length: N 0",
    "Content-Length: N;",
    "Content-Length: N.0",
    "Content-Length: Ne0",
    "Content-Length: \"N\"",
    "Content-Length:",
    "Content-Length: N\0",
    "Content-Length: N\u{b}",
    "Content-Length: \u{ff12}",
    "Content-Length: 18446744073709551615",
    "Content-Length: 99999999999999999999N",
    "Content-Length: N\r\nContent-Length: N",
    "Content-Length: 0\r\nContent-Length: N",
    "Content-Length: N\r\ncontent-length: 0",
    "Content-Length : N",
    "Content-Length\t: N",
    "Content_Length: N",
    "Content Length: N",
    " Content-Length: N",
    "Content-Length:\r\n N",
    "X: y\nContent-Length: N",
];

/// Bodies that no strict reader takes for chunked ones, and whether their end is where a lenient one
/// would look for the next request.
const CHUNKS: [&str; 27] = [
    "+5\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    "5\t\r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhelloXX0\r\n\r\n",
    "5\r\nhello\r\r0\r\n\r\n",
    "5\r\nhello\r\n0\n\n",
    "5\r\nhello\r\n0\r\n\n",
    "5\r\nhello\r\n0\n\r\n",
    "5;x\ny\r\nhello\r\n0\r\n\r\n",
    "5;x\ry\r\nhello\r\n0\r\n\r\n",
    "5;\nhello\r\n0\r\n\r\n",
    "5;x=\"\0\"\r\nhello\r\n0\r\n\r\n",
    "\r\n5\r\nhello\r\n0\r\n\r\n",
    ";x\r\n5\r\nhello\r\n0\r\n\r\n",
    "5,5\r\nhello\r\n0\r\n\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "0000000000000000000005\r\nhello\r\n0\r\n\r\n",
    "5_0\r\nhello\r\n0\r\n\r\n",
    "0\r\nX: y\nContent-Length: 3\r\n\r\n",
    "g\r\nhello\r\n0\r\n\r\n",
];

/// Heads whose lines, targets or versions readers take differently; what follows each is a request.
const HEADS: [&str; 40] = [
    "GET /CASE/front HTTP/1.1\nHost: a.example\n\n",
    "GET /CASE/front HTTP/1.1\r\nHost: a.example\n\r\n",
    "GET /CASE/front HTTP/1.1\r\nHost: a.example\r\n\n",
    "GET /CASE/front HTTP/1.1\rHost: a.example\r\r",
    "GET /CASE/front HTTP/1.1\r\nHost: a.example\r\r\n\r\n",
    "\r\n\r\nGET /CASE/front HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "\nGET /CASE/front HTTP/1.1\r\nHost: a.example\r\n\r\n",
    " GET /CASE/front HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET /CASE/front HTTP/1.1\r\n Host: a.example\r\n\r\n",
    "GET /CASE/front HTTP/1.1\r\nHost: a.example\r\nX: y\r\n z\r\n\r\n",
    "GET /CASE/front HTTP/1.1\r\nHost: a.example\r\nX: y\0z\r\n\r\n",
    "GET /CASE/front HTTP/1.1\r\nHost: a.example\r\nX\0: y\r\n\r\n",
    "GET /CASE/front HTTP/1.1\r\nHost: a.example\r\nX Y: z\r\n\r\n",
    "GET /CASE/front HTTP/1.1\r\nHost: a.example\r\nno colon\r\n\r\n",
    "GET /CASE/front HTTP/1.1\r\nHost: a.example\r\n: no name\r\n\r\n",
    "G\0ET /CASE/front HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET /CASE/fr\0nt HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET  /CASE/front HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET /CASE/front  HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET\t/CASE/front\tHTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET /CASE/front HTTP/1.1 HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET /CASE/front\r\nHost: a.example\r\n\r\n",
    "GET /CASE/front HTTP/0.9\r\nHost: a.example\r\n\r\n",
    "GET /CASE/front HTTP/1.2\r\nHost: a.example\r\n\r\n",
    "GET /CASE/front HTTP/2.0\r\nHost: a.example\r\n\r\n",
    "GET /CASE/front HTTP/11\r\nHost: a.example\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT a.example:80 HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET /CASE/front HTTP/1.1\r\n\r\n",
    "GET /CASE/front HTTP/1.1\r\nHost:\r\n\r\n",
    "GET /CASE/front HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n",
    "GET /CASE/front HTTP/1.1\r\nHost: a.example\r\nhost: b.example\r\n\r\n",
    "GET /CASE/front HTTP/1.1\r\nHost : a.example\r\n\r\n",
    "GET /CASE/front HTTP/1.1\r\nHost: x@a.example\r\n\r\n",
    "GET /CASE/front HTTP/1.1\r\nHost: a.example/x\r\n\r\n",
    "GET http://b.example/CASE/front HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET http://a.example@b.example/CASE/front HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET https://a.example/CASE/front HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET a.example/CASE/front HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET /CASE/front#x HTTP/1.1\r\nHost: a.example\r\n\r\n",
];

/// Fields that make a hop drop another field, or promise a change of protocol, in a request that
/// would be sound without them.
const NOMINATIONS: [&str; 8] = [
    "Connection: content-length",
    "Connection: close, Content-Length",
    "Connection: transfer-encoding",
    "Connection: host",
    "Connection: keep-alive\r\nConnection: content-length",
    "Connection: Upgrade\r\nUpgrade: websocket",
    "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c",
    "Connection: cookie",
];

fn post(fields: &str, rest: &str) -> String {
    format!("{FRONT} HTTP/1.1\r\nHost: {SITE}\r\n{fields}\r\n\r\n{rest}")
}

fn refused(name: String, text: String) -> (String, String, Expect) {
    (name, text, Expect::Refused)
}

/// A length beside an encoding: each alone, and the two shapes that trust one of them.
fn lengths_and_encodings(found: &mut Vec<(String, String, Expect)>) {
    let all = "0\r\n\r\n".len() + INNER.len();
    let chunk = format!("{:x}\r\n{INNER}\r\n0\r\n\r\n", INNER.len());
    for te in
        ENCODINGS.into_iter().chain(["Transfer-Encoding: chunked", "TRANSFER-ENCODING:\tChunked "])
    {
        let shown = te.escape_debug();
        let by_length =
            post(&format!("Content-Length: {all}\r\n{te}"), &format!("0\r\n\r\n{INNER}"));
        found.push(refused(format!("CL.TE {shown}"), by_length));
        let by_chunks = post(&format!("{te}\r\nContent-Length: 4"), &chunk);
        found.push(refused(format!("TE.CL {shown}"), by_chunks));
    }
    for te in ENCODINGS {
        let shown = te.escape_debug();
        found.push(refused(format!("TE.0 {shown}"), post(te, &format!("0\r\n\r\n{INNER}"))));
    }
    for te in [
        "Content-Encoding: chunked",
        "X-Transfer-Encoding: chunked",
        "TE: chunked",
        "Trailer: Transfer-Encoding",
    ] {
        let body = format!("0\r\n\r\n{INNER}");
        let text = post(&format!("Content-Length: {all}\r\n{te}"), &format!("{body}{LAST}"));
        found.push((
            format!("CL with {te}"),
            text,
            Expect::Whole(vec![(FRONT, body.into()), AFTER]),
        ));
    }
}

fn lengths(found: &mut Vec<(String, String, Expect)>) {
    for length in LENGTHS {
        let field = length.replace('N', &INNER.len().to_string());
        found.push(refused(format!("CL {}", length.escape_debug()), post(&field, INNER)));
    }
    // A body that the method gives no meaning is a body all the same.
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let line = match method {
            "GET" => GET_FRONT,
            "HEAD" => "HEAD /CASE/front",
            "DELETE" => "DELETE /CASE/front",
            _ => "OPTIONS /CASE/front",
        };
        let head = format!("{line} HTTP/1.1\r\nHost: {SITE}\r\n");
        let whole = Expect::Whole(vec![(line, INNER.into()), AFTER]);
        let text = format!("{head}Content-Length: {}\r\n\r\n{INNER}{LAST}", INNER.len());
        found.push((format!("CL.0 {method}"), text, whole.clone()));
        let chunk = format!("{:x}\r\n{INNER}\r\n0\r\n\r\n", INNER.len());
        let text = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}{LAST}");
        found.push((format!("TE.0 {method}"), text, whole));
    }
    for (name, field) in
        [("CL.0 POST", ""), ("CL.0 POST, 100-continue", "Expect: 100-continue\r\n")]
    {
        let text =
            post(&format!("{field}Content-Length: {}", INNER.len()), &format!("{INNER}{LAST}"));
        found.push((name.into(), text, Expect::Whole(vec![(FRONT, INNER.into()), AFTER])));
    }
    // What follows a body is a request of its own.
    let text = post("Content-Length: 0", LAST);
    found.push(("0.CL none".into(), text, Expect::Whole(vec![(FRONT, Vec::new()), AFTER])));
    let text = post("Content-Length: 4", &format!("body(X){INNER}"));
    let whole = vec![(FRONT, b"body".to_vec())];
    found.push(("0.CL short".into(), text, Expect::ThenRefused(whole)));
    found.push(("0.CL long".into(), post("Content-Length: 200", INNER), Expect::Cut));
}

fn chunks(found: &mut Vec<(String, String, Expect)>) {
    let te = "Transfer-Encoding: chunked";
    for body in CHUNKS {
        let text = post(te, &format!("{body}{INNER}"));
        found.push((format!("chunks {}", body.escape_debug()), text, Expect::Cut));
    }
    let long = "x".repeat(300);
    found.push((
        "a long extension".into(),
        post(te, &format!("5;{long}\r\nhello\r\n0\r\n\r\n{INNER}")),
        Expect::Cut,
    ));
    found.push((
        "trailers that are a request".into(),
        post(te, &format!("0\r\n{INNER}")),
        Expect::Cut,
    ));
    found.push((
        "chunks without an end".into(),
        post(te, &format!("5\r\nhello\r\n200\r\n{INNER}")),
        Expect::Cut,
    ));
    for (name, body, meant) in [
        ("an extension", "5;x=\"y\";z\r\nhello\r\n0;x\r\n\r\n", "hello"),
        ("zeroes", "005\r\nhello\r\n000\r\n\r\n", "hello"),
        ("capitals", "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"),
        ("a chunk that looks like an end", "7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n\r\n"),
        (
            "trailers",
            "5\r\nhello\r\n0\r\nContent-Length: 60\r\nTransfer-Encoding: x\r\n\r\n",
            "hello",
        ),
    ] {
        let text = post(te, &format!("{body}{LAST}"));
        let whole = vec![(FRONT, meant.as_bytes().to_vec()), AFTER];
        found.push((format!("chunks with {name}"), text, Expect::Whole(whole)));
    }
}

fn heads(found: &mut Vec<(String, String, Expect)>) {
    for head in HEADS {
        found.push(refused(format!("head {}", head.escape_debug()), format!("{head}{INNER}")));
    }
    for fields in NOMINATIONS {
        let text = post(&format!("{fields}\r\nContent-Length: {}", INNER.len()), INNER);
        found.push(refused(fields.escape_debug().to_string(), text));
    }
    for version in ["HTTP/1.0", "HTTP/1.0\r\nConnection: keep-alive"] {
        for te in [
            "Transfer-Encoding: chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
        ] {
            let text = format!("{FRONT} {version}\r\nHost: {SITE}\r\n{te}\r\n\r\n0\r\n\r\n{INNER}");
            found.push(refused(format!("{} {}", version.escape_debug(), te.escape_debug()), text));
        }
    }
    let get = format!("{GET_FRONT} HTTP/1.1\r\nHost: {SITE}\r\n");
    let both = || Expect::Whole(vec![(GET_FRONT, Vec::new()), AFTER]);
    // An upgrade that the origin does not agree to is a request like any other.
    let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for upgrade in ["websocket", "h2c", "WebSocket", "websocket, h2c", "TLS/1.0"] {
        let text = format!("{get}Connection: Upgrade\r\nUpgrade: {upgrade}\r\n{key}\r\n{LAST}");
        found.push((format!("an early upgrade to {upgrade}"), text, both()));
    }
    let settings =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__";
    found.push(("h2c with settings".into(), format!("{get}{settings}\r\n\r\n{LAST}"), both()));
    found.push(("one empty line before".into(), format!("\r\n{get}\r\n{LAST}"), both()));
    let text = format!("GET http://{SITE}/CASE/front HTTP/1.1\r\nHost: {SITE}\r\n\r\n{LAST}");
    found.push(("a target with its host".into(), text, both()));
    let text = format!("{GET_FRONT} HTTP/1.0\r\nHost: {SITE}\r\n\r\n{INNER}");
    found.push(("HTTP/1.0 ends".into(), text, Expect::Whole(vec![(GET_FRONT, Vec::new())])));
    let text = format!("{get}Connection: close\r\n\r\n{INNER}");
    found.push(("nothing after close".into(), text, Expect::Whole(vec![(GET_FRONT, Vec::new())])));
}

/// All cases, each with its number in its paths.
pub(crate) fn all() -> Vec<Case> {
    let mut found = Vec::new();
    lengths_and_encodings(&mut found);
    lengths(&mut found);
    chunks(&mut found);
    heads(&mut found);
    let numbered = |(number, (name, text, expect)): (usize, (String, String, Expect))| {
        let number = format!("/c{number:03}/");
        let put =
            |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("/CASE/", &number).into_bytes();
        let put_all = |whole: Vec<(&'static str, Vec<u8>)>| {
            whole.into_iter().map(|(line, body)| (line, put(&body))).collect()
        };
        let expect = match expect {
            Expect::Whole(whole) => Expect::Whole(put_all(whole)),
            Expect::ThenRefused(whole) => Expect::ThenRefused(put_all(whole)),
            other => other,
        };
        Case { name: format!("{number} {name}"), bytes: put(text.as_bytes()), expect }
    };
    found.into_iter().enumerate().map(numbered).collect()
}
