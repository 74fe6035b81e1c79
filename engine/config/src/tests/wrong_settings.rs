//! Wrong values and old names of settings: the place and the line with the correction.

use super::*;
use crate::setting::Kind;

/// Returns `line:column: message` and help of the only error in the smallest file with `lines`
/// added.
#[track_caller]
fn only_error(lines: &str) -> (String, String) {
    let error = load(format!("{SMALLEST}\n{lines}\n")).unwrap_err();
    let [one] = &*error.diagnostics else { panic!("{lines}: {error}") };
    let said = format!("{}:{}: {}", one.line, one.column, one.message);
    (said, one.help.clone().unwrap_or_default())
}

#[track_caller]
fn says(lines: &str, said: &str, help: &str) {
    assert_eq!(only_error(lines), (said.to_owned(), help.to_owned()), "{lines}");
}

#[test]
fn each_limit_is_taken_at_its_ends_and_refused_past_them() {
    for limit in LIMITS {
        let (section, name, of) = (limit.key.section, limit.key.name, limit.number);
        let base = if section == "trusted_proxies" {
            "networks = [\"192.0.2.7\"]\nproxy_protocol = true\n"
        } else {
            ""
        };
        let with = |value: &str| format!("{SMALLEST}\n[{section}]\n{base}{name} = {value}\n");
        for number in [of.min, of.max] {
            let ordered = section == "overload" && of.unit == Unit::Percent;
            match load(with(&of.toml(number))) {
                Ok(config) => assert_eq!((limit.get)(&config.limits), Some(number), "{name}"),
                Err(error) => assert!(ordered, "{name} = {number}: {error}"),
            }
        }
        let past = [of.min.checked_sub(1), of.max.checked_add(1)];
        for number in past.into_iter().flatten() {
            let found = errors(with(&of.toml(number)));
            let expected = format!("`{name}` must be from {}", of.range());
            assert!(found[0].ends_with(&expected), "{name} = {number}: {found:?}");
        }
    }
}

#[test]
fn a_default_lies_in_its_range_and_every_type_holds_its_range() {
    for limit in LIMITS {
        let (name, of) = (limit.key.name, limit.number);
        assert!(of.min < of.max, "{name}");
        assert_eq!((limit.get)(&Limits::default()), of.default, "{name}");
        if let Some(default) = of.default {
            assert!((of.min..=of.max).contains(&default), "{name}");
        }
        for number in [of.min, of.max] {
            let mut limits = Limits::default();
            (limit.set)(&mut limits, number);
            assert_eq!((limit.get)(&limits), Some(number), "{name}");
        }
    }
}

#[test]
fn a_key_that_overrides_another_has_its_range() {
    for name in ["max_requests_per_origin", "response_header_timeout", "read_timeout"] {
        let usual =
            LIMITS.iter().find(|limit| (limit.key.section, limit.key.name) == ("origins", name));
        let usual = usual.unwrap().number;
        for key in keys().filter(|key| key.section.starts_with("site") && key.name == name) {
            let Kind::Number(own) = key.kind else { panic!("{name}") };
            assert_eq!((own.unit, own.min, own.max), (usual.unit, usual.min, usual.max), "{name}");
        }
    }
}

#[test]
fn durations_and_sizes_have_the_grammar_of_the_policy_language() {
    let read = |lines: &str| load(format!("{SMALLEST}\n{lines}\n")).unwrap().limits;
    let hour = read("[timeouts]\nidle_timeout = \"1h\"").timeouts.idle_timeout;
    assert_eq!(hour.as_secs(), 3_600);
    let both = read("[timeouts]\nrequest_timeout = \"1h30m\"").timeouts.request_timeout;
    assert_eq!(both.as_secs(), 5_400);
    for (size, bytes) in [("65_536", 65_536), ("\"64KiB\"", 65_536), ("0x8000", 32_768)] {
        let text = format!("[requests]\nmax_request_header_bytes = {size}");
        assert_eq!(read(&text).requests.max_request_header_bytes, bytes);
    }
    let memory = read("[overload]\nmax_memory_bytes = 1_000_000_000").overload.max_memory_bytes;
    assert_eq!(memory, Some(1_000_000_000));
    let dotted = load(format!("queue.timeout = \"2s\"\n{SMALLEST}")).unwrap().limits;
    assert_eq!(dotted.queue.timeout.as_secs(), 2);
}

