//! The second pass: builds the tables of the program.

use seawall_model::{CounterId, RuleId};

use super::input::{Given, Page, Purpose};
use super::layered::Layered;
use super::member::MemberEntry;
use super::names::Names;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, FileId};
use crate::part::{Lengths, Part};
use crate::program::{
    Atom, AtomId, CondId, LevelId, Op, Operand, OperandId, Program, RuleInfo, Scope,
};
use crate::span::Span;
use crate::syntax::ast::Item;

/// The context of a condition. It decides what the condition may read.
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

/// The program under construction, and the diagnostics.
#[derive(Debug)]
pub(super) struct Builder<'g> {
    pub(super) given: Given<'g>,
    pub(super) names: Names,
    pub(super) program: Program,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The current file.
    pub(super) file: FileId,
    /// The requests that counters in the current block count.
    pub(super) scope: Scope,
    /// The prefix of names in the current block: `floor`, `alice`.
    pub(super) prefix: Box<str>,
    /// The level of the enclosing `under` block.
    pub(super) level: LevelId,
    pub(super) place: Place,
    /// The member whose files are being compiled.
    pub(super) member: Option<Box<str>>,
    /// The members and their permissions.
    pub(super) entries: Vec<MemberEntry>,
    /// The memory of regular expressions so far.
    pub(super) regexes: super::regexes::RegexBudget,
    /// The use of the quotas so far.
    pub(super) usage: super::quota::Usage,
    atoms: Layered<String, AtomId>,
    operands: Layered<String, OperandId>,
    /// The lengths of the operator's tables while a member is compiled.
    pub(super) host: Lengths,
    /// Whether the pages of a member are being compiled.
    member_pages: bool,
}

/// The result of the operator's pages, without their syntax. The pages of each member are compiled
/// against it.
#[derive(Debug)]
pub(super) struct Host {
    names: Names,
    program: Program,
    entries: Vec<MemberEntry>,
    atoms: Layered<String, AtomId>,
    operands: Layered<String, OperandId>,
}

impl Host {
    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    pub(super) fn into_program(self) -> Program {
        self.program
    }
}

impl<'g> Builder<'g> {
    pub(super) fn new(given: Given<'g>) -> Self {
        let host = Host {
            names: Names::default(),
            program: Program::default(),
            entries: Vec::new(),
            atoms: Layered::default(),
            operands: Layered::default(),
        };
        Self::resume(given, host)
    }

    /// Continues after the operator's pages.
    pub(super) fn resume(given: Given<'g>, host: Host) -> Self {
        let Host { names, program, entries, atoms, operands } = host;
        Self {
            given,
            names,
            host: Lengths::default(),
            member_pages: false,
            program,
            diagnostics: Vec::new(),
            file: FileId::default(),
            scope: Scope::Host,
            prefix: Box::default(),
            level: LevelId::default(),
            place: Place::Walk,
            member: None,
            entries,
            regexes: super::regexes::RegexBudget::default(),
            usage: super::quota::Usage::default(),
            atoms,
            operands,
        }
    }

    /// Returns the result and the diagnostics.
    pub(super) fn finish(self) -> (Host, Vec<Diagnostic>) {
        let Self { names, program, entries, atoms, operands, diagnostics, .. } = self;
        (Host { names, program, entries, atoms, operands }, diagnostics)
    }

    /// Builds the operator's pages. Their names are known.
    pub(super) fn build_host(&mut self, pages: &[Page]) {
        self.build_items(pages);
        self.settle_feeds();
        self.weigh_counters();
        self.find_unreachable();
        self.build_cases(pages);
    }

    /// Compiles one member's pages against the operator's, which stay unchanged.
    pub(super) fn build_member(&mut self, pages: &[Page], host_files: u32) -> Part {
        self.host = Lengths::of(&self.program);
        self.member_pages = true;
        // The memory of the operator's program does not count for the member.
        self.weigh();
        self.names.begin_member();
        self.atoms.begin_member();
        self.operands.begin_member();
        self.collect(pages);
        self.build_items(pages);
        self.settle_feeds();
        self.settle_quotas();
        self.find_unreachable();
        self.build_cases(pages);
        self.forget_used();
        self.member_pages = false;
        self.names.end_member();
        self.atoms.end_member();
        self.operands.end_member();
        Part::split_off(&mut self.program, std::mem::take(&mut self.host), host_files)
    }

