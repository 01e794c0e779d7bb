//! The system calls that each kind of thread may make. The build script makes filters of it, for making them takes longer
//! than starting a guest may.

use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
use libc::{SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP};
use seccompiler::sock_filter;
use syscalls::Sysno;

/// What a thread is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// To make machines and to run them, and what comes behind that: it opens files. The other roles may nothing that this
    /// may not, for threads start with what the one that starts them is held to.
    Start,
    /// To hear of signals, input, time and the end, and to write what the guest says.
    Io,
    /// To run a CPU.
    Cpu,
    /// To obey the control socket.
    Control,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Start, Self::Io, Self::Cpu, Self::Control];

    /// Returns the system calls that it may make.
    pub fn calls(self) -> Vec<Sysno> {
        let own: &[&[Sysno]] = match self {
            Self::Start => &[EVENTS, THREADS, SOCKETS, FILES, START],
            Self::Io => &[EVENTS, THREADS],
            Self::Cpu => &[],
            Self::Control => &[EVENTS, SOCKETS, FILES],
        };
        [COMMON].iter().chain(own).copied().flatten().copied().collect()
    }

    /// Returns the types of requests that may be made of devices (Linux, "Ioctl Numbers"); none means all.
    fn requests(self) -> &'static [u32] {
        if self == Self::Start { &[] } else { &[KVM, TERMINAL] }
    }
}

const TYPE: u32 = 0xff00;
const KVM: u32 = 0xae00;
const TERMINAL: u32 = 0x5400;

/// What every thread does: compute, wait, read, write, and end, as the standard library and allocators do it; and put the
/// terminal back, where it goes wrong.
const COMMON: &[Sysno] = &[
    Sysno::brk,
    Sysno::clock_gettime,
    Sysno::clock_nanosleep,
    Sysno::close,
    Sysno::exit,
    Sysno::exit_group,
    Sysno::fcntl,
    Sysno::futex,
    Sysno::getpgid,
    Sysno::getpgrp,
    Sysno::getpid,
    Sysno::getrandom,
    Sysno::gettid,
    Sysno::gettimeofday,
    Sysno::madvise,
    Sysno::mmap,
    Sysno::mprotect,
    Sysno::mremap,
    Sysno::munmap,
    Sysno::nanosleep,
    Sysno::poll,
    Sysno::ppoll,
    Sysno::prctl,
    Sysno::read,
    Sysno::restart_syscall,
    Sysno::rt_sigaction,
    Sysno::rt_sigprocmask,
    Sysno::rt_sigreturn,
    Sysno::sched_yield,
    Sysno::sigaltstack,
    Sysno::tgkill,
    Sysno::tkill,
    Sysno::write,
    Sysno::writev,
];

const EVENTS: &[Sysno] = &[
    Sysno::epoll_ctl,
    Sysno::epoll_pwait,
    Sysno::epoll_wait,
    Sysno::timerfd_gettime,
    Sysno::timerfd_settime,
];

/// To start threads, which are held to less.
const THREADS: &[Sysno] = &[
    Sysno::clone,
    Sysno::clone3,
    Sysno::rseq,
    Sysno::sched_getaffinity,
    Sysno::sched_setaffinity,
    Sysno::seccomp,
    Sysno::set_robust_list,
];

/// Of the family that does not leave this machine.
const SOCKETS: &[Sysno] = &[
    Sysno::accept4,
    Sysno::bind,
    Sysno::connect,
    Sysno::getsockopt,
    Sysno::listen,
    Sysno::recvfrom,
    Sysno::recvmsg,
    Sysno::sendmsg,
    Sysno::sendto,
    Sysno::shutdown,
    Sysno::socket,
];

const FILES: &[Sysno] = &[
    Sysno::access,
    Sysno::chmod,
    Sysno::copy_file_range,
    Sysno::dup,
    Sysno::faccessat,
    Sysno::fallocate,
    Sysno::fchmod,
    Sysno::fchmodat,
    Sysno::fdatasync,
    Sysno::flock,
    Sysno::fstat,
    Sysno::fsync,
    Sysno::ftruncate,
    Sysno::getcwd,
    Sysno::getdents64,
    Sysno::lseek,
    Sysno::lstat,
    Sysno::newfstatat,
    Sysno::open,
    Sysno::openat,
    Sysno::pread64,
    Sysno::pwrite64,
    Sysno::readlink,
    Sysno::readlinkat,
    Sysno::readv,
    Sysno::rename,
    Sysno::renameat,
    Sysno::renameat2,
    Sysno::stat,
    Sysno::statx,
    Sysno::umask,
    Sysno::unlink,
    Sysno::unlinkat,
];

