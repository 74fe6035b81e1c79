//! What a program needs beside itself: lists and functions of components.

use std::collections::HashMap;
use std::sync::Arc;

use seawall_policy::code::Code;
use seawall_policy::diagnostic::{Diagnostic, FileId, Files};
use seawall_policy::program::{Extern, ExternType, List, Program};
use seawall_policy::span::Span;
use seawall_wasm::{CallLimits, Component, Function, Isolation, ParamKind, ResultKind, Signature};

use super::Workshop;
use super::pages::source_error;
use crate::build::compiler::Job;
use crate::build::component_tests::rehearse;
use crate::build::lists::{LoadedList, load_lists};
use crate::build::signatures::{SIGNATURE_ENDING, TrustedKey, vouched};
use crate::build::sources::{Reached, ReadError, resolve};
use crate::ruleset::{FunctionKey, RuleSet};

/// The lists of the same owner in the ruleset before.
#[derive(Clone, Copy, Default)]
pub(crate) struct ListsBefore<'p> {
    pub(crate) declared: &'p [List],
    pub(crate) loaded: &'p [Arc<LoadedList>],
}

/// Components by the digest of their bytes, for all owners of one assembly.
pub(crate) type Components = HashMap<[u8; 32], Component>;

/// What one owner's program needs, loaded.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) lists: Vec<Arc<LoadedList>>,
    /// In the order of the program, each with what it was bound from.
    pub(crate) externs: Vec<(FunctionKey, Function)>,
    /// Those that were used, so that the next assembly need not make them.
    pub(crate) components: Components,
}

/// Loads what one owner's program needs.
pub(crate) struct Loading<'l> {
    pub(crate) reached: &'l Reached,
    /// The policy files; lists that are complained about are put behind them.
    pub(crate) files: &'l mut Files,
    pub(crate) diagnostics: &'l mut Vec<Diagnostic>,
    pub(crate) previous: Option<&'l RuleSet>,
    pub(crate) before: ListsBefore<'l>,
    /// Components that were made for any owner since this assembly began.
    pub(crate) made: &'l mut Components,
    /// Whose it is; the host's is nobody's.
    pub(crate) member: Option<&'l str>,
    /// The number of its first list.
    pub(crate) first_list: usize,
    /// What automata of its lists take so far.
    pub(crate) search_bytes: usize,
    /// Milliseconds that the cases inside components may still take, by what is granted each.
    pub(crate) cases_ms: u64,
    /// Whether it is still wanted.
    pub(crate) go_on: &'l dyn Fn() -> bool,
}

impl Loading<'_> {
    /// Loads everything. What failed is in the diagnostics, and then fewer functions come out than
    /// the program has.
    pub(crate) fn load(&mut self, program: &Program, workshop: &Workshop) -> Loaded {
        let lists = load_lists(self, program, &workshop.settings.guarded);
        let mut loaded = Loaded { lists, ..Loaded::default() };
        for item in &program.externs {
            let made = self.function(item, workshop, &mut loaded.components);
            loaded.externs.extend(made);
        }
        loaded
    }

    /// The bytes of a file that a policy names at a place.
    pub(crate) fn named(&mut self, file: FileId, span: Span, path: &str) -> Option<Arc<[u8]>> {
        let full = resolve(self.files.name(file), path);
        let bytes = full.as_deref().map(|full| self.reached.bytes(full).cloned());
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
        components: &mut Components,
    ) -> Option<(FunctionKey, Function)> {
        let bytes = self.named(item.file, item.span, &item.module)?;
        let full = resolve(self.files.name(item.file), &item.module)?;
        let digest = self.reached.sha256(&full)?;
        self.right_digest(item, &digest)?;
        self.rightly_signed(item, (&full, &bytes), &workshop.settings.trusted_keys)?;
        let component = match self.made.get(&digest) {
            Some(component) => component.clone(),
            None => self.component(item, &bytes, digest, workshop)?,
        };
        components.insert(digest, component.clone());
        self.made.insert(digest, component.clone());
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
        let function = match component.bind_for(self.member, &item.function, &signature, limits) {
            Ok(function) => function,
            Err(why) => {
                let message = format!("`{}` in `{}`: {why}", item.function, item.module);
                self.complain(Code::Signature, item, message);
                return None;
            }
        };
        let (what, how) = ((&component, self.member, &*bytes), (&signature, limits));
        if let Err(why) = rehearse(what, how, (&mut self.cases_ms, self.go_on)) {
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
        let job = Job { bytes, digest, path: &item.module, member: self.member };
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
        let signature = match self.reached.bytes(&format!("{path}{SIGNATURE_ENDING}")) {
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
