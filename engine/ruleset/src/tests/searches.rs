//! `contains`, `starts_with` and `ends_with` with sets and lists.

use seawall_model::Tick;
use seawall_state::{Seed, State};

use super::*;
use crate::{LIST_SEARCH_BYTES_MEMBER_MAX, Terms};

/// Returns whether the rules reject a request with this user agent.
fn refuses(rules: &RuleSet, host: &str, agent: &str) -> bool {
    struct Agent<'a>(&'a str);
    impl HeaderView for Agent<'_> {
        fn any_value<'s>(&'s self, name: &str, visit: &mut dyn FnMut(&'s [u8]) -> bool) -> bool {
            self.first(name).is_some_and(visit)
        }
        fn first(&self, name: &str) -> Option<&[u8]> {
            (name == "user-agent").then_some(self.0.as_bytes())
        }
        fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
            visit(b"user-agent", self.0.as_bytes());
        }
    }
    let facts = Facts { headers: &Agent(agent), ..get("192.0.2.1", host, "/") };
    let states = [(); 2].map(|()| State::new(Seed([1; 16]), rules.counter_specs()));
    let indexed = rules.decide(&facts, &states[0], Tick(1));
    assert_eq!(indexed, rules.decide_without_index(&facts, &states[1], Tick(1), &()));
    indexed.verdict != Verdict::Allow
}

fn with_list(test: &str, list: &str) -> BuildOutput {
    let root = format!(
        "policy 1\nlist bots: string = file \"bots.txt\" max 1k\n\
         defaults {{ rule bots {{ when {test} then block }} }}\n"
    );
    let store = MemoryStore::default().with("root.wall", root).with("bots.txt", list);
    assemble_all(&store, Purpose::Run, None)
}

#[test]
fn any_element_of_a_list_that_fits_is_enough() {
    let list = "GPTBot\nClaudeBot\nBytespider\n";
    for (test, agent, fits) in [
        ("ua contains nocase @bots", "Mozilla/5.0 (compatible; gptbot/1.2)", true),
        ("ua contains nocase @bots", "BYTESPIDER", true),
        ("ua contains nocase @bots", "Mozilla/5.0 (X11; Linux x86_64)", false),
        ("ua contains nocase @bots", "", false),
        ("ua contains @bots", "x GPTBot x", true),
        ("ua contains @bots", "x gptbot x", false),
        ("lower(ua) contains @bots", "GPTBot", false),
        ("ua starts_with nocase @bots", "claudebot/1.0", true),
        ("ua starts_with nocase @bots", "a claudebot", false),
        ("ua ends_with nocase @bots", "a claudebot", true),
        ("ua ends_with @bots", "ClaudeBot/1.0", false),
        ("ua not contains nocase @bots", "curl/8", true),
        ("ua not contains nocase @bots", "GPTBot", false),
        ("header(\"user-agent\") contains nocase @bots", "gptbot", true),
    ] {
        let rules = with_list(test, list).rules.unwrap();
        assert_eq!(refuses(&rules, "x.example", agent), fits, "{test}: {agent}");
    }
    let empty = with_list("ua contains nocase @bots", "# none yet\n").rules.unwrap();
    assert!(!refuses(&empty, "x.example", "GPTBot") && !refuses(&empty, "x.example", ""));
}

#[test]
fn a_set_that_is_written_out_is_looked_for_as_a_list_is() {
    assert_eq!(
        failures(
            "let probes = { \"/.env\", \"/wp-\" }\n\
             floor {\n\
             rule a { when path starts_with probes then block 404 }\n\
             rule b { when path ends_with nocase { \".BAK\", \".sql\" } then block 405 }\n\
             rule c { when ua contains nocase { \"GPTBot\", \"q\" } then block 406 }\n\
             rule d { when path contains { \"/x/\" } then block 407 }\n\
             rule e { when path contains {} then block 408 }\n\
             }\n\
             test \"t\" {\n\
             request GET \"https://a.example/wp-login.php\" expect block 404\n\
             request GET \"https://a.example/.env\" expect block 404\n\
             request GET \"https://a.example/dump.SQL\" expect block 405\n\
             request GET \"https://a.example/dump.bak\" expect block 405\n\
             request GET \"https://a.example/\" { header \"user-agent\" \"a gptBOT\" } expect block 406\n\
             request GET \"https://a.example/\" { header \"user-agent\" \"Q\" } expect block 406\n\
             request GET \"https://a.example/a/x/b\" expect block 407\n\
             request GET \"https://a.example/a/.env\" expect pass\n\
             }\n"
        ),
        [""; 0]
    );
}

