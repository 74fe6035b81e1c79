//! The cost of compiling a component is limited, and no edit waits for an expensive one.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Output, Stdio};

use seawall_admin_api::WasmStatus;
use seawall_tests::{
    COMPILED, Origin, ROOT, SITE, Server, Setup, Signal, answering, bomb, guest, overwrite,
    program, wait_until,
};
use seawall_wasm::{SandboxLimits, Translator};

/// The process that compiles, which waits for a component.
fn compiler(cpu_s: u64, bytes: u64) -> Child {
    program()
        .args(["compile", &cpu_s.to_string(), &bytes.to_string()])
        .env("MIMALLOC_ARENA_RESERVE", "16384")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What the process that compiles makes of `component` within so many seconds and bytes.
fn compiled(component: &[u8], cpu_s: u64, bytes: u64) -> Output {
    let mut child = compiler(cpu_s, bytes);
    let mut input = child.stdin.take().unwrap();
    input.write_all(component).unwrap();
    drop(input);
    child.wait_with_output().unwrap()
}

const GIB: u64 = 1 << 30;

#[test]
fn an_honest_component_is_compiled_within_the_limits() {
    let output = compiled(&guest("honest"), 10, GIB);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let free = Translator::new(SandboxLimits::default()).unwrap();
    assert!(output.stdout == free.translate(&guest("honest")).unwrap(), "the same, byte by byte");
}

#[test]
fn it_is_isolated_before_it_is_handed_a_byte() {
    let mut child = compiler(10, GIB);
    let status = format!("/proc/{}/status", child.id());
    let read = || std::fs::read_to_string(&status).unwrap();
    wait_until("it filters its calls", || read().contains("Seccomp:\t2"));
    let seen = read();
    for line in ["NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"] {
        assert!(seen.contains(line), "{line}: {seen}");
    }
    assert!(seen.contains("Threads:\t1"), "{seen}");
    // It waited all that time.
    child.stdin.take().unwrap().write_all(&guest("honest")).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
}

#[test]
fn one_that_takes_the_compiler_too_long_is_ended_by_the_system() {
    let output = compiled(&bomb(2_000), 1, GIB);
    assert!(output.status.signal().is_some() && output.stdout.is_empty(), "{:?}", output.status);
}

#[test]
fn one_that_takes_the_compiler_too_much_memory_is_ended() {
    // The program alone has some 100 MiB of address space.
    let output = compiled(&bomb(2_000), 60, 160 << 20);
    assert!(!output.status.success() && output.stdout.is_empty(), "{:?}", output.status);
}

#[test]
fn what_is_wrong_with_a_component_comes_back_as_words() {
    let output = compiled(b"\0asm\x01\0\0\0", 10, GIB);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("core module"), "{output:?}");
}

#[test]
fn a_component_swapped_again_and_again_leaves_nothing_behind() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &policy(&["f.wasm"]));
    setup.write("f.wasm", answering(1));
    let server = setup.start();
    let one = WasmStatus { components: 1, functions: 1, instances: 1 };
    for round in 0..30 {
        let answer = round % 2;
        overwrite(&setup.policy("f.wasm"), answering(answer));
        wait_until("the new component answers", || {
            server.answers("/0") == if answer == 1 { 410 } else { 200 }
        });
    }
    wait_until("one generation is left", || server.status().wasm == one);
}

fn lines_with(server: &Server, part: &str) -> usize {
    server.lines().iter().filter(|line| line.contains(part)).count()
}

fn policy(modules: &[&str]) -> String {
    let mut text = String::from("policy 1\n");
    for (at, module) in modules.iter().enumerate() {
        text.push_str(&format!(
            "extern f{at}() -> int {{ module \"{module}\" function \"f\" fuel 50k memory 1MiB \
             on_failure return 9 }}\n\
             floor {{ rule r{at} {{ when path == \"/{at}\" and f{at}() == 1 then block 410 }} }}\n"
        ));
    }
    text
}

