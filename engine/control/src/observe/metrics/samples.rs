//! How the samples of a family are written.

use std::collections::BTreeMap;
use std::fmt::Write;

use seawall_admin_api::{HistogramReport, LATENCY_BOUNDS_MS, OriginStatus, SiteTraffic};

use super::{MetricFamily, Scrape, ms};

/// The samples of one family.
#[derive(Debug)]
pub(super) struct Samples<'f> {
    pub(super) text: String,
    pub(super) family: &'f MetricFamily,
}

impl Samples<'_> {
    /// A sample without labels.
    pub(super) fn one(&mut self, value: impl Number) {
        self.sample("", &[], None, value.number());
    }

    /// A sample with a value for each label.
    pub(super) fn put(&mut self, labels: &[&str], value: impl Number) {
        self.sample("", labels, None, value.number());
    }

    /// A sample for each word, behind the other labels.
    pub(super) fn words<'w, N: Number>(
        &mut self,
        labels: &[&str],
        counts: impl IntoIterator<Item = (&'w str, N)>,
    ) {
        for (word, count) in counts {
            let labels: Vec<&str> = labels.iter().copied().chain([word]).collect();
            self.put(&labels, count);
        }
    }

    /// The samples of a histogram.
    pub(super) fn histogram(&mut self, labels: &[&str], of: &HistogramReport) {
        let mut sum = 0_u64;
        let bounds = LATENCY_BOUNDS_MS.iter().map(|bound| ms(*bound).to_string());
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(of.buckets) {
            sum = sum.saturating_add(count);
            self.sample("_bucket", labels, Some(&bound), sum.number());
        }
        self.sample("_sum", labels, None, ms(of.sum_ms));
        self.sample("_count", labels, None, sum.number());
    }

    fn sample(&mut self, suffix: &str, labels: &[&str], bound: Option<&str>, value: f64) {
        let (out, family) = (&mut self.text, self.family);
        out.push_str(family.name);
        out.push_str(suffix);
        let named = family.labels.iter().copied().zip(labels.iter().copied());
        let all = named.chain(bound.map(|bound| ("le", bound)));
        let mut before = '{';
        for (label, word) in all {
            let _never = write!(out, "{before}{label}=\"{}\"", escaped(word));
            before = ',';
        }
        if before == ',' {
            out.push('}');
        }
        let _never = writeln!(out, " {value}");
    }
}

/// What can be a sample's value.
pub(super) trait Number {
    fn number(self) -> f64;
}

impl Number for f64 {
    fn number(self) -> f64 {
        self
    }
}

impl Number for u64 {
    fn number(self) -> f64 {
        self as f64
    }
}

impl Number for u32 {
    fn number(self) -> f64 {
        f64::from(self)
    }
}

impl Number for usize {
    fn number(self) -> f64 {
        self as f64
    }
}

impl Number for bool {
    fn number(self) -> f64 {
        f64::from(u8::from(self))
    }
}

fn escaped(word: &str) -> String {
    word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A sample of each entry of a list, by the entry's name.
pub(super) fn each<'l, T, N: Number>(
    out: &mut Samples<'_>,
    list: &'l [T],
    sample: impl Fn(&'l T) -> (&'l String, N),
) {
    for (name, value) in list.iter().map(sample) {
        out.put(&[name], value);
    }
}

/// A sample of each site at which something has happened.
pub(super) fn sites<N: Number>(
    out: &mut Samples<'_>,
    of: &Scrape<'_>,
    value: impl Fn(&SiteTraffic) -> N,
) {
    for site in of.sites() {
        out.put(&[&site.name], value(&site.traffic));
    }
}

/// A sample of each origin.
pub(super) fn origins(
    out: &mut Samples<'_>,
    of: &Scrape<'_>,
    value: impl Fn(&OriginStatus) -> u64,
) {
    for origin in &of.status.origins {
        out.put(&[&origin.site, &origin.address.to_string()], value(origin));
    }
}

/// A sample of what may be unknown.
pub(super) fn some(out: &mut Samples<'_>, value: Option<f64>) {
    if let Some(value) = value {
        out.one(value);
    }
}

pub(super) fn by_word(counts: &BTreeMap<String, u64>) -> impl Iterator<Item = (&str, u64)> {
    counts.iter().map(|(word, count)| (&**word, *count))
}
