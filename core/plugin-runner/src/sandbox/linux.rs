use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    path_beneath_rules,
};
use nix::{libc, sys::prctl, unistd};
use rlimit::Resource;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

use super::{KernelFeatures, Limits, SandboxReport};

/// The dynamic linker and the C library read these.
const SYSTEM_FILES: [&str; 8] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/etc/ld.so.cache",
    "/usr/share/zoneinfo",
    "/dev/urandom",
    "/dev/null",
];

/// Version 3 closes the last hole for files (truncation); what came later concerns what seccomp denies here.
const LANDLOCK: ABI = ABI::V3;

/// Refused whatever their arguments: network, other programs, other processes, the machine itself, and ways
/// around the other two walls (io_uring, file handles).
const REFUSED: &[libc::c_long] = &[
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_personality,
    libc::SYS_fanotify_init,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
];

pub(super) fn enter(package: &Path, data: Option<&Path>, limits: Limits) -> SandboxReport {
    let mut missing = Vec::new();
    if let Err(problem) = set_limits(limits) {
        missing.push(format!("resource limits: {problem}"));
    }
    if let Err(problem) = prctl::set_no_new_privs() {
        missing.push(format!("no_new_privs: {problem}"));
    }
    match restrict_files(package, data) {
        Ok(RulesetStatus::FullyEnforced) => {}
        Ok(RulesetStatus::PartiallyEnforced) => {
            missing.push(
                "files: this kernel's Landlock is older than 6.2, truncation is not covered".to_owned(),
            );
        }
        Ok(RulesetStatus::NotEnforced) => {
            missing.push("files: this kernel has no Landlock; add landlock to its lsm= list".to_owned());
        }
        Err(problem) => missing.push(format!("files: {problem}")),
    }
    if let Err(problem) = refuse_system_calls() {
        missing.push(format!("system calls: {problem}"));
    }
    SandboxReport::new(4, missing)
}

pub(super) fn features() -> KernelFeatures {
    KernelFeatures {
        landlock: landlock_version(),
        seccomp: Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
    }
}

fn landlock_version() -> Option<u32> {
    const ASK_VERSION: libc::c_uint = 1;
    let (no_attributes, no_size) = (std::ptr::null::<libc::c_void>(), 0_usize);
    // SAFETY: with this flag the kernel reads no memory of ours and opens nothing: it answers with a number.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            no_attributes,
            no_size,
            ASK_VERSION,
        )
    };
    u32::try_from(answer).ok().filter(|it| *it > 0)
}

fn set_limits(limits: Limits) -> Result<(), std::io::Error> {
    let lower = |resource: Resource, wanted: u64| {
        let hard = resource.get_hard()?.min(wanted);
        resource.set(hard, hard)
    };
    lower(Resource::AS, limits.memory)?;
    lower(Resource::NOFILE, limits.open_files)?;
    lower(Resource::FSIZE, limits.file_size)?;
    lower(Resource::CORE, 0)
    // Not NPROC: it counts all processes of the user, the bot's threads included. seccomp refuses fork.
}

fn restrict_files(package: &Path, data: Option<&Path>) -> Result<RulesetStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM_FILES, read))?
        .add_rules(path_beneath_rules([package], read))?
        .add_rules(path_beneath_rules(data, own_files()))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// All but devices, sockets, links out and programs.
fn own_files() -> landlock::BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer
}

fn refuse_system_calls() -> Result<(), Box<dyn std::error::Error>> {
    let own = u64::from(unistd::getpid().as_raw().unsigned_abs());
    let one = |argument, comparison, value| {
        SeccompRule::new(vec![SeccompCondition::new(argument, Dword, comparison, value)?])
    };
    let not_self = || one(0, SeccompCmpOp::Ne, own);
    // Limits and affinity of others; 0 means the caller.
    let other = || {
        SeccompRule::new(vec![
            SeccompCondition::new(0, Dword, SeccompCmpOp::Ne, own)?,
            SeccompCondition::new(0, Dword, SeccompCmpOp::Ne, 0)?,
        ])
    };
    let thread = libc::CLONE_THREAD.unsigned_abs().into();

    let mut rules: Vec<_> = REFUSED.iter().map(|it| (*it, Vec::new())).collect();
    rules.extend([
        (libc::SYS_kill, vec![not_self()?]),
        (libc::SYS_tgkill, vec![not_self()?]),
        (libc::SYS_rt_tgsigqueueinfo, vec![not_self()?]),
        (libc::SYS_prlimit64, vec![other()?]),
        (libc::SYS_sched_setaffinity, vec![other()?]),
        // Threads yes, processes no.
        (libc::SYS_clone, vec![one(0, SeccompCmpOp::MaskedEq(thread), 0)?]),
    ]);
    #[cfg(target_arch = "x86_64")]
    rules.extend(
        [libc::SYS_fork, libc::SYS_vfork, libc::SYS_iopl, libc::SYS_ioperm].map(|it| (it, Vec::new())),
    );
    install(rules, libc::EPERM)?;

    // Its flags lie in memory, out of a filter's sight; without it the C library falls back to clone.
    install(vec![(libc::SYS_clone3, Vec::new())], libc::ENOSYS)
}

fn install(
    rules: Vec<(libc::c_long, Vec<SeccompRule>)>,
    errno: i32,
) -> Result<(), Box<dyn std::error::Error>> {
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    let rules = rules.into_iter().collect();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        refuse,
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    Ok(apply_filter_all_threads(&program)?)
}
