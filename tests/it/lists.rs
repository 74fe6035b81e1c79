//! List files in the running program: the last good copy stays in use, also over a restart.

use seawall_admin_api::ListSource;
use seawall_tests::{Origin, ROOT, SITE, Server, Setup, Signal, overwrite, wait_until};

const LIST: &str = "lists/drop.txt";

fn policy(more: &str) -> String {
    format!(
        "policy 1\nlist drop: cidr = file \"{LIST}\" max 10\n\
         floor {{ rule listed {{ when client.ip in @drop then block 410 }} }}\n{more}"
    )
}

/// A host whose list has 127.1.1.1, from where `answers` asks.
fn host(origin: &Origin) -> Setup {
    let setup = Setup::new(origin.address, &policy(""));
    setup.write(LIST, "127.1.1.0/24\n");
    setup
}

fn stop(mut server: Server) {
    server.signal(Signal::Terminate);
    assert!(server.wait_end().success());
}

/// The copies that are kept.
fn copies(setup: &Setup) -> Vec<std::path::PathBuf> {
    let folder = std::fs::read_dir(setup.path("state/lists")).into_iter().flatten();
    folder.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_list_whose_file_is_gone_at_start_is_the_last_good_copy() {
    let origin = Origin::start();
    let setup = host(&origin);
    let server = setup.start();
    assert_eq!(server.answers("/"), 410);
    assert_eq!(server.status().lists[0].source, ListSource::File);
    stop(server);

    // Gone, too long, an error page in its place, and gone again.
    let long: String = (0..11).map(|n| format!("192.0.{n}.0/24\n")).collect();
    for broken in [None, Some(long.as_str()), Some("<html>\n"), None] {
        match broken {
            Some(text) => setup.write(LIST, text),
            None => std::fs::remove_file(setup.policy(LIST)).unwrap(),
        }
        let server = setup.start();
        let told = server.wait_line("the last good copy is in force, ");
        assert!(told.contains(&format!("{ROOT}:2:24")) && told.contains(" old"), "{told}");
        assert_eq!(server.answers("/"), 410, "{broken:?}");
        let list = &server.status().lists[0];
        assert_eq!((list.source, list.entries), (ListSource::Cached, 1), "{list:?}");
        let said = setup.run(&["status", "-c", "seawall.toml"]).out;
        assert!(said.contains("@drop: 1 entries") && said.contains(LIST), "{said}");
        stop(server);
    }

    // What `check` says about it depends on whose policy it is.
    let root = format!("policies/{ROOT}");
    assert_eq!(setup.run(&["check", &root]).code, Some(1));
    let kept = setup.run(&["check", "-c", "seawall.toml", &root]);
    assert!(kept.code == Some(0) && kept.err.contains("last good copy"), "{kept:?}");

    // A damaged copy is not half believed, and it is said why.
    let copy = copies(&setup).remove(0);
    let bytes = std::fs::read(&copy).unwrap();
    std::fs::write(&copy, &bytes[..bytes.len() - 2]).unwrap();
    let refused = setup.run(&["run", "-c", "seawall.toml"]);
    assert!(refused.code == Some(1) && refused.err.contains("damaged"), "{refused:?}");
}

#[test]
fn a_list_that_never_loaded_refuses_the_start() {
    let setup = Setup::new(Origin::nowhere(), &policy(""));
    setup.write_config();
    let refused = setup.run(&["run", "-c", "seawall.toml"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains(&format!("{ROOT}:2:24")), "{}", refused.err);
    assert!(copies(&setup).is_empty());
}

#[test]
fn a_save_renews_the_copy_and_a_list_that_is_named_no_more_takes_it_along() {
    let origin = Origin::start();
    let server = host(&origin).start();
    let setup = &server.setup;
    let copy = || copies(setup).iter().map(|path| std::fs::read(path).unwrap()).next();
    let holds =
        |part: &str| copy().is_some_and(|bytes| String::from_utf8_lossy(&bytes).contains(part));
    assert!(holds("127.1.1.0/24"));
    overwrite(&setup.policy(LIST), "127.9.9.0/24\n");
    wait_until("the new list is in force", || server.answers("/") == 200);
    wait_until("its copy", || holds("127.9.9.0/24") && copies(setup).len() == 1);
    overwrite(&setup.policy(ROOT), "policy 1\n");
    wait_until("no copy is left", || copies(setup).is_empty());
}

/// A case from the field: its folder as the policy root of a host.
fn field(name: &str, origin: &Origin) -> Setup {
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/field").join(name);
    let setup = Setup::new(origin.address, &std::fs::read_to_string(from.join(ROOT)).unwrap());
    for list in std::fs::read_dir(from.join("lists")).unwrap() {
        let path = list.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        setup.write(&format!("lists/{name}"), std::fs::read(&path).unwrap());
    }
    setup.write_config();
    setup
}

/// What `check` and `test` say of the policy of a host.
fn checked(setup: &Setup) -> (Option<i32>, String) {
    let root = format!("policies/{ROOT}");
    let check = setup.run(&["check", &root]);
    let test = setup.run(&["test", &root]);
    (check.code.max(test.code), format!("{}{}{}{}", check.out, check.err, test.out, test.err))
}

#[test]
fn field_07_spamhaus_drop_as_published() {
    let origin = Origin::start();
    let setup = field("07-spamhaus-drop-as-published", &origin);
    let (code, said) = checked(&setup);
    assert!(code == Some(0) && !said.contains("S004"), "{said}");
    assert_eq!(setup.start().status().lists[0].entries, 2);
    // The lines of JSON that Spamhaus recommends, in the place of the other.
    let lines = std::fs::read_to_string(setup.policy("lists/drop_v4.json")).unwrap();
    setup.write("lists/drop.txt", &lines);
    let (code, said) = checked(&setup);
    assert!(code == Some(0) && !said.contains("S004"), "{said}");
    assert_eq!(setup.start().status().lists[0].entries, 2);
    // One document is none, and is told what makes a list of it.
    setup.write("lists/drop.txt", "[\n  {\"cidr\": \"192.0.2.0/24\"}\n]\n");
    let (code, said) = checked(&setup);
    assert!(code == Some(1) && said.contains("jq -r"), "{said}");
}

#[test]
fn field_08_cut_off_list_blocks_a_quarter() {
    let origin = Origin::start();
    let setup = field("08-cut-off-list-blocks-a-quarter", &origin);
    let (code, said) = checked(&setup);
    assert_eq!(code, Some(0), "a client elsewhere is let in: {said}");
    for part in ["S012", "S013", "lists/cut.txt:2:1", "`203.0.113.0/2`"] {
        assert!(said.contains(part), "no {part}: {said}");
    }
    for (list, entries) in [("cut6.txt", 1), ("all.txt", 0)] {
        let cut = std::fs::read(setup.policy(&format!("lists/{list}"))).unwrap();
        setup.write("lists/cut.txt", cut);
        let (code, said) = checked(&setup);
        assert!(said.contains("wider than any network of one owner"), "{list}: {said}");
        // A list without an element has failed.
        assert_eq!(code, Some(i32::from(entries == 0)), "{list}: {said}");
    }
    // In a running server the last good copy stays in force, and the clients are let in.
    setup.write("lists/cut.txt", "198.51.100.0/24\n");
    let server = setup.start();
    assert_eq!(server.answers("/"), 200);
    overwrite(&setup.policy("lists/cut.txt"), "0.0.0.0/0\n");
    server.wait_line("the last good copy stays in force");
    assert_eq!(server.answers("/"), 200);
    let list = &server.status().lists[0];
    assert_eq!((list.source, list.entries), (ListSource::Cached, 1), "{list:?}");
    // A download that broke off in the middle of a line.
    overwrite(&setup.policy("lists/cut.txt"), "198.51.100.0/24\n127.0.0.0/2");
    server.wait_line("warning[S012]: `127.0.0.0/2`");
    assert_eq!(server.answers("/"), 200);
    let rule = "rule bad { when client.ip in @bad then drop }";
    let wide = std::fs::read_to_string(setup.policy(ROOT)).unwrap();
    assert!(wide.contains(rule));
    setup.write(
        ROOT,
        wide.replace("max 10", "max 10 allow wide").replace("then drop", "then block"),
    );
    overwrite(&setup.policy("lists/cut.txt"), "192.0.2.0/24\n64.0.0.0/2\n");
    wait_until("half of all are refused", || server.answers("/") == 403);
}

#[test]
fn field_14_substring_list_from_a_file() {
    let origin = Origin::start();
    let setup = field("14-substring-list-from-a-file", &origin);
    let (code, said) = checked(&setup);
    assert_eq!(code, Some(0), "{said}");
    let server = setup.start();
    let status = |agent: &str| {
        let request = format!("GET / HTTP/1.1\r\nhost: {SITE}\r\nuser-agent: {agent}\r\n\r\n");
        server.visitor("127.1.1.1").ask(request).unwrap().status
    };
    assert_eq!(status("Mozilla/5.0 (compatible; gptbot/1.2; +https://example.org)"), 403);
    assert_eq!(status("Mozilla/5.0 (X11; Linux x86_64) Firefox/142.0"), 200);
    // The file is renewed every day.
    let agents: String = (0..600).map(|n| format!("Agent{n:03}Bot\n")).collect();
    overwrite(&setup.policy("lists/bots.txt"), &agents);
    wait_until("the new list is in force", || status("agent599bot") == 403);
    assert_eq!(status("gptbot/1.2"), 200);
}

#[test]
fn field_12_list_spellings() {
    let origin = Origin::start();
    let setup = field("12-list-spellings", &origin);
    let (code, said) = checked(&setup);
    assert_eq!(code, Some(0), "{said}");
    for part in ["lists/ok.txt:5:1", "C018", "S013"] {
        assert!(said.contains(part), "no {part}: {said}");
    }
    let server = setup.start();
    assert_eq!(server.status().lists[0].entries, 4);
    // What is no list keeps the last good copy, and says what it is.
    for (bytes, what) in [
        (&b"<!DOCTYPE html>\n<html><body>502</body></html>\n"[..], "HTML"),
        (b"\x1F\x8B\x08\0\0\0\0\0", "gzip"),
        (b"\xFF\xFE1\x009\x002\x00.\0", "UTF-16"),
    ] {
        overwrite(&setup.policy("lists/ok.txt"), bytes);
        let told = server.wait_line(what);
        assert!(told.contains("has no element"), "{told}");
        assert_eq!(server.status().lists[0].entries, 4, "{what}");
    }
}

#[test]
fn a_list_that_shrinks_or_holds_the_proxy_in_front_is_told_in_log_and_status() {
    let origin = Origin::start();
    let section = "[trusted_proxies]\nnetworks = [\"203.0.113.9\"]\nproxy_protocol = true\n";
    let setup = host(&origin).section(section);
    setup.write(LIST, "127.1.1.0/24\n192.0.2.1\n192.0.2.2\n192.0.2.3\n192.0.2.5\n");
    let server = setup.start();
    assert_eq!(server.status().lists[0].shrank_from, None);
    overwrite(&setup.policy(LIST), "127.1.1.0/24\n203.0.113.0/24\n");
    let told = server.wait_line("S014");
    assert!(told.contains("has 2 elements, before it had 5"), "{told}");
    let told = server.wait_line("203.0.113.9/32 ([trusted_proxies])");
    assert!(told.contains("S015") && told.contains(&format!("{ROOT}:2:24")), "{told}");
    assert_eq!(server.status().lists[0].shrank_from, Some(5));
    let said = setup.run(&["status", "-c", "seawall.toml"]).out;
    assert!(said.contains("it had 5 before"), "{said}");
    // Whose policy it is decides what `check` says.
    let root = format!("policies/{ROOT}");
    assert!(!setup.run(&["check", &root]).err.contains("trusted_proxies"));
    assert!(setup.run(&["check", "-c", "seawall.toml", &root]).err.contains("[trusted_proxies]"));
}
