//! Sources in, a ruleset or every complaint out.
//!
//! `seawall check`, start-up and reload are this one function, so what passes a check cannot fail a
//! reload for a reason that the check could have seen. What did not change since the last ruleset
//! is taken over by the digest of its bytes: a compiled component, a large list.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use seawall_model::{ClientUnits, HostPattern};
use seawall_policy::check::{Given, Page, Purpose, check};
use seawall_policy::code::Code;
use seawall_policy::diagnostic::{Diagnostic, FileId, Files, tidy};
use seawall_policy::index::{INDEX_ENTRIES_MAX, INDEX_TEXT_BYTES_MAX};
use seawall_policy::outline::Outline;
use seawall_policy::program::{Extern, ExternType, Program};
use seawall_policy::span::Span;
use seawall_policy::syntax::ast::{File, Item};
use seawall_policy::syntax::parse::parse;
use seawall_state::CounterSpec;
use seawall_wasm::{
    CallLimits, Component, Function, Isolation, ParamKind, ResultKind, Sandbox, Signature,
};

use crate::cases::TestOutcome;
use crate::compiler::{Compiler, InProcess, Job};
use crate::fuel::FuelLimits;
use crate::hosts::unserved;
use crate::http::SCHEMA;
use crate::lists::load_lists;
use crate::plan::Plan;
use crate::rehearsal::rehearse;
use crate::report;
use crate::ruleset::{FunctionKey, LoadedList, Parts, RuleSet, spec};
use crate::sources::{ReadError, Sources, resolve};
use crate::trust::{SIGNATURE_ENDING, TrustedKey, vouched};

/// The most files deep that includes may nest.
pub const INCLUDE_DEPTH_MAX: usize = 16;

/// A configured site, as far as policies care.
#[derive(Debug, Clone)]
pub struct SiteHosts {
    /// Its first host.
    pub name: Box<str>,
    /// Its hosts.
    pub hosts: Vec<HostPattern>,
    /// The member whose site it is.
    pub member: Option<Box<str>>,
}

/// What the host's configuration says that policies are held against.
#[derive(Debug, Clone, Default)]
pub struct HostSettings {
    /// The units that clients are counted by.
    pub units: ClientUnits,
    /// The sites.
    pub sites: Vec<SiteHosts>,
    /// Who may bring components; where it is empty, everybody.
    pub trusted_keys: Vec<TrustedKey>,
    /// What one request may cost.
    pub fuel: FuelLimits,
    /// Days since 1970-01-01.
    pub today: u64,
}

/// Makes rulesets.
pub struct Workshop {
    settings: HostSettings,
    sandbox: Sandbox,
    compiler: Arc<dyn Compiler>,
}

impl std::fmt::Debug for Workshop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workshop").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Assembly {
    /// The ruleset, where nothing was an error.
    pub rules: Option<RuleSet>,
    /// Every complaint, in reading order.
    pub diagnostics: Vec<report::Diagnostic>,
    /// Members whose files are wrong, where that does not refuse the rest.
    pub members: Vec<MemberState>,
    /// How the tests ended, where they were run to know whether a member's part may serve.
    pub tests: Vec<TestOutcome>,
}

impl Workshop {
    /// A workshop for one host, which compiles components by itself.
    #[must_use]
    pub fn new(settings: HostSettings, sandbox: Sandbox) -> Self {
        Self { settings, sandbox, compiler: Arc::new(InProcess) }
    }

    /// The same with another compiler.
    #[must_use]
    pub fn with_compiler(self, compiler: Arc<dyn Compiler>) -> Self {
        Self { compiler, ..self }
    }

    /// Makes a ruleset of sources. `previous` lends what has not changed.
    #[must_use]
    pub fn assemble(
        &self,
        sources: &Sources,
        purpose: Purpose,
        previous: Option<&RuleSet>,
    ) -> Assembly {
        let mut reading = Reading::new(sources);
        reading.file(sources.root(), None);
        let Reading { mut files, pages, mut diagnostics, .. } = reading;
        let given = Given { schema: &SCHEMA, files: &files, purpose, today: self.settings.today };
        let checked = check(&pages, given);
        let outline = Outline::of(&pages, &files);
        diagnostics.extend(checked.diagnostics);
        diagnostics.extend(unserved(&pages, &self.settings.sites));
        let parts = checked.program.and_then(|program| {
            let mut loading =
                Loading { sources, files: &mut files, diagnostics: &mut diagnostics, previous };
            loading.parts(program, self)
        });
        tidy(&mut diagnostics);
        let failed = diagnostics.iter().any(Diagnostic::is_error);
        let located = report::located(&diagnostics, &files);
        let (units, fuel) = (self.settings.units, self.settings.fuel);
        let rules = parts.filter(|_| !failed).map(|parts| {
            let sources = sources.policies();
            let parts = Parts { files, sources, outline, units, fuel, ..parts };
            RuleSet::new(parts).go_on_from(previous)
        });
        Assembly { rules, diagnostics: located, members: Vec::new(), tests: Vec::new() }
    }

