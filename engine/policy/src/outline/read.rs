//! Conversion of the syntax tree to entries.

use std::collections::{BTreeSet, HashMap};

use super::clause::{Clause, Entry};
use super::wording::{Wording, full};
use crate::check::Page;
use crate::diagnostic::{FileId, Files};
use crate::span::{Span, Spanned};
use crate::syntax::ast::{
    Action, Decl, Extern, Item, Limit, List, ListSource, Member, Meta, Rule, Shadow, Stmt, Track,
};

/// The context of the statements that are being read.
#[derive(Clone, Copy)]
struct OutlineScope<'a> {
    file: FileId,
    member: Option<&'a str>,
    /// The keyword of a layer or the name of the member.
    layer: &'a str,
    /// The highest level of the enclosing `under` blocks, as written.
    under: Option<Span>,
    /// The hosts of a `site` block.
    hosts: Option<Span>,
}

struct Reader<'r> {
    files: &'r Files,
    lets: HashMap<Box<str>, Box<str>>,
    tracks: BTreeSet<Box<str>>,
    entries: Vec<Entry>,
}

/// Returns the entries of `pages`, which may use the declarations of `known`.
pub(super) fn entries(known: &[Page], pages: &[Page], files: &Files) -> Vec<Entry> {
    let mut reader =
        Reader { files, lets: HashMap::new(), tracks: BTreeSet::new(), entries: Vec::new() };
    for page in known.iter().chain(pages) {
        each_decl(&page.item, &mut |decl| reader.note(page, decl));
    }
    pages.iter().for_each(|page| reader.item(page));
    reader.entries
}

/// Calls `note` with the declarations of an item at any depth.
fn each_decl(item: &Item, note: &mut dyn FnMut(&Decl)) {
    match item {
        Item::Decl(decl) => note(decl),
        Item::Layer(layer) => each_decl_of(&layer.stmts, note),
        Item::Site(site) => each_decl_of(&site.stmts, note),
        _ => {}
    }
}

fn each_decl_of(stmts: &[Stmt], note: &mut dyn FnMut(&Decl)) {
    for stmt in stmts {
        match stmt {
            Stmt::Decl(decl) => note(decl),
            Stmt::Under(under) => each_decl_of(&under.stmts, note),
            _ => {}
        }
    }
}

/// An incomplete entry.
struct Draft<'d> {
    wording: Wording<'d>,
    clauses: Vec<Clause>,
    asks: BTreeSet<Box<str>>,
}

impl Draft<'_> {
    fn span(&mut self, word: &'static str, span: Option<Span>) -> &mut Self {
        if let Some(span) = span {
            let clause = self.wording.clause(word, span, &mut self.asks);
            self.clauses.push(clause);
        }
        self
    }

    fn add<T>(&mut self, word: &'static str, part: Option<&Spanned<T>>) -> &mut Self {
        self.span(word, part.map(|part| part.span))
    }

    /// Adds a clause with several parts.
    fn all<T>(&mut self, word: &'static str, parts: &[Spanned<T>]) -> &mut Self {
        self.span(word, parts.iter().map(|part| part.span).reduce(Span::to))
    }

    fn shadow(&mut self, shadow: Option<&Shadow>) -> &mut Self {
        let span = shadow.map(|shadow| match &shadow.until {
            Some(until) => shadow.span.to(until.span),
            None => shadow.span,
        });
        self.span("", span)
    }

    fn meta(&mut self, meta: &Meta) -> &mut Self {
        self.add("expires", meta.expires.as_ref()).add("note", meta.note.as_ref())
    }

    fn around(&mut self, around: OutlineScope<'_>) -> &mut Self {
        self.span("hosts", around.hosts).span("under", around.under)
    }
}

