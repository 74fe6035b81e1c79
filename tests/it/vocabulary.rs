//! The words of the glossary, and no others for the same things, in all that people read: the
//! manual, the policies, the texts of the command line, of metrics and of messages.
//!
//! Only words that never have an ordinary use here are in the list. `docs/glossary.md` has the rest.

use syn::visit::{self, Visit};

use super::repository::texts;

/// A word or a phrase, and what to write instead.
const WORDS: &[(&str, &str)] = &[
    ("whoever", "the client, the operator, the member"),
    ("somebody", "the client, the operator, the member"),
    ("stranger", "new client"),
    ("newcomer", "new client"),
    ("tenant", "member"),
    ("customer", "member"),
    ("judge", "evaluate"),
    ("judges", "evaluates"),
    ("judged", "evaluated"),
    ("bell", "reload trigger"),
    ("foundry", "component compiler"),
    ("estate", "upgrade state"),
    ("successor", "child process"),
    ("hop", "trusted proxy"),
    ("hops", "trusted proxies"),
    ("left alone", "the circuit breaker is open"),
    ("put aside", "ignored after a rollback"),
    ("goes on", "stays active"),
    ("found no place", "rejected"),
    ("found no room", "rejected"),
    ("made room", "evicted"),
    ("too little of", "overload"),
    ("memo hits", "cache hits"),
    ("rehearsal", "policy tests, component tests"),
    ("looked after", "checked"),
    ("complaint", "diagnostic, error"),
    ("complaints", "diagnostics, errors"),
];

/// Files in which the words may stand: they tell which word took whose place.
const EXEMPT: [&str; 5] = [
    "docs/glossary.md",
    "CHANGELOG.md",
    "engine/policy/src/syntax/parse/recover.rs",
    "engine/ruleset/src/http/fields.rs",
    "engine/seawall/src/cli/renamed.rs",
];

/// A text that people read, with the line on which it begins.
type Shown = (usize, String);

/// The texts in the source of a program that can reach a terminal, a log or a metric: what is not a
/// test's.
#[derive(Default)]
struct Strings {
    found: Vec<Shown>,
    /// Doc comments are shown as well: the ones of the command line are its help.
    with_docs: bool,
}

impl<'ast> Visit<'ast> for Strings {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !super::module_order::is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !super::module_order::is_test(&function.attrs) {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if self.with_docs || !attribute.path().is_ident("doc") {
            visit::visit_attribute(self, attribute);
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.tokens(list.tokens.clone());
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.found.push((text.span().start().line, text.value()));
    }
}

impl Strings {
    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Group(group) => self.tokens(group.stream()),
                proc_macro2::TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                        self.found.push((literal.span().start().line, text.value()));
                    }
                }
                _ => {}
            }
        }
    }
}

/// What people read of one file.
fn shown(name: &str, text: &str) -> Vec<Shown> {
    let is_program = name.starts_with("engine/") && name.ends_with(".rs");
    let is_test =
        name.contains("/tests") || name.ends_with("_tests.rs") || name.contains("/fuzzing");
    if is_program && !is_test && !name.starts_with("engine/xtask/") {
        let with_docs = name.starts_with("engine/seawall/src/cli");
        let mut strings = Strings { with_docs, ..Strings::default() };
        strings.visit_file(&syn::parse_file(text).unwrap());
        return strings.found;
    }
    let is_page = name.ends_with(".md") && !name.contains("/tests/") && !name.starts_with("tests/");
    let is_policy = name.starts_with("policies/");
    if !is_page && !is_policy {
        return Vec::new();
    }
    // A word at the end of a line and its second half on the next are one phrase: pages are written
    // with a sentence on a line.
    text.lines().enumerate().map(|(at, line)| (at + 1, line.to_owned())).collect()
}

fn is_word_end(text: &str, at: usize) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    !is_part(text[..at].chars().next_back()) || !is_part(text[at..].chars().next())
}

/// Words that should not stand in a file.
fn complaints(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (line, text) in shown(name, text) {
        let lower = text.to_lowercase();
        for (word, instead) in WORDS {
            let mut places = lower.match_indices(word);
            let ends = |(at, _): (usize, &str)| {
                is_word_end(&lower, at) && is_word_end(&lower, at + word.len())
            };
            if places.any(ends) {
                found.push(format!("{name}:{line}: `{word}` (instead: {instead})"));
            }
        }
    }
    found
}

#[test]
fn people_read_the_words_of_the_glossary() {
    let all: Vec<String> = texts()
        .iter()
        .filter(|(name, _)| !EXEMPT.contains(&&**name))
        .flat_map(|(name, text)| complaints(name, text))
        .collect();
    assert!(all.is_empty(), "{} of them:\n{}", all.len(), all.join("\n"));
}

#[test]
fn the_check_of_words_catches_planted_ones() {
    let page = "A judge.\nNobody judges; forejudge\nThe origin is left alone.\n";
    assert_eq!(complaints("docs/a.md", page).len(), 3);
    let program = "/// Whoever asks.\nfn f() { g(\"bell\"); h!(\"a\", (\"Judged: {x}\")); } \
                   #[error(\"left alone\")] struct E; #[cfg(test)] mod tests { fn t() { \"hop\"; } }";
    assert_eq!(complaints("engine/proxy/src/a.rs", program).len(), 3);
    assert_eq!(complaints("engine/seawall/src/cli/a.rs", program).len(), 4);
    assert_eq!(complaints("engine/proxy/src/tests/a.rs", program).len(), 0);
    assert_eq!(complaints("engine/proxy/src/a.rs", "fn f() { g(\"bellows, hopeful\"); }").len(), 0);
}