    /// The counters that a policy declares; none where it is wrong. Nothing but the policy files is
    /// looked at.
    #[must_use]
    pub fn counter_specs(&self, sources: &Sources) -> Option<Vec<CounterSpec>> {
        let mut reading = Reading::new(sources);
        reading.file(sources.root(), None);
        let Reading { files, pages, diagnostics, .. } = reading;
        let (purpose, today) = (Purpose::Check, self.settings.today);
        let checked = check(&pages, Given { schema: &SCHEMA, files: &files, purpose, today });
        let program = checked.program.filter(|_| !diagnostics.iter().any(Diagnostic::is_error))?;
        Some(program.counters.iter().map(spec).collect())
    }

    /// The same for a server, with the tests run.
    fn assemble_and_rehearse(&self, sources: &Sources, previous: Option<&RuleSet>) -> Assembly {
        let assembly = self.assemble(sources, Purpose::Run, previous);
        let tests = assembly.rules.as_ref().map(RuleSet::rehearse).unwrap_or_default();
        Assembly { tests, ..assembly }
    }

    /// The same for a server, where a member cannot veto the host: an error in a member's files
    /// keeps that member's last good part, or leaves it out where there never was one, and the rest
    /// is made of the new sources. What was wrong is told in [`Assembly::members`].
    #[must_use]
    pub fn assemble_without_veto(&self, sources: &Sources, previous: Option<&RuleSet>) -> Assembly {
        let whole = self.assemble_and_rehearse(sources, previous);
        let owners = sources.owners();
        let mut spoilt: Vec<MemberState> = Vec::new();
        if whole.rules.is_some() {
            spoilt = failing_members(&whole, &owners, previous);
            if spoilt.is_empty() {
                return whole;
            }
        }
        for diagnostic in whole.diagnostics.iter().filter(|d| d.severity == report::Severity::Error)
        {
            // An error of the host refuses everything, as it does without members.
            let Some(owner) = owners.get(&*diagnostic.file) else { return whole };
            note_spoilt(&mut spoilt, owner, diagnostic.clone());
        }
        let mut mended = sources.clone();
        for member in &mut spoilt {
            let kept = previous
                .is_some_and(|previous| mended.take_back(&member.name, &owners, &previous.sources));
            member.part = if kept { MemberPart::Kept } else { MemberPart::Absent };
            if !kept {
                mended.leave_out(&member.name, &owners);
            }
        }
        let second = self.assemble_and_rehearse(&mended, previous);
        match second.rules {
            // Her last good part no longer fits what the host writes now: then it is hers to mend,
            // and her hosts have the host's layers alone until she does.
            None if spoilt.iter().any(|member| member.part == MemberPart::Kept) => {
                for member in &mut spoilt {
                    member.part = MemberPart::Absent;
                    mended.leave_out(&member.name, &owners);
                }
                let third = self.assemble_and_rehearse(&mended, previous);
                Assembly { members: spoilt, ..third }
            }
            rules => Assembly { rules, members: spoilt, ..second },
        }
    }
}

/// Members whose own tests fail, and who have changed their files since the last ruleset. Where
/// the host's new rules break the test of a file that has not changed, that is the host's to know,
/// and no reason to put the member's part aside.
fn failing_members(
    whole: &Assembly,
    owners: &BTreeMap<String, Box<str>>,
    previous: Option<&RuleSet>,
) -> Vec<MemberState> {
    let mut spoilt: Vec<MemberState> = Vec::new();
    for outcome in whole.tests.iter().filter(|outcome| !outcome.passed) {
        let (Some(owner), Some(rules)) = (owners.get(&*outcome.file), &whole.rules) else {
            continue;
        };
        let same = previous.is_some_and(|old| old.sources.same(&rules.sources, &outcome.file));
        if same {
            continue;
        }
        note_spoilt(&mut spoilt, owner, report::Diagnostic::failed_test(outcome));
    }
    spoilt
}

