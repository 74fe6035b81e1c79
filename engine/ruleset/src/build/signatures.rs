//! Signatures of components: minisign (Ed25519 over BLAKE2b, `X.wasm.minisig` beside `X.wasm`),
//! verified with the keys in the configuration.
//!
//! Limitation: a signature covers bytes, not their age or name. An old component with a signature
//! stays valid; the `sha256` of an `extern` pins one version.

use minisign_verify::{Error, PublicKey, Signature};

/// The suffix of a signature file.
pub const SIGNATURE_ENDING: &str = ".minisig";
/// Most bytes of a signature file; those of minisign have about 300.
pub const SIGNATURE_BYTES_MAX: u64 = 4 << 10;

/// A key whose owner can sign components.
#[derive(Debug, Clone)]
pub struct TrustedKey {
    text: Box<str>,
    key: PublicKey,
}

/// Equal texts are equal keys.
impl PartialEq for TrustedKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TrustedKey {}

impl TrustedKey {
    /// Parses a line such as `RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3`, the format
    /// of minisign's `.pub` files.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let key = PublicKey::from_base64(text).ok()?;
        Some(Self { text: text.into(), key })
    }

    /// Returns the line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Returns the key with a valid signature of `bytes`.
///
/// # Errors
/// No key has one; the text contains the reason and the correction.
pub fn verify_signature<'k>(
    keys: &'k [TrustedKey],
    bytes: &[u8],
    signature: Option<&[u8]>,
) -> Result<&'k TrustedKey, &'static str> {
    let Some(text) = signature else {
        return Err(
            "has no signature, but the configuration requires one: run `seawall rule sign`",
        );
    };
    let text = str::from_utf8(text).map_err(|_| "has a `.minisig` that is not valid UTF-8")?;
    let signature =
        Signature::decode(text).map_err(|_| "has a `.minisig` that is not a minisign signature")?;
    let mut why = "is signed with a key that is not among `[rules] trusted_keys`";
    for key in keys {
        match key.key.verify(bytes, &signature, false) {
            Ok(()) => return Ok(key),
            Err(Error::UnexpectedKeyId) => {}
            Err(Error::UnexpectedAlgorithm | Error::UnsupportedLegacyMode) => {
                why = "has a signature in an old format: sign it again";
            }
            Err(_) => {
                why = "does not match its signature: the component or its `.minisig` has changed. \
                    Sign it again, or restore the signed file";
            }
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with `seawall rule keygen` and `seawall rule sign`.
    const KEY: &str = "RWRDJtN4tIDwSSb67Yp5VuUx+6y5vPbQ+kYdV3wurGdro5Dq/G6wPD+z";
    const OTHER: &str = "RWS1ucIwXg4+wphKu7duFBWD0zIYUxmmaNwKgsS95bvRAkXLIC1YfYEC";
    const SIGNED: &[u8] = b"a component\n";
    const SIGNATURE: &str = include_str!("../../../../tests/fixtures/signed.minisig");

    fn keys(texts: &[&str]) -> Vec<TrustedKey> {
        texts.iter().map(|text| TrustedKey::parse(text).unwrap()).collect()
    }

    #[test]
    fn the_key_that_vouches_is_named() {
        for order in [[KEY, OTHER], [OTHER, KEY]] {
            let keys = keys(&order);
            assert_eq!(
                verify_signature(&keys, SIGNED, Some(SIGNATURE.as_bytes())).unwrap().text(),
                KEY
            );
        }
    }

    #[test]
    fn what_nobody_vouches_for_says_why() {
        let refused = |trusted: &[&str], bytes: &[u8], signature: Option<&str>, part: &str| {
            let why =
                verify_signature(&keys(trusted), bytes, signature.map(str::as_bytes)).unwrap_err();
            assert!(why.contains(part), "{why}");
        };
        refused(&[KEY], SIGNED, None, "has no signature");
        refused(&[OTHER], SIGNED, Some(SIGNATURE), "not among");
        refused(&[KEY, OTHER], b"a c0mponent\n", Some(SIGNATURE), "does not match its signature");
        refused(&[KEY], SIGNED, Some("x"), "not a minisign signature");
        refused(&[], SIGNED, Some(SIGNATURE), "not among");
        let forged = SIGNATURE.replace("trusted comment: ", "trusted comment: x");
        refused(&[KEY], SIGNED, Some(&forged), "does not match its signature");
        let bytes = verify_signature(&keys(&[KEY]), SIGNED, Some(b"\xff")).unwrap_err();
        assert!(bytes.contains("not valid UTF-8"), "{bytes}");
    }

    #[test]
    fn what_is_no_key_is_none() {
        for text in
            ["", "RWQ", "not base64 at all", KEY.trim_start_matches('R'), &format!("{KEY} ")]
        {
            assert!(TrustedKey::parse(text).is_none(), "{text}");
        }
    }
}
