//! If the configuration names keys, only components that one of them signed are accepted, also in a
//! reload.

use seawall_tests::{Origin, ROOT, Ran, Server, Setup, answering, overwrite};

const POLICY: &str = "policy 1
extern f() -> int { module \"f.wasm\" fuel 50k memory 1MiB on_failure return 9 }
floor { rule r { when path == \"/f\" and f() == 1 then block 410 } }
";

/// A host that trusts the key `trusted`, beside another that it does not.
fn host(origin: &Origin) -> Setup {
    let setup = Setup::new(origin.address, POLICY);
    for name in ["trusted", "other"] {
        assert_eq!(setup.run(&["rule", "keygen", name]).code, Some(0));
    }
    let public = std::fs::read_to_string(setup.path("trusted.pub")).unwrap();
    setup.trusted_key(public.lines().last().unwrap())
}

/// Writes a component that answers `number`, with a signature by `key` beside it.
fn put(setup: &Setup, number: i64, key: &str) {
    std::fs::write(setup.path("new.wasm"), answering(number)).unwrap();
    let key = format!("{key}.key");
    let signed = setup.run(&["rule", "sign", "new.wasm", "--key", &key]);
    assert_eq!(signed.code, Some(0), "{signed:?}");
    std::fs::rename(setup.path("new.wasm.minisig"), setup.policy("f.wasm.minisig")).unwrap();
    std::fs::rename(setup.path("new.wasm"), setup.policy("f.wasm")).unwrap();
}

fn check(setup: &Setup) -> Ran {
    setup.write_config();
    setup.run(&["check", "-c", "seawall.toml", &format!("policies/{ROOT}")])
}

#[test]
fn only_what_a_trusted_key_signed_is_loaded() {
    let origin = Origin::start();
    let setup = host(&origin);
    let refused = |part: &str| {
        let ran = check(&setup);
        assert_eq!(ran.code, Some(1));
        assert!(ran.err.contains("S010") && ran.err.contains(part), "{}", ran.err);
    };
    setup.write("f.wasm", answering(1));
    refused("has no signature");
    put(&setup, 1, "other");
    refused("not among");
    put(&setup, 1, "trusted");
    assert_eq!(check(&setup).code, Some(0), "{}", check(&setup).err);
    let verified = setup.run(&["rule", "verify", "policies/f.wasm", "-c", "seawall.toml"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let signed = std::fs::read(setup.policy("f.wasm")).unwrap();
    setup.write("f.wasm", answering(2));
    refused("does not match its signature");
    let mut bent = signed.clone();
    let last = bent.len() - 1;
    bent[last] ^= 1;
    setup.write("f.wasm", &bent);
    refused("does not match its signature");
    setup.write("f.wasm", &signed);
    setup.write("f.wasm.minisig", "nonsense");
    refused("not a minisign signature");
    assert_eq!(setup.run(&["rule", "verify", "policies/f.wasm"]).code, Some(1));
}

fn refusal(server: &Server) -> String {
    server.wait_error().message
}

#[test]
fn a_reload_takes_nothing_that_is_not_signed() {
    let origin = Origin::start();
    let setup = host(&origin);
    put(&setup, 1, "trusted");
    let server = setup.start();
    assert_eq!(server.answers("/f"), 410);
    overwrite(&setup.policy("f.wasm"), answering(2));
    assert!(refusal(&server).contains("does not match its signature"), "{}", refusal(&server));
    assert_eq!((server.answers("/f"), server.status().policy.generation), (410, 1));
    put(&setup, 3, "trusted");
    server.wait_generation(2);
    assert_eq!(server.answers("/f"), 200);
}

#[test]
fn a_key_is_never_overwritten_and_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt;
    let origin = Origin::start();
    let setup = host(&origin);
    let again = setup.run(&["rule", "keygen", "trusted"]);
    assert!(again.code == Some(1) && again.err.contains("is not overwritten"), "{again:?}");
    let mode = std::fs::metadata(setup.path("trusted.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_key_with_a_password_asks_for_it_by_a_file() {
    let origin = Origin::start();
    let setup = host(&origin);
    std::fs::write(setup.path("f.wasm"), answering(1)).unwrap();
    std::fs::write(setup.path("password"), "open sesame\n").unwrap();
    std::fs::write(setup.path("wrong"), "open barley\n").unwrap();
    assert_eq!(setup.run(&["rule", "keygen", "k", "--password-file", "password"]).code, Some(0));
    let sign =
        |more: &[&str]| setup.run(&[&["rule", "sign", "f.wasm", "--key", "k.key"], more].concat());
    assert!(sign(&[]).err.contains("--password-file"));
    assert!(sign(&["--password-file", "wrong"]).err.contains("the password is wrong"));
    let signed = sign(&["--password-file", "password"]);
    assert_eq!(signed.code, Some(0), "{signed:?}");
    let verified = setup.run(&["rule", "verify", "f.wasm", "--key", "k.pub"]);
    assert!(verified.code == Some(0) && verified.out.contains("signed with RW"), "{verified:?}");
}
