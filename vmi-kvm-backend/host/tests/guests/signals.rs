//! Every signal, wherever it finds the program.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::guest;
use crate::job_control::{STOPPED, Shell, is_stopped};
use crate::output::{ends, full_pipe, kill};
use crate::program::{Terminal, program, soon, status};
use crate::tiny::Tiny;

guest!(spin, "2: jmp 2b");
// One that is idle: where time is counted in instructions, it leaves it to others.
guest!(says_a_line, "mov edx, 0x3f8; mov al, 0x78; out dx, al; mov al, 10; out dx, al", "2: hlt; jmp 2b");

/// How long an end may take.
const END: Duration = Duration::from_secs(1);

/// Signals that do nothing by default, or that Rust's programs ignore. Source: signal(7), "Standard signals".
const HARMLESS: [i32; 5] = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH, libc::SIGPIPE];
const UNHEARD: [i32; 2] = [libc::SIGKILL, libc::SIGSTOP];
pub const STOPS: [i32; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
/// Of those that end a process, the signals of which it dies: it has gone wrong.
const FAULTS: [i32; 7] =
    [libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV, libc::SIGSYS];
/// The C library's own, which it lets through for a moment while it starts a thread, and which `timeout` does not know.
const RESERVED: [i32; 2] = [32, 33];

/// All signals that end a process.
fn ending() -> impl Iterator<Item = i32> {
    (1..=64).filter(|signal| ![&HARMLESS[..], &UNHEARD, &STOPS].concat().contains(signal))
}

#[test]
#[ignore = "needs KVM"]
fn signals_that_mean_nothing_do_nothing() {
    let image = Tiny::new(spin()).write();
    let terminal = Terminal::open();
    let mut child = terminal.start(image.path());
    HARMLESS.iter().for_each(|signal| kill(&child, *signal));
    // Nobody in the session could continue it.
    STOPS.iter().for_each(|signal| kill(&child, *signal));
    thread::sleep(Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none());
    soon("raw mode", || terminal.is_raw());
    kill(&child, libc::SIGTERM);
    assert_eq!(ends(&mut child), Some(143));
    assert!(terminal.is_as_before());
}

/// Where a signal finds the program.
#[derive(Clone, Copy, Debug)]
enum Situation {
    Foreground,
    Background,
    Stopped,
    UnderTimeout,
    OutputFull,
    OutputClosed,
}

impl Situation {
    const ALL: [Self; 6] = [
        Self::Foreground,
        Self::Background,
        Self::Stopped,
        Self::UnderTimeout,
        Self::OutputFull,
        Self::OutputClosed,
    ];

    /// Sends the signal there, and looks at the end; returns how long that took.
    fn meets(self, signal: i32) -> Duration {
        let cell = format!("{self:?}, signal {signal}");
        let guest = Tiny::new(says_a_line());
        let code = Some(128 + signal);
        match self {
            Self::Background => {
                let shell = Shell::start("\"$0\" \"$1\" &\nwait $!\nexit $?", guest);
                let job = shell.job();
                thread::sleep(Duration::from_millis(300));
                assert!(!is_stopped(job) && shell.terminal.is_as_before(), "{cell}");
                let begin = Instant::now();
                shell.send(job, signal);
                assert_eq!(shell.ends(), code, "{cell}");
                begin.elapsed()
            }
            Self::Stopped => {
                let shell = Shell::start(STOPPED, guest);
                soon("raw mode", || shell.terminal.is_raw());
                let job = shell.job();
                shell.send(job, libc::SIGTSTP);
                soon("stopping", || is_stopped(job));
                soon("the terminal", || shell.terminal.is_as_before());
                shell.send(job, signal);
                let begin = Instant::now();
                shell.go_on();
                assert_eq!(shell.ends(), code, "{cell}");
                begin.elapsed()
            }
            Self::UnderTimeout => {
                let image = guest.write();
                let terminal = Terminal::open();
                let program = program();
                let (program, image) =
                    (program.get_program().to_str().unwrap(), image.path().to_str().unwrap());
                let words = ["timeout", "-s", &signal.to_string(), "1", program, image];
                let begin = Instant::now();
                let mut child = terminal.session(&words).spawn().unwrap();
                // GNU's says that the time was up, and busybox's becomes the program.
                let status = status(&mut child);
                let told = status.code().or(status.signal().map(|signal| 128 + signal));
                assert!([Some(124), code].contains(&told), "{cell}: {status}");
                assert!(terminal.is_as_before(), "{cell}");
                let took = begin.elapsed();
                took.checked_sub(Duration::from_secs(1))
                    .unwrap_or_else(|| panic!("{cell}: it ended after {took:?}"))
            }
            Self::Foreground | Self::OutputFull | Self::OutputClosed => {
                let image = guest.write();
                let terminal = Terminal::open();
                let program = program();
                let words = [program.get_program().to_str().unwrap(), image.path().to_str().unwrap()];
                let mut command = terminal.session(&words);
                let pipe = (!matches!(self, Self::Foreground)).then(full_pipe);
                let _reader = pipe.map(|(reader, writer)| {
                    command.stdout(Stdio::from(writer));
                    matches!(self, Self::OutputFull).then_some(reader)
                });
                let mut child = command.spawn().unwrap();
                drop(command);
                soon("raw mode", || terminal.is_raw());
                thread::sleep(Duration::from_millis(300));
                let begin = Instant::now();
                kill(&child, signal);
                ended_by(&mut child, signal, &cell);
                assert!(terminal.is_as_before(), "{cell}");
                begin.elapsed()
            }
        }
    }
}

/// Waits for the end, which says what ended it.
fn ended_by(child: &mut Child, signal: i32, cell: &str) {
    let status = status(child);
    if FAULTS.contains(&signal) {
        assert_eq!(status.signal(), Some(signal), "{cell}");
    } else {
        assert_eq!(status.code(), Some(128 + signal), "{cell}");
    }
}

/// One that means that the process has gone wrong may come on any thread of it.
#[test]
#[ignore = "needs KVM"]
fn a_cpu_that_goes_wrong_puts_the_terminal_back() {
    let image = Tiny::new(spin()).write();
    for signal in FAULTS {
        let terminal = Terminal::open();
        let mut child = terminal.start(image.path());
        let cpu = thread_of(child.id(), "cpu-0");
        // SAFETY: any numbers may be given.
        assert_eq!(unsafe { libc::syscall(libc::SYS_tgkill, child.id(), cpu, signal) }, 0);
        ended_by(&mut child, signal, "a CPU's thread");
        assert!(terminal.is_as_before(), "{signal}");
    }
}

/// Returns the number of a process's thread of that name, once there is one.
pub fn thread_of(process: u32, name: &str) -> u32 {
    let mut found = None;
    soon("the thread", || {
        let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|thread| thread.unwrap());
        let is_it = |path: &Path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
        found = threads.into_iter().find(|thread| is_it(&thread.path())).map(|thread| thread.file_name());
        found.is_some()
    });
    found.unwrap().to_str().unwrap().parse().unwrap()
}

/// A table of them all; it runs where time is counted in instructions, so that a second is one on any machine.
#[test]
#[ignore = "needs KVM"]
fn every_one_ends_it_wherever_it_finds_it() {
    for situation in Situation::ALL {
        let signals = ending()
            .filter(|signal| !(matches!(situation, Situation::UnderTimeout) && RESERVED.contains(signal)));
        let took: Vec<_> = signals.map(|signal| (situation.meets(signal), signal)).collect();
        let (slowest, signal) = took.iter().max().unwrap();
        println!("{situation:?}: {} signals, the slowest, {signal}, took {slowest:?}", took.len());
        assert!(*slowest <= END, "{situation:?}, signal {signal}: it took {slowest:?} to end");
    }
}
