//! An invalid configuration is rejected as a whole, and each error is reported with its place.

use seawall_tests::{Origin, ROOT, Ran, Setup};

const POLICY: &str = "policy 1\n";

/// What `seawall run` says to a configuration, which it must refuse.
#[track_caller]
fn refused(setup: &Setup) -> String {
    let Ran { code, out, err } = setup.run(&["run", "-c", "seawall.toml"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(out.is_empty() && !err.contains("panicked"), "{out}{err}");
    assert!(!err.contains("listening"), "{err}");
    err
}

fn setup() -> Setup {
    Setup::new(Origin::nowhere(), POLICY)
}

/// The smallest configuration with `old` replaced by `new`.
fn with(old: &str, new: &str) -> String {
    let setup = setup();
    let text = setup.write_config();
    assert!(text.contains(old), "{text}");
    std::fs::write(setup.path("seawall.toml"), text.replacen(old, new, 1)).unwrap();
    refused(&setup)
}

#[track_caller]
fn says(err: &str, parts: &[&str]) {
    for part in parts {
        assert!(err.contains(part), "`{part}` is not in:\n{err}");
    }
}

#[test]
fn a_missing_file_is_named() {
    says(&refused(&setup()), &["seawall.toml", "there is no such file"]);
}

#[test]
fn what_is_no_file_is_named() {
    let setup = setup();
    std::fs::create_dir(setup.path("seawall.toml")).unwrap();
    says(&refused(&setup), &["seawall.toml", "it is no regular file"]);
}

#[test]
fn a_file_at_its_size_is_taken_and_past_it_refused() {
    let setup = setup();
    let mut text = setup.write_config();
    text.push('#');
    text.push_str(&"x".repeat((1 << 20) + 1 - text.len()));
    std::fs::write(setup.path("seawall.toml"), &text).unwrap();
    says(&refused(&setup), &["seawall.toml", "1048576"]);
    text.pop();
    std::fs::write(setup.path("seawall.toml"), &text).unwrap();
    // It is read whole: nobody answers on its admin socket.
    assert_eq!(setup.run(&["status", "-c", "seawall.toml"]).code, Some(3));
}

#[test]
fn bytes_that_are_no_text_are_refused_at_their_place() {
    let setup = setup();
    let mut bytes = setup.write_config().into_bytes();
    bytes.splice(9..9, [0xff]);
    std::fs::write(setup.path("seawall.toml"), bytes).unwrap();
    says(&refused(&setup), &["seawall.toml:1:10: ", "UTF-8"]);
}

#[test]
fn an_unknown_key_is_told_with_its_place_and_the_nearest_known() {
    let err = with("http =", "htp =");
    says(&err, &["seawall.toml:4:1: ", "unknown key `htp` in [listen]", "`http`"]);
    let err = with("[log]\n", "[queue]\ntimout = \"2s\"\n[log]\n");
    says(&err, &["seawall.toml:16:1: ", "unknown key `timout` in [queue]", "`timeout`"]);
    let err = with("[log]\n", "[limits]\nidle_ms = 15000\n[log]\n");
    let line = "write `idle_timeout = \"15s\"` under [timeouts]";
    says(&err, &["seawall.toml:16:1: ", "`idle_ms` is now `idle_timeout` in [timeouts]", line]);
    let err = with("[log]\n", "[lgo]\n");
    says(&err, &["unknown section `lgo`", "`log`"]);
}

#[test]
fn a_broken_line_is_told_with_its_place() {
    says(&with("[admin]", "[admin"), &["seawall.toml:6:"]);
}

#[test]
fn every_mistake_is_told_at_once() {
    let setup = setup();
    let text = setup.write_config().replace("127.0.0.1:0\"", "nowhere\"").replace("info", "loud");
    let text = text.replace("[log]\n", "[timeouts]\nidle_timeout = -1\n[log]\n");
    std::fs::write(setup.path("seawall.toml"), text).unwrap();
    says(&refused(&setup), &["seawall.toml:4:9: ", "`nowhere`", "`idle_timeout`", "`loud`"]);
}

#[test]
fn what_is_not_supported_yet_is_refused_by_its_name() {
    for section in ["geo", "pages", "fleet"] {
        let err = with("[log]\n", &format!("[{section}]\nx = 1\n\n[log]\n"));
        says(&err, &[&format!("[{section}] is not supported yet"), "seawall.toml:15:"]);
    }
    for (old, new, name) in [
        ("socket =", "http = \"127.0.0.1:1\"\nsocket =", "`http` in [admin]"),
        ("socket =", "token_file = \"t\"\nsocket =", "`token_file` in [admin]"),
        ("origins = [\"http:", "origins = [\"https:", "an origin over https"),
    ] {
        says(&with(old, new), &[&format!("{name} is not supported yet")]);
    }
}

#[test]
fn a_policy_that_is_missing_or_wrong_does_not_start() {
    let missing = setup();
    missing.write_config();
    std::fs::remove_file(missing.policy(ROOT)).unwrap();
    says(&refused(&missing), &[ROOT, "the file does not exist", "is rejected"]);
    let wrong = Setup::new(Origin::nowhere(), "policy 1\nfloor { rule x { when pth == 1 } }\n");
    wrong.write_config();
    says(&refused(&wrong), &[&format!("{ROOT}:2:23: "), "pth", "is rejected"]);
}

#[test]
fn an_address_of_no_interface_is_told() {
    let setup = setup().listen(([203, 0, 113, 7], 8080).into());
    setup.write_config();
    says(&refused(&setup), &["203.0.113.7:8080", "no interface of this machine"]);
}

#[test]
fn an_origin_that_cannot_be_found_is_told_with_its_site() {
    let err = with("origins = [\"http://", "origins = [\"http://nowhere.invalid:1\"] #");
    says(&err, &["nowhere.invalid", "a.example"]);
}

/// `seawall config check` says of each file what `seawall run` would say.
#[test]
fn config_check_reports_every_error_of_every_file() {
    let setup = setup();
    let good = setup.write_config();
    let ran = setup.run(&["config", "check", "seawall.toml"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "seawall.toml: correct\n"), "{ran:?}");
    let bad = good.replace("[log]\n", "[limits]\nqueue_ms = 1500\n[log]\n").replace("info", "loud");
    std::fs::write(setup.path("bad.toml"), bad).unwrap();
    let ran = setup.run(&["config", "check", "seawall.toml", "bad.toml", "none.toml"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    says(&ran.err, &["bad.toml:16:1: `queue_ms` is now `timeout` in [queue]", "`loud`"]);
    says(&ran.err, &["write `timeout = \"1500ms\"` under [queue]"]);
    says(&ran.err, &["none.toml:1:1: the file cannot be read: there is no such file"]);
    let ran = setup.run(&["config", "check", "--json", "seawall.toml", "bad.toml"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let lines: Vec<_> = found.as_array().unwrap().iter().map(|one| one["line"].as_u64()).collect();
    assert_eq!(lines, [Some(16), Some(18)]);
}

/// `seawall config show` prints a configuration that loads and means the same.
#[test]
fn config_show_prints_every_setting_and_where_it_comes_from() {
    let setup = setup().limits("queue.timeout = \"2s\"");
    setup.write_config();
    let shown = setup.run(&["config", "show", "seawall.toml"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    says(&shown.out, &["[queue]\n", "timeout = \"2s\"  # line 1", "level = \"info\"  # line 17"]);
    says(&shown.out, &["max_connections = 10_000  # default", "# max_memory_bytes is not set"]);
    std::fs::write(setup.path("shown.toml"), &shown.out).unwrap();
    let again = setup.run(&["config", "show", "--json", "shown.toml"]);
    let first = setup.run(&["config", "show", "--json", "seawall.toml"]);
    let values = |ran: &Ran| -> Vec<(String, serde_json::Value)> {
        let all: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let sections = all.as_array().unwrap().iter();
        let values = sections.flat_map(|section| section["values"].as_array().unwrap());
        values.map(|one| (one["key"].to_string(), one["value"].clone())).collect()
    };
    assert_eq!(values(&again), values(&first));
    assert!(values(&first).len() > 80);
}
