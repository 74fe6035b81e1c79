//! The members' sites: files in `demo/sites/NAME/`, read once, and a few generated responses.
//!
//! The first label of the Host names the site, so that `alice.example` (as a member would have it)
//! and `alice.localhost` (which browsers resolve to this machine) are the same one.

use anyhow::Context;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Time that `/slow` takes, for showing that a stop waits for what is in flight.
const SLOW: Duration = Duration::from_millis(1_200);
/// Bytes of one file of a site.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// All sites, by name.
#[derive(Debug)]
pub(crate) struct Sites {
    sites: BTreeMap<String, BTreeMap<String, File>>,
}

#[derive(Debug)]
struct File {
    content_type: &'static str,
    body: Vec<u8>,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'r> {
    pub(crate) method: &'r str,
    pub(crate) host: &'r str,
    pub(crate) target: &'r str,
    pub(crate) body: &'r [u8],
}

/// A response, to be written.
#[derive(Debug)]
pub(crate) struct Answer<'s> {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Cow<'s, [u8]>,
    pub(crate) delay: Option<Duration>,
}

impl Answer<'_> {
    /// Returns a response with only its status.
    pub(crate) fn plain(status: u16) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: format!("{status}\n").into_bytes().into(),
            delay: None,
        }
    }
}

impl Sites {
    /// Reads every folder of `folder` as a site.
    ///
    /// # Errors
    /// A file cannot be read or is too large, or there is no site.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut sites = BTreeMap::new();
        for entry in folder.read_dir().with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                sites.insert(name, read_site(&path)?);
            }
        }
        anyhow::ensure!(!sites.is_empty(), "{} holds no site", folder.display());
        Ok(Self { sites })
    }

    /// Returns the response to a request.
    pub(crate) fn answer(&self, asked: &Asked<'_>) -> Answer<'_> {
        let name = asked.host.split(['.', ':']).next().unwrap_or_default().to_ascii_lowercase();
        let Some((name, site)) = self.sites.get_key_value(&name) else {
            // A proxy that forwards an unknown host is misconfigured: respond with an error.
            return Answer::plain(421);
        };
        let (path, query) = asked.target.split_once('?').unwrap_or((asked.target, ""));
        match (asked.method, path) {
            ("GET" | "HEAD", "/search") => search(name, site, query),
            ("GET" | "HEAD", "/slow") => {
                let mut answer = page(name, 200, "Slow", "<p>This took its time.</p>");
                answer.delay = Some(SLOW);
                answer
            }
            ("GET" | "HEAD", _) => match site.get(file_of(path)) {
                Some(file) => Answer {
                    status: 200,
                    content_type: file.content_type,
                    body: file.body.as_slice().into(),
                    delay: None,
                },
                None => page(name, 404, "Not found", "<p>There is no such page here.</p>"),
            },
            ("POST", "/login") => login(name, asked.body),
            _ => page(name, 405, "Not allowed", "<p>This page only answers GET.</p>"),
        }
    }
}

/// Returns the file behind a path: `/` is `index`, and pages go without their ending.
fn file_of(path: &str) -> &str {
    match path.trim_start_matches('/') {
        "" => "index",
        name => name,
    }
}

fn read_site(folder: &Path) -> anyhow::Result<BTreeMap<String, File>> {
    let mut files = BTreeMap::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let content_type = match ending.as_str() {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "txt" => "text/plain; charset=utf-8",
            _ => continue,
        };
        let shown = path.display();
        let bytes = path.metadata().with_context(|| format!("{shown}"))?.len();
        anyhow::ensure!(bytes <= FILE_BYTES_MAX, "{shown} has more than {FILE_BYTES_MAX} bytes");
        let body = std::fs::read(&path).with_context(|| format!("reading {shown}"))?;
        let name = if ending == "html" { path.file_stem() } else { path.file_name() };
        let name = name.unwrap_or_default().to_string_lossy().into_owned();
        files.insert(name, File { content_type, body });
    }
    Ok(files)
}

