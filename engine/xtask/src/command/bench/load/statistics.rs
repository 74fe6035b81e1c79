//! Figures of the proxies, round by round, and what follows from them: medians, spreads, the ratio
//! to the better peer, and whether a target is met.

/// The figures of one proxy, one per round.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    /// The proxy.
    pub(super) proxy: &'static str,
    /// In the order of the rounds.
    pub(super) rounds: Vec<f64>,
}

/// One measured quantity of all proxies, Seawall first. Less is better.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    /// Its name in the table.
    pub(super) name: String,
    /// A sentence about the work.
    pub(super) about: &'static str,
    /// Of the series.
    pub(super) unit: &'static str,
    /// The greatest ratio to the better peer that is wanted.
    pub(super) target: Option<f64>,
    /// The quantity.
    pub(super) series: Vec<Series>,
    /// Requests per second, where the load measures them.
    pub(super) rates: Vec<Series>,
}

/// Median, least and greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// Seawall beside the better peer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Comparison {
    /// The peer with the least median.
    pub(super) peer: &'static str,
    /// The ratio of the medians, and the least and the greatest ratio within one round.
    pub(super) ratio: Spread,
}

/// Returns the spread of `values`; `None` without a value.
pub(super) fn spread(values: &[f64]) -> Option<Spread> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    let median = match sorted.len() % 2 {
        1 => upper,
        _ => (sorted.get(middle.checked_sub(1)?)? + upper) / 2.0,
    };
    Some(Spread { median, min, max })
}

/// Returns the value below which `part` (0 to 1) of the sorted values lie.
pub(super) fn percentile(sorted: &[u64], part: f64) -> Option<u64> {
    let place = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied()
}

impl Figure {
    /// Returns Seawall beside the better peer; `None` without a peer or without a positive figure.
    pub(super) fn comparison(&self) -> Option<Comparison> {
        let (own, peers) = self.series.split_first()?;
        let median = |series: &Series| Some((spread(&series.rounds)?.median, series.clone()));
        let (least, peer) =
            peers.iter().filter_map(median).min_by(|(one, _), (other, _)| one.total_cmp(other))?;
        let own_median = spread(&own.rounds)?.median;
        if least <= 0.0 {
            return None;
        }
        let pairs = own.rounds.iter().zip(&peer.rounds).filter(|(_, other)| **other > 0.0);
        let ratios: Vec<f64> = pairs.map(|(one, other)| one / other).collect();
        let within = spread(&ratios)?;
        let ratio = Spread { median: own_median / least, ..within };
        Some(Comparison { peer: peer.proxy, ratio })
    }

    /// Returns whether the target is met; `None` without a target or a comparison.
    pub(super) fn is_met(&self) -> Option<bool> {
        Some(self.comparison()?.ratio.median <= self.target?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(target: Option<f64>, all: &[(&'static str, &[f64])]) -> Figure {
        let series =
            |(proxy, rounds): &(&'static str, &[f64])| Series { proxy, rounds: rounds.to_vec() };
        Figure {
            name: "small".to_owned(),
            about: "",
            unit: "µs",
            target,
            series: all.iter().map(series).collect(),
            rates: Vec::new(),
        }
    }

    #[test]
    fn medians_are_between_the_least_and_the_greatest() {
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn the_ratio_is_to_the_better_peer() {
        let rounds: [(&str, &[f64]); 3] =
            [("seawall", &[11.0, 9.0]), ("nginx", &[10.0, 10.0]), ("haproxy", &[30.0, 5.0])];
        let comparison = figure(Some(1.0), &rounds).comparison().unwrap();
        assert_eq!(comparison.peer, "nginx");
        assert_eq!(comparison.ratio, Spread { median: 1.0, min: 0.9, max: 1.1 });
        assert_eq!(figure(Some(1.0), &rounds).is_met(), Some(true));
        assert_eq!(figure(Some(0.99), &rounds).is_met(), Some(false));
        assert_eq!(figure(None, &rounds).is_met(), None);
    }

    #[test]
    fn without_a_peer_or_a_figure_there_is_no_ratio() {
        assert_eq!(figure(Some(1.0), &[("seawall", &[1.0])]).comparison(), None);
        assert_eq!(figure(Some(1.0), &[]).comparison(), None);
        let rounds: [(&str, &[f64]); 2] = [("seawall", &[1.0]), ("nginx", &[0.0])];
        assert_eq!(figure(Some(1.0), &rounds).is_met(), None);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=1000).collect();
        assert_eq!(percentile(&values, 0.5), Some(500));
        assert_eq!(percentile(&values, 0.99), Some(990));
        assert_eq!(percentile(&values, 0.999), Some(999));
        assert_eq!(percentile(&[7], 0.999), Some(7));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
