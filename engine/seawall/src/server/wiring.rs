//! Converts the configuration for the data plane: certificates, memory, trusted proxies, sites and
//! limits.

use std::sync::Arc;

use seawall_control::{
    CertificateSource, CertificateWatcher, Config, HandedSocket, MemoryMonitor, read_certificates,
};
use seawall_proxy::{
    CertificateSet, CertificateStore, ClientHeader, ListeningSocket, MemoryReader, MemoryUsage,
    PathTimeouts, ProxyLimits, SiteConfig, TrustedProxies,
};

use seawall_model::CertificatePem;

use crate::cli::exit::{ExitStatus, fail, print_err};

/// Returns the memory reader, if there is a limit.
pub(super) fn memory(config: &Config) -> Option<MemoryReader> {
    let watch = MemoryMonitor::find(config.limits.memory_bytes_max);
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

pub(super) fn trusted(of: &seawall_control::TrustedProxies) -> TrustedProxies {
    use seawall_control::ClientHeader as Written;
    let header = of.header.map(|header| match header {
        Written::XForwardedFor => ClientHeader::XForwardedFor,
        Written::Forwarded => ClientHeader::Forwarded,
        Written::XRealIp => ClientHeader::XRealIp,
    });
    let usual = TrustedProxies::default();
    TrustedProxies {
        nets: of.nets.clone(),
        proxy_protocol: of.proxy_protocol,
        header,
        idle_ms: of.idle.map_or(usual.idle_ms, |idle| millis(idle).into()),
    }
}

/// Converts a time that was validated to be at most an hour.
fn millis(time: std::time::Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

pub(super) fn site(of: &seawall_control::SiteConfig) -> SiteConfig {
    let timeouts = of.timeouts.iter().map(|of| PathTimeouts {
        path_prefix: of.path_prefix.clone(),
        response_header_ms: of.response_header.map(millis),
        read_ms: of.read.map(millis),
    });
    SiteConfig {
        name: of.name.clone(),
        hosts: of.hosts.clone(),
        origins: of.origins.iter().map(|origin| origin.to_string().into()).collect(),
        health: of.health.clone(),
        share: of.share,
        inflight_max: of.inflight_max,
        timeouts: timeouts.collect(),
        scripts: of.scripts.clone(),
    }
}

/// Returns the data plane's limits with the changes of the configuration. Validated values of
/// `[limits]` fit into every type here.
pub(super) fn limits(config: &Config) -> ProxyLimits {
    fn set<T: TryFrom<u64>>(to: &mut T, from: Option<u64>) {
        if let Some(value) = from.and_then(|value| T::try_from(value).ok()) {
            *to = value;
        }
    }
    let (mut to, from) = (ProxyLimits::default(), &config.limits);
    set(&mut to.connections_max, from.connections_max);
    set(&mut to.connections_per_client_max, from.connections_per_client_max);
    set(&mut to.connections_per_net_max, from.connections_per_net_max);
    set(&mut to.proxy_header_ms, from.proxy_header_ms);
    set(&mut to.proxy_header_bytes_max, from.proxy_header_bytes_max);
    set(&mut to.head_total_ms, from.head_total_ms);
    set(&mut to.head_bytes_max, from.head_bytes_max);
    set(&mut to.head_fields_max, from.head_fields_max);
    set(&mut to.head_reads_max, from.head_reads_max);
    set(&mut to.tls_handshake_ms, from.tls_handshake_ms);
    set(&mut to.idle_ms, from.idle_ms);
    set(&mut to.connection_requests_max, from.connection_requests_max);
    set(&mut to.connection_age_ms, from.connection_age_ms);
    set(&mut to.body_bytes_per_s_min, from.body_bytes_per_s_min);
    set(&mut to.body_grace_ms, from.body_grace_ms);
    set(&mut to.write_stall_ms, from.write_stall_ms);
    set(&mut to.request_total_ms, from.request_total_ms);
    set(&mut to.tunnel_idle_ms, from.tunnel_idle_ms);
    set(&mut to.origin_connect_ms, from.origin_connect_ms);
    set(&mut to.origin_head_ms, from.origin_head_ms);
    set(&mut to.origin_head_bytes_max, from.origin_head_bytes_max);
    set(&mut to.origin_read_ms, from.origin_read_ms);
    set(&mut to.origin_write_ms, from.origin_write_ms);
    set(&mut to.origin_idle_ms, from.origin_idle_ms);
    set(&mut to.origin_idle_connections_max, from.origin_idle_connections_max);
    set(&mut to.origin_attempts_max, from.origin_attempts_max);
    set(&mut to.origin_inflight_max, from.origin_inflight_max);
    set(&mut to.origin_failures_max, from.origin_failures_max);
    set(&mut to.origin_failures_percent, from.origin_failures_percent);
    set(&mut to.origin_results_min, from.origin_results_min);
    set(&mut to.origin_failures_ms, from.origin_failures_ms);
    set(&mut to.origin_open_ms, from.origin_open_ms);
    set(&mut to.origin_open_ms_max, from.origin_open_ms_max);
    set(&mut to.origin_trials_max, from.origin_trials_max);
    set(&mut to.origin_retry_percent, from.origin_retry_percent);
    set(&mut to.origin_retries_per_s, from.origin_retries_per_s);
    set(&mut to.origin_retries_saved_max, from.origin_retries_saved_max);
    set(&mut to.health_interval_ms, from.health_interval_ms);
    set(&mut to.health_timeout_ms, from.health_timeout_ms);
    set(&mut to.health_fall, from.health_fall);
    set(&mut to.health_rise, from.health_rise);
    set(&mut to.health_answer_bytes_max, from.health_answer_bytes_max);
    set(&mut to.health_checks_max, from.health_checks_max);
    set(&mut to.connections_per_client_per_s_max, from.connections_per_client_per_s_max);
    set(&mut to.origin_receive_bytes, from.origin_receive_bytes);
    set(&mut to.forwards_max, from.forwards_max);
    set(&mut to.forwards_per_client_max, from.forwards_per_client_max);
    set(&mut to.forwards_per_net_max, from.forwards_per_net_max);
    set(&mut to.origin_uploads_max, from.origin_uploads_max);
    set(&mut to.origin_tunnels_max, from.origin_tunnels_max);
    set(&mut to.body_ahead_bytes_max, from.body_ahead_bytes_max);
    set(&mut to.queue_max, from.queue_max);
    set(&mut to.queue_ms, from.queue_ms);
    set(&mut to.light_client_max, from.light_client_max);
    set(&mut to.regular_after_ms, from.regular_after_ms);
    set(&mut to.calm_after_ms, from.calm_after_ms);
    set(&mut to.egress_bytes_per_s, from.egress_bytes_per_s);
    to
}
