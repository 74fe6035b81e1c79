//! A ban rejects its client everywhere: new connections before the first byte is read, the next
//! request of an open connection, and active requests.

use std::io::{Read, Write};

use seawall_tests::{
    Origin, ROOT, SITE, Server, Setup, Visitor, get, overwrite, seawall, wait_until,
};

const TRAP: &str = "policy 1
floor { rule trap { when path == \"/trap\" then ban 1h } }
";

/// Whether a client from `source` is answered.
fn is_served(server: &Server, source: &str) -> bool {
    server.visitor(source).get("/").is_ok_and(|answer| answer.status == 200)
}

/// Has `source` step into the trap, where it is answered nothing.
fn trap(server: &Server, source: &str) {
    assert!(server.visitor(source).get("/trap").is_err());
}

#[test]
fn whoever_a_rule_bans_is_refused_at_once_and_nobody_else() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, TRAP).start();
    let mut old = server.visitor("127.4.0.1");
    assert_eq!(old.status("/"), 200);
    trap(&server, "127.4.0.1");
    assert!(!is_served(&server, "127.4.0.1"));
    assert!(is_served(&server, "127.4.0.2"));
    wait_until("the old connection is ended", || server.proxy().connections.closed.banned == 1);
    assert!(old.get("/").is_err());
    assert_eq!(server.proxy().connections.closed.policy_ban, 1);
    assert!(server.proxy().connections.rejected.banned >= 1);
    assert_eq!(server.status().bans.active, 1);
}

#[test]
fn a_ban_ends_what_is_under_way() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, "policy 1\n").start();
    // A request with the origin, which does not answer, and a connection on which nothing was said.
    let mut waiting = server.visitor("127.4.1.1");
    waiting.send(get("/gate")).unwrap();
    let mut idle = server.visitor("127.4.1.1");
    idle.connect().unwrap();
    let mut other = server.visitor("127.4.1.2");
    other.send(get("/gate")).unwrap();
    wait_until("both requests are with the origin", || origin.gate().came() == 2);
    let run = |words: &[&str]| server.setup.run(words);
    let added = run(&["bans", "add", "127.4.1.1", "--for", "1h"]);
    assert!(added.code == Some(0) && added.out.contains("is banned for 1h"), "{added:?}");
    for visitor in [&mut waiting, &mut idle] {
        let mut byte = [0];
        assert!(!matches!(visitor.connect().unwrap().read(&mut byte), Ok(1)), "it was ended");
    }
    wait_until("both were counted", || server.proxy().connections.closed.banned == 2);
    assert_eq!(server.proxy().requests.active, 2, "its origin is at work still");
    origin.gate().open();
    assert_eq!(other.read_answer(false).unwrap().status, 200);
    wait_until("the origin is free of both", || server.proxy().requests.active == 0);
}

#[test]
fn bans_are_listed_and_ended_by_hand() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, TRAP).start();
    trap(&server, "127.4.2.1");
    let run = |words: &[&str]| server.setup.run(&[&["bans"], words].concat());
    let listed = run(&["list"]);
    assert!(
        listed.out.contains("127.4.2.1") && listed.out.contains("by floor.trap of generation 1")
    );
    let json: serde_json::Value = serde_json::from_str(&run(&["list", "--json"]).out).unwrap();
    assert_eq!(json["bans"][0]["rule"], "floor.trap");
    assert_eq!(run(&["add", "127.4.3.0/24", "--for", "1h30m"]).code, Some(0));
    assert!(!is_served(&server, "127.4.3.9"));
    assert_eq!(run(&["remove", "127.4.3.0/24"]).code, Some(0));
    assert!(is_served(&server, "127.4.3.9"));
    assert_eq!(run(&["remove", "127.4.3.0/24"]).code, Some(1));
    assert_eq!(run(&["add", "127.0.0.1", "--for", "1h"]).code, Some(1), "it is never banned");
    assert_eq!(run(&["add", "127.4.3.1", "--for", "soon"]).code, Some(2));
    assert!(!is_served(&server, "127.4.2.1"));
    assert!(run(&["clear", "--rule", "floor.trap"]).out.contains("removed 1 ban"));
    assert!(is_served(&server, "127.4.2.1"));
    assert_eq!(seawall(server.folder(), &["bans", "list", "--socket", "none"]).code, Some(3));
}

