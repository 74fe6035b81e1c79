//! The corpus of errors: each file of `corpus/diagnostics` causes exactly the diagnostics that it
//! lists.
//!
//! A case is one text file that may contain several: `# file: NAME` begins the next one, and the
//! lines before it are the root policy. A file keeps the line numbers of the case, so `# expect:
//! LINE:COLUMN CODE`, one for each diagnostic in order, refers to the case itself. `# fix: TEXT`,
//! one for each suggested change, is the new text, if a case checks it. `# file: NAME BYTES` fills
//! the file with spaces up to that size. `␀` is a NUL byte, `�` a byte that is not UTF-8, and a
//! `.wasm` file is in text form if it begins with `(`.
//!
//! Advice is checked less strictly: a code of [`ADVICE`] in a case about another topic is ignored.
//! Otherwise each new advice would change every case.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use seawall_policy::code::Code;
use seawall_ruleset::{
    BuildOutput, MemoryStore, Purpose, RuleSetBuilder, Sandbox, SandboxLimits, ServerSettings,
    Sources,
};

/// Codes that are warnings and notes about policies that load: compared only where a case names
/// the code.
const ADVICE: [Code; 10] = [
    Code::CaseTrap,
    Code::AbsentTrap,
    Code::ForgeableAllow,
    Code::BroadGuarantee,
    Code::NoSource,
    Code::EveryRequest,
    Code::NetKey,
    Code::AbsentKey,
    Code::RestsOnMissing,
    Code::NeverHolds,
];

/// Codes without a case, and why.
const WITHOUT_CASE: &[(Code, &str)] = &[
    (Code::IndexTooLarge, "it takes half a million values; engine/ruleset/src/tests has one"),
    (Code::Unsigned, "only a host that names keys says it; see signatures.rs"),
    (Code::CutOffList, "the lines of a case all end; lists.rs has one"),
    (Code::ShrunkList, "it takes a file that was longer before; lists.rs has one"),
    (Code::SearchTooLarge, "it takes 256 KiB of texts; engine/ruleset/src/tests has one"),
    (Code::UnservedHost, "only a host with a configuration says it; see commands.rs"),
];

/// Days since 1970-01-01 of all cases: 2026-09-04.
const TODAY: u64 = 20_700;

/// A workshop of a host without any configuration.
pub(crate) fn workshop() -> RuleSetBuilder {
    let sandbox = Sandbox::new(SandboxLimits::default());
    RuleSetBuilder::new(ServerSettings { today: TODAY, ..ServerSettings::default() }, sandbox)
}

/// The files that one text holds, added to `store`; the first is `root.wall`.
pub(crate) fn unpack(text: &str, mut store: MemoryStore) -> MemoryStore {
    let mut name = "root.wall";
    let mut size = 0;
    let mut body = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some(head) = line.strip_prefix("# file: ") else {
            body.push_str(line);
            body.push('\n');
            continue;
        };
        store = store.with(name, bytes(name, &body, size));
        let mut words = head.split(' ');
        name = words.next().unwrap();
        size = words.next().map_or(0, |size| size.parse().unwrap());
        body = "\n".repeat(number);
    }
    store.with(name, bytes(name, &body, size))
}

fn bytes(name: &str, body: &str, size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if name.ends_with(".wasm") && body.trim_start().starts_with('(') {
        return seawall_tests::component(body);
    }
    for c in body.chars() {
        match c {
            '␀' => bytes.push(0),
            '\u{fffd}' => bytes.push(0xff),
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes.resize(size.max(bytes.len()), b' ');
    bytes
}

/// What comes of the files in `store`.
pub(crate) fn assemble(workshop: &RuleSetBuilder, store: &MemoryStore) -> BuildOutput {
    workshop.build(&Sources::gather("root.wall", store), Purpose::Check, None)
}

/// The code of these four characters.
pub(crate) fn code(text: &str) -> Option<Code> {
    Code::ALL.iter().copied().find(|code| code.as_str() == text)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/diagnostics")
}

/// Each case by its name, without `.wall`.
fn cases() -> Vec<(String, String)> {
    let mut cases: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    cases.sort();
    cases
}

fn expected(text: &str) -> Vec<String> {
    text.lines().map_while(|line| line.strip_prefix("# expect: ")).map(str::to_owned).collect()
}

fn fixes(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("# fix: ")).collect()
}

/// What is wrong with a case, if anything.
fn verdict(workshop: &RuleSetBuilder, name: &str, text: &str) -> Option<String> {
    let wanted = expected(text);
    let about = name.split('-').next().unwrap_or_default();
    if !wanted.iter().any(|line| line.ends_with(&format!(" {about}"))) {
        return Some(format!("{name}.wall: does not expect {about}"));
    }
    let assembly = assemble(workshop, &unpack(text, MemoryStore::default()));
    let in_passing = |found: &str| {
        code(found).is_some_and(|code| ADVICE.contains(&code))
            && !wanted.iter().any(|line| line.ends_with(found))
    };
    let everything = assembly.everything();
    let found: Vec<String> = everything
        .iter()
        .filter(|d| !in_passing(d.code))
        .map(|d| format!("{}:{} {}", d.line, d.column, d.code))
        .collect();
    let offered = everything.iter().flat_map(|d| &d.fixes);
    let offered: Vec<&str> = offered.map(|fix| fix.replacement.as_str()).collect();
    let mended = fixes(text);
    if !mended.is_empty() && mended != offered {
        return Some(format!("{name}.wall: offers {offered:?} instead of {mended:?}"));
    }
    (found != wanted).then(|| {
        let says: Vec<String> = everything.iter().map(|d| d.one_line()).collect();
        format!("{name}.wall: expected {wanted:?}, found {found:?}\n  {}", says.join("\n  "))
    })
}

#[test]
fn every_case_gives_exactly_what_it_says() {
    let workshop = workshop();
    let cases = cases();
    let wrong: Vec<String> =
        cases.iter().filter_map(|(name, text)| verdict(&workshop, name, text)).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() > 250, "the corpus has {} cases", cases.len());
}

#[test]
fn every_code_has_a_case() {
    let named: BTreeSet<String> = cases().iter().flat_map(|(_, text)| expected(text)).collect();
    for code in Code::ALL {
        let has = named.iter().any(|line| line.ends_with(code.as_str()));
        let excused = WITHOUT_CASE.iter().find(|(without, _)| without == code);
        match excused {
            None => assert!(has, "{} has no case", code.as_str()),
            Some((_, why)) => assert!(!has, "{} has a case, though {why}", code.as_str()),
        }
    }
}

#[test]
fn a_case_that_says_something_else_is_caught() {
    let workshop = workshop();
    let text = "policy 1\nfloor { rule a { when pth == \"/a\" then drop } }\n";
    let right = format!("# expect: 3:23 N001\n{text}");
    assert_eq!(verdict(&workshop, "N001-x", &right), None);
    for wrong in ["# expect: 3:24 N001\n", "# expect: 3:23 N002\n", ""] {
        assert!(verdict(&workshop, "N001-x", &format!("{wrong}{text}")).is_some(), "{wrong}");
    }
    let right_but_misnamed = verdict(&workshop, "N002-x", &right);
    assert!(right_but_misnamed.is_some());
}
