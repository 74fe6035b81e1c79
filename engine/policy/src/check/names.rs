//! The first pass: declares every name once.

use super::build::Builder;
use super::input::Page;
use super::layered::Layered;
use super::missing::TrackReading;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, FileId};
use crate::program::{ExternId, LevelId, ListId};
use crate::schema::Type;
use crate::span::{Span, Spanned};
use crate::syntax::ast::{Action, Decl, Expr, Item, Literal, Name, Operand, Stmt};
use crate::syntax::parse::RESERVED;

/// The value of a `let`.
#[derive(Debug, Clone)]
pub(super) enum Constant {
    /// One value.
    Literal(Literal),
    /// Several.
    Set(Vec<Spanned<Literal>>),
}

/// Facts about a track before it is built.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrackName {
    pub(super) counter: seawall_model::CounterId,
    pub(super) counted: TrackCounts,
    pub(super) window_ms: u64,
    pub(super) per: TrackPer,
    /// The effect of a missing source.
    pub(super) reading: TrackReading,
}

/// The key of a track, as relevant for levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrackPer {
    /// No key.
    Nothing,
    /// `per site.name`
    Site,
    /// A value of the request.
    Request,
}

/// What a track counts, to check the functions that read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrackCounts {
    Requests,
    Bytes,
    Distinct,
}

/// All names, in one table for each kind.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) lets: Layered<Box<str>, Constant>,
    pub(super) lists: Layered<Box<str>, (ListId, Type)>,
    pub(super) tracks: Layered<Box<str>, TrackName>,
    pub(super) externs: Layered<Box<str>, ExternId>,
    pub(super) levels: Layered<Box<str>, LevelId>,
    pub(super) level_words: Vec<Box<str>>,
    /// Full names of rules, limits and the decision table.
    pub(super) rules: Layered<Box<str>, seawall_model::RuleId>,
    /// Tags that a rule sets.
    pub(super) tags: Layered<Box<str>, ()>,
    /// Tags that are set because a source is missing.
    pub(super) absent_tags: Layered<Box<str>, ()>,
    /// The position of each declaration, by kind and name.
    places: Layered<(&'static str, Box<str>), (FileId, Span)>,
}

/// A rule, limit or `adjust` that sets tags.
pub(super) struct Tagging<'s> {
    pub(super) when: Option<&'s Spanned<Expr>>,
    pub(super) unless: Option<&'s Spanned<Expr>>,
    /// Whether it can act.
    pub(super) acts: bool,
    then: &'s [Spanned<Action>],
}

impl Tagging<'_> {
    pub(super) fn tags(&self) -> impl Iterator<Item = &str> {
        self.then.iter().filter_map(|action| match &action.node {
            Action::Tag(tag) => Some(&*tag.node),
            _ => None,
        })
    }
}

/// Collects the statements that set a tag.
fn tagging<'s>(stmts: &'s [Stmt], giving: &mut Vec<Tagging<'s>>) {
    for stmt in stmts {
        let (when, unless, then, acts) = match stmt {
            Stmt::Rule(rule) => (&rule.when, &rule.unless, &rule.then, rule.shadow.is_none()),
            Stmt::Limit(limit) => {
                (&limit.condition, &limit.unless, &limit.then, limit.shadow.is_none())
            }
            Stmt::Adjust(adjust) => (&None, &adjust.unless, &adjust.then, true),
            Stmt::Under(under) => {
                tagging(&under.stmts, giving);
                continue;
            }
            _ => continue,
        };
        let then = then.as_ref().map(|then| &*then.node).unwrap_or_default();
        let given = Tagging { when: when.as_ref(), unless: unless.as_ref(), acts, then };
        if given.tags().next().is_some() {
            giving.push(given);
        }
    }
}

/// Calls a method of each table of names.
macro_rules! each_table {
    ($names:ident, $method:ident) => {
        $names.lets.$method();
        $names.lists.$method();
        $names.tracks.$method();
        $names.externs.$method();
        $names.levels.$method();
        $names.rules.$method();
        $names.tags.$method();
        $names.absent_tags.$method();
        $names.places.$method();
    };
}

impl Names {
    /// From here on, new names belong to a member.
    pub(super) fn begin_member(&mut self) {
        each_table!(self, begin_member);
    }

    /// Removes the names of a member.
    pub(super) fn end_member(&mut self) {
        each_table!(self, end_member);
    }
}

