//! List files over the running program: the last good copy stays, over a restart too.

use seawall_tests::{Origin, ROOT, Server, Setup, Signal, overwrite, wait_until};

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
    assert_eq!(server.status()["lists"][0]["from"], "file");
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
        let list = &server.status()["lists"][0];
        assert_eq!((&list["from"], &list["entries"]), (&"kept".into(), &1.into()), "{list}");
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
