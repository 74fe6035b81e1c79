//! The works, as data: what is sent, over how many connections, and the target.

/// The proxies and sites that a work needs. Works of one scene share the running proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scene {
    /// Sites that each proxy has.
    pub(super) sites: usize,
    /// Workers of each proxy, and cores that it has.
    pub(super) workers: usize,
}

/// One site, one worker.
const PLAIN: Scene = Scene { sites: 1, workers: 1 };
/// A community host.
const MANY_SITES: Scene = Scene { sites: 850, workers: 1 };
/// All of two cores.
const TWO_WORKERS: Scene = Scene { sites: 1, workers: 2 };

/// How it is measured.
#[derive(Debug, Clone, Copy)]
pub(super) enum Measure {
    /// Processor time per request, under as much load as the proxy takes.
    Cost(Load),
    /// Latencies at a fixed rate.
    Latency,
    /// Memory of idle connections.
    Memory,
}

/// Requests of a load generator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    /// HTTP/1.1, by wrk.
    Wrk(Wrk),
    /// HTTP/2 over TLS, by h2load.
    H2load {
        /// Of the request.
        path: &'static str,
        /// Connections.
        connections: u32,
        /// Requests at the same time on each.
        streams: u32,
    },
    /// A full TLS handshake for each HTTP/1.1 request, by h2load: wrk resumes sessions.
    Handshakes {
        /// New connections per second, below what a proxy can take.
        per_second: u32,
    },
}

/// What wrk sends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrk {
    /// Of the request.
    pub(super) path: &'static str,
    /// At the same time.
    pub(super) connections: u32,
    /// Over TLS.
    pub(super) tls: bool,
    /// A new connection for each request.
    pub(super) fresh: bool,
    /// In `benches/load/`.
    pub(super) script: Option<&'static str>,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    /// As typed after `--only`.
    pub(super) name: &'static str,
    /// For the report.
    pub(super) about: &'static str,
    pub(super) scene: Scene,
    pub(super) measure: Measure,
    /// The greatest ratio to the better peer that is wanted.
    pub(super) target: Option<f64>,
}

/// Small requests on kept connections: what others are variations of.
pub(super) const SMALL: Wrk =
    Wrk { path: "/", connections: 64, tls: false, fresh: false, script: None };
/// The path that every proxy rejects.
pub(super) const DENIED: &str = "/denied";

const fn wrk(name: &'static str, about: &'static str, load: Wrk, target: Option<f64>) -> Work {
    Work { name, about, scene: PLAIN, measure: Measure::Cost(Load::Wrk(load)), target }
}

const fn h2(name: &'static str, about: &'static str, path: &'static str, target: f64) -> Work {
    let load = Load::H2load { path, connections: 16, streams: 10 };
    Work { name, about, scene: PLAIN, measure: Measure::Cost(load), target: Some(target) }
}

