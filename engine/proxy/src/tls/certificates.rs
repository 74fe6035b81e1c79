//! Certificates, and the choice among them.
//!
//! A certificate names its hosts itself, so the operator does not configure them twice. Of several
//! for one name the client gets the first with a type of key that it supports (ECDSA or RSA). A
//! client with no server name, or an unknown one, gets the first of all. A rejection would tell it
//! more, and its request will find no site.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use seawall_model::CertificatePem;

/// Why certificates cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The chain is not a PEM certificate.
    #[error("{0}: no certificate found")]
    NoCertificate(String),
    /// The key has an unknown type.
    #[error("{0}: no private key found (PKCS #8, PKCS #1 or SEC 1, not encrypted)")]
    NoKey(String),
    /// Key and certificate do not match.
    #[error("{0}: private key and certificate do not match")]
    Mismatch(String),
    /// The certificate has no host name.
    #[error("{0}: the certificate has no host name (subjectAltName)")]
    NoName(String),
    /// There is no certificate.
    #[error("no certificate is configured")]
    Nobody,
}

/// All certificates.
#[derive(Debug)]
pub struct CertificateSet {
    first: Arc<CertifiedKey>,
    named: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl CertificateSet {
    /// Reads certificates.
    ///
    /// # Errors
    /// Returns the first that cannot be used.
    pub fn read(pairs: &[CertificatePem]) -> Result<Self, CertificateError> {
        let mut first = None;
        let mut named: HashMap<String, Vec<Arc<CertifiedKey>>> = HashMap::new();
        for pair in pairs {
            let certified = Arc::new(certified(pair)?);
            for name in names(&certified, &pair.name)? {
                named.entry(name).or_default().push(Arc::clone(&certified));
            }
            first.get_or_insert(certified);
        }
        Ok(Self { first: first.ok_or(CertificateError::Nobody)?, named })
    }

    /// Creates a new certificate that no client trusts, for trials.
    ///
    /// # Errors
    /// A name is not valid in a certificate.
    pub fn self_signed(names: Vec<String>) -> Result<Self, CertificateError> {
        let name = "self-signed".to_owned();
        let made = rcgen::generate_simple_self_signed(names)
            .map_err(|_| CertificateError::NoName(name.clone()))?;
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        Self::read(&[CertificatePem { name, cert: cert.into_bytes(), key: key.into_bytes() }])
    }

    /// Returns the certificates of a name: exact ones before those of a wildcard.
    fn of(&self, name: &str) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        let exact = self.named.get(name);
        let wild = wildcard.and_then(|wildcard| self.named.get(&wildcard));
        exact.into_iter().chain(wild).flatten()
    }

    fn for_client(&self, name: Option<&str>, hello: &ClientHello<'_>) -> Arc<CertifiedKey> {
        let can_check = |certified: &&Arc<CertifiedKey>| {
            certified.key.choose_scheme(hello.signature_schemes()).is_some()
        };
        let named = name.map(str::to_ascii_lowercase);
        let found = named.as_deref().and_then(|name| self.of(name).find(can_check));
        Arc::clone(found.unwrap_or(&self.first))
    }
}

impl ResolvesServerCert for CertificateSet {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.for_client(hello.server_name(), &hello))
    }
}

fn certified(pair: &CertificatePem) -> Result<CertifiedKey, CertificateError> {
    let name = || pair.name.clone();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pair.cert).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| CertificateError::NoCertificate(name()))?;
    let key = PrivateKeyDer::from_pem_slice(&pair.key)
        .ok()
        .and_then(|key| any_supported_type(&key).ok())
        .ok_or_else(|| CertificateError::NoKey(name()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // A key of a type that cannot show its public part is accepted.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(certified)
        }
        Err(_) => Err(CertificateError::Mismatch(name())),
    }
}

/// Returns the host names of a certificate, in lower case.
fn names(certified: &CertifiedKey, name: &str) -> Result<Vec<String>, CertificateError> {
    let none = || CertificateError::NoName(name.to_owned());
    let own = certified.cert.first().ok_or_else(none)?;
    let parsed = webpki::EndEntityCert::try_from(own).map_err(|_| none())?;
    let names: Vec<String> = parsed.valid_dns_names().map(str::to_ascii_lowercase).collect();
    if names.is_empty() { Err(none()) } else { Ok(names) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(names: &[&str]) -> CertificatePem {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let (cert, key) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem());
        CertificatePem { name: "pair".into(), cert, key: key.into_bytes() }
    }

    #[test]
    fn a_name_gets_its_own_certificate_before_a_wildcards() {
        let pairs =
            [pair(&["first.example"]), pair(&["*.a.example"]), pair(&["b.a.example", "x.example"])];
        let all = CertificateSet::read(&pairs).unwrap();
        let ders: Vec<_> =
            pairs.iter().map(|pair| certified(pair).unwrap().cert[0].clone()).collect();
        let shown = |name| {
            all.of(name)
                .map(|certified| ders.iter().position(|der| *der == certified.cert[0]).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(shown("b.a.example"), [2, 1]);
        assert_eq!(shown("c.a.example"), [1]);
        assert_eq!(shown("x.example"), [2]);
        // A wildcard stands for one label (RFC 6125 §6.4.3).
        assert_eq!(shown("d.c.a.example"), Vec::<usize>::new());
        assert_eq!(shown("a.example"), Vec::<usize>::new());
        assert_eq!(all.first.cert[0], ders[0]);
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let (one, two) = (pair(&["a.example"]), pair(&["b.example"]));
        let with = |cert: &[u8], key: &[u8]| {
            CertificateSet::read(&[CertificatePem {
                name: "x".into(),
                cert: cert.into(),
                key: key.into(),
            }])
            .unwrap_err()
        };
        assert_eq!(with(b"", &one.key), CertificateError::NoCertificate("x".into()));
        assert_eq!(with(&one.key, &one.key), CertificateError::NoCertificate("x".into()));
        assert_eq!(with(&one.cert, b"junk"), CertificateError::NoKey("x".into()));
        assert_eq!(with(&one.cert, &two.key), CertificateError::Mismatch("x".into()));
        assert_eq!(CertificateSet::read(&[]).unwrap_err(), CertificateError::Nobody);
        assert!(!format!("{one:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_self_signed_one_is_for_the_names_that_are_asked() {
        let all = CertificateSet::self_signed(vec!["a.localhost".into(), "*.b.localhost".into()]);
        let all = all.unwrap();
        assert_eq!(all.of("a.localhost").count() + all.of("x.b.localhost").count(), 2);
    }
}
