//! Earlier generations are stored, can be compared with the active one, and can be restored with
//! one command.

use std::fs;

use seawall_admin_api::{PartInForce, RollbackPin};
use seawall_tests::{
    Origin, ROOT, SITE, Server, Setup, Signal, fine, overwrite, refused, rename_over, wait_until,
};
use serde_json::Value;

/// A limit of two requests an hour on `/page`, a trap, and whatever else.
fn policy(more: &str) -> String {
    format!(
        "policy 1
floor {{
  rule trap {{ when path == \"/trap\" then ban 1h }}
  limit page {{ where path == \"/page\" per client to 2/1h then block 429 hold 1h }}
  {more}
}}
"
    )
}

const MISTAKE: &str = "rule everybody { when path == \"/\" then ban 1h }";

fn save(server: &Server, text: &str, generation: u64) {
    overwrite(&server.setup.policy(ROOT), text);
    server.wait_generation(generation);
}

fn is_served(server: &Server, source: &str, path: &str) -> bool {
    server.visitor(source).get(path).is_ok_and(|answer| answer.status == 200)
}

fn history(server: &Server) -> Vec<Value> {
    let ran = server.setup.run(&["history", "--json"]);
    serde_json::from_str(fine(&ran)).unwrap()
}

/// What a rollback put in force, while the files on the disk are ignored.
fn rollback(server: &Server) -> Option<RollbackPin> {
    server.status().policy.rollback
}

#[test]
fn a_wrong_edit_is_undone_in_one_step_with_all_that_it_set() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &policy("")).start();
    // What was right before: a ban and a hold that are to stay.
    assert!(server.visitor("127.5.0.9").get("/trap").is_err());
    let mut greedy = server.visitor("127.5.0.8");
    assert_eq!([(); 3].map(|()| greedy.status("/page")), [200, 200, 429]);
    save(&server, &policy(MISTAKE), 2);
    for source in ["127.5.0.1", "127.5.0.2"] {
        assert!(server.visitor(source).get("/").is_err(), "the mistake bans {source}");
    }
    let ran = server.setup.run(&["rollback", "--clear-penalties"]);
    let said = fine(&ran);
    assert!(said.contains("generation 3 is active"), "{said}");
    assert!(said.contains("made of the files of generation 1"), "{said}");
    assert!(said.contains("cleared 2 bans and 0 holds"), "{said}");
    for source in ["127.5.0.1", "127.5.0.2"] {
        assert!(is_served(&server, source, "/"), "{source} was banned by mistake");
    }
    assert!(!is_served(&server, "127.5.0.9", "/"), "this ban was none");
    assert_eq!(greedy.status("/page"), 429, "this hold was none");
    assert_eq!(fs::read_to_string(server.setup.policy(ROOT)).unwrap(), policy(MISTAKE));
    assert_eq!(rollback(&server).unwrap().host.unwrap().active_generation, 1);
    assert!(fine(&server.setup.run(&["status"])).contains("rolled back to generation 1"));
    // The next save is what counts again.
    save(&server, &policy("rule gone { when path == \"/gone\" then block 410 }"), 4);
    assert_eq!(server.answers("/gone"), 410);
    assert!(rollback(&server).is_none());
}

#[test]
fn history_says_what_was_in_force_and_why() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &policy("")).start();
    save(&server, &policy("rule gone { when path == \"/gone\" then block 410 }"), 2);
    save(&server, &policy("").replace("/page", "/pages").replace("trap\" then", "trap2\" then"), 3);
    fine(&server.setup.run(&["rollback", "1"]));
    let all = history(&server);
    let causes: Vec<&str> = all.iter().map(|past| past["cause"].as_str().unwrap()).collect();
    assert_eq!(causes, ["start", "change", "change", "rollback"]);
    assert_eq!(all[2]["counters"]["condition_changed"][0], "floor.page");
    assert_eq!(all[3]["restored_from"], 1);
    assert!(all[3]["by_uid"].is_number());
    assert_eq!(all[0]["content"], all[3]["content"]);
    assert!(all.iter().all(|past| past["files_kept"] == true));
    let lines = server.setup.run(&["history"]);
    assert!(fine(&lines).contains("rollback to 1 by user "), "{lines:?}");
    let one = server.setup.run(&["history", "3"]);
    assert!(fine(&one).contains("kept, condition changed: floor.page"), "{one:?}");
    refused(&server.setup.run(&["history", "9"]), &["no generation 9", "from 1 to 4"]);
    server.wait_line("kept, condition changed: floor.page");
}

