//! A compiled component: its exports, and the binding of its functions.

use crate::error::told;
use crate::function::Function;
use crate::instance::InstanceTemplate;
use crate::live_counts::GaugeGuard;
use crate::nesting_depth;
use crate::size_class::SizeClass;
use crate::store_limiter::StoreLimiter;
use crate::{
    BindError, CallLimits, Failure, LoadError, ParamKind, ResultKind, Sandbox, SandboxLimits,
    Signature,
};
use seawall_sys::Seal;
use std::sync::Arc;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{InstancePre, Linker};

/// The first eight bytes of a core module; a component has another version and layer there.
const CORE_MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// The only allowed import: the interface with type names, which contains nothing to call. A world
/// that uses them imports the instance and each name.
const TYPES: &str = "seawall:rule/types@0.1.";

/// A compiled component without imports. It exports only functions that a policy can call. Cheap to
/// clone.
#[derive(Clone)]
pub struct Component {
    sandbox: Sandbox,
    class: SizeClass,
    code: wasmtime::component::Component,
    ready: InstancePre<StoreLimiter>,
    exports: Vec<Signature>,
    /// The names of their parameters.
    names: Vec<Vec<Box<str>>>,
    _alive: Arc<GaugeGuard>,
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component").field("exports", &self.exports).finish_non_exhaustive()
    }
}

impl Component {
    pub(crate) fn compile(sandbox: &Sandbox, bytes: &[u8]) -> Result<Self, LoadError> {
        let class = admit(sandbox.limits(), bytes)?;
        let engine = sandbox.engine()?;
        let code = wasmtime::component::Component::from_binary(engine, bytes).map_err(invalid)?;
        Self::of(sandbox, class, code)
    }

    pub(crate) fn load(
        sandbox: &Sandbox,
        bytes: &[u8],
        code: &[u8],
        seal: &Seal,
    ) -> Result<Self, LoadError> {
        let class = SizeClass::of(bytes.len(), sandbox.limits())?;
        let code = seawall_sys::load(sandbox.engine()?, bytes, code, seal);
        Self::of(sandbox, class, code.map_err(|_| LoadError::Stale)?)
    }

    fn of(
        sandbox: &Sandbox,
        class: SizeClass,
        code: wasmtime::component::Component,
    ) -> Result<Self, LoadError> {
        refuse_imports(sandbox, &code)?;
        let (exports, names) = signatures(sandbox, &code)?.into_iter().unzip();
        let ready = Linker::new(sandbox.engine()?).instantiate_pre(&code).map_err(invalid)?;
        let alive = Arc::new(sandbox.census().components.one());
        Ok(Self { sandbox: sandbox.clone(), class, code, ready, exports, names, _alive: alive })
    }

    /// Returns its exports, in order. Parameters that are bytes are [`ParamKind::Bytes`].
    #[must_use]
    pub fn exports(&self) -> &[Signature] {
        &self.exports
    }

    /// Returns the parameter names of an export as in the component, with `-`.
    #[must_use]
    pub fn param_names(&self, export: &str) -> Option<&[Box<str>]> {
        let at = self.exports.iter().position(|have| &*have.name == export)?;
        self.names.get(at).map(Vec::as_slice)
    }

    /// Returns the maximum limits of its instances for any `extern`. A large component has higher
    /// limits.
    #[must_use]
    pub const fn limits(&self) -> &SandboxLimits {
        self.class.limits()
    }

    /// Returns the bytes of machine code.
    #[must_use]
    pub fn code_bytes(&self) -> usize {
        self.code.text().len()
    }

    /// Binds the function `export`: compares it with the declaration and prepares calls within
    /// `limits`. It starts one instance, so that a component that cannot start is detected now. It
    /// starts none if no slot is free.
    ///
    /// # Errors
    /// [`BindError`] names the cause.
    pub fn bind(
        &self,
        export: &str,
        want: &Signature,
        limits: CallLimits,
    ) -> Result<Function, BindError> {
        self.bind_for(None, export, want, limits)
    }

    /// Binds a function for a member, whose instances are counted together.
    ///
    /// # Errors
    /// [`BindError`] names the cause.
    pub fn bind_for(
        &self,
        member: Option<&str>,
        export: &str,
        want: &Signature,
        limits: CallLimits,
    ) -> Result<Function, BindError> {
        let Some(have) = self.exports.iter().find(|have| &*have.name == export) else {
            let has = self.exports.iter().map(|have| have.name.clone()).collect();
            return Err(BindError::NoFunction { name: export.into(), has });
        };
        if !have.fits(want) {
            return Err(BindError::Signature { want: want.clone(), have: have.clone() });
        }
        let max = self.class.limits();
        check("fuel", limits.fuel, max.fuel_max)?;
        check("time", limits.time_ms, max.time_ms_max)?;
        check("memory", limits.memory_bytes as u64, max.memory_bytes_max as u64)?;
        // The export comes from this component's own type, so it exists.
        let Some(index) = self.code.get_export_index(None, export) else {
            return Err(BindError::NoFunction { name: export.into(), has: Vec::new() });
        };
        let function = Function::new(InstanceTemplate {
            ready: self.ready.clone(),
            export: index,
            signature: have.clone(),
            limits,
            max: *max,
            counters: Arc::default(),
            census: self.sandbox.census().clone(),
            account: self.sandbox.pools().account(member, self.class.is_large()),
        });
        match function.start_first() {
            // No slot is free, which does not depend on the component: its calls report the rest.
            Ok(()) | Err(Failure::Busy) => Ok(function),
            Err(why) => Err(BindError::Start(why)),
        }
    }
}

