//! Tests of list files: formats, omitted lines, and truncated files.

use proptest::prelude::*;
use seawall_policy::eval::{Value, in_set};

use super::*;

fn terms(element: Type) -> Terms {
    Terms { element, allows_wide: false }
}

fn country() -> Type {
    let at = SCHEMA.enums.iter().position(|spec| spec.name == "a country").unwrap();
    Type::Enum(seawall_policy::schema::EnumId(at as u16))
}

fn read(text: &str, element: Type) -> Elements {
    Elements::read(text.as_bytes(), terms(element))
}

/// Returns the networks of a file without reports, in their shortest form.
fn nets(text: &str) -> Vec<String> {
    let read = read(text, Type::Cidr);
    assert!(read.reports.is_empty(), "{text}: {:?}", read.reports);
    let Set::Nets(set) = read.set() else { panic!("{text}") };
    set.prefixes().map(|net| net.to_string()).collect()
}

fn ints(text: &str, element: Type) -> Vec<i64> {
    let read = read(text, element);
    assert!(read.reports.is_empty(), "{text}: {:?}", read.reports);
    let Set::Ints(all) = read.set() else { panic!("{text}") };
    all
}

fn texts(text: &str) -> Vec<String> {
    let read = read(text, Type::Str);
    assert!(read.reports.is_empty(), "{text}: {:?}", read.reports);
    let Set::Strings(all) = read.set() else { panic!("{text}") };
    let mut all: Vec<String> =
        all.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    all.sort_unstable();
    all
}