/// All works, those of one scene beside each other.
pub(super) const WORKS: [Work; 17] = [
    Work {
        name: "memory",
        about: "memory of each of 1,000 idle connections after one request",
        scene: PLAIN,
        measure: Measure::Memory,
        target: None,
    },
    wrk("small", "60 bytes, 64 kept connections", SMALL, Some(1.0)),
    wrk(
        "12-headers",
        "the same with 12 more request headers",
        Wrk { script: Some("headers.lua"), ..SMALL },
        Some(1.0),
    ),
    wrk(
        "64KiB",
        "responses of 64 KiB, 32 kept connections",
        Wrk { path: "/files/64KiB", connections: 32, ..SMALL },
        Some(0.9),
    ),
    wrk(
        "1MiB",
        "responses of 1 MiB, 16 kept connections",
        Wrk { path: "/files/1MiB", connections: 16, ..SMALL },
        Some(0.9),
    ),
    wrk(
        "fresh",
        "60 bytes, a new connection for each request, 32 at once",
        Wrk { connections: 32, fresh: true, ..SMALL },
        Some(1.0),
    ),
    wrk(
        "post",
        "request bodies of 8 KiB, 64 kept connections",
        Wrk { script: Some("post.lua"), ..SMALL },
        None,
    ),
    wrk(
        "tls",
        "60 bytes, HTTP/1.1 over TLS, 64 kept connections",
        Wrk { tls: true, ..SMALL },
        None,
    ),
    Work {
        name: "tls-handshake",
        about: "60 bytes, a full TLS handshake for each request, 400 per second",
        scene: PLAIN,
        measure: Measure::Cost(Load::Handshakes { per_second: 400 }),
        target: Some(1.1),
    },
    wrk(
        "tls-resumed",
        "60 bytes, a new TLS connection for each request, which resumes a session, 8 at once",
        Wrk { tls: true, fresh: true, connections: 8, ..SMALL },
        None,
    ),
    h2("h2-small", "60 bytes, HTTP/2, 16 connections with 10 streams", "/", 1.05),
    h2("h2-64KiB", "responses of 64 KiB, HTTP/2, 16 × 10", "/files/64KiB", 0.9),
    wrk("rejected", "403 by a rule, 64 kept connections", Wrk { path: DENIED, ..SMALL }, None),
    wrk(
        "rejected-fresh",
        "403 by a rule, a new connection for each request, 32 at once",
        Wrk { path: DENIED, connections: 32, fresh: true, ..SMALL },
        Some(1.0),
    ),
    Work {
        name: "latency",
        about: "60 bytes at half of the slowest proxy's rate, 64 kept connections",
        scene: PLAIN,
        measure: Measure::Latency,
        target: Some(1.0),
    },
    Work {
        name: "850-sites",
        about: "60 bytes, 850 sites in turn, 64 kept connections",
        scene: MANY_SITES,
        measure: Measure::Cost(Load::Wrk(Wrk { script: Some("sites.lua"), ..SMALL })),
        target: None,
    },
    Work {
        name: "two-workers",
        about: "60 bytes, two workers on both cores, which the load shares",
        scene: TWO_WORKERS,
        measure: Measure::Cost(Load::Wrk(SMALL)),
        target: None,
    },
];

impl Load {
    /// Returns whether the proxy itself responds, with 403.
    pub(super) fn is_rejected(&self) -> bool {
        matches!(self, Self::Wrk(Wrk { path: DENIED, .. }))
    }
}

/// Returns the works with this name, else those whose name contains it.
pub(super) fn chosen(only: Option<&str>) -> Vec<Work> {
    let Some(only) = only else { return WORKS.to_vec() };
    let with = |is: &dyn Fn(&str) -> bool| -> Vec<Work> {
        WORKS.iter().filter(|work| is(work.name)).copied().collect()
    };
    let exact = with(&|name| name == only);
    if exact.is_empty() { with(&|name| name.contains(only)) } else { exact }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: Option<&str>) -> Vec<&'static str> {
        chosen(only).iter().map(|work| work.name).collect()
    }

    #[test]
    fn a_whole_name_is_one_work_and_a_part_is_all_with_it() {
        assert_eq!(names(Some("small")), ["small"]);
        assert_eq!(names(Some("reject")), ["rejected", "rejected-fresh"]);
        assert!(names(Some("nothing")).is_empty());
        assert_eq!(names(None).len(), WORKS.len());
    }

    #[test]
    fn works_of_one_scene_stand_together() {
        let mut scenes: Vec<Scene> = WORKS.iter().map(|work| work.scene).collect();
        scenes.dedup();
        assert_eq!(scenes, [PLAIN, MANY_SITES, TWO_WORKERS]);
    }

    #[test]
    fn only_the_denied_path_is_rejected() {
        let rejected = WORKS.iter().filter(|work| match work.measure {
            Measure::Cost(load) => load.is_rejected(),
            Measure::Latency | Measure::Memory => false,
        });
        assert!(rejected.map(|work| work.name).eq(["rejected", "rejected-fresh"]));
    }
}
