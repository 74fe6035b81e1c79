//! No visitor's address is kept or said anywhere.
//!
//! An afternoon of attacks with the log at its most talkative; then everything that the program
//! wrote is searched for the addresses they came from.

use std::path::Path;

use seawall_tests::{Origin, ROOT, SITE, Server, Setup, Signal, get, guest, overwrite, wait_until};

const POLICY: &str = "policy 1
extern f() -> int { module \"f.wasm\" fuel 50k memory 1MiB on_failure return 9 }
list bad: cidr = { 127.9.8.6 }
floor {
  rule listed { when client.ip in @bad then drop note \"known\" }
  rule burns  { when path == \"/burn\" and f() == 9 then block 410 }
  limit flood { per client to 20/7d then block 429 hold 1h }
}
";
/// Where the visitors come from.
const SOURCES: [&str; 6] =
    ["127.9.8.1", "127.9.8.2", "127.9.8.3", "127.9.8.4", "127.9.8.5", "127.9.8.6"];

/// All that goes wrong with a visitor of ours, one after the other.
fn attack(server: &Server) {
    let post = format!("POST / HTTP/1.1\r\nHost: {SITE}\r\n");
    for source in SOURCES {
        for path in ["/", "/burn", "/close", "/reset", "/half", "/gate", "/away", "/%zz"] {
            // What comes of it is not the question here.
            let _ = server.visitor(source).get(path);
        }
        for bytes in [
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n".to_owned(),
            "\u{16}\u{3}\u{1} no http at all\r\n\r\n".to_owned(),
            format!("{post}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            format!("{post}Content-Length: 10\r\n\r\nhalf"),
            format!("GET / HTTP/1.1\r\nHost: {SITE}\r\nX-Forwarded-For: {source}\r\n"),
            format!("GET /{source} HTTP/1.1\r\nHost: {SITE}\r\nUser-Agent: {source}\r\n\r\n"),
        ] {
            let mut visitor = server.visitor(source);
            let _ = visitor.send(bytes);
            visitor.leave();
        }
        let mut visitor = server.visitor(source);
        for _ in 0..30 {
            let _ = visitor.get("/");
        }
    }
}

/// Every file below `folder`, as text, without the policies that people wrote and copies of them:
/// what an earlier generation was made of lies under its own digest.
fn written(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("policies") {
            written(&path, found);
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let is_copy = path.parent().unwrap().ends_with("state/history")
                && path.file_name().unwrap().len() == 64;
            if is_copy {
                continue;
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn no_address_of_a_visitor_is_said_or_kept() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, POLICY)
        .limits("origin_head_ms = 100\nhead_total_ms = 100\nconnections_per_client_max = 8")
        .log_level("trace");
    setup.write("f.wasm", guest("endless-loop"));
    let mut server = setup.start();
    attack(&server);
    overwrite(&setup.policy(ROOT), POLICY.replace("block", "blokc"));
    server.wait_error();
    overwrite(&setup.policy(ROOT), POLICY.replace("410", "418"));
    server.wait_generation(2);
    attack(&server);
    // The attack was one: each kind of refusal happened.
    let status = server.status();
    for name in ["refused", "dropped", "unknown_host", "origin_late", "origin_failed"] {
        assert!(status["edge"][name].as_u64().unwrap() > 0, "{name}: {status:#}");
    }
    wait_until("the log talks", || server.lines().len() > 10);

    let mut hanging = server.visitor(SOURCES[0]);
    hanging.send(get("/gate")).unwrap();
    let mut said = vec![
        ("status".to_owned(), setup.run(&["status"]).out),
        ("status --json".to_owned(), status.to_string()),
        ("status --json".to_owned(), server.status().to_string()),
        ("reload".to_owned(), setup.run(&["reload"]).out),
    ];
    server.signal(Signal::Terminate);
    assert_eq!(server.wait_end().code(), Some(0));
    said.push(("standard error".to_owned(), server.lines().join("\n")));
    written(server.folder(), &mut said);
    for (name, text) in &said {
        for source in SOURCES.into_iter().chain(["127.9.8"]) {
            assert!(!text.contains(source), "{source} in {name}:\n{text}");
        }
    }
}