#[test]
fn a_test_may_put_other_texts_into_a_list_that_is_looked_for() {
    let rule = "list bots: string = { \"GPTBot\" }\n\
                defaults { rule bots { when ua contains nocase @bots then block } }\n";
    let test = |given: &str| {
        format!(
            "{rule}test \"t\" {{ given @bots = {{ {given} }}\n\
             request GET \"https://a.example/\" {{ header \"user-agent\" \"a curl/8\" }} expect block\n\
             request GET \"https://a.example/\" {{ header \"user-agent\" \"GPTBot\" }} expect pass }}\n"
        )
    };
    assert_eq!(failures(&test("\"CURL\", \"wget\"")), [""; 0]);
    assert_eq!(complaints(&test("\"\"")), ["4:26 T002"]);
}

#[test]
fn what_cannot_be_looked_for_is_refused_in_words_that_help() {
    for (test, code, words) in [
        ("ua contains \"\"", "T002", "is present"),
        ("ua starts_with { \"a\", \"\" }", "T002", "is present"),
        ("ua contains nocase @empty", "T002", "is present"),
        ("ua contains path", "T002", "a string, a set or a list"),
        ("ua contains @nets", "T001", "element of `@nets`"),
        ("ua contains { 1, 2 }", "T001", ""),
        ("ua contains nocase @none", "N003", ""),
        ("ua matches { \"a\", \"b\" }", "T002", "matches nocase r\"(a|b)\""),
        ("ua like @bots", "T002", "matches nocase r\"(a|b)\""),
        ("ua matches words", "T002", "matches nocase r\"(a|b)\""),
        ("ua == { \"a\", \"b\" }", "T002", "`contains`"),
        ("conn.requests contains { \"a\" }", "T002", "needs a string"),
    ] {
        let made = assemble(&format!(
            "policy 1\nlist bots: string = {{ \"a\" }}\nlist empty: string = {{ \"\" }}\n\
             list nets: cidr = {{ 192.0.2.1 }}\nlet words = {{ \"a\", \"b\" }}\n\
             floor {{ rule a {{ when {test} then block }} }}\n"
        ));
        let told = made.diagnostics.iter().find(|d| d.severity == Severity::Error);
        let told = told.unwrap_or_else(|| panic!("{test} loads"));
        let all = format!("{} {}", told.message, told.help.clone().unwrap_or_default());
        assert!(told.code == code && all.contains(words), "{test}: {told:?}");
    }
    for (test, is_told) in [
        ("ua contains { \"bot\", \"Spider\" }", true),
        ("ua contains { \"bot\", \"spider\" }", false),
        ("ua contains nocase { \"Bot\", \"spider\" }", false),
        ("ua contains @bots", true),
        ("ua ends_with nocase @bots", false),
        ("path contains @bots", false),
    ] {
        let made = with_list(test, "a\n");
        assert_eq!(made.diagnostics.iter().any(|d| d.code == "C010"), is_told, "{test}");
    }
}

#[test]
fn what_a_search_costs_does_not_follow_the_number_of_elements() {
    let spent = |count: usize| {
        let list: String = (0..count).map(|n| format!("agent-{n:04}\n")).collect();
        let rules = with_list("ua contains nocase @bots", &list).rules.unwrap();
        struct Agent;
        impl HeaderView for Agent {
            fn any_value<'s>(&'s self, _: &str, visit: &mut dyn FnMut(&'s [u8]) -> bool) -> bool {
                visit(b"Mozilla/5.0 agent-000x")
            }
            fn first(&self, _: &str) -> Option<&[u8]> {
                Some(b"Mozilla/5.0 agent-000x")
            }
            fn each(&self, _: &mut dyn FnMut(&[u8], &[u8])) {}
        }
        let facts = Facts { headers: &Agent, ..get("192.0.2.1", "x.example", "/") };
        let state = State::new(Seed([1; 16]), rules.counter_specs());
        rules.decide_metered(&facts, &state, Tick(1)).1.host
    };
    assert_eq!(spent(1), spent(600));
    assert!(spent(1) > 0);
}

#[test]
fn a_list_with_more_texts_than_can_be_looked_for_is_refused_and_the_good_copy_stays() {
    let root = "policy 1\nlist bots: string = file \"bots.txt\" max 1M\n\
                defaults { rule bots { when ua contains nocase @bots then block } }\n";
    let store = |list: &str| MemoryStore::default().with("root.wall", root).with("bots.txt", list);
    let most = seawall_policy::texts::SEARCH_TEXT_BYTES_MAX;
    let text = |bytes: usize| (0..=bytes / 100).map(|n| format!("{n:0100}\n")).collect::<String>();
    let good = assemble_all(&store("GPTBot\n"), Purpose::Run, None).rules.unwrap();
    let large = store(&text(most));
    let refused = assemble_all(&large, Purpose::Run, None);
    assert_eq!((refused.diagnostics[0].code, refused.diagnostics[0].line), ("S016", 2));
    let kept = assemble_all(&large, Purpose::Run, Some(&good));
    assert_eq!(kept.diagnostics[0].severity, Severity::Warning);
    assert!(refuses(&kept.rules.unwrap(), "x.example", "gptbot"));
    // The same list can be tested for a whole text.
    let whole = root.replace("ua contains nocase", "ua in");
    let store = MemoryStore::default().with("root.wall", whole).with("bots.txt", text(most));
    assert!(assemble_all(&store, Purpose::Run, None).rules.is_some());
}

