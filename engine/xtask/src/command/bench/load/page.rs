//! The report as one HTML page: a plot per work, as inline SVG, without scripts and other files.

use super::report::{Setting, met, ratio, short, target};
use super::statistics::{Figure, Series, Spread, spread};
use std::fmt::Write;

/// Widths and heights in a plot, in pixels.
const NAME_WIDTH: f64 = 76.0;
const BAR_WIDTH: f64 = 420.0;
const PLOT_WIDTH: f64 = 700.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1d2327; --quiet: #5c666d; --page: #fff;
  --own: #0b6fa4; --peer: #9aa5ac; --line: #1d2327; --fine: #1a7f37; --missed: #b42318; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9eb; --quiet: #a3adb3; --page: #14181b; --own: #4db3e6; --peer: #6b767d;
    --line: #e6e9eb; --fine: #56d364; --missed: #ff7b72; } }
body { font: 16px/1.45 system-ui, sans-serif; color: var(--text); background: var(--page);
  max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h2 { font-size: 1.05rem; margin: 1.8rem 0 0; }
p { margin: .2rem 0 .4rem; } .quiet { color: var(--quiet); font-size: .9rem; }
.met { color: var(--fine); } .missed { color: var(--missed); }
table { border-collapse: collapse; margin: 1rem 0; } td, th { text-align: left;
  padding: .15rem 1.2rem .15rem 0; border-bottom: 1px solid var(--peer); }
svg { width: 100%; height: auto; } svg text { fill: var(--text); font-size: 13px; }
.seawall { fill: var(--own); } .peer { fill: var(--peer); }
.spread { stroke: var(--line); stroke-width: 1.5; }
";

/// Returns the page.
pub(super) fn page(setting: &Setting, figures: &[Figure]) -> String {
    let (fine, all) = met(figures);
    let plots: String = figures.iter().map(section).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Seawall beside other proxies</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>Seawall beside other proxies</h1>\n<p>{fine} of {all} targets are met. A target is the \
         greatest ratio of Seawall's figure to that of the better peer.</p>\n\
         <p class=\"quiet\">{}</p>\n{}<p class=\"quiet\">Less is better in every plot. A bar is the \
         median of all rounds, its line the least and the greatest round. All programs run on one \
         machine, over loopback: compare the proxies, not the figures with those of another \
         machine.</p>\n{plots}</body>\n</html>\n",
        escape(&setting.line()),
        targets(figures),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Returns the class of a text about a target.
fn class(figure: &Figure) -> &'static str {
    match figure.is_met() {
        Some(true) => "met",
        Some(false) => "missed",
        None => "quiet",
    }
}

/// Returns the table of the targets.
fn targets(figures: &[Figure]) -> String {
    let mut rows = String::new();
    for figure in figures.iter().filter(|figure| figure.target.is_some()) {
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td>{}</td><td class=\"{}\">{}</td></tr>",
            escape(&figure.name),
            escape(&ratio(figure)),
            class(figure),
            escape(&target(figure)),
        );
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "<table>\n<tr><th>work</th><th>ratio (least..greatest round)</th><th>target</th></tr>\n\
         {rows}</table>\n"
    )
}

fn section(figure: &Figure) -> String {
    format!(
        "<h2>{}</h2>\n<p class=\"quiet\">{}. {}</p>\n{}",
        escape(&figure.name),
        escape(figure.about),
        escape(&ratio(figure)),
        plot(figure)
    )
}

/// Returns the bars of one figure.
fn plot(figure: &Figure) -> String {
    let all: Vec<(&Series, Spread)> =
        figure.series.iter().filter_map(|series| Some((series, spread(&series.rounds)?))).collect();
    let greatest = all.iter().map(|(_, found)| found.max).fold(0.0, f64::max);
    let scale = if greatest > 0.0 { BAR_WIDTH / greatest } else { 0.0 };
    let height = ROW * all.len() as f64;
    let mut out = format!(
        "<svg viewBox=\"0 0 {PLOT_WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n",
        escape(&figure.name)
    );
    for (place, (series, found)) in all.iter().enumerate() {
        out.push_str(&row(ROW * place as f64, scale, series.proxy, *found, figure));
    }
    out.push_str("</svg>\n");
    out
}

/// Returns one bar at the height `top`, with the line from its least to its greatest round.
fn row(top: f64, scale: f64, proxy: &str, found: Spread, figure: &Figure) -> String {
    let class = if proxy == "seawall" { "seawall" } else { "peer" };
    let middle = top + ROW / 2.0;
    let (bar_top, baseline) = (middle - BAR / 2.0, middle + 4.5);
    let at = |value: f64| NAME_WIDTH + value * scale;
    let rate = figure.rates.iter().find(|rate| rate.proxy == proxy);
    let rate = rate.and_then(|rate| spread(&rate.rounds));
    let rate = rate.map(|rate| format!(", {:.0}/s", rate.median)).unwrap_or_default();
    let label = format!("{} {}{rate}", short(found.median), figure.unit);
    format!(
        "<text x=\"0\" y=\"{baseline:.1}\">{proxy}</text>\
         <rect class=\"{class}\" x=\"{NAME_WIDTH}\" y=\"{bar_top:.1}\" width=\"{:.1}\" \
         height=\"{BAR}\" rx=\"2\"/>\
         <line class=\"spread\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>\
         <text x=\"{:.1}\" y=\"{baseline:.1}\">{}</text>\n",
        found.median * scale,
        at(found.min),
        at(found.max),
        at(found.max) + 8.0,
        escape(&label),
    )
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::example;
    use super::*;

    #[test]
    fn a_page_has_a_plot_for_each_figure_and_needs_nothing_else() {
        let (setting, figures) = example();
        let page = page(&setting, &figures);
        assert_eq!(page.matches("<svg").count(), figures.len());
        assert_eq!(page.matches("<rect").count(), 3);
        assert!(page.contains("prefers-color-scheme: dark"));
        assert!(page.contains("A &lt;fast&gt; one") && page.contains("≤ 1.00, missed"));
        for outside in ["<script", "http:", "https:", "src=", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn the_longest_bar_is_the_greatest_round() {
        let (_, figures) = example();
        let plot = plot(&figures[0]);
        assert!(plot.contains("x2=\"496.0\""), "{plot}");
        assert!(plot.contains("width=\"400.9\""), "{plot}");
    }
}
