//! Words of other tools, and their equivalents here.
//!
//! Authors paste lines from nginx, HAProxy, Apache, Cloudflare, Anubis, CrowdSec, fail2ban and
//! Varnish. None of them is valid; each is rejected with a diagnostic at the position of the parse
//! error. If a word of another tool is near this position, the help names the equivalent. One table
//! lists the words.

use seawall_policy::code::Code;
use seawall_policy::diagnostic::{Diagnostic, FileId, Files};

/// How near to a diagnostic a word must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Near {
    /// Anywhere in the line: the word occurs in other tools only.
    Line,
    /// At the exact position: elsewhere it can be a word of the language or of the author.
    Here,
    /// At the start of the line.
    Begins,
}

use Near::{Begins, Here, Line};

/// Longest line that is searched, in bytes.
const LINE_BYTES_MAX: usize = 1_000;

/// The foreign word, its required position, and the equivalent. A word that ends in `_`, `.` or `(`
/// is a prefix: `{}` stands for the text after it, such as the name of a header or cookie. If two
/// match, the longer one counts.
const TABLE: &[(&str, Near, &str)] = &[
    // nginx
    (
        "$request_uri",
        Line,
        "`path` without the query, `query_string` for the query, or `raw_path` as received",
    ),
    ("$uri", Line, "`path == \"/a\"`, `path starts_with \"/a\"` or `path matches r\"…\"`"),
    ("$document_uri", Line, "`path`"),
    ("$args", Line, "`query_string`, or one parameter: `query(\"id\")`"),
    ("$query_string", Line, "`query_string`"),
    ("$is_args", Line, "`query_string is present`"),
    ("$arg_", Line, "`query(\"{}\")`"),
    ("$cookie_", Line, "`cookie(\"{}\")`"),
    ("$http_user_agent", Line, "`ua`, as in `ua contains nocase \"curl\"` or `ua is absent`"),
    ("$http_referer", Line, "`referer`, as in `referer not contains \"example.org\"`"),
    ("$http_", Line, "`header(\"{}\")`"),
    ("$remote_addr", Line, "`client.ip`, or `client` as the key of a limit"),
    ("$binary_remote_addr", Line, "`per client` in a limit"),
    ("$request_method", Line, "`method == POST` or `method not in { GET, HEAD }`"),
    ("$host", Line, "`host == \"example.org\"`"),
    ("$server_name", Line, "`site.name`"),
    ("$scheme", Line, "`conn.tls is present` for https"),
    ("$https", Line, "`conn.tls is present`"),
    (
        "$server_port",
        Line,
        "`conn.tls is present` distinguishes https from http; there is no field for the port",
    ),
    ("$geoip_country_code", Line, "`client.country == NL`, which needs a source"),
    ("$geoip2_", Line, "`client.country` or `client.asn`, which need a source"),
    ("$ssl_protocol", Line, "`conn.tls == \"TLSv1.3\"`"),
    ("$ssl_server_name", Line, "`conn.sni`"),
    ("$content_length", Line, "`content_length > 5MiB`"),
    ("$content_type", Line, "`content_type`"),
    ("$invalid_referer", Line, "`referer is present and referer not contains \"example.org\"`"),
    ("$status", Line, "`status`, in a `track` with `on response`"),
    ("$request_time", Line, "`latency`, in a `track` with `on response`"),
    ("$request_filename", Line, "`path`: no rule reads files"),
    ("limit_req_zone", Line, "`limit NAME { per client to 10/1s burst 5 then block 429 }`"),
    ("limit_req", Line, "`limit NAME { per client to 10/1s burst 5 then block 429 }`"),
    ("limit_conn_zone", Line, "`limit NAME { per client concurrent 20 then block 429 }`"),
    ("limit_conn", Line, "`limit NAME { per client concurrent 20 then block 429 }`"),
    (
        "valid_referers",
        Line,
        "`referer is present and referer not contains \"example.org\"` in a rule",
    ),
    ("error_page", Line, "`block 403` sends a page of the server"),
    ("rewrite", Here, "nothing: a policy allows or rejects requests and rewrites no path"),
    ("proxy_pass", Line, "`[[site]] origins` in `seawall.toml`"),
    ("location", Here, "`rule NAME { when path starts_with \"/admin\" then block }`"),
    ("upstream", Here, "`[[site]] origins` in `seawall.toml`"),
    (
        "server",
        Here,
        "`site \"example.org\" { … }` for rules of one host; listeners are in `seawall.toml`",
    ),
    ("geo", Here, "`list NAME: cidr = { 192.0.2.0/24 }`, and `client.ip in @NAME`"),
    ("map", Here, "`list NAME: string = { … }`, or a rule that sets a tag: `then tag \"bad\"`"),
    ("set", Here, "`then tag \"bad\"` in a rule, and `tagged(\"bad\")` in a later one"),
    // HAProxy
    ("acl", Here, "a condition after `when`, or `list NAME: cidr = { … }` for networks"),
    ("http-request", Line, "`rule NAME { when … then block }`"),
    ("http-response", Line, "`track NAME { on response where status == 404 … }` counts responses"),
    ("tcp-request", Line, "`rule NAME { when client.ip in @bad then drop }`"),
    ("stick-table", Line, "`track NAME { count requests per client over 10s keys 100k }`"),
    ("track-sc0", Line, "`track NAME { count requests per client over 10s keys 100k }`"),
    ("use_backend", Line, "`[[site]]` in `seawall.toml`: a policy selects no origin"),
    ("default_backend", Line, "`[[site]]` in `seawall.toml`: a policy selects no origin"),
    ("frontend", Here, "`[listen]` in `seawall.toml`; rules for all hosts are in `floor { … }`"),
    ("backend", Here, "`[[site]] origins` in `seawall.toml`"),
    ("path_beg", Line, "`path starts_with \"/api\"`"),
    ("path_end", Line, "`path ends_with \".php\"` or `path.ext == \"php\"`"),
    ("path_sub", Line, "`path contains \"wp-\"`"),
    ("path_reg", Line, "`path matches r\"…\"`"),
    ("path_dir", Line, "`segment(path, 1) == \"admin\"`"),
    ("path_dom", Line, "`segment(path, 1) == \"admin\"`"),
    ("url_beg", Line, "`path starts_with \"/api\"`, or `raw_path` as received"),
    ("url_end", Line, "`path ends_with \".php\"`"),
    ("url_sub", Line, "`path contains \"…\"`, `query_string contains \"…\"`"),
    ("url_reg", Line, "`path matches r\"…\"`"),
    ("url_dir", Line, "`segment(path, 1) == \"admin\"`"),
    ("base_reg", Line, "`host` and `path` separately"),
    ("base_beg", Line, "`host` and `path` separately"),
    ("src", Here, "`client.ip in 192.0.2.0/24` or `client.ip in @bad`"),
    (
        "src_http_req_rate(",
        Line,
        "`rate(NAME) > 100/10s` of a `track NAME { count requests per client over 10s keys 100k }`",
    ),
    ("src_conn_cur", Line, "`client.connections > 20`"),
    (
        "src_conn_rate",
        Line,
        "`[connections]` in `seawall.toml` limits the connections of each client",
    ),
    (
        "sc_http_req_rate(",
        Line,
        "`rate(NAME) > 100/10s` of a `track NAME { count requests per client over 10s keys 100k }`",
    ),
    (
        "sc_http_err_rate(",
        Line,
        "`rate(NAME) > 10/10s` of a `track NAME { on response where status >= 400 … }`",
    ),
    ("sc0_conn_cur", Line, "`client.connections > 20`"),
    ("sc_conn_cur", Line, "`client.connections > 20`"),
    (
        "sc0_",
        Line,
        "`rate(NAME)` or `count(NAME)` of a `track NAME { count requests per client over 10s keys 100k }`",
    ),
    (
        "sc_",
        Line,
        "`rate(NAME)` or `count(NAME)` of a `track NAME { count requests per client over 10s keys 100k }`",
    ),
    ("be_sess_rate", Line, "`rate(NAME)` of a `track NAME { count requests over 1s }`"),
    ("fe_sess_rate", Line, "`rate(NAME)` of a `track NAME { count requests over 1s }`"),
    (
        "nbsrv(",
        Line,
        "`origin.errors`; the circuit breaker of the server stops requests to a \
        failing origin",
    ),
    ("hdr(", Line, "`header(\"{}\")`, as in `header(\"accept\") contains nocase \"text/html\"`"),
    ("hdr_sub(", Line, "`header(\"{}\") contains nocase \"…\"`"),
    ("hdr_beg(", Line, "`header(\"{}\") starts_with \"…\"`"),
    ("hdr_end(", Line, "`header(\"{}\") ends_with \"…\"`"),
    ("hdr_reg(", Line, "`header(\"{}\") matches r\"…\"`"),
    ("hdr_dom(", Line, "`header(\"{}\") contains \"…\"`"),
    ("hdr_cnt(", Line, "`count_of(header(\"{}\"))`"),
    ("req.hdr(", Line, "`header(\"{}\")`, as in `header(\"{}\") is present`"),
    ("req.hdr_cnt(", Line, "`count_of(header(\"{}\"))`"),
    ("req.fhdr(", Line, "`header(\"{}\")`"),
    ("req.cook(", Line, "`cookie(\"{}\")`"),
    ("cook(", Line, "`cookie(\"{}\")`, as in `cookie(\"{}\") is present`"),
    ("url_param(", Line, "`query(\"{}\")`"),
    ("urlp(", Line, "`query(\"{}\")`, as in `query(\"{}\") is present`"),
    ("ssl_fc", Line, "`conn.tls is present`"),
    ("ssl_fc_sni", Line, "`conn.sni`"),
    ("ssl_fc_protocol", Line, "`conn.tls`"),
    (
        "dst_port",
        Line,
        "`conn.tls is present` distinguishes https from http; there is no field for the port",
    ),
    (
        "http_auth(",
        Line,
        "nothing: a policy requires no password; compare `header(\"authorization\")`",
    ),
    ("always_true", Line, "`true`"),
    ("always_false", Line, "`false`"),
    (
        "-m",
        Here,
        "the comparison as a word: `contains`, `starts_with`, `ends_with`, `matches`, `is present`",
    ),
    ("-i", Here, "`nocase` after the comparison: `ua contains nocase \"bot\"`"),
    ("-f", Here, "`list NAME: cidr = file \"lists/bad.txt\" max 10k`, and `client.ip in @NAME`"),
    ("deny_status", Line, "`block 429`"),
    ("capture.req.uri", Line, "`raw_path` and `query_string`"),
    // Apache, ModSecurity
    ("RewriteEngine", Line, "nothing: rules apply as soon as they are saved"),
    ("%{HTTP_USER_AGENT}", Line, "`ua`, as in `ua contains nocase \"curl\"` or `ua is absent`"),
    ("%{HTTP_REFERER}", Line, "`referer`"),
    ("%{HTTP_HOST}", Line, "`host`"),
    ("%{HTTP_COOKIE}", Line, "`cookie(\"NAME\")`"),
    ("%{REQUEST_URI}", Line, "`path == \"/a\"` or `path starts_with \"/a\"`"),
    ("%{THE_REQUEST}", Line, "`method`, `raw_path` and `query_string`"),
    ("%{QUERY_STRING}", Line, "`query_string`, or one parameter: `query(\"id\")`"),
    ("%{REMOTE_ADDR}", Line, "`client.ip in { 192.0.2.0/24 }`"),
    ("%{REQUEST_METHOD}", Line, "`method == POST` or `method not in { GET, HEAD }`"),
    ("%{HTTPS}", Line, "`conn.tls is present`"),
    ("%{REQUEST_FILENAME}", Line, "`path`: no rule reads files"),
    ("RewriteCond", Line, "a condition after `when`: `ua`, `path`, `query_string`, `client.ip`"),
    ("RewriteRule", Line, "`rule NAME { when path matches r\"…\" then block }`"),
    ("Require", Here, "`rule NAME { when client.ip not in { 192.0.2.0/24 } then block }`"),
    ("Order", Here, "nothing: the first rule that decides ends the evaluation, from top to bottom"),
    ("<Location", Line, "`rule NAME { when path starts_with \"/admin\" then block }`"),
    ("<Directory", Line, "`rule NAME { when path starts_with \"/admin\" then block }`"),
    ("<Files", Line, "`rule NAME { when path ends_with \"/xmlrpc.php\" then block }`"),
    ("<LimitExcept", Line, "`rule NAME { when method not in { GET, POST } then block 405 }`"),
    ("<Limit", Line, "`rule NAME { when method not in { GET, POST } then block 405 }`"),
    ("SetEnvIf", Line, "`then tag \"bad\"` in a rule, and `tagged(\"bad\")` in a later one"),
    ("SetEnvIfNoCase", Line, "`then tag \"bad\"` in a rule, and `tagged(\"bad\")` in a later one"),
    ("BrowserMatch", Line, "`rule NAME { when ua contains nocase \"curl\" then block }`"),
    ("BrowserMatchNoCase", Line, "`rule NAME { when ua contains nocase \"curl\" then block }`"),
    ("ErrorDocument", Line, "`block 403` sends a page of the server"),
    ("SecRule", Line, "`rule NAME { when query(\"id\") contains nocase \"union\" then block }`"),
    ("SecAction", Line, "`rule NAME { when true then score += 5 }`"),
    ("DOSPageCount", Line, "`limit NAME { per client, path to 5/1s then block 429 }`"),
    ("DOSSiteCount", Line, "`limit NAME { per client to 50/1s then block 429 }`"),
    ("QS_", Line, "`limit NAME { per client to 50/10s then block 429 }`"),
    ("-R", Here, "`client.ip in 192.0.2.0/24`"),
    // Cloudflare
    ("ip.src", Line, "`client.ip`"),
    ("http.request.uri.path.extension", Line, "`path.ext`"),
    ("http.request.uri.path", Line, "`path`"),
    ("http.request.uri.query", Line, "`query_string`, or one parameter: `query(\"id\")`"),
    ("http.request.uri.args", Line, "`query(\"id\")`"),
    ("http.request.uri", Line, "`path`, and `query_string` for the text after `?`"),
    ("http.request.full_uri", Line, "`host`, `path` and `query_string` separately"),
    ("http.request.headers", Line, "`header(\"x-key\")`, as in `header(\"x-key\") == \"a\"`"),
    ("http.request.cookies", Line, "`cookie(\"session\")`"),
    ("http.request.version", Line, "`conn.proto == h2`"),
    (
        "http.request.timestamp",
        Line,
        "nothing: rules have no time of day; `expires` ends a rule on \
        a date",
    ),
    ("http.request.body", Line, "`content_length > 1MiB`: no rule reads a body"),
    ("http.request.method", Line, "`method`"),
    ("http.response.code", Line, "`status`, in a `track` with `on response`"),
    ("http.referer", Line, "`referer`"),
    ("http.cookie", Line, "`cookie(\"session\") is present`"),
    ("http.x_forwarded_for", Line, "`header(\"x-forwarded-for\")`"),
    ("cf.client.bot", Line, "`client.crawler is present`, which needs a source"),
    (
        "cf.verified_bot_category",
        Line,
        "`client.crawler in { google, bing }`, which needs a source",
    ),
    ("cf.threat_score", Line, "`score`, the sum of all rules: `then score += 10`"),
    ("cf.bot_management.ja3_hash", Line, "`conn.ja4`"),
    ("cf.bot_management.ja4", Line, "`conn.ja4`"),
    ("cf.ja3_hash", Line, "`conn.ja4`"),
    ("cf.bot_management.", Line, "`score`, the sum of all rules: `then score += 10`"),
    ("cf.tls_client_auth.", Line, "nothing: client certificates are not supported"),
    ("cf.tls_version", Line, "`conn.tls`"),
    (
        "cf.edge.server_port",
        Line,
        "`conn.tls is present` distinguishes https from http; there is no field for the port",
    ),
    ("cf.", Line, "`seawall fields`, which lists all fields"),
    ("ssl", Here, "`conn.tls is present`"),
    ("starts_with(", Line, "`path starts_with \"/api\"`: the comparison is in the middle"),
    ("ends_with(", Line, "`path ends_with \".php\"`: the comparison is in the middle"),
    ("contains(", Line, "`ua contains \"bot\"`: the comparison is in the middle"),
    ("any(", Line, "`header(\"x\") == \"a\"`, which is true if any of its values matches"),
    ("all(", Line, "`not header(\"x\") != …`: a comparison is true if any value matches"),
    ("concat(", Line, "two comparisons joined by `and`"),
    ("xor", Here, "`(a and not b) or (b and not a)`"),
    ("$", Here, "`@name`, declared with `list name: cidr = { … }`"),
    // Anubis, go-away, CrowdSec
    ("bots", Here, "`defaults { rule NAME { when … then block } }`"),
    ("- name", Line, "`rule NAME { when … then block }`"),
    ("user_agent_regex", Line, "`when ua matches r\"…\"`"),
    ("path_regex", Line, "`when path matches r\"…\"`"),
    ("headers_regex", Line, "`when header(\"x\") matches r\"…\"`"),
    ("remote_addresses", Line, "`when client.ip in { 192.0.2.0/24 }`"),
    ("action", Here, "`then block`, `then allow` or `then score += 10`"),
    ("expression", Here, "`when` and a condition"),
    ("userAgent", Line, "`ua`, as in `ua contains \"curl\"`"),
    ("remoteAddress", Line, "`client.ip`"),
    ("headers[", Line, "`header(\"accept\")`"),
    ("headers", Here, "`header(\"accept\") is present`"),
    ("query[", Line, "`query(\"q\")`"),
    ("startsWith", Line, "`path starts_with \"/a\"`"),
    ("path.startsWith", Line, "`path starts_with \"/a\"`"),
    ("path.endsWith", Line, "`path ends_with \".php\"`"),
    ("path.contains", Line, "`path contains \"wp-\"`"),
    ("path.matches", Line, "`path matches r\"…\"`"),
    ("load_1m", Line, "`cpu.load > 90%` in a `level`, in percent of the processors"),
    ("load_5m", Line, "`cpu.load > 90%` in a `level`, in percent of the processors"),
    ("evt.Meta.http_path", Line, "`path`"),
    ("evt.Meta.http_status", Line, "`status`, in a `track` with `on response`"),
    ("evt.Meta.http_user_agent", Line, "`ua`"),
    ("evt.Parsed.http_user_agent", Line, "`ua`"),
    ("evt.Meta.source_ip", Line, "`client.ip`, or `per client` in a `track`"),
    ("evt.", Line, "`seawall fields`, which lists all fields"),
    ("filter", Here, "`where` and a condition, in a `track` or `limit`"),
    ("groupby", Here, "`per client`"),
    ("leakspeed", Here, "`to 5/10s` in a limit: a number and a window"),
    ("capacity", Here, "`burst 5` in a limit"),
    ("blackhole", Here, "`hold 1m` in a limit"),
    ("remediation", Here, "`then block` or `then ban 4h`"),
    ("type", Here, "`limit NAME { per client to 5/10s then block 429 }`"),
    // fail2ban
    (
        "failregex",
        Line,
        "`track NAME { on response where status == 401 count requests per client over 10m keys 50k }`",
    ),
    ("ignoreregex", Line, "`unless` and a condition"),
    ("maxretry", Line, "`when count(NAME) > 5` of a `track NAME`"),
    ("findtime", Line, "`over 10m` in a `track`"),
    ("bantime", Line, "`then ban 1h` in a rule of `floor`"),
    ("ignoreip", Line, "`[bans] exempt` in `seawall.toml`, or `unless client.ip in @office`"),
    ("banaction", Line, "`then ban 1h`: the server itself rejects"),
    ("[", Begins, "`floor { … }` or `defaults { … }` around rules"),
    // Varnish
    ("req.url", Line, "`path`, and `query_string` for the text after `?`"),
    ("req.method", Line, "`method`"),
    ("req.http.host", Line, "`host`"),
    ("req.http.user-agent", Line, "`ua`"),
    ("req.http.referer", Line, "`referer`"),
    ("req.http.cookie", Line, "`cookie(\"session\") is present`"),
    ("req.http.", Line, "`header(\"{}\")`, as in `header(\"{}\") is present`"),
    ("beresp.status", Line, "`status`, in a `track` with `on response`"),
    ("resp.status", Line, "`status`, in a `track` with `on response`"),
    ("obj.status", Line, "`status`, in a `track` with `on response`"),
    (
        "std.port",
        Line,
        "`conn.tls is present` distinguishes https from http; there is no field for the port",
    ),
    ("synth(", Line, "`block 403`"),
    ("vsthrottle.", Line, "`limit NAME { per client to 10/1m then block 429 }`"),
    ("client.identity", Line, "`client`"),
    ("vcl", Here, "`policy 1`, the first line of a policy"),
    ("sub", Here, "`floor { rule NAME { when … then block } }`"),
    // Words of several tools.
    ("if", Here, "`rule NAME { when … then … }`; and for an exception `unless`"),
    ("deny", Here, "`rule NAME { when client.ip in { 192.0.2.0/24 } then block }`"),
    ("allow", Here, "`rule NAME { when client.ip in { 192.0.2.0/24 } then allow }`, in `defaults`"),
    ("block", Here, "`rule NAME { when … then block }`"),
    ("return", Here, "`then block 403`, and `then drop` for 444"),
    ("redirect", Here, "`block`: a policy allows or rejects requests and does not redirect"),
    ("error", Here, "`block 403`"),
    ("empty", Here, "`is absent`, or `== \"\"` for an empty value"),
    ("missing", Here, "`is absent`"),
    ("null", Here, "`is absent`"),
    ("exists", Here, "`is present`"),
    ("user-agent", Here, "`ua`"),
    ("accept_language", Here, "`header(\"accept-language\")`"),
    ("for", Here, "`hold 10m` after a limit's action, or `ban 1h`"),
];

