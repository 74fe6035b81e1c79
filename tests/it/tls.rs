//! TLS: the policy sees the facts of the handshake, and the server name must match the host.

use std::io::{Read, Write};
use std::net::TcpStream;

use seawall_tests::{Origin, SITE, Secret, Server, Setup, credulous, credulous_1_2, wait_until};

const SELF_SIGNED: &str = "self_signed = true";

fn ask(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn secret(server: &Server, name: &str) -> Secret {
    Secret::connect(server.address_tls, name, credulous(&["http/1.1"])).unwrap()
}

/// The status of an answer.
fn status(answer: &str) -> &str {
    &answer[9..12]
}

#[test]
fn a_request_over_tls_reaches_its_origin_as_one() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, "policy 1\n").tls(SELF_SIGNED).start();
    let mut visitor = secret(&server, SITE);
    for _ in 0..3 {
        assert_eq!(status(&visitor.ask(&ask(SITE, "/")).unwrap()), "200");
    }
    let head = origin.heads()[0].to_ascii_lowercase();
    assert!(
        head.contains("x-forwarded-proto: https\r\n") && head.contains(";proto=https"),
        "{head}"
    );
    assert_eq!((server.proxy().tls.handshakes.success, server.proxy().connections.total), (1, 1));
}

#[test]
fn a_policy_sees_what_was_said_before_any_request() {
    let policy = format!(
        "policy 1
floor {{
  rule old {{ when conn.tls == \"TLSv1.2\" then block 410 }}
  rule odd {{ when conn.ja4 starts_with \"t13d\" and conn.sni == \"{SITE}\" and path == \"/x\" then block 418 }}
}}
"
    );
    let origin = Origin::start();
    let server = Setup::new(origin.address, &policy).tls(SELF_SIGNED).start();
    let mut new = secret(&server, SITE);
    assert_eq!(status(&new.ask(&ask(SITE, "/x")).unwrap()), "418");
    assert_eq!(status(&new.ask(&ask(SITE, "/")).unwrap()), "200");
    assert_eq!(server.visitor("127.6.0.1").status("/x"), 200, "there is no name without TLS");
    let mut old = Secret::connect(server.address_tls, SITE, credulous_1_2()).unwrap();
    assert_eq!(status(&old.ask(&ask(SITE, "/")).unwrap()), "410");
}

#[test]
fn a_request_for_another_site_than_the_connections_is_misdirected() {
    let (one, two) = (Origin::start(), Origin::start());
    let setup = Setup::new(one.address, "policy 1\n").site("b.example", two.address);
    let server = setup.tls(SELF_SIGNED).start();
    let mut visitor = secret(&server, SITE);
    assert_eq!(status(&visitor.ask(&ask("b.example", "/")).unwrap()), "421");
    assert_eq!((one.requests(), two.requests()), (0, 0));
    assert_eq!(server.proxy().requests.rejected.sni_host_mismatch, 1);
    assert_eq!(status(&secret(&server, "b.example").ask(&ask("b.example", "/")).unwrap()), "200");
    // A name that leads nowhere leads to no site, whatever is asked for then.
    assert_eq!(status(&secret(&server, "c.example").ask(&ask(SITE, "/")).unwrap()), "421");
}

#[test]
fn each_name_is_shown_its_own_certificate() {
    let origin = Origin::start();
    let make = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (a, b) = (make(SITE), make("b.example"));
    let setup = Setup::new(origin.address, "policy 1\n").site("b.example", origin.address);
    let mut lines = String::new();
    for (name, made) in [("a", &a), ("b", &b)] {
        std::fs::write(setup.path(&format!("{name}.pem")), made.cert.pem()).unwrap();
        std::fs::write(setup.path(&format!("{name}.key")), made.signing_key.serialize_pem())
            .unwrap();
        lines.push_str(&format!(
            "[[tls.certificate]]\ncert = \"{name}.pem\"\nkey = \"{name}.key\"\n"
        ));
    }
    let server = setup.tls(&lines).start();
    assert_eq!(secret(&server, SITE).certificate(), a.cert.der().to_vec());
    assert_eq!(secret(&server, "b.example").certificate(), b.cert.der().to_vec());
    assert_eq!(secret(&server, "who.example").certificate(), a.cert.der().to_vec());
}

#[test]
fn whoever_does_not_speak_tls_is_gone_soon() {
    let origin = Origin::start();
    let setup =
        Setup::new(origin.address, "policy 1\n").limits("timeouts.tls_handshake_timeout = \"2s\"");
    let server = setup.tls(SELF_SIGNED).start();
    let ended = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(server.address_tls).unwrap();
        stream.set_read_timeout(Some(seawall_tests::LONG)).unwrap();
        stream.write_all(bytes).unwrap();
        // Reset or closed, and nothing but an alert is said.
        let mut said = Vec::new();
        let _reset = stream.read_to_end(&mut said);
        assert!(said.is_empty() || said[0] == 21, "{said:?}");
    };
    ended(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    wait_until("it was counted", || server.proxy().tls.handshakes.not_tls == 1);
    ended(b"");
    ended(b"\x16\x03\x01\x02\x00\x01");
    wait_until("both were counted", || server.proxy().tls.handshakes.timeout == 2);
    wait_until("nobody is left", || server.proxy().connections.active == 0);
    assert_eq!(status(&secret(&server, SITE).ask(&ask(SITE, "/")).unwrap()), "200");
}

#[test]
fn a_large_answer_comes_whole_and_a_refusal_closes_in_order() {
    let origin = Origin::start();
    let policy = "policy 1\nfloor { rule no { when path == \"/no\" then block 403 } }\n";
    let server = Setup::new(origin.address, policy).tls(SELF_SIGNED).start();
    let mut visitor = secret(&server, SITE);
    let body = "x".repeat(200_000);
    let post = format!(
        "POST /no HTTP/1.1\r\nHost: {SITE}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(status(&visitor.ask(&post).unwrap()), "403");
    let mut visitor = secret(&server, SITE);
    let post = post.replacen("/no", "/", 1);
    assert_eq!(status(&visitor.ask(&post).unwrap()), "200");
}

/// The most that an idle connection over TLS may take of the program's memory.
const IDLE_BYTES_MAX: u64 = 48 * 1024;

#[test]
fn an_idle_connection_over_tls_takes_little_memory() {
    let origin = Origin::start();
    let limits = "timeouts.idle_timeout = \"10m\"\nconnections.max_connections_per_client = 1_000\n\
                  connections.max_connections_per_network = 1_000";
    let server = Setup::new(origin.address, "policy 1\n").limits(limits).tls(SELF_SIGNED).start();
    let connect = |_: usize| {
        let mut visitor = secret(&server, SITE);
        assert_eq!(status(&visitor.ask(&ask(SITE, "/")).unwrap()), "200");
        visitor
    };
    // What the first connections bring with them is everybody's.
    let _some: Vec<Secret> = (0..50).map(connect).collect();
    let before = server.resident_bytes();
    let _more: Vec<Secret> = (50..350).map(connect).collect();
    wait_until("all are there", || server.proxy().connections.active == 350);
    let each = server.resident_bytes().saturating_sub(before) / 300;
    assert!(each <= IDLE_BYTES_MAX, "{each} bytes each");
}
