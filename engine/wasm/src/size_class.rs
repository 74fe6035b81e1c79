//! Small and large components, and their limits.
//!
//! Decision: the class depends only on the length of the file. A component has no reliable
//! statement of its language, but only one with a whole runtime is long, and only that needs much
//! memory. A long file gets more memory and fewer instances, and a short one keeps the low limits.

use crate::{LoadError, SandboxLimits};

/// The limits of one component: those of the sandbox, with the values for large components if it is
/// large.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SizeClass {
    limits: SandboxLimits,
    is_large: bool,
}

impl SizeClass {
    /// Returns the class of a file of this length.
    ///
    /// # Errors
    /// It is too long for both classes.
    pub(crate) fn of(bytes: usize, limits: &SandboxLimits) -> Result<Self, LoadError> {
        let max = limits.component_bytes_max.max(limits.large_component_bytes_max);
        if bytes > max {
            return Err(LoadError::TooLong { bytes, max });
        }
        let is_large = bytes > limits.component_bytes_max;
        let limits = if is_large { large(limits) } else { *limits };
        Ok(Self { limits, is_large })
    }

    pub(crate) const fn limits(&self) -> &SandboxLimits {
        &self.limits
    }

    pub(crate) const fn is_large(&self) -> bool {
        self.is_large
    }
}

const fn large(limits: &SandboxLimits) -> SandboxLimits {
    SandboxLimits {
        memory_bytes_max: limits.large_memory_bytes_max,
        instances_per_function_max: limits.large_instances_per_function_max,
        core_instances_per_component_max: limits.large_core_instances_per_component_max,
        ..*limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_small_to_its_limit_and_large_to_the_other() {
        let limits = SandboxLimits::default();
        let (small, large) = (limits.component_bytes_max, limits.large_component_bytes_max);
        let class = |bytes| SizeClass::of(bytes, &limits);
        assert_eq!(*class(small).unwrap().limits(), limits);
        for bytes in [small + 1, large] {
            let class = class(bytes).unwrap();
            assert!(class.is_large(), "{bytes}");
            assert_eq!(class.limits().memory_bytes_max, limits.large_memory_bytes_max);
        }
        let error = class(large + 1).unwrap_err();
        assert_eq!(error, LoadError::TooLong { bytes: large + 1, max: large });
    }
}
