//! Compiling to machine code without running it.

use crate::component::admit;
use crate::error::told;
use crate::sandbox::config;
use crate::{LoadError, SandboxLimits};
use wasmtime::Engine;

/// Compiles components to bare machine code, in a process that runs none of it and so reserves
/// nothing for that. Whoever started that process seals what comes of it, for
/// [`Sandbox::load`](crate::Sandbox::load).
#[derive(Debug, Clone)]
pub struct Translator {
    engine: Engine,
    limits: SandboxLimits,
}

impl Translator {
    /// A translator for a sandbox of these limits. It has all that it needs: a process may give up
    /// files and threads from here on.
    ///
    /// # Errors
    /// The machine does not give what it needs.
    pub fn new(limits: SandboxLimits) -> Result<Self, LoadError> {
        let engine = Engine::new(&config(&limits));
        let engine = engine.map_err(|error| LoadError::Engine(told(&error)))?;
        Ok(Self { engine, limits })
    }

    /// The machine code of a component.
    ///
    /// # Errors
    /// It cannot be compiled. Nothing of it has run by then.
    pub fn translate(&self, bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
        admit(&self.limits, bytes)?;
        let code = seawall_sys::compile(&self.engine, bytes);
        code.map_err(|error| LoadError::Invalid(told(&error)))
    }
}
