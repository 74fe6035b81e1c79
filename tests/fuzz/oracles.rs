//! What must hold for any bytes: the oracles of the fuzz targets, and of the test that replays their
//! seeds in every run.

use seawall_policy::diagnostic::{Diagnostic, FileId};
use seawall_policy::syntax::lex::lex as tokens;
use seawall_policy::syntax::parse::parse as tree;
use seawall_policy::syntax::print::{format as pretty, is_same};
use seawall_ruleset::http::{fold_host, fold_path};
use seawall_ruleset::{
    HostSettings, MemoryStore, Purpose, Sandbox, SandboxLimits, Sources, Style, Workshop, render,
};

/// Tokens lie inside the text, in order, between characters.
pub(crate) fn lex(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lexed = tokens(text);
    let mut last = 0;
    for token in &lexed.tokens {
        let span = token.span.range();
        assert!(last <= span.start && span.end <= text.len(), "{span:?} after {last}");
        assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end), "{span:?}");
        last = span.end;
    }
}

/// Reading ends, says the same twice, and complains inside the file.
pub(crate) fn parse(bytes: &[u8]) {
    let (first, complaints) = tree(FileId::default(), bytes);
    let (second, again) = tree(FileId::default(), bytes);
    assert!(first == second && complaints == again, "two readings differ");
    for complaint in &complaints {
        assert!(complaint.span.end as usize <= bytes.len(), "{complaint:?}");
    }
}

/// A policy is refused with complaints or loads, and complaints can be drawn.
pub(crate) fn check(bytes: &[u8]) {
    let store = MemoryStore::default().with("root.wall", bytes);
    let sources = Sources::gather("root.wall", &store);
    let assembly = workshop(|workshop| workshop.assemble(&sources, Purpose::Check, None));
    let failed =
        assembly.diagnostics.iter().any(|d| d.severity == seawall_ruleset::Severity::Error);
    assert!(failed != assembly.rules.is_some(), "an error and a ruleset, or neither");
    let drawn = render(&assembly.diagnostics, &sources, Style::Plain);
    assert!(drawn.is_empty() == assembly.diagnostics.is_empty());
}

/// A workshop for each thread; a sandbox takes a while to make.
fn workshop<T>(work: impl FnOnce(&Workshop) -> T) -> T {
    thread_local! {
        static WORKSHOP: Option<Workshop> = Sandbox::new(SandboxLimits::default())
            .ok()
            .map(|sandbox| Workshop::new(HostSettings::default(), sandbox));
    }
    WORKSHOP.with(|made| match made {
        Some(workshop) => work(workshop),
        None => panic!("no sandbox"),
    })
}

/// What is formatted says the same, needs no formatting again, and can be read.
pub(crate) fn format(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(once) = pretty(text) else { return };
    assert!(is_same(text, &once), "formatting changed what is said");
    let (_, complaints) = tree(FileId::default(), once.as_bytes());
    assert!(!complaints.iter().any(Diagnostic::is_error), "formatting broke it: {complaints:?}");
    assert!(pretty(&once).as_ref() == Ok(&once), "formatting twice is not formatting once");
}

/// A request target and a host are folded or refused, and a folded path has no way up.
pub(crate) fn target(bytes: &[u8]) {
    let mut out = Vec::new();
    if fold_path(bytes, &mut out).is_ok() {
        assert!(out.first() == Some(&b'/') && !out.contains(&0));
        assert!(!out.split(|b| *b == b'/').any(|part| part == b".."), "a way up is left");
        assert!(!out.windows(2).any(|pair| pair == b"//"));
    }
    if let Ok(host) = fold_host(bytes) {
        assert!(fold_host(host.as_bytes()).as_ref() == Ok(&host), "folding a host twice");
    }
}