#[test]
fn a_ban_outlives_the_rule_that_set_it() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, TRAP).start();
    trap(&server, "127.4.4.1");
    overwrite(&server.setup.policy(ROOT), "policy 1\n");
    server.wait_generation(2);
    assert!(!is_served(&server, "127.4.4.1"));
    assert!(server.visitor("127.4.4.2").get("/trap").is_ok_and(|answer| answer.status == 200));
}

#[test]
fn a_ban_ends_by_time() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &TRAP.replace("1h", "1s")).start();
    trap(&server, "127.4.5.1");
    wait_until("the second is over", || is_served(&server, "127.4.5.1"));
}

#[test]
fn who_is_never_banned_is_served_on() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, TRAP).limits("bans.exempt = [\"127.4.6.0/24\"]");
    let server = setup.start();
    trap(&server, "127.4.6.1");
    assert!(is_served(&server, "127.4.6.1"));
    assert_eq!(server.status().bans.active, 0);
}

#[test]
fn a_members_ban_holds_on_her_hosts_alone() {
    let origin = Origin::start();
    let policy = format!(
        "policy 1\nmember ann {{ hosts {{ \"{SITE}\" }} may {{ ban }} file \"ann/ann.wall\" }}\n"
    );
    let setup = Setup::new(origin.address, &policy).site("b.example", origin.address);
    let hers = "rule trap { when path == \"/trap\" then ban 1h }";
    setup.write("ann/ann.wall", format!("policy 1\nsite \"{SITE}\" {{ {hers} }}\n"));
    let server = setup.start();
    let ask = |path: &str, host: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        server.visitor("127.4.7.1").ask(request).map(|answer| answer.status).ok()
    };
    assert_eq!(ask("/trap", "b.example"), Some(200));
    assert_eq!(ask("/trap", SITE), None);
    assert_eq!((ask("/", SITE), ask("/", "b.example")), (None, Some(200)));
    let list = server.setup.run(&["bans", "list"]);
    assert!(list.out.contains("on sites of ann"), "{list:?}");
    assert_eq!(server.setup.run(&["bans", "remove", "127.4.7.1", "--member", "ann"]).code, Some(0));
    assert_eq!(ask("/", SITE), Some(200));
}

/// Connections of a banned client, one after the other.
const KNOCKS: u64 = 400;

#[test]
fn a_banned_clients_connections_get_no_byte_and_cost_its_neighbours_nothing() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, TRAP).start();
    trap(&server, "127.4.9.1");
    let before = (server.proxy().connections.rejected.banned, origin.requests());
    let mut beside = server.visitor("127.4.9.2");
    for n in 0..KNOCKS {
        let mut knocking = server.visitor("127.4.9.1");
        // The connection may be gone before, while or after it says something.
        if let Ok(stream) = knocking.connect() {
            let _gone = if n % 2 == 0 { stream.write_all(get("/").as_bytes()) } else { Ok(()) };
            let mut said = Vec::new();
            let _reset = stream.read_to_end(&mut said);
            assert!(said.is_empty(), "{}", said.escape_ascii());
        }
        if n % 20 == 0 {
            assert_eq!(beside.status("/"), 200);
            assert!(is_served(&server, "127.4.9.3"));
        }
    }
    let counted = || server.proxy().connections.rejected.banned - before.0;
    wait_until("all are counted", || counted() >= KNOCKS);
    assert_eq!(counted(), KNOCKS, "each once");
    assert_eq!(origin.requests(), before.1 + 40, "the neighbours' alone");
}

#[test]
fn bans_of_thousands_of_clients_are_one_lookup_each() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, TRAP).start();
    for n in 0..300 {
        trap(&server, &format!("127.5.{}.{}", n / 250, n % 250 + 1));
    }
    assert_eq!(server.status().bans.active, 300);
    let mut visitor = Visitor::new("127.6.0.1", server.address);
    assert_eq!(visitor.status("/"), 200);
    assert!(!is_served(&server, "127.5.0.7"));
    for line in server.lines() {
        assert!(!line.contains("127.5."), "an address in the log: {line}");
    }
}