/// Files what is wrong with a member's files under the member.
fn note_spoilt(spoilt: &mut Vec<MemberState>, owner: &str, diagnostic: report::Diagnostic) {
    match spoilt.iter_mut().find(|member| *member.name == *owner) {
        Some(member) => member.diagnostics.push(diagnostic),
        None => spoilt.push(MemberState {
            name: owner.into(),
            part: MemberPart::Absent,
            diagnostics: vec![diagnostic],
        }),
    }
}

/// What serves for a member whose files are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberPart {
    /// Her last good part.
    Kept,
    /// The host's layers alone.
    Absent,
}

/// A member whose files are wrong.
#[derive(Debug, Clone)]
pub struct MemberState {
    /// The member.
    pub name: Box<str>,
    /// What serves instead.
    pub part: MemberPart,
    /// What is wrong.
    pub diagnostics: Vec<report::Diagnostic>,
}

/// The pages of a policy, includes in their place.
pub(crate) struct Reading<'s> {
    sources: &'s Sources,
    pub(crate) files: Files,
    pub(crate) pages: Vec<Page>,
    diagnostics: Vec<Diagnostic>,
    /// The files that are being read, outermost first.
    open: Vec<String>,
    /// Files that were read; a second include of one would give everything in it twice.
    done: Vec<String>,
    /// The member whose files are being read.
    member: Option<Box<str>>,
    /// Her folder with a final `/`, which her includes may not leave.
    folder: String,
}

impl<'s> Reading<'s> {
    pub(crate) fn new(sources: &'s Sources) -> Self {
        Self {
            sources,
            files: Files::default(),
            pages: Vec::new(),
            diagnostics: Vec::new(),
            open: Vec::new(),
            done: Vec::new(),
            member: None,
            folder: String::new(),
        }
    }

    /// Reads one file; `from` is where it is included.
    pub(crate) fn file(&mut self, path: &str, from: Option<(FileId, Span)>) {
        let bytes = match self.sources.bytes(path) {
            Some(Ok(bytes)) => Arc::clone(bytes),
            Some(Err(why)) => return self.unreadable(path, why.clone(), from),
            None => return self.unreadable(path, ReadError::Missing, from),
        };
        self.done.push(path.to_owned());
        self.open.push(path.to_owned());
        let file = self.files.add(path, &String::from_utf8_lossy(&bytes));
        let (tree, complaints) = parse(file, &bytes);
        self.diagnostics.extend(complaints);
        self.items(file, path, tree);
        self.open.pop();
    }

    fn items(&mut self, file: FileId, path: &str, tree: File) {
        for item in tree.items {
            match item {
                Item::Include(pattern) => self.include(file, path, &pattern.node, pattern.span),
                Item::Tenant(tenant) => {
                    let reached = tenant.file.clone().map(|path| (path, tenant.name.node.clone()));
                    let member = self.member.clone();
                    self.pages.push(Page { file, member, item: Item::Tenant(tenant) });
                    if let (Some((below, name)), None) = (reached, &self.member) {
                        self.member_file(file, path, &below, name);
                    }
                }
                item => self.pages.push(Page { file, member: self.member.clone(), item }),
            }
        }
    }

    /// Reads a member's file, whose items are hers.
    fn member_file(
        &mut self,
        file: FileId,
        path: &str,
        below: &seawall_policy::span::Spanned<Box<str>>,
        name: Box<str>,
    ) {
        let Some(full) = resolve(path, &below.node) else {
            return self.unreadable(&below.node, ReadError::Outside, Some((file, below.span)));
        };
        self.member = Some(name);
        self.folder =
            full.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        self.file(&full, Some((file, below.span)));
        self.member = None;
        self.folder.clear();
    }

