//! The second pass: the program grows table by table.

use std::collections::HashMap;

use seawall_model::{CounterId, RuleId};

use super::member::Tenant;
use super::names::Names;
use super::{Given, Page, Purpose};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, FileId};
use crate::program::{
    Atom, AtomId, CondId, LevelId, Op, Operand, OperandId, Program, RuleInfo, Scope,
};
use crate::span::Span;
use crate::syntax::ast::Item;

/// Where a condition stands, which decides what it may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a rule, a limit or the decision table.
    Walk,
    /// In the `where` of a track, before the walk.
    Track,
    /// In the `where` of a track with `on response`.
    Answer,
    /// In a level.
    Level,
}

/// What is built, and what has been said.
#[derive(Debug)]
pub(super) struct Builder<'g> {
    pub(super) given: Given<'g>,
    pub(super) names: Names,
    pub(super) program: Program,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The file that is being read.
    pub(super) file: FileId,
    /// Whose requests the counters here count.
    pub(super) scope: Scope,
    /// What the names here begin with: `floor`, `alice`.
    pub(super) prefix: Box<str>,
    /// The level that `under` asks for here.
    pub(super) level: LevelId,
    pub(super) place: Place,
    /// The member whose files are being read.
    pub(super) member: Option<Box<str>>,
    /// What members there are, and what they may.
    pub(super) tenants: Vec<Tenant>,
    /// What regular expressions have taken so far.
    pub(super) regexes: super::regexes::Spent,
    /// How much of what members and the host may write is used.
    pub(super) usage: super::quota::Usage,
    atoms: HashMap<String, AtomId>,
    operands: HashMap<String, OperandId>,
}

impl<'g> Builder<'g> {
    pub(super) fn new(given: Given<'g>) -> Self {
        Self {
            given,
            names: Names::default(),
            program: Program::default(),
            diagnostics: Vec::new(),
            file: FileId::default(),
            scope: Scope::Host,
            prefix: Box::default(),
            level: LevelId::default(),
            place: Place::Walk,
            member: None,
            tenants: Vec::new(),
            regexes: HashMap::new(),
            usage: super::quota::Usage::default(),
            atoms: HashMap::new(),
            operands: HashMap::new(),
        }
    }

    /// Builds everything; names are known.
    pub(super) fn build(&mut self, pages: &[Page]) {
        for page in pages {
            self.enter(page);
            match &page.item {
                Item::Decl(decl) => self.build_decl(decl),
                Item::Level(level) if self.of_host(level.name.span, "a level") => {
                    self.build_level(level);
                }
                Item::Layer(layer) if self.of_host(layer.span, "a layer of the host") => {
                    self.build_layer(layer);
                }
                _ => {}
            }
        }
        // Members come after the host, whose `defaults` they may adjust.
        for page in pages {
            self.enter(page);
            if let Item::Site(site) = &page.item {
                self.build_site(site);
            }
        }
        self.settle_quotas();
        self.weigh_counters();
        self.find_unreachable();
        for page in pages {
            self.enter(page);
            if let Item::Test(test) = &page.item {
                self.build_case(test);
            }
        }
    }

    /// From here on, what is read stands on this page.
    pub(super) fn enter(&mut self, page: &Page) {
        self.file = page.file;
        self.member.clone_from(&page.member);
    }

    pub(super) fn complain(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// An error here.
    pub(super) fn error(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.complain(Diagnostic::error(code, self.file, span, message));
    }

    /// Notes or refuses an action that cannot be enforced yet.
    pub(super) fn not_enforced(&mut self, span: Span, what: &str) {
        let diagnostic = Diagnostic::error(
            Code::NotEnforced,
            self.file,
            span,
            format!("`{what}` is judged in tests, but this version cannot enforce it yet"),
        )
        .help("a server refuses to load this policy; use `block` until then");
        self.complain(match self.given.purpose {
            Purpose::Run => diagnostic,
            Purpose::Check => diagnostic.note(),
        });
    }

    /// A clause that must be there is not.
    pub(super) fn missing(&mut self, span: Span, what: &str, clause: &str, help: &str) {
        self.complain(
            Diagnostic::error(
                Code::MissingClause,
                self.file,
                span,
                format!("{what} needs `{clause}`"),
            )
            .help(help),
        );
    }

    /// The text of a place, as written.
    pub(super) fn text(&self, span: Span) -> &'g str {
        self.given.files.text(self.file).get(span.range()).unwrap_or_default()
    }

    /// Files a test, once for all places that make it.
    pub(super) fn atom(&mut self, atom: Atom, key: String) -> AtomId {
        let key = format!("{key}|{}|{}", atom.operand.0, atom.negated);
        if let Some(id) = self.atoms.get(&key) {
            return *id;
        }
        let id = AtomId(number(self.program.atoms.len()));
        self.program.atoms.push(atom);
        self.atoms.insert(key, id);
        // One condition may make so many that the end of its rule is too late.
        self.weigh();
        id
    }

    /// Files a value, once for all places that look at it.
    pub(super) fn operand_id(&mut self, operand: Operand) -> OperandId {
        let key = format!("{operand:?}");
        if let Some(id) = self.operands.get(&key) {
            return *id;
        }
        let id = OperandId(number(self.program.operands.len()));
        self.program.operands.push(operand);
        self.operands.insert(key, id);
        id
    }

    /// Files a condition.
    pub(super) fn condition_id(&mut self, ops: Vec<Op>) -> CondId {
        let id = CondId(number(self.program.conditions.len()));
        self.program.conditions.push(ops.into());
        id
    }

    /// The number of the next counter.
    pub(super) fn next_counter(&self) -> CounterId {
        CounterId(number(self.program.counters.len()))
    }

    /// Gives a rule its number, under its full name.
    pub(super) fn rule_id(&mut self, info: RuleInfo) -> RuleId {
        let id = RuleId(number(self.program.rules.len()));
        self.names.rules.insert(info.name.clone(), id);
        self.program.rules.push(info);
        id
    }
}

/// A table of a policy never holds 2^32 things: files are at most 1 MiB.
pub(super) fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