#[test]
fn two_generations_are_compared_by_what_they_say() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &policy("")).start();
    save(&server, &format!("# Only a comment.\n{}", policy("").replace("1h", "60m")), 2);
    save(&server, &policy(MISTAKE).replace("2/1h", "9/1h"), 3);
    let run = |words: &[&str]| server.setup.run(words);
    assert!(fine(&run(&["diff", "1", "2"])).contains("no differences"));
    let said = run(&["diff", "1"]);
    let said = fine(&said);
    assert!(said.contains("~ limit floor.page\n    - to 2/1h\n    + to 9/1h"), "{said}");
    assert!(said.contains("+ rule floor.everybody: when path == \"/\" then ban 1h"), "{said}");
    let json: Value = serde_json::from_str(fine(&run(&["diff", "3", "1", "--json"]))).unwrap();
    assert_eq!(json["changes"][0]["how"], "removed");
    refused(&run(&["diff", "1", "7"]), &["no generation 7"]);
}

#[test]
fn what_was_gone_back_to_is_in_force_after_a_restart_and_so_is_history() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &policy(""));
    let mut server = setup.start();
    save(&server, &policy(MISTAKE), 2);
    fine(&setup.run(&["rollback"]));
    server.signal(Signal::Terminate);
    server.wait_end();
    let again = setup.start();
    assert!(is_served(&again, "127.5.1.1", "/"), "the mistake is still on the disk");
    again.wait_line("after a rollback");
    let all = history(&again);
    let numbers: Vec<u64> = all.iter().map(|past| past["generation"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(all[3]["content"], all[0]["content"]);
    // Nothing that was looked at since brings the mistake back; asking does.
    let said = again.setup.run(&["reload"]);
    assert!(fine(&said).contains("generation 5 is active"), "{said:?}");
    assert!(again.visitor("127.5.1.2").get("/").is_err());
}

#[test]
fn a_generation_is_written_out_as_it_was() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &policy("")).start();
    save(&server, &policy(MISTAKE), 2);
    let run = |words: &[&str]| server.setup.run(words);
    let folder = server.folder().join("out");
    let to = folder.to_str().unwrap();
    assert!(fine(&run(&["history", "1", "--export", to])).contains("1 file written"));
    assert_eq!(fs::read_to_string(folder.join(ROOT)).unwrap(), policy(""));
    refused(&run(&["history", "2", "--export", to]), &["is not empty"]);
}

#[test]
fn a_rollback_that_cannot_be_is_refused_and_changes_nothing() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &policy("")).start();
    refused(&server.setup.run(&["rollback"]), &["no earlier generation with other files"]);
    save(&server, &policy(MISTAKE), 2);
    refused(&server.setup.run(&["rollback", "7"]), &["no generation 7"]);
    // What is written after its generation judges must not be written after this.
    let kept = server.folder().join("state/history");
    wait_until("the second generation is kept", || {
        let index = fs::read(kept.join("index.json")).unwrap_or_default();
        let index: Value = serde_json::from_slice(&index).unwrap_or_default();
        index["generations"][1]["generation"] == 2
    });
    fs::remove_dir_all(kept).unwrap();
    refused(&server.setup.run(&["rollback"]), &["files of generation 1 are no longer stored"]);
    assert_eq!(server.status().policy.generation, 2);
    assert!(server.status().policy.last_error.is_none());
}

#[test]
fn what_one_rule_set_is_ended_with_a_reload() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &policy("")).start();
    let mut greedy = server.visitor("127.5.2.1");
    assert_eq!([(); 3].map(|()| greedy.status("/page")), [200, 200, 429]);
    assert!(server.visitor("127.5.2.2").get("/trap").is_err());
    // The limit is widened; who is held by it is held on, unless that is asked for.
    save(&server, &policy("").replace("2/1h", "9/1h"), 2);
    assert_eq!(greedy.status("/page"), 429);
    let said = server.setup.run(&["reload", "--clear-penalties", "floor.page"]);
    assert!(fine(&said).contains("cleared 0 bans and 1 hold"), "{said:?}");
    assert_eq!(greedy.status("/page"), 200);
    assert!(!is_served(&server, "127.5.2.2", "/"));
    let said = server.setup.run(&["reload", "--clear-penalties", "floor.trap"]);
    assert!(fine(&said).contains("cleared 1 ban and 0 holds"), "{said:?}");
    wait_until("the trap's ban is ended", || is_served(&server, "127.5.2.2", "/"));
}

