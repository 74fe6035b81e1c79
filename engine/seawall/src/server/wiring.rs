//! What the data plane needs beside the configuration's own values: certificates, memory, sockets.

use std::sync::Arc;

use seawall_config::{CertificateSource, Config};
use seawall_control::{CertificateWatcher, HandedSocket, MemoryMonitor, read_certificates};
use seawall_model::CertificatePem;
use seawall_proxy::{CertificateSet, CertificateStore, ListeningSocket, MemoryReader, MemoryUsage};

use crate::cli::exit::{ExitStatus, fail, print_err};

/// Returns the memory reader, if there is a limit.
pub(super) fn memory(config: &Config) -> Option<MemoryReader> {
    let watch = MemoryMonitor::find(config.limits.overload.max_memory_bytes);
    let is_bounded = watch.is_bounded();
    let gauge =
        move || watch.used_of().map(|(bytes, most)| MemoryUsage { bytes, limit_bytes: most });
    is_bounded.then(|| -> MemoryReader { Arc::new(gauge) })
}

pub(super) fn listening((address, socket): HandedSocket) -> ListeningSocket {
    ListeningSocket { address, socket }
}

/// The active certificates, and the watcher of their files.
pub(super) type CertificatesAndWatcher =
    (Option<Arc<CertificateStore>>, Option<CertificateWatcher>);

pub(super) fn certificates(config: &Config) -> Result<CertificatesAndWatcher, ExitStatus> {
    let wrong = |why: &dyn std::fmt::Display| fail(ExitStatus::Failure, why);
    match &config.certificates {
        CertificateSource::None => Ok((None, None)),
        CertificateSource::SelfSigned => {
            let hosts = config.sites.iter().flat_map(|site| &site.hosts).map(ToString::to_string);
            let identities = CertificateSet::self_signed(hosts.collect()).map_err(|e| wrong(&e))?;
            print_err("the certificate is self-signed: clients will not trust it");
            Ok((Some(Arc::new(CertificateStore::new(identities))), None))
        }
        CertificateSource::Files(files) => {
            let texts = read_certificates(files).map_err(|e| wrong(&e))?;
            let shown = Arc::new(CertificateStore::new(
                CertificateSet::read(&texts).map_err(|e| wrong(&e))?,
            ));
            let showing = shown.clone();
            let show = move |texts: Vec<CertificatePem>| {
                showing.set_certificates(
                    CertificateSet::read(&texts).map_err(|error| error.to_string())?,
                );
                Ok(())
            };
            let watch = CertificateWatcher::start(files.clone(), &texts, show);
            Ok((Some(shown), Some(watch.map_err(|error| fail(ExitStatus::InternalError, error))?)))
        }
    }
}
