//! The second pass: the program grows table by table.

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
    pub(super) entries: Vec<MemberEntry>,
    /// What regular expressions have taken so far.
    pub(super) regexes: super::regexes::RegexBudget,
    /// How much of what members and the host may write is used.
    pub(super) usage: super::quota::Usage,
    atoms: Layered<String, AtomId>,
    operands: Layered<String, OperandId>,
    /// Where the host's part of the program ends, while a member is compiled.
    pub(super) host: Lengths,
    /// Whether a member's pages are compiled.
    member_pages: bool,
}

/// What the host's pages made, without what they were read from: what each member's pages are
/// compiled against.
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

    /// Goes on after the host's pages.
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

    /// What was made, and what is to be said about it.
    pub(super) fn finish(self) -> (Host, Vec<Diagnostic>) {
        let Self { names, program, entries, atoms, operands, diagnostics, .. } = self;
        (Host { names, program, entries, atoms, operands }, diagnostics)
    }

    /// Builds the host's pages; their names are known.
    pub(super) fn build_host(&mut self, pages: &[Page]) {
        self.build_items(pages);
        self.settle_feeds();
        self.weigh_counters();
        self.find_unreachable();
        self.build_cases(pages);
    }

    /// Compiles one member's pages against the host's, and leaves the host's as they were.
    pub(super) fn build_member(&mut self, pages: &[Page], host_files: u32) -> Part {
        self.host = Lengths::of(&self.program);
        self.member_pages = true;
        // What the host built is not hers.
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
                Item::Layer(layer) if self.of_host(layer.span, "a layer of the host") => {
                    self.build_layer(layer);
                }
                _ => {}
            }
        }
        // They come after `defaults`, which they may adjust.
        for page in pages {
            self.enter(page);
            if let Item::Site(site) = &page.item {
                self.build_site(site);
            }
        }
    }

    /// Gives the tracks of a `site` to its layer, and those that a member declares beside her
    /// `site` blocks to each of hers, so that no request to another's hosts feeds them.
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
        let message =
            format!("`{what}` is judged in tests, but this version cannot enforce it yet");
        let said = Diagnostic::error(Code::NotEnforced, self.file, span, message)
            .help("a server refuses to load this policy; use `block` until then");
        self.complain(self.at_load(said));
    }

    /// Notes or refuses a word that does nothing yet.
    pub(super) fn does_nothing(&mut self, span: Span, message: &str, help: &str) {
        let said = Diagnostic::error(Code::NotEnforced, self.file, span, message);
        let help = format!("a server refuses to load this policy; {help}");
        self.complain(self.at_load(said.help(help)));
    }

    /// What refuses a policy that is to be enforced, and is a note about one that is looked at.
    pub(super) fn at_load(&self, said: Diagnostic) -> Diagnostic {
        match self.given.purpose {
            Purpose::Run => said,
            Purpose::Check => said.note(),
        }
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
