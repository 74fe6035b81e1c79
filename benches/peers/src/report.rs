//! What a run says: a table for the terminal, JSON for programs, a page with bars for people.

use crate::measure::{ROUNDS, Row, Timing};
use crate::peer::Failure;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// Which crates the engines are, in the order of `peer::all`.
const CRATES: [&str; 5] =
    ["seawall-ruleset", "wirefilter-engine", "cel", "regorus", "cedar-policy"];

/// The log scale of the bars: from 10 ns to 100 ms, in pixels.
const DECADE: f64 = 90.0;

/// All of a run.
#[derive(Debug)]
pub(crate) struct Report {
    /// The engines.
    pub(crate) names: Vec<&'static str>,
    /// What was measured.
    pub(crate) rows: Vec<Row>,
    setting: String,
}

impl Report {
    /// An empty one, of a run that is pinned to this core.
    pub(crate) fn new(core: Option<usize>) -> Self {
        let pinned = match core {
            Some(core) => format!("pinned to core {core}"),
            None => "not pinned to a core".to_owned(),
        };
        let setting = format!(
            "{}; one thread, {pinned}; medians of {ROUNDS} rounds, engines in turn",
            processor()
        );
        Self { names: Vec::new(), rows: Vec::new(), setting }
    }

    /// For the terminal.
    pub(crate) fn table(&self) -> String {
        let mut out = format!("\n{}\n{}\n", self.setting, self.versions().join(", "));
        let mut last = "";
        for row in &self.rows {
            if row.rules != last {
                last = &row.rules;
                let _ = write!(out, "\n{last:<28}");
                for name in &self.names {
                    let _ = write!(out, "{name:>18}");
                }
                out.push('\n');
            }
            let _ = write!(out, "  {:<26}", row.sort.name());
            for timing in &row.timings {
                let _ = write!(out, "{:>18}", told(timing, row));
            }
            out.push('\n');
        }
        out
    }

    fn versions(&self) -> Vec<String> {
        let of = |(name, krate): (&&str, &&str)| format!("{name}: {krate} {}", version(krate));
        self.names.iter().zip(&CRATES).map(of).collect()
    }

    /// Writes `peers.json` and `peers.html`.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub(crate) fn save(&self, dir: &Path) -> Result<(), Failure> {
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("peers.json"), serde_json::to_string_pretty(&self.json())?)?;
        std::fs::write(dir.join("peers.html"), self.page())?;
        println!("\nwritten: benches/report/peers.json, benches/report/peers.html");
        Ok(())
    }

    fn json(&self) -> Value {
        let engine = |(name, timing): (&&str, &Timing)| {
            json!({
                "engine": name, "median_ns": timing.median,
                "least_ns": timing.least, "most_ns": timing.most,
            })
        };
        let row = |row: &Row| {
            let timings: Vec<Value> = self.names.iter().zip(&row.timings).map(engine).collect();
            json!({"rules": row.rules, "requests": row.sort.name(), "timings": timings})
        };
        let rows: Vec<Value> = self.rows.iter().map(row).collect();
        json!({"setting": self.setting, "versions": self.versions(), "rows": rows})
    }

    fn page(&self) -> String {
        let mut out = String::from(HEAD);
        let _ = writeln!(out, "<p>{}.<br>{}.</p>", self.setting, self.versions().join(", "));
        let mut last = "";
        for row in &self.rows {
            if row.rules != last {
                last = &row.rules;
                let _ = writeln!(out, "<h2>{last}</h2>");
            }
            let _ = writeln!(out, "<h3>{}</h3>\n{}", row.sort.name(), self.bars(row));
        }
        out
    }

    /// Returns one bar for each engine, with a whisker from the fastest to the slowest round.
    fn bars(&self, row: &Row) -> String {
        let at = |ns: f64| 90.0 + (ns.max(10.0) / 10.0).log10() * DECADE;
        let height = 22 * self.names.len() + 18;
        let mut out = format!("<svg viewBox='0 0 860 {height}' role='img'>\n");
        for (power, mark) in
            ["10 ns", "100 ns", "1 µs", "10 µs", "100 µs", "1 ms", "10 ms"].iter().enumerate()
        {
            let (x, foot) = (at(10_f64.powi(power as i32 + 1)), height - 16);
            let _ = writeln!(
                out,
                "<path class='grid' d='M{x:.0} 0V{foot}'/><text class='mark' x='{x:.0}' y='{}'>{mark}</text>",
                height - 3
            );
        }
        for (i, (name, timing)) in self.names.iter().zip(&row.timings).enumerate() {
            let (y, end) = (22 * i, at(timing.median));
            let _ = writeln!(
                out,
                "<text x='84' y='{}' text-anchor='end'>{name}</text>\
                 <rect class='e{i}' x='90' y='{}' width='{:.1}' height='16'/>\
                 <path class='spread' d='M{:.1} {m}H{:.1}'/>\
                 <text x='{:.1}' y='{}'>{}</text>",
                y + 14,
                y + 2,
                (end - 90.0).max(1.0),
                at(timing.least),
                at(timing.most),
                at(timing.most).max(end) + 6.0,
                y + 14,
                told(timing, row),
                m = y + 10,
            );
        }
        out + "</svg>"
    }
}

/// Returns a time, and its ratio to Seawall's.
fn told(timing: &Timing, row: &Row) -> String {
    let ns = timing.median;
    let time = match ns {
        ..1e3 => format!("{ns:.0} ns"),
        ..1e4 => format!("{:.2} µs", ns / 1e3),
        ..1e6 => format!("{:.0} µs", ns / 1e3),
        _ => format!("{:.1} ms", ns / 1e6),
    };
    let times = ns / row.timings[0].median;
    match times {
        ..10.0 => format!("{time} ({times:.1}×)"),
        _ => format!("{time} ({times:.0}×)"),
    }
}

/// Returns the version that was built, by our own lock file.
fn version(krate: &str) -> &'static str {
    let head = format!("name = \"{krate}\"\nversion = \"");
    let rest = include_str!("../Cargo.lock").split_once(&head).map_or("?", |(_, rest)| rest);
    rest.split('"').next().unwrap_or("?")
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    model
        .map_or("an unknown processor", |line| line.trim_start_matches([' ', '\t', ':']))
        .to_owned()
}

const HEAD: &str = "<!doctype html><html lang='en'><meta charset='utf-8'>\
<title>Seawall beside other engines</title><style>\
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}\
h2{margin-top:2.5rem;border-bottom:1px solid #8886}h3{margin:.8rem 0 0;font-size:1rem}\
svg{width:100%;font-size:13px}text{fill:currentColor}.mark{font-size:11px;opacity:.7}\
.grid{stroke:#8884}.spread{stroke:currentColor;stroke-width:2}\
.e0{fill:#0b6e99}.e1{fill:#d9730d}.e2{fill:#6940a5}.e3{fill:#448361}.e4{fill:#c14c8a}\
:root{color-scheme:light dark}</style>\
<h1>The same rules, judged by each</h1>\
<p>Time for one request, on a logarithmic scale: from a request in no engine&rsquo;s types to the \
verdict. In brackets: how many times Seawall&rsquo;s it is. Compare within this run only. \
What each engine does besides, and to whom this is unfair, is in <code>benches/README.md</code>.</p>";