    fn build_items(&mut self, pages: &[Page]) {
        for page in pages {
            self.enter(page);
            match &page.item {
                Item::Decl(decl) => self.build_decl(decl),
                Item::Level(level) if self.of_host(level.name.span, "a level") => {
                    self.build_level(level);
                }
                Item::Layer(layer) if self.of_host(layer.span, "a layer of the operator") => {
                    self.build_layer(layer);
                }
                _ => {}
            }
        }
        // After `defaults`, which they can adjust.
        for page in pages {
            self.enter(page);
            if let Item::Site(site) = &page.item {
                self.build_site(site);
            }
        }
    }

    /// Moves the tracks of a `site` block to its layer. Tracks outside the `site` blocks of a
    /// member go to each of the member's layers, so that requests to other hosts never count.
    fn settle_feeds(&mut self) {
        let feeds = self.program.feeds.split_off(self.host.feeds);
        for feed in feeds {
            let counter = self.program.counters.get(feed.counter.0 as usize);
            let scope = counter.map_or(Scope::Host, |counter| counter.scope);
            match scope {
                Scope::SiteBlock(site) => {
                    let site = self.program.sites.get_mut(site as usize);
                    site.into_iter().for_each(|site| site.feeds.push(feed));
                }
                Scope::Host | Scope::PerSite | Scope::Member(_) if self.member_pages => {
                    let hers = self.program.sites.iter_mut().skip(self.host.sites);
                    hers.for_each(|site| site.feeds.push(feed));
                }
                Scope::Host | Scope::PerSite | Scope::Member(_) => self.program.feeds.push(feed),
            }
        }
    }

    fn build_cases(&mut self, pages: &[Page]) {
        for page in pages {
            self.enter(page);
            if let Item::Test(test) = &page.item {
                self.build_case(test);
            }
        }
    }

    /// Makes this page the current one.
    pub(super) fn enter(&mut self, page: &Page) {
        self.file = page.file;
        self.member.clone_from(&page.member);
    }

    pub(super) fn complain(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports an error in the current file.
    pub(super) fn error(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.complain(Diagnostic::error(code, self.file, span, message));
    }

    /// Reports an action that cannot be enforced yet: an error at load, else a note.
    pub(super) fn not_enforced(&mut self, span: Span, what: &str) {
        let message =
            format!("this version evaluates `{what}` in tests, but cannot enforce `{what}` yet");
        let said = Diagnostic::error(Code::NotEnforced, self.file, span, message)
            .help("a server rejects this policy; use `block` until then");
        self.complain(self.at_load(said));
    }

    /// Reports a word without an effect yet: an error at load, else a note.
    pub(super) fn does_nothing(&mut self, span: Span, message: &str, help: &str) {
        let said = Diagnostic::error(Code::NotEnforced, self.file, span, message);
        let help = format!("a server rejects this policy; {help}");
        self.complain(self.at_load(said.help(help)));
    }

    /// Returns an error if the policy is to be enforced, and a note if it is only checked.
    pub(super) fn at_load(&self, said: Diagnostic) -> Diagnostic {
        match self.given.purpose {
            Purpose::Run => said,
            Purpose::Check => said.note(),
        }
    }

    /// Reports a missing clause.
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

    /// Returns the text at a position.
    pub(super) fn text(&self, span: Span) -> &'g str {
        self.given.files.text(self.file).get(span.range()).unwrap_or_default()
    }

    /// Returns the number of a test. Equal tests share one number.
    pub(super) fn atom(&mut self, atom: Atom, key: String) -> AtomId {
        let key = format!("{key}|{}|{}", atom.operand.0, atom.negated);
        if let Some(id) = self.atoms.get(&key) {
            return *id;
        }
        let id = AtomId(number(self.program.atoms.len()));
        self.program.atoms.push(atom);
        self.atoms.insert(key, id);
        // One condition can contain many tests, so waiting for the end of its rule would be too
        // late.
        self.weigh();
        id
    }

    /// Returns the number of a value. Equal values share one number.
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

    /// Stores a condition and returns its number.
    pub(super) fn condition_id(&mut self, ops: Vec<Op>) -> CondId {
        let id = CondId(number(self.program.conditions.len()));
        self.program.conditions.push(ops.into());
        id
    }

    /// Returns the number of the next counter.
    pub(super) fn next_counter(&self) -> CounterId {
        CounterId(number(self.program.counters.len()))
    }

    /// Stores a rule under its full name and returns its number.
    pub(super) fn rule_id(&mut self, info: RuleInfo) -> RuleId {
        let id = RuleId(number(self.program.rules.len()));
        self.names.rules.insert(info.name.clone(), id);
        self.program.rules.push(info);
        id
    }
}

/// Converts a length. A table never has 2^32 entries, because files have at most 1 MiB.
pub(super) fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
