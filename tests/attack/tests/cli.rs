//! The program from the command line: what it rejects, what it writes, how it ends.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: what fails here is a failed test")]

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};

fn program(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall-attack"));
    command.args(words).stdin(Stdio::null());
    command
}

fn ran(words: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = program(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// Answers every connection's first read with an empty 200 and closes it.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let mut head = [0; 4_096];
                let _read = stream.read(&mut head);
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let _written = stream.write_all(answer.as_bytes());
            });
        }
    });
    address
}

#[test]
fn targets_that_are_not_ours_are_refused_before_anything_is_sent() {
    for target in ["192.0.2.1:80", "example.org:80", "0.0.0.0:80", "[2001:db8::1]:80"] {
        for words in [
            vec!["run", "get-flood", "--target", target],
            vec!["baseline", "--target", target],
            vec!["run", "get-flood", "--target", "127.0.0.1:9", "--legit-target", target],
            vec!["run", "get-flood", "--target", "127.0.0.1:9", "--legit-tls", target],
            vec!["run", "get-flood", "--target", "127.0.0.1:9", "--origin", target],
            vec!["origin", "--listen", target],
        ] {
            let (code, _, said) = ran(&words);
            assert_eq!(code, Some(2), "{words:?}");
            assert!(said.contains("is refused") || said.contains("not ADDRESS:PORT"), "{said}");
        }
    }
}

#[test]
fn what_is_past_a_cap_is_refused_by_name() {
    for (name, past) in [
        ("--connections", "20001"),
        ("--rate", "50001"),
        ("--addresses", "250001"),
        ("--for", "601"),
        ("--quiet", "601"),
        ("--recovery", "0"),
        ("--legit", "10001"),
        ("--visitors", "10001"),
    ] {
        let (code, _, said) = ran(&["run", "get-flood", "--target", "127.0.0.1:9", name, past]);
        assert_eq!(code, Some(2), "{name}");
        assert!(said.contains(&format!("{name} must be 1 to ")), "{said}");
    }
}

#[test]
fn the_list_names_each_scenario_with_its_vector() {
    let (code, out, _) = ran(&["list"]);
    assert_eq!(code, Some(0));
    assert!(out.lines().count() > 40, "{out}");
    assert!(out.lines().any(|line| line.starts_with("slowloris ") && line.contains(" A4 ")));
    let page = include_str!("../README.md");
    for line in out.lines() {
        let name = line.split_whitespace().next().unwrap();
        assert!(page.contains(&format!("| `{name}` |")), "README.md lacks {name}");
    }
}

#[test]
fn a_run_has_three_phases_and_says_so_in_json() {
    let address = server().to_string();
    let pid = std::process::id().to_string();
    let (code, out, said) = ran(&[
        "run",
        "get-flood",
        "--target",
        &address,
        "--connections",
        "5",
        "--rate",
        "50",
        "--for",
        "1",
        "--quiet",
        "1",
        "--recovery",
        "1",
        "--legit",
        "50",
        "--pid",
        &pid,
        "--json",
        "-",
    ]);
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["schema"], 1);
    assert_eq!(report["scenario"], "get-flood");
    for phase in ["quiet", "attack", "recovery"] {
        let legit = &report["legit"][phase];
        assert!(legit["due"].as_u64().unwrap() > 0, "{phase}: {legit}");
        assert_eq!(legit["bad"], 0, "{phase}: {legit}");
        assert_eq!(legit["ok"], legit["latency_us"]["count"]);
        assert!(report["server"][phase]["samples"].as_u64().unwrap() > 0);
    }
    assert!(report["attack"]["answers"]["200"].as_u64().unwrap() > 0);
    assert_eq!(report["interrupted"], false);
}

#[test]
fn the_baseline_attacks_nobody() {
    let address = server().to_string();
    let (code, out, said) =
        ran(&["baseline", "--target", &address, "--quiet", "1", "--recovery", "1", "--json", "-"]);
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(report["attack"].is_null());
    assert!(report["legit"]["quiet"]["ok"].as_u64().unwrap() > 0);
}

