//! Parses a User-Agent in one pass.

use rule_support::find::{Marks, beginning, leading_number};
use rule_support::words::{Look, look};

/// Most parts of the parentheses that are read, and most products outside them.
const PARTS_MAX: usize = 24;

/// Most bytes of a product name that are read.
const NAME_BYTES_MAX: usize = 32;

/// The content of a User-Agent. Versions are major versions.
#[derive(Debug, Default)]
pub(crate) struct Agent<'a> {
    pub(crate) mozilla: Option<u32>,
    pub(crate) chrome: Option<u32>,
    /// The complete version after `Chrome/`.
    pub(crate) chrome_build: &'a [u8],
    pub(crate) firefox: Option<u32>,
    pub(crate) msie: Option<u32>,
    pub(crate) trident: Option<u32>,
    pub(crate) presto: bool,
    /// The version of Safari, after `Version/`.
    pub(crate) version: Option<u32>,
    pub(crate) safari: &'a [u8],
    pub(crate) webkit: &'a [u8],
    pub(crate) gecko: &'a [u8],
    pub(crate) rv: Option<u32>,
    /// `CriOS`, `FxiOS` and others, which all use Safari's engine.
    pub(crate) ios_browser: bool,
    /// Another browser that is based on Chromium and names itself.
    pub(crate) derived: bool,
    pub(crate) mobile: bool,
    /// Windows NT, major and minor.
    pub(crate) windows: Option<(u32, u32)>,
    /// Windows before NT 5, or a marketing name.
    pub(crate) windows_old: bool,
    pub(crate) windows_phone: bool,
    /// Mac OS X, major and minor.
    pub(crate) mac: Option<(u32, u32)>,
    pub(crate) power_pc: bool,
    /// A phone from before modern mobile browsers.
    pub(crate) old_phone: bool,
    pub(crate) android: Option<u32>,
    pub(crate) ios: Option<u32>,
    pub(crate) iphone: bool,
    pub(crate) x11: bool,
    pub(crate) webview: bool,
    pub(crate) platform: bool,
    pub(crate) twice: bool,
    pub(crate) by_chance: bool,
    pub(crate) library: bool,
    /// A declared machine: a crawler, a feed reader, a monitor with a contact address.
    pub(crate) says_machine: bool,
}

/// Prefixes of HTTP libraries and command-line tools, in lower case.
const LIBRARIES: [&[u8]; 34] = [
    b"curl",
    b"wget",
    b"python",
    b"aiohttp",
    b"httpx",
    b"urllib",
    b"go-http-client",
    b"java",
    b"okhttp",
    b"apache-httpclient",
    b"jakarta",
    b"libwww-perl",
    b"lwp",
    b"perl",
    b"php",
    b"guzzle",
    b"guzzlehttp",
    b"ruby",
    b"faraday",
    b"httpclient",
    b"axios",
    b"node-fetch",
    b"node",
    b"undici",
    b"got",
    b"superagent",
    b"scrapy",
    b"mechanize",
    b"winhttp",
    b"libcurl",
    b"ab",
    b"siege",
    b"wrk",
    b"hey",
];

/// Names of crawlers, feed readers and monitors.
static MACHINES: Marks =
    Marks::new(&[b"bot", b"Bot", b"pider", b"rawl", b"http:", b"https:", b"Slurp", b"@"]);

static OLD_PHONES: Marks =
    Marks::new(&[b"MIDP", b"Symbian", b"Series60", b"BlackBerry", b"BREW", b"PalmOS"]);

impl<'a> Agent<'a> {
    pub(crate) fn read(text: &'a [u8]) -> Self {
        let mut agent = Agent {
            says_machine: MACHINES.any_in(text),
            old_phone: OLD_PHONES.any_in(text),
            ..Agent::default()
        };
        let open = text.iter().position(|byte| *byte == b'(');
        let (before, rest) = open.and_then(|at| text.split_at_checked(at)).unwrap_or((text, b""));
        let inside = rest.get(1..).unwrap_or_default();
        let close = inside.iter().position(|byte| *byte == b')').unwrap_or(inside.len());
        let (inside, behind) = inside.split_at_checked(close).unwrap_or_default();
        agent.library = agent.is_library(before);
        agent.read_platform(inside);
        agent.read_products(before);
        agent.read_products(behind);
        agent
    }

    fn is_library(&self, before: &[u8]) -> bool {
        let end = before.iter().position(|byte| matches!(byte, b'/' | b' ' | b'-'));
        let short = before.get(..end.unwrap_or(before.len())).unwrap_or_default();
        let end = before.iter().position(|byte| matches!(byte, b'/' | b' '));
        let long = before.get(..end.unwrap_or(before.len())).unwrap_or_default();
        let is = |name: &[u8]| LIBRARIES.iter().any(|known| known.eq_ignore_ascii_case(name));
        is(short) || is(long)
    }

    /// Parses the first parentheses, split at semicolons.
    fn read_platform(&mut self, inside: &'a [u8]) {
        self.platform = !inside.is_empty();
        for part in inside.split(|byte| *byte == b';').take(PARTS_MAX) {
            self.read_part(part.trim_ascii());
        }
    }

