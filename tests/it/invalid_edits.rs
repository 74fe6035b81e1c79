//! An error in an edit is reported with its place, and changes nothing.
//!
//! Each test breaks a file, and checks the error in the status and the active generation. Then it
//! corrects the file, and checks that the error is gone.

use std::path::Path;
use std::process::Command;

use seawall_admin_api::PolicyError;
use seawall_tests::{
    COMPILED, Origin, ROOT, Server, Setup, answering, component, guest, overwrite, rename_over,
    wait_for_within,
};

const GOOD: &str = "policy 1
floor {
  rule gone { when path == \"/one\" then block 410 }
}
";
const BETTER: &str = "policy 1
floor {
  rule gone { when path == \"/two\" then block 410 }
}
";

/// What is said of a component meanwhile.
const COMPILING: &str = "still being compiled";

fn start(origin: &Origin) -> Server {
    Setup::new(origin.address, GOOD).start()
}

/// The first policy is in force, and the status says why the files are not.
#[track_caller]
fn refused(server: &Server) -> PolicyError {
    // A component that takes the compiler longer than an edit waits is told too, until it is done.
    let is_final = |error: &PolicyError| !error.message.contains(COMPILING);
    let error =
        wait_for_within(COMPILED, "what is wrong", || Some(server.wait_error()).filter(is_final));
    assert_eq!(server.status().policy.generation, 1);
    assert_eq!((server.answers("/one"), server.answers("/two")), (410, 200));
    error
}

/// A good save is taken, and nothing is wrong any more.
#[track_caller]
fn mended(server: &Server) {
    rename_over(&server.setup.policy(ROOT), BETTER);
    server.wait_generation(2);
    server.wait_no_error();
    assert_eq!((server.answers("/one"), server.answers("/two")), (200, 410));
}

#[track_caller]
fn place(error: &PolicyError) -> (&str, u32, u32) {
    (&error.file, error.line, error.column)
}

#[track_caller]
fn says(error: &PolicyError, part: &str) {
    assert!(error.message.contains(part), "`{part}` is not in `{error}`");
    assert!(!error.code.is_empty());
}

#[test]
fn a_mistake_is_told_with_file_line_column_and_code() {
    let origin = Origin::start();
    let server = start(&origin);
    overwrite(&server.setup.policy(ROOT), GOOD.replace("block", "blokc"));
    let error = refused(&server);
    assert_eq!(place(&error), (ROOT, 3, 40), "{error}");
    says(&error, "blokc");
    let line = server.wait_line(&format!("{ROOT}:3:40: "));
    assert!(line.contains(&error.code), "{line}");
    server.wait_line("the reload is rejected: generation 1 stays active");
    assert_eq!(server.status().policy.reloads.rejected, 1);
    mended(&server);
}

#[test]
fn a_mistake_that_is_undone_is_told_no_longer() {
    let origin = Origin::start();
    let server = start(&origin);
    overwrite(&server.setup.policy(ROOT), "policy 1\nfloor {");
    refused(&server);
    overwrite(&server.setup.policy(ROOT), GOOD);
    server.wait_no_error();
    assert_eq!(server.status().policy.generation, 1, "it is what runs already");
}

#[test]
fn a_mistake_in_an_included_file_is_told_with_that_file() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, "policy 1\ninclude \"more/a.wall\"\n");
    setup.write("more/a.wall", GOOD);
    let server = setup.start();
    setup.write("more/a.wall", "policy 1\nfloor { rule x { when pth == \"/\" then drop } }\n");
    let error = refused(&server);
    assert_eq!(place(&error), ("more/a.wall", 2, 23), "{error}");
}

#[test]
fn a_policy_whose_own_test_fails_is_refused_by_that_test() {
    let origin = Origin::start();
    let server = start(&origin);
    let test = "test \"one is gone\" {\n  request GET \"https://a.example/two\" from 203.0.113.7\n  \
                expect block 410\n}\n";
    overwrite(&server.setup.policy(ROOT), format!("{GOOD}{test}"));
    let error = refused(&server);
    assert_eq!(error.code, "test");
    assert_eq!((&*error.file, error.line), (ROOT, 7), "{error}");
    says(&error, "one is gone");
    mended(&server);
}

