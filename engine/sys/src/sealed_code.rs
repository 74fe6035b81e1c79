//! Machine code that this program made itself: sealed when it is made, loaded only with its seal.
//!
//! The engine runs stored code without looking at it again, so loading a stranger's would be
//! running it. Hence [`load`] takes only code with a keyed digest (BLAKE3) over it and over the
//! component that it was made of: what was damaged, made by others or made of another component is
//! refused before a byte of it is believed. The process that compiles a stranger's component has no
//! key: it gives bare code, and who started it seals that, for the component that it was handed.
//!
//! Where this does not protect: whoever can read the key can seal code. It belongs into memory, or
//! into a folder that nobody else can read. And a fault of the compiler that lets a component decide
//! what code comes of it makes code that is sealed: the seal says where code comes from, not what it
//! does.

use wasmtime::Engine;
use wasmtime::component::Component;

/// Bytes of a seal's key.
pub const SEAL_KEY_BYTES: usize = 32;

/// Bytes that a seal takes in front of the code.
const SEAL_BYTES: usize = 32;

/// The key that says which code is ours. As good as its randomness.
#[derive(Clone)]
pub struct Seal([u8; SEAL_KEY_BYTES]);

impl std::fmt::Debug for Seal {
    /// Never the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// The seal of a key, which must be random and secret.
    #[must_use]
    pub const fn new(key: [u8; SEAL_KEY_BYTES]) -> Self {
        Self(key)
    }

    /// The key, for whoever keeps it.
    #[must_use]
    pub const fn key(&self) -> &[u8; SEAL_KEY_BYTES] {
        &self.0
    }

    /// Seals `code`, which [`compile`] made of `component`, in this process or in one that this
    /// program started for it. Nothing else may be sealed: [`load`] believes it.
    #[must_use]
    pub fn seal(&self, component: &[u8], code: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(SEAL_BYTES.saturating_add(code.len()));
        sealed.extend_from_slice(self.over(component, code).as_bytes());
        sealed.extend_from_slice(code);
        sealed
    }

    fn over(&self, component: &[u8], code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        // Of fixed length, so that the two parts cannot be mistaken for each other.
        hasher.update(blake3::hash(component).as_bytes());
        hasher.update(code);
        hasher.finalize()
    }
}

/// Why sealed code is not loaded.
#[derive(Debug)]
#[non_exhaustive]
pub enum CodeError {
    /// It bears no seal of ours for this component.
    Seal,
    /// It was made by another version of the engine, or for another processor.
    Version(wasmtime::Error),
}

/// Compiles a component to bare code, which [`Seal::seal`] makes what [`load`] takes.
///
/// # Errors
/// It is not valid.
pub fn compile(engine: &Engine, component: &[u8]) -> wasmtime::Result<Vec<u8>> {
    engine.precompile_component(component)
}

/// Loads what was made of this component and sealed so.
///
/// # Errors
/// It made something else, or for another engine.
pub fn load(
    engine: &Engine,
    component: &[u8],
    sealed: &[u8],
    seal: &Seal,
) -> Result<Component, CodeError> {
    let (mark, code) = sealed.split_first_chunk::<SEAL_BYTES>().ok_or(CodeError::Seal)?;
    // This comparison takes the same time wherever the two differ.
    if seal.over(component, code) != *mark {
        return Err(CodeError::Seal);
    }
    // SAFETY: the bytes are those that were given to `Seal::seal`, which takes only what
    // `precompile_component` gave: nobody without the key can make another text with this digest,
    // and the digest was compared just now, over the same bytes in our own memory. Code of another
    // version or configuration the engine refuses.
    #[expect(unsafe_code, reason = "the engine cannot know where stored code comes from; we do")]
    let loaded = unsafe { Component::deserialize(engine, code) };
    loaded.map_err(CodeError::Version)
}

/// What differs where an engine would refuse code that another made.
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