/// Most words reported for one line.
const WORDS_MAX: usize = 3;
/// Most lines that are searched: as many as diagnostics are shown.
const LINES_MAX: usize = seawall_policy::diagnostic::SHOWN_MAX;

/// A word of another tool in a line.
struct Found {
    at: usize,
    end: usize,
    ours: &'static str,
}

/// Adds the equivalents of foreign words to the first error of each line.
pub(crate) fn help(diagnostics: &mut [Diagnostic], files: &Files) {
    let mut lines: Vec<(usize, Place)> = Vec::new();
    for (at, said) in diagnostics.iter().enumerate().filter(|(_, said)| said.is_error()) {
        let Some(place) = Place::of(said, files) else { continue };
        if let Some((_, known)) = lines.iter_mut().find(|(_, known)| known.is_beside(&place)) {
            known.add(&place);
        } else if lines.len() < LINES_MAX {
            lines.push((at, place));
        }
    }
    for (at, place) in lines {
        let told = diagnostics.get_mut(at).zip(place.told(files));
        if let Some((said, hint)) = told {
            said.help = Some(match said.help.take() {
                None => hint,
                Some(help) => format!("{hint}; {help}"),
            });
        }
    }
}

/// A line with errors: their positions, and the words for which they already have a correction.
struct Place {
    file: FileId,
    begins: usize,
    wrong: Vec<(usize, usize)>,
    offered: Vec<(usize, usize)>,
}

