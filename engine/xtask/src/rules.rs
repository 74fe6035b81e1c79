//! Builds the rules of `rules/` into components under `policies/wasm/`.
//!
//! Decision: no wasm tool besides the language's compiler. The `#[seawall_rule::export]` of the SDK
//! leaves one line of WIT for each function in the custom section `seawall:exports`; here these
//! lines become the rule's world, the `wit-component` crate makes a component of it, and the rule's
//! cases travel along in the section `seawall:cases`, so that a server can rehearse what it loads.
//!
//! A rule is built when the hash of what goes into it changed, or when the file that came out of it
//! is no longer the one that was written; otherwise nothing is started.

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use wasmparser::{ComponentTypeRef, Parser, Payload, TypeBounds, Validator};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// Counts up when the same sources should give another file.
const BUILDER_VERSION: u32 = 1;

const TARGET: &str = "wasm32-unknown-unknown";

/// The one instance whose import is none: the interface of type names. A world that uses them
/// imports the instance and each name; neither can be called.
const TYPES: &str = "seawall:rule/types@0.1.";

/// Bytes of stack in the rule's own memory. The linker's 1 MiB would be most of what a rule gets.
const STACK_BYTES: u32 = 64 << 10;

/// Lines of a failed command's complaint that are shown.
const TAIL_LINES: usize = 40;

/// A rule that is ready.
#[derive(Debug)]
pub(crate) struct Built {
    /// The rule's name, which is its folder's.
    pub(crate) name: String,
    /// The component.
    pub(crate) path: PathBuf,
    /// Bytes of the component.
    pub(crate) size: u64,
    /// Whether it was built just now; otherwise it was there already.
    pub(crate) fresh: bool,
}

/// Builds every rule under `rules/*/rust` that needs it, and says on `progress` what it does.
pub(crate) fn build(repo: &Path, progress: &mut dyn FnMut(&str)) -> Result<Vec<Built>> {
    let out = repo.join("policies/wasm");
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut compiler = None;
    let mut built = Vec::new();
    for name in names(repo)? {
        let path = out.join(format!("{name}.wasm"));
        let mark = out.join(format!(".{name}.hash"));
        let sources = source_hash(repo, &name)?;
        let fresh = !is_current(&path, &mark, &sources);
        if fresh {
            let compiler = match &compiler {
                Some(found) => found,
                None => compiler.insert(Compiler::find()?),
            };
            progress(&format!("{name}: compiling for {TARGET}, about 10 s the first time"));
            let component =
                component(repo, &name, compiler).with_context(|| format!("rule `{name}`"))?;
            save(&path, &component)?;
            save(&mark, format!("{sources} {}\n", hex(&Sha256::digest(&component))).as_bytes())?;
            progress(&format!("{name}: {} bytes, imports nothing", component.len()));
        }
        let size = std::fs::metadata(&path)?.len();
        built.push(Built { name, path, size, fresh });
    }
    Ok(built)
}

/// The folders of `rules/` that hold a rule in Rust, in the order of their names.
fn names(repo: &Path) -> Result<Vec<String>> {
    let folder = repo.join("rules");
    let entries =
        std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join("rust/Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn component(repo: &Path, name: &str, compiler: &Compiler) -> Result<Vec<u8>> {
    let target_dir = repo.join("rules/target");
    compiler.build(&repo.join("rules"), name, &target_dir)?;
    let module = target_dir.join(TARGET).join("release").join(format!("{}.wasm", snake(name)));
    let module = std::fs::read(&module)
        .with_context(|| format!("the compiler left no {}", module.display()))?;
    let types = std::fs::read_to_string(repo.join("rule-sdk/wit/seawall-rule.wit"))?;
    let mut component = encode(module, name, &types)?;
    append_section(
        &mut component,
        "seawall:cases",
        cases(&repo.join("rules").join(name))?.as_bytes(),
    );
    check(&component)?;
    Ok(component)
}

fn snake(name: &str) -> String {
    name.replace('-', "_")
}

/// How Rust is compiled for the rules' target on this machine.
enum Compiler {
    /// rustup has the target.
    Rustup,
    /// Debian's own compiler, which builds the standard library along.
    Debian,
}

impl Compiler {
    fn find() -> Result<Self> {
        let listed = Command::new("rustup").args(["target", "list", "--installed"]).output();
        if listed.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(TARGET)) {
            return Ok(Self::Rustup);
        }
        let debian = ["/usr/bin/rustc", "/usr/bin/cargo", "/usr/bin/wasm-ld"];
        if debian.iter().all(|path| Path::new(path).exists()) {
            return Ok(Self::Debian);
        }
        bail!(
            "no compiler for {TARGET}. With rustup: `rustup target add {TARGET}`. \
             On Debian: `apt-get install rustc-web cargo-web rust-web-src lld`"
        )
    }

    fn build(&self, workspace: &Path, name: &str, target_dir: &Path) -> Result<()> {
        let mut command = match self {
            Self::Rustup => Command::new("cargo"),
            Self::Debian => {
                let mut command = Command::new("/usr/bin/cargo");
                command
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld");
                command
            }
        };
        command.args(["build", "--release", "--target", TARGET, "--lib", "--package", name]);
        if matches!(self, Self::Debian) {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        // Flags that somebody set for this machine's processor are not for the rules, and neither
        // are paths of this machine.
        let root = workspace.parent().unwrap_or(workspace).display();
        let flags = [
            format!("-Clink-arg=-zstack-size={STACK_BYTES}"),
            format!("--remap-path-prefix={root}=seawall"),
        ];
        command
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .arg("--target-dir")
            .arg(target_dir)
            .current_dir(workspace);
        run(&mut command)
    }
}

/// Runs a command; where it fails, the complaint holds the command and the end of what it said.
fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let out = command.output().with_context(|| format!("cannot start {shown}"))?;
    if out.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
    bail!("{shown} ended with {}:\n{}", out.status, tail.join("\n"))
}

