//! A save takes effect, in every way of saving and for every kind of file.
//!
//! Each test waits for the new generation in the status. The next request must be evaluated by it.

use std::io::Write;

use seawall_admin_api::ReloadCause;
use seawall_tests::{
    Origin, ROOT, Server, Setup, answering, overwrite, rename_over, swap_link, wait_until,
};

/// Refuses `/PATH` with 410 and nothing else.
fn refusing(path: &str) -> String {
    format!("policy 1\nfloor {{ rule gone {{ when path == \"/{path}\" then block 410 }} }}\n")
}

/// What `/one` and `/two` are answered with.
fn verdicts(server: &Server) -> (u16, u16) {
    (server.answers("/one"), server.answers("/two"))
}

#[test]
fn a_policy_that_is_written_over_judges_the_next_request() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &refusing("one")).start();
    assert_eq!(verdicts(&server), (410, 200));
    overwrite(&server.setup.policy(ROOT), refusing("two"));
    let status = server.wait_generation(2);
    assert_eq!(verdicts(&server), (200, 410));
    assert!(status.policy.last_error.is_none());
    assert_eq!(status.history.len(), 2);
    assert_eq!(status.history[1].cause, ReloadCause::Change);
    assert_eq!(status.history[1].files[0].path, ROOT);
    server.wait_line("generation 2 is active");
}

#[test]
fn an_open_connection_is_judged_by_the_new_policy() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &refusing("one")).start();
    let mut visitor = server.visitor("127.2.0.1");
    assert_eq!(visitor.status("/two"), 200);
    overwrite(&server.setup.policy(ROOT), refusing("two"));
    server.wait_generation(2);
    assert_eq!(visitor.status("/two"), 410);
    assert_eq!(server.proxy().connections.total, 1, "it was the same connection");
}

#[test]
fn a_policy_that_an_editor_renames_into_place_judges() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &refusing("one")).start();
    for (generation, path, expected) in [(2, "two", (200, 410)), (3, "one", (410, 200))] {
        rename_over(&server.setup.policy(ROOT), refusing(path));
        server.wait_generation(generation);
        assert_eq!(verdicts(&server), expected, "generation {generation}");
    }
}

#[test]
fn a_mounted_folder_that_is_swapped_by_its_link_judges() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, "");
    // As Kubernetes mounts a ConfigMap: the file leads to `..data`, which leads to a dated folder.
    std::fs::remove_file(setup.policy(ROOT)).unwrap();
    setup.write(&format!("..2026_1/{ROOT}"), refusing("one"));
    swap_link(&setup.policy("..data"), "..2026_1");
    swap_link(&setup.policy(ROOT), &format!("..data/{ROOT}"));
    let server = setup.start();
    assert_eq!(verdicts(&server), (410, 200));
    for (generation, path, expected) in [(2, "two", (200, 410)), (3, "one", (410, 200))] {
        let folder = format!("..2026_{generation}");
        setup.write(&format!("{folder}/{ROOT}"), refusing(path));
        swap_link(&setup.policy("..data"), &folder);
        server.wait_generation(generation);
        assert_eq!(verdicts(&server), expected, "generation {generation}");
    }
}

#[test]
fn a_list_file_that_is_saved_judges() {
    let origin = Origin::start();
    let policy = "policy 1\nlist bad: cidr = file \"lists/bad.txt\" max 10 reload 1m on_error keep\n\
                  floor { rule listed { when client.ip in @bad then block 410 } }\n";
    let setup = Setup::new(origin.address, policy);
    setup.write("lists/bad.txt", "127.2.1.1\n");
    let server = setup.start();
    let answers = |source: &str| server.visitor(source).status("/");
    assert_eq!((answers("127.2.1.1"), answers("127.2.1.2")), (410, 200));
    rename_over(&setup.policy("lists/bad.txt"), "# a network\n127.2.1.2/31\n");
    let status = server.wait_generation(2);
    assert_eq!((answers("127.2.1.1"), answers("127.2.1.2")), (200, 410));
    assert_eq!(status.lists[0].entries, 1);
}

#[test]
fn a_component_that_is_saved_judges() {
    let origin = Origin::start();
    let policy = "policy 1\nextern f() -> int { module \"f.wasm\" fuel 50k time 100ms memory 1MiB on_failure \
                  return 0 }\nfloor { rule seven { when f() == 7 then block 410 } }\n";
    let setup = Setup::new(origin.address, policy);
    setup.write("f.wasm", answering(6));
    let server = setup.start();
    assert_eq!(server.answers("/"), 200);
    overwrite(&setup.policy("f.wasm"), answering(7));
    server.wait_generation(2);
    assert_eq!(server.answers("/"), 410);
    rename_over(&setup.policy("f.wasm"), answering(8));
    server.wait_generation(3);
    assert_eq!(server.answers("/"), 200);
}

#[test]
fn a_file_that_an_include_brings_in_judges() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, "policy 1\ninclude \"more/*.wall\"\n");
    setup.write(
        "more/a.wall",
        "policy 1\nfloor { rule a { when path == \"/one\" then block 410 } }\n",
    );
    let server = setup.start();
    assert_eq!(verdicts(&server), (410, 200));
    setup.write(
        "more/b.wall",
        "policy 1\nfloor { rule b { when path == \"/two\" then block 410 } }\n",
    );
    server.wait_generation(2);
    assert_eq!(verdicts(&server), (410, 410));
    std::fs::remove_file(setup.policy("more/a.wall")).unwrap();
    server.wait_generation(3);
    assert_eq!(verdicts(&server), (200, 410));
}

#[test]
fn the_same_content_makes_no_new_generation() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &refusing("one")).start();
    let unchanged = || server.status().policy.reloads.unchanged;
    // The look that every start ends with.
    wait_until("the first look", || unchanged() >= 1);
    for rename in [false, true] {
        let before = unchanged();
        let path = server.setup.policy(ROOT);
        if rename {
            rename_over(&path, refusing("one"));
        } else {
            overwrite(&path, refusing("one"));
        }
        wait_until("a look without a change", || unchanged() > before);
    }
    let status = server.status();
    assert_eq!(status.policy.generation, 1);
    assert_eq!(status.policy.reloads.published, 0);
    assert_eq!(status.history.len(), 1);
}

#[test]
fn half_a_save_is_never_in_force() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &refusing("one")).start();
    let whole = refusing("two");
    let half = whole.len() / 2;
    let mut file = std::fs::File::create(server.setup.policy(ROOT)).unwrap();
    file.write_all(&whole.as_bytes()[..half]).unwrap();
    // The writer pauses until the half has been looked at and refused.
    let error = server.wait_error();
    assert_eq!(error.file, ROOT);
    assert_eq!(verdicts(&server), (410, 200));
    assert_eq!(server.status().policy.generation, 1);
    file.write_all(&whole.as_bytes()[half..]).unwrap();
    drop(file);
    let status = server.wait_generation(2);
    assert!(status.policy.last_error.is_none());
    assert_eq!(verdicts(&server), (200, 410));
}