impl Place {
    fn of(said: &Diagnostic, files: &Files) -> Option<Self> {
        let start = said.span.start as usize;
        let before = files.text(said.file).get(..start)?;
        let begins = before.rfind('\n').map_or(0, |end| end.saturating_add(1));
        let within = |from: u32, to: u32| {
            let from = (from as usize).checked_sub(begins)?;
            Some((from, (to as usize).saturating_sub(begins).max(from.saturating_add(1))))
        };
        let wrong = within(said.span.start, said.span.end).into_iter().collect();
        let fix = said.fix.as_ref().and_then(|fix| within(fix.span.start, fix.span.end));
        let offered = if said.code == Code::UnknownField { fix } else { None };
        Some(Self { file: said.file, begins, wrong, offered: offered.into_iter().collect() })
    }

    fn is_beside(&self, other: &Self) -> bool {
        (self.file, self.begins) == (other.file, other.begins)
    }

    fn add(&mut self, other: &Self) {
        self.wrong.extend(&other.wrong);
        self.offered.extend(&other.offered);
    }

    fn told(&self, files: &Files) -> Option<String> {
        let rest = files.text(self.file).get(self.begins..)?;
        let line = rest.split('\n').next().unwrap_or(rest);
        if line.len() > LINE_BYTES_MAX {
            return None;
        }
        let mut words: Vec<String> = Vec::new();
        for found in self.found(line) {
            let (name, end) = named(line, found.end);
            let theirs = line.get(found.at..end)?.trim();
            let word = format!("`{theirs}` is {}", filled(found.ours, name));
            if words.len() < WORDS_MAX && !words.contains(&word) {
                words.push(word);
            }
        }
        (!words.is_empty()).then(|| format!("here {}", words.join("; ")))
    }

