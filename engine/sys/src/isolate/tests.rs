//! Tests of the isolation, run inside it. The isolation is permanent. Each test therefore starts
//! this program again for one of the ignored tests in [`inside`], and checks its result.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output};

use super::*;

/// Passes the folder of [`Outside`] to the started process.
const FOLDER: &str = "SEAWALL_TEST_FOLDER";
/// The address of the TCP listener outside.
const LISTENER: &str = "SEAWALL_TEST_LISTENER";

/// Resources that an isolated process would try to reach.
struct Outside {
    folder: tempfile::TempDir,
    tcp: TcpListener,
    _admin: UnixListener,
}

impl Outside {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, [7; 32]).unwrap();
        std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        let admin = UnixListener::bind(folder.path().join("admin.sock")).unwrap();
        Self { folder, tcp: TcpListener::bind("127.0.0.1:0").unwrap(), _admin: admin }
    }

    /// Runs one of the tests in [`inside`].
    fn run(&self, name: &str) -> Output {
        let whole = format!("isolate::tests::inside::{name}");
        Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--test-threads=1", &whole])
            .env(FOLDER, self.folder.path())
            .env(LISTENER, self.tcp.local_addr().unwrap().to_string())
            .output()
            .unwrap()
    }

    /// Runs the test and asserts that it passes.
    fn holds(&self, name: &str) {
        let output = self.run(name);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{name}: {output:?}");
    }
}

#[test]
fn every_way_out_is_refused() {
    let outside = Outside::new();
    outside.holds("files_network_and_processes_are_out_of_reach");
    outside.holds("no_other_call_does_anything");
    outside.holds("no_memory_is_code_or_a_file");
    assert_eq!(std::fs::read(outside.folder.path().join("key")).unwrap(), [7; 32]);
    assert_eq!(std::fs::read_dir(outside.folder.path()).unwrap().count(), 2, "nothing new");
}

#[test]
fn landlock_holds_by_itself() {
    Outside::new().holds("landlock_alone_refuses_paths_and_tcp");
}

#[test]
fn no_capability_is_kept() {
    Outside::new().holds("capabilities_are_gone");
}

#[test]
fn what_is_left_is_enough_to_compile() {
    Outside::new().holds("the_same_code_comes_of_it");
}

#[test]
fn who_gives_up_inside_still_ends_as_anywhere() {
    use std::os::unix::process::ExitStatusExt;
    let output = Outside::new().run("aborts");
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{output:?}");
}

#[test]
fn a_kernel_without_it_is_told_of_and_stops_nobody() {
    Outside::new().holds("a_kernel_that_has_neither");
    Outside::new().holds("a_system_that_refuses_to_drop_capabilities");
}

#[test]
fn both_processors_have_a_filter() {
    for arch in [TargetArch::x86_64, TargetArch::aarch64] {
        assert!(filter(arch).unwrap().len() > 100);
    }
}

fn folder() -> PathBuf {
    std::env::var_os(FOLDER).unwrap().into()
}

fn key() -> PathBuf {
    folder().join("key")
}

fn errno<T>(of: std::io::Result<T>) -> i32 {
    of.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1))
}

/// Makes a system call by number.
#[expect(unsafe_code, reason = "what no library would ask for is tried by number")]
fn call(number: i64, args: [usize; 4]) -> std::io::Result<i64> {
    let [a, b, c, d] = args;
    // SAFETY: every caller passes arguments with which the call changes no memory of this program:
    // nulls, numbers that are not descriptors, or the address of a text.
    match unsafe { libc::syscall(number, a, b, c, d, 0, 0) } {
        -1 => Err(std::io::Error::last_os_error()),
        done => Ok(done),
    }
}

/// Returns flags as an argument.
fn bits(of: i32) -> usize {
    usize::try_from(of).unwrap()
}

mod inside {
    use std::fs::{self, File, OpenOptions};
    use std::net::{TcpStream, UdpSocket};
    use std::os::unix::net::UnixStream;
    use std::os::unix::process::CommandExt;

