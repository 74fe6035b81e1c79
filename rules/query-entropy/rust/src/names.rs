//! Names of common parameters of sites and advertisers.
//!
//! The lists are short on purpose. Other names get points by their form, and the names that authors
//! of sites choose look like words.

/// The kind of a parameter, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// Added to links by advertisers and mail programs: any value, without points.
    Tracking,
    /// Usually an opaque text: a session, a signature, a cursor.
    Opaque,
    /// Usually there to bypass caches.
    Version,
    /// A well-known parameter for words and numbers.
    Known,
    Other,
}

/// Most bytes of a name that are read, without case.
const NAME_BYTES_MAX: usize = 24;

const TRACKING: [&[u8]; 26] = [
    b"fbclid",
    b"gclid",
    b"gclsrc",
    b"gbraid",
    b"wbraid",
    b"dclid",
    b"msclkid",
    b"yclid",
    b"twclid",
    b"ttclid",
    b"igshid",
    b"igsh",
    b"li_fat_id",
    b"mc_cid",
    b"mc_eid",
    b"_ga",
    b"_gl",
    b"_hsenc",
    b"_hsmi",
    b"srsltid",
    b"epik",
    b"mkt_tok",
    b"vero_id",
    b"oly_anon_id",
    b"ref_src",
    b"si",
];

const OPAQUE: [&[u8]; 58] = [
    b"token",
    b"_token",
    b"access_token",
    b"refresh_token",
    b"id_token",
    b"csrf",
    b"csrftoken",
    b"csrf_token",
    b"nonce",
    b"_wpnonce",
    b"state",
    b"code",
    b"sid",
    b"sessionid",
    b"session_id",
    b"session",
    b"phpsessid",
    b"jsessionid",
    b"asp.net_sessionid",
    b"key",
    b"api_key",
    b"apikey",
    b"auth",
    b"hash",
    b"sig",
    b"signature",
    b"hmac",
    b"hdnea",
    b"policy",
    b"key-pair-id",
    b"jwt",
    b"ticket",
    b"cursor",
    b"after",
    b"before",
    b"continuation",
    b"pagetoken",
    b"page_token",
    b"uuid",
    b"guid",
    b"samlrequest",
    b"samlresponse",
    b"relaystate",
    b"redirect_uri",
    b"redirect",
    b"url",
    b"next",
    b"return",
    b"returnurl",
    b"itok",
    b"oh",
    b"verify",
    b"list",
    b"share",
    b"ei",
    b"ved",
    b"usg",
    b"invite",
];

const VERSION: [&[u8]; 22] = [
    b"v",
    b"ver",
    b"version",
    b"_",
    b"t",
    b"ts",
    b"time",
    b"timestamp",
    b"cb",
    b"cachebuster",
    b"nocache",
    b"no_cache",
    b"rev",
    b"build",
    b"r",
    b"rnd",
    b"rand",
    b"random",
    b"_dc",
    b"h",
    b"m",
    b"d",
];

const KNOWN: [&[u8]; 42] = [
    b"q",
    b"s",
    b"query",
    b"search",
    b"keyword",
    b"keywords",
    b"text",
    b"term",
    b"k",
    b"p",
    b"page",
    b"paged",
    b"id",
    b"pid",
    b"cat",
    b"category",
    b"tag",
    b"lang",
    b"locale",
    b"sort",
    b"order",
    b"orderby",
    b"dir",
    b"limit",
    b"offset",
    b"start",
    b"from",
    b"to",
    b"date",
    b"year",
    b"month",
    b"type",
    b"view",
    b"tab",
    b"filter",
    b"action",
    b"c",
    b"o",
    b"w",
    b"size",
    b"name",
    b"title",
];

/// Returns the kind of the parameter with this name.
pub(crate) fn name(name: &[u8]) -> Name {
    let mut small = [0; NAME_BYTES_MAX];
    let Some(small) = small.get_mut(..name.len()) else { return Name::Other };
    small.copy_from_slice(name);
    small.make_ascii_lowercase();
    let small: &[u8] = small;
    let is_in = |list: &[&[u8]]| list.contains(&small);
    if small.starts_with(b"utm_") || small.starts_with(b"pk_") || is_in(&TRACKING) {
        Name::Tracking
    } else if small.starts_with(b"x-amz-") || small.starts_with(b"x-goog-") || is_in(&OPAQUE) {
        Name::Opaque
    } else if is_in(&VERSION) {
        Name::Version
    } else if is_in(&KNOWN) {
        Name::Known
    } else {
        Name::Other
    }
}
