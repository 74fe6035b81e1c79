//! The integration tests: the real program over real sockets, and checks of the repository.
//!
//! There is one binary, because each test binary would link everything again.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "tests: what fails here is a failed test"
)]

/// Responses of origins with endless headers.
mod answers;
/// The effect of a ban.
mod bans;
/// Attempts to use up a limit.
mod capacity;
/// The commands and their exit codes.
mod commands;
/// The cost of compiling a component.
mod compile;
/// An invalid configuration is rejected as a whole.
mod config;
/// Each error causes its diagnostic.
mod corpus;
/// Random edits during a flood.
mod edit_storm;
/// Lines of the languages of other tools.
mod elsewhere;
/// Text of members on a terminal and in the log.
mod escapes;
/// Extreme policies.
mod extreme_policies;
/// Sites share resources.
mod fair_sharing;
mod field;
/// Each field of the language gets a value, or is reported.
mod field_values;
/// The cost limit of a decision.
mod fuel;
/// The seeds of the fuzz targets.
mod fuzz_seeds;
/// Requests whose client leaves while the origin works on them.
mod given_up;
/// HTTP/2 requests and the limits on frames.
mod h2;
/// Earlier generations, their differences, and rollback.
mod history;
/// HTTP/2 header blocks that are large after decompression.
mod hpack_bombs;
/// Accepting connections and requests.
mod http_front_end;
/// An error in an edit is reported with its place, and changes nothing.
mod invalid_edits;
/// Effects of the policy language that a client can observe.
mod language;
/// Counters continue over edits.
mod limits;
/// The last good copy of a list stays in use.
mod lists;
/// Reloads during requests.
mod load;
/// A replay of an access log.
mod log_replay;
/// The examples of the manual are correct.
mod manual;
/// Members, levels and counters of responses.
mod members;
/// The page of metrics.
mod metrics;
/// The modules that a module may import from.
mod module_order;
/// Origins that are down, hang or close early.
mod origins;
/// The effect of a failed origin on others, and its return.
mod outage;
/// The files for Prometheus and Grafana name existing metrics.
mod packaging;
/// No address of a client is stored or shown anywhere.
mod privacy;
/// A save takes effect, in every way of saving.
mod reload;
/// Checks of the repository.
mod repository;
/// Unusual requests, and their form at the origin.
mod request_validation;
/// After a flood everything is as before.
mod resource_leaks;
/// A rule returns the same result in every way of calling it.
mod rule_determinism;
/// Rules that use too much are ended and cost the others nothing.
mod rules;
/// Rules in JavaScript and Python.
mod scripts;
/// The server under a service manager.
mod service;
/// The shipped rules: their maximum cost, and their purity.
mod shipped_rules;
/// SIGHUP, SIGTERM, and a second SIGTERM.
mod signals;
/// Signed components.
mod signatures;
/// Deliberately slow clients, and the timeouts.
mod slow_clients;
/// Request smuggling, against the recording origin and real servers.
mod smuggling;
/// State across a restart.
mod snapshot;
/// A start that takes long is bounded, and can be stopped.
mod starting;
/// TLS.
mod tls;
/// Trusted proxies in front of Seawall.
mod trusted_proxies;
/// A child process replaces its parent.
mod upgrade;
mod versions;
/// The words that people read.
mod vocabulary;
/// Every word of the grammar does something.
mod words;
