//! Tests: current browsers get 0 points, generated agents get many, and no input makes the rule
//! fail.

use super::*;
use proptest::prelude::*;
use seawall_rule::pack;

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 \
                      (KHTML, like Gecko) Chrome/154.0.0.0 Safari/537.36";

fn alone(ua: &str) -> i64 {
    botnet_user_agent(ua.as_bytes(), Headers::default())
}

#[track_caller]
fn with(ua: &str, fields: &[(&str, &str)], points: i64) {
    let all = pack(fields);
    assert_eq!(botnet_user_agent(ua.as_bytes(), Headers::new(&all)), points, "{ua}: {fields:?}");
}

#[test]
fn current_browsers_have_no_sign() {
    for ua in [
        CHROME,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/154.0.0.0 Safari/537.36 Edg/154.0.0.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:156.0) Gecko/20100101 Firefox/156.0",
        "Mozilla/5.0 (Windows NT 6.1; Win64; x64; rv:109.0) Gecko/20100101 Firefox/115.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Mozilla/5.0 (Android 16; Mobile; rv:156.0) Gecko/156.0 Firefox/156.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.6.1 Safari/605.1.15",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.6.1 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/151.0.0.0 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/30.0 Chrome/143.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 16; SM-S926U Build/BP4A.251205.006; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/153.0.8010.36 Mobile Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/152.0.0.0 Safari/537.36",
    ] {
        let old = i64::from(ua.contains("NT 6.1")) * weights::AGED_SYSTEM;
        assert_eq!(alone(ua), old, "{ua}");
    }
}

#[test]
fn machines_that_say_so_are_not_judged() {
    for ua in [
        "Mozilla/5.0 (compatible; Examplebot/2.1; +http://search.example/bot)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Examplebot/2.1) Chrome/41.0.2272.96 Safari/537.36",
        "python-requests/2.32 (+https://archive.example/about)",
        "a feed reader",
    ] {
        assert_eq!(alone(ua), 0, "{ua}");
    }
}

#[test]
fn what_lists_of_old_agents_hold_gets_to_sixty() {
    for ua in [
        "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)",
        "Mozilla/5.0 (Windows; U; Windows NT 6.1; en; rv:1.9.1.3) Gecko/20090824 Firefox/3.5.3 (.NET CLR 3.5.30729)",
        "Mozilla/5.0 (Windows; U; Windows NT 5.1; en-US) AppleWebKit/532.1 (KHTML, like Gecko) Chrome/4.0.219.6 Safari/532.1",
        "Opera/9.80 (Windows NT 5.2; U; ru) Presto/2.5.22 Version/10.51",
        "Mozilla/5.0 (Windows; U; Windows NT 5.1; es-ES; rv:1.6)",
        "Nokia7250/1.0 (3.14) Profile/MIDP-1.0 Configuration/CLDC-1.0",
    ] {
        assert!(alone(ua) >= 60, "{ua}: {}", alone(ua));
    }
}

#[test]
fn age_alone_stays_below_sixty_once_tls_12_is_known() {
    for ua in [
        "Mozilla/5.0 (Windows NT 5.1; rv:52.0) Gecko/20100101 Firefox/52.0",
        "Mozilla/5.0 (Windows NT 5.1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/49.0.2623.112 Safari/537.36",
        "Mozilla/5.0 (iPad; CPU OS 9_3_5 like Mac OS X) AppleWebKit/601.1.46 (KHTML, like Gecko) Version/9.0 Mobile/13G36 Safari/601.1",
        "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko",
    ] {
        assert!((1..60).contains(&alone(ua)), "{ua}: {}", alone(ua));
    }
}

