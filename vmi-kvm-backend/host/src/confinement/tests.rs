//! Each role in a process of its own, which is this program once more: there is no way back out of a filter.

use std::net::TcpListener;
use std::process::{Command, Output};

use syscalls::Sysno;

use super::filters::program;
use super::*;
use seccompiler::sock_filter;

/// Says to [`confined`] what to do.
const ROLE: &str = "VMI_TEST_ROLE";

/// More than the C library has arenas for, without looking how many CPUs there are.
const THREADS: usize = 64;

/// Runs [`confined`] in a process of its own.
fn child(role: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "confinement::tests::confined",
        "--ignored",
        "--nocapture",
        "--test-threads",
        "1",
    ]);
    command.env(ROLE, role).output().unwrap()
}

#[test]
#[ignore = "for the other tests"]
fn confined() {
    let Ok(name) = std::env::var(ROLE) else { return };
    enter().unwrap();
    let role = Role::ALL.into_iter().find(|role| format!("{role:?}") == name);
    if let Some(role) = role {
        narrow(role).unwrap();
    }
    // What every thread does is done as ever, however many there are, each with memory of its own.
    if name == "Io" {
        let all = std::sync::Arc::new(std::sync::Barrier::new(THREADS));
        let start = |_| {
            let all = std::sync::Arc::clone(&all);
            std::thread::spawn(move || {
                drop(vec![1_u8; 4096]);
                all.wait();
            })
        };
        (0..THREADS).map(start).collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    }
    let thread_name = std::thread::current().name().map(str::to_owned);
    assert_eq!(vec![1_u8; 1 << 20].iter().map(|byte| usize::from(*byte)).sum::<usize>(), 1 << 20);
    eprintln!("{thread_name:?} goes beyond");
    let reached = TcpListener::bind("127.0.0.1:0");
    eprintln!("it got there: {}", reached.is_ok());
}

#[test]
fn a_forbidden_system_call_ends_it_with_a_sentence() {
    for role in Role::ALL {
        let output = child(&format!("{role:?}"));
        let text = String::from_utf8(output.stderr).unwrap();
        let sentence = "may not make the system call 41 (socket); --no-seccomp lets it\n";
        assert_eq!(output.status.code(), Some(125), "{role:?}: {text}");
        assert!(text.contains("goes beyond\nvmi-run: the thread `"), "{role:?}: {text}");
        assert!(text.ends_with(sentence), "{role:?}: {text}");
    }
}

#[test]
fn a_process_that_is_not_confined_is_not_narrowed() {
    assert!(!is_entered());
    narrow(Role::Io).unwrap();
    assert!(TcpListener::bind("127.0.0.1:0").is_ok());
}

#[test]
fn who_starts_may_what_others_may() {
    let start = Role::Start.calls();
    for role in Role::ALL {
        let more: Vec<_> = role.calls().into_iter().filter(|call| !start.contains(call)).collect();
        assert!(more.is_empty(), "{role:?}: {more:?}");
    }
}

#[test]
fn nobody_may_run_programs_or_look_into_others_or_reach_beyond_this_machine() {
    let never = [
        Sysno::execve,
        Sysno::execveat,
        Sysno::fork,
        Sysno::vfork,
        Sysno::ptrace,
        Sysno::process_vm_readv,
        Sysno::process_vm_writev,
        Sysno::pidfd_getfd,
        Sysno::kill,
        Sysno::mount,
        Sysno::unshare,
        Sysno::setns,
        Sysno::setuid,
        Sysno::capset,
        Sysno::bpf,
        Sysno::keyctl,
        Sysno::io_uring_setup,
        Sysno::init_module,
        Sysno::userfaultfd,
    ];
    for role in Role::ALL {
        let calls = role.calls();
        assert!(never.iter().all(|call| !calls.contains(call)), "{role:?}");
    }
}

#[test]
fn only_those_who_must_may_open_files() {
    for role in [Role::Io, Role::Cpu] {
        let calls = role.calls();
        assert!([Sysno::open, Sysno::openat, Sysno::socket].iter().all(|call| !calls.contains(call)));
    }
}

/// Runs a filter as the kernel does, on a call of the architecture with its first two arguments.
fn verdict(program: &[sock_filter], architecture: u32, call: u32, arguments: [u32; 2]) -> u32 {
    let (mut at, mut value) = (0, 0);
    loop {
        let step = &program[at];
        at += 1;
        let jump = |so: bool| usize::from(if so { step.jt } else { step.jf });
        match u32::from(step.code) {
            0x20 => {
                value = match step.k {
                    0 => call,
                    4 => architecture,
                    16 => arguments[0],
                    24 => arguments[1],
                    other => panic!("{other}"),
                }
            }
            0x54 => value &= step.k,
            0x15 => at += jump(value == step.k),
            0x25 => at += jump(value > step.k),
            0x35 => at += jump(value >= step.k),
            0x06 => return step.k,
            other => panic!("{other:#x}"),
        }
    }
}

#[test]
fn a_filter_allows_what_its_role_may_and_nothing_else() {
    const ALLOW: u32 = 0x7fff_0000;
    const X86_64: u32 = 0xc000_003e;
    const I386: u32 = 0x4000_0003;
    for role in Role::ALL {
        let (program, calls) = (program(role), role.calls());
        for call in (0..600).chain([u32::MAX, 0x4000_0000]) {
            let is_listed = calls.iter().any(|known| known.id() as u32 == call);
            // As for KVM, and as for a socket of the family that stays on this machine.
            let is_allowed = verdict(&program, X86_64, call, [1, 0xae80]) == ALLOW;
            assert_eq!(is_allowed, is_listed || call == Sysno::ioctl.id() as u32, "{role:?}: {call}");
            assert_ne!(verdict(&program, I386, call, [1, 0xae80]), ALLOW, "{role:?}: {call}");
        }
        let asked = |call: Sysno, arguments| verdict(&program, X86_64, call.id() as u32, arguments) == ALLOW;
        assert!(!asked(Sysno::socket, [2, 0]), "{role:?}: a socket of the internet");
        assert!(asked(Sysno::ioctl, [0, 0x5402]), "{role:?}: a terminal's request");
        assert_eq!(
            asked(Sysno::ioctl, [0, 0x4c00]),
            role == Role::Start,
            "{role:?}: a loop device's request"
        );
    }
}
