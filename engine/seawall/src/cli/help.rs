//! Examples and exit codes, which `--help` prints below the flags of each command.

/// Examples and exit codes of a command that connects to the running server.
macro_rules! server_help {
    ($examples:literal, $failure:literal) => {
        concat!(
            "Examples:\n",
            $examples,
            "\n\nExit codes:\n  0   success\n  1   ",
            $failure,
            "\n  2   invalid command line\n  3   the server cannot be reached\n  70  internal error"
        )
    };
}

/// Examples and exit codes of a command that connects to no server.
macro_rules! local_help {
    ($examples:literal, $failure:literal) => {
        concat!(
            "Examples:\n",
            $examples,
            "\n\nExit codes:\n  0   success\n  1   ",
            $failure,
            "\n  2   invalid command line\n  70  internal error"
        )
    };
}

pub(super) const SEAWALL: &str = "\
Examples:
  seawall check policies/site.wall
  seawall run -c seawall.toml
  seawall status

Exit codes:
  0   success
  1   the checked file has errors, or the request failed
  2   invalid command line
  3   the server cannot be reached
  70  internal error

`--help` of a command shows its flags, examples and exit codes.";

pub(super) const RUN: &str = local_help!(
    "  seawall run -c seawall.toml",
    "the configuration or the policy has errors, or an address is in use"
);

pub(super) const CHECK: &str = server_help!(
    "  seawall check --target server -c seawall.toml policies/site.wall\n  \
     seawall check --against running policies/site.wall",
    "errors, failed tests, or warnings with `--strict`"
);

pub(super) const CONFIG: &str = local_help!(
    "  seawall config check seawall.toml\n  \
     seawall config show seawall.toml",
    "a configuration file has errors"
);

pub(super) const CONFIG_CHECK: &str =
    local_help!("  seawall config check seawall.toml", "a configuration file has errors");

pub(super) const CONFIG_SHOW: &str = local_help!(
    "  seawall config show seawall.toml\n  \
     seawall config show --json seawall.toml",
    "the configuration file has errors"
);

pub(super) const FMT: &str = local_help!(
    "  seawall fmt policies/site.wall\n  \
     seawall fmt --check policies/site.wall policies/members/alice.wall",
    "a file has errors, or `--check` has found an unformatted file"
);

pub(super) const TEST: &str = local_help!(
    "  seawall test policies/site.wall\n  \
     seawall test --coverage -c seawall.toml policies/site.wall",
    "a test has failed, or a policy has errors"
);

pub(super) const EXPLAIN: &str = local_help!(
    "  seawall explain policies/site.wall GET https://alice.example/ --from 203.0.113.7\n  \
     seawall explain policies/site.wall --curl \"curl https://alice.example/ -H 'accept: */*'\"",
    "the policy has errors, or the request is invalid"
);

pub(super) const FIELDS: &str = local_help!(
    "  seawall fields\n  seawall fields client",
    "there is no field or function of this name"
);

pub(super) const RULE: &str = local_help!(
    "  seawall rule new --lang rust hello\n  seawall rule build",
    "the command has failed"
);

pub(super) const RULE_NEW: &str = local_help!(
    "  seawall rule new --lang rust hello",
    "the name is invalid or taken, or a file cannot be written"
);

pub(super) const RULE_BUILD: &str = local_help!(
    "  cd hello && seawall rule build",
    "the source does not compile, or a server would reject the component"
);

pub(super) const RULE_TEST: &str =
    local_help!("  seawall rule test\n  seawall rule test wasm/hello.wasm", "a test has failed");

pub(super) const RULE_INSPECT: &str = local_help!(
    "  seawall rule inspect hello.wasm\n  seawall rule inspect --json hello.wasm",
    "a server would reject the component"
);

pub(super) const RULE_BENCH: &str = local_help!(
    "  seawall rule bench\n  seawall rule bench wasm/hello.wasm",
    "the component cannot be measured"
);

pub(super) const RULE_ENABLE: &str = server_help!(
    "  seawall rule enable hello\n  seawall rule enable alice",
    "the active policy has no rule and no member of this name"
);

pub(super) const RULE_KEYGEN: &str = local_help!(
    "  seawall rule keygen ours\n  seawall rule keygen ours --password-file password.txt",
    "a file exists already or cannot be written"
);

pub(super) const RULE_SIGN: &str = local_help!(
    "  seawall rule sign hello.wasm --key ours.key",
    "the key cannot be read, or a server would reject the component"
);

pub(super) const RULE_VERIFY: &str = local_help!(
    "  seawall rule verify hello.wasm --key ours.pub\n  \
     seawall rule verify hello.wasm -c seawall.toml",
    "the signature is missing or invalid, or made with another key"
);

pub(super) const STATUS: &str =
    server_help!("  seawall status\n  seawall status --json", "the configuration has errors");

pub(super) const RELOAD: &str = server_help!(
    "  seawall reload\n  seawall reload --clear-penalties floor.trap",
    "the policy is rejected; the earlier generation stays active"
);

pub(super) const UPGRADE: &str =
    server_help!("  seawall upgrade", "the upgrade failed; the running process keeps serving");

pub(super) const HISTORY: &str = server_help!(
    "  seawall history\n  seawall history 41 --export old",
    "there is no such generation, or its files are no longer kept"
);

pub(super) const DIFF: &str = server_help!(
    "  seawall diff 41\n  seawall diff 41 42 --json",
    "there is no such generation, or its files are no longer kept"
);

pub(super) const ROLLBACK: &str = server_help!(
    "  seawall rollback --clear-penalties\n  seawall rollback 41 --member alice",
    "the rollback is rejected; the active generation stays"
);

pub(super) const LEVEL: &str = server_help!(
    "  seawall level set attack --for 2h\n  seawall level clear",
    "the server has rejected the request"
);

pub(super) const LEVEL_SET: &str = server_help!(
    "  seawall level set attack --for 2h\n  \
     seawall level set attack --for 30m --site alice.example",
    "the level or the site is unknown, or the duration is too long"
);

pub(super) const LEVEL_CLEAR: &str = server_help!(
    "  seawall level clear\n  seawall level clear --site alice.example",
    "no level is set manually"
);

pub(super) const BANS: &str = server_help!(
    "  seawall bans list\n  seawall bans add 192.0.2.0/24 --for 1h30m",
    "the server has rejected the request"
);

pub(super) const BANS_LIST: &str =
    server_help!("  seawall bans list\n  seawall bans list --json", "the configuration has errors");

pub(super) const BANS_ADD: &str = server_help!(
    "  seawall bans add 192.0.2.7 --for 1h\n  seawall bans add AS64500 --for 90m",
    "the target is invalid, never banned, or the table is full"
);

pub(super) const BANS_REMOVE: &str = server_help!(
    "  seawall bans remove 192.0.2.7\n  seawall bans remove 192.0.2.7 --member alice",
    "there is no such ban"
);

pub(super) const BANS_CLEAR: &str = server_help!(
    "  seawall bans clear --rule floor.trap\n  seawall bans clear",
    "the server has rejected the request"
);

pub(super) const COMPILE: &str = local_help!(
    "  seawall compile 30 2147483648 < hello.wasm",
    "the component is rejected, or exceeds a limit"
);
