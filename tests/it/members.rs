//! Members, levels and responses in the running program: the effect of a member's error on others.
//!
//! Counters of responses, and evaluations once a second, are tested with real traffic.

use std::time::Duration;

use seawall_admin_api::PartInForce;
use seawall_tests::{
    COMPILED, Origin, ROOT, SITE, Setup, bomb, get, overwrite, wait_until, wait_until_within,
};

/// A host with one member, whose site is [`SITE`].
fn host(refused: &str) -> String {
    format!(
        "policy 1\nmember ann {{ hosts {{ \"{SITE}\" }} may {{ block, test }} file \"members/ann.wall\" }}\n\
         floor {{ rule gone {{ when path == \"/{refused}\" then block 410 }} }}\n"
    )
}

fn hers(body: &str) -> String {
    format!("policy 1\nsite \"{SITE}\" {{ {body} }}\n")
}

#[test]
fn a_members_mistake_keeps_her_part_and_publishes_the_rest() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &host("one"));
    setup.write("members/ann.wall", hers("rule own { when path == \"/own\" then block 451 }"));
    let server = setup.start();
    let answers = || ["/own", "/one", "/two"].map(|path| server.answers(path));
    assert_eq!(answers(), [451, 410, 200]);

    overwrite(&server.setup.policy("members/ann.wall"), hers("rule own { when pth == \"/own\" }"));
    server.wait_line("member ann: refused: members/ann.wall:2");
    overwrite(&server.setup.policy(ROOT), host("two"));
    wait_until("the host's edit is published", || server.answers("/two") == 410);
    assert_eq!(answers(), [451, 200, 410], "her last good part, under the host's new rules");

    overwrite(
        &server.setup.policy("members/ann.wall"),
        hers("rule own { when path == \"/own\" then block 418 }"),
    );
    wait_until("her mended part is published", || server.answers("/own") == 418);
}

#[test]
fn a_members_component_that_takes_long_keeps_nobody_waiting() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &host("one").replace("block, test", "block, extern"));
    setup.write("members/ann.wall", hers("rule own { when path == \"/own\" then block 451 }"));
    let server = setup.start();
    // Some seconds of compiling.
    setup.write("members/long.wasm", bomb(400));
    let policy =
        "extern f() -> int { module \"long.wasm\" fuel 50k memory 1MiB on_failure return 9 }\n";
    let rule = "rule own { when path == \"/own\" and f() == 1 then block 418 }";
    let text = hers(rule).replace("policy 1\n", &format!("policy 1\n{policy}"));
    overwrite(&setup.policy("members/ann.wall"), text);
    overwrite(&setup.policy(ROOT), host("two").replace("block, test", "block, extern"));
    wait_until("the host's edit is published", || server.answers("/two") == 410);
    // Nobody saves anything more.
    wait_until_within(COMPILED, "her part is published when it is compiled", || {
        server.answers("/own") == 418
    });
    server.wait_line("compiled long.wasm: ");
}

#[test]
fn a_member_who_starts_with_a_mistake_has_the_hosts_layers_alone() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &host("one"));
    setup.write("members/ann.wall", hers("rule"));
    let server = setup.start();
    assert_eq!([server.answers("/own"), server.answers("/one")], [200, 410]);
    let told = |line: &String| {
        line.contains("member ann: refused:") && line.contains("only the operator's layers")
    };
    assert!(server.lines().iter().any(told), "{:?}", server.lines());
    assert_eq!(server.status().members[0].part, PartInForce::Absent);
    assert_eq!(server.status().member_parts.absent, 1);
}

/// The one file in the folder of members' copies that is a copy.
fn copy(setup: &Setup) -> Option<std::path::PathBuf> {
    let all = std::fs::read_dir(setup.path("state/members")).into_iter().flatten().flatten();
    let mut copies = all.map(|entry| entry.path());
    copies.find(|path| path.extension().is_some_and(|ending| ending == "member"))
}

fn stop(mut server: seawall_tests::Server) {
    server.signal(seawall_tests::Signal::Terminate);
    server.wait_end();
}