/// Makes a component of a core module that the SDK's attribute prepared.
fn encode(mut module: Vec<u8>, name: &str, types: &str) -> Result<Vec<u8>> {
    let exports = section(&module, "seawall:exports")?;
    ensure!(
        !exports.is_empty(),
        "it exports nothing: write `#[seawall_rule::export]` before a `fn`"
    );
    let exports = String::from_utf8(exports).context("the section `seawall:exports` is no text")?;
    let mut resolve = Resolve::default();
    resolve.push_str("seawall-rule.wit", types).context("rule-sdk/wit/seawall-rule.wit")?;
    let world = world(name, &exports);
    let package =
        resolve.push_str("world.wit", &world).with_context(|| format!("the world is\n{world}"))?;
    let world = resolve.select_world(&[package], None)?;
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().validate(true).module(&module)?.encode()
}

/// The rule's world: what it exports, and the names of types that it uses.
fn world(name: &str, exports: &str) -> String {
    let used: Vec<&str> = ["text", "address", "headers"]
        .into_iter()
        .filter(|kind| {
            exports.contains(&format!(": {kind}")) || exports.contains(&format!("> {kind}"))
        })
        .collect();
    let names = match used.as_slice() {
        [] => String::new(),
        used => format!("use seawall:rule/types@0.1.0.{{{}}};\n", used.join(", ")),
    };
    format!("package seawall:built;\n\nworld %{name} {{\n{names}{exports}}}\n")
}

/// The bytes of all custom sections of this name at the top of a module, one after the other.
fn section(module: &[u8], name: &str) -> Result<Vec<u8>> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::CustomSection(section) = payload?
            && section.name() == name
        {
            found.extend_from_slice(section.data());
        }
    }
    Ok(found)
}

