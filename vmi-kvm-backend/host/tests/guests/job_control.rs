//! A shell's jobs: stopped, continued, in the background and brought to the foreground.

use std::fs;
use std::io::Read;
use std::process::Child;
use std::thread;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::guest;
use crate::output::ends;
use crate::program::{Terminal, program, soon};
use crate::signals::STOPS;
use crate::tiny::Tiny;

guest!(spin, "2: jmp 2b");

/// A job that is stopped, and continued by a line of input.
pub const STOPPED: &str = "\"$0\" \"$1\"\nread line\nfg >/dev/null\nexit $?";

/// A shell on a terminal, which gives jobs to the program.
pub struct Shell {
    pub terminal: Terminal,
    shell: Child,
    _image: NamedTempFile,
}

impl Shell {
    /// Starts a script in which `$0` is the program and `$1` the guest. Every line of input lets it go on where it says
    /// `read line`.
    pub fn start(script: &str, guest: Tiny) -> Self {
        let image = guest.write();
        let terminal = Terminal::open();
        let script = format!("set -m\n{script}");
        let program = program();
        let words =
            ["sh", "-c", &script, program.get_program().to_str().unwrap(), image.path().to_str().unwrap()];
        let shell = terminal.session(&words).spawn().unwrap();
        Self { terminal, shell, _image: image }
    }

    /// Returns the number of the job's process.
    pub fn job(&self) -> i32 {
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

    pub fn send(&self, job: i32, signal: i32) {
        // SAFETY: any numbers may be given.
        assert_eq!(unsafe { libc::kill(job, signal) }, 0);
    }

    pub fn go_on(&self) {
        rustix::io::write(&self.terminal.ours, b"\n").unwrap();
    }

    /// Waits for the end of the shell, whose status is the job's.
    pub fn ends(mut self) -> Option<i32> {
        let mut reader = fs::File::from(self.terminal.ours.try_clone().unwrap());
        let _drain = thread::spawn(move || while reader.read(&mut [0; 4096]).is_ok_and(|read| read != 0) {});
        let code = ends(&mut self.shell);
        soon("the terminal as it was", || self.terminal.is_as_before());
        code
    }
}

pub fn is_stopped(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}

#[test]
#[ignore = "needs KVM"]
fn a_job_that_is_stopped_gives_the_terminal_back_and_takes_it_again() {
    for signal in STOPS {
        let shell = Shell::start(STOPPED, Tiny::new(spin()));
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
fn a_job_that_comes_to_the_foreground_gets_the_terminal() {
    let shell = Shell::start("\"$0\" \"$1\" &\nread line\nfg >/dev/null\nexit $?", Tiny::new(spin()));
    let job = shell.job();
    thread::sleep(Duration::from_millis(300));
    assert!(!is_stopped(job) && shell.terminal.is_as_before());
    shell.go_on();
    soon("raw mode", || shell.terminal.is_raw());
    rustix::io::write(&shell.terminal.ours, b"\x03").unwrap();
    assert_eq!(shell.ends(), Some(130));
}
