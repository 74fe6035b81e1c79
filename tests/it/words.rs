//! Every word of the grammar has an effect, or is rejected by name.
//!
//! The words are read from the source of the parser, so no new word can be missing. For each there
//! is a proof in `corpus/words/proofs.txt`: a policy whose tests pass only with the word, a policy
//! that is rejected because of it, a text that `seawall diff` shows, or the name of a test, if the
//! proof needs a server or a component.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use seawall_ruleset::{BuildOutput, MemoryStore, Purpose, RuleSetBuilder, Severity, Sources};

use crate::corpus::{unpack, workshop};

/// How a word is proved.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// The tests of the policy pass as it stands, and not with the change.
    Changes,
    /// A server refuses the policy with this code, and loads it with the change.
    Refused(String),
    /// A text for people: `seawall diff` shows the change.
    Told,
    /// A test of this file shows it.
    Test(String),
}

/// What shows that a word does something. A clause stands with its block: `limit.hold`.
#[derive(Debug)]
struct Proof {
    word: String,
    kind: Kind,
    policy: String,
    from: String,
    to: String,
}

fn proofs() -> Vec<Proof> {
    let text = std::fs::read_to_string(root().join("tests/corpus/words/proofs.txt")).unwrap();
    text.split("\n=== ").skip(1).map(proof).collect()
}

