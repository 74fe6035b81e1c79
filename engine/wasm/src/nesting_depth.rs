//! Checks the nesting of a component before it is compiled.
//!
//! The memory for compiling grows with the square of the depth: 120 KB of nested empty components
//! need 2 GB. One pass over the bytes checks it, with memory for the allowed depth only.

use crate::{LoadError, SandboxLimits};
use wasmparser::{
    FunctionBody, Instance, InstanceSectionReader, MemorySectionReader, Operator, Parser, Payload,
};

/// Bytes of a page of linear memory, unless a module says otherwise.
const PAGE_LOG2: u32 = 16;

/// Checks the nesting.
///
/// # Errors
/// It is nested too deeply, or is not WebAssembly.
pub(crate) fn check(bytes: &[u8], limits: &SandboxLimits) -> Result<(), LoadError> {
    let mut depth = Depth::new("components", limits.component_depth_max);
    let mut cores = Cores { open: 0, max: limits.core_instances_per_component_max };
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| invalid(&error))? {
            Payload::Version { .. } => depth.enter()?,
            Payload::End(_) => depth.leave(),
            Payload::CodeSectionEntry(body) => blocks(&body, limits)?,
            Payload::InstanceSection(instances) => cores.add(instances)?,
            Payload::MemorySection(memories) => beginnings(memories, limits)?,
            _ => {}
        }
    }
    Ok(())
}

fn blocks(body: &FunctionBody<'_>, limits: &SandboxLimits) -> Result<(), LoadError> {
    if body.range().len() > limits.function_bytes_max {
        return Err(LoadError::LongFunction { max: limits.function_bytes_max });
    }
    let mut depth = Depth::new("blocks", limits.block_depth_max);
    let mut loops = Depth::new("loops", limits.loop_depth_max);
    // For each open block, whether it is a loop.
    let mut open = Vec::new();
    let mut operators = body.get_operators_reader().map_err(|error| invalid(&error))?;
    while !operators.eof() {
        let is_loop = match operators.read().map_err(|error| invalid(&error))? {
            Operator::Loop { .. } => true,
            Operator::Block { .. }
            | Operator::If { .. }
            | Operator::Try { .. }
            | Operator::TryTable { .. } => false,
            Operator::End | Operator::Delegate { .. } => {
                depth.leave();
                if open.pop() == Some(true) {
                    loops.leave();
                }
                continue;
            }
            _ => continue,
        };
        depth.enter()?;
        if is_loop {
            loops.enter()?;
        }
        open.push(is_loop);
    }
    Ok(())
}

/// Checks the initial size of memories against the maximum of any `extern`. The engine's own limit
/// is that of large components.
fn beginnings(memories: MemorySectionReader<'_>, limits: &SandboxLimits) -> Result<(), LoadError> {
    let max = limits.memory_bytes_max as u64;
    for memory in memories {
        let memory = memory.map_err(|error| invalid(&error))?;
        let page =
            1_u64.checked_shl(memory.page_size_log2.unwrap_or(PAGE_LOG2)).unwrap_or(u64::MAX);
        let bytes = memory.initial.saturating_mul(page);
        if bytes > max {
            let why = format!("a memory begins with {bytes} bytes; the maximum is {max}");
            return Err(LoadError::Invalid(why));
        }
    }
    Ok(())
}

/// The number of instantiated core modules. A component that is instantiated twice counts once
/// here; the engine counts again.
struct Cores {
    open: u32,
    max: u32,
}

impl Cores {
    fn add(&mut self, instances: InstanceSectionReader<'_>) -> Result<(), LoadError> {
        for instance in instances {
            let instance = instance.map_err(|error| invalid(&error))?;
            self.open += u32::from(matches!(instance, Instance::Instantiate { .. }));
            if self.open > self.max {
                return Err(LoadError::CoreInstances { max: self.max });
            }
        }
        Ok(())
    }
}

struct Depth {
    what: &'static str,
    open: usize,
    max: usize,
}

impl Depth {
    const fn new(what: &'static str, max: usize) -> Self {
        Self { what, open: 0, max }
    }

    const fn enter(&mut self) -> Result<(), LoadError> {
        self.open += 1;
        if self.open > self.max {
            return Err(LoadError::Nested { what: self.what, max: self.max });
        }
        Ok(())
    }

    const fn leave(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}

fn invalid(error: &wasmparser::BinaryReaderError) -> LoadError {
    let words: Vec<&str> = error.message().split_whitespace().collect();
    LoadError::Invalid(words.join(" "))
}
