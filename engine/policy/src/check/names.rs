//! The first pass: every name, once.

use std::collections::HashMap;

use super::Page;
use super::build::Builder;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, FileId};
use crate::program::{ExternId, LevelId, ListId};
use crate::schema::Type;
use crate::span::{Span, Spanned};
use crate::syntax::ast::{Decl, Item, Literal, Name, Operand, Stmt};
use crate::syntax::parse::RESERVED;

/// What a `let` stands for.
#[derive(Debug, Clone)]
pub(super) enum Constant {
    /// One value.
    Literal(Literal),
    /// Several.
    Set(Vec<Spanned<Literal>>),
}

/// What is known of a track before it is built.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrackName {
    pub(super) counter: seawall_model::CounterId,
    pub(super) counted: TrackCounts,
    pub(super) window_ms: u64,
    pub(super) per: TrackPer,
}

/// What a track's key is, as far as levels care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrackPer {
    /// It has none.
    Nothing,
    /// `per site.name`
    Site,
    /// Something of the request.
    Request,
}

/// What a track counts, for the check of the functions that ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrackCounts {
    Requests,
    Bytes,
    Distinct,
}

/// Everything that has a name, each kind in a table of its own.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) lets: HashMap<Box<str>, Constant>,
    pub(super) lists: HashMap<Box<str>, (ListId, Type)>,
    pub(super) tracks: HashMap<Box<str>, TrackName>,
    pub(super) externs: HashMap<Box<str>, ExternId>,
    pub(super) levels: HashMap<Box<str>, LevelId>,
    pub(super) level_words: Vec<Box<str>>,
    /// Full names of rules, limits and the decision table.
    pub(super) rules: HashMap<Box<str>, seawall_model::RuleId>,
    /// Where each name was declared, by kind and name.
    places: HashMap<(&'static str, Box<str>), (FileId, Span)>,
}

impl Builder<'_> {
    /// Files all names of all pages.
    pub(super) fn collect(&mut self, pages: &[Page]) {
        for page in pages {
            self.enter(page);
            if let Item::Tenant(tenant) = &page.item
                && self.of_host(tenant.name.span, "a tenant")
            {
                self.declare_tenant(tenant);
            }
        }
        for page in pages {
            self.enter(page);
            match &page.item {
                Item::Decl(decl) => self.collect_decl(decl),
                Item::Level(level) => self.declare_level(level),
                Item::Extern(item) => self.declare_extern(item),
                Item::Layer(layer) => self.collect_stmts(&layer.stmts),
                Item::Site(site) => self.collect_stmts(&site.stmts),
                Item::Include(_) | Item::Tenant(_) | Item::Test(_) => {}
            }
        }
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

    /// Takes a name for a kind of thing and gives its full form; says where it was taken before.
    pub(super) fn claim(&mut self, kind: &'static str, name: &Name) -> Option<Box<str>> {
        let full = self.qualified(&name.node);
        let free = self.claim_full(kind, &full, name.span);
        (self.may_be_name(kind, name) && free).then_some(full)
    }

    /// Complains about a name that a condition or a clause would read otherwise.
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
                format!("`{word}` is a word of the language and cannot be a name"),
            )
            .help(format!("choose another name, such as `{word}-{kind}`")),
        );
        false
    }

    /// The full form of a name that is declared here: a member's names live in a space of her own.
    pub(super) fn qualified(&self, name: &str) -> Box<str> {
        match &self.member {
            Some(member) => format!("{member}.{name}").into(),
            None => name.into(),
        }
    }

    /// The full form of a name that is used here: the member's own before the host's, and never
    /// that of another member.
    pub(super) fn resolve<T>(&self, table: &HashMap<Box<str>, T>, name: &str) -> Option<Box<str>> {
        if self.member.is_none() {
            return table.contains_key(name).then(|| name.into());
        }
        let own = self.qualified(name);
        if table.contains_key(&own) {
            return Some(own);
        }
        (self.may_name(name) && table.contains_key(name)).then(|| name.into())
    }

    /// Whether a full name may be told here: no member hears what another calls her things.
    pub(super) fn may_name(&self, full: &str) -> bool {
        let is_below =
            |space: &str| full.strip_prefix(space).is_some_and(|rest| rest.starts_with('.'));
        let own = self.member.as_deref().is_some_and(is_below);
        own || !self.tenants.iter().any(|tenant| is_below(&tenant.name))
    }

    /// Whether a name was declared, however badly: then what is wrong with it was said there, and
    /// whoever uses it makes no mistake.
    pub(super) fn is_declared(&self, kind: &'static str, name: &str) -> bool {
        [self.qualified(name), name.into()]
            .into_iter()
            .any(|full| self.names.places.contains_key(&(kind, full)))
    }

    /// Where a name was declared.
    pub(super) fn place(&self, kind: &'static str, full: &str) -> Option<(FileId, Span)> {
        self.names.places.get(&(kind, full.into())).copied()
    }

    /// The same for a full name, which may hold a layer.
    pub(super) fn claim_full(&mut self, kind: &'static str, name: &str, span: Span) -> bool {
        let key = (kind, Box::from(name));
        if let Some((file, first)) = self.names.places.get(&key).copied() {
            self.complain(
                Diagnostic::error(
                    Code::DuplicateName,
                    self.file,
                    span,
                    format!("there are two {}s called `{name}`", key.0),
                )
                .label("the second")
                .related(file, first, "the first")
                .help("give one of them another name"),
            );
            return false;
        }
        self.names.places.insert(key, (self.file, span));
        true
    }
}