impl Sandbox {
    /// Compiles a component and reads its signatures. This takes tens of milliseconds for a small
    /// component; do not call it on a worker thread.
    ///
    /// # Errors
    /// [`LoadError`] names the cause. No code of the component has run.
    pub fn compile(&self, bytes: &[u8]) -> Result<Component, LoadError> {
        Component::compile(self, bytes)
    }

    /// Loads the sealed machine code that a [`Translator`](crate::Translator) made of `bytes`. This
    /// takes a millisecond for a small component.
    ///
    /// # Errors
    /// [`LoadError::Stale`]: the code is of another component or version. All others as for
    /// [`Sandbox::compile`].
    pub fn load(&self, bytes: &[u8], code: &[u8], seal: &Seal) -> Result<Component, LoadError> {
        Component::load(self, bytes, code, seal)
    }
}

/// Checks a component before compilation.
pub(crate) fn admit(limits: &SandboxLimits, bytes: &[u8]) -> Result<SizeClass, LoadError> {
    let class = SizeClass::of(bytes.len(), limits)?;
    if bytes.starts_with(&CORE_MODULE) {
        return Err(LoadError::CoreModule);
    }
    nesting_depth::check(bytes, class.limits())?;
    Ok(class)
}

fn invalid(error: wasmtime::Error) -> LoadError {
    LoadError::Invalid(told(&error))
}

fn check(what: &'static str, asked: u64, max: u64) -> Result<(), BindError> {
    if (1..=max).contains(&asked) { Ok(()) } else { Err(BindError::Limit { what, asked, max }) }
}

/// Rejects imports. Type names are allowed, because they contain nothing to call.
fn refuse_imports(
    sandbox: &Sandbox,
    code: &wasmtime::component::Component,
) -> Result<(), LoadError> {
    let (engine, ty) = (sandbox.engine()?, code.component_type());
    for (name, import) in ty.imports(engine) {
        let only_types = match import.ty {
            ComponentItem::ComponentInstance(instance) => {
                name.starts_with(TYPES)
                    && instance
                        .exports(engine)
                        .all(|(_, export)| matches!(export.ty, ComponentItem::Type(_)))
            }
            ComponentItem::Type(_) => true,
            _ => false,
        };
        if !only_types {
            return Err(LoadError::Imports(name.to_owned()));
        }
    }
    Ok(())
}

/// A signature with the names of its parameters.
type Named = (Signature, Vec<Box<str>>);

fn signatures(
    sandbox: &Sandbox,
    code: &wasmtime::component::Component,
) -> Result<Vec<Named>, LoadError> {
    let (engine, ty) = (sandbox.engine()?, code.component_type());
    let mut found = Vec::new();
    for (name, export) in ty.exports(engine) {
        let refused = |why: String| LoadError::Export { name: name.to_owned(), why };
        match export.ty {
            ComponentItem::ComponentFunc(func) => {
                let names = func.params().map(|(name, _)| name.into()).collect();
                found.push((signature(name, &func).map_err(refused)?, names));
            }
            ComponentItem::Type(_) => {}
            _ => return Err(refused("is not a function".to_owned())),
        }
    }
    let max = sandbox.limits().exports_max;
    if (1..=max).contains(&found.len()) {
        Ok(found)
    } else {
        Err(LoadError::Exports { count: found.len(), max })
    }
}

fn signature(name: &str, func: &ComponentFunc) -> Result<Signature, String> {
    if func.async_() {
        return Err("is asynchronous, which is not supported".to_owned());
    }
    let mut params = Vec::new();
    for (param, ty) in func.params() {
        params.push(param_kind(&ty).ok_or_else(|| {
            format!("has the parameter `{param}` of another type than bool, s64 and list<u8>")
        })?);
    }
    if params.len() > Signature::PARAMS_MAX {
        return Err(format!("has more than {} parameters", Signature::PARAMS_MAX));
    }
    let results: Vec<Type> = func.results().collect();
    let result = match results.as_slice() {
        [ty] => result_kind(ty),
        _ => None,
    };
    let result = result.ok_or("has another result than bool, s64 or list<u8>")?;
    Ok(Signature { name: name.into(), params, result })
}

fn is_bytes(ty: &Type) -> bool {
    matches!(ty, Type::List(list) if list.ty() == Type::U8)
}

fn param_kind(ty: &Type) -> Option<ParamKind> {
    match ty {
        Type::Bool => Some(ParamKind::Bool),
        Type::S64 => Some(ParamKind::Int),
        ty if is_bytes(ty) => Some(ParamKind::Bytes),
        _ => None,
    }
}

fn result_kind(ty: &Type) -> Option<ResultKind> {
    match ty {
        Type::Bool => Some(ResultKind::Bool),
        Type::S64 => Some(ResultKind::Int),
        ty if is_bytes(ty) => Some(ResultKind::Text),
        _ => None,
    }
}
