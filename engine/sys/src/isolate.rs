//! What a process gives up before it touches what a stranger made: files, network, processes.
//!
//! Three layers, since each holds without the others. Landlock takes away every path, TCP, and
//! signals and abstract sockets of others. A seccomp filter allows the few system calls that a
//! computation needs, on memory of its own and on the three open streams; every other one ends in
//! `EPERM`. And the process keeps no capability.
//!
//! Decision: `EPERM` and not a kill. A library that asks for something harmless, such as the number
//! of memory nodes, then goes on without it, on a system that was never tried too; what is refused
//! is refused in both cases.
//!
//! Where this does not protect: what the process writes to its output is up to whoever reads it.

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

/// The newest rights of Landlock that are asked for; a kernel that knows fewer of them takes away
/// those that it knows.
const LANDLOCK: ABI = ABI::V6;

/// Isolates this process for good: from here on it opens no file, has no network, starts no process
/// or thread and reaches none. It may compute, read its standard input and write to its standard
/// output and error. To be called while it has one thread.
///
/// Gives what this system cannot do of it, each with the reason; nothing where all is in force. A
/// part that fails keeps no other from being tried.
#[must_use]
pub fn isolate() -> Vec<String> {
    let told = |what: &str, why: &dyn Display| format!("{what} ({why})");
    let mut lacks = Vec::new();
    let capabilities = give_up_capabilities();
    // The filter refuses the calls that Landlock is set by, so it comes last.
    lacks.extend(give_up_files().err().map(|why| told("landlock", &why)));
    if let Err(why) = give_up_calls() {
        lacks.push(told("seccomp", &why));
        // With the filter they are for nothing, and a service manager may have refused the call.
        lacks.extend(capabilities.err().map(|why| told("giving up capabilities", &why)));
    }
    lacks
}

fn give_up_capabilities() -> rustix::io::Result<()> {
    let (effective, permitted) = (CapabilitySet::empty(), CapabilitySet::empty());
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective, permitted, inheritable })
}

/// Takes away every right that Landlock knows: no rule grants one back.
fn give_up_files() -> Result<(), String> {
    let restrict = || -> Result<RulesetStatus, RulesetError> {
        let ruleset = Ruleset::default()
            .handle_access(AccessFs::from_all(LANDLOCK))?
            .handle_access(AccessNet::from_all(LANDLOCK))?
            .scope(Scope::from_all(LANDLOCK))?;
        Ok(ruleset.create()?.restrict_self()?.ruleset)
    };
    match restrict() {
        Ok(RulesetStatus::NotEnforced) => Err("the kernel does not have it".to_owned()),
        Ok(_) => Ok(()),
        Err(why) => Err(why.to_string()),
    }
}

fn give_up_calls() -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter_all_threads(&filter(TargetArch::try_from(std::env::consts::ARCH)?)?)
}

/// The filter for a processor. Calls that came by another processor's numbers end the process.
fn filter(arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(allowed()?, refused, SeccompAction::Allow, arch)?.try_into()
}

/// The calls that a computation needs, and with which arguments.
fn allowed() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let whatever = [
        // Memory, without a file behind it: that is asked below.
        libc::SYS_brk,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_munmap,
        // Locks, waiting, time and randomness.
        libc::SYS_clock_gettime,
        libc::SYS_futex,
        libc::SYS_getrandom,
        libc::SYS_nanosleep,
        libc::SYS_clock_nanosleep,
        libc::SYS_restart_syscall,
        libc::SYS_sched_yield,
        // Who it is, and how it ends.
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
    // How it ends itself where it gives up, and nobody else.
    let own = std::process::id();
    let abort = rule(&[is(0, own.into())?, same(2, libc::SIGABRT)?])?;
    calls.insert(libc::SYS_tgkill, vec![abort]);
    Ok(calls)
}

fn rule(conditions: &[SeccompCondition]) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.to_vec())
}

/// Argument `at` is `value`. The upper half of a register is no part of an `int`.
fn is(at: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(at, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn same(at: u8, value: i32) -> Result<SeccompCondition, BackendError> {
    is(at, value.unsigned_abs().into())
}

/// The bits `of` argument `at` are `these`.
fn bits(at: u8, of: i32, these: i32) -> Result<SeccompCondition, BackendError> {
    let (mask, value) = (of.unsigned_abs().into(), these.unsigned_abs().into());
    SeccompCondition::new(at, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

#[cfg(test)]
mod tests;
