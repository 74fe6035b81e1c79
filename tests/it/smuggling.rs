//! Request smuggling: the origin gets exactly the requests that were complete and valid.
//!
//! Every case is sent through the real program to the recording origin, which shows each byte. It
//! is also sent to nginx, HAProxy, node and Python, if they are installed: an accepted request must
//! mean the same to them. After each case, a request on a new connection must get its own response,
//! which shows a connection to the origin that is out of step.

/// The cases themselves.
mod cases;

use std::io::Write;

use cases::{Case, Expect};
use seawall_tests::{Peer, Recorder, Server, Setup, Visitor, wait_until};

const LIMITS: &str =
    "requests.min_request_body_rate_grace = \"200ms\"\nrequests.min_request_body_rate = 1_000_000";

/// The statuses of all answers in `bytes`, by their lengths. Those to HEAD have no body.
fn statuses(bytes: &[u8], case: &Case) -> Vec<u16> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&rest[..end + 4]).to_ascii_lowercase();
        let status: u16 = head[9..12].parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let chunked = head.contains("\r\ntransfer-encoding: chunked\r\n");
        rest = &rest[end + 4..];
        if status == 100 {
            continue;
        }
        let is_to_head = found.is_empty() && case.bytes.starts_with(b"HEAD ");
        let body = match length {
            _ if is_to_head => 0,
            Some(length) => length.trim().parse().unwrap(),
            None if chunked => rest.windows(5).position(|five| five == b"0\r\n\r\n").unwrap() + 5,
            None => rest.len(),
        };
        assert!(rest.len() >= body, "{}: an answer broke off", case.name);
        rest = &rest[body..];
        found.push(status);
    }
    assert!(rest.is_empty(), "{}: {}", case.name, rest.escape_ascii());
    found
}

/// The bytes of all cases, for those who read them without a server.
pub(crate) fn bytes() -> Vec<Vec<u8>> {
    cases::all().into_iter().map(|case| case.bytes).collect()
}

/// Sends a case and everything that comes back, until the connection ends.
fn send(server: &Server, case: &Case) -> Vec<u16> {
    let mut visitor = server.visitor("127.8.0.1");
    // Whoever is refused early may be cut off in the middle of the rest.
    let _ = visitor.connect().unwrap().write_all(&case.bytes);
    let answered = visitor.read_until_end();
    statuses(&answered, case)
}

/// Another visitor gets its own answer, whatever was sent before.
fn probe(visitor: &mut Visitor, number: usize) -> String {
    let line = format!("GET /p{number:03}/after");
    let path = line.strip_prefix("GET ").unwrap();
    let answer = visitor.get(path).unwrap();
    assert_eq!((answer.status, answer.text().trim()), (200, line.as_str()), "case {number}");
    line
}

/// The whole requests that must have reached the origin, with their bodies.
fn whole(case: &Case) -> Vec<(String, Vec<u8>)> {
    let number = &case.name[..6];
    let list = match &case.expect {
        Expect::Refused | Expect::Cut => return Vec::new(),
        Expect::Whole(list) | Expect::ThenRefused(list) => list,
    };
    list.iter().map(|(line, body)| (line.replace("/CASE/", number), body.clone())).collect()
}

/// Whose origin it is: ours answers when all of a request is there, others may before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Others,
}

fn check_answers(case: &Case, statuses: &[u16], whose: Whose) {
    let expected = whole(case).len();
    let refusals = statuses.iter().filter(|status| (400..500).contains(*status)).count();
    let fits = match case.expect {
        Expect::Refused => statuses.len() == 1 && refusals == 1,
        Expect::Whole(_) => statuses.len() == expected,
        Expect::ThenRefused(_) => statuses.len() == expected + 1 && refusals >= 1,
        // Reset, or told that it came to nothing.
        Expect::Cut if whose == Whose::Others => statuses.len() <= 1,
        Expect::Cut => statuses.iter().all(|status| *status >= 400) && statuses.len() <= 1,
    };
    assert!(fits, "{}: {statuses:?} to {}", case.name, case.bytes.escape_ascii());
}