    use super::*;

    #[test]
    #[ignore = "ends this process's freedom: started by a test that wants that"]
    fn files_network_and_processes_are_out_of_reach() {
        let (key, address) = (key(), std::env::var(LISTENER).unwrap());
        assert_eq!(fs::read(&key).unwrap().len(), 32, "until then it can");
        TcpStream::connect(&address).unwrap();
        UnixStream::connect(folder().join("admin.sock")).unwrap();
        assert_eq!(isolate(), [""; 0]);
        let refused = [
            errno(fs::read(&key)),
            errno(File::open("/etc/passwd")),
            errno(File::open("/dev/null")),
            errno(File::open("/proc/self/mem")),
            errno(OpenOptions::new().append(true).open(&key)),
            errno(File::create(folder().join("new"))),
            errno(fs::create_dir(folder().join("new"))),
            errno(fs::remove_file(&key)),
            errno(fs::rename(&key, folder().join("other"))),
            errno(fs::hard_link(&key, folder().join("other"))),
            errno(fs::set_permissions(&key, Permissions::from_mode(0o644))),
            errno(fs::metadata(&key)),
            errno(fs::read_dir(folder())),
            errno(std::env::set_current_dir("/")),
            errno(TcpStream::connect(&address)),
            errno(TcpListener::bind("127.0.0.1:0")),
            errno(UdpSocket::bind("127.0.0.1:0")),
            errno(UnixStream::connect(folder().join("admin.sock"))),
            errno(UnixStream::pair()),
            errno(Command::new("/bin/true").spawn()),
            errno(Err::<(), _>(Command::new("/bin/true").exec())),
            errno(std::thread::Builder::new().spawn(|| {})),
        ];
        assert_eq!(refused, [libc::EPERM; 22]);
    }