    fn include(&mut self, file: FileId, path: &str, pattern: &str, span: Span) {
        let found = match self.sources.included(path, pattern) {
            Ok(found) => found,
            Err(why) => return self.unreadable(pattern, why, Some((file, span))),
        };
        if found.is_empty() {
            self.diagnostics.push(
                Diagnostic::error(Code::SourceMissing, file, span, "this names no file")
                    .warning()
                    .help("it stands for the files that match, and none does"),
            );
        }
        for path in found {
            if !path.starts_with(&self.folder) {
                self.diagnostics.push(Diagnostic::error(
                    Code::MemberPath,
                    file,
                    span,
                    format!("`{path}` lies outside the member's own folder"),
                ));
            } else if self.open.contains(&path) || self.open.len() >= INCLUDE_DEPTH_MAX {
                self.diagnostics.push(Diagnostic::error(
                    Code::IncludeCycle,
                    file,
                    span,
                    format!(
                        "`{path}` is included by itself, or more than {INCLUDE_DEPTH_MAX} deep"
                    ),
                ));
            } else if self.done.contains(&path) {
                self.diagnostics.push(Diagnostic::error(
                    Code::IncludeCycle,
                    file,
                    span,
                    format!("`{path}` is included twice, which would give everything in it twice"),
                ));
            } else {
                self.file(&path, Some((file, span)));
            }
        }
    }

    fn unreadable(&mut self, path: &str, why: ReadError, from: Option<(FileId, Span)>) {
        let (file, span) = from.unwrap_or_else(|| (self.files.add(path, ""), Span::default()));
        self.diagnostics.push(source_error(file, span, path, &why));
    }
}

/// Why a file that is needed is not there.
pub(crate) fn source_error(file: FileId, span: Span, path: &str, why: &ReadError) -> Diagnostic {
    let code = match why {
        ReadError::TooLarge { .. } => Code::SourceTooLarge,
        ReadError::Outside => Code::SourceOutside,
        _ => Code::SourceMissing,
    };
    let diagnostic = Diagnostic::error(code, file, span, format!("`{path}`: {why}"));
    match why {
        ReadError::Outside => {
            diagnostic.help("all files of a policy lie below the root policy's folder")
        }
        ReadError::Missing => diagnostic.help("paths are relative to the file that names them"),
        _ => diagnostic,
    }
}

/// What a program needs beside itself.
pub(crate) struct Loading<'l> {
    pub(crate) sources: &'l Sources,
    pub(crate) files: &'l mut Files,
    pub(crate) diagnostics: &'l mut Vec<Diagnostic>,
    pub(crate) previous: Option<&'l RuleSet>,
}

