//! `[tls]`: the certificates of the `https` addresses.

use std::path::Path;

use toml::de::DeTable;

use super::path;
use crate::config::{CertificateFiles, CertificateSource};
use crate::diagnostics::Diagnostics;
use crate::document::Part;

/// Most certificates: all of them are in memory.
pub const CERTIFICATES_MAX: usize = 10_000;

/// Reads the section. Certificates without an `https` address are an error, and an `https` address
/// without certificates is one too.
pub(crate) fn read(
    root: &DeTable<'_>,
    (folder, has_tls): (&Path, bool),
    said: &mut Diagnostics<'_>,
) -> CertificateSource {
    let part = Part::of_root(root, "tls");
    match (part.is_there(), has_tls) {
        (false, false) => return CertificateSource::None,
        (false, true) => {
            let help = "add [[tls.certificate]] with cert and key, or, for a test, \
                        `self_signed = true` under [tls]";
            let message = "`https` is set in [listen], but [tls] is missing".to_owned();
            said.push_missing(0..0, message, help);
            return CertificateSource::None;
        }
        (true, false) => {
            let help = "add https = [\"[::]:443\"] to [listen], or remove [tls]".to_owned();
            let message = "[tls] is set, but [listen] has no `https` address".to_owned();
            said.push(part.at.clone(), message, Some(help));
            return CertificateSource::None;
        }
        (true, true) => {}
    }
    let self_signed = part.boolean("self_signed", said).is_some_and(|wanted| wanted.value);
    let certificates = part.parts("certificate", "tls.certificate");
    match (certificates.as_slice(), self_signed) {
        ([], true) => CertificateSource::SelfSigned,
        ([], false) => {
            let help = "add [[tls.certificate]] with cert and key";
            said.push_missing(part.at.clone(), "[tls] has no certificate".into(), help);
            CertificateSource::None
        }
        (_, true) => {
            let help = "remove one of the two".to_owned();
            let message = "`self_signed` and [[tls.certificate]] exclude each other".to_owned();
            said.push(part.at.clone(), message, Some(help));
            CertificateSource::None
        }
        (certificates, false) => files(certificates, folder, said),
    }
}

fn files(
    certificates: &[Part<'_>],
    folder: &Path,
    said: &mut Diagnostics<'_>,
) -> CertificateSource {
    if let Some(over) = certificates.get(CERTIFICATES_MAX) {
        said.push(over.at.clone(), format!("more than {CERTIFICATES_MAX} certificates"), None);
        return CertificateSource::None;
    }
    let mut files = Vec::with_capacity(certificates.len());
    for part in certificates {
        let [cert, key] = ["cert", "key"].map(|name| {
            if part.get(name).is_none() {
                let message = format!("`{name}` is missing in [[tls.certificate]]");
                said.push_missing(part.at.clone(), message, &format!("add {name} = \"PATH\""));
            }
            path(part, name, said)
        });
        if let (Some(cert), Some(key)) = (cert, key) {
            files.push(CertificateFiles { cert: folder.join(cert), key: folder.join(key) });
        }
    }
    CertificateSource::Files(files)
}