const WITH_RULE: &str = "policy 1
extern f() -> int { module \"wasm/f.wasm\" fuel 50k time 100ms memory 1MiB on_failure return 0 }
floor {
  rule gone { when path == \"/one\" and f() == 7 then block 410 }
}
";

/// Breaks the component of a policy in each of the ways that `broken` lists.
#[track_caller]
fn component_is_refused(broken: &[u8], part: &str) {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, WITH_RULE);
    setup.write("wasm/f.wasm", answering(7));
    let server = setup.start();
    rename_over(&setup.policy("wasm/f.wasm"), broken);
    let error = refused(&server);
    // The complaint stands where the policy names the component.
    assert_eq!((&*error.file, error.line), (ROOT, 2), "{error}");
    says(&error, "wasm/f.wasm");
    says(&error, part);
    rename_over(&setup.policy("wasm/f.wasm"), answering(7));
    server.wait_no_error();
    // It is what runs already; by its number another, where the compiler was waited for in vain.
    let was_late = server.lines().iter().any(|line| line.contains(COMPILING));
    assert!(server.status().policy.generation == 1 || was_late);
    assert_eq!((server.answers("/one"), server.answers("/two")), (410, 200));
}

#[test]
fn a_component_of_random_bytes_is_refused() {
    component_is_refused(b"this is no component", "");
}

#[test]
fn a_component_that_was_cut_off_is_refused() {
    let whole = answering(7);
    component_is_refused(&whole[..whole.len() / 2], "");
}

#[test]
fn a_component_that_imports_is_refused() {
    component_is_refused(&guest("import-function"), "import");
}

#[test]
fn a_component_without_the_function_is_refused() {
    component_is_refused(&component("(component)"), "");
}

#[test]
fn a_component_past_its_size_is_refused() {
    let mut bytes = answering(7);
    bytes.resize((32 << 20) + 1, 0);
    component_is_refused(&bytes, "33554432");
}

#[test]
fn a_deleted_policy_leaves_the_last_good_one() {
    let origin = Origin::start();
    let server = start(&origin);
    std::fs::remove_file(server.setup.policy(ROOT)).unwrap();
    let error = refused(&server);
    assert_eq!(error.file, ROOT);
    says(&error, "the file does not exist");
    mended(&server);
}

#[test]
fn a_deleted_folder_leaves_the_last_good_policy() {
    let origin = Origin::start();
    let server = start(&origin);
    std::fs::remove_dir_all(server.setup.policy("")).unwrap();
    let error = refused(&server);
    assert_eq!(error.file, ROOT);
    std::fs::create_dir(server.setup.policy("")).unwrap();
    mended(&server);
}

#[test]
fn a_policy_at_its_size_is_taken_and_past_it_refused() {
    let origin = Origin::start();
    let server = start(&origin);
    let mut text = format!("{BETTER}#");
    text.push_str(&"x".repeat((1 << 20) + 1 - text.len()));
    overwrite(&server.setup.policy(ROOT), &text);
    let error = refused(&server);
    assert_eq!(error.file, ROOT);
    says(&error, "1048576");
    text.pop();
    overwrite(&server.setup.policy(ROOT), &text);
    server.wait_generation(2);
    assert_eq!(server.answers("/two"), 410);
}

#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let origin = Origin::start();
    let server = start(&origin);
    let path = server.setup.policy(ROOT);
    let pipe = |path: &Path| {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let folder = |path: &Path| std::fs::create_dir(path).unwrap();
    for make in [&folder as &dyn Fn(&Path), &pipe] {
        std::fs::remove_file(&path).unwrap();
        make(&path);
        let error = refused(&server);
        assert_eq!(error.file, ROOT);
        // The complaint may be that there is no file for the moment between the two.
        seawall_tests::wait_until("it is no regular file", || {
            let error = server.status().policy.last_error;
            error.is_some_and(|error| error.message.contains("not a regular file"))
        });
        if path.is_dir() {
            std::fs::remove_dir(&path).unwrap();
        }
        rename_over(&path, GOOD);
        server.wait_no_error();
    }
    mended(&server);
}

#[test]
fn bytes_that_are_no_text_are_refused_at_their_place() {
    let origin = Origin::start();
    let server = start(&origin);
    let mut bytes = GOOD.as_bytes().to_vec();
    bytes.extend_from_slice(b"# caf\xe9\n");
    overwrite(&server.setup.policy(ROOT), bytes);
    let error = refused(&server);
    assert_eq!((&*error.file, error.line), (ROOT, 5), "{error}");
    says(&error, "UTF-8");
    mended(&server);
}

#[test]
fn a_list_file_that_is_missing_is_refused_at_the_list() {
    let origin = Origin::start();
    let server = start(&origin);
    let list = "list bad: cidr = file \"lists/none.txt\" max 10 reload 1m on_error keep\n";
    let rule = "floor { rule x { when client.ip in @bad then drop } }\n";
    overwrite(&server.setup.policy(ROOT), format!("{GOOD}{list}{rule}"));
    let error = refused(&server);
    assert_eq!((&*error.file, error.line), (ROOT, 5), "{error}");
    says(&error, "lists/none.txt");
}

#[test]
fn a_path_that_leads_out_of_the_root_is_refused() {
    let origin = Origin::start();
    let server = start(&origin);
    std::fs::write(server.setup.path("secret.wall"), "s3cret\n").unwrap();
    std::os::unix::fs::symlink("../secret.wall", server.setup.policy("link.wall")).unwrap();
    for path in ["../secret.wall", "link.wall"] {
        overwrite(&server.setup.policy(ROOT), format!("{GOOD}include \"{path}\"\n"));
        refused(&server);
        let said = server.lines().join("\n");
        assert!(!said.contains("s3cret"), "{said}");
        overwrite(&server.setup.policy(ROOT), GOOD);
        server.wait_no_error();
    }
    mended(&server);
}
