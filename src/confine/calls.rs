//! Which system calls the process can still make, by seccomp (seccomp(2)).

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Leaves the calls below; says how far that went.
pub(super) fn restrict() -> Result<String, String> {
    let program = program()?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| error.to_string())?;
    Ok(format!("seccomp ({} of them)", CALLS.len() + 1))
}

/// Any other call is answered as a kernel does that does not know it. So what is denied fails, and is not the end of the
/// process; and a C library newer than this list falls back on older calls.
fn program() -> Result<BpfProgram, String> {
    let arch = std::env::consts::ARCH.try_into().map_err(|_| "not known for this kind of processor".to_owned())?;
    let text = |error: seccompiler::BackendError| error.to_string();
    let family = |family: i32| {
        let is = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(family.unsigned_abs()));
        SeccompRule::new(vec![is?])
    };
    let sockets: Result<Vec<_>, _> = FAMILIES.into_iter().map(family).collect();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_socket, sockets.map_err(text)?);
    let denied = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let filter = SeccompFilter::new(rules, denied, SeccompAction::Allow, arch).map_err(text)?;
    filter.try_into().map_err(text)
}

/// To re-open an interface (packet, netlink, and inet for its settings), to tell systemd, and for what is sent elsewhere
/// when asked for.
const FAMILIES: [i32; 5] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET];

/// Without: running programs, tracing others, mounting, namespaces, loading into the kernel, keys, clocks, io_uring, and
/// whatever else a sensor has no use for.
const CALLS: &[c_long] = &[
    // Files that are open, and opening others.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_openat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_ioctl,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_umask,
    // Sockets; `socket` itself is bounded to families.
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    // Memory, threads, time, signals.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_prlimit64,
    libc::SYS_prctl,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_capget,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_restart_syscall,
    // What the C library still uses where these came first.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_select,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_pipe,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::net::UdpSocket;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_confined_thread_works_and_can_run_no_program() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::thread::spawn(move || {
            // For this thread and those it starts; the other tests go on as they were.
            seccompiler::apply_filter(&program().unwrap()).unwrap();
            fs::write(&file, "x").unwrap();
            fs::remove_file(&file).unwrap();
            UdpSocket::bind("127.0.0.1:0").unwrap();
            assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
            let ran = Command::new("/bin/true").status();
            assert_eq!(ran.unwrap_err().raw_os_error(), Some(libc::ENOSYS));
            let linked = std::os::unix::fs::symlink("/etc/shadow", file.with_extension("link"));
            assert_eq!(linked.unwrap_err().kind(), ErrorKind::Unsupported);
        })
        .join()
        .unwrap();
    }

    /// A kernel without Landlock and seccomp answers as this filter does.
    #[test]
    fn a_kernel_that_offers_less_is_told_and_no_failure() {
        std::thread::spawn(|| {
            seccompiler::apply_filter(&program().unwrap()).unwrap();
            let report = crate::confine::close_in(&crate::confine::Grants::system());
            assert_eq!(report.applied, [""; 0]);
            let [files, calls] = &report.missing[..] else { panic!("{report:?}") };
            assert_eq!(files, "files: this kernel has no Landlock, or it is switched off");
            assert!(calls.starts_with("system calls: "), "{calls}");
            fs::read("/proc/self/status").unwrap();
        })
        .join()
        .unwrap();
    }

    #[test]
    fn no_call_stands_twice() {
        let mut calls = CALLS.to_vec();
        calls.sort_unstable();
        calls.dedup();
        assert_eq!(calls.len(), CALLS.len());
    }
}