/// Returns the first invalid line of a file.
fn fault(text: &str, element: Type) -> Fault {
    match &read(text, element).reports[..] {
        [(_, Report::Fault(fault)), ..] => *fault,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn networks_are_read_as_they_are_published() {
    for (line, net) in [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::ffff:192.0.2.1", "192.0.2.1/32"),
        ("192.0.2.0/24 ; SBL000001", "192.0.2.0/24"),
        ("192.0.2.0/24;SBL000001", "192.0.2.0/24"),
        ("192.0.2.0/24# behind", "192.0.2.0/24"),
        ("192.0.2.0/24\t2026-11-30 ssh", "192.0.2.0/24"),
        ("192.0.2.0/24,AS64500,\"Example, Ltd\"", "192.0.2.0/24"),
        ("\"192.0.2.0/24\",\"AS64500\"", "192.0.2.0/24"),
        ("192.0.2.0/24 | AS64500", "192.0.2.0/24"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("192.0.2.7/255.255.255.255", "192.0.2.7/32"),
        ("192.0.2.0 255.255.255.0", "192.0.2.0/24"),
        ("192.0.2.0-192.0.2.255", "192.0.2.0/24"),
        ("192.0.2.0 - 192.0.2.255 name", "192.0.2.0/24"),
        ("2001:db8::-2001:db8::ffff", "2001:db8::/112"),
        ("{\"cidr\":\"192.0.2.0/24\",\"sblid\":\"SBL000001\"}", "192.0.2.0/24"),
        ("{\"ip_prefix\": \"192.0.2.0/24\", \"region\": \"x\"}", "192.0.2.0/24"),
        ("add drop 192.0.2.0/24", "192.0.2.0/24"),
        ("add drop 192.0.2.0/24 timeout 300 comment \"a; b\"", "192.0.2.0/24"),
        ("add drop 192.0.2.0-192.0.2.255", "192.0.2.0/24"),
        ("-A drop 192.0.2.0/24", "192.0.2.0/24"),
        ("add -exist drop 192.0.2.0/24", "192.0.2.0/24"),
        ("ExitAddress 192.0.2.7 2026-11-30 10:00:00", "192.0.2.7/32"),
        ("deny 192.0.2.0/24;", "192.0.2.0/24"),
    ] {
        for ends in ["\n", "\r\n", " \n"] {
            assert_eq!(nets(&format!("{line}{ends}")), [net], "{line}");
            assert_eq!(nets(&format!("\u{feff}# head\n\n{line}{ends}; EOF\n")), [net], "{line}");
        }
    }
}

#[test]
fn lines_about_the_list_are_passed_over() {
    for line in [
        "create drop hash:net family inet hashsize 1024 maxelem 65536",
        "flush drop",
        "COMMIT",
        "ExitNode 0011BD2485AD45D984EC4159C88FC066E5E3300E",
        "Published 2026-11-30 09:00:00",
        "LastStatus 2026-11-30 10:00:00",
        "{\"type\":\"metadata\",\"timestamp\":1761998400,\"size\":171,\"records\":2}",
    ] {
        assert_eq!(nets(&format!("{line}\n192.0.2.0/24\n")), ["192.0.2.0/24"], "{line}");
    }
}

#[test]
fn the_heading_of_a_table_is_no_element_and_no_fault() {
    for heading in ["network,asn,name", "\"IP address\",\"seen\"", "cidr;comment", "ip_address\tx"]
    {
        assert_eq!(nets(&format!("{heading}\n192.0.2.0/24,x\n")), ["192.0.2.0/24"], "{heading}");
    }
    // After an element it is an invalid line, and alone it is not a table.
    assert_eq!(fault("192.0.2.0/24\nnetwork,asn\n", Type::Cidr), Fault::Address);
    let alone = read("Error, please try again\n", Type::Cidr);
    let (why, _) = alone.fault("`x`", 9).unwrap();
    assert!(why.contains("its first line is not an IP address"), "{why}");
}

#[test]
fn numbers_and_countries_are_read_as_they_are_published() {
    for line in [
        "AS174",
        "as174",
        "174",
        "AS174 Cogent Communications",
        "AS174 ; Cogent",
        "AS174,Cogent",
        "174,Cogent",
        "174 | US | COGENT",
        "{\"asn\":174,\"rir\":\"arin\"}",
        "{\"asn\":\"AS174\"}",
        "\"AS174\",\"Cogent\"",
    ] {
        assert_eq!(ints(&format!("{line}\n"), Type::Asn), [174], "{line}");
    }
    let code = |word: &str| {
        let Type::Enum(id) = country() else { panic!() };
        SCHEMA.words(id).unwrap().code(word).unwrap()
    };
    for line in
        ["DE", "de", "DE # Germany", "DE;Germany", "DE,Germany", "\"DE\"", "{\"country\":\"DE\"}"]
    {
        assert_eq!(ints(&format!("{line}\n"), country()), [code("DE")], "{line}");
    }
}

#[test]
fn texts_are_whole_lines_and_keep_their_signs() {
    for (line, text) in [
        ("GPTBot", "GPTBot"),
        ("  Mozilla/5.0 (X11; Linux, x) ", "Mozilla/5.0 (X11; Linux, x)"),
        ("C#Client/1.0", "C#Client/1.0"),
        ("C#Client/1.0 # behind", "C#Client/1.0"),
        ("a\t# behind", "a"),
        (";a", ";a"),
        ("\"GPTBot\"", "GPTBot"),
        ("\"GPTBot\",\"OpenAI\"", "GPTBot"),
        ("\"GPTBot\";\"OpenAI\"", "GPTBot"),
        ("\"a # b\" # c", "a # b"),
        ("\"say \"\"hello\"\"\"", "say \"hello\""),
        ("{{7*7}}", "{{7*7}}"),
        ("192.0.2.1 x", "192.0.2.1 x"),
    ] {
        assert_eq!(texts(&format!("{line}\r\n")), [text], "{line}");
    }
    assert_eq!(texts("# a\n\n \nb\n"), ["b"]);
}

#[test]
fn what_could_be_two_things_is_refused_in_words_that_help() {
    let long = "1".repeat(LIST_LINE_BYTES_MAX + 1);
    let country = country();
    for (line, element, wanted) in [
        ("nonsense", Type::Cidr, Fault::Address),
        ("192.0.2.0/33", Type::Cidr, Fault::Length),
        ("192.0.2.0/", Type::Cidr, Fault::Length),
        ("192.0.2.0/0.0.0.255", Type::Cidr, Fault::WildcardMask),
        ("192.0.2.0/255.0.255.0", Type::Cidr, Fault::Mask),
        ("192.0.2.9-192.0.2.3", Type::Cidr, Fault::Range),
        ("192.0.2.9-2001:db8::", Type::Cidr, Fault::Range),
        ("192.0.2.1-9", Type::Cidr, Fault::Range),
        ("192.0.2.0 192.0.2.255 24", Type::Cidr, Fault::TwoAddresses),
        ("192.0.2.1:8080", Type::Cidr, Fault::Port),
        ("[2001:db8::1]:8080", Type::Cidr, Fault::Port),
        ("bad.example", Type::Cidr, Fault::HostName),
        ("0.0.0.0 bad.example", Type::Cidr, Fault::HostsFile),
        ("127.0.0.1 localhost", Type::Cidr, Fault::HostsFile),
        ("add drop 192.0.2.0/24 nomatch", Type::Cidr, Fault::Exception),
        ("add drop 192.0.2.1,tcp:80", Type::Cidr, Fault::Pair),
        ("add drop", Type::Cidr, Fault::Address),
        ("{\"cidr\":\"192.0.2.0/24\"", Type::Cidr, Fault::Json),
        ("{\"prefixes\":[\"192.0.2.0/24\"]}", Type::Cidr, Fault::JsonNetKey),
        ("{\"cidr\":[]}", Type::Cidr, Fault::JsonNetKey),
        ("\"192.0.2.0/24", Type::Cidr, Fault::Quote),
        ("429 Too Many Requests", Type::Asn, Fault::AsnWords),
        ("AS", Type::Asn, Fault::Asn),
        ("AS4294967296", Type::Asn, Fault::Asn),
        ("AS-1", Type::Asn, Fault::Asn),
        ("{\"as_name\":\"x\"}", Type::Asn, Fault::JsonAsnKey),
        ("XX", country, Fault::Word),
        ("NO such file", country, Fault::Words),
        ("{\"name\":\"Germany\"}", country, Fault::JsonWordKey),
        ("0.0.0.0 bad.example", Type::Str, Fault::HostsFile),
        ("{\"pattern\":\"GPTBot\"}", Type::Str, Fault::JsonText),
        ("\"GPTBot", Type::Str, Fault::Quote),
        ("\"GPTBot\" x", Type::Str, Fault::Quote),
        ("\"\"", Type::Str, Fault::Empty),
        ("a\0b", Type::Str, Fault::NotText),
        (&long, Type::Asn, Fault::TooLong),
    ] {
        assert_eq!(fault(&format!("{line}\n"), element), wanted, "{line}");
        assert!(!wanted.what().is_empty() && wanted.help() != Some(""));
    }
    let bad = Elements::read(b"a\xffb\n", terms(Type::Str));
    assert_eq!(bad.reports[0].1, Report::Fault(Fault::NotText));
}

#[test]
fn the_longest_line_is_read_and_a_longer_one_is_not() {
    let at = "x".repeat(LIST_LINE_BYTES_MAX);
    assert_eq!(texts(&format!("{at}\n")), std::slice::from_ref(&at));
    assert_eq!(fault(&format!("{at}x\n"), Type::Str), Fault::TooLong);
    assert_eq!(texts(&format!("#{at}x\na\n")), ["a"], "a comment has no limit");
}

#[test]
fn a_network_without_a_single_owner_is_no_element_unless_the_list_allows_it() {
    for entry in ["0.0.0.0/0", "0.0.0.0/1", "10.0.0.0/7", "2000::/15", "9.0.0.0-10.1.0.0", "::/0"] {
        let line = format!("192.0.2.0/24\n{entry}\n");
        let narrow = read(&line, Type::Cidr);
        assert_eq!((narrow.len(), narrow.skipped), (1, 1), "{entry}");
        assert_eq!(narrow.reports[0].1, Report::Wide(entry.to_owned()));
        let allowed = Terms { element: Type::Cidr, allows_wide: true };
        let wide = Elements::read(line.as_bytes(), allowed);
        assert!(wide.len() == 2 && wide.reports.is_empty(), "{entry}");
    }
    assert_eq!(nets("10.0.0.0/8\n2000::/16\n").len(), 2);
    let only = read("0.0.0.0/0\n", Type::Cidr).fault("`all.txt`", 9).unwrap();
    assert!(only.0.contains("`0.0.0.0/0` is wider"), "{only:?}");
    assert!(only.1.unwrap().contains("allow wide"));
}

#[test]
fn bits_behind_a_prefix_make_no_element_wider() {
    let read = read("198.51.100.77/24\n2001:db8:1::/32\n", Type::Cidr);
    assert_eq!((read.len(), read.skipped, read.reports.len()), (2, 0, 2));
    let Report::HostBits(net, address) = &read.reports[0].1 else { panic!("{:?}", read.reports) };
    assert_eq!(
        (net.to_string(), address.to_string()),
        ("198.51.100.0/24".into(), "198.51.100.77".into())
    );
    let set = read.set();
    let has = |ip: &str| in_set(&set, &Value::Ip(ip.parse().unwrap()));
    assert!(has("198.51.100.77") && has("2001:db8:1::"));
    assert!(!has("198.51.100.76") && !has("2001:db8:1::1"));
}

#[test]
fn a_last_line_without_its_end_is_read_where_nothing_of_it_can_be_missing() {
    let country = country();
    for (text, element, elements) in [
        ("192.0.2.0/24\n198.51.100.0/24", Type::Cidr, 2),
        ("192.0.2.0/24\n198.51.100.7", Type::Cidr, 2),
        ("192.0.2.0/24\n198.51.100.0/2", Type::Cidr, 1),
        ("192.0.2.0/24\n198.51.100.0/", Type::Cidr, 1),
        ("192.0.2.0/24\n198.51.1", Type::Cidr, 1),
        ("192.0.2.0/24\n2001:db8:1::/4", Type::Cidr, 1),
        ("192.0.2.0/24\n2001:db8:1::/48", Type::Cidr, 2),
        ("192.0.2.0/24\n198.51.100.0/255.255.255", Type::Cidr, 1),
        ("AS64500\nAS64501", Type::Asn, 1),
        ("AS64500\nAS64501 Example", Type::Asn, 2),
        ("AS64500\nAS64501 # x", Type::Asn, 2),
        ("AS64500\nAS64501\r", Type::Asn, 2),
        ("DE\nFR", country, 2),
        ("DE\nF", country, 1),
        ("GPTBot\nMJ12", Type::Str, 1),
        ("GPTBot\n\"MJ12bot\"", Type::Str, 1),
        ("GPTBot\n\"MJ12bot\",", Type::Str, 2),
        ("GPTBot\nMJ12bot # x", Type::Str, 2),
        ("GPTBot\nMJ12bot\r", Type::Str, 2),
        ("GPTBot\n\"MJ12", Type::Str, 1),
        ("GPTBot\nMJ12bot ", Type::Str, 1),
        ("GPTBot\n# the en", Type::Str, 1),
    ] {
        let cut = read(text, element);
        assert_eq!(cut.len(), elements, "{text}");
        let told = cut.cut.unwrap_or_else(|| panic!("{text}"));
        let is_taken = matches!(told, Cut::Taken(_));
        assert_eq!(is_taken, elements == 2, "{text}: {told:?}");
        assert!(cut.fault("x", 9).is_none());
        let ended = read(&format!("{text}\n"), element);
        assert_eq!(ended.cut, None, "{text}");
    }
    // A list with wide networks has no criterion for a complete length.
    let allowed = Terms { element: Type::Cidr, allows_wide: true };
    let cut = Elements::read(b"192.0.2.0/24\n192.0.0.0/2", allowed);
    assert!(cut.len() == 1 && matches!(cut.cut, Some(Cut::LeftOut(_))));
}

#[test]
fn a_file_that_ends_before_its_first_element_is_no_list() {
    for text in ["; Spamhaus DROP Li", "# head\nGPT", "x"] {
        let (why, help) = read(text, Type::Str).fault("`x`", 9).unwrap_or_else(|| panic!("{text}"));
        assert!(why.contains("ends within a line") && help.is_some(), "{why}");
    }
    for text in ["", "# none yet\n", "\n\n"] {
        assert!(read(text, Type::Str).fault("x", 9).is_none(), "{text}");
    }
}

#[test]
fn few_lines_are_shown_and_all_are_counted() {
    let bad = read(&"x\n".repeat(90), Type::Asn);
    assert_eq!((bad.reports.len(), bad.skipped), (LINES_SHOWN_MAX, 90));
    assert_eq!(bad.count(&bad.reports[0].1), 90);
    let mixed = read(&"x\n0.0.0.0/0\n192.0.2.1/24\n".repeat(9), Type::Cidr);
    assert_eq!((mixed.reports.len(), mixed.skipped, mixed.len()), (3 * LINES_SHOWN_MAX, 18, 9));
}

#[test]
fn no_more_elements_than_max_are_taken_and_as_many_are() {
    let many = read("192.0.2.1\n192.0.2.1\n192.0.2.1-192.0.2.200\n", Type::Cidr);
    assert_eq!(many.len(), 3, "a range is one element, however many networks it takes");
    assert!(many.fault("x", 3).is_none());
    assert!(many.fault("x", 2).unwrap().0.contains("3 elements, more than `max`"));
}

/// Generates a line of a list of networks in one of the formats.
fn a_line() -> impl Strategy<Value = String> {
    let v4 = (any::<u32>(), 8u8..=32)
        .prop_map(|(ip, len)| Prefix::new(std::net::Ipv4Addr::from(ip).into(), len));
    let v6 = (any::<u128>(), 16u8..=128)
        .prop_map(|(ip, len)| Prefix::new(std::net::Ipv6Addr::from(ip).into(), len));
    (prop_oneof![v4, v6], 0..7usize).prop_map(|(net, form)| {
        let last = match net.range() {
            AddrRange::V4(_, to) => IpAddr::from(std::net::Ipv4Addr::from(to)),
            AddrRange::V6(_, to) => IpAddr::from(std::net::Ipv6Addr::from(to)),
        };
        match form {
            0 => format!("{net}"),
            1 => format!("{net} ; SBL1"),
            2 => format!("{}-{last}", net.addr()),
            3 => format!("{{\"cidr\":\"{net}\",\"x\":1}}"),
            4 => format!("add drop {net} timeout 3"),
            5 => format!("\"{net}\",\"x\""),
            _ => format!("{}", net.addr()),
        }
    })
}

proptest! {
    /// A file truncated at any byte has no element that the whole file does not have. The only
    /// exception is an address without its last characters.
    #[test]
    fn a_file_that_is_cut_off_is_never_wider(
        all in proptest::collection::vec(a_line(), 1..5),
        keep in 0.0..1.0f64,
        allows_wide in any::<bool>(),
    ) {
        let text = all.join("\n") + "\n";
        let terms = Terms { element: Type::Cidr, allows_wide };
        let Set::Nets(whole) = Elements::read(text.as_bytes(), terms).set() else { panic!() };
        let cut = &text.as_bytes()[..(text.len() as f64 * keep) as usize];
        let Set::Nets(part) = Elements::read(cut, terms).set() else { panic!() };
        for net in part.prefixes() {
            let host = if net.addr().is_ipv4() { 32 } else { 128 };
            prop_assert!(whole.covers(&net) || net.len() == host, "{net} of {:?}", String::from_utf8_lossy(cut));
        }
    }

    #[test]
    fn numbers_and_texts_that_are_cut_off_are_no_others(
        all in proptest::collection::vec("[0-9]{1,9}|AS[0-9]{1,6}|[a-z#;\" ]{1,12}", 1..6),
        keep in 0.0..1.0f64,
    ) {
        let text = all.join("\n") + "\n";
        let cut = &text.as_bytes()[..(text.len() as f64 * keep) as usize];
        for element in [Type::Asn, Type::Str] {
            let whole = Elements::read(text.as_bytes(), terms(element)).set();
            match Elements::read(cut, terms(element)).set() {
                Set::Ints(part) => prop_assert!(part.iter().all(|n| whole.has_int(*n))),
                Set::Strings(part) => prop_assert!(part.iter().all(|t| whole.has_bytes(t))),
                Set::Nets(_) | Set::Words(..) => panic!("it is numbers or texts"),
            }
        }
    }

    #[test]
    fn whatever_a_file_holds_it_is_read_to_its_end(
        bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(&b"0123456789./:-\"{},;#| \n\raAS"[..])],
            0..200,
        ),
        allows_wide in any::<bool>(),
    ) {
        for element in [Type::Cidr, Type::Asn, Type::Str, country()] {
            let terms = Terms { element, allows_wide };
            let read = Elements::read(&bytes, terms);
            let lines = bytes.split(|byte| *byte == b'\n').count();
            prop_assert!(read.len() + read.skipped <= lines);
            for (span, _) in &read.reports {
                prop_assert!(span.end as usize <= bytes.len() && span.start < span.end);
            }
            if let Set::Nets(nets) = Elements::read(&bytes, terms).set() {
                prop_assert!(allows_wide || !nets.is_everything());
            }
        }
    }
}