    fn read_part(&mut self, part: &'a [u8]) {
        if let Some(version) = part.strip_prefix(b"Windows NT ") {
            note(&mut self.windows, two_numbers(version), &mut self.twice);
        } else if part.starts_with(b"Windows Phone") {
            self.windows_phone = true;
        } else if part.starts_with(b"Windows ") || part.starts_with(b"Win9") {
            self.windows_old = true;
        } else if let Some(version) = part.strip_prefix(b"Android ") {
            note(&mut self.android, leading_number(version), &mut self.twice);
        } else if let Some(version) = part.strip_prefix(b"MSIE ") {
            note(&mut self.msie, leading_number(version), &mut self.twice);
        } else if let Some(version) = part.strip_prefix(b"Trident/") {
            note(&mut self.trident, leading_number(version), &mut self.twice);
        } else if let Some(version) = part.strip_prefix(b"rv:") {
            self.rv = leading_number(version);
        } else if part.starts_with(b"iPhone") || part.starts_with(b"iPod") {
            self.iphone = true;
        } else if part.starts_with(b"CPU ") {
            self.ios = number_behind(part, b"OS ");
        } else if part.starts_with(b"PPC") {
            self.power_pc = true;
        } else if let Some(version) = part.strip_prefix(b"Intel Mac OS X ") {
            note(&mut self.mac, two_numbers(version), &mut self.twice);
        } else {
            self.read_word(part);
        }
    }

    fn read_word(&mut self, part: &[u8]) {
        match part {
            b"X11" => self.x11 = true,
            b"Mobile" | b"Tablet" => self.mobile = true,
            b"wv" => self.webview = true,
            b"Android" => self.android = self.android.or(Some(u32::MAX)),
            _ => {}
        }
    }

    /// Parses the text outside parentheses: `Name/version`, split at spaces.
    fn read_products(&mut self, text: &'a [u8]) {
        let text = text.strip_prefix(b")").unwrap_or(text);
        let outside = text.split(|byte| matches!(byte, b'(' | b')')).step_by(2);
        let products =
            outside.flat_map(|text| text.split(|byte| matches!(byte, b' ' | b',' | b';')));
        for product in products.filter(|product| !product.is_empty()).take(PARTS_MAX) {
            let slash = product.iter().position(|byte| *byte == b'/').unwrap_or(product.len());
            let (name, version) = product.split_at_checked(slash).unwrap_or_default();
            self.read_product(name, version.get(1..).unwrap_or_default());
        }
    }

    fn read_product(&mut self, name: &[u8], version: &'a [u8]) {
        let number = leading_number(version);
        match name {
            b"Mozilla" => note(&mut self.mozilla, number.or(Some(0)), &mut self.twice),
            b"Chrome" => {
                note(&mut self.chrome, number, &mut self.twice);
                self.chrome_build = version;
            }
            b"Firefox" => note(&mut self.firefox, number, &mut self.twice),
            b"Version" => note(&mut self.version, number, &mut self.twice),
            b"Safari" => note_text(&mut self.safari, version, &mut self.twice),
            b"AppleWebKit" => note_text(&mut self.webkit, version, &mut self.twice),
            b"Gecko" => self.gecko = version,
            b"Mobile" => self.mobile = true,
            b"Presto" | b"Opera" => self.presto = true,
            b"CriOS" | b"FxiOS" | b"EdgiOS" | b"OPT" | b"OPiOS" | b"GSA" | b"DuckDuckGo"
            | b"Ddg" => {
                self.ios_browser = true;
            }
            b"Edg" | b"EdgA" | b"Edge" | b"OPR" | b"Vivaldi" | b"YaBrowser" | b"SamsungBrowser"
            | b"UCBrowser" | b"Electron" | b"HeadlessChrome" | b"Chromium" => self.derived = true,
            _ => self.by_chance |= is_by_chance(name),
        }
    }

    /// Returns whether the agent claims to run on a phone.
    pub(crate) const fn is_phone(&self) -> bool {
        self.iphone || self.windows_phone || (self.android.is_some() && self.mobile)
    }

    /// Returns whether the agent claims to run on a desktop.
    pub(crate) const fn is_desktop(&self) -> bool {
        self.windows.is_some() || self.windows_old || self.mac.is_some() || self.power_pc
    }
}

/// Keeps the first value, and records a second one.
fn note<T>(place: &mut Option<T>, value: Option<T>, twice: &mut bool) {
    *twice |= place.is_some();
    if place.is_none() {
        *place = value;
    }
}

fn note_text<'a>(place: &mut &'a [u8], value: &'a [u8], twice: &mut bool) {
    *twice |= !place.is_empty();
    if place.is_empty() {
        *place = value;
    }
}

/// Parses `10_15_7`, `10.15` or `6.1`.
fn two_numbers(text: &[u8]) -> Option<(u32, u32)> {
    let major = leading_number(text)?;
    let at = text.iter().position(|byte| matches!(byte, b'_' | b'.'));
    let minor = at.and_then(|at| text.get(at + 1..)).and_then(leading_number);
    Some((major, minor.unwrap_or(0)))
}

fn number_behind(text: &[u8], mark: &[u8]) -> Option<u32> {
    rule_support::find::after(text, mark).and_then(leading_number)
}

/// Returns whether a product name looks random: names are words, and versions stand elsewhere.
fn is_by_chance(name: &[u8]) -> bool {
    let name = beginning(name, NAME_BYTES_MAX);
    let class = |byte: &u8| match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        _ => 3,
    };
    let pairs = name.iter().zip(name.iter().skip(1));
    let changes = pairs.filter(|(a, b)| class(a) != class(b) && !(class(a) == 2 && class(b) == 1));
    changes.count() >= 5 || matches!(look(name), Look::Chance(_))
}
