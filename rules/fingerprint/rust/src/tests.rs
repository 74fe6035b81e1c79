//! Tests: the requests of one client have one fingerprint for each kind of request; another program
//! has another.

use super::*;
use proptest::prelude::*;
use seawall_rule::pack;

const CHROME: [(&str, &str); 12] = [
    ("host", "a.example"),
    ("connection", "keep-alive"),
    ("sec-ch-ua", "\"Not/A)Brand\";v=\"8\", \"Chromium\";v=\"126\", \"Google Chrome\";v=\"126\""),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Windows\""),
    ("upgrade-insecure-requests", "1"),
    (
        "user-agent",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/126.0.0.0 Safari/537.36",
    ),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("sec-fetch-site", "none"),
    ("sec-fetch-mode", "navigate"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-US,en;q=0.9"),
];

fn print<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> String {
    fingerprint(Headers::new(&pack(fields)))
}

/// Returns Chrome's fields with one value replaced.
fn with<'t>(name: &str, value: &'t str) -> Vec<(&'t str, &'t str)> {
    CHROME.iter().map(|(have, old)| (*have, if *have == name { value } else { old })).collect()
}

#[test]
fn what_passes_changes_nothing() {
    let page = print(&CHROME);
    assert!(page.starts_with("c12-"), "{page}");
    for passing in
        ["cookie", "referer", "if-none-match", "range", "x-forwarded-for", "cache-control"]
    {
        for at in [0, 5, 12] {
            let mut more = CHROME.to_vec();
            more.insert(at, (passing, "anything"));
            assert_eq!(print(&more), page, "{passing} at {at}");
        }
    }
    assert_eq!(print(&with("host", "b.example")), page);
    assert_eq!(print(&with("sec-fetch-site", "same-origin")), page);
}

#[test]
fn names_order_and_the_programs_values_count() {
    let page = print(&CHROME);
    let mut other = CHROME.to_vec();
    other.swap(6, 7);
    assert_ne!(print(&other), page);
    assert_ne!(print(&CHROME[..11]), page);
    for name in ["accept", "accept-encoding", "connection", "sec-ch-ua", "sec-ch-ua-platform"] {
        assert_ne!(print(&with(name, "x")), page, "{name}");
    }
    assert_ne!(print(&with("accept-language", "de")), page);
}

#[test]
fn versions_counted_up_are_one_print() {
    let agent = |version: u32| {
        format!(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/{version}.0.{}.{} Safari/537.36",
            version * 41,
            version % 97
        )
    };
    let prints: std::collections::BTreeSet<_> =
        (60..160).map(|version| print(&with("user-agent", &agent(version)))).collect();
    assert_eq!(prints.len(), 1);
    assert_eq!(print(&with("accept-language", "en-US,en;q=0.7")), print(&CHROME));
}

#[test]
fn made_up_fields_make_one_print_not_many() {
    let with_junk = |junk: &[&str]| {
        let mut fields = CHROME.to_vec();
        fields.extend(junk.iter().map(|name| (*name, "x")));
        print(&fields)
    };
    assert_eq!(with_junk(&["x-a1"]), with_junk(&["zzz", "x-b2", "q"]));
    assert_ne!(with_junk(&["x-a1"]), print(&CHROME));
}

#[test]
fn the_first_letter_says_what_is_claimed() {
    let first = |agent: &str| print(&[("user-agent", agent)]).remove(0);
    assert_eq!(
        first("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"),
        'f'
    );
    assert_eq!(
        first("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/17.5 Safari/605.1.15"),
        's'
    );
    assert_eq!(first("Mozilla/5.0 (compatible; Examplebot/2.1; +http://search.example/bot)"), 'm');
    assert_eq!(first("curl/8.5.0"), 'o');
    assert_eq!(first(""), 'n');
    assert_eq!(print::<&str, &str>(&[]).remove(0), 'n');
}

#[test]
fn what_lies_beyond_the_bounds_is_not_read() {
    let long = |tail: &str| format!("{}{tail}", "x".repeat(VALUE_BYTES_MAX));
    assert_eq!(print(&[("accept", long("a"))]), print(&[("accept", long("b"))]));
    let many = |last: &str| {
        let mut fields = vec![("te", long("")); VALUES_BYTES_MAX / VALUE_BYTES_MAX];
        fields.push(("te", last.to_owned()));
        print(&fields)
    };
    assert_eq!(many("a"), many("b"));
    let crowd = |last: &'static str| {
        let mut fields = vec![("cookie", "x"); FIELDS_MAX];
        fields.push((last, "x"));
        print(&fields)
    };
    assert_eq!(crowd("accept"), crowd("te"));
}

proptest! {
    #[test]
    fn any_bytes_have_a_short_print(packed in any::<Vec<u8>>()) {
        let print = fingerprint(Headers::new(&packed));
        prop_assert!(print.len() <= PRINT_BYTES_MAX && print.is_ascii());
    }

    #[test]
    fn any_fields_have_a_short_print_and_the_same_again(
        fields in proptest::collection::vec(("[a-z-]{1,20}", any::<Vec<u8>>()), 0..150)
    ) {
        let first = print(&fields);
        prop_assert!(first.len() <= PRINT_BYTES_MAX, "{}", first);
        prop_assert_eq!(print(&fields), first);
    }

    #[test]
    fn digits_of_an_agent_fold(a in "[0-9]{1,9}", b in "[0-9]{1,9}") {
        let agent = |version: &str| print(&[("user-agent", format!("Tool/{version} (x)"))]);
        prop_assert_eq!(agent(&a), agent(&b));
    }
}