#[test]
fn a_value_without_a_unit_or_past_its_range_says_what_to_write() {
    for (lines, said, help) in [
        (
            "[timeouts]\nidle_timeout = 15",
            "20:16: `idle_timeout` is a duration without a unit",
            "write `idle_timeout = \"15s\"` for seconds or `idle_timeout = \"15ms\"` for \
             milliseconds",
        ),
        (
            "[timeouts]\nidle_timeout = \"15\"",
            "20:16: `idle_timeout` is a duration without a unit",
            "write `idle_timeout = \"15s\"` for seconds or `idle_timeout = \"15ms\"` for \
             milliseconds",
        ),
        (
            "[timeouts]\nidle_timeout = \"soon\"",
            "20:16: `idle_timeout`: `soon` is not a duration",
            "a duration is a whole number with `ms`, `s`, `m`, `h` or `d`: \"90s\", \"1h30m\"",
        ),
        (
            "[timeouts]\nidle_timeout = \"150500us\"",
            "20:16: `idle_timeout` is measured in whole milliseconds",
            "write `idle_timeout = \"151ms\"`",
        ),
        (
            "[timeouts]\nidle_timeout = \"2h\"",
            "20:16: `idle_timeout` must be from 100ms to 1h",
            "the default is \"15s\"",
        ),
        (
            "[requests]\nmax_request_header_bytes = \"2MiB\"",
            "20:28: `max_request_header_bytes` must be from 1KiB to 1MiB",
            "the default is \"32KiB\"",
        ),
        (
            "[requests]\nmax_request_header_bytes = \"64kb\"",
            "20:28: `max_request_header_bytes`: `64kb` is not a size",
            "a size is a whole number with `B`, `KiB`, `MiB` or `GiB`: \"64KiB\"",
        ),
        (
            "[requests]\nmax_request_header_bytes = \"65536\"",
            "20:28: `max_request_header_bytes` is a size without a unit",
            "write `max_request_header_bytes = 65536`, or a size such as \"64KiB\"",
        ),
        (
            "[connections]\nmax_connections = \"many\"",
            "20:19: `max_connections` must be a whole number, not a string",
            "",
        ),
        (
            "[connections]\nmax_connections = -1",
            "20:19: `max_connections` must be from 1 to 1_000_000",
            "the default is 10_000",
        ),
    ] {
        says(lines, said, help);
    }
}

#[test]
fn the_stages_of_overload_begin_one_after_the_other() {
    let help = "the stages of overload begin one after the other: warning, shedding, critical";
    let said = "20:20: `shedding_percent` (80) must be above `warning_percent` (80)";
    says("[overload]\nshedding_percent = 80", said, help);
    let said = "20:19: `shedding_percent` (90) must be above `warning_percent` (93)";
    says("[overload]\nwarning_percent = 93", said, help);
    let said = "21:20: `critical_percent` (70) must be above `shedding_percent` (71)";
    says(
        "[overload]\nwarning_percent = 60\ncritical_percent = 70\nshedding_percent = 71",
        said,
        help,
    );
    let all = "[overload]\nwarning_percent = 1\nshedding_percent = 2\ncritical_percent = 3";
    let overload = load(format!("{SMALLEST}\n{all}\n")).unwrap().limits.overload;
    let all = [overload.warning_percent, overload.shedding_percent, overload.critical_percent];
    assert_eq!(all, [1, 2, 3]);
}