#[test]
fn an_edit_is_held_against_what_runs_before_it_is_one() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &policy("")).start();
    let draft = server.folder().join("draft.wall");
    let text = policy("").replace("per client", "per client.ip").replace("ban 1h", "ban 2h");
    fs::write(&draft, text).unwrap();
    let draft = draft.to_str().unwrap();
    let said = server.setup.run(&["check", draft, "--against", "running"]);
    let said = fine(&said);
    assert!(said.contains("reset: floor.page"), "{said}");
    assert!(said.contains("    - then ban 1h\n    + then ban 2h"), "{said}");
    let old = server.setup.policy(ROOT);
    let against = ["check", draft, "--against", old.to_str().unwrap()];
    assert!(fine(&server.setup.run(&against)).contains("reset: floor.page"));
    assert_eq!(server.status().policy.generation, 1);
    refused(&server.setup.run(&["check", draft, "--against", "nowhere.wall"]), &["nowhere.wall"]);
}

/// A host with one member, whose site is [`SITE`], that refuses one path.
fn host(refused: &str) -> String {
    format!(
        "policy 1\nmember ann {{ hosts {{ \"{SITE}\" }} may {{ block, list }} file \"members/ann.wall\" }}\n\
         floor {{ rule gone {{ when path == \"/{refused}\" then block 410 }} }}\n"
    )
}

/// A member's file that answers `/own` with this status.
fn hers(status: u16) -> String {
    format!(
        "policy 1\nsite \"{SITE}\" {{ rule own {{ when path == \"/own\" then block {status} }} }}\n"
    )
}

const HERS: &str = "members/ann.wall";

fn member_saves(server: &Server, status: u16) {
    rename_over(&server.setup.policy(HERS), hers(status));
    wait_until("her save is in force", || server.answers("/own") == status);
}

fn start_with_member() -> (Origin, Server) {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &host("one"));
    setup.write(HERS, hers(451));
    let server = setup.start();
    (origin, server)
}

#[test]
fn a_member_who_saves_often_pushes_no_generation_of_the_host_out() {
    let (_origin, server) = start_with_member();
    save(&server, &host("two"), 2);
    let first = history(&server);
    // More than a member has, and each in force before the next.
    for status in [410, 418, 429, 451, 410, 418, 429] {
        member_saves(&server, status);
    }
    let all = history(&server);
    let numbers: Vec<u64> = all.iter().map(|past| past["generation"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 5, 6, 7, 8, 9], "the host's, and five of hers");
    assert_eq!(all[..2], first[..2]);
    assert!(all.iter().all(|past| past["files_kept"] == true && past["members_kept"] == true));
    let lines = server.setup.run(&["history"]);
    assert!(fine(&lines).contains("changed: policy"), "{lines:?}");
    assert!(fine(&lines).contains("changed: member ann"), "{lines:?}");
    refused(&server.setup.run(&["history", "3"]), &["history goes from 1 to 2, 5 to 9"]);
    // Back to the host's generation: what she has stays.
    fine(&server.setup.run(&["rollback"]));
    assert_eq!(["/one", "/two", "/own"].map(|path| server.answers(path)), [410, 200, 429]);
    assert_eq!(rollback(&server).unwrap().host.unwrap().active_generation, 1);
}

#[test]
fn what_a_member_saves_after_a_rollback_brings_no_bad_edit_of_the_host_back() {
    let (_origin, server) = start_with_member();
    member_saves(&server, 418);
    save(&server, &host("two"), 3);
    member_saves(&server, 429);
    let said = server.setup.run(&["rollback", "--clear-penalties"]);
    assert!(fine(&said).contains("made of the files of generation 2"), "{said:?}");
    let answers = |server: &Server| ["/one", "/two", "/own"].map(|path| server.answers(path));
    assert_eq!(answers(&server), [410, 200, 429], "the host's edit is undone, hers is not");

    member_saves(&server, 451);
    assert_eq!(answers(&server), [410, 200, 451], "hers is in force, the bad edit is not");
    assert_eq!(rollback(&server).unwrap().host.unwrap().active_generation, 2);
    // What she breaks keeps her part, and brings nothing back either.
    overwrite(&server.setup.policy(HERS), "policy 1\nsite");
    server.wait_line("member ann: refused");
    assert_eq!(answers(&server), [410, 200, 451]);
    member_saves(&server, 418);

    // Nor does a restart with a save of hers, nor a second rollback go forth again.
    let setup = server.setup.clone();
    let mut server = server;
    server.signal(Signal::Terminate);
    server.wait_end();
    overwrite(&setup.policy(HERS), hers(429));
    let again = setup.start();
    again.wait_line("after a rollback");
    assert_eq!(answers(&again), [410, 200, 429]);
    member_saves(&again, 451);
    assert_eq!(answers(&again), [410, 200, 451]);
    refused(
        &again.setup.run(&["rollback"]),
        &["no earlier generation with other files of the operator"],
    );
    // What the host saves is in force, with what she has.
    overwrite(&again.setup.policy(ROOT), host("three"));
    wait_until("the host's next edit", || again.answers("/three") == 410);
    assert_eq!(answers(&again), [200, 200, 451]);
    assert!(rollback(&again).is_none());
}

