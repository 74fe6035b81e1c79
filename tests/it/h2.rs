//! HTTP/2 requests are evaluated like all others, and frames that are not requests have limits.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Method, Request, Version};
use seawall_tests::{
    LONG, Origin, Recorder, SITE, Server, Setup, Stopwatch, credulous, overwrite, wait_until,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) const SELF_SIGNED: &str = "self_signed = true";
const POLICY: &str = "policy 1
floor {
  rule gone { when path == \"/gone\" then block 410 }
  rule two { when path == \"/h2\" and conn.proto == h2 then block 418 }
  rule trap { when path == \"/trap\" then ban 1h }
  rule drop { when path == \"/drop\" then drop }
  rule large { when path == \"/upload\" and content_length > 1MiB then block 413 }
  limit few { where path == \"/few\" per client to 2/1h then block 429 }
}
";

/// Runs `of` on a runtime of its own, within what any machine needs.
pub(crate) fn within<T>(of: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, of).await.unwrap() })
}

/// Over TLS from an address of this machine.
async fn connect_from(source: &str, server: &Server, name: &str) -> TlsStream<TcpStream> {
    let connector = TlsConnector::from(Arc::new(credulous(&["h2"])));
    server.note_client(source);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    let io = socket.connect(server.address_tls).await.unwrap();
    connector.connect(name.to_owned().try_into().unwrap(), io).await.unwrap()
}

async fn connect(server: &Server, name: &str) -> TlsStream<TcpStream> {
    connect_from("127.0.0.1", server, name).await
}

pub(crate) async fn client(server: &Server) -> SendRequest<Bytes> {
    client_from("127.0.0.1", server).await
}

async fn client_from(source: &str, server: &Server) -> SendRequest<Bytes> {
    // What one stream does not read must not take the window from the others.
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(1 << 24);
    let io = connect_from(source, server, SITE).await;
    let (client, connection) = builder.handshake(io).await.unwrap();
    tokio::task::spawn(async move { drop(connection.await) });
    client.ready().await.unwrap()
}

pub(crate) fn request(method: Method, host: &str, path: &str) -> Request<()> {
    let uri = format!("https://{host}{path}");
    Request::builder().method(method).uri(uri).version(Version::HTTP_2).body(()).unwrap()
}

/// The status and the body of an answer, or how there was none.
pub(crate) async fn ask(
    client: &mut SendRequest<Bytes>,
    request: Request<()>,
    body: Option<Bytes>,
) -> Result<(u16, Vec<u8>), h2::Error> {
    let mut ready = client.clone().ready().await?;
    let (answer, mut sending) = ready.send_request(request, body.is_none())?;
    if let Some(body) = body {
        sending.send_data(body, true)?;
    }
    let answer = answer.await?;
    let (status, mut coming) = (answer.status().as_u16(), answer.into_body());
    let mut all = Vec::new();
    while let Some(bytes) = coming.data().await {
        let bytes = bytes?;
        coming.flow_control().release_capacity(bytes.len())?;
        all.extend_from_slice(&bytes);
    }
    Ok((status, all))
}

pub(crate) async fn status(client: &mut SendRequest<Bytes>, path: &str) -> u16 {
    ask(client, request(Method::GET, SITE, path), None).await.unwrap().0
}

fn server() -> (Origin, Server) {
    let origin = Origin::start();
    let server = Setup::new(origin.address, POLICY).tls(SELF_SIGNED).start();
    (origin, server)
}

#[test]
fn requests_are_judged_and_forwarded_as_in_http_1() {
    let (origin, server) = server();
    within(async {
        let mut client = client(&server).await;
        for (path, expected) in
            [("/", 200), ("/gone", 410), ("/h2", 418), ("/few", 200), ("/few", 200), ("/few", 429)]
        {
            assert_eq!(status(&mut client, path).await, expected, "{path}");
        }
        let head = ask(&mut client, request(Method::HEAD, SITE, "/gone"), None).await.unwrap();
        assert_eq!(head, (410, vec![]));
        let body = Bytes::from(vec![b'x'; 300_000]);
        let post = ask(&mut client, request(Method::POST, SITE, "/"), Some(body)).await.unwrap();
        assert_eq!(post.0, 200);
        // Over one connection as over many: the limit is the client's.
        assert_eq!(server.visitor("127.0.0.1").status("/few"), 429);
    });
    let head = origin.heads()[0].to_ascii_lowercase();
    assert!(head.starts_with("get / http/1.1\r\n"), "{head}");
    assert!(head.contains("x-forwarded-proto: https\r\n") && head.contains("\r\nhost: a.example"));
    wait_until("all are over", || server.proxy().requests.active == 0);
}

#[test]
fn an_origin_that_hangs_is_504() {
    let origin = Origin::start();
    let limits = "origins.response_header_timeout = \"2s\"";
    let setup = Setup::new(origin.address, POLICY).tls(SELF_SIGNED).limits(limits);
    let server = setup.start();
    within(async {
        let mut client = client(&server).await;
        for (path, expected) in [("/gate", 504), ("/", 200)] {
            assert_eq!(status(&mut client, path).await, expected, "{path}");
        }
    });
    assert_eq!(server.proxy().requests.upstream_errors.timeout, 1);
}

#[test]
fn an_old_connection_takes_no_more_and_a_request_has_its_time() {
    let origin = Origin::start();
    let limits = "connections.max_connection_duration = \"3s\"\ntimeouts.request_timeout = \"3s\"";
    let setup = Setup::new(origin.address, POLICY).tls(SELF_SIGNED).limits(limits);
    let server = setup.start();
    within(async {
        let mut old = client(&server).await;
        assert_eq!(status(&mut old, "/").await, 200);
        while ask(&mut old, request(Method::GET, SITE, "/"), None).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(server.proxy().connections.closed.max_requests_or_duration, 1);
        let mut client = client(&server).await;
        let held = ask(&mut client, request(Method::GET, SITE, "/gate"), None).await;
        assert!(held.is_err(), "{held:?}");
    });
    assert_eq!(server.proxy().connections.closed.request_timeout, 1);
}

#[test]
fn an_open_connection_is_judged_by_the_new_policy() {
    let (_origin, server) = server();
    within(async {
        let mut client = client(&server).await;
        assert_eq!(status(&mut client, "/gone").await, 410);
        overwrite(&server.setup.policy(seawall_tests::ROOT), POLICY.replace("410", "451"));
        server.wait_generation(2);
        assert_eq!(status(&mut client, "/gone").await, 451);
    });
    assert_eq!(server.proxy().connections.total, 1);
}

#[test]
fn another_site_than_the_connections_is_misdirected() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, "policy 1\n").site("b.example", origin.address);
    let server = setup.tls(SELF_SIGNED).start();
    within(async {
        let mut client = client(&server).await;
        let other = request(Method::GET, "b.example", "/");
        assert_eq!(ask(&mut client, other, None).await.unwrap().0, 421);
        assert_eq!(status(&mut client, "/").await, 200, "the connection goes on");
    });
    assert_eq!(origin.requests(), 1);
}

#[test]
fn dropping_and_banning_end_the_connection() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, POLICY).tls(SELF_SIGNED);
    let server = setup.start();
    within(async {
        let mut first = client(&server).await;
        assert_eq!(status(&mut first, "/").await, 200);
        let dropped = ask(&mut first, request(Method::GET, SITE, "/drop"), None).await;
        assert!(dropped.is_err());
        let gone = ask(&mut first, request(Method::GET, SITE, "/"), None).await;
        assert!(gone.is_err(), "{gone:?}");
    });
    wait_until("nobody is left", || server.proxy().connections.active == 0);
}

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block for a GET of `/` at [`SITE`]: indexed fields of the static table (RFC 7541), and
/// the authority written out.
fn block() -> Vec<u8> {
    let authority = [&[0x41, u8::try_from(SITE.len()).unwrap()], SITE.as_bytes()].concat();
    [&[0x82, 0x87, 0x84][..], &authority].concat()
}