impl Loading<'_> {
    fn parts(&mut self, program: Program, workshop: &Workshop) -> Option<Parts> {
        let lists: Vec<Arc<LoadedList>> = load_lists(self, &program);
        let mut components = HashMap::new();
        let mut functions = HashMap::new();
        let mut externs = Vec::with_capacity(program.externs.len());
        for item in &program.externs {
            if let Some((key, function)) = self.function(item, workshop, &mut components) {
                functions.insert(key, function.clone());
                externs.push(function);
            }
        }
        let plan = self.plan(&program)?;
        (externs.len() == program.externs.len()).then(|| Parts {
            program,
            plan,
            files: Files::default(),
            sources: Sources::default(),
            outline: Outline::default(),
            lists,
            externs,
            components,
            functions,
            sandbox: workshop.sandbox.clone(),
            units: ClientUnits::default(),
            fuel: FuelLimits::default(),
        })
    }

    /// The indexes; refused where they would be larger than they may be.
    fn plan(&mut self, program: &Program) -> Option<Plan> {
        let why = match Plan::new(program) {
            Ok(plan) => return Some(plan),
            Err(why) => why,
        };
        let rule = program.rules.get(why.rule.0 as usize)?;
        self.diagnostics.push(
            Diagnostic::error(
                Code::IndexTooLarge,
                rule.file,
                rule.span,
                format!(
                    "with `{}` the rules hold {} values of {} bytes; {INDEX_ENTRIES_MAX} of \
                     {INDEX_TEXT_BYTES_MAX} may be",
                    rule.name, why.entries, why.bytes
                ),
            )
            .help("a large set belongs into a list file: `list … from \"file\"`"),
        );
        None
    }

    /// The bytes of a file that a policy names at a place.
    pub(crate) fn named(&mut self, file: FileId, span: Span, path: &str) -> Option<Arc<[u8]>> {
        let full = resolve(self.files.name(file), path);
        let bytes = full.as_deref().map(|full| self.sources.bytes(full).cloned());
        let why = match bytes {
            None => ReadError::Outside,
            Some(Some(Ok(bytes))) => return Some(bytes),
            Some(Some(Err(why))) => why,
            Some(None) => ReadError::Missing,
        };
        self.diagnostics.push(source_error(file, span, path, &why));
        None
    }

    fn function(
        &mut self,
        item: &Extern,
        workshop: &Workshop,
        components: &mut HashMap<[u8; 32], Component>,
    ) -> Option<(FunctionKey, Function)> {
        let bytes = self.named(item.file, item.span, &item.module)?;
        let full = resolve(self.files.name(item.file), &item.module)?;
        let digest = self.sources.sha256(&full)?;
        self.right_digest(item, &digest)?;
        self.rightly_signed(item, (&full, &bytes), &workshop.settings.trusted_keys)?;
        let component = match components.get(&digest) {
            Some(component) => component.clone(),
            None => self.component(item, &bytes, digest, workshop)?,
        };
        components.insert(digest, component.clone());
        let signature = signature(item);
        let memory = usize::try_from(item.memory_bytes).unwrap_or(usize::MAX);
        let bound = (item.fuel, item.time_ms, memory, item.isolated);
        let names = (item.name.clone(), item.function.clone());
        let key = (digest, names.0, names.1, signature.clone(), bound);
        if let Some(function) = self.previous.and_then(|previous| previous.functions.get(&key)) {
            return Some((key, function.clone()));
        }
        let limits = CallLimits {
            fuel: item.fuel,
            time_ms: item.time_ms,
            memory_bytes: memory,
            isolation: if item.isolated { Isolation::PerCall } else { Isolation::Reused },
        };
        let function = match component.bind(&item.function, &signature, limits) {
            Ok(function) => function,
            Err(why) => {
                let message = format!("`{}` in `{}`: {why}", item.function, item.module);
                self.complain(Code::Signature, item, message);
                return None;
            }
        };
        if let Err(why) = rehearse(&component, &bytes, &signature, limits) {
            self.complain(Code::ComponentCase, item, format!("`{}`: {why}", item.module));
            return None;
        }
        Some((key, function))
    }

    fn component(
        &mut self,
        item: &Extern,
        bytes: &[u8],
        digest: [u8; 32],
        workshop: &Workshop,
    ) -> Option<Component> {
        if let Some(known) = self.previous.and_then(|previous| previous.components.get(&digest)) {
            return Some(known.clone());
        }
        let is_members = self.sources.is_members(self.files.name(item.file));
        let job = Job { bytes, digest, path: &item.module, is_members };
        match workshop.compiler.compile(&workshop.sandbox, job) {
            Ok(component) => Some(component),
            Err(why) => {
                self.complain(Code::Component, item, format!("`{}`: {why}", item.module));
                None
            }
        }
    }

    fn right_digest(&mut self, item: &Extern, digest: &[u8; 32]) -> Option<()> {
        let Some(wanted) = &item.sha256 else { return Some(()) };
        let is: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if **wanted == *is {
            return Some(());
        }
        let message =
            format!("`{}` has the digest {is}, not the one that is written here", item.module);
        self.complain(Code::Digest, item, message);
        None
    }

    fn rightly_signed(
        &mut self,
        item: &Extern,
        (path, bytes): (&str, &[u8]),
        keys: &[TrustedKey],
    ) -> Option<()> {
        if keys.is_empty() {
            return Some(());
        }
        let signature = match self.sources.bytes(&format!("{path}{SIGNATURE_ENDING}")) {
            Some(Ok(bytes)) => Some(Arc::clone(bytes)),
            _ => None,
        };
        let Err(why) = vouched(keys, bytes, signature.as_deref()) else { return Some(()) };
        self.complain(Code::Unsigned, item, format!("`{}` {why}", item.module));
        None
    }

    fn complain(&mut self, code: Code, item: &Extern, message: String) {
        self.diagnostics.push(Diagnostic::error(code, item.file, item.span, message));
    }
}

/// What the policy declares, in the sandbox's words.
fn signature(item: &Extern) -> Signature {
    let params = item
        .params
        .iter()
        .map(|param| match param {
            ExternType::Bool => ParamKind::Bool,
            ExternType::Int => ParamKind::Int,
            ExternType::Str => ParamKind::Text,
            ExternType::Ip => ParamKind::Address,
            ExternType::Headers => ParamKind::Headers,
        })
        .collect();
    let result = match item.result {
        ExternType::Bool => ResultKind::Bool,
        ExternType::Int => ResultKind::Int,
        _ => ResultKind::Text,
    };
    Signature { name: item.function.clone(), params, result }
}
