//! The cost limit of a decision in the running program: the owner of the fuel, the response without
//! enough fuel, and the report of it.

use seawall_tests::{Origin, SITE, Server, Setup, fine, wait_until};

/// As many as put a member's part into quarantine.
pub(crate) const OFTEN: usize = 20;

/// A host with a member. A long value of `x-host` costs the host, one of `x-hers` the member.
pub(crate) fn start(origin: &Origin) -> Server {
    let host = format!(
        "policy 1\nmember ann {{ hosts {{ \"{SITE}\" }} may {{ block }} file \"members/ann.wall\" }}\n\
         floor {{ rule looks {{ when header(\"x-host\") matches r\"b[0-9]x\" then block 410 }} }}\n\
         defaults {{ rule after {{ when path == \"/after\" then block 418 }} }}\n"
    );
    let hers = format!(
        "policy 1\nsite \"{SITE}\" {{\n\
         rule looks {{ when header(\"x-hers\") matches r\"b[0-9]x\" then block 451 }}\n\
         rule own {{ when path == \"/own\" or path == \"/after\" then block 451 }}\n}}\n"
    );
    let limits = "evaluation.max_fuel = 10_000\nevaluation.max_member_fuel = 10_000";
    let setup = Setup::new(origin.address, &host).limits(limits);
    setup.write("members/ann.wall", hers);
    setup.start()
}

/// The status of a request with a value that is long enough to empty either's fuel.
pub(crate) fn costly(server: &Server, path: &str, field: &str) -> u16 {
    let long = "a".repeat(6_000);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {SITE}\r\n{field}: {long}\r\n\r\n");
    server.visitor("127.9.60.1").ask(request).unwrap().status
}

#[test]
fn the_hosts_empty_fuel_is_a_503_which_is_counted_and_told() {
    let origin = Origin::start();
    let server = start(&origin);
    assert_eq!(costly(&server, "/", "x-other"), 200, "what no rule looks at costs nothing");
    assert_eq!((costly(&server, "/", "x-host"), origin.requests()), (503, 1));
    assert_eq!(server.status().fuel.out, 1);
    server.wait_line("exceeded `max_fuel` for 1 requests");
    assert_eq!([server.answers("/own"), server.answers("/")], [451, 200], "only that request");
    assert_eq!(server.status().fuel.members[0].passed_over, 0);
}

#[test]
fn a_members_empty_fuel_passes_over_her_part_then_puts_it_into_quarantine_until_it_is_enabled() {
    let origin = Origin::start();
    let server = start(&origin);
    assert_eq!(costly(&server, "/after", "x-hers"), 418, "the host's defaults still run");
    assert_eq!(server.answers("/own"), 451, "only that request");
    for _ in 1..OFTEN {
        costly(&server, "/", "x-hers");
    }
    assert_eq!(server.status().fuel.members[0].passed_over, OFTEN as u64);
    assert_eq!(server.status().fuel.members[0].quarantines, 1);
    assert!(server.status().fuel.members[0].quarantine_remaining_ms > 0);
    assert_eq!(server.status().fuel.out, 0, "what is hers costs the host nothing");
    assert_eq!([server.answers("/own"), server.answers("/after")], [200, 418]);
    server.wait_line("the rules of member ann exceeded `max_member_fuel` too often");

    fine(&server.setup.run(&["rule", "enable", "ann"]));
    assert_eq!(server.answers("/own"), 451);
    assert_eq!(server.status().fuel.members[0].quarantine_remaining_ms, 0);
    server.wait_line("the rules of member ann left quarantine");
    let unknown = server.setup.run(&["rule", "enable", "bob"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
}

#[test]
fn an_edit_of_a_member_ends_her_quarantine_and_anothers_does_not() {
    let origin = Origin::start();
    let server = start(&origin);
    for _ in 0..OFTEN {
        costly(&server, "/", "x-hers");
    }
    assert_eq!(server.answers("/own"), 200);
    let root = server.setup.policy(seawall_tests::ROOT);
    let host = std::fs::read_to_string(&root).unwrap();
    seawall_tests::overwrite(&root, host.replace("/after", "/later"));
    wait_until("the host's edit is in force", || server.answers("/later") == 418);
    assert_eq!(server.answers("/own"), 200, "the host's edit says nothing of her rules");
    let file = server.setup.policy("members/ann.wall");
    let hers = std::fs::read_to_string(&file).unwrap();
    seawall_tests::overwrite(&file, hers.replace("/after", "/later"));
    wait_until("her edit ends it", || server.answers("/own") == 451);
}