#[test]
fn each_contradiction_counts() {
    let os = |os: &str| CHROME.replace("Windows NT 10.0; Win64; x64", os);
    for (ua, points) in [
        (os("Windows NT 11.0; Win64; x64"), weights::NO_SUCH_SYSTEM),
        (os("Macintosh; Intel Mac OS X 14_2"), weights::NO_SUCH_SYSTEM),
        (os("Windows NT 6.1"), weights::CANNOT_RUN + weights::AGED_SYSTEM),
        (
            os("iPhone; CPU iPhone OS 17_5 like Mac OS X").replace("Safari", "Mobile Safari"),
            weights::CANNOT_RUN,
        ),
        (os("Windows NT 10.0; Android 14"), weights::TWO_SYSTEMS),
        (CHROME.replace("Safari", "Mobile Safari"), weights::TWO_SYSTEMS),
        (format!("{CHROME} Firefox/156.0"), weights::TWO_BROWSERS + weights::PART_MISSING),
        (CHROME.replace(" Safari/537.36", ""), weights::PART_MISSING),
        (CHROME.replace("AppleWebKit/537.36", "AppleWebKit/535.1"), weights::OTHER_ENGINE),
        (CHROME.replace("154.0.0.0", "154.0.7204.97"), weights::BUILD_NUMBERS),
        (CHROME.replace("154.", "300."), weights::FROM_THE_FUTURE),
        (format!("{CHROME} Safari/537.36"), weights::TWICE),
        (format!("{CHROME} Xkqjzvwp/1.0"), weights::BY_CHANCE),
        (format!("{CHROME} a8Xk2Lq9T"), weights::BY_CHANCE),
        (format!("\"{CHROME}\""), weights::DIRT),
        (format!("{CHROME}\r"), weights::DIRT),
        (format!("{CHROME} ("), weights::PARENTHESES),
        (format!("{CHROME})("), weights::PARENTHESES),
        (
            "Mozilla/5.0 (Windows NT 10.0; rv:130.0) Gecko/20100101 Firefox/140.0".to_owned(),
            weights::OTHER_REVISION,
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20051207 Firefox/140.0".to_owned(),
            weights::OTHER_ENGINE,
        ),
        ("Mozilla/5.0".to_owned(), weights::NO_PLATFORM),
        ("${ua}".to_owned(), weights::TEMPLATE),
        ("curl/8.5.0".to_owned(), weights::LIBRARY),
        ("Python-urllib/3.12".to_owned(), weights::LIBRARY),
        ("Go-http-client/1.1".to_owned(), weights::LIBRARY),
        (" ".to_owned(), weights::ABSENT),
    ] {
        assert_eq!(alone(&ua), points, "{ua}");
    }
}

#[test]
fn other_fields_may_contradict() {
    let same = ("user-agent", CHROME);
    with(CHROME, &[same, ("sec-ch-ua-platform", "\"Windows\"")], 0);
    with(CHROME, &[same, ("sec-ch-ua-platform", "\"Linux\"")], weights::HINTS_SYSTEM);
    with(CHROME, &[same, ("sec-ch-ua-mobile", "?1")], weights::HINTS_MOBILE);
    with(CHROME, &[same, ("sec-ch-ua-mobile", "?0")], 0);
    with(CHROME, &[same, ("sec-ch-ua", "\"Chromium\";v=\"154\"")], 0);
    with(CHROME, &[same, ("sec-ch-ua", "\"Chromium\";v=\"96\"")], weights::HINTS_BROWSER);
    with(CHROME, &[same, ("keep-alive", "115")], weights::FORGOTTEN_FIELD);
    with(CHROME, &[same, same], weights::TWO_AGENTS);
    with(CHROME, &[("user-agent", "curl/8.5.0")], weights::TWO_AGENTS);
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:156.0) Gecko/20100101 Firefox/156.0";
    with(firefox, &[("sec-ch-ua", "\"Chromium\";v=\"156\"")], weights::HINTS_BROWSER);
}

#[test]
fn what_a_visitor_makes_long_is_not_read() {
    let long = format!("{CHROME}{}", " x".repeat(300));
    assert_eq!(alone(&format!("{long} Firefox/3.0")), 0);
    assert_eq!(alone(&format!("{long} (")), 0);
    let fields = vec![("accept", "x"); 200];
    let mut late = fields.clone();
    late.push(("keep-alive", "1"));
    with(CHROME, &late, 0);
}

/// Checks that the README has the same weights.
#[test]
fn the_readme_says_what_counts() {
    let weights = include_str!("weights.rs");
    let readme = include_str!("../../README.md");
    let mut seen = 0;
    for line in weights.lines().filter_map(|line| line.strip_prefix("pub(crate) const ")) {
        let (name, value) = line.split_once(": i64 = ").unwrap();
        let row = format!("| `{name}` | {} |", value.trim_end_matches(';'));
        assert!(readme.contains(&row), "the README lacks: {row}");
        seen += 1;
    }
    assert!(seen > 25, "{seen} weights");
}

proptest! {
    #[test]
    fn any_bytes_have_a_score(ua in any::<Vec<u8>>(), packed in any::<Vec<u8>>()) {
        let score = botnet_user_agent(&ua, Headers::new(&packed));
        prop_assert!((0..=100).contains(&score));
    }

    #[test]
    fn agents_of_any_parts_have_a_score(
        parts in proptest::collection::vec(
            "(Mozilla/|Chrome/|Firefox/|Safari/|\\(|\\)|; |Windows NT |rv:|MSIE |Android |[0-9._]{1,8}| )",
            0..60
        )
    ) {
        prop_assert!((0..=100).contains(&alone(&parts.concat())));
    }

    #[test]
    fn every_version_of_chrome_in_use_has_no_sign(version in 100_u32..200) {
        prop_assert_eq!(alone(&CHROME.replace("154", &version.to_string())), 0);
    }
}
