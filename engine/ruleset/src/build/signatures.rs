//! Whose components are taken: minisign signatures (Ed25519 over BLAKE2b, `X.wasm.minisig` beside
//! `X.wasm`) against the keys that the host's configuration names.
//!
//! Where this does not protect: a signature vouches for bytes, not for their age or their name. An
//! old component that was signed once is taken for ever; the `sha256` of an `extern` pins one.

use minisign_verify::{Error, PublicKey, Signature};

/// What a signature's file is called, behind the component's name.
pub const SIGNATURE_ENDING: &str = ".minisig";
/// The most bytes of a signature's file; minisign's have some 300.
pub const SIGNATURE_BYTES_MAX: u64 = 4 << 10;

/// A key whose holder may bring components.
#[derive(Debug, Clone)]
pub struct TrustedKey {
    text: Box<str>,
    key: PublicKey,
}

/// The same text is the same key.
impl PartialEq for TrustedKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TrustedKey {}

impl TrustedKey {
    /// The key of a line such as `RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3`, as it
    /// stands in minisign's `.pub` files.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let key = PublicKey::from_base64(text).ok()?;
        Some(Self { text: text.into(), key })
    }

    /// The line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Which key vouches for `bytes`.
///
/// # Errors
/// None does; the text says why and what to do.
pub fn verify_signature<'k>(
    keys: &'k [TrustedKey],
    bytes: &[u8],
    signature: Option<&[u8]>,
) -> Result<&'k TrustedKey, &'static str> {
    let Some(text) = signature else {
        return Err("is not signed, and the configuration names the keys that may sign: \
                    `seawall rule sign` makes its `.minisig`");
    };
    let text = str::from_utf8(text).map_err(|_| "has a `.minisig` that is no text")?;
    let signature =
        Signature::decode(text).map_err(|_| "has a `.minisig` that is no minisign signature")?;
    let mut why = "is signed with a key that is not among `[rules] trusted_keys`";
    for key in keys {
        match key.key.verify(bytes, &signature, false) {
            Ok(()) => return Ok(key),
            Err(Error::UnexpectedKeyId) => {}
            Err(Error::UnexpectedAlgorithm | Error::UnsupportedLegacyMode) => {
                why = "has a signature of an old kind: sign it anew";
            }
            Err(_) => {
                why = "is not what was signed: it or its `.minisig` has changed since. Sign it \
                       anew, or bring back the file that was signed";
            }
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with `seawall rule key` and `seawall rule sign`.
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
        refused(&[KEY], SIGNED, None, "is not signed");
        refused(&[OTHER], SIGNED, Some(SIGNATURE), "not among");
        refused(&[KEY, OTHER], b"a c0mponent\n", Some(SIGNATURE), "not what was signed");
        refused(&[KEY], SIGNED, Some("x"), "no minisign signature");
        refused(&[], SIGNED, Some(SIGNATURE), "not among");
        let forged = SIGNATURE.replace("trusted comment: ", "trusted comment: x");
        refused(&[KEY], SIGNED, Some(&forged), "not what was signed");
        let bytes = verify_signature(&keys(&[KEY]), SIGNED, Some(b"\xff")).unwrap_err();
        assert!(bytes.contains("no text"), "{bytes}");
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
