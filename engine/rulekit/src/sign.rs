//! Keys and signatures in the formats of minisign: each program accepts the files of the other.

use anyhow::{Context, Result, anyhow, bail};
use minisign::{KeyPair, SecretKey, SecretKeyBox};
use std::io::Cursor;

/// A new key pair, as texts of files.
#[derive(Debug)]
pub struct NewKeys {
    /// The secret key. Without a password, any process that reads it can sign.
    pub secret: String,
    /// The line for a configuration.
    pub public: String,
}

/// Creates a key pair. Without a password, only the permissions of the file protect the secret key.
///
/// # Errors
/// The system provides no random numbers.
pub fn new_keys(password: Option<String>) -> Result<NewKeys> {
    let KeyPair { pk, sk } = match password {
        None => KeyPair::generate_unencrypted_keypair()?,
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password))?,
    };
    let comment = "secret key for Seawall rules; keep it secret";
    Ok(NewKeys { secret: sk.to_box(Some(comment))?.into_string(), public: pk.to_base64() })
}

/// A secret key that was read, and whether it needs a password.
#[derive(Debug)]
pub enum Unlocked {
    /// Usable without a password.
    Key(Box<SecretKey>),
    /// A password is needed.
    NeedsPassword(SecretKeyBox),
}

/// Reads a secret key from the text of a file.
///
/// # Errors
/// The text is not a secret key.
pub fn secret_key(text: &str) -> Result<Unlocked> {
    let lines = text.lines().count();
    if lines < 2 || !text.starts_with("untrusted comment:") {
        bail!("the file is not a secret key: use a file of `seawall rule keygen` or `minisign -G`");
    }
    match SecretKeyBox::from_string(text)?.into_unencrypted_secret_key() {
        Ok(key) => Ok(Unlocked::Key(Box::new(key))),
        Err(_) => Ok(Unlocked::NeedsPassword(SecretKeyBox::from_string(text)?)),
    }
}

/// Unlocks a key with its password.
///
/// # Errors
/// The password is wrong, or the file is damaged.
pub fn unlock(locked: SecretKeyBox, password: String) -> Result<SecretKey> {
    let unlocked = locked.into_secret_key(Some(password));
    unlocked.map_err(|_| anyhow!("the password is wrong, or the file of the key is damaged"))
}

/// Returns the text of a signature file for `bytes`. `name` is written to the signed comment.
///
/// # Errors
/// The key is locked.
pub fn sign(key: &SecretKey, bytes: &[u8], name: &str) -> Result<String> {
    let trusted = format!("file:{name}");
    let comment = "signature of a Seawall rule";
    let signed = minisign::sign(None, key, Cursor::new(bytes), Some(&trusted), Some(comment));
    Ok(signed.context("cannot sign")?.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed_with(password: Option<&str>) -> (NewKeys, String) {
        let keys = new_keys(password.map(str::to_owned)).unwrap();
        let key = match (secret_key(&keys.secret).unwrap(), password) {
            (Unlocked::Key(key), None) => *key,
            (Unlocked::NeedsPassword(locked), Some(password)) => {
                assert!(unlock(locked.clone(), "another".into()).is_err());
                unlock(locked, password.into()).unwrap()
            }
            (other, _) => panic!("{other:?}"),
        };
        let signature = sign(&key, b"component", "a.wasm").unwrap();
        (keys, signature)
    }

    #[test]
    fn what_is_signed_is_verified_by_minisigns_rules() {
        for password in [None, Some("open")] {
            let (keys, signature) = signed_with(password);
            let public = minisign::PublicKey::from_base64(&keys.public).unwrap();
            let signature = minisign::SignatureBox::from_string(&signature).unwrap();
            assert_eq!(signature.trusted_comment().unwrap(), "file:a.wasm");
            let verify = |bytes: &[u8]| {
                minisign::verify(&public, &signature, Cursor::new(bytes), true, false, false)
            };
            verify(b"component").unwrap();
            assert!(verify(b"c0mponent").is_err());
        }
    }

    #[test]
    fn what_is_no_secret_key_is_told_so() {
        let keys = new_keys(None).unwrap();
        for text in ["", "x", &keys.public] {
            assert!(
                secret_key(text).unwrap_err().to_string().contains("not a secret key"),
                "{text}"
            );
        }
    }
}