#[test]
fn a_signal_ends_it_and_the_figures_until_then_are_written() {
    for signal in [Signal::INT, Signal::TERM] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let words = [
            "run",
            "slowloris",
            "--target",
            &address,
            "--connections",
            "20",
            "--for",
            "600",
            "--quiet",
            "1",
            "--legit",
            "0",
            "--json",
            "-",
        ];
        let mut child = program(&words).stdout(Stdio::piped()).spawn().unwrap();
        // The attack has started once bytes have arrived.
        let (mut first, _) = listener.accept().unwrap();
        first.read_exact(&mut [0; 1]).unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut out = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_to_string(&mut out).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["interrupted"], true);
        assert!(report["attack"]["opened"].as_u64().unwrap() >= 1);
    }
}

#[test]
fn too_low_a_limit_of_files_is_said() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 300 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_seawall-attack")]);
    shell.args(["run", "idle-many", "--target", "127.0.0.1:9", "--legit", "0"]);
    let Output { status, stderr, .. } = shell.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("the hard limit is 300"), "{said}");
}

#[test]
fn the_origin_serves_and_records_until_it_is_stopped() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let words = ["origin", "--listen", &free.to_string()];
    let mut child = program(&words).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("recording origin"), "{line}");
    let address = free.to_string();
    let (code, out, said) = ran(&[
        "run",
        "get-flood",
        "--target",
        &address,
        "--origin",
        &address,
        "--connections",
        "2",
        "--rate",
        "20",
        "--for",
        "1",
        "--quiet",
        "1",
        "--recovery",
        "1",
        "--legit",
        "0",
        "--json",
        "-",
    ]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["origin"]["requests"], report["attack"]["requests"]);
    assert_eq!(report["origin"]["connections"], 2);
}

/// Returns a listener on an address that does not exist yet.
fn freebound(address: SocketAddr) -> TcpListener {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
    if address.is_ipv4() {
        socket.set_freebind_v4(true).unwrap();
    } else {
        socket.set_freebind_v6(true).unwrap();
    }
    socket.bind(&address.into()).unwrap();
    socket.listen(1_024).unwrap();
    socket.into()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..4_000 {
        if is_so() {
            return;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    panic!("it never came: {what}");
}

/// Root gets a namespace whose link is gone afterwards; other users get an error.
#[test]
fn a_namespace_has_many_addresses_and_leaves_nothing() {
    if !rustix::process::geteuid().is_root() {
        let (code, _, said) = ran(&["run", "get-flood", "--namespace", "--target", "192.0.2.1:80"]);
        assert_eq!(code, Some(2));
        assert!(said.contains("needs root"), "{said}");
        return;
    }
    // One wire on a machine: other runs of these tests wait.
    let lock = std::fs::File::create(std::env::temp_dir().join("seawall-attack.lock")).unwrap();
    lock.lock().unwrap();
    let wire = std::path::Path::new("/sys/class/net/seawall-attack");
    for host in ["192.0.2.1:0", "[2001:db8:5ea0::1]:0"] {
        let listener = freebound(host.parse().unwrap());
        let target = listener.local_addr().unwrap().to_string();
        let accepting = std::thread::spawn(move || {
            let peers = (0..20).map(|_| listener.accept().unwrap());
            let peers: Vec<_> = peers.collect();
            let different: std::collections::HashSet<_> =
                peers.iter().map(|(_, peer)| peer.ip()).collect();
            different.len()
        });
        let words = [
            "run",
            "idle-many",
            "--namespace",
            "--target",
            &target,
            "--connections",
            "20",
            "--for",
            "600",
            "--quiet",
            "1",
            "--legit",
            "0",
            "--json",
            "-",
        ];
        let child = program(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        assert_eq!(accepting.join().unwrap(), 20);
        assert!(wire.exists());
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let Output { status, stdout, .. } = child.wait_with_output().unwrap();
        assert_eq!(status.code(), Some(130));
        let report: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
        assert_eq!(report["attack"]["failed_here"], 0, "{report}");
        wait_until("the wire is gone", || !wire.exists());
    }
}

#[test]
fn inside_a_namespace_other_targets_are_refused_too() {
    // A process that claims to be inside but is not gets an error.
    let mut command = program(&["run", "get-flood", "--namespace", "--target", "192.0.2.1:80"]);
    let Output { status, stderr, .. } =
        command.env("SEAWALL_ATTACK_OUTSIDE", "0").output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("no namespace of our own"), "{said}");
}
