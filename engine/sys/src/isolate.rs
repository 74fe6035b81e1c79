//! Removes access to files, network and processes before the process reads untrusted data.
//!
//! There are three layers, because each works without the others. Landlock removes all paths, TCP,
//! and signals and abstract sockets to other processes. A seccomp filter allows only the system
//! calls that a computation needs, on its own memory and the three open streams. The process keeps
//! no capability.
//!
//! Other system calls end in `EPERM`, not in a kill. A library that asks for something harmless,
//! such as the number of memory nodes, then still works, also on systems where we have not tested.
//!
//! Limitation: the reader of the output must treat the output as untrusted.

use std::collections::BTreeMap;
use std::fmt::Display;

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// The newest Landlock version that is requested. An older kernel removes the rights that it knows.
const LANDLOCK: ABI = ABI::V6;

/// Isolates this process permanently. It can no longer open files, use the network, start processes
/// or threads, or reach other processes. It can compute, read its standard input and write to its
/// standard output and error. Call this while the process has one thread.
///
/// Returns the parts that this system does not support, each with the reason. The list is empty if
/// all parts are in force. A failed part does not prevent the others.
#[must_use]
pub fn isolate() -> Vec<String> {
    let reason = |what: &str, why: &dyn Display| format!("{what} ({why})");
    let mut lacks = Vec::new();
    let capabilities = give_up_capabilities();
    // The filter blocks the system calls that set up Landlock, so the filter comes last.
    lacks.extend(give_up_files().err().map(|why| reason("landlock", &why)));
    if let Err(why) = give_up_calls() {
        lacks.push(reason("seccomp", &why));
        // With the filter, capabilities have no use, and a service manager may have blocked the
        // call.
        lacks.extend(capabilities.err().map(|why| reason("giving up capabilities", &why)));
    }
    lacks
}

fn give_up_capabilities() -> rustix::io::Result<()> {
    let (effective, permitted) = (CapabilitySet::empty(), CapabilitySet::empty());
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective, permitted, inheritable })
}

/// Removes every right that Landlock knows. No rule grants one.
fn give_up_files() -> Result<(), String> {
    let restrict = || -> Result<RulesetStatus, RulesetError> {
        let ruleset = Ruleset::default()
            .handle_access(AccessFs::from_all(LANDLOCK))?
            .handle_access(AccessNet::from_all(LANDLOCK))?
            .scope(Scope::from_all(LANDLOCK))?;
        Ok(ruleset.create()?.restrict_self()?.ruleset)
    };
    match restrict() {
        Ok(RulesetStatus::NotEnforced) => Err("not supported by the kernel".to_owned()),
        Ok(_) => Ok(()),
        Err(why) => Err(why.to_string()),
    }
}

fn give_up_calls() -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter_all_threads(&filter(TargetArch::try_from(std::env::consts::ARCH)?)?)
}

/// Returns the filter for one processor architecture. A call with the numbers of another
/// architecture ends the process.
fn filter(arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(allowed()?, refused, SeccompAction::Allow, arch)?.try_into()
}

/// Returns the allowed system calls, each with its allowed arguments.
fn allowed() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let whatever = [
        // Memory without a file behind it. The rule below checks this for `mmap`.
        libc::SYS_brk,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_munmap,
        // Locks, waiting, time and random numbers.
        libc::SYS_clock_gettime,
        libc::SYS_futex,
        libc::SYS_getrandom,
        libc::SYS_nanosleep,
        libc::SYS_clock_nanosleep,
        libc::SYS_restart_syscall,
        libc::SYS_sched_yield,
        // Identity and exit.
        libc::SYS_close,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
    ];
    let mut calls: BTreeMap<i64, Vec<SeccompRule>> =
        whatever.into_iter().map(|call| (call, Vec::new())).collect();
    let output = [i64::from(libc::STDOUT_FILENO), i64::from(libc::STDERR_FILENO)];
    calls.insert(libc::SYS_read, vec![rule(&[same(0, libc::STDIN_FILENO)?])?]);
    for call in [libc::SYS_write, libc::SYS_writev] {
        let to = |file: i64| rule(&[is(0, file.unsigned_abs())?]);
        calls.insert(call, output.into_iter().map(to).collect::<Result<_, _>>()?);
    }
    let no_code = bits(2, libc::PROT_EXEC, 0)?;
    let no_file = bits(3, libc::MAP_ANONYMOUS, libc::MAP_ANONYMOUS)?;
    calls.insert(libc::SYS_mmap, vec![rule(&[no_code.clone(), no_file])?]);
    calls.insert(libc::SYS_mprotect, vec![rule(&[no_code])?]);
    // The process may abort itself, and may send no other signal.
    let own = std::process::id();
    let abort = rule(&[is(0, own.into())?, same(2, libc::SIGABRT)?])?;
    calls.insert(libc::SYS_tgkill, vec![abort]);
    Ok(calls)
}

fn rule(conditions: &[SeccompCondition]) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.to_vec())
}

/// Returns the condition that argument `at` is `value`. It ignores the upper half of the register,
/// which is no part of an `int`.
fn is(at: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(at, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn same(at: u8, value: i32) -> Result<SeccompCondition, BackendError> {
    is(at, value.unsigned_abs().into())
}

/// Returns the condition that the bits `of` argument `at` are `these`.
fn bits(at: u8, of: i32, these: i32) -> Result<SeccompCondition, BackendError> {
    let (mask, value) = (of.unsigned_abs().into(), these.unsigned_abs().into());
    SeccompCondition::new(at, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

#[cfg(test)]
mod tests;