impl Builder<'_> {
    /// Declares all names of all pages.
    pub(super) fn collect(&mut self, pages: &[Page]) {
        for page in pages {
            self.enter(page);
            if let Item::Member(entry) = &page.item
                && self.of_host(entry.name.span, "a `member` entry")
            {
                self.declare_member(entry);
            }
        }
        for page in pages {
            self.enter(page);
            match &page.item {
                Item::Decl(decl) => self.collect_decl(decl),
                // A level in a member's file is reported when it is built.
                Item::Level(level) if self.member.is_none() => self.declare_level(level),
                Item::Extern(item) => self.declare_extern(item),
                Item::Layer(layer) => self.collect_stmts(&layer.stmts),
                Item::Site(site) => self.collect_stmts(&site.stmts),
                Item::Include(_) | Item::Member(_) | Item::Level(_) | Item::Test(_) => {}
            }
        }
        self.collect_tags(pages);
    }

    /// Collects the tags before any rule is built.
    fn collect_tags(&mut self, pages: &[Page]) {
        let layers = pages.iter().filter_map(|page| match &page.item {
            Item::Layer(layer) => Some(&layer.stmts),
            Item::Site(site) => Some(&site.stmts),
            _ => None,
        });
        let mut giving = Vec::new();
        layers.for_each(|stmts| tagging(stmts, &mut giving));
        for tag in giving.iter().flat_map(Tagging::tags) {
            self.names.tags.insert(tag.into(), ());
        }
        self.collect_absent_tags(&giving);
    }

    fn collect_stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Decl(decl) => self.collect_decl(decl),
                Stmt::Under(under) => self.collect_stmts(&under.stmts),
                _ => {}
            }
        }
    }

    fn collect_decl(&mut self, decl: &Decl) {
        match decl {
            Decl::Let(item) => {
                if let Some(full) = self.claim("let", &item.name) {
                    let value = match &item.value.node {
                        Operand::Literal(literal) => Constant::Literal(literal.clone()),
                        Operand::Word(word) => Constant::Literal(Literal::Word(word.clone())),
                        Operand::Set(all) => Constant::Set(all.clone()),
                        _ => return,
                    };
                    self.names.lets.insert(full, value);
                }
            }
            Decl::List(list) => self.declare_list(list),
            Decl::Track(track) => self.declare_track(track),
        }
    }

    /// Declares a name and returns its full form; reports a duplicate with its first position.
    pub(super) fn claim(&mut self, kind: &'static str, name: &Name) -> Option<Box<str>> {
        let full = self.qualified(&name.node);
        let free = self.claim_full(kind, &full, name.span);
        let is_hers = self.is_in_own_space(&full, name);
        (self.may_be_name(kind, name) && free && is_hers).then_some(full)
    }

    /// Reports a member's name that can be a name of another member. Names can contain dots, so
    /// `b.x` of `a` and `x` of `a.b` are equal in full and would share a counter.
    pub(super) fn is_in_own_space(&mut self, full: &str, name: &Name) -> bool {
        let Some(member) = &self.member else { return true };
        let behind = member.len().saturating_add(1);
        let dots = full.match_indices('.').map(|(at, _)| at).filter(|at| *at >= behind);
        let mut spaces = dots.filter_map(|end| full.get(..end));
        let is_member = |space: &&str| self.names.places.contains_key(&("member", (*space).into()));
        let Some(other) = spaces.find(is_member) else { return true };
        let message = format!("`{full}` is a name of the member `{other}`");
        self.complain(Diagnostic::error(Code::DuplicateName, self.file, name.span, message).help(
            format!("choose a name without a dot, such as `{}`", name.node.replace('.', "-")),
        ));
        false
    }

    /// Reports a name that has another meaning in a condition or clause.
    pub(super) fn may_be_name(&mut self, kind: &str, name: &Name) -> bool {
        let word = &*name.node;
        if !RESERVED.contains(&word) && !matches!(word, "true" | "false") {
            return true;
        }
        let kind = kind.rsplit(' ').next().unwrap_or(kind);
        self.complain(
            Diagnostic::error(
                Code::ReservedName,
                self.file,
                name.span,
                format!("`{word}` is a keyword and cannot be a name"),
            )
            .help(format!("choose another name, such as `{word}-{kind}`")),
        );
        false
    }

    /// Returns the full form of a name that is declared here. A member's names have the member as
    /// prefix.
    pub(super) fn qualified(&self, name: &str) -> Box<str> {
        match &self.member {
            Some(member) => format!("{member}.{name}").into(),
            None => name.into(),
        }
    }

    /// Returns the full form of a name that is used here: first the member's, then the operator's.
    /// Names of other members are in no table.
    pub(super) fn resolve<T>(&self, table: &Layered<Box<str>, T>, name: &str) -> Option<Box<str>> {
        let own = self.qualified(name);
        let found = [own, name.into()].into_iter().find(|full| table.contains_key(full))?;
        Some(found)
    }

    /// Returns whether a name was declared, even with errors. The errors were reported at the
    /// declaration, so the use is not reported.
    pub(super) fn is_declared(&self, kind: &'static str, name: &str) -> bool {
        [self.qualified(name), name.into()]
            .into_iter()
            .any(|full| self.names.places.contains_key(&(kind, full)))
    }

    /// Returns the position of a declaration.
    pub(super) fn place(&self, kind: &'static str, full: &str) -> Option<(FileId, Span)> {
        self.names.places.get(&(kind, full.into())).copied()
    }

    /// Declares a full name, which can contain a layer.
    pub(super) fn claim_full(&mut self, kind: &'static str, name: &str, span: Span) -> bool {
        let key = (kind, Box::from(name));
        if let Some((file, first)) = self.names.places.get(&key).copied() {
            self.complain(
                Diagnostic::error(
                    Code::DuplicateName,
                    self.file,
                    span,
                    format!("there are two {}s named `{name}`", key.0),
                )
                .label("the second")
                .related(file, first, "the first")
                .help("rename one of them"),
            );
            return false;
        }
        self.names.places.insert(key, (self.file, span));
        true
    }
}
