//! Responses of origins with endless headers: the buffered bytes, and the response to the client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use seawall_tests::{Server, Setup};

const POLICY: &str = "policy 1\n";

/// An origin that answers each request, on any connection, with the same bytes.
pub(crate) fn says(
    answer: impl Fn(&mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), answer) = (stream, Arc::clone(&answer)) else { return };
            std::thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let mut room = [0; 4096];
                while stream.read(&mut room).is_ok_and(|read| read > 0) {
                    if answer(&mut stream).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn head_of(bytes: usize) -> String {
    let (start, end) = ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Fill: ", "\r\n\r\n");
    format!("{start}{}{end}", "x".repeat(bytes - start.len() - end.len()))
}

fn refused(server: &Server, why: &str) -> u64 {
    server.proxy().requests.origin_response_errors[why]
}

#[test]
fn an_answers_head_has_its_bytes_and_past_them_the_visitor_is_told_502() {
    for (bytes, status) in [(2_000, 200), (2_001, 502), (1_000_000, 502)] {
        let answer = head_of(bytes);
        let origin = says(move |to| to.write_all(answer.as_bytes()));
        let server =
            Setup::new(origin, POLICY).limits("origins.max_response_header_bytes = 2_000").start();
        let mut visitor = server.visitor("127.7.0.1");
        assert_eq!(visitor.status("/"), status, "{bytes} bytes");
        assert_eq!(refused(&server, "bytes"), u64::from(status == 502));
        // On a kept connection the next head has as many again.
        assert_eq!(server.answers("/"), status, "{bytes} bytes, the second time");
        assert_eq!(server.status().origins[0].failures, 0, "it did answer");
    }
}

#[test]
fn an_answers_head_has_64_kib_where_nobody_says_otherwise() {
    for (bytes, status) in [(65_536, 200), (65_537, 502)] {
        let answer = head_of(bytes);
        let origin = says(move |to| to.write_all(answer.as_bytes()));
        let server = Setup::new(origin, POLICY).start();
        assert_eq!(server.answers("/"), status, "{bytes} bytes");
    }
}

#[test]
fn interim_answers_without_end_are_502() {
    for interim in
        ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]
    {
        let origin = says(move |to| {
            loop {
                to.write_all(interim.as_bytes())?;
            }
        });
        let server = Setup::new(origin, POLICY).start();
        let mut visitor = server.visitor("127.7.0.1");
        visitor.send(seawall_tests::get("/")).unwrap();
        let said = String::from_utf8(visitor.read_until_end()).unwrap();
        assert!(said.contains("HTTP/1.1 502 "), "{said}");
        assert!(said.matches("HTTP/1.1 1").count() <= 400, "{said}");
        assert_eq!(refused(&server, "interim") + refused(&server, "bytes"), 1);
    }
}

#[test]
fn a_few_interim_answers_are_no_fault() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(3);
    let answer = format!("{early}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let origin = says(move |to| to.write_all(answer.as_bytes()));
    let server = Setup::new(origin, POLICY).start();
    assert_eq!(server.proxy().requests.upstream_errors.connect_or_reset, 0);
    let mut visitor = server.visitor("127.7.0.1");
    visitor.send(seawall_tests::get("/")).unwrap();
    wait_answered(&server);
}

fn wait_answered(server: &Server) {
    seawall_tests::wait_until("it was answered", || {
        server.proxy().requests.forwarded == 1 && server.proxy().requests.active == 0
    });
    assert_eq!(server.proxy().requests.upstream_errors.connect_or_reset, 0);
}

#[test]
fn an_answers_head_that_drips_is_502_before_it_has_cost_much() {
    let origin = says(|to| {
        to.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
        loop {
            to.write_all(b"x")?;
            std::thread::park_timeout(std::time::Duration::from_millis(1));
        }
    });
    let server = Setup::new(origin, POLICY).start();
    assert_eq!(server.answers("/"), 502);
    assert_eq!(refused(&server, "drip"), 1);
}