    /// Returns the words of the table in a line, from its start; the longest of overlapping ones.
    fn found(&self, line: &str) -> Vec<Found> {
        let quoted = quoted(line);
        let overlaps = |all: &[(usize, usize)], at: usize, end: usize| {
            all.iter().any(|(from, to)| at < *to && *from < end)
        };
        let mut all: Vec<Found> = Vec::new();
        for (theirs, near, ours) in TABLE {
            for at in matches(line, theirs) {
                let end = at.saturating_add(theirs.len());
                let is_near = match near {
                    Line => true,
                    Here => self.wrong.iter().any(|(from, to)| (*from..*to).contains(&at)),
                    Begins => line.get(..at).is_some_and(|before| before.trim().is_empty()),
                };
                if is_near && !overlaps(&quoted, at, end) && !overlaps(&self.offered, at, end) {
                    all.push(Found { at, end, ours });
                }
            }
        }
        all.sort_by_key(|found| (found.at, usize::MAX - found.end));
        let mut reached = 0;
        all.retain(|found| {
            let is_free = found.at >= reached;
            reached = if is_free { found.end } else { reached };
            is_free
        });
        all
    }
}

/// Returns the positions of a word in a line, where it is not a part of another word.
fn matches<'l>(line: &'l str, theirs: &'l str) -> impl Iterator<Item = usize> + 'l {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_open = theirs.ends_with(['_', '.', '(', '[']);
    let inner = theirs.starts_with(is_word);
    let begins = move |at: usize| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !inner || before.is_none_or(|c| !is_word(c) && !matches!(c, '.' | '-' | '$' | '@'))
    };
    let ends = move |at: usize| {
        let after = line.get(at.saturating_add(theirs.len())..);
        let mut rest = after.into_iter().flat_map(str::chars);
        let (next, second) = (rest.next(), rest.next());
        // A word of the policy language can contain hyphens.
        let goes_on = |c: char| is_word(c) || (c == '-' && second.is_some_and(is_word));
        match theirs {
            // The name of a variable must follow.
            "$" => next.is_some_and(|c| c.is_ascii_alphabetic()),
            _ => is_open || !next.is_some_and(goes_on),
        }
    };
    let found = (0..line.len()).filter(move |at| {
        line.get(*at..at.saturating_add(theirs.len()))
            .is_some_and(|part| part.eq_ignore_ascii_case(theirs))
    });
    found.filter(move |at| begins(*at) && ends(*at))
}

