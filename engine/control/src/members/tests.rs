//! What is told of members, and how much of it.

use super::*;

fn of(message: &str) -> Refused {
    let problem = Complaint {
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
    let sum = "the files of 2 members are refused: see `seawall status`";
    assert_eq!(roster(before.clone()).news(&before), [sum]);
    let other = all(&[("ann", of("two")), ("bob", of("one"))]);
    let lines = roster(other).news(&before);
    assert!(lines.len() == 2 && lines[0].contains("member ann: refused: m/a.wall:2:3: N003: two"));

    let since = Since { generation: 4, content: String::new() };
    let mended = Roster {
        in_force: [("ann".into(), InForce { digest: [0; 32], since })].into(),
        ..Roster::default()
    };
    assert_eq!(mended.news(&before), ["member ann: her files are right again and in force"]);
}

#[test]
fn an_answer_has_room_for_so_many_lines() {
    let lines = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(bounded(lines(MEMBER_LINES_MAX)), lines(MEMBER_LINES_MAX));
    let more = bounded(lines(MEMBER_LINES_MAX + 9));
    assert_eq!(more.len(), MEMBER_LINES_MAX);
    assert_eq!(more.last().unwrap(), "28", "the sum stays");
}