pub(crate) async fn raw(server: &Server) -> TlsStream<TcpStream> {
    raw_from("127.0.0.1", server).await
}

/// A connection that has said its preface and an empty SETTINGS.
pub(crate) async fn raw_from(source: &str, server: &Server) -> TlsStream<TcpStream> {
    let mut io = connect_from(source, server, SITE).await;
    let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat();
    io.write_all(&hello).await.unwrap();
    io
}

/// Sends what `make` makes again and again, reads what comes, and waits until the other side ends
/// it. Says how often it was sent.
pub(crate) async fn until_ended(
    mut io: TlsStream<TcpStream>,
    mut make: impl FnMut(u32) -> Vec<u8>,
) -> u32 {
    let mut room = vec![0; 16_384];
    for n in 0..100_000 {
        if io.write_all(&make(n)).await.is_err() {
            return n;
        }
        while let Ok(read) = tokio::time::timeout(Duration::ZERO, io.read(&mut room)).await {
            if matches!(read, Ok(0) | Err(_)) {
                return n;
            }
        }
    }
    panic!("it is never ended");
}

/// What a flood sends for the how-many-th time.
pub(crate) type Flood = Box<dyn FnMut(u32) -> Vec<u8>>;

/// Every flood of frames that is known, with its name.
pub(crate) fn floods() -> [(&'static str, Flood); 8] {
    let stream = |n: u32| 2 * n + 1;
    let headers = move |n: u32, flags: u8| frame(1, flags, stream(n), &block());
    [
        (
            "rapid reset",
            Box::new(move |n| [headers(n, 5), frame(3, 0, stream(n), &[0, 0, 0, 8])].concat()),
        ),
        (
            "made to reset",
            // A window that overflows is an error of the stream, which the server resets.
            Box::new(move |n| {
                [headers(n, 5), frame(8, 0, stream(n), &[0x7f, 255, 255, 255])].concat()
            }),
        ),
        (
            "continuation",
            Box::new(|n| if n == 0 { frame(1, 1, 1, &block()) } else { frame(9, 0, 1, &[]) }),
        ),
        ("ping", Box::new(|_| frame(6, 0, 0, &[0; 8]))),
        ("settings", Box::new(|_| frame(4, 0, 0, &[]))),
        ("priority", Box::new(|_| frame(2, 0, 1, &[0, 0, 0, 0, 9]))),
        ("window update", Box::new(|_| frame(8, 0, 0, &[0, 0, 0, 1]).repeat(500))),
        ("unknown", Box::new(|_| frame(99, 0, 0, &[]))),
    ]
}

#[test]
fn each_flood_ends_its_connection_and_the_origin_hears_little_of_it() {
    let (origin, server) = server();
    for (name, make) in floods() {
        let before = (origin.requests(), server.proxy().connections.total);
        within(async { until_ended(raw(&server).await, make).await });
        assert!(origin.requests() - before.0 <= 100, "{name}");
        wait_until("it is ended", || server.proxy().connections.active == 0);
        assert_eq!(server.proxy().connections.total, before.1 + 1, "{name}");
    }
    // The others meet a limit of the library a little before ours.
    assert!(server.proxy().connections.closed.h2_frame_flood >= 5);
    within(async { assert_eq!(status(&mut client(&server).await, "/").await, 200) });
    wait_until("the origin is free of them", || server.proxy().requests.active == 0);
}

#[test]
fn a_connection_that_is_for_nobody_is_told_to_end() {
    let (origin, server) = server();
    within(async {
        let io = connect(&server, "nobody.example").await;
        let (mut client, connection) = h2::client::handshake(io).await.unwrap();
        tokio::task::spawn(async move { drop(connection.await) });
        let mut answers = 0;
        for _ in 0..1_000 {
            let asked = request(Method::GET, "nobody.example", "/");
            match ask(&mut client, asked, None).await {
                Ok((status, _)) => assert_eq!(status, 421),
                Err(_) => break,
            }
            answers += 1;
        }
        // As many as may have been on their way when it was told.
        assert!((1..=25).contains(&answers), "{answers}");
    });
    assert_eq!(origin.requests(), 0);
}

#[test]
fn a_head_that_never_ends_and_a_body_that_hardly_comes_are_cut() {
    let origin = Origin::start();
    let limits = "timeouts.request_header_timeout = \"1s\"\nrequests.min_request_body_rate_grace = \"1s\"\nrequests.min_request_body_rate = 100000";
    let setup = Setup::new(origin.address, POLICY).limits(limits).tls(SELF_SIGNED);
    let server = setup.start();
    let ended = |sent: Vec<u8>| {
        within(async {
            let mut io = connect(&server, SITE).await;
            io.write_all(&sent).await.unwrap();
            let mut all = Vec::new();
            let _reset: io::Result<usize> = io.read_to_end(&mut all).await;
        });
    };
    let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat();
    ended(b"PRI * HT".to_vec());
    ended([&hello[..], &frame(1, 1, 1, &block())].concat());
    // Whole, but for its last byte.
    let cut = frame(1, 5, 1, &block());
    ended([&hello[..], &cut[..cut.len() - 1]].concat());
    assert_eq!(server.proxy().connections.closed.request_header_timeout, 3);
    let post = [&[0x83, 0x87, 0x84][..], &block()[3..]].concat();
    ended([&hello[..], &frame(1, 4, 1, &post), &frame(0, 0, 1, b"x")].concat());
    assert_eq!(server.proxy().connections.closed.min_body_rate, 1);
    wait_until("nobody is left", || server.proxy().connections.active == 0);
}

#[test]
fn after_its_last_request_a_client_is_told_and_those_under_way_end() {
    let (origin, server) = server();
    let mut served = 0;
    within(async {
        let mut client = client(&server).await;
        for _ in 0..1_100 {
            match ask(&mut client, request(Method::GET, SITE, "/"), None).await {
                Ok((200, _)) => served += 1,
                Ok((status, _)) => panic!("{status}"),
                Err(error) => {
                    assert!(
                        error.is_go_away()
                            || error.is_io()
                            || client.clone().ready().await.is_err(),
                        "{error}"
                    );
                    break;
                }
            }
        }
    });
    assert!((1_000..1_100).contains(&served), "{served}");
    assert!(origin.requests() >= served);
    assert_eq!(server.proxy().connections.closed.h2_requests_after_goaway, 0);
}

#[test]
fn a_body_that_its_method_gives_no_meaning_ends_its_origins_connection() {
    let origin = Recorder::start();
    let server = Setup::new(origin.address, POLICY).tls(SELF_SIGNED).start();
    let inner = Bytes::from_static(b"GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n");
    within(async {
        let mut client = client(&server).await;
        for (method, body, connection) in [
            (Method::GET, None, &[][..]),
            (Method::POST, Some(inner.clone()), &[]),
            // No length is told: to the origin it goes in chunks.
            (Method::GET, Some(inner.clone()), &["close"]),
            (Method::DELETE, Some(inner.clone()), &["close"]),
        ] {
            let asked = request(method.clone(), SITE, "/x");
            assert_eq!(ask(&mut client, asked, body.clone()).await.unwrap().0, 200);
            let seen = origin.requests().pop().unwrap();
            assert_eq!(seen.line, format!("{method} /x"));
            assert_eq!(seen.body, body.unwrap_or_default());
            assert_eq!(seen.values("connection"), connection, "{method}");
        }
    });
    assert_eq!((origin.lines().len(), origin.unsound().len()), (4, 0));
}

#[test]
fn whoever_does_not_read_is_cut_and_whoever_reads_gets_all() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, POLICY).limits("timeouts.send_timeout = \"2s\"");
    let server = setup.tls(SELF_SIGNED).start();
    within(async {
        let mut client = client(&server).await;
        let whole = ask(&mut client, request(Method::GET, SITE, "/large"), None).await.unwrap();
        assert_eq!((whole.0, whole.1.len()), (200, 8 << 20));
        // The window is never opened again, while the connection is alive.
        let mut ready = client.clone().ready().await.unwrap();
        let large = request(Method::GET, SITE, "/large");
        let mut coming = ready.send_request(large, true).unwrap().0.await.unwrap().into_body();
        while let Some(Ok(_unread)) = coming.data().await {}
        assert_eq!(status(&mut client, "/").await, 200, "its other requests go on");
    });
    wait_until("the origin is free of it", || server.proxy().requests.active == 0);
}