/// Returns the strings of a line, with quotes. An unclosed string ends with its line.
fn quoted(line: &str) -> Vec<(usize, usize)> {
    let quotes: Vec<usize> = line.match_indices('"').map(|(at, _)| at).collect();
    let pair = |pair: &[usize]| {
        let from = pair.first().copied().unwrap_or_default();
        let to = pair.get(1).map_or(line.len(), |to| to.saturating_add(1));
        (from, to)
    };
    quotes.chunks(2).map(pair).collect()
}

/// Returns the name that follows a foreign word, and its end, with the bracket after it.
fn named(line: &str, end: usize) -> (&str, usize) {
    let after = line.get(end..).unwrap_or_default();
    let before = line.get(..end).and_then(|before| before.chars().next_back());
    if !before.is_some_and(|c| matches!(c, '_' | '.' | '(')) {
        return ("", end);
    }
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let len = after.find(|c| !in_name(c)).unwrap_or(after.len());
    let close = after.get(len..).is_some_and(|rest| before == Some('(') && rest.starts_with(')'));
    let end = end.saturating_add(len).saturating_add(usize::from(close));
    (after.get(..len).unwrap_or_default(), end)
}

/// Returns the help with that name, in the notation of a header or a cookie.
fn filled(ours: &str, name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let name = if ours.contains("header(") { name.replace('_', "-") } else { name };
    ours.replace("{}", if name.is_empty() { "NAME" } else { &name })
}

