//! Text that a member writes is escaped before it is shown on a terminal or logged.

use seawall_tests::{Origin, ROOT, Ran, SITE, Setup, overwrite, wait_until};

/// What a terminal acts on, or nobody sees, and a line that is not ours.
const EVIL: &str = "x\nseawall: generation 99 is active (1 ms)\r\n\u{1b}[2J\u{1b}]0;owned\u{7}\
                    \u{9b}31m\u{7f}\u{202e}\u{2066}\u{200b}\u{2028}\u{61c}\u{feff}";

/// So often a line is looked for before its cause is made again.
const LOOKS_FOR_A_LINE: u32 = 150;

/// The same without ends of lines, which a name in a policy file cannot hold.
fn evil_word() -> String {
    EVIL.replace(['\n', '\r'], "")
}

fn host() -> String {
    format!(
        "policy 1\nmember ann {{ hosts {{ \"{SITE}\" }} may {{ block, tag, log, list, test }} file \
         \"members/ann.wall\" }}\nfloor {{ rule gone {{ when path == \"/gone\" then block 410 }} }}\n"
    )
}

/// A string of the language with that content: controls written as escapes, as she would.
fn quoted(text: &str) -> String {
    let byte = |c: char| match c {
        '\n' => "\\n".to_owned(),
        c if c.is_ascii_control() => format!("\\x{:02x}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(byte).collect::<String>())
}

fn is_hidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{feff}')
}

#[track_caller]
fn is_clean(what: &str, text: &str) {
    assert!(!text.contains(is_hidden), "{what}: {text:?}");
    let forged = text.lines().find(|line| line.starts_with("seawall: generation 99"));
    assert_eq!(forged, None, "{what}: {text:?}");
}

/// Files of hers, and the words of each that must be seen where it is complained of.
fn files() -> Vec<(&'static str, String)> {
    let (name, word) = (quoted(EVIL), evil_word());
    let site = |body: &str| format!("policy 1\nsite \"{SITE}\" {{ {body} }}\n");
    vec![
        (
            "test `x\\nseawall: generation 99",
            site("rule a { when path == \"/a\" then block 404 }")
                + &format!("test {name} {{ request GET \"https://{SITE}/\" expect block }}\n"),
        ),
        ("2:", format!("policy 1\ninclude {name}\n")),
        ("2:", format!("policy 1\ninclude \"z{word}.wall\"\n")),
        ("2:", site(&format!("rule a {{ when {word}foo == \"/a\" then block 404 }}"))),
        ("2:", site(&format!("rule a {{ when path == \"/a\" then blok{word} }}"))),
        ("2:", site(&format!("rule a {{ when client.ip in @l{word} then block }}"))),
        (
            "2:",
            format!("policy 1\nsite {name} {{ rule a {{ when path == \"/a\" then block }} }}\n"),
        ),
        ("2:", format!("policy 1\nlist l: cidr = file {name} max 5\n")),
        ("2:", format!("policy 1\ntest \"t\" {{ request GET {name} expect pass }}\n")),
        ("2:", format!("policy 1\ntest \"t\" {{ request GET \"https://{word}/\" expect pass }}\n")),
    ]
}

fn both(what: &str, ran: &Ran) {
    is_clean(what, &ran.out);
    is_clean(what, &ran.err);
}

#[test]
fn what_a_member_writes_reaches_neither_terminal_nor_log_raw() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &host());
    setup.write("members/ann.wall", "policy 1\n");
    let server = setup.start();
    let setup = &server.setup;
    let root = format!("policies/{ROOT}");
    for (seen, text) in files() {
        let before = server.lines().len();
        let told = |part: &str| server.lines().iter().skip(before).any(|line| line.contains(part));
        // Written again now and then: the log leaves out what is too much for one second.
        let (mut looks, mut again) = (0, String::new());
        wait_until(&format!("the mistake is told: {text:?}"), || {
            if looks % LOOKS_FOR_A_LINE == 0 {
                again.push('\n');
                overwrite(&setup.policy("members/ann.wall"), format!("{text}{again}"));
            }
            looks += 1;
            told("members/ann.wall") && told(seen)
        });
        for words in [
            vec!["check", &root],
            vec!["check", "--json", &root],
            vec!["test", &root],
            vec!["explain", "-c", "seawall.toml", &root, "GET", "https://a.example/"],
            vec!["status", "-c", "seawall.toml"],
            vec!["reload", "-c", "seawall.toml"],
        ] {
            let ran = setup.run(&words);
            both(&format!("{words:?} of {text:?}"), &ran);
        }
    }
    is_clean("the log", &server.lines().join("\n"));
}

#[test]
fn what_is_in_force_is_shown_without_what_a_terminal_acts_on() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &host());
    setup.write("members/ann.wall", "policy 1\n");
    let server = setup.start();
    let setup = &server.setup;
    let note = quoted(EVIL);
    let rule = format!(
        "rule a {{ when path == {note} or path == \"/a\" then tag {note}, log {note}, block 404 note {note} }}"
    );
    let mut text = format!("policy 1\nsite \"{SITE}\" {{ {rule} }}\n");
    text.push_str(&format!(
        "test {note} {{ request GET \"https://{SITE}/a\" expect block 404 }}\n"
    ));
    overwrite(&setup.policy("members/ann.wall"), text);
    wait_until("it is in force", || server.answers("/a") == 404);
    let root = format!("policies/{ROOT}");
    for words in [
        vec!["check", "--cost", &root],
        vec!["test", &root],
        vec!["test", "--coverage", &root],
        vec!["fmt", "--check", "policies/members/ann.wall"],
        vec!["status", "-c", "seawall.toml"],
        vec!["status", "--json", "-c", "seawall.toml"],
        vec!["history", "-c", "seawall.toml"],
        vec!["history", "--json", "-c", "seawall.toml"],
        vec!["diff", "-c", "seawall.toml", "1", "2"],
        vec!["diff", "--json", "-c", "seawall.toml", "1", "2"],
        vec!["bans", "list", "-c", "seawall.toml"],
    ] {
        let ran = setup.run(&words);
        assert_ne!(ran.code, Some(2), "{words:?}: {}", ran.err);
        both(&format!("{words:?}"), &ran);
        if words.contains(&"--json") && ran.code == Some(0) {
            assert!(serde_json::from_str::<serde_json::Value>(&ran.out).is_ok(), "{}", ran.out);
        }
    }
    is_clean("the log", &server.lines().join("\n"));
}
