//! Conversion of declared counters to the specifications of the state.

use seawall_policy::program::Counts;
use seawall_state::{CounterShape, CounterSpec, TrackKind};

/// Returns the specification of a counter.
pub(crate) fn spec(counter: &seawall_policy::program::Counter) -> CounterSpec {
    let track = |counted| CounterShape::Track {
        counted,
        keyed: !counter.per.is_empty(),
        heavy: counter.heavy,
    };
    let shape = match counter.counts {
        Counts::Limit => CounterShape::Limit,
        Counts::Concurrent => CounterShape::Concurrent,
        Counts::Requests => track(TrackKind::Requests),
        Counts::Bytes(_) => track(TrackKind::Bytes),
        Counts::Distinct(_) => track(TrackKind::Distinct),
    };
    CounterSpec {
        identity: counter.identity.clone(),
        name: counter.name.clone(),
        shape,
        window_ms: counter.window_ms,
        keys: counter.keys,
    }
}
