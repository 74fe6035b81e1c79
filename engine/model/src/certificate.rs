//! Certificates and keys as PEM, before they are parsed.

/// A certificate chain and its key, as PEM.
#[derive(Clone)]
pub struct CertificatePem {
    /// The name in diagnostics: the path of the certificate.
    pub name: String,
    /// The chain; the certificate of the server comes first.
    pub cert: Vec<u8>,
    /// The private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for CertificatePem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificatePem").field("name", &self.name).finish_non_exhaustive()
    }
}