#[test]
fn a_part_that_does_not_fit_what_is_gone_back_to_gives_way_to_the_one_of_then() {
    let (_origin, server) = start_with_member();
    let with_let = host("two").replace("floor", "let word = \"/own\"\nfloor");
    save(&server, &with_let, 2);
    let uses = hers(418).replace("path == \"/own\"", "path == word");
    rename_over(&server.setup.policy(HERS), uses);
    wait_until("her save is in force", || server.answers("/own") == 418);
    let said = server.setup.run(&["rollback"]);
    assert!(fine(&said).contains("member ann: refused"), "{said:?}");
    let answers = ["/one", "/two", "/own"].map(|path| server.answers(path));
    assert_eq!(answers, [410, 200, 451], "her part of generation 1");
    assert_eq!(server.status().members[0].part, PartInForce::Kept);
    member_saves(&server, 429);
    assert!(server.status().members.is_empty());
}

#[test]
fn a_member_goes_back_alone_until_her_files_change() {
    let (_origin, server) = start_with_member();
    member_saves(&server, 418);
    save(&server, &host("two"), 3);
    let run = |words: &[&str]| server.setup.run(words);
    let answers = || ["/one", "/two", "/own"].map(|path| server.answers(path));
    let said = run(&["rollback", "--member", "ann"]);
    assert!(fine(&said).contains("made of the files of generation 1"), "{said:?}");
    assert_eq!(answers(), [200, 410, 451], "hers alone");
    assert_eq!(rollback(&server).unwrap().members["ann"].active_generation, 1);
    assert!(
        fine(&run(&["status"])).contains("rolled back to generation 1: member ann's files on disk")
    );
    refused(
        &run(&["rollback", "--member", "ann"]),
        &["no earlier generation with other files of member ann"],
    );
    // The host's edit leaves hers aside, and hers comes when it changes.
    overwrite(&server.setup.policy(ROOT), host("three"));
    wait_until("the host's edit", || server.answers("/three") == 410);
    assert_eq!(server.answers("/own"), 451);
    member_saves(&server, 429);
    assert!(rollback(&server).is_none());
    refused(&run(&["rollback", "1", "--member", "bob"]), &["no part of member bob"]);
    let both = run(&["rollback", "--member", "ann", "--clear-penalties"]);
    assert!(both.code == Some(2) && both.err.contains("cannot be used with"), "{both:?}");
}

#[test]
fn what_a_kept_part_was_made_of_is_what_history_shows_and_all_goes_back_to() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &host("one"));
    let with_list = |status: u16| {
        hers(status)
            .replace("policy 1\n", "policy 1\nlist shut: string = file \"shut.txt\" max 10\n")
            .replace("path == \"/own\"", "path in @shut")
    };
    setup.write("members/shut.txt", "/own\n");
    setup.write(HERS, with_list(451));
    let server = setup.start();
    assert_eq!(server.answers("/own"), 451);
    // Her files are wrong, her list is another one already, and the host edits.
    overwrite(&server.setup.policy("members/shut.txt"), "/other\n");
    overwrite(&server.setup.policy(HERS), with_list(451).replace("path in", "pth in"));
    server.wait_line("member ann: refused");
    overwrite(&server.setup.policy(ROOT), host("two"));
    wait_until("the host's edit", || server.answers("/two") == 410);
    assert_eq!(server.answers("/own"), 451, "her last good part");
    let kept = server.status().policy.generation.to_string();
    let folder = server.folder().join("out");
    let run = |words: &[&str]| server.setup.run(words);
    fine(&run(&["history", &kept, "--export", folder.to_str().unwrap()]));
    assert_eq!(fs::read_to_string(folder.join("members/shut.txt")).unwrap(), "/own\n");
    assert_eq!(fs::read_to_string(folder.join(HERS)).unwrap(), with_list(451));
    assert!(fine(&run(&["diff", "1", &kept])).contains("floor.gone"));
    assert!(!fine(&run(&["diff", "1", &kept])).contains("shut"), "her part is the same");

    overwrite(&server.setup.policy(HERS), with_list(418));
    wait_until("she mends it", || server.answers("/other") == 418);
    overwrite(&server.setup.policy(ROOT), host("three"));
    wait_until("the host's next edit", || server.answers("/three") == 410);
    fine(&run(&["rollback", &kept, "--all"]));
    let answers = ["/two", "/three", "/own", "/other"].map(|path| server.answers(path));
    assert_eq!(answers, [410, 200, 451, 200], "as it was, her kept part too");
    let pin = rollback(&server).unwrap();
    assert!(pin.host.is_some() && pin.members.contains_key("ann"), "{pin:?}");
    // What is on the disk of each comes when that one changes.
    overwrite(&server.setup.policy("members/shut.txt"), "/third\n");
    wait_until("her list", || server.answers("/third") == 418);
    assert_eq!(["/two", "/three"].map(|path| server.answers(path)), [410, 200]);
}

