//! Loads the lists of a program and the functions of its components.

use std::sync::Arc;

use seawall_policy::code::Code;
use seawall_policy::diagnostic::Diagnostic;
use seawall_policy::program::{Extern, ExternType, Program};
use seawall_wasm::{CallLimits, Component, Function, Isolation, ParamKind, ResultKind, Signature};

use super::RuleSetBuilder;
use crate::build::compiler::CompileJob;
use crate::build::component_tests::rehearse;
use crate::build::lists::load_lists;
use crate::build::load_context::LoadContext;
use crate::build::parts::{Components, FunctionKey, Loaded};
use crate::build::signatures::{SIGNATURE_ENDING, TrustedKey, verify_signature};
use crate::build::sources::resolve;

impl LoadContext<'_> {
    /// Loads everything. Failures are in the diagnostics; then there are fewer functions than the
    /// program has.
    pub(crate) fn load(&mut self, program: &Program, workshop: &RuleSetBuilder) -> Loaded {
        let lists = load_lists(self, program, &workshop.settings.guarded);
        let mut loaded = Loaded { lists, ..Loaded::default() };
        for item in &program.externs {
            let made = self.function(item, workshop, &mut loaded.components);
            loaded.externs.extend(made);
        }
        loaded
    }

    fn function(
        &mut self,
        item: &Extern,
        workshop: &RuleSetBuilder,
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
        workshop: &RuleSetBuilder,
    ) -> Option<Component> {
        if let Some(known) = self.previous.and_then(|previous| previous.components.get(&digest)) {
            return Some(known.clone());
        }
        let job = CompileJob { bytes, digest, path: &item.module, member: self.member };
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
            format!("`{}` has the digest {is}, but the policy has another one", item.module);
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
        let Err(why) = verify_signature(keys, bytes, signature.as_deref()) else { return Some(()) };
        self.complain(Code::Unsigned, item, format!("`{}` {why}", item.module));
        None
    }

    fn complain(&mut self, code: Code, item: &Extern, message: String) {
        self.diagnostics.push(Diagnostic::error(code, item.file, item.span, message));
    }
}

/// Returns the declaration in the policy as a signature of the sandbox.
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