#[test]
fn an_old_key_says_its_new_name_and_the_line_to_write() {
    for (lines, said, help) in [
        (
            "[limits]\nconnections_max = 4_000",
            "20:1: `connections_max` is now `max_connections` in [connections]",
            "write `max_connections = 4_000` under [connections]",
        ),
        (
            "[limits]\nidle_ms = 15000",
            "20:1: `idle_ms` is now `idle_timeout` in [timeouts]",
            "write `idle_timeout = \"15s\"` under [timeouts]",
        ),
        (
            "[limits]\nqueue_ms = 1_500",
            "20:1: `queue_ms` is now `timeout` in [queue]",
            "write `timeout = \"1500ms\"` under [queue]",
        ),
        (
            "[limits]\nnever_ban = [\"192.0.2.7\"]",
            "20:1: `never_ban` is now `exempt` in [bans]",
            "write `exempt = [\"192.0.2.7\"]` under [bans]",
        ),
        (
            "[timeouts]\nidle_ms = 15000",
            "20:1: `idle_ms` is now `idle_timeout` in [timeouts]",
            "write `idle_timeout = \"15s\"` under [timeouts]",
        ),
        (
            "[limits]\nmax_connections = 5",
            "20:1: unknown key `max_connections` in [limits]",
            "write it under [connections]",
        ),
        (
            "[limits]",
            "19:2: unknown section `limits`",
            "remove it: limits stand under [connections], [timeouts], [requests], [origins] and \
             others (docs/limits.md)",
        ),
        (
            "[client]\nv4_net = 24",
            "20:1: `v4_net` is now `ipv4_network_prefix` in [client]",
            "write `ipv4_network_prefix = 24` under [client]",
        ),
        (
            "[[site]]\nhosts = [\"b.example\"]\norigins = [\"http://b.example\"]\nshare = 2",
            "22:1: `share` is now `weight` in [[site]]",
            "write `weight = 2` under [[site]]",
        ),
        (
            "[[site]]\nhosts = [\"b.example\"]\norigin = [\"http://b.example\"]",
            "21:1: `origin` is now `origins` in [[site]]",
            "write `origins = [\"http://b.example\"]` under [[site]]",
        ),
    ] {
        says(lines, said, help);
    }
    let root = SMALLEST.replace("file =", "root =");
    assert_eq!(errors(&root), ["8:1: `root` is now `file` in [policy]"]);
    assert_eq!(help(&root).unwrap(), "write `file = \"policies/baseline.wall\"` under [policy]");
}

#[test]
fn a_key_in_the_wrong_section_says_its_section() {
    says(
        "[requests]\nmax_saved_retries = 5",
        "20:1: unknown key `max_saved_retries` in [requests]",
        "`max_saved_retries` belongs under [retries]",
    );
    says(
        "[requests]\nmax_request_headrs = 5",
        "20:1: unknown key `max_request_headrs` in [requests]",
        "did you mean `max_request_headers`?",
    );
    let outside = format!("max_connections = 5\n{SMALLEST}");
    assert_eq!(errors(&outside), ["1:1: `max_connections` stands outside its section"]);
    assert_eq!(help(&outside).unwrap(), "write it under [connections]");
}

#[test]
fn a_section_has_its_form_and_is_there_once() {
    says(
        "[timeouts]\nidle_timeout = \"5s\"\n[queue]\n[timeouts]\nsend_timeout = \"5s\"",
        "22:2: the section `timeouts` is there twice",
        "move its keys to the section in line 19",
    );
    says(
        "[timeouts]\nidle_timeout = \"5s\"\nidle_timeout = \"6s\"",
        "21:1: the key `idle_timeout` is there twice",
        "remove it here or in line 20",
    );
    let one_site = SMALLEST.replace("[[site]]", "[site]");
    assert_eq!(errors(&one_site), ["13:2: [site] must be a list of sections"]);
    let no_section = format!("timeouts = 3\n{SMALLEST}");
    assert_eq!(errors(&no_section), ["1:12: `timeouts` must be a section, not a whole number"]);
}