#[test]
fn a_reload_that_changes_nothing_tells_whose_files_are_refused() {
    let (_origin, server) = start_with_member();
    let run = |words: &[&str]| server.setup.run(words);
    let json = |words: &[&str]| -> Value { serde_json::from_str(fine(&run(words))).unwrap() };
    assert_eq!(json(&["reload", "--json"])["members"]["refused"], 0);
    overwrite(&server.setup.policy(HERS), "policy 1\nsite");
    server.wait_line("member ann: refused");
    let said = run(&["reload"]);
    let said = fine(&said);
    assert!(said.contains("member ann: refused: members/ann.wall:"), "{said}");
    assert!(said.contains("the member's part of generation 1 stays active"), "{said}");
    assert!(said.contains("the files of 1 member are rejected"), "{said}");
    assert!(said.contains("no change:"), "{said}");
    let told = json(&["reload", "--json"]);
    assert_eq!((&told["outcome"], &told["members"]["refused"]), (&"unchanged".into(), &1.into()));
    assert!(told["members"]["first"].as_str().unwrap().contains("member ann: refused"), "{told}");
}

#[test]
fn since_when_a_member_is_refused_goes_on_over_saves_and_restarts() {
    let (_origin, server) = start_with_member();
    let since = |server: &Server| server.status().members[0].rejected_since.clone();
    rename_over(&server.setup.policy(HERS), "policy 1\nsite");
    server.wait_line("member ann: refused");
    let begun = since(&server);
    rename_over(&server.setup.policy(HERS), "policy 1\nsite \"a\" { rule }");
    let generation = || server.status().policy.generation;
    wait_until("her next mistake", || generation() >= 3);
    assert_eq!(since(&server), begun, "another save, and another mistake");
    let setup = server.setup.clone();
    let mut server = server;
    server.signal(Signal::Terminate);
    server.wait_end();
    let again = setup.start();
    assert_eq!(since(&again), begun, "over a restart");
    member_saves(&again, 418);
    assert!(again.status().members.is_empty());
    let book = again.folder().join("state/members-refused.json");
    wait_until("that is over, and a next time begins anew", || {
        !fs::read_to_string(&book).unwrap_or_default().contains("ann")
    });
}

#[test]
fn what_was_put_aside_stays_so_over_an_upgrade_and_none_is_refused_when_it_is_over() {
    let (_origin, server) = start_with_member();
    save(&server, &host("two"), 2);
    fine(&server.setup.run(&["rollback"]));
    let answers = || ["/one", "/two", "/own"].map(|path| server.answers(path));
    fine(&server.setup.run(&["upgrade", "-c", "seawall.toml"]));
    assert_eq!(rollback(&server).unwrap().host.unwrap().active_generation, 1);
    member_saves(&server, 418);
    assert_eq!(answers(), [410, 200, 418]);
    // The disk holds what serves: that is no new generation, and nothing is aside any more.
    rename_over(&server.setup.policy(ROOT), host("one"));
    wait_until("nothing is aside", || rollback(&server).is_none());
    fine(&server.setup.run(&["upgrade", "-c", "seawall.toml"]));
    assert_eq!(answers(), [410, 200, 418]);
    assert!(rollback(&server).is_none());
}