const START: &[Sysno] = &[
    Sysno::epoll_create1,
    Sysno::eventfd2,
    Sysno::getrlimit,
    Sysno::mkdir,
    Sysno::mkdirat,
    Sysno::pipe2,
    Sysno::prlimit64,
    Sysno::rmdir,
    Sysno::signalfd4,
    Sysno::sysinfo,
    Sysno::timerfd_create,
    Sysno::uname,
];

/// Where the kernel puts what a filter looks at (seccomp(2), `struct seccomp_data`).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: [u32; 2] = [16, 24];
/// The machine's own system calls, and not those of 32 bits, which have other numbers (Linux, "audit.h", AUDIT_ARCH_X86_64).
const X86_64: u32 = 62 | 1 << 31 | 1 << 30;

/// Makes the filter of a role.
///
/// It searches by halves. A list, which is what libraries make of it, has the kernel go through hundreds of steps for each
/// system call that there is, when it takes the filter: twice what the rest of a start takes.
pub fn program(role: Role) -> Vec<sock_filter> {
    let calls = role.calls();
    let mut numbers: Vec<u32> = calls.iter().map(|call| call.id() as u32).collect();
    numbers.push(Sysno::ioctl.id() as u32);
    numbers.sort_unstable();
    numbers.dedup();
    let ranges: Vec<(u32, u32)> =
        numbers.chunk_by(|one, next| one + 1 == *next).map(|run| (run[0], run[run.len() - 1])).collect();
    // Of some calls an argument decides; those of devices and sockets are 32 bits.
    let ioctl = one_of(Sysno::ioctl, ARGUMENTS[1], TYPE, role.requests());
    let families: &[u32] = if calls.contains(&Sysno::socket) { &[libc::AF_UNIX as u32] } else { &[] };
    let socket = one_of(Sysno::socket, ARGUMENTS[0], u32::MAX, families);
    let ours = [load(ARCHITECTURE), jump(BPF_JEQ, X86_64, 1, 0), end(SECCOMP_RET_TRAP), load(NUMBER)];
    [ours.to_vec(), ioctl, socket, search(&ranges)].concat()
}

/// Allows a call, which the search would allow, only where the masked argument is one of these, if there are any.
fn one_of(call: Sysno, argument: u32, mask: u32, values: &[u32]) -> Vec<sock_filter> {
    if values.is_empty() {
        return Vec::new();
    }
    let mut steps = vec![load(argument), step(BPF_ALU | BPF_AND | BPF_K, 0, 0, mask)];
    for value in values {
        steps.extend([jump(BPF_JEQ, *value, 0, 1), end(SECCOMP_RET_ALLOW)]);
    }
    steps.push(end(SECCOMP_RET_TRAP));
    steps.insert(0, jump(BPF_JEQ, call.id() as u32, 0, steps.len()));
    steps
}

/// Allows what lies in one of the ranges, which ascend.
fn search(ranges: &[(u32, u32)]) -> Vec<sock_filter> {
    match *ranges {
        [] => vec![end(SECCOMP_RET_TRAP)],
        [(first, last)] => vec![
            jump(BPF_JGE, first, 0, 2),
            jump(BPF_JGT, last, 1, 0),
            end(SECCOMP_RET_ALLOW),
            end(SECCOMP_RET_TRAP),
        ],
        _ => {
            let (lower, upper) = ranges.split_at(ranges.len() / 2);
            let lower = search(lower);
            let mut steps = vec![jump(BPF_JGE, upper[0].0, lower.len(), 0)];
            steps.extend(lower);
            steps.extend(search(upper));
            steps
        }
    }
}

fn load(offset: u32) -> sock_filter {
    step(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset)
}

fn end(action: u32) -> sock_filter {
    step(BPF_RET | BPF_K, 0, 0, action)
}

fn jump(condition: u32, value: u32, if_so: usize, if_not: usize) -> sock_filter {
    step(BPF_JMP | condition | BPF_K, if_so, if_not, value)
}

fn step(code: u32, jt: usize, jf: usize, k: u32) -> sock_filter {
    let near = |distance: usize| u8::try_from(distance).expect("filters are short");
    sock_filter { code: code as u16, jt: near(jt), jf: near(jf), k }
}
