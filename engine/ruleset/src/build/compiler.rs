//! Who turns a component's bytes into something that can be called.
//!
//! Compiling a stranger's bytes is the dearest and most dangerous step of a reload, so a server
//! hands it to a process of its own, which this room knows nothing of: here is only what is asked.

use seawall_wasm::{Component, LoadError, Sandbox};

/// A component to be compiled.
#[derive(Debug, Clone, Copy)]
pub struct CompileJob<'j> {
    /// Its bytes.
    pub bytes: &'j [u8],
    /// Their SHA-256.
    pub digest: [u8; 32],
    /// Its path as the policy writes it, for whoever reads a log.
    pub path: &'j str,
    /// The member who brings it; none for the host's.
    pub member: Option<&'j str>,
}

/// Compiles components.
pub trait Compiler: Send + Sync {
    /// # Errors
    /// Why there is none. [`LoadError::Compiling`] where it was not waited for.
    fn compile(&self, sandbox: &Sandbox, job: CompileJob<'_>) -> Result<Component, LoadError>;
}

/// Compiles at once and within this process, without a limit on time: for tests and for bytes of one's
/// own.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcessCompiler;

impl Compiler for InProcessCompiler {
    fn compile(&self, sandbox: &Sandbox, job: CompileJob<'_>) -> Result<Component, LoadError> {
        sandbox.compile(job.bytes)
    }
}
