//! The examples of the manual are correct.
//!
//! Every block that is marked `wall` is run. A plain block must load without an error, and its
//! tests must pass. A block with `wall error=T004,N001` must cause exactly these errors; `warning=`
//! and `note=` name further diagnostics. A block may contain several files, like the corpus of
//! errors. A block that is not a whole file gets the missing first line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use seawall_policy::code::Code;
use seawall_policy::schema::{Form, Presence};
use seawall_ruleset::http::SCHEMA;
use seawall_ruleset::{MemoryStore, RuleSetBuilder, Severity};

use crate::corpus::{assemble, code, unpack, workshop};

/// A component with one function, `oddness`: how odd the header fields are; it answers 7.
const ODDNESS: &str = r#"(component
  (core module $m (func (export "f") (result i64) (i64.const 7)))
  (core instance $i (instantiate $m))
  (func (export "oddness") (result s64) (canon lift (core func $i "f"))))"#;

/// A block of a page.
struct Block {
    /// `FILE:LINE` of its first line.
    place: String,
    /// What stands behind `wall`.
    info: String,
    text: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/language")
}

/// Each page by its name.
fn pages() -> Vec<(String, String)> {
    let mut pages: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    pages.sort();
    pages
}

fn blocks(page: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, Some(info)) => {
                let place = format!("{page}:{}", number + 1);
                open = Some(Block { place, info: info.trim().to_owned(), text: String::new() });
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a block is never closed");
    blocks.retain(|block| block.info.split(' ').next() == Some("wall"));
    blocks
}

/// The codes behind `KEY=` of an info string.
fn codes(info: &str, key: &str) -> BTreeSet<String> {
    let value = info.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    value
        .unwrap_or_default()
        .split(',')
        .filter(|code| !code.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether a text says its language version, right or wrong.
fn has_first_line(text: &str) -> bool {
    let head = text.lines().find(|line| !line.is_empty() && !line.starts_with('#'));
    head.is_some_and(|line| line.starts_with("policy"))
}

/// What is wrong with a block, if anything.
fn verdict(workshop: &RuleSetBuilder, block: &Block) -> Option<String> {
    let bare = codes(&block.info, "error").contains("P005") || has_first_line(&block.text);
    // On the same line, so that the lines of complaints are those of the block.
    let text = if bare { block.text.clone() } else { format!("policy 1 {}", block.text) };
    let store = MemoryStore::default()
        .with("lists/drop.txt", "192.0.2.128/25\n")
        .with("wasm/oddness.wasm", seawall_tests::component(ODDNESS));
    let assembly = assemble(workshop, &unpack(&text, store));
    let everything = assembly.everything();
    let says: Vec<String> = everything.iter().map(|d| d.one_line()).collect();
    let says = says.join("\n  ");
    let found = |severity: Severity| -> BTreeSet<String> {
        let all = everything.iter().filter(|d| d.severity == severity);
        all.map(|d| d.code.to_owned()).collect()
    };
    for (key, severity) in [("warning", Severity::Warning), ("note", Severity::Note)] {
        let silent: Vec<_> =
            codes(&block.info, key).difference(&found(severity)).cloned().collect();
        if !silent.is_empty() {
            return Some(format!("{}: no {key} {silent:?}\n  {says}", block.place));
        }
    }
    if found(Severity::Error) != codes(&block.info, "error") {
        return Some(format!("{}: `{}`, but found\n  {says}", block.place, block.info));
    }
    let failed = assembly.rules?.run_tests().into_iter().find(|test| !test.passed)?;
    let line = failed.line;
    Some(format!("{}: test `{}`, line {line}: {}", block.place, failed.name, failed.says))
}

#[test]
fn every_policy_of_the_manual_does_what_the_page_says() {
    let workshop = workshop();
    let blocks: Vec<Block> = pages().iter().flat_map(|(page, text)| blocks(page, text)).collect();
    let wrong: Vec<String> = blocks.iter().filter_map(|block| verdict(&workshop, block)).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), blocks.len(), wrong.join("\n"));
    assert!(blocks.len() > 100, "only {} blocks", blocks.len());
}

#[test]
fn a_block_that_does_something_else_is_caught() {
    let workshop = workshop();
    let about = |info: &str, text: &str| {
        let block = Block { place: "x:1".to_owned(), info: info.to_owned(), text: text.to_owned() };
        verdict(&workshop, &block).is_some()
    };
    let unknown = "floor { rule a { when pth == \"/a\" then drop } }";
    assert!(about("wall", unknown));
    assert!(!about("wall error=N001", unknown));
    assert!(about("wall error=N001,T001", unknown));
    assert!(about("wall error=N001", "floor { }"));
    assert!(about("wall warning=C007", "floor { }"));
    let failing = "test \"t\" { request GET \"http://a.example/\" expect drop }";
    assert!(about("wall", failing));
    assert!(!about("wall", &failing.replace("drop", "pass")));
}

/// The rows of the reference, each as `name`, type, presence and what it is.
fn rows(page: &str) -> Vec<String> {
    page.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect()
}

#[test]
fn the_reference_of_fields_is_the_table_of_the_checker() {
    let page = std::fs::read_to_string(folder().join("fields.md")).unwrap();
    let table: Vec<String> = SCHEMA
        .fields
        .iter()
        .map(|field| {
            let name = match field.form {
                Form::Plain => field.name.to_owned(),
                Form::Named => format!("{}(\"…\")", field.name),
            };
            let presence = match field.presence {
                Presence::Always => "always".to_owned(),
                Presence::Maybe => "may be absent".to_owned(),
                Presence::Source(source) => format!("with `{source}`"),
            };
            let ty = SCHEMA.type_name(field.ty);
            format!("| `{name}` | {ty} | {presence} | {} |", field.doc)
        })
        .collect();
    assert_eq!(rows(&page), table, "docs/language/fields.md should hold:\n{}", table.join("\n"));
}

#[test]
fn every_code_has_one_section() {
    let mut seen = BTreeSet::new();
    for (page, text) in pages() {
        for (number, line) in (1..).zip(text.lines()) {
            let Some(head) = line.strip_prefix("## ").and_then(|head| head.get(..4)) else {
                continue;
            };
            let Some(code) = code(head) else { continue };
            assert!(seen.insert(code), "{page}:{number}: {head} has a section already");
            let letter = head.chars().next().unwrap();
            assert_eq!(page, format!("diagnostics-{letter}.md"), "{head} stands on another page");
        }
    }
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !seen.contains(code)).collect();
    assert!(missing.is_empty(), "without a section: {missing:?}");
}

/// The targets of the links of a page, without places inside it.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.filter(|target| !target.contains("://"));
    files.filter_map(|target| target.split('#').next()).filter(|file| !file.is_empty()).collect()
}

#[test]
fn every_link_leads_to_a_file_and_the_index_names_every_page() {
    let pages = pages();
    for (page, text) in &pages {
        for target in links(text) {
            assert!(folder().join(target).exists(), "{page} links to {target}, which is not there");
        }
    }
    let index = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let named = links(&index);
    for (page, _) in pages.iter().filter(|(page, _)| page != "README.md") {
        assert!(named.contains(&page.as_str()), "the index does not name {page}");
    }
}