#[test]
fn a_server_compiles_elsewhere_and_keeps_what_it_compiled() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &policy(&["f.wasm"]));
    setup.write("f.wasm", answering(1));
    let server = setup.start();
    server.wait_line("compiled f.wasm: ");
    assert_eq!(server.answers("/0"), 410);
    let kept = || std::fs::read_dir(setup.path("state/code")).unwrap().count();
    assert_eq!(kept(), 2, "the key and one component");
    drop(server);
    let server = setup.start();
    assert_eq!(server.answers("/0"), 410);
    assert_eq!(lines_with(&server, "compiled f.wasm"), 0);
    // A damaged one is made anew and told.
    drop(server);
    for entry in std::fs::read_dir(setup.path("state/code")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "code") {
            let mut code = std::fs::read(&path).unwrap();
            code[100] ^= 1;
            std::fs::write(path, code).unwrap();
        }
    }
    let server = setup.start();
    server.wait_line("the cached code of f.wasm is damaged");
    assert_eq!(server.answers("/0"), 410);
}

#[test]
fn an_edit_waits_for_no_component_that_takes_long() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &policy(&["f.wasm"]));
    setup.write("f.wasm", answering(1));
    let server = setup.start();
    assert_eq!(server.answers("/0"), 410);
    // It would take the compiler far more than its ten seconds.
    setup.write("bomb.wasm", bomb(6_000));
    overwrite(&setup.policy(ROOT), policy(&["f.wasm", "bomb.wasm"]));
    let error = || server.status().policy.last_error;
    wait_until("the component is told to be compiling", || {
        error().is_some_and(|error| error.message.contains("still being compiled"))
    });
    assert_eq!((server.status().policy.generation, server.answers("/0")), (1, 410));
    // Taken back, the next edit is published while the compiler still works on it.
    overwrite(&setup.policy(ROOT), policy(&["f.wasm"]).replace("410", "451"));
    server.wait_generation(2);
    assert_eq!(server.answers("/0"), 451);
    assert_eq!(lines_with(&server, "needs more than"), 0, "the compiler still worked on it");
}

#[test]
fn a_component_that_takes_too_much_is_refused_by_name_and_limit() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &policy(&["f.wasm"]));
    setup.write("f.wasm", answering(1));
    let server = setup.start();
    setup.write("bomb.wasm", bomb(6_000));
    overwrite(&setup.policy(ROOT), policy(&["f.wasm", "bomb.wasm"]));
    let said = "bomb.wasm`: compiling the component needs more than 10 s";
    server.wait_line_within(said, COMPILED);
    assert_eq!((server.status().policy.generation, server.answers("/0")), (1, 410));
}

/// The processes that compile for a server.
fn compilers(server: u32) -> Vec<u32> {
    let parent = format!("PPid:\t{server}\n");
    let processes = std::fs::read_dir("/proc").unwrap();
    let numbers = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_hers = |pid: &u32| {
        let read = |what| std::fs::read_to_string(format!("/proc/{pid}/{what}"));
        read("status").is_ok_and(|text| text.contains(&parent))
            && read("cmdline").is_ok_and(|text| text.contains("\0compile\0"))
    };
    numbers.filter(is_hers).collect()
}

#[test]
fn a_members_component_whose_compiler_was_killed_is_compiled_at_the_next_reload() {
    let origin = Origin::start();
    let member = format!(
        "policy 1\nmember ann {{ hosts {{ \"{SITE}\" }} may {{ block, extern }} file \"m/ann.wall\" }}\n"
    );
    let setup = Setup::new(origin.address, &member);
    setup.write("m/ann.wall", format!("policy 1\nsite \"{SITE}\" {{ }}\n"));
    let server = setup.start();
    // It would take the compiler far more than its ten seconds, so that there is time to kill it.
    setup.write("m/bomb.wasm", bomb(6_000));
    let hers = format!(
        "policy 1\nextern f() -> int {{ module \"bomb.wasm\" fuel 50k memory 1MiB on_failure return 9 }}\n\
         site \"{SITE}\" {{ rule own {{ when path == \"/own\" and f() == 1 then block 451 }} }}\n"
    );
    overwrite(&setup.policy("m/ann.wall"), hers);
    let one = |what: &str| {
        let mut found = Vec::new();
        wait_until(what, || {
            found = compilers(server.pid());
            found.len() == 1
        });
        found[0]
    };
    let first = one("it is being compiled");
    assert!(Signal::Kill.send(first));
    server.wait_line("the compiler process: signal: 9");
    // Nobody saved anything.
    let reloaded = setup.run(&["reload", "-c", "seawall.toml"]);
    // Unless a regular look did it a moment before.
    let is_new = !reloaded.out.contains("no change:") || !compilers(server.pid()).is_empty();
    assert!(is_new, "{}", reloaded.out);
    assert_ne!(one("it is compiled again"), first);
}
