//! Renamed keys. An old file gets an error that names the new key.

use toml::de::DeValue;

use crate::keys;
use crate::quantity;
use crate::setting::Kind;

/// An old key and the new one.
pub(crate) struct Renamed {
    section: &'static str,
    old: &'static str,
    pub(crate) new_section: &'static str,
    pub(crate) new: &'static str,
}

macro_rules! renamed {
    ($($section:literal $old:literal => $new_section:literal $new:literal;)+) => {
        const RENAMED: &[Renamed] = &[
            $(Renamed { section: $section, old: $old, new_section: $new_section, new: $new },)+
        ];
    };
}

renamed! {
    "limits" "connections_max" => "connections" "max_connections";
    "limits" "connections_per_client_max" => "connections" "max_connections_per_client";
    "limits" "connections_per_net_max" => "connections" "max_connections_per_network";
    "limits" "connections_per_client_per_s_max" => "connections" "connection_rate_per_client";
    "limits" "connection_requests_max" => "connections" "max_requests_per_connection";
    "limits" "connection_age_ms" => "connections" "max_connection_duration";
    "limits" "proxy_header_bytes_max" => "connections" "max_proxy_protocol_header_bytes";
    "limits" "proxy_header_ms" => "timeouts" "proxy_protocol_timeout";
    "limits" "tls_handshake_ms" => "timeouts" "tls_handshake_timeout";
    "limits" "head_total_ms" => "timeouts" "request_header_timeout";
    "limits" "idle_ms" => "timeouts" "idle_timeout";
    "limits" "write_stall_ms" => "timeouts" "send_timeout";
    "limits" "request_total_ms" => "timeouts" "request_timeout";
    "limits" "tunnel_idle_ms" => "timeouts" "tunnel_idle_timeout";
    "limits" "body_bytes_per_s_min" => "requests" "min_request_body_rate";
    "limits" "body_grace_ms" => "requests" "min_request_body_rate_grace";
    "limits" "head_bytes_max" => "requests" "max_request_header_bytes";
    "limits" "head_fields_max" => "requests" "max_request_headers";
    "limits" "head_reads_max" => "requests" "max_request_header_reads";
    "limits" "body_ahead_bytes_max" => "requests" "request_buffer_bytes";
    "limits" "forwards_max" => "requests" "max_concurrent_requests";
    "limits" "forwards_per_client_max" => "requests" "max_concurrent_requests_per_client";
    "limits" "forwards_per_net_max" => "requests" "max_concurrent_requests_per_network";
    "limits" "origin_connect_ms" => "origins" "connect_timeout";
    "limits" "origin_head_ms" => "origins" "response_header_timeout";
    "limits" "origin_head_bytes_max" => "origins" "max_response_header_bytes";
    "limits" "origin_read_ms" => "origins" "read_timeout";
    "limits" "origin_write_ms" => "origins" "write_timeout";
    "limits" "origin_idle_ms" => "origins" "keepalive_timeout";
    "limits" "origin_idle_connections_max" => "origins" "max_idle_connections_per_worker";
    "limits" "origin_receive_bytes" => "origins" "receive_buffer_bytes";
    "limits" "origin_inflight_max" => "origins" "max_requests_per_origin";
    "limits" "origin_uploads_max" => "origins" "max_uploads_per_origin";
    "limits" "origin_tunnels_max" => "origins" "max_tunnels_per_origin";
    "limits" "origin_attempts_max" => "retries" "max_attempts";
    "limits" "origin_retry_percent" => "retries" "budget_percent";
    "limits" "origin_retries_per_s" => "retries" "min_retries_per_second";
    "limits" "origin_retries_saved_max" => "retries" "max_saved_retries";
    "limits" "origin_failures_max" => "circuit_breaker" "consecutive_failures";
    "limits" "origin_failures_percent" => "circuit_breaker" "failure_percent";
    "limits" "origin_results_min" => "circuit_breaker" "min_requests";
    "limits" "origin_failures_ms" => "circuit_breaker" "window";
    "limits" "origin_open_ms" => "circuit_breaker" "open_time";
    "limits" "origin_open_ms_max" => "circuit_breaker" "max_open_time";
    "limits" "origin_trials_max" => "circuit_breaker" "half_open_requests";
    "limits" "health_interval_ms" => "health_check" "interval";
    "limits" "health_timeout_ms" => "health_check" "timeout";
    "limits" "health_fall" => "health_check" "fall";
    "limits" "health_rise" => "health_check" "rise";
    "limits" "health_answer_bytes_max" => "health_check" "max_response_bytes";
    "limits" "health_checks_max" => "health_check" "max_concurrent";
    "limits" "queue_max" => "queue" "max_requests_per_site";
    "limits" "queue_ms" => "queue" "timeout";
    "limits" "light_client_max" => "queue" "low_priority_above_requests";
    "limits" "regular_after_ms" => "queue" "known_client_min_age";
    "limits" "calm_after_ms" => "queue" "congestion_cooldown";
    "limits" "egress_bytes_per_s" => "bandwidth" "egress_bytes_per_second";
    "limits" "memory_bytes_max" => "overload" "max_memory_bytes";
    "limits" "decision_fuel" => "evaluation" "max_fuel";
    "limits" "member_fuel" => "evaluation" "max_member_fuel";
    "limits" "extern_fuel" => "evaluation" "max_extern_fuel";
    "limits" "extern_ms" => "evaluation" "max_extern_time";
    "limits" "never_ban" => "bans" "exempt";
    "policy" "root" => "policy" "file";
    "client" "v4_net" => "client" "ipv4_network_prefix";
    "client" "v6_client" => "client" "ipv6_client_prefix";
    "client" "v6_net" => "client" "ipv6_network_prefix";
    "trusted_proxies" "nets" => "trusted_proxies" "networks";
    "site" "origin" => "site" "origins";
    "site" "health" => "site" "health_check_path";
    "site" "share" => "site" "weight";
    "site" "inflight_max" => "site" "max_requests_per_origin";
}

/// The old section that several new sections replaced.
pub(crate) const REPLACED_SECTION: &str = "limits";

/// Returns the new key for an old one. An old limit is found in every section.
pub(crate) fn find(section: &str, key: &str) -> Option<&'static Renamed> {
    let is_old = |one: &&Renamed| {
        one.old == key && (one.section == section || one.section == REPLACED_SECTION)
    };
    RENAMED.iter().find(is_old)
}

impl Renamed {
    /// Returns the line that replaces the old one. `written` is the text of the old value.
    pub(crate) fn line(&self, value: &DeValue<'_>, written: &str) -> Option<String> {
        const WRITTEN_BYTES_MAX: usize = 100;
        let is_time = match keys::find(self.new_section, self.new)?.kind {
            Kind::Number(number) => number.unit == crate::setting::Unit::Time,
            _ => false,
        };
        let text = match value.as_integer() {
            Some(ms) if is_time => {
                let ms = u64::from_str_radix(ms.as_str(), ms.radix()).ok()?;
                format!("\"{}\"", quantity::time(ms))
            }
            _ => written.to_owned(),
        };
        let fits = text.len() <= WRITTEN_BYTES_MAX && !text.contains('\n');
        fits.then(|| format!("{} = {text}", self.new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_new_key_exists_and_no_old_one_does() {
        for one in RENAMED {
            assert!(keys::find(one.new_section, one.new).is_some(), "{}", one.new);
            assert!(keys::find(one.section, one.old).is_none(), "{}", one.old);
        }
    }
}
