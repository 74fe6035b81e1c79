//! Fills the configurations in `benches/load/`.
//!
//! `{name}` without blanks is a placeholder; all other brackets belong to the configuration. The
//! lines from `#for each site` to `#end` are written once per site, with its `{host}`.

use anyhow::{Context, bail, ensure};

/// Around the lines of one site.
const EACH: &str = "#for each site";
const END: &str = "#end";

/// What stands for a placeholder.
pub(super) type Values<'t> = [(&'t str, String)];

/// Returns the text of `template` with `values`, and its part for each of `hosts`.
///
/// # Errors
/// A placeholder has no value, or a block has no end.
pub(super) fn fill(
    template: &str,
    values: &Values<'_>,
    hosts: &[String],
) -> anyhow::Result<String> {
    let mut out = String::with_capacity(template.len());
    let mut lines = template.split_inclusive('\n');
    while let Some(line) = lines.next() {
        ensure!(line.trim() != END, "`{END}` without `{EACH}`");
        if line.trim() != EACH {
            replace(line, values, None, &mut out)?;
            continue;
        }
        let mut block = String::new();
        loop {
            let line = lines.next().with_context(|| format!("`{EACH}` without `{END}`"))?;
            if line.trim() == END {
                break;
            }
            block.push_str(line);
        }
        for host in hosts {
            replace(&block, values, Some(host), &mut out)?;
        }
    }
    Ok(out)
}

/// Appends `text` with its placeholders replaced.
fn replace(
    text: &str,
    values: &Values<'_>,
    host: Option<&str>,
    out: &mut String,
) -> anyhow::Result<()> {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, behind)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
            out.push('{');
            rest = after;
            continue;
        };
        let value = values.iter().find(|(known, _)| *known == name);
        match (value, host) {
            (Some((_, value)), _) => out.push_str(value),
            (None, Some(host)) if name == "host" => out.push_str(host),
            _ => bail!("the placeholder `{{{name}}}` has no value"),
        }
        rest = behind;
    }
    out.push_str(rest);
    Ok(())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> anyhow::Result<String> {
        let hosts = ["a.example".to_owned(), "b.example".to_owned()];
        fill(template, &[("port", "80".to_owned()), ("dir", "/d".to_owned())], &hosts)
    }

    #[test]
    fn placeholders_are_replaced_and_other_brackets_stay() {
        let text = filled("listen {port}; location / { return 403; } {dir}/{dir} {} {\n").unwrap();
        assert_eq!(text, "listen 80; location / { return 403; } /d//d {} {\n");
        assert_eq!(filled("{ {port} }").unwrap(), "{ 80 }");
    }

    #[test]
    fn a_block_is_repeated_for_each_site() {
        let text = filled("a\n  #for each site\n{host} {port}\n  #end\nz\n").unwrap();
        assert_eq!(text, "a\na.example 80\nb.example 80\nz\n");
    }

    #[test]
    fn what_cannot_be_filled_is_an_error() {
        for (template, text) in [
            ("{nothing}", "`{nothing}`"),
            ("{host}", "`{host}`"),
            ("#for each site\n{host}\n", "without `#end`"),
            ("#end\n", "without `#for each site`"),
        ] {
            let error = format!("{:#}", filled(template).unwrap_err());
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn every_configuration_can_be_filled() {
        let names = ["dir", "http", "https", "origin", "workers", "certificate", "key", "both"];
        let ports = ["http_port", "https_port", "origin_port"];
        let values: Vec<_> =
            names.into_iter().chain(ports).map(|name| (name, name.to_owned())).collect();
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/load");
        for file in ["origin.conf", "nginx.conf", "haproxy.cfg", "hosts.map", "envoy.yaml"]
            .into_iter()
            .chain(["seawall.toml", "root.wall"])
        {
            let template = std::fs::read_to_string(format!("{dir}/{file}")).unwrap();
            let text = fill(&template, &values, &["one.example".to_owned()]);
            let text = text.unwrap_or_else(|error| panic!("{file}: {error:#}"));
            assert!(!text.contains("#for each"), "{file}");
        }
    }
}
