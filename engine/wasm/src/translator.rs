//! Compilation to machine code without running it.

use crate::component::admit;
use crate::error::told;
use crate::sandbox::config;
use crate::{LoadError, SandboxLimits};
use wasmtime::Engine;

/// Compiles components to plain machine code, in a process that runs none of it and therefore
/// reserves no memory for instances. The parent process seals the code for
/// [`Sandbox::load`](crate::Sandbox::load).
#[derive(Debug, Clone)]
pub struct Translator {
    engine: Engine,
    limits: SandboxLimits,
}

impl Translator {
    /// Creates a translator for a sandbox with these limits. Afterwards the process can give up its
    /// access to files and threads.
    ///
    /// # Errors
    /// The machine lacks resources.
    pub fn new(limits: SandboxLimits) -> Result<Self, LoadError> {
        let engine = Engine::new(&config(&limits));
        let engine = engine.map_err(|error| LoadError::Engine(told(&error)))?;
        Ok(Self { engine, limits })
    }

    /// Returns the machine code of a component.
    ///
    /// # Errors
    /// It cannot be compiled. No code of it has run.
    pub fn translate(&self, bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
        admit(&self.limits, bytes)?;
        let code = seawall_sys::compile(&self.engine, bytes);
        code.map_err(|error| LoadError::Invalid(told(&error)))
    }
}