/// Looks through the site's pages, as small sites' searches do: every query costs the origin.
fn search<'s>(name: &str, site: &'s BTreeMap<String, File>, query: &str) -> Answer<'s> {
    let wanted = query.split('&').find_map(|pair| pair.strip_prefix("q=")).unwrap_or_default();
    let wanted: String = wanted.chars().take(64).collect::<String>().to_lowercase();
    let mut found = String::new();
    for (page, file) in site.iter().filter(|(_, file)| file.content_type.starts_with("text/html")) {
        let text = String::from_utf8_lossy(&file.body).to_lowercase();
        if !wanted.is_empty() && text.contains(&wanted) {
            let path = if page == "index" { "" } else { page };
            let _ = write!(found, "<li><a href=\"/{path}\">/{path}</a></li>");
        }
    }
    if found.is_empty() {
        return page(name, 200, "Search", "<p>Nothing was found.</p>");
    }
    page(name, 200, "Search", &format!("<ul>{found}</ul>"))
}

/// Checks the login form: the user is `demo` with the password `seawall`.
fn login<'s>(name: &str, body: &[u8]) -> Answer<'s> {
    let text = String::from_utf8_lossy(body);
    let has = |pair: &str| text.split('&').any(|part| part == pair);
    if has("user=demo") && has("word=seawall") {
        page(name, 200, "Welcome", "<p>You are logged in.</p>")
    } else {
        page(
            name,
            401,
            "Not logged in",
            "<p>That is not the word. <a href=\"/login\">Again?</a></p>",
        )
    }
}

/// Returns a generated page. `body` is HTML; it contains nothing that a visitor sent.
fn page<'s>(name: &str, status: u16, title: &str, body: &str) -> Answer<'s> {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<!-- site: {name} -->\n<meta charset=\"utf-8\">\
         <title>{title}</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n\
         <main><h1>{title}</h1>{body}<p><a href=\"/\">Home</a></p></main>\n</html>\n"
    );
    Answer {
        status,
        content_type: "text/html; charset=utf-8",
        body: html.into_bytes().into(),
        delay: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites() -> Sites {
        let repo = crate::repo::Repo::find().unwrap();
        Sites::read(&repo.join("demo/sites")).unwrap()
    }

    fn ask<'s>(sites: &'s Sites, method: &str, host: &str, target: &str, body: &str) -> Answer<'s> {
        sites.answer(&Asked { method, host, target, body: body.as_bytes() })
    }

    #[test]
    fn each_host_has_its_own_site_under_both_names() {
        let sites = sites();
        for name in sites.sites.keys() {
            for host in [format!("{name}.example"), format!("{name}.localhost:8080")] {
                for path in
                    ["/", "/about", "/events", "/login", "/style.css", "/search?q=a", "/nope"]
                {
                    let answer = ask(&sites, "GET", &host, path, "");
                    assert_eq!(
                        answer.status,
                        if path == "/nope" { 404 } else { 200 },
                        "{host}{path}"
                    );
                    let body = String::from_utf8_lossy(&answer.body);
                    assert!(body.contains(&format!("site: {name} ")), "{host}{path}");
                }
            }
        }
        assert_eq!(ask(&sites, "GET", "other.example", "/", "").status, 421);
    }

    #[test]
    fn the_form_knows_one_word() {
        let sites = sites();
        let login = |body| ask(&sites, "POST", "alice.example", "/login", body).status;
        assert_eq!(login("user=demo&word=seawall"), 200);
        assert_eq!(login("user=demo&word=guess"), 401);
        assert_eq!(ask(&sites, "POST", "alice.example", "/about", "").status, 405);
    }

    #[test]
    fn a_search_finds_pages_and_repeats_nothing() {
        let sites = sites();
        let hit = ask(&sites, "GET", "garden.example", "/search?q=compost", "");
        assert!(String::from_utf8_lossy(&hit.body).contains("<li>"));
        let miss = ask(&sites, "GET", "garden.example", "/search?q=<script>", "");
        assert!(!String::from_utf8_lossy(&miss.body).contains("script"));
    }
}
