//! The result for the terminal: short, the decisive figures first.

use crate::report::{LegitPhase, Report, ServerPhase};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Lines of events shown; the JSON has them all.
const EVENTS: usize = 12;

/// Prints it.
pub(crate) fn print(report: &Report) -> io::Result<()> {
    let out = &mut io::stdout().lock();
    let Report { scenario, vector, target, attacked_ms, .. } = report;
    writeln!(out, "{scenario} ({vector}) against {target}: {attacked_ms} ms of attack")?;
    if report.interrupted {
        writeln!(out, "interrupted: what follows is of the time until then")?;
    }
    if let Some(legit) = &report.legit {
        let kinds = legit.kinds.join(", ");
        writeln!(out, "\nlegitimate: {}/s by {} visitors, {kinds}", legit.rate, legit.visitors)?;
        for (name, phase) in [
            ("quiet", &legit.phases.quiet),
            ("attack", &legit.phases.attack),
            ("recovery", &legit.phases.recovery),
        ] {
            visitors(out, name, phase)?;
        }
    }
    if let Some(new_client) = &report.new_client {
        let first =
            new_client.first_answer_ms.map_or("never".to_owned(), |ms| format!("after {ms} ms"));
        writeln!(out, "  new client  served {first}, tries: {}", new_client.tries)?;
        counts(out, &new_client.failed)?;
    }
    if let Some(server) = &report.server {
        writeln!(out)?;
        process(out, "quiet", &server.quiet)?;
        process(out, "attack", &server.attack)?;
        process(out, "recovery", &server.recovery)?;
    }
    attacker(out, report)
}

fn visitors(out: &mut impl Write, name: &str, phase: &LegitPhase) -> io::Result<()> {
    if phase.due == 0 {
        return Ok(());
    }
    let LegitPhase { due, ok, bad, .. } = phase;
    write!(out, "  {name:9} {ok} of {due} well, {bad} not")?;
    if let Some(latency) = &phase.latency_us {
        let ms = |us: u64| us as f64 / 1_000.0;
        let (p50, p99, p999) = (ms(latency.p50), ms(latency.p99), ms(latency.p999));
        let max = ms(latency.max);
        write!(out, "; ms: p50 {p50:.1}, p99 {p99:.1}, p99.9 {p999:.1}, max {max:.1}")?;
    }
    writeln!(out)?;
    counts(out, &phase.errors)
}

fn process(out: &mut impl Write, name: &str, phase: &ServerPhase) -> io::Result<()> {
    if phase.samples == 0 {
        return Ok(());
    }
    let ServerPhase { rss_kib_max, cpu_ms, threads_max, fds_max, .. } = phase;
    writeln!(
        out,
        "  {name:9} server: {rss_kib_max} KiB, {cpu_ms} ms of processor, {threads_max} threads, \
         {fds_max} descriptors"
    )
}

fn attacker(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let Some(attack) = &report.attack else { return Ok(()) };
    writeln!(
        out,
        "\nattack: {} connections ({} at once at most), {} refused, {} reset, {} late, {} without \
         a handshake, {} failed here",
        attack.opened,
        attack.open_at_most,
        attack.refused,
        attack.reset_at_open,
        attack.open_timed_out,
        attack.handshake_failed,
        attack.failed_here
    )?;
    writeln!(
        out,
        "  ended by the server: {} closed, {} reset; left by us: {}",
        attack.closed_by_server, attack.reset_by_server, attack.left_by_us
    )?;
    if let Some(held) = &attack.held_ms {
        writeln!(
            out,
            "  held before that, ms: p50 {}, p99 {}, max {}",
            held.p50, held.p99, held.max
        )?;
    }
    if let Some(left) = &attack.left_ms {
        let (p50, p99, max) = (left.p50, left.p99, left.max);
        writeln!(out, "  so old when we left, ms: p50 {p50}, p99 {p99}, max {max}")?;
    }
    writeln!(
        out,
        "  {} requests or frames, {} bytes sent, {} received",
        attack.requests, attack.bytes_sent, attack.bytes_received
    )?;
    counts(out, &attack.answers)?;
    counts(out, &attack.events)?;
    if let Some(origin) = &report.origin {
        writeln!(
            out,
            "  the origin saw {} requests on {} connections, {} at once at most since it started",
            origin.requests, origin.connections, origin.requests_at_once_max
        )?;
    }
    Ok(())
}

fn counts(out: &mut impl Write, counts: &BTreeMap<String, u64>) -> io::Result<()> {
    for (name, count) in counts.iter().take(EVENTS) {
        writeln!(out, "    {count:>8} {name}")?;
    }
    match counts.len().saturating_sub(EVENTS) {
        0 => Ok(()),
        more => writeln!(out, "    … and {more} more, in the JSON"),
    }
}