#[test]
fn a_members_last_good_part_outlives_restart_and_upgrade_and_is_told() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &host("one").replace("block, test", "block, extern"));
    let text = "policy 1\nextern f() -> int { module \"f.wasm\" fuel 50k memory 1MiB on_failure return 9 }\n";
    let rule = |n: u32| {
        let body = format!("rule own {{ when path == \"/own\" and f() == 1 then block {n} }}");
        hers(&body).replace("policy 1\n", text)
    };
    setup.write("members/f.wasm", seawall_tests::answering(1));
    setup.write("members/ann.wall", rule(451));
    stop(setup.start());
    assert!(copy(&setup).is_some(), "written before the end");

    setup.write("members/ann.wall", rule(451).replace("path", "pth"));
    setup.write("members/f.wasm", b"garbage");
    let server = setup.start();
    assert_eq!([server.answers("/own"), server.answers("/one")], [451, 410]);
    server.wait_line("member ann: refused: members/ann.wall:3");
    server.wait_line("the member's part of generation 1 stays active");
    let member = server.status().members[0].clone();
    assert_eq!((member.part, member.since_generation), (PartInForce::Kept, Some(1)));
    assert_eq!(member.problems[0].file, "members/ann.wall");
    let said = setup.run(&["status"]);
    assert!(said.out.contains("the member's part of generation 1 is active"), "{said:?}");

    seawall_tests::fine(&setup.run(&["upgrade", "-c", "seawall.toml"]));
    assert_eq!(server.answers("/own"), 451, "over an upgrade");
    assert_eq!(server.status().members[0].since_generation, Some(1));

    overwrite(&setup.policy("members/f.wasm"), seawall_tests::answering(1));
    overwrite(&setup.policy("members/ann.wall"), rule(418));
    wait_until_within(COMPILED, "she mended it", || server.answers("/own") == 418);
    assert_eq!(server.status().member_parts.current, 1);
    assert!(server.status().members.is_empty());
    server.wait_line("member ann: the files are valid again");
}

#[test]
fn a_damaged_copy_of_a_members_files_is_set_aside_and_told() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &host("one"));
    setup.write("members/ann.wall", hers("rule own { when path == \"/own\" then block 451 }"));
    stop(setup.start());
    let place = copy(&setup).unwrap();
    let mut bytes = std::fs::read(&place).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&place, bytes).unwrap();
    setup.write("members/ann.wall", hers("rule"));
    let server = setup.start();
    assert_eq!([server.answers("/own"), server.answers("/one")], [200, 410]);
    server.wait_line("the copy of a member's last good files");
    assert!(copy(&setup).is_none());
    let aside = std::fs::read_dir(setup.path("state/members")).unwrap();
    assert_eq!(aside.flatten().count(), 1, "set aside, not thrown away");
    assert_eq!(server.status().members[0].part, PartInForce::Absent);
}

#[test]
fn a_member_who_names_the_floor_changes_nothing_and_refuses_nothing() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &host("one"));
    let own = "rule own { when path == \"/own\" then block 451 }";
    setup.write("members/ann.wall", hers(own));
    let server = setup.start();
    for path in ["../root.wall", "../*.wall", "../none.wall"] {
        let text = hers(own).replace("policy 1\n", &format!("policy 1\ninclude \"{path}\"\n"));
        overwrite(&server.setup.policy("members/ann.wall"), text);
        let ran = server.setup.run(&["reload"]);
        assert_eq!(ran.code, Some(0), "{path}: {ran:?}");
        assert_eq!(["/own", "/one"].map(|path| server.answers(path)), [451, 410], "{path}");
    }
}

#[test]
fn check_tells_a_members_mistake_and_runs_the_hosts_tests() {
    let failing = format!("test \"shut\" {{ request GET \"https://{SITE}/one\" expect pass }}\n");
    let right = failing.replace("expect pass", "expect block 410");
    let root = format!("policies/{ROOT}");
    let check = |test: &str, words: &[&str]| {
        let setup = Setup::new(Origin::nowhere(), &format!("{}{test}", host("one")));
        setup.write_config();
        setup.write("members/ann.wall", hers("rule own { when pth == \"/own\" then block }"));
        setup.run(&[&["check"], words, &[&root]].concat())
    };
    let both = check(&failing, &[]);
    assert_eq!(both.code, Some(1), "{both:?}");
    assert!(
        both.err.contains("members/ann.wall:2") && both.err.contains("`shut` fails"),
        "{both:?}"
    );
    assert!(both.out.contains("1 of 1 test failed"), "{both:?}");
    let hers_alone = check(&right, &[]);
    assert_eq!(hers_alone.code, Some(1), "{hers_alone:?}");
    assert!(hers_alone.out.contains("0 of 1 test failed"), "{hers_alone:?}");
    // A server would load it all the same, without her file.
    let to_run = check(&right, &["--target", "server"]);
    assert_eq!(to_run.code, Some(0), "{to_run:?}");
    assert!(to_run.err.contains("members/ann.wall:2"), "{to_run:?}");
    assert!(to_run.out.contains("without the files of ann"), "{to_run:?}");
    assert_eq!(check(&failing, &["--target", "server"]).code, Some(1));
}