    #[test]
    #[ignore = "ends this process's freedom: started by a test that wants that"]
    fn no_other_call_does_anything() {
        let file = File::open(key()).unwrap();
        let open = usize::try_from(std::os::fd::AsRawFd::as_raw_fd(&file)).unwrap();
        let parent = usize::try_from(std::os::unix::process::parent_id()).unwrap();
        let path = c"/bin/true".as_ptr() as usize;
        let own = std::process::id() as usize;
        let (kill, abort) = (bits(libc::SIGKILL), bits(libc::SIGABRT));
        assert_eq!(isolate(), [""; 0]);
        let refused = [
            (libc::SYS_openat, [0, path, 0, 0]),
            (libc::SYS_openat2, [0, path, 0, 0]),
            (libc::SYS_execve, [path, 0, 0, 0]),
            (libc::SYS_execveat, [0, path, 0, 0]),
            (libc::SYS_clone, [17, 0, 0, 0]),
            (libc::SYS_clone3, [0, 0, 0, 0]),
            (libc::SYS_socket, [1, 1, 0, 0]),
            (libc::SYS_socketpair, [1, 1, 0, 0]),
            (libc::SYS_connect, [open, 0, 0, 0]),
            (libc::SYS_accept4, [open, 0, 0, 0]),
            (libc::SYS_sendto, [open, 0, 0, 0]),
            (libc::SYS_sendmsg, [open, 0, 0, 0]),
            (libc::SYS_recvmsg, [open, 0, 0, 0]),
            (libc::SYS_ptrace, [16, parent, 0, 0]),
            (libc::SYS_process_vm_readv, [parent, 0, 0, 0]),
            (libc::SYS_process_vm_writev, [parent, 0, 0, 0]),
            (libc::SYS_pidfd_open, [parent, 0, 0, 0]),
            (libc::SYS_pidfd_getfd, [open, 0, 0, 0]),
            (libc::SYS_kill, [parent, 0, 0, 0]),
            (libc::SYS_tkill, [parent, 0, 0, 0]),
            (libc::SYS_tgkill, [parent, parent, abort, 0]),
            (libc::SYS_tgkill, [own, own, kill, 0]),
            (libc::SYS_rt_sigqueueinfo, [parent, 0, 0, 0]),
            (libc::SYS_io_uring_setup, [1, 0, 0, 0]),
            (libc::SYS_memfd_create, [path, 0, 0, 0]),
            (libc::SYS_userfaultfd, [0, 0, 0, 0]),
            (libc::SYS_unshare, [0, 0, 0, 0]),
            (libc::SYS_setns, [open, 0, 0, 0]),
            (libc::SYS_prctl, [bits(libc::PR_SET_DUMPABLE), 1, 0, 0]),
            (libc::SYS_prlimit64, [0, 9, 0, 0]),
            (libc::SYS_setuid, [0, 0, 0, 0]),
            (libc::SYS_personality, [0, 0, 0, 0]),
            (libc::SYS_keyctl, [0, 0, 0, 0]),
            (libc::SYS_add_key, [path, path, 0, 0]),
            (libc::SYS_shmget, [0, 4_096, 0o1600, 0]),
            (libc::SYS_ioctl, [0, 0x5412, path, 0]),
            (libc::SYS_fcntl, [open, 0, 0, 0]),
            (libc::SYS_dup, [open, 0, 0, 0]),
            // Files that are already open are as inaccessible as others.
            (libc::SYS_read, [open, 0, 0, 0]),
            (libc::SYS_write, [open, path, 0, 0]),
            (libc::SYS_writev, [open, 0, 0, 0]),
            (libc::SYS_pread64, [open, 0, 0, 0]),
            (libc::SYS_sendfile, [1, open, 0, 1]),
            (libc::SYS_read, [1, 0, 0, 0]),
            (libc::SYS_write, [0, path, 0, 0]),
        ];
        for (number, args) in refused {
            assert_eq!(errno(call(number, args)), libc::EPERM, "{number} {args:x?}");
        }
        #[cfg(target_arch = "x86_64")]
        for (number, args) in [(libc::SYS_open, [path, 0, 0, 0]), (libc::SYS_fork, [0; 4])] {
            assert_eq!(errno(call(number, args)), libc::EPERM, "{number}");
        }
        assert_eq!(call(libc::SYS_write, [1, path, 0, 0]).unwrap(), 0, "what it is left");
    }

    #[test]
    #[ignore = "ends this process's freedom: started by a test that wants that"]
    fn no_memory_is_code_or_a_file() {
        let page = 4_096;
        let rw = bits(libc::PROT_READ | libc::PROT_WRITE);
        let rx = bits(libc::PROT_READ | libc::PROT_EXEC);
        let private = bits(libc::MAP_PRIVATE);
        let anonymous = bits(libc::MAP_ANONYMOUS | libc::MAP_PRIVATE);
        assert_eq!(isolate(), [""; 0]);
        for (number, args) in [
            (libc::SYS_mmap, [0, page, rx, anonymous]),
            (libc::SYS_mmap, [0, page, rw, private]),
            (libc::SYS_mprotect, [0, page, rx, 0]),
        ] {
            assert_eq!(errno(call(number, args)), libc::EPERM, "{number} {args:x?}");
        }
        assert!(call(libc::SYS_mmap, [0, page, rw, anonymous]).is_ok(), "what it is left");
    }

