//! Signals on a terminal, in the foreground, in the background, stopped, and under `timeout`.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use crate::guest;
use crate::output::{ends, kill};
use crate::program::{Terminal, program, soon, status};
use crate::tiny::Tiny;

guest!(spin, "2: jmp 2b");
guest!(flood, "mov edx, 0x3f8; mov al, 0x78", "2: out dx, al; jmp 2b");

/// Signals that do nothing by default, or that Rust's programs ignore. Source: signal(7), "Standard signals".
const HARMLESS: [i32; 5] = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH, libc::SIGPIPE];
const UNHEARD: [i32; 2] = [libc::SIGKILL, libc::SIGSTOP];
const STOPS: [i32; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
/// Of those, the process dies: it has gone wrong.
const FAULTS: [i32; 7] =
    [libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV, libc::SIGSYS];
/// The C library's own, which it lets through for a moment while it starts a thread.
const RESERVED: [i32; 3] = [32, 33, 34];
/// Some of each kind, real-time ones with those that the C library keeps back.
const SOME: [i32; 10] = [1, 2, 3, 10, 14, 15, 24, 32, 34, 64];

/// All signals that end a process.
fn ending() -> impl Iterator<Item = i32> {
    (1..=64).filter(|signal| ![&HARMLESS[..], &UNHEARD, &STOPS].concat().contains(signal))
}

#[test]
#[ignore = "needs KVM"]
fn every_signal_that_ends_puts_the_terminal_back() {
    let image = Tiny::new(spin()).write();
    for signal in ending() {
        let terminal = Terminal::open();
        let mut child = terminal.start(image.path());
        if RESERVED.contains(&signal) {
            thread::sleep(Duration::from_millis(500));
        }
        kill(&child, signal);
        if FAULTS.contains(&signal) {
            assert_eq!(status(&mut child).signal(), Some(signal));
        } else {
            assert_eq!(ends(&mut child), Some(128 + signal));
        }
        assert!(terminal.is_as_before(), "{signal}");
    }
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

#[test]
#[ignore = "needs KVM"]
fn a_full_or_closed_output_holds_no_signal_up() {
    let image = Tiny::new(flood()).write();
    for is_closed in [false, true] {
        for signal in SOME {
            let (reader, writer) = std::io::pipe().unwrap();
            rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
            let reader = Some(reader).filter(|_| !is_closed);
            let terminal = Terminal::open();
            let words =
                [program().get_program().to_str().unwrap().to_owned(), image.path().display().to_string()];
            let mut command = terminal.session(&words.each_ref().map(String::as_str));
            let mut child = command.stdout(Stdio::from(writer)).spawn().unwrap();
            drop(command);
            soon("raw mode", || terminal.is_raw());
            thread::sleep(Duration::from_millis(100));
            kill(&child, signal);
            assert_eq!(ends(&mut child), Some(128 + signal), "closed: {is_closed}");
            assert!(terminal.is_as_before(), "{signal}");
            drop(reader);
        }
    }
}

/// A shell on a terminal, which gives jobs to the program.
struct Shell {
    terminal: Terminal,
    shell: Child,
}

impl Shell {
    /// Starts a script in which `$0` is the program and `$1` a guest that never ends. Every line of input lets it go on
    /// where it says `read line`.
    fn start(script: &str) -> (Self, tempfile::NamedTempFile) {
        let image = Tiny::new(spin()).write();
        let terminal = Terminal::open();
        let script = format!("set -m\n{script}");
        let program = program();
        let words =
            ["sh", "-c", &script, program.get_program().to_str().unwrap(), image.path().to_str().unwrap()];
        let shell = terminal.session(&words).spawn().unwrap();
        (Self { terminal, shell }, image)
    }

    /// Returns the number of the job's process.
    fn job(&self) -> i32 {
        let shell = self.shell.id();
        let mut job = None;
        soon("the job", || {
            let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
            job = children.split_whitespace().next().and_then(|child| child.parse().ok());
            let image = job.and_then(|job: i32| fs::read_link(format!("/proc/{job}/exe")).ok());
            image.is_some_and(|image| image == fs::canonicalize(program().get_program()).unwrap())
        });
        job.unwrap()
    }

    fn send(&self, job: i32, signal: i32) {
        // SAFETY: any numbers may be given.
        assert_eq!(unsafe { libc::kill(job, signal) }, 0);
    }

    fn go_on(&self) {
        rustix::io::write(&self.terminal.ours, b"\n").unwrap();
    }

    /// Waits for the end of the shell, whose status is the job's.
    fn ends(mut self) -> Option<i32> {
        let mut reader = fs::File::from(self.terminal.ours.try_clone().unwrap());
        let _drain = thread::spawn(move || while reader.read(&mut [0; 4096]).is_ok_and(|read| read != 0) {});
        let code = ends(&mut self.shell);
        soon("the terminal as it was", || self.terminal.is_as_before());
        code
    }
}

fn is_stopped(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}

#[test]
#[ignore = "needs KVM"]
fn a_job_that_is_stopped_gives_the_terminal_back_and_takes_it_again() {
    for signal in STOPS {
        let (shell, _image) = Shell::start("\"$0\" \"$1\"\nread line\nfg >/dev/null\nexit $?");
        soon("raw mode", || shell.terminal.is_raw());
        let job = shell.job();
        shell.send(job, signal);
        soon("stopping", || is_stopped(job));
        soon("the terminal", || shell.terminal.is_as_before());
        shell.go_on();
        soon("raw mode again", || shell.terminal.is_raw());
        assert!(!is_stopped(job));
        rustix::io::write(&shell.terminal.ours, b"\x03").unwrap();
        assert_eq!(shell.ends(), Some(130));
    }
}

#[test]
#[ignore = "needs KVM"]
fn a_stopped_job_is_ended_by_what_came_meanwhile_once_it_is_continued() {
    for signal in SOME {
        let (shell, _image) = Shell::start("\"$0\" \"$1\"\nread line\nfg >/dev/null\nexit $?");
        soon("raw mode", || shell.terminal.is_raw());
        let job = shell.job();
        shell.send(job, libc::SIGTSTP);
        soon("stopping", || is_stopped(job));
        soon("the terminal", || shell.terminal.is_as_before());
        shell.send(job, signal);
        shell.go_on();
        assert_eq!(shell.ends(), Some(128 + signal));
    }
}

#[test]
#[ignore = "needs KVM"]
fn a_job_in_the_background_runs_and_is_ended_and_leaves_the_terminal_alone() {
    for signal in SOME {
        let (shell, _image) = Shell::start("\"$0\" \"$1\" &\nwait $!\nexit $?");
        let job = shell.job();
        thread::sleep(Duration::from_millis(300));
        assert!(!is_stopped(job) && shell.terminal.is_as_before());
        shell.send(job, signal);
        assert_eq!(shell.ends(), Some(128 + signal));
    }
}

#[test]
#[ignore = "needs KVM"]
fn a_job_that_comes_to_the_foreground_gets_the_terminal() {
    let (shell, _image) = Shell::start("\"$0\" \"$1\" &\nread line\nfg >/dev/null\nexit $?");
    let job = shell.job();
    thread::sleep(Duration::from_millis(300));
    assert!(!is_stopped(job) && shell.terminal.is_as_before());
    shell.go_on();
    soon("raw mode", || shell.terminal.is_raw());
    rustix::io::write(&shell.terminal.ours, b"\x03").unwrap();
    assert_eq!(shell.ends(), Some(130));
}

#[test]
#[ignore = "needs KVM"]
fn a_time_limit_of_another_program_ends_it() {
    // No `timeout` knows the signals that the C library keeps back.
    for signal in SOME.into_iter().filter(|signal| *signal != 32) {
        let terminal = Terminal::open();
        let image = Tiny::new(spin()).write();
        let program = program();
        let (program, image) = (program.get_program().to_str().unwrap(), image.path().to_str().unwrap());
        let words = ["timeout", "-s", &signal.to_string(), "1", program, image];
        let mut child = terminal.session(&words).spawn().unwrap();
        thread::sleep(Duration::from_millis(500));
        assert!(child.try_wait().unwrap().is_none());
        // Of GNU or of busybox.
        let code = status(&mut child).code();
        assert!([Some(124), Some(128 + signal)].contains(&code), "{signal}: {code:?}");
        assert!(terminal.is_as_before(), "{signal}");
    }
}
