//! Machine code that this program compiled: sealed when stored, loaded only with a valid seal.
//!
//! The engine runs stored code without validation, so loading foreign code means running it.
//! [`load`] therefore accepts only code with a keyed digest (BLAKE3) over the code and its
//! component. Damaged code, foreign code and code of another component are rejected before any use.
//! The compiler process has no key. It returns plain code, and its parent process seals the code
//! for that component.
//!
//! Limitations: a process that can read the key can seal code. Keep the key in memory or in a
//! private folder. If a fault of the compiler lets a component control its code, that code is
//! sealed, too.

use wasmtime::Engine;
use wasmtime::component::Component;

/// Bytes of a seal's key.
pub const SEAL_KEY_BYTES: usize = 32;

/// Bytes of a seal, in front of the code.
const SEAL_BYTES: usize = 32;

/// The key of the seals. It must be random and secret.
#[derive(Clone)]
pub struct Seal([u8; SEAL_KEY_BYTES]);

impl std::fmt::Debug for Seal {
    /// Never prints the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// Creates a sealer with this key. The key must be random and secret.
    #[must_use]
    pub const fn new(key: [u8; SEAL_KEY_BYTES]) -> Self {
        Self(key)
    }

    /// Returns the key, to store it.
    #[must_use]
    pub const fn key(&self) -> &[u8; SEAL_KEY_BYTES] {
        &self.0
    }

    /// Seals `code`, which [`compile`] made of `component`, in this process or in a child process.
    /// Seal nothing else: [`load`] trusts the seal.
    #[must_use]
    pub fn seal(&self, component: &[u8], code: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(SEAL_BYTES.saturating_add(code.len()));
        sealed.extend_from_slice(self.over(component, code).as_bytes());
        sealed.extend_from_slice(code);
        sealed
    }

    fn over(&self, component: &[u8], code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        // Both parts have a fixed length, so that no other pair gives the same input.
        hasher.update(blake3::hash(component).as_bytes());
        hasher.update(code);
        hasher.finalize()
    }
}

/// Why sealed code is not loaded.
#[derive(Debug)]
#[non_exhaustive]
pub enum CodeError {
    /// The code has no valid seal for this component.
    Seal,
    /// Another version of the engine made the code, or it is for another processor.
    Version(wasmtime::Error),
}

/// Compiles a component to plain code. [`Seal::seal`] turns it into the form that [`load`] accepts.
///
/// # Errors
/// The component is invalid.
pub fn compile(engine: &Engine, component: &[u8]) -> wasmtime::Result<Vec<u8>> {
    engine.precompile_component(component)
}

/// Loads sealed code of this component.
///
/// # Errors
/// [`CodeError`] names the cause: no valid seal, or another engine.
pub fn load(
    engine: &Engine,
    component: &[u8],
    sealed: &[u8],
    seal: &Seal,
) -> Result<Component, CodeError> {
    let (mark, code) = sealed.split_first_chunk::<SEAL_BYTES>().ok_or(CodeError::Seal)?;
    // The comparison takes constant time.
    if seal.over(component, code) != *mark {
        return Err(CodeError::Seal);
    }
    // SAFETY: the bytes are the output of `precompile_component`, because only such bytes are given
    // to `Seal::seal`. Without the key, no other text with a valid digest can be made. The digest
    // was compared just now, over the same bytes in our own memory. The engine rejects code of
    // another version or configuration.
    #[expect(unsafe_code, reason = "the engine cannot know where stored code comes from; we do")]
    let loaded = unsafe { Component::deserialize(engine, code) };
    loaded.map_err(CodeError::Version)
}

/// Returns a text that differs if an engine would reject the code of another one.
#[must_use]
pub fn code_version(engine: &Engine) -> String {
    struct Digest(blake3::Hasher);
    impl std::hash::Hasher for Digest {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut digest = Digest(blake3::Hasher::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut digest);
    digest.0.finalize().to_hex().chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: Seal = Seal::new([7; 32]);

    fn component(answer: i64) -> Vec<u8> {
        let text = format!(
            "(component (core module $m (func (export \"f\") (result i64) i64.const {answer}))
               (core instance $i (instantiate $m))
               (func (export \"f\") (result s64) (canon lift (core func $i \"f\"))))"
        );
        wat::parse_str(text).unwrap()
    }

    fn sealed() -> (Engine, Vec<u8>, Vec<u8>) {
        let (engine, component) = (Engine::default(), component(1));
        let sealed = SEAL.seal(&component, &compile(&engine, &component).unwrap());
        (engine, component, sealed)
    }

    #[test]
    fn what_was_compiled_here_is_loaded() {
        let (engine, component, sealed) = sealed();
        let loaded = load(&engine, &component, &sealed, &SEAL).unwrap();
        assert!(loaded.get_export_index(None, "f").is_some());
    }

    #[test]
    fn nothing_else_is() {
        let (engine, one, sealed) = sealed();
        let refused = |component: &[u8], bytes: &[u8], seal: &Seal| {
            matches!(load(&engine, component, bytes, seal), Err(CodeError::Seal))
        };
        assert!(refused(&one, &sealed, &Seal::new([8; 32])), "another key");
        assert!(refused(&component(2), &sealed, &SEAL), "of another component");
        assert!(refused(&one, &[], &SEAL) && refused(&one, &sealed[..31], &SEAL), "too short");
        assert!(refused(&one, &sealed[..sealed.len() - 1], &SEAL), "cut");
        for at in (0..sealed.len()).step_by(97).chain([31, 32, sealed.len() - 1]) {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(refused(&one, &bent, &SEAL), "bit of byte {at}");
        }
    }

    #[test]
    fn code_of_another_configuration_is_refused_by_the_engine() {
        let (_, component, _) = sealed();
        let other = Engine::new(wasmtime::Config::new().consume_fuel(true)).unwrap();
        let sealed = SEAL.seal(&component, &compile(&other, &component).unwrap());
        let plain = Engine::default();
        let refused = load(&plain, &component, &sealed, &SEAL);
        assert!(matches!(refused, Err(CodeError::Version(_))));
        assert_ne!(code_version(&plain), code_version(&other));
        assert_eq!(code_version(&plain), code_version(&Engine::default()));
    }

    #[test]
    fn a_key_is_never_shown() {
        assert_eq!(format!("{SEAL:?}"), "Seal");
    }
}
