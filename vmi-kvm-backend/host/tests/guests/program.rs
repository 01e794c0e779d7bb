//! The program as people meet it: the terminal, Ctrl-C, the exit status.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, tcgetattr};

use crate::guest;
use crate::output::{ends, kill};
use crate::tiny::Tiny;

/// The program: where `VMI_RUN` says, or where it was built.
pub fn program() -> Command {
    Command::new(std::env::var("VMI_RUN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_vmi-run").to_owned()))
}

/// Waits for what must come soon.
pub fn soon(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        thread::sleep(Duration::from_millis(5));
    }
}

pub fn status(child: &mut Child) -> std::process::ExitStatus {
    let mut status = None;
    soon("the end", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

pub struct Terminal {
    pub ours: OwnedFd,
    pub theirs: File,
    before: Termios,
}

impl Terminal {
    pub fn open() -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let before = tcgetattr(&theirs).unwrap();
        assert!(before.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO));
        Self { ours, theirs, before }
    }

    /// Starts the program on the terminal as the leader of a session, so that keys send it signals.
    pub fn start(&self, image: &std::path::Path) -> Child {
        let child =
            self.session(&[program().get_program().to_str().unwrap(), image.to_str().unwrap()]).spawn();
        soon("raw mode", || self.is_raw());
        child.unwrap()
    }

    /// Returns a command as the leader of a session whose terminal this is, and whose input and output too.
    pub fn session(&self, words: &[&str]) -> Command {
        // `setsid -c` makes the terminal that is its input the session's own.
        let mut command = Command::new("setsid");
        command.arg("-c").args(words);
        let end = || Stdio::from(self.theirs.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end());
        command
    }

    pub fn is_raw(&self) -> bool {
        !self.modes().contains(LocalModes::ICANON)
    }

    fn modes(&self) -> LocalModes {
        tcgetattr(&self.theirs).unwrap().local_modes
    }

    pub fn is_as_before(&self) -> bool {
        let now = tcgetattr(&self.theirs).unwrap();
        (now.local_modes, now.input_modes, now.output_modes)
            == (self.before.local_modes, self.before.input_modes, self.before.output_modes)
            && format!("{:?}", now.special_codes) == format!("{:?}", self.before.special_codes)
    }
}

guest!(spin, "2: jmp 2b");
guest!(flood, "mov edx, 0x3f8; mov al, 0x78", "2: out dx, al; jmp 2b");
guest!(code_42, "mov al, 42; out 0xf4, al");

#[test]
#[ignore = "needs KVM"]
fn ctrl_c_ends_it_and_the_terminal_is_put_back() {
    for code in [spin(), flood()] {
        let terminal = Terminal::open();
        let image = Tiny::new(code).write();
        let mut child = terminal.start(image.path());
        rustix::io::write(&terminal.ours, b"\x03").unwrap();
        let mut reader = File::from(terminal.ours.try_clone().unwrap());
        let drain = thread::spawn(move || while reader.read(&mut [0; 4096]).is_ok_and(|read| read != 0) {});
        assert_eq!(status(&mut child).code(), Some(130));
        assert!(terminal.is_as_before());
        drop((terminal, drain));
    }
}

#[test]
#[ignore = "needs KVM"]
fn a_user_without_permission_is_told() {
    const NOBODY: u32 = 65534;
    let image = Tiny::new(code_42()).write();
    fs::set_permissions(image.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let output = program().arg(image.path()).uid(NOBODY).gid(NOBODY).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("vmi-run: no permission to open /dev/kvm: "), "{text}");
    assert_eq!((output.status.code(), text.lines().count()), (Some(125), 1));
}

#[test]
#[ignore = "needs KVM"]
fn the_exit_status_is_the_guests_and_statistics_are_one_json_document() {
    let image = Tiny::new(code_42()).write();
    let output = program().args(["--stats=json"]).arg(image.path()).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(42));
    assert!(output.stdout.is_empty());
    let document: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((document["ending"].as_str(), document["status"].as_u64()), (Some("exit"), Some(42)));
    let table =
        program().args(["--stats", "--verbose"]).arg(image.path()).stdin(Stdio::null()).output().unwrap();
    let table = String::from_utf8(table.stderr).unwrap();
    assert!(table.contains("guest+0x") && table.ends_with("the guest ended with status 42\n"), "{table}");
    std::io::stdout().flush().unwrap();
}

guest!(reset, "mov edx, 0x3f8; mov al, 0x72; out dx, al; mov al, 0xfe; out 0x64, al", "2: jmp 2b");

#[test]
#[ignore = "needs KVM"]
fn a_reset_ends_the_run_or_starts_the_guest_again() {
    let image = Tiny::new(reset()).write();
    let run = |options: &[&str]| {
        let output = program().args(options).arg(image.path()).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), output.stdout.len())
    };
    assert_eq!(run(&[]), (Some(0), 1));
    let (status, starts) = run(&["--restart", "--limit", "3"]);
    assert_eq!(status, Some(124), "the limit is that of all starts");
    assert!(starts > 2, "{starts} starts");
    // Whenever the end is wished for, it comes: also while one guest has ended and the next is yet to start.
    for pause in 0..8 {
        let mut command = program();
        command.arg("--restart").arg(image.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        thread::sleep(Duration::from_millis(600 + 17 * pause));
        kill(&child, libc::SIGTERM);
        assert_eq!(ends(&mut child), Some(143), "{pause}");
    }
    // A pipe gives the image only once.
    let script = "cat \"$0\" | \"$1\" --restart --limit 3 /proc/self/fd/0";
    let words =
        [image.path().to_str().unwrap(), program().get_program().to_str().unwrap()].map(str::to_owned);
    let output = Command::new("sh").args(["-c", script]).args(words).output().unwrap();
    assert_eq!(output.status.code(), Some(124), "{output:?}");
    assert!(output.stdout.len() > 2, "{output:?}");
}

guest!(spins, "2: jmp 2b");

#[test]
#[ignore = "needs KVM"]
fn every_thread_is_confined() {
    let image = Tiny::new(spins()).write();
    for (option, filters) in [(None, ["1", "2"]), (Some("--no-seccomp"), ["0", "0"])] {
        let mut command = program();
        command.args(option).arg(image.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let tasks = format!("/proc/{}/task", child.id());
        let field = |status: &str, name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').trim().to_owned()
        };
        // By thread: its name, how many filters it has, and whether it may gain privileges.
        let seen = || {
            let threads = std::fs::read_dir(&tasks).unwrap();
            let status = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("status")));
            let mut seen: Vec<_> = status
                .filter_map(Result::ok)
                .map(|status| ["Name", "Seccomp_filters", "NoNewPrivs"].map(|name| field(&status, name)))
                .collect();
            seen.sort();
            seen
        };
        let confined = if option.is_some() { "0" } else { "1" };
        let thread = |name: &str, filters: &str| [name, filters, confined].map(str::to_owned);
        let [others, cpu] = filters;
        let mut expected = ["console", "doorbell", "vmi-run"].map(|name| thread(name, others)).to_vec();
        expected.insert(1, thread("cpu-0", cpu));
        soon("the threads", || seen() == expected);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
