//! The same request over HTTP/1.1 and over HTTP/2 has the same verdict, and is the same at the
//! origin.

use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Method, Request, Version};
use seawall_tests::{Recorder, SITE, Secret, Server, Setup, credulous, wait_until};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::h2::{SELF_SIGNED, ask, client, frame, raw, within};

/// Rules that read what could be put in two ways: each has a status of its own.
const POLICY: &str = "policy 1
floor {
  rule cookies { when header(\"cookie\") == \"a=1; b=2\" then block 410 }
  rule crumb { when header(\"cookie\") == \"b=2\" then block 411 }
  rule cookie { when cookie(\"c\") == \"3\" then block 412 }
  rule empty { when header(\"x-a\") == \"\" then block 413 }
  rule second { when header(\"x-a\") == \"2\" then block 414 }
  rule under { when header(\"x_a\") is present then block 415 }
  rule query { when query_string == \"x=1\" then block 416 }
  rule folded { when path == \"/folded\" then block 417 }
  rule raw { when raw_path == \"/raw%2Fpath\" then block 418 }
  rule large { when content_length > 3 then block 422 }
  rule dav { when method == OPTIONS then block 423 }
}
";

/// A request as it could be put in either version.
#[derive(Debug, Clone, Default)]
struct Asked {
    method: &'static str,
    target: String,
    fields: Vec<(&'static str, &'static str)>,
    body: &'static str,
}

/// What came of it: the status, and what the origin got, its fields in order.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    forwarded: Option<(String, Vec<String>, Vec<u8>)>,
}

impl Asked {
    fn get(target: &str, fields: &[(&'static str, &'static str)]) -> Self {
        Self { method: "GET", target: target.to_owned(), fields: fields.to_vec(), body: "" }
    }

    fn in_http_1(&self) -> String {
        let fields = self.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let fields: String = fields.collect();
        let length = match self.body.len() {
            0 => String::new(),
            bytes => format!("Content-Length: {bytes}\r\n"),
        };
        format!(
            "{} {} HTTP/1.1\r\nHost: {SITE}\r\n{fields}{length}\r\n{}",
            self.method, self.target, self.body
        )
    }

    /// None where a client's library cannot say it.
    fn in_http_2(&self) -> Option<Request<()>> {
        let uri = format!("https://{SITE}{}", self.target);
        let method = Method::from_bytes(self.method.as_bytes()).ok()?;
        let mut request = Request::builder().method(method).uri(uri).version(Version::HTTP_2);
        for (name, value) in &self.fields {
            request = request.header(*name, *value);
        }
        if !self.body.is_empty() {
            request = request.header("content-length", self.body.len());
        }
        request.body(()).ok()
    }
}

/// Asks in both versions.
struct Both<'s> {
    server: &'s Server,
    origin: &'s Recorder,
    kept: Option<Secret>,
    client: Option<SendRequest<Bytes>>,
}

impl<'s> Both<'s> {
    fn new(server: &'s Server, origin: &'s Recorder) -> Self {
        server.note_client("127.0.0.1");
        Self { server, origin, kept: None, client: None }
    }

    /// What the origin got since it had had so many.
    fn forwarded(&self, before: usize) -> Option<(String, Vec<String>, Vec<u8>)> {
        let mut all = self.origin.requests();
        assert!(all.len() <= before + 1, "it was forwarded twice: {:?}", all.split_off(before));
        let request = all.into_iter().nth(before)?;
        let lines = request.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let named = |(name, value): (&str, &str)| {
            format!("{}: {}", name.to_ascii_lowercase(), value.trim())
        };
        let mut fields: Vec<_> = lines.map(named).collect();
        fields.sort();
        Some((request.line, fields, request.body))
    }

    fn in_http_1(&mut self, asked: &Asked) -> Seen {
        let before = self.origin.requests().len();
        let alpn = credulous(&["http/1.1"]);
        let (server, kept) = (self.server, self.kept.take());
        let connect = || Secret::connect(server.address_tls, SITE, alpn).unwrap();
        let mut line = kept.unwrap_or_else(connect);
        let answer = line.ask(&asked.in_http_1()).unwrap();
        let status = answer.get(9..12).unwrap().parse().unwrap();
        if !answer.to_ascii_lowercase().contains("connection: close") {
            self.kept = Some(line);
        }
        Seen { status, forwarded: self.forwarded(before) }
    }

    async fn in_http_2(&mut self, asked: &Asked) -> Option<Seen> {
        let request = asked.in_http_2()?;
        let before = self.origin.requests().len();
        let mut own = match self.client.take() {
            Some(kept) => kept,
            None => client(self.server).await,
        };
        let body = (!asked.body.is_empty()).then(|| Bytes::from_static(asked.body.as_bytes()));
        let status = match ask(&mut own, request, body).await {
            Ok((status, _)) => {
                self.client = Some(own);
                status
            }
            // What is malformed ends its stream and has no answer.
            Err(error) if error.is_reset() => 400,
            Err(error) => panic!("{asked:?}: {error}"),
        };
        Some(Seen { status, forwarded: self.forwarded(before) })
    }

    /// Whether a library could say it.
    async fn compare(&mut self, asked: &Asked) -> bool {
        let Some(two) = self.in_http_2(asked).await else { return false };
        let one = self.in_http_1(asked);
        assert_eq!(one, two, "{asked:?}, over HTTP/1.1 (left) and HTTP/2 (right)");
        true
    }
}

fn started() -> (Recorder, Server) {
    let origin = Recorder::start();
    let setup = Setup::new(origin.address, POLICY).tls(SELF_SIGNED);
    let server = setup.start();
    (origin, server)
}

/// Runs what compares, and holds that the origin could read all in one way.
fn compared(all: impl IntoIterator<Item = Asked>) -> usize {
    let (origin, server) = started();
    let compared = within(async {
        let (mut both, mut compared) = (Both::new(&server, &origin), 0);
        for asked in all {
            compared += usize::from(both.compare(&asked).await);
        }
        compared
    });
    assert_eq!(origin.unsound(), Vec::<String>::new());
    wait_until("all are over", || server.proxy().requests.active == 0);
    compared
}

/// Numbers that look random (Steele et al., SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        usize::try_from((mixed ^ (mixed >> 27)) >> 33).unwrap() % n
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

const METHODS: [&str; 9] =
    ["GET", "GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "PROPFIND", "FOO"];
const TARGETS: [&str; 24] = [
    "/",
    "/a?x=1",
    "/?",
    "/folded",
    "/./folded",
    "/x/..//folded",
    "/%66olded",
    "/raw%2Fpath",
    "/%2e%2e/folded",
    "/..",
    "/a/../../b",
    "/%zz",
    "/%00",
    "/a%",
    "//folded",
    "/a;b=c?d;e",
    "/a?b?c",
    "/a?%zz",
    "/a|b",
    "/{a}",
    "/a\"b",
    "/a^b?c`d",
    "/a?x=%31&x=1",
    "/\u{e9}",
];
const FIELDS: [(&str, &str); 40] = [
    ("cookie", "a=1"),
    ("cookie", "a=1"),
    ("cookie", "b=2"),
    ("cookie", "c=3"),
    ("cookie", "a=1; b=2"),
    ("cookie", ""),
    ("x-a", ""),
    ("x-a", "1"),
    ("x-a", "2"),
    ("x-a", "1, 2"),
    ("x-a", "\t2 "),
    ("x-b", "\"1\""),
    ("x_a", "1"),
    ("x-forwarded_for", "192.0.2.1"),
    ("x-forwarded-for", "192.0.2.1"),
    ("forwarded", "for=192.0.2.1"),
    ("x-real-ip", "192.0.2.1"),
    ("x-forwarded-proto", "http"),
    ("via", "1.1 somebody"),
    ("te", "trailers"),
    ("trailer", "x-a"),
    ("proxy", "http://192.0.2.1/"),
    ("proxy-authorization", "Basic YQ=="),
    ("authorization", "Basic YQ=="),
    ("user-agent", "somebody/1.0"),
    ("user-agent", ""),
    ("accept", "*/*"),
    ("accept", "text/html"),
    ("accept-encoding", "gzip, br"),
    ("referer", "https://a.example/"),
    ("origin", "null"),
    ("content-type", "text/plain"),
    ("content-encoding", "gzip"),
    ("range", "bytes=0-3"),
    ("if-match", "\"a\""),
    ("if-none-match", "*"),
    ("priority", "u=1, i"),
    ("early-data", "1"),
    ("cdn-loop", "a"),
    ("x-original-url", "/admin"),
];

fn made_up(dice: &mut Dice) -> Asked {
    let method = dice.one(&METHODS);
    let mut fields: Vec<_> = (0..dice.below(6)).map(|_| dice.one(&FIELDS)).collect();
    // So often the values that some rule asks for.
    if dice.below(3) == 0 {
        fields.extend([FIELDS[0], FIELDS[2]]);
    }
    let has_body = matches!(method, "POST" | "PUT" | "PROPFIND") && dice.below(2) == 0;
    let body = if has_body { dice.one(&["a", "abc", "abcd"]) } else { "" };
    Asked { method, target: dice.one(&TARGETS).to_owned(), fields, body }
}

/// So many made-up requests are tried.
const TRIED: usize = 600;

#[test]
fn what_is_made_up_is_judged_and_forwarded_alike() {
    let mut dice = Dice(17);
    let compared = compared((0..TRIED).map(|_| made_up(&mut dice)));
    assert!(compared > TRIED * 3 / 4, "only {compared} could be said in both");
}

#[test]
fn each_field_and_each_target_is_judged_and_forwarded_alike() {
    let fields = FIELDS.iter().map(|field| Asked::get("/", &[*field]));
    let twice = FIELDS.iter().map(|field| Asked::get("/", &[*field, *field]));
    let targets = TARGETS.iter().map(|target| Asked::get(target, &[]));
    compared(fields.chain(twice).chain(targets));
}

/// Browsers send each cookie as a field of its own (RFC 9113 §8.2.3).
#[test]
fn cookies_are_one_field_for_rules_and_for_origins() {
    let (origin, server) = started();
    within(async {
        let mut client = client(&server).await;
        let crumbs = |all: &[String]| {
            let uri = format!("https://{SITE}/");
            let mut request = Request::builder().uri(uri).version(Version::HTTP_2);
            for crumb in all {
                request = request.header("cookie", crumb);
            }
            request.body(()).unwrap()
        };
        for (crumbs_of, expected) in [(["a=1", "b=2"], 410), (["b=2", "c=3"], 412)] {
            let all = crumbs_of.map(str::to_owned);
            assert_eq!(ask(&mut client, crumbs(&all), None).await.unwrap().0, expected);
        }
        for number in [1, 3, 55, 98, 200] {
            let all: Vec<_> = (0..number).map(|n| format!("k{n}=some-value-of-{n}")).collect();
            assert_eq!(ask(&mut client, crumbs(&all), None).await.unwrap().0, 200, "{number}");
            let forwarded = origin.requests().pop().unwrap();
            assert_eq!(forwarded.values("cookie"), [all.join("; ")]);
        }
    });
}

/// A header block of literals (RFC 7541 §6.2.2), so that anything can be said.
fn literals(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// The status in a header block that begins with it, as a value of the field `:status` of the static
/// table, Huffman-coded (RFC 7541, appendices A and B) or not.
fn status_of(block: &[u8]) -> u16 {
    assert!(matches!(block[0], 0x08 | 0x48 | 0x18), "{block:?}");
    let value = &block[2..2 + usize::from(block[1] & 0x7f)];
    if block[1] & 0x80 == 0 {
        return std::str::from_utf8(value).unwrap().parse().unwrap();
    }
    let bits: String = value.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut rest, mut status) = (&*bits, 0);
    for _ in 0..3 {
        // 0 to 2 have five bits, 3 to 9 have six.
        let (len, least) =
            if u16::from_str_radix(&rest[..5], 2).unwrap() < 3 { (5, 0) } else { (6, 22) };
        status = status * 10 + u16::from_str_radix(&rest[..len], 2).unwrap() - least;
        rest = &rest[len..];
    }
    status
}

/// The status of an answer in HTTP/2 to what these fields say; 400 for a stream that is reset.
async fn status_by_hand(server: &Server, fields: &[(&str, &str)]) -> u16 {
    let mut io = raw(server).await;
    io.write_all(&frame(1, 5, 1, &literals(fields))).await.unwrap();
    let mut heard = Vec::new();
    loop {
        let read = io.read_buf(&mut heard).await.unwrap();
        assert!(read > 0, "no answer to {fields:?}");
        while heard.len() >= 9 {
            let len = usize::from(heard[1]) << 8 | usize::from(heard[2]);
            let Some(rest) = heard.get(9 + len..) else { break };
            match (heard[3], heard[9]) {
                (4, _) | (6, _) | (8, _) => {}
                // A field of the static table (RFC 7541, appendix A), or one of our own.
                (1, 0x88) => return 200,
                (1, 0x8c) => return 400,
                (1, _) => return status_of(&heard[9..9 + len]),
                (3, _) => return 400,
                (7, _) => panic!("the connection ends: {fields:?}"),
                _ => {}
            }
            heard = rest.to_vec();
        }
    }
}

/// Where the authority stands, and what no library of a client says.
#[test]
fn what_is_said_by_hand_is_refused_or_taken_alike() {
    let (origin, server) = started();
    let ask_1 = |head: &str| {
        let mut line = Secret::connect(server.address_tls, SITE, credulous(&["http/1.1"])).unwrap();
        let answer = line.ask(&format!("{head}\r\n\r\n")).unwrap();
        answer.get(9..12).unwrap().parse::<u16>().unwrap()
    };
    let get = [(":method", "GET"), (":scheme", "https"), (":path", "/")];
    let named = |more: &[(&'static str, &'static str)]| [&get[..], more].concat();
    let authority = (":authority", SITE);
    let pairs = [
        (200, named(&[authority]), "GET / HTTP/1.1\r\nHost: a.example"),
        (200, named(&[("host", SITE)]), "GET / HTTP/1.1\r\nHost: a.example"),
        (
            200,
            named(&[authority, ("host", SITE)]),
            "GET https://a.example/ HTTP/1.1\r\nHost: a.example",
        ),
        (
            400,
            named(&[authority, ("host", "b.example")]),
            "GET https://a.example/ HTTP/1.1\r\nHost: b.example",
        ),
        (
            400,
            named(&[authority, ("host", SITE), ("host", SITE)]),
            "GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example",
        ),
        (400, named(&[]), "GET / HTTP/1.1\r\nX: y"),
        (
            400,
            named(&[(":authority", "u@a.example")]),
            "GET https://u@a.example/ HTTP/1.1\r\nHost: a.example",
        ),
        (421, named(&[(":authority", "b.example")]), "GET / HTTP/1.1\r\nHost: b.example"),
        (200, named(&[(":authority", "A.EXAMPLE:443")]), "GET / HTTP/1.1\r\nHost: A.EXAMPLE:443"),
        (200, named(&[(":authority", "a.example.")]), "GET / HTTP/1.1\r\nHost: a.example."),
        (413, named(&[authority, ("x-a", "")]), "GET / HTTP/1.1\r\nHost: a.example\r\nX-A:"),
        (
            410,
            named(&[authority, ("cookie", "a=1"), ("x-b", "y"), ("cookie", "b=2")]),
            "GET / HTTP/1.1\r\nHost: a.example\r\nCookie: a=1\r\nX-B: y\r\nCookie: b=2",
        ),
        (
            400,
            named(&[authority, ("content_length", "1")]),
            "GET / HTTP/1.1\r\nHost: a.example\r\nContent_Length: 1",
        ),
    ];
    within(async {
        for (expected, fields, head) in &pairs {
            let statuses = (status_by_hand(&server, fields).await, ask_1(head));
            assert_eq!(statuses, (*expected, *expected), "{fields:?} and {head:?}");
        }
    });
    assert_eq!(origin.unsound(), Vec::<String>::new());
}

/// A target has no fragment (RFC 9112 §3.2, RFC 9113 §8.3.1).
#[test]
#[ignore = "the HTTP/2 library drops `#` and what follows it before anybody sees it"]
fn a_fragment_is_refused_in_both() {
    let (_origin, server) = started();
    let fields =
        [(":method", "GET"), (":scheme", "https"), (":authority", SITE), (":path", "/a#b")];
    assert_eq!(within(status_by_hand(&server, &fields)), 400);
    let asked = Asked::get("/a#b", &[]);
    let mut line = Secret::connect(server.address_tls, SITE, credulous(&["http/1.1"])).unwrap();
    assert!(line.ask(&asked.in_http_1()).unwrap().starts_with("HTTP/1.1 400 "));
}

/// Case 05. RFC 9110 §15.2: a proxy forwards interim answers.
#[test]
fn h2_interim_answers_are_sent_on() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    let answer = format!("{early}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let origin = crate::answers::says(move |to| to.write_all(answer.as_bytes()));
    let server = Setup::new(origin, POLICY).tls(SELF_SIGNED).start();
    let fields = [(":method", "GET"), (":scheme", "https"), (":authority", SITE), (":path", "/")];
    assert_eq!(within(status_by_hand(&server, &fields)), 103);
}

/// RFC 9113 §8.1: trailers are a second block of fields.
#[test]
fn trailers_of_an_answer_are_sent_on_over_http_2() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                  2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
    let origin = crate::answers::says(move |to| to.write_all(answer.as_bytes()));
    let server = Setup::new(origin, POLICY).tls(SELF_SIGNED).start();
    within(async {
        let mut client = client(&server).await.ready().await.unwrap();
        let asked = Asked::get("/", &[("te", "trailers")]).in_http_2().unwrap();
        let answer = client.send_request(asked, true).unwrap().0.await.unwrap();
        let mut body = answer.into_body();
        while body.data().await.is_some() {}
        let trailers = body.trailers().await.unwrap().expect("there are trailers");
        assert_eq!(trailers.get("x-sum").unwrap(), "7");
    });
}

/// Sends a body in these frames; the last of them ends the stream.
async fn send_frames(client: &mut SendRequest<Bytes>, frames: &[usize]) -> u16 {
    let mut ready = client.clone().ready().await.unwrap();
    let uri = format!("https://{SITE}/up");
    let asked = Request::builder().method(Method::PUT).uri(uri).version(Version::HTTP_2);
    let (answer, mut body) = ready.send_request(asked.body(()).unwrap(), false).unwrap();
    for (n, bytes) in frames.iter().enumerate() {
        let piece = Bytes::from(vec![b'x'; *bytes]);
        body.send_data(piece, n + 1 == frames.len()).unwrap();
    }
    let answer = answer.await.unwrap();
    let status = answer.status().as_u16();
    let mut rest = answer.into_body();
    while let Some(bytes) = rest.data().await {
        rest.flow_control().release_capacity(bytes.unwrap().len()).unwrap();
    }
    status
}

/// Nothing stands between a request and the next, whose it may be: a last chunk twice would be
/// answered as a request, and each visitor from there on gets another one's page.
#[test]
fn a_body_that_ends_in_an_empty_frame_leaves_nothing_on_its_origins_connection() {
    let (origin, server) = started();
    within(async {
        let mut client = client(&server).await;
        let all: [&[usize]; 10] = [
            &[0],
            &[1, 0],
            &[16_383, 0],
            &[16_384, 0],
            &[16_384],
            &[20_000, 0],
            &[16_384, 0, 0, 0],
            &[30_000, 0, 30_000, 0],
            &[300_000, 0],
            &[100_000, 100_000, 1],
        ];
        for frames in all {
            let before = origin.requests().len();
            assert_eq!(send_frames(&mut client, frames).await, 200, "{frames:?}");
            let (status, _) = ask(&mut client, Asked::get("/next", &[]).in_http_2().unwrap(), None)
                .await
                .unwrap();
            assert_eq!(status, 200, "behind {frames:?}");
            let came: Vec<_> = origin.requests()[before..]
                .iter()
                .map(|r| (r.line.clone(), r.body.len()))
                .collect();
            let sent = [("PUT /up".to_owned(), frames.iter().sum()), ("GET /next".to_owned(), 0)];
            assert_eq!(came, sent, "{frames:?}");
        }
    });
    assert_eq!(origin.unsound(), Vec::<String>::new());
}

/// An origin is told that there is no body where it would expect one, whoever left that open: some
/// refuse a `PUT` that has neither a length nor chunks.
#[test]
fn a_body_that_is_not_there_is_said_to_be_empty() {
    let (origin, server) = started();
    within(async {
        let mut both = Both::new(&server, &origin);
        for (method, length) in [("POST", 1), ("PUT", 1), ("PATCH", 1), ("DELETE", 0), ("GET", 0)] {
            let before = origin.requests().len();
            assert!(both.compare(&Asked { method, ..Asked::get("/x", &[]) }).await);
            for request in &origin.requests()[before..] {
                assert_eq!(request.values("content-length"), ["0"; 1][..length], "{method}");
                assert_eq!(request.values("transfer-encoding"), [""; 0], "{method}");
            }
        }
        assert_eq!(send_frames(&mut client(&server).await, &[0]).await, 200);
    });
    let last = origin.requests().pop().unwrap();
    assert_eq!((last.line.as_str(), &*last.values("content-length")), ("PUT /up", &["0"][..]));
}

/// The limit on a head counts the same bytes in both versions.
#[test]
fn many_crumbs_are_as_long_as_one_cookie() {
    let (_origin, server) = started();
    let crumbs = |number: usize, bytes: usize| {
        let uri = format!("https://{SITE}/");
        let mut request = Request::builder().uri(uri).version(Version::HTTP_2);
        for n in 0..number {
            let name = format!("k{n:03}=");
            let value = "x".repeat((bytes / number).saturating_sub(name.len() + 2));
            request = request.header("cookie", format!("{name}{value}"));
        }
        request.body(()).unwrap()
    };
    within(async {
        let mut client = client(&server).await;
        for number in [1, 50, 200, 400] {
            let (status, _) = ask(&mut client, crumbs(number, 32_000), None).await.unwrap();
            assert_eq!(status, 200, "{number} crumbs");
            let over = ask(&mut client, crumbs(number, 34_000), None).await;
            assert!(matches!(over, Ok((431, _))), "{number} crumbs: {over:?}");
        }
    });
}

/// A cookie in more fields than its limit, however short they are; and a client that does not stop.
#[test]
fn too_many_crumbs_are_refused_and_then_the_connection_ends() {
    let (origin, server) = started();
    let crumbs = |number: usize| {
        let uri = format!("https://{SITE}/");
        let mut request = Request::builder().uri(uri).version(Version::HTTP_2);
        for _ in 0..number {
            request = request.header("cookie", "");
        }
        request.body(()).unwrap()
    };
    within(async {
        let mut client = client(&server).await;
        assert_eq!(ask(&mut client, crumbs(512), None).await.unwrap().0, 200);
        for number in [513, 1_300] {
            assert_eq!(ask(&mut client, crumbs(number), None).await.unwrap().0, 431, "{number}");
        }
        // These are too large for the library. A mistake, and a few more, are answered; the answer
        // past the limit ends the connection.
        for nth in 0..8 {
            assert_eq!(ask(&mut client, crumbs(2_000), None).await.unwrap().0, 431, "{nth}");
        }
        let _last = ask(&mut client, crumbs(2_000), None).await;
        assert!(ask(&mut client, crumbs(2_000), None).await.is_err());
    });
    let closed = server.status().proxy.connections.closed.h2_frame_flood;
    assert_eq!((origin.requests().len(), closed), (1, 1));
}

/// Two tabs with long polls do not keep a browser's next page waiting.
#[test]
fn long_polls_do_not_hold_back_what_comes_on_their_connection() {
    let origin = crate::field::polls(Duration::from_secs(30));
    let setup = Setup::new(origin, POLICY).tls(SELF_SIGNED);
    let server = setup.start();
    within(async {
        let client = client(&server).await;
        let mut polling = Vec::new();
        for _ in 0..6 {
            let mut ready = client.clone().ready().await.unwrap();
            let asked = Asked::get("/poll", &[]).in_http_2().unwrap();
            polling.push(ready.send_request(asked, true).unwrap().0);
        }
        let mut page = client.clone();
        let asked = Asked::get("/page", &[]).in_http_2().unwrap();
        let page = tokio::time::timeout(Duration::from_secs(20), ask(&mut page, asked, None));
        assert_eq!(page.await.expect("it does not wait for the polls").unwrap().0, 200);
    });
}