#[test]
fn tracks_of_answers_are_fed_by_real_answers() {
    let origin = Origin::start();
    let policy = "policy 1\n\
        track refusals { on response where status == 410 count requests per client over 1m keys 1k }\n\
        floor { rule gone { when path == \"/one\" then block 410 } }\n\
        defaults { rule enough { when rate(refusals) >= 3/1m then block 429 } }\n";
    let server = Setup::new(origin.address, policy).start();
    let mut visitor = server.visitor("127.3.0.1");
    assert_eq!(visitor.status("/two"), 200);
    for _ in 0..3 {
        assert_eq!(visitor.status("/one"), 410);
    }
    assert_eq!(visitor.status("/two"), 429);
    assert_eq!(server.visitor("127.3.0.2").status("/two"), 200, "counted by client");
}

#[test]
fn a_level_is_entered_by_traffic_and_told() {
    let origin = Origin::start();
    let policy = "policy 1\n\
        track all { count requests over 10s }\n\
        level busy { enter when rate(all) > 5/10s leave after 1h }\n\
        defaults { under busy { rule shut { when path == \"/two\" then block 503 } } }\n";
    let server = Setup::new(origin.address, policy).start();
    assert_eq!(server.answers("/two"), 200);
    wait_until("the level is entered", || server.answers("/two") == 503);
    server.wait_line("level busy is entered");
    assert_eq!(server.status().sites[0].level, "busy");
}

/// Levels that look at the origins, of one site and of all, and at the processors.
#[test]
fn levels_see_the_origins_and_the_processors() {
    let origin = Origin::start();
    let failing = crate::answers::says(|to| {
        to.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno")
    });
    let policy = "policy 1\n\
        level loaded { enter when cpu.load > 2% leave after 2s }\n\
        level some { enter when origin.errors > 10% leave after 1s }\n\
        level failing per site { enter when origin.errors > 50% leave after 1s }\n";
    let server = Setup::new(origin.address, policy).site("b.example", failing).start();
    let mut visitor = server.visitor("127.3.0.1");
    let ask = get("/").replace(SITE, "b.example");
    wait_until("its origin failed", || {
        (0..50).for_each(|_| _ = visitor.ask(&ask));
        server.status().sites[1].level == "failing"
    });
    server.wait_line("level failing of b.example is entered");
    server.wait_line("level some is entered");
    server.wait_line("level loaded is entered");
    assert_ne!(server.status().sites[0].level, "failing", "another site's");
    let quiet = Duration::from_secs(60);
    // Ten seconds later nothing is remembered of it, and nobody has anything to do.
    server.wait_line_within("level failing of b.example is left", quiet);
    server.wait_line_within("level some is left", quiet);
    server.wait_line_within("level loaded is left", quiet);
}

#[test]
fn a_level_is_set_by_hand_and_ended_by_hand_and_by_time() {
    let origin = Origin::start();
    let policy = "policy 1\n\
        track all { count requests over 10s }\n\
        level busy { enter when rate(all) > 1000000/10s leave after 1h }\n\
        defaults { under busy { rule shut { when path == \"/two\" then block 503 } } }\n";
    let setup = Setup::new(origin.address, policy).site("b.example", origin.address);
    let server = setup.start();
    let level = |words: &[&str]| server.setup.run(&[&["level"], words].concat());
    let ask = |host: &str| {
        let request = format!("GET /two HTTP/1.1\r\nHost: {host}\r\n\r\n");
        server.visitor("127.3.1.1").ask(request).unwrap().status
    };
    let both = || [ask(SITE), ask("b.example")];
    assert_eq!(both(), [200, 200]);
    let set = level(&["set", "busy", "--for", "1h"]);
    assert!(set.code == Some(0) && set.out.contains("busy for 1h"), "{set:?}");
    assert_eq!(both(), [503, 503], "at once");
    server.wait_line("level busy is set by hand for 3600 s");
    // An edit does not end it.
    overwrite(&server.setup.policy(ROOT), policy.replace("/two\"", "/two\" and method == GET"));
    server.wait_generation(2);
    assert_eq!(both(), [503, 503]);
    assert_eq!(level(&["clear"]).code, Some(0));
    assert_eq!(both(), [200, 200]);
    assert_eq!(level(&["clear"]).code, Some(1));
    assert_eq!(level(&["set", "bsy", "--for", "1h"]).code, Some(1));

    assert_eq!(level(&["set", "busy", "--for", "1h", "--site", "b.example"]).code, Some(0));
    assert_eq!(both(), [200, 503]);
    assert_eq!(server.status().policy.manual_levels[0].site.as_deref(), Some("b.example"));
    assert_eq!(level(&["set", "busy", "--for", "1s", "--site", "b.example"]).code, Some(0));
    wait_until("the second is over", || both() == [200, 200]);
    server.wait_line("level busy of b.example, set by hand, is over");
}
