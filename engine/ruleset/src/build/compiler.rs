//! The interface of the component compiler.
//!
//! Compiling untrusted bytes is the most expensive and most dangerous step of a reload, so the
//! server delegates it to a compiler process. This crate defines only the interface.

use seawall_wasm::{Component, LoadError, Sandbox};

/// A component to be compiled.
#[derive(Debug, Clone, Copy)]
pub struct CompileJob<'j> {
    /// Its bytes.
    pub bytes: &'j [u8],
    /// Their SHA-256.
    pub digest: [u8; 32],
    /// Its path as written in the policy, for logs.
    pub path: &'j str,
    /// The member that owns it; `None` for the operator.
    pub member: Option<&'j str>,
}

/// Compiles components.
pub trait Compiler: Send + Sync {
    /// Compiles a component.
    ///
    /// # Errors
    /// The reason for the failure. [`LoadError::Compiling`] if the result is not ready yet.
    fn compile(&self, sandbox: &Sandbox, job: CompileJob<'_>) -> Result<Component, LoadError>;
}

/// Compiles immediately in this process, without a time limit. For tests and trusted bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcessCompiler;

impl Compiler for InProcessCompiler {
    fn compile(&self, sandbox: &Sandbox, job: CompileJob<'_>) -> Result<Component, LoadError> {
        sandbox.compile(job.bytes)
    }
}