    #[test]
    #[ignore = "ends this process's freedom: started by a test that wants that"]
    fn landlock_alone_refuses_paths_and_tcp() {
        let version = call(libc::SYS_landlock_create_ruleset, [0, 0, 1, 0]);
        let address = std::env::var(LISTENER).unwrap();
        let Ok(version) = version else {
            assert!(give_up_files().is_err(), "a kernel without it has nothing to hold");
            return;
        };
        give_up_files().unwrap();
        let refused = [
            errno(fs::read(key())),
            errno(OpenOptions::new().append(true).open(key())),
            errno(File::create(folder().join("new"))),
            errno(fs::remove_file(key())),
            errno(fs::read_dir(folder())),
            errno(Command::new("/bin/true").spawn()),
        ];
        assert_eq!(refused, [libc::EACCES; 6]);
        if version >= 4 {
            assert_eq!(errno(TcpStream::connect(address)), libc::EACCES);
            assert_eq!(errno(TcpListener::bind("127.0.0.1:1")), libc::EACCES);
        }
        if version >= 6 {
            let parent = std::os::unix::process::parent_id() as usize;
            assert_eq!(errno(call(libc::SYS_kill, [parent, 0, 0, 0])), libc::EPERM);
        }
    }

    #[test]
    #[ignore = "ends this process's freedom: started by a test that wants that"]
    fn capabilities_are_gone() {
        give_up_capabilities().unwrap();
        let left = rustix::thread::capabilities(None).unwrap();
        let all = left.effective | left.permitted | left.inheritable;
        assert!(all.is_empty(), "{all:?}");
    }

    #[test]
    #[ignore = "ends this process's freedom: started by a test that wants that"]
    fn the_same_code_comes_of_it() {
        let text = "(component (core module $m (func (export \"f\") (result i64) i64.const 1))
            (core instance $i (instantiate $m))
            (func (export \"f\") (result s64) (canon lift (core func $i \"f\"))))";
        let component = wat::parse_str(text).unwrap();
        let engine = wasmtime::Engine::new(
            wasmtime::Config::new().consume_fuel(true).parallel_compilation(false),
        );
        let engine = engine.unwrap();
        let before = crate::compile(&engine, &component).unwrap();
        assert_eq!(isolate(), [""; 0]);
        assert!(before == crate::compile(&engine, &component).unwrap());
    }

    #[test]
    #[ignore = "ends this process's freedom: started by a test that wants that"]
    fn aborts() {
        assert_eq!(isolate(), [""; 0]);
        std::process::abort();
    }

    /// Makes the kernel reject these calls as unknown.
    fn forget(calls: &[i64]) {
        let older = SeccompFilter::new(
            calls.iter().map(|call| (*call, Vec::new())).collect(),
            SeccompAction::Allow,
            SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
            TargetArch::try_from(std::env::consts::ARCH).unwrap(),
        );
        let older: BpfProgram = older.unwrap().try_into().unwrap();
        seccompiler::apply_filter(&older).unwrap();
    }

    #[test]
    #[ignore = "ends this process's freedom: started by a test that wants that"]
    fn a_system_that_refuses_to_drop_capabilities() {
        forget(&[libc::SYS_capset]);
        assert_eq!(isolate(), [""; 0], "nothing can be done with them");
        assert_eq!(errno(fs::read(key())), libc::EPERM);
    }

    #[test]
    #[ignore = "ends this process's freedom: started by a test that wants that"]
    fn a_kernel_that_has_neither() {
        forget(&[libc::SYS_landlock_create_ruleset, libc::SYS_seccomp, libc::SYS_capset]);
        let lacks = isolate();
        let begins: Vec<&str> = lacks.iter().filter_map(|what| what.split(" (").next()).collect();
        assert_eq!(begins, ["landlock", "seccomp", "giving up capabilities"], "{lacks:?}");
        assert_eq!(fs::read(key()).unwrap().len(), 32, "it goes on as before");
    }
}

/// Every ignored test has a test that starts it, and the reverse.
#[test]
fn each_test_inside_is_started() {
    let own = include_str!("tests.rs");
    let inside = own.split("mod inside").nth(1).unwrap();
    let names = inside.lines().filter_map(|line| line.trim().strip_prefix("fn "));
    for name in names.filter_map(|line| line.strip_suffix("() {")) {
        let starts = [format!("holds(\"{name}\")"), format!("run(\"{name}\")")];
        assert!(
            name.starts_with("each_") || starts.iter().any(|start| own.contains(start)),
            "{name}"
        );
    }
}