#[test]
fn there_are_as_many_cases_as_promised_and_no_two_are_the_same() {
    let cases = cases::all();
    assert!(cases.len() >= 150, "{}", cases.len());
    let unnumbered = |case: &Case| {
        let number = &case.name[..6];
        let text = String::from_utf8_lossy(&case.bytes).into_owned();
        text.replace(number, "/CASE/")
    };
    let mut seen: Vec<String> = cases.iter().map(unnumbered).collect();
    seen.sort();
    let before = seen.len();
    seen.dedup();
    assert_eq!(seen.len(), before);
}

#[test]
fn our_own_origin_sees_what_was_sent_and_not_a_byte_of_what_was_refused() {
    let origin = Recorder::start();
    let server = Setup::new(origin.address, "policy 1\n").limits(LIMITS).start();
    let mut prober = server.visitor("127.8.0.2");
    let mut seen = 0;
    for (number, case) in cases::all().iter().enumerate() {
        let bytes = origin.bytes();
        check_answers(case, &send(&server, case), Whose::Ours);
        if case.expect == Expect::Refused {
            assert_eq!(origin.bytes(), bytes, "{}", case.name);
        }
        let line = probe(&mut prober, number);
        let found: Vec<_> =
            origin.requests()[seen..].iter().map(|r| (r.line.clone(), r.body.clone())).collect();
        let mut expected = whole(case);
        expected.push((line, Vec::new()));
        seen += expected.len();
        assert_eq!(found, expected, "{}: {}", case.name, case.bytes.escape_ascii());
        assert!(origin.unsound().is_empty(), "{}: {:?}", case.name, origin.unsound());
    }
    assert!(origin.requests().iter().all(|request| request.trailer_bytes == 0));
}

/// Sends every case to a server that is not ours, and holds its own account against what was sent.
fn check_peer(name: &str) {
    let Some(peer) = Peer::start(name) else {
        say(&format!(
            "skipped: {name} is not installed (apt-get install {name}), so no case met it"
        ));
        return;
    };
    let server = Setup::new(peer.address, "policy 1\n").limits(LIMITS).start();
    let mut prober = server.visitor("127.8.0.2");
    let cases = cases::all();
    let mut expected = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        check_answers(case, &send(&server, case), Whose::Others);
        expected.extend(whole(case).into_iter().map(|(line, _)| line));
        expected.push(probe(&mut prober, number));
    }
    // A server may note the head of a request that never got whole, and nothing else of it.
    let is_cut = |line: &String| {
        cases.iter().filter(|case| case.expect == Expect::Cut).any(|case| {
            *line == format!("POST {}front", &case.name[..6]) || line.starts_with("malformed")
        })
    };
    let account = || -> Vec<String> {
        let mut lines: Vec<_> = peer.lines().into_iter().filter(|line| !is_cut(line)).collect();
        // Lines of different connections are noted in any order; each says where it belongs.
        lines.sort();
        lines
    };
    wait_until(&format!("{name} to note all"), || account().len() >= expected.len());
    let found = account();
    expected.sort();
    let too_many = found.iter().find(|line| !expected.contains(line));
    assert_eq!(too_many, None, "{name} understood what nobody sent");
    assert_eq!(found, expected, "{name}");
    say(&format!("{name}: {} cases, {} requests, as they were sent", cases.len(), found.len()));
}

/// Says it past the test harness, which keeps the words of tests that pass to itself: what was
/// skipped must be seen.
fn say(line: &str) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "smuggling: {line}");
}

#[test]
fn nginx_understands_what_was_sent_and_nothing_else() {
    check_peer("nginx");
}

#[test]
fn haproxy_understands_what_was_sent_and_nothing_else() {
    check_peer("haproxy");
}

#[test]
fn node_understands_what_was_sent_and_nothing_else() {
    check_peer("node");
}

#[test]
fn python_understands_what_was_sent_and_nothing_else() {
    check_peer("python3");
}