#[cfg(test)]
mod tests {
    use seawall_policy::span::Span;

    use super::*;

    /// Returns the help for an error at a part of a line.
    fn told(line: &str, part: &str) -> Option<String> {
        let mut files = Files::default();
        let text = format!("policy 1\n{line}\n");
        let file = files.add("a.wall", &text);
        let at = text.find(part).unwrap();
        let span = Span::new(at, at + part.len());
        let mut all = vec![Diagnostic::error(Code::Unexpected, file, span, "x")];
        help(&mut all, &files);
        all.remove(0).help
    }

    #[test]
    fn words_of_other_tools_are_told_with_ours() {
        let say = |line, part| told(line, part).unwrap();
        assert_eq!(
            say("when hdr(User-Agent) -i -m sub bot", "-i"),
            "here `hdr(User-Agent)` is `header(\"user-agent\")`, as in `header(\"accept\") contains \
             nocase \"text/html\"`; `-i` is `nocase` after the comparison: `ua contains nocase \
             \"bot\"`"
        );
        assert_eq!(
            say("when $http_x_key = 1", "$http_x_key"),
            "here `$http_x_key` is `header(\"x-key\")`"
        );
        assert!(say("[sshd]", "[").contains("`floor { … }`"));
    }

    #[test]
    fn words_that_are_ours_too_are_told_at_their_place_only() {
        assert_eq!(told("extern f() -> int { on_failure return x }", "x"), None);
        assert_eq!(told("rule a { when path == \"$uri\" then blokc }", "blokc"), None, "in quotes");
        assert_eq!(
            told("rule http-request-x { wen true then block }", "wen"),
            None,
            "a part of a name"
        );
        assert_eq!(told("when ua contains a", "contains"), None);
    }

    #[test]
    fn long_lines_and_many_of_them_are_not_looked_through() {
        let long = format!("when $uri {}", "x".repeat(LINE_BYTES_MAX));
        assert_eq!(told(&long, "$uri"), None);
        let mut files = Files::default();
        let file = files.add("a.wall", &"$uri\n".repeat(LINES_MAX + 5));
        let at = |n: usize| Span::new(n * 5, n * 5 + 4);
        let said = |n| Diagnostic::error(Code::Unexpected, file, at(n), "x");
        let mut all: Vec<Diagnostic> = (0..LINES_MAX + 5).map(said).collect();
        help(&mut all, &files);
        assert_eq!(all.iter().filter(|said| said.help.is_some()).count(), LINES_MAX);
    }

    #[test]
    fn no_word_stands_twice_in_the_table() {
        let mut seen = std::collections::HashSet::new();
        for (theirs, _, ours) in TABLE {
            assert!(seen.insert(theirs.to_ascii_lowercase()), "{theirs} twice");
            assert!(ours.contains('`') || ours.starts_with("nothing"), "{theirs}");
        }
    }
}