const HOSTED: &str = "policy 1\nlist bots: string = file \"bots.txt\" max 1k\n\
     member alice { hosts { \"alice.example\" } may { block, list, test } file \"m/alice.wall\" }\n";

fn hosted(list: &str, hers: &str) -> MemoryStore {
    let store = MemoryStore::default().with("root.wall", HOSTED).with("bots.txt", list);
    store.with("m/alice.wall", format!("policy 1\n{hers}\n"))
}

#[test]
fn a_member_looks_for_the_elements_of_a_list_of_the_host_and_of_his_new_ones() {
    let hers = "site \"alice.example\" { rule bots { when ua contains nocase @bots then block } }";
    let first = assemble_all(&hosted("GPTBot\n", hers), Purpose::Run, None).rules.unwrap();
    assert!(refuses(&first, "alice.example", "gptbot") && !refuses(&first, "b.example", "gptbot"));
    // The member's part is reused unchanged.
    let sources = Sources::gather("root.wall", &hosted("ClaudeBot\n", hers));
    let terms = Terms::new(Some(&first), Effort::Reload);
    let second = workshop().assemble_within(&sources, Purpose::Run, terms).rules.unwrap();
    assert!(!refuses(&second, "alice.example", "gptbot"));
    assert!(refuses(&second, "alice.example", "claudebot"));
    assert!(refuses(&first, "alice.example", "gptbot"), "the generation before is as it was");
}

#[test]
fn a_member_may_look_for_as_much_as_the_quota_and_no_more() {
    let lists = |n: usize| -> (String, String) {
        let decl = |n| format!("list l{n}: string = file \"l{n}.txt\" max 100k\n");
        let rule = |n| format!("rule r{n} {{ when path contains nocase @l{n} then block }}\n");
        ((0..n).map(decl).collect(), (0..n).map(rule).collect())
    };
    let made = |n: usize| {
        let (decls, rules) = lists(n);
        let mut store = hosted("x\n", &format!("{decls}site \"alice.example\" {{\n{rules}}}"));
        for n in 0..n {
            let list: String = (0..20_000).map(|i| format!("{i:05x}-{n}-a\n")).collect();
            store = store.with(&format!("m/l{n}.txt"), list);
        }
        assemble_all(&store, Purpose::Run, None)
    };
    assert!(made(1).members.is_empty());
    let over = made(4);
    assert!(over.rules.is_some_and(|rules| rules.member("alice").is_none()));
    let told = &over.members[0].diagnostics[0];
    assert_eq!((told.code, &*told.file), ("S016", "m/alice.wall"));
    let most = seawall_policy::text::bytes(LIST_SEARCH_BYTES_MEMBER_MAX);
    assert!(told.message.contains(&most), "{told:?}");
}

#[test]
fn searches_written_out_have_the_budget_of_expressions() {
    let set = |n: usize| {
        let all: Vec<String> = (0..2_000).map(|i| format!("\"{n}-{i:04}-agent\"")).collect();
        format!("rule r{n} {{ when ua contains nocase {{ {} }} then drop }}\n", all.join(", "))
    };
    let policy = |n: usize| format!("floor {{\n{}}}\n", (0..n).map(set).collect::<String>());
    assert!(complaints(&policy(3)).is_empty());
    let made = assemble(&format!("policy 1\n{}", policy(30)));
    let hosts: Vec<_> = made.diagnostics.iter().map(|d| d.code).collect();
    assert!(hosts.is_empty(), "{hosts:?}");
    let store = MemoryStore::default()
        .with("root.wall", HOSTED.replace("block, list", "drop, list"))
        .with("bots.txt", "x\n")
        .with(
            "m/alice.wall",
            format!(
                "policy 1\nsite \"alice.example\" {{\n{}}}\n",
                (0..12).map(set).collect::<String>()
            ),
        );
    let made = assemble_all(&store, Purpose::Check, None);
    let codes: Vec<_> = made.members[0].diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["C006"], "{:?}", made.members[0].diagnostics);
}
