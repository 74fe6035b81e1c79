//! A start waits only a short time for members' files, and ends when it is told to stop.

use std::fmt::Write as _;
use std::time::Duration;

use seawall_tests::{
    COMPILED, Origin, SITE, Server, Setup, Signal, Stopwatch, bomb, wait_until, wait_until_within,
};

/// DESIGN's promise.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// What a busy machine may take longer.
const SLACK: Duration = Duration::from_secs(10);
/// The thread that loads what is to serve. While it is there, signals are taken.
const STARTING: &str = "seawall-start";

/// A host with one member, whose site is [`SITE`].
const HOST: &str = "member ann { hosts { \"SITE\" } may { block, extern } file \"members/ann.wall\" }\n\
     floor { rule gone { when path == \"/gone\" then block 410 } }\n";

fn host() -> String {
    format!("policy 1\n{}", HOST.replace("SITE", SITE))
}

/// An extern of the component `module`, and what calls it.
fn asked(module: &str) -> [String; 2] {
    let declared = format!(
        "extern f() -> int {{ module \"{module}\" function \"f\" fuel 50k memory 1MiB \
         on_failure return 9 }}\n"
    );
    [declared, "rule own { when path == \"/own\" and f() == 1 then block 418 }".to_owned()]
}

fn hers(module: &str) -> String {
    let [declared, rule] = asked(module);
    format!("policy 1\n{declared}site \"{SITE}\" {{ {rule} }}\n")
}

/// Members whose tests take a start minutes.
fn many_tests(setup: &Setup, members: usize) -> String {
    let mut root = "policy 1\n".to_owned();
    for n in 0..members {
        let host = format!("m{n}.example");
        let _ = writeln!(
            root,
            "member m{n} {{ hosts {{ \"{host}\" }} may {{ block, test }} file \"m{n}/a.wall\" }}"
        );
        let text = format!(
            "policy 1\nsite \"{host}\" {{ rule a {{ when path == \"/a\" then block 403 }} }}\n\
             test \"t\" {{ request GET \"https://{host}/x\" times 20000 expect pass }}\n"
        );
        setup.write(&format!("m{n}/a.wall"), text);
    }
    root
}

fn is_stopped_before_it_serves(mut server: Server, signal: Signal) {
    server.signal(signal);
    let watch = Stopwatch::start();
    assert_eq!(server.wait_end().code(), Some(0), "{:?}", server.lines());
    assert!(watch.elapsed() < STOP_WITHIN + SLACK, "{:?}", watch.elapsed());
    let lines = server.lines();
    assert!(lines.iter().any(|line| line.contains("stopping before it serves")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("ready, generation")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("is refused")), "{lines:?}");
}

#[test]
fn a_start_that_waits_for_a_compiler_is_stopped() {
    let origin = Origin::start();
    let [declared, rule] = asked("bomb.wasm");
    let setup = Setup::new(origin.address, &format!("policy 1\n{declared}floor {{ {rule} }}\n"));
    setup.write("bomb.wasm", bomb(6_000));
    for signal in [Signal::Terminate, Signal::Interrupt] {
        let server = setup.begin();
        wait_until("it compiles", || server.has_thread("seawall-compile"));
        is_stopped_before_it_serves(server, signal);
    }
}

#[test]
fn a_start_that_works_for_many_members_is_stopped_at_any_moment() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, "policy 1\n");
    setup.write(seawall_tests::ROOT, many_tests(&setup, 300));
    for worked_ms in [0, 30, 300, 1_000] {
        let server = setup.begin();
        wait_until("it starts", || server.has_thread(STARTING));
        wait_until("it has worked so long", || server.cpu_ms() >= worked_ms);
        is_stopped_before_it_serves(server, Signal::Terminate);
    }
}

#[test]
fn a_hang_up_while_it_starts_reloads_later() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, "policy 1\n");
    setup.write(seawall_tests::ROOT, many_tests(&setup, 5));
    let mut server = setup.begin();
    wait_until("it starts", || server.has_thread(STARTING));
    server.signal(Signal::HangUp);
    server.wait_ready();
    server.wait_line("no change: generation 1 stays active");
}

#[test]
fn no_start_waits_for_what_members_bring() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &host());
    // Far more than the compiler's ten seconds.
    setup.write("members/long.wasm", bomb(6_000));
    setup.write("members/ann.wall", hers("long.wasm"));
    let server = setup.start();
    assert_eq!([server.answers("/own"), server.answers("/gone")], [200, 410]);
    let problem = |server: &Server| server.status().members[0].problems[0].message.clone();
    let told = problem(&server);
    assert!(told.contains("still being compiled") || told.contains("needs more"), "{told}");
    server.wait_line_within("long.wasm`: compiling the component needs more than 10 s", COMPILED);
    drop(server);
    // That it takes too much is known from now on.
    let server = setup.start();
    assert!(problem(&server).contains("needs more than 10 s"), "{}", problem(&server));
    assert!(!server.has_thread("seawall-compile"));
    assert_eq!([server.answers("/own"), server.answers("/gone")], [200, 410]);
}

#[test]
fn what_a_start_did_not_wait_for_is_published_when_it_is_there() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &host());
    // Some seconds of compiling.
    setup.write("members/long.wasm", bomb(1_000));
    setup.write("members/ann.wall", hers("long.wasm"));
    let server = setup.start();
    assert_eq!(server.answers("/gone"), 410);
    // Nobody saves anything more.
    wait_until_within(COMPILED, "her part is published when it is compiled", || {
        server.answers("/own") == 418
    });
    assert_eq!(server.status().member_parts.absent, 0);
}
