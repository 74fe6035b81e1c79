//! How deep a component is nested, seen before the compiler sees it.
//!
//! What the compiler takes grows by the square of the depth: 120 KB of empty components inside each
//! other take 2 GB. One pass over the bytes finds that, and holds no more than the depth allowed.

use crate::{LoadError, SandboxLimits};
use wasmparser::{FunctionBody, Operator, Parser, Payload};

/// # Errors
/// It is nested too deep, or is not WebAssembly.
pub(crate) fn check(bytes: &[u8], limits: &SandboxLimits) -> Result<(), LoadError> {
    let mut depth = Depth::new("components", limits.component_depth_max);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| invalid(&error))? {
            Payload::Version { .. } => depth.enter()?,
            Payload::End(_) => depth.leave(),
            Payload::CodeSectionEntry(body) => blocks(&body, limits)?,
            _ => {}
        }
    }
    Ok(())
}

fn blocks(body: &FunctionBody<'_>, limits: &SandboxLimits) -> Result<(), LoadError> {
    let mut depth = Depth::new("blocks", limits.block_depth_max);
    let mut loops = Depth::new("loops", limits.loop_depth_max);
    // Whether each open block is a loop.
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