/// Appends a custom section: id 0, the size of what follows, the name with its length, the data.
fn append_section(wasm: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut body = leb128(name.len());
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(data);
    wasm.push(0);
    wasm.extend(leb128(body.len()));
    wasm.extend(body);
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        // The mask leaves seven bits.
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

/// Valid, with nothing to import but names of types.
fn check(component: &[u8]) -> Result<()> {
    Validator::new().validate_all(component).context("the component is not valid")?;
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    let import = import?;
                    let name = import.name.name;
                    let only_names = match import.ty {
                        ComponentTypeRef::Type(TypeBounds::Eq(_)) => true,
                        ComponentTypeRef::Instance(_) => name.starts_with(TYPES),
                        _ => false,
                    };
                    ensure!(only_names, "it imports `{name}`; a rule imports nothing");
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// All cases of a rule, one file after the other: each is a list of `[[case]]`, so together they
/// are one again.
fn cases(rule: &Path) -> Result<String> {
    let mut all = String::new();
    for path in files(&rule.join("cases"))? {
        if path.extension().is_some_and(|ext| ext == "toml") {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Writing into a string cannot fail.
            let _ = writeln!(all, "# cases/{name}\n{}\n", text.trim_end());
        }
    }
    ensure!(all.contains("[[case]]"), "it has no cases: write some into `cases/*.toml`");
    Ok(all)
}

/// The hash of all that a rule is made of: itself, the SDK, the workspace and this builder.
fn source_hash(repo: &Path, name: &str) -> Result<String> {
    let mut paths = vec![repo.join("rules/Cargo.toml"), repo.join("rules/Cargo.lock")];
    paths.extend(files(&repo.join("rules").join(name))?);
    for part in ["rule-sdk/wit", "rule-sdk/rust", "rule-sdk/rust-macros"] {
        paths.extend(files(&repo.join(part))?);
    }
    let mut hash = Sha256::new();
    hash.update(BUILDER_VERSION.to_le_bytes());
    for path in paths.iter().filter(|path| path.exists()) {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let place = path.strip_prefix(repo).unwrap_or(path);
        // The lengths keep one file's end apart from the next one's beginning.
        hash.update(format!("{} {}\n", place.display(), bytes.len()));
        hash.update(&bytes);
    }
    Ok(hex(&hash.finalize()))
}

/// All files below a folder, in a fixed order, without what a compiler leaves there. A folder that
/// is missing has none.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if folder.is_dir() {
        let mut entries = std::fs::read_dir(folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        entries.sort();
        for path in entries {
            if path.is_dir() {
                if !path.ends_with("target") {
                    found.extend(files(&path)?);
                }
            } else {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Whether the component is the one that was built from these sources.
fn is_current(path: &Path, mark: &Path, sources: &str) -> bool {
    let (Ok(component), Ok(mark)) = (std::fs::read(path), std::fs::read_to_string(mark)) else {
        return false;
    };
    mark.trim_end() == format!("{sources} {}", hex(&Sha256::digest(&component)))
}

/// Writes beside the file and renames, so that a server that watches never reads half of it.
fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("part");
    std::fs::write(&beside, bytes)
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing into a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES_WIT: &str = include_str!("../../../rule-sdk/wit/seawall-rule.wit");

    /// A core module as the attribute and the compiler leave it, from nothing but its sections: one
    /// type, one function of it, its export, its body, and the line of WIT.
    fn module(wit: &str) -> Vec<u8> {
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        wasm.extend([1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f]);
        wasm.extend([3, 2, 1, 0]);
        wasm.extend([7, 7, 1, 3, b'n', b'o', b't', 0, 0]);
        wasm.extend([10, 7, 1, 5, 0, 0x20, 0, 0x45, 0x0b]);
        if !wit.is_empty() {
            append_section(&mut wasm, "seawall:exports", wit.as_bytes());
        }
        wasm
    }

    #[test]
    fn a_module_becomes_a_component_that_imports_nothing() {
        let wit = "export %not: func(%it: bool) -> bool;\n";
        let mut component = encode(module(wit), "not", TYPES_WIT).unwrap();
        append_section(&mut component, "seawall:cases", b"[[case]]\n");
        check(&component).unwrap();
        assert_eq!(section(&component, "seawall:cases").unwrap(), b"[[case]]\n");
    }

    #[test]
    fn a_module_without_an_export_names_the_fix() {
        let error = encode(module(""), "not", TYPES_WIT).unwrap_err().to_string();
        assert!(error.contains("#[seawall_rule::export]"), "{error}");
    }

    #[test]
    fn a_world_that_the_module_does_not_serve_is_refused() {
        let wit = "export %other: func() -> s64;\n";
        assert!(encode(module(wit), "other", TYPES_WIT).is_err());
        let no_wit = "export %not: func(%it: nonsense) -> bool;\n";
        let error = format!("{:#}", encode(module(no_wit), "not", TYPES_WIT).unwrap_err());
        assert!(error.contains("nonsense"), "{error}");
    }

    #[test]
    fn a_world_uses_the_names_that_it_needs() {
        let plain = world("a", "export %a: func(%text: bool) -> s64;\n");
        assert!(!plain.contains("use"), "{plain}");
        let both = world("a", "export %a: func(%it: headers) -> text;\n");
        assert!(both.contains("types@0.1.0.{text, headers};"), "{both}");
    }

    #[test]
    fn lengths_are_written_as_wasm_wants_them() {
        assert_eq!(leb128(0), [0]);
        assert_eq!(leb128(127), [127]);
        assert_eq!(leb128(128), [0x80, 1]);
        assert_eq!(leb128(624_485), [0xe5, 0x8e, 0x26]);
    }

    #[test]
    fn a_failed_command_shows_itself_and_what_it_said() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo something went wrong >&2; exit 3"]);
        let error = run(&mut command).unwrap_err().to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("something went wrong"),
            "{error}"
        );
        assert!(error.contains("\"sh\""), "{error}");
        let error = run(&mut Command::new("no-such-command-here")).unwrap_err().to_string();
        assert!(error.contains("cannot start"), "{error}");
    }

    #[test]
    fn a_component_is_current_only_with_its_sources_and_its_bytes() {
        let folder = std::env::temp_dir().join(format!("seawall-rules-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (path, mark) = (folder.join("a.wasm"), folder.join(".a.hash"));
        assert!(!is_current(&path, &mark, "sources"));
        save(&path, b"bytes").unwrap();
        save(&mark, format!("sources {}\n", hex(&Sha256::digest(b"bytes"))).as_bytes()).unwrap();
        assert!(is_current(&path, &mark, "sources"));
        assert!(!is_current(&path, &mark, "others"));
        save(&path, b"other").unwrap();
        assert!(!is_current(&path, &mark, "sources"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn every_shipped_rule_has_cases_and_a_steady_hash() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let names = names(&repo).unwrap();
        assert!(names.contains(&"header-oddness".to_owned()), "{names:?}");
        for name in names {
            assert!(cases(&repo.join("rules").join(&name)).is_ok(), "{name}");
            assert_eq!(source_hash(&repo, &name).unwrap(), source_hash(&repo, &name).unwrap());
        }
    }

    #[test]
    fn the_contract_is_the_one_that_its_page_describes() {
        let page = include_str!("../../../docs/rule-abi.md");
        let hash = hex(&Sha256::digest(TYPES_WIT));
        assert!(page.contains(&hash), "the contract changed: describe it, then pin {hash}");
    }
}