impl Reader<'_> {
    fn note(&mut self, page: &Page, decl: &Decl) {
        match decl {
            Decl::Track(track) => {
                self.tracks.insert(full(page.member.as_deref(), &track.name.node));
            }
            Decl::Let(item) => {
                let draft = self.draft(page.file, page.member.as_deref());
                let value = draft.wording.value(item.value.span);
                self.lets.insert(full(page.member.as_deref(), &item.name.node), value);
            }
            Decl::List(_) => {}
        }
    }

    fn draft<'d>(&'d self, file: FileId, member: Option<&'d str>) -> Draft<'d> {
        let text = self.files.text(file);
        let wording = Wording { text, member, lets: &self.lets, tracks: &self.tracks };
        Draft { wording, clauses: Vec::new(), asks: BTreeSet::new() }
    }

    /// Builds an entry and stores it.
    fn file(
        &mut self,
        (kind, name): (&'static str, Box<str>),
        around: OutlineScope<'_>,
        order: Option<&str>,
        fill: impl FnOnce(&mut Draft<'_>),
    ) {
        let mut draft = self.draft(around.file, around.member);
        fill(&mut draft);
        let Draft { clauses, asks, .. } = draft;
        self.entries.push(Entry { kind, name, clauses, order: order.map(Box::from), asks });
    }

    fn item(&mut self, page: &Page) {
        let member = page.member.as_deref();
        let around = OutlineScope {
            file: page.file,
            member,
            layer: member.unwrap_or_default(),
            under: None,
            hosts: None,
        };
        match &page.item {
            Item::Include(_) => {}
            Item::Decl(decl) => self.decl(decl, around),
            Item::Layer(layer) => {
                self.stmts(&layer.stmts, OutlineScope { layer: layer.kind.word(), ..around });
            }
            Item::Site(site) => {
                let hosts = site.hosts.iter().map(|host| host.span).reduce(Span::to);
                // Without a member, names begin with the first host, as everywhere.
                let first = site.hosts.first().map_or("", |host| &*host.node);
                let layer = member.unwrap_or(first);
                self.stmts(&site.stmts, OutlineScope { hosts, layer, ..around });
            }
            Item::Level(level) => {
                let name = full(member, &level.name.node);
                self.file(("level", name), around, Some("levels"), |draft| {
                    draft.add("enter when", level.enter.as_ref());
                    draft.add("sustained", level.sustained.as_ref());
                    draft.add("leave after", level.leave_after.as_ref()).meta(&level.meta);
                });
            }
            Item::Member(member) => self.member(member, around),
            Item::Extern(item) => self.external(item, around),
            Item::Test(test) => {
                let name = full(member, &test.name.node);
                self.file(("test", name), around, None, |draft| {
                    draft.all("", &test.steps);
                });
            }
        }
    }

    fn decl(&mut self, decl: &Decl, around: OutlineScope<'_>) {
        match decl {
            Decl::Let(item) => {
                let name = full(around.member, &item.name.node);
                self.file(("let", name), around, None, |draft| {
                    draft.add("=", Some(&item.value));
                });
            }
            Decl::List(list) => self.list(list, around),
            Decl::Track(track) => self.track(track, around),
        }
    }

    fn list(&mut self, list: &List, around: OutlineScope<'_>) {
        let name = full(around.member, &list.name.node);
        self.file(("list", name), around, None, |draft| {
            match &list.source {
                ListSource::Set(elements) => _ = draft.add("=", Some(elements)),
                ListSource::File { path, max, reload, on_error } => {
                    draft.add("file", Some(path)).add("max", max.as_ref());
                    draft.add("reload", reload.as_ref()).add("on_error", on_error.as_ref());
                }
                ListSource::Error => {}
            }
            draft.span("", list.allow_wide);
        });
    }

    fn track(&mut self, track: &Track, around: OutlineScope<'_>) {
        let name = full(around.member, &track.name.node);
        self.file(("track", name), around, None, |draft| {
            draft.around(around).add("count", track.count.as_ref());
            draft.add("on", track.on_response.as_ref()).add("where", track.condition.as_ref());
            draft.all("per", &track.per).add("over", track.over.as_ref());
            draft.add("keys", track.keys.as_ref()).meta(&track.meta);
        });
    }

    fn member(&mut self, member: &Member, around: OutlineScope<'_>) {
        let name = member.name.node.clone();
        self.file(("member", name), around, None, |draft| {
            draft.add("hosts", member.hosts.as_ref()).add("may", member.may.as_ref());
            draft.add("rules", member.rules.as_ref()).add("keys", member.keys.as_ref());
            draft.add("cpu", member.cpu.as_ref()).add("file", member.file.as_ref());
            draft.meta(&member.meta);
        });
    }

    fn external(&mut self, item: &Extern, around: OutlineScope<'_>) {
        let name = full(around.member, &item.name.node);
        let params = item.params.iter().map(|param| param.name.span.to(param.ty.span));
        let params = params.reduce(Span::to);
        self.file(("extern", name), around, None, |draft| {
            draft.span("takes", params).add("->", Some(&item.result));
            draft.add("module", item.module.as_ref()).add("sha256", item.sha256.as_ref());
            draft.add("function", item.function.as_ref()).add("fuel", item.fuel.as_ref());
            draft.add("time", item.time.as_ref()).add("memory", item.memory.as_ref());
            draft.add("on_failure return", item.on_failure.as_ref()).span("", item.isolate);
        });
    }

    fn stmts(&mut self, stmts: &[Stmt], around: OutlineScope<'_>) {
        for stmt in stmts {
            match stmt {
                Stmt::Decl(decl) => self.decl(decl, around),
                Stmt::Rule(rule) => self.rule(rule, around),
                Stmt::Limit(limit) => self.limit(limit, around),
                Stmt::Under(under) => {
                    let inside = OutlineScope { under: Some(under.level.span), ..around };
                    self.stmts(&under.stmts, inside);
                }
                Stmt::Decide(_) | Stmt::Adjust(_) | Stmt::Disable(_) => self.other(stmt, around),
            }
        }
    }

    fn rule(&mut self, rule: &Rule, around: OutlineScope<'_>) {
        let name = full(Some(around.layer), &rule.name.node);
        self.file(("rule", name), around, Some(around.layer), |draft| {
            draft.around(around).shadow(rule.shadow.as_ref()).add("when", rule.when.as_ref());
            draft.add("unless", rule.unless.as_ref()).then(rule.then.as_ref());
            draft.meta(&rule.meta);
        });
    }

    fn limit(&mut self, limit: &Limit, around: OutlineScope<'_>) {
        let name = full(Some(around.layer), &limit.name.node);
        self.file(("limit", name), around, Some(around.layer), |draft| {
            draft.around(around).shadow(limit.shadow.as_ref());
            draft.add("where", limit.condition.as_ref()).add("unless", limit.unless.as_ref());
            draft.all("per", &limit.per).add("to", limit.to.as_ref());
            draft.add("concurrent", limit.concurrent.as_ref()).then(limit.then.as_ref());
            draft.add("hold", limit.hold.as_ref()).add("keys", limit.keys.as_ref());
            draft.meta(&limit.meta);
        });
    }

    /// Reads statements without a name of their own, or with the name of another entry.
    fn other(&mut self, stmt: &Stmt, around: OutlineScope<'_>) {
        match stmt {
            Stmt::Decide(decide) => {
                let name = full(Some(around.layer), "decide");
                self.file(("decide", name), around, Some(around.layer), |draft| {
                    draft.around(around);
                    for line in &decide.thresholds {
                        draft.span("when", Some(line.when.span.to(line.then.span)));
                    }
                    draft.add("otherwise", decide.otherwise.as_ref());
                });
            }
            Stmt::Adjust(adjust) => {
                let name = full(around.member, &adjust.name.node);
                self.file(("adjust", name), around, None, |draft| {
                    draft.around(around).add("unless", adjust.unless.as_ref());
                    draft.add("to", adjust.to.as_ref());
                    draft.add("concurrent", adjust.concurrent.as_ref()).then(adjust.then.as_ref());
                    draft.add("hold", adjust.hold.as_ref()).meta(&adjust.meta);
                });
            }
            Stmt::Disable(disable) => {
                let name = full(around.member, &disable.name.node);
                self.file(("disable", name), around, None, |draft| {
                    draft.around(around).add("note", disable.note.as_ref());
                });
            }
            _ => {}
        }
    }
}

impl Draft<'_> {
    fn then(&mut self, then: Option<&Spanned<Vec<Spanned<Action>>>>) -> &mut Self {
        self.add("then", then)
    }
}
