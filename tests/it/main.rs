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

/// Heads of origins' answers, and what they may weigh.
mod answers;
/// Whom a ban refuses, and where.
mod bans;
/// Header blocks that are large once they are unpacked.
mod bombs;
/// What is wrong in an edit is said with its place, and changes nothing.
mod broken;
/// The commands and their exit codes.
mod commands;
/// What compiling a component may cost, and whom it may keep waiting.
mod compile;
/// A configuration that cannot be taken is refused whole.
mod config;
/// Each mistake gives the complaint that belongs to it.
mod corpus;
/// Who may come in, and how: hosts, heads, connections.
mod edge;
/// Lines as other tools write them.
mod elsewhere;
/// What a member writes, and what a terminal makes of it.
mod escapes;
/// Policies that nobody would write.
mod extremes;
mod field;
/// Each field of the language gets a value, or is reported.
mod field_values;
/// What one decision may cost, and whose request or rules it ends.
mod fuel;
/// Requests whose client left while their origin was at work.
mod given_up;
/// HTTP/2, and what may not be done with it.
mod h2;
/// What was in force, what differs, and the way back.
mod history;
/// Hops in front of us: whom they speak for, and who is believed.
mod hops;
/// What is strange in a request, each with what the origin saw of it.
mod hygiene;
/// What of the language is there to be seen from outside.
mod language;
/// Counts go on over edits.
mod limits;
/// The last good copy of a list stays.
mod lists;
/// Reloads while requests flow.
mod load;
/// What the manual shows is so.
mod manual;
/// Members, levels and what is counted after an answer.
mod members;
/// What Prometheus reads.
mod metrics;
/// Which modules a module may import from.
mod module_order;
/// Origins that are down, hang or break off.
mod origins;
/// What an origin that is away does to the others, and how it comes back.
mod outage;
/// What is shipped for Prometheus and Grafana names metrics that there are.
mod packaging;
/// A restart forgets nothing that it was told.
mod persist;
/// No visitor's address is kept or said anywhere.
mod privacy;
/// A rule answers the same however it is asked.
mod pure;
/// A save takes effect, whichever way it is made.
mod reload;
/// After a storm all is as before it.
mod rest;
/// Whoever wants to take all places.
mod room;
/// Rules are made in minutes, and those that burn are ended and cost nobody else anything.
mod rules;
/// Rules in JavaScript and Python, with their tools where they may be fetched.
mod scripts;
/// What the fuzz targets start from.
mod seeds;
/// What the service manager is told, and under which it runs.
mod service;
/// Sites share what there is.
mod shares;
/// The rules that are shipped: what they may cost at the worst, and that they are pure.
mod shipped;
/// SIGHUP, SIGTERM, and SIGTERM again.
mod signals;
/// Who may bring components.
mod signed;
/// Whoever is slow on purpose, and its deadlines.
mod slow;
/// Requests inside requests, against our own origin and real ones.
mod smuggling;
/// A start that takes long: it is bounded, and can be stopped.
mod starting;
/// Random edits under a flood: none is an opening.
mod storm;
/// The tree itself.
mod tidy;
/// Over TLS.
mod tls;
/// An access log sent again, every answer accounted for.
mod traffic;
/// One process takes the place of another, and nobody notices.
mod upgrade;
mod versions;
/// Every word of the grammar does something.
mod words;