fn proof(text: &str) -> Proof {
    let (head, body) = text.split_once('\n').unwrap();
    let words: Vec<&str> = head.split(' ').collect();
    let kind = match (words[1], words.get(2)) {
        ("changes", None) => Kind::Changes,
        ("told", None) => Kind::Told,
        ("refused", Some(code)) => Kind::Refused((*code).to_owned()),
        ("test", Some(file)) => Kind::Test((*file).to_owned()),
        _ => panic!("no proof: {head}"),
    };
    let line = |mark: &str| {
        let line = body.lines().find_map(|line| line.strip_prefix(mark));
        line.unwrap_or_default().trim().to_owned()
    };
    let is_policy = |line: &&str| !line.starts_with("---") && !line.starts_with("+++");
    let policy: Vec<&str> = body.lines().filter(is_policy).collect();
    let (from, to) = (line("---"), line("+++"));
    Proof { word: words[0].to_owned(), kind, policy: policy.join("\n"), from, to }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The source of the parser, without comments.
fn source(file: &str) -> String {
    let path = root().join("engine/policy/src/syntax/parse").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The words between quotes in a text.
fn quoted(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for word in text.split('"').skip(1).step_by(2) {
        let is_word =
            |c: char| c.is_ascii_lowercase() || matches!(c, '_' | '.') || c.is_ascii_digit();
        if word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(is_word) {
            words.insert(word.to_owned());
        }
    }
    words
}

/// The clauses of each block: `rule.when`.
fn clauses(text: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for shape in text.split("of: \"this ").skip(1) {
        let (name, rest) = shape.split_once('"').unwrap();
        let name = name.trim_matches('`');
        let (_, words) = rest.split_once("words: &[").unwrap();
        let (words, _) = words.split_once(']').unwrap();
        all.extend(quoted(words).into_iter().map(|word| format!("{name}.{word}")));
    }
    all
}

/// All words of the grammar, clauses with their blocks.
fn words() -> BTreeSet<String> {
    let table = source("words.rs");
    let (reserved, _) = table.split_once("pub(super) fn begins_statement").unwrap();
    let mut all = quoted(reserved);
    let mut clauses_of_blocks = BTreeSet::new();
    for file in ["action.rs", "clause.rs", "expr.rs", "item.rs", "statement.rs", "test.rs"] {
        let text = source(file);
        all.extend(quoted(&text));
        clauses_of_blocks.extend(clauses(&text));
    }
    // What stands as a clause of a block only needs a proof there.
    let as_clause: BTreeSet<&str> =
        clauses_of_blocks.iter().map(|name| name.split_once('.').unwrap().1).collect();
    let mut words: BTreeSet<String> =
        all.into_iter().filter(|word| !as_clause.contains(&**word)).collect();
    words.extend(clauses_of_blocks);
    words
}

fn text(policy: &str) -> String {
    if policy.starts_with("policy") { policy.to_owned() } else { format!("policy 1 {policy}") }
}

fn assemble(workshop: &RuleSetBuilder, policy: &str, purpose: Purpose) -> BuildOutput {
    let store = unpack(&text(policy), MemoryStore::default());
    workshop.build(&Sources::gather("root.wall", &store), purpose, None)
}

/// Whether a policy loads and its tests pass.
fn passes(workshop: &RuleSetBuilder, policy: &str) -> Result<(), String> {
    let made = assemble(workshop, policy, Purpose::Check);
    let says: Vec<String> = made.everything().iter().map(|said| said.one_line()).collect();
    let Some(rules) = made.rules else { return Err(says.join("; ")) };
    let tests = rules.run_tests();
    let failed = tests.iter().find(|test| !test.passed);
    match failed {
        Some(test) => Err(test.says.clone()),
        None if tests.is_empty() => Err("it has no test".to_owned()),
        None => Ok(()),
    }
}

/// The errors with which a server refuses a policy, its members' included.
fn refusals(workshop: &RuleSetBuilder, policy: &str) -> Vec<String> {
    let made = assemble(workshop, policy, Purpose::Run);
    let errors = made.everything().into_iter();
    let errors = errors.filter(|said| said.severity == Severity::Error);
    errors.map(|said| said.code.to_owned()).collect()
}

/// What is wrong with a proof, if anything.
fn wrong(workshop: &RuleSetBuilder, proof: &Proof) -> Option<String> {
    let Proof { kind, policy, from, to, .. } = proof;
    if let Kind::Test(file) = kind {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        return (!text.contains(from)).then(|| format!("{file} has no {from}"));
    }
    assert!(policy.contains(from), "{policy} holds no {from}");
    let changed = policy.replacen(from, to, 1);
    match kind {
        Kind::Changes => {
            if let Err(why) = passes(workshop, policy) {
                return Some(format!("as it stands: {why}"));
            }
            passes(workshop, &changed).is_ok().then(|| "it makes no difference".to_owned())
        }
        Kind::Refused(code) => {
            let said = refusals(workshop, policy);
            if !said.contains(code) {
                return Some(format!("it is not refused: {said:?}"));
            }
            let after = refusals(workshop, &changed);
            (!after.is_empty()).then(|| format!("refused without it, too: {after:?}"))
        }
        Kind::Told | Kind::Test(_) => {
            let outline = |policy: &str| {
                let rules = assemble(workshop, policy, Purpose::Run).rules?;
                Some(rules.outline().clone())
            };
            let (Some(with), Some(without)) = (outline(policy), outline(&changed)) else {
                return Some("it does not load".to_owned());
            };
            with.changes(&without).is_empty().then(|| "no difference is shown".to_owned())
        }
    }
}

#[test]
fn every_word_does_something_or_is_refused() {
    let workshop = workshop();
    let proofs = proofs();
    let mut by_word: BTreeMap<&str, usize> = BTreeMap::new();
    for proof in &proofs {
        *by_word.entry(&proof.word).or_default() += 1;
    }
    let words = words();
    let unproved: Vec<&String> =
        words.iter().filter(|word| !by_word.contains_key(&***word)).collect();
    assert!(unproved.is_empty(), "without a proof: {unproved:?}");
    assert!(words.len() > 120, "the parser has {} words", words.len());
    let wrong: Vec<String> = proofs
        .iter()
        .filter_map(|proof| Some(format!("{}: {}", proof.word, wrong(&workshop, proof)?)))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), proofs.len(), wrong.join("\n"));
}

#[test]
fn a_word_that_does_nothing_is_caught() {
    let workshop = workshop();
    let wrong = |text: &str| wrong(&workshop, &proof(text));
    let rule = "floor { rule a { when true then drop note \"n\" } }";
    let test = "test \"t\" { request GET \"http://a.example/\" expect drop }";
    let idle = wrong(&format!("note changes\n{rule} {test}\n--- note \"n\"\n+++\n"));
    assert_eq!(idle.as_deref(), Some("it makes no difference"));
    assert!(wrong(&format!("drop refused C009\n{rule}\n--- drop\n+++ block\n")).is_some());
    assert!(wrong(&format!("drop told\n{rule}\n--- drop\n+++ drop\n")).is_some());
    assert!(wrong(&format!("x test tests/it/words.rs\n--- {}\n", "no_such_".repeat(2))).is_some());
}