/// A ban ends what is under way within a second; a busy machine may take a little longer.
const ENDED_WITHIN: Duration = Duration::from_secs(3);

#[test]
fn a_ban_ends_downloads_over_http_2_within_a_second() {
    let (_origin, server) = server();
    let download = async |source: &str| {
        let client = client_from(source, &server).await;
        let mut ready = client.ready().await.unwrap();
        let large = request(Method::GET, SITE, "/large");
        let mut coming = ready.send_request(large, true).unwrap().0.await.unwrap().into_body();
        // Some of it has come, and the rest waits for a window.
        assert!(!coming.data().await.unwrap().unwrap().is_empty());
        (ready, coming)
    };
    within(async {
        let (_one, mut banned) = download("127.4.8.1").await;
        let (_two, mut other) = download("127.4.8.2").await;
        let added = server.setup.run(&["bans", "add", "127.4.8.1", "--for", "1h"]);
        assert_eq!(added.code, Some(0), "{added:?}");
        let watch = Stopwatch::start();
        while let Some(Ok(_sent_before)) = banned.data().await {}
        assert!(watch.elapsed() < ENDED_WITHIN, "{:?}", watch.elapsed());
        let mut whole = 0;
        while let Some(bytes) = other.data().await {
            let bytes = bytes.unwrap();
            other.flow_control().release_capacity(bytes.len()).unwrap();
            whole += bytes.len();
        }
        assert!(whole > 7 << 20, "another's goes on to its end: {whole}");
    });
    assert_eq!(server.proxy().connections.closed.banned, 1);
    wait_until("nobody is left", || server.proxy().requests.active == 0);
}

#[test]
fn an_upload_past_the_policys_limit_is_413_as_in_http_1() {
    let (origin, server) = server();
    let size = 2 << 20;
    let mut post =
        format!("POST /upload HTTP/1.1\r\nHost: {SITE}\r\nContent-Length: {size}\r\n\r\n")
            .into_bytes();
    post.resize(post.len() + size, b'x');
    assert_eq!(server.visitor("127.4.8.3").ask(&post).unwrap().status, 413);
    within(async {
        let mut client = client(&server).await;
        let upload = |bytes: usize| {
            let mut upload = request(Method::POST, SITE, "/upload");
            upload.headers_mut().insert("content-length", bytes.into());
            (upload, Some(Bytes::from(vec![b'x'; bytes])))
        };
        let (large, body) = upload(size);
        assert_eq!(ask(&mut client, large, body).await.unwrap().0, 413);
        let (small, body) = upload(100_000);
        assert_eq!(ask(&mut client, small, body).await.unwrap().0, 200, "the connection goes on");
    });
    assert_eq!((origin.requests(), server.proxy().requests.local_responses), (1, 2));
    wait_until("all is over", || server.proxy().requests.active == 0);
}
