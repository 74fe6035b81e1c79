//! What is reported about members, and how much of it.

use seawall_ruleset::{Purpose, RuleSetBuilder, Sandbox, SandboxLimits, ServerSettings};

use super::*;

fn of(message: &str) -> Refused {
    let problem = PolicyError {
        file: "m/a.wall".into(),
        line: 2,
        column: 3,
        code: "N003".into(),
        message: message.into(),
    };
    Refused {
        part: MemberPart::Absent,
        since: Tick::TEST_START,
        refused: Some(Tick::TEST_START),
        waits: false,
        problems: vec![problem],
        more: 0,
    }
}

fn all(of: &[(&str, Refused)]) -> BTreeMap<Box<str>, Refused> {
    of.iter().map(|(name, of)| (Box::from(*name), of.clone())).collect()
}

#[test]
fn what_is_the_same_as_before_is_told_by_its_number_alone() {
    let roster = |refused| Roster { refused, total: 3, in_force: BTreeMap::new() };
    let before = all(&[("ann", of("one")), ("bob", of("one"))]);
    assert_eq!(roster(before.clone()).news(&BTreeMap::new()).len(), 3);
    let sum = "the files of 2 members are rejected: see `seawall status`";
    assert_eq!(roster(before.clone()).news(&before), [sum]);
    let other = all(&[("ann", of("two")), ("bob", of("one"))]);
    let lines = roster(other).news(&before);
    assert!(lines.len() == 2 && lines[0].contains("member ann: refused: m/a.wall:2:3: N003: two"));

    let since = Since { generation: 4, content: String::new() };
    let mended = Roster {
        in_force: [("ann".into(), InForce { digest: [0; 32], since })].into(),
        ..Roster::default()
    };
    assert_eq!(mended.news(&before), ["member ann: the files are valid again and active"]);
}

#[test]
fn an_answer_has_room_for_so_many_lines() {
    let lines = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(bounded(lines(MEMBER_LINES_MAX)), lines(MEMBER_LINES_MAX));
    let more = bounded(lines(MEMBER_LINES_MAX + 9));
    assert_eq!(more.len(), MEMBER_LINES_MAX);
    assert_eq!(more.last().unwrap(), "28", "the sum stays");
}

/// Returns the status of members with so many rejected files, each with so many errors.
fn status_of(members: usize, problems: usize) -> Vec<MemberStatus> {
    let dir = tempfile::tempdir().unwrap();
    let all = Members::open(dir.path());
    let one = |nth: usize| {
        let told = (0..problems.min(MEMBER_PROBLEMS_TOLD_MAX)).flat_map(|_| of("x").problems);
        let more = problems.saturating_sub(MEMBER_PROBLEMS_TOLD_MAX);
        (format!("m{nth:04}").into(), Refused { problems: told.collect(), more, ..of("x") })
    };
    all.roster().refused = (0..members).map(one).collect();
    all.status()
}

#[test]
fn of_so_many_members_more_than_the_first_problem_is_told() {
    let told = |status: &[MemberStatus], nth: usize| {
        let of = &status[nth];
        (of.problems.len(), of.more)
    };
    let status = status_of(MEMBERS_TOLD_MAX, 2);
    assert_eq!(told(&status, MEMBERS_TOLD_MAX - 1), (2, 0), "at it");
    let status = status_of(MEMBERS_TOLD_MAX + 1, 2);
    assert_eq!(told(&status, MEMBERS_TOLD_MAX - 1), (2, 0));
    assert_eq!(told(&status, MEMBERS_TOLD_MAX), (1, 1), "past it");
    assert_eq!(status.len(), MEMBERS_TOLD_MAX + 1, "each is named");
}

#[test]
fn so_many_problems_of_a_member_are_told_and_of_the_rest_the_number() {
    let told = |problems: usize| {
        let said = assembled("policy").diagnostics[0].clone();
        let state = MemberState {
            name: "ann".into(),
            part: MemberPart::Absent,
            diagnostics: vec![said; problems],
        };
        let (sources, now) = (Sources::default(), Tick::TEST_START);
        let rules = assembled("policy 1\n").rules.unwrap();
        let states = [state.clone()];
        let coming =
            Coming { rules: &rules, sources: &sources, states: &states, generation: 1, now };
        let of = refused(&state, coming, (None, None));
        (of.problems.len(), of.more)
    };
    assert_eq!(told(MEMBER_PROBLEMS_TOLD_MAX), (MEMBER_PROBLEMS_TOLD_MAX, 0), "at it");
    assert_eq!(told(MEMBER_PROBLEMS_TOLD_MAX + 1), (MEMBER_PROBLEMS_TOLD_MAX, 1), "past it");
}

/// Builds a policy of one file.
fn assembled(text: &str) -> seawall_ruleset::BuildOutput {
    let sandbox = Sandbox::new(SandboxLimits::default());
    let files = [("r".to_owned(), text.as_bytes().into())].into();
    let sources = Sources::gather("r", &Stored::new(&files, &|_, _| Ok(None)));
    RuleSetBuilder::new(ServerSettings::default(), sandbox).build(&sources, Purpose::Run, None)
}
