//! One QEMU process: started, listened to, and never left behind.

use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

use crate::process::Group;
use crate::{interrupt, qmp, workspace};

/// The program, where `VMI_QEMU` names no other.
const PROGRAM: &str = "qemu-system-x86_64";

/// What every QEMU is told: nothing that was not asked for, no window, and an end instead of a second start.
pub(crate) const BASICS: [&str; 5] = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"];

/// Makes an emulated CPU's clocks count instructions: one a nanosecond, and none while idle.
pub(crate) const ICOUNT: [&str; 2] = ["-icount", "shift=0,sleep=off"];

/// How often a waiting thread looks for Ctrl-C, for the end of QEMU, and for new bytes.
const POLL: Duration = Duration::from_millis(5);

/// Tells whether the user chose the program.
pub(crate) fn is_chosen() -> bool {
    env::var("VMI_QEMU").is_ok_and(|name| !name.is_empty())
}

/// Finds the program.
pub(crate) fn find() -> Result<PathBuf> {
    let chosen = env::var("VMI_QEMU").ok().filter(|name| !name.is_empty());
    let name = chosen.as_deref().unwrap_or(PROGRAM);
    workspace::find_program(name).with_context(|| format!("QEMU is missing: there is no program `{name}`"))
}

/// Something that happened to a running QEMU.
enum Event {
    /// Bytes from a channel.
    Bytes { channel: usize, bytes: Vec<u8> },
    /// A line of the control channel.
    Control(String),
    /// A piece of what QEMU itself complains about.
    Complaint(String),
}

/// What the next wait brought.
#[derive(Debug)]
pub(crate) enum Step {
    /// Bytes from a channel.
    Bytes { channel: usize, bytes: Vec<u8> },
    /// QEMU has ended (or its machine has, for good), and everything it said was handed out.
    Ended(Finish),
    /// The time is up; QEMU still runs.
    TimedOut,
}

/// How a QEMU process ended.
#[derive(Clone, Debug)]
pub(crate) struct Finish {
    /// Its exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    /// The status in words.
    pub(crate) status: String,
    /// What the control channel said.
    pub(crate) events: qmp::Events,
    /// What QEMU wrote to its standard error.
    pub(crate) stderr: String,
}

/// A running QEMU; killed when dropped.
pub(crate) struct Qemu {
    group: Group,
    receiver: Receiver<Event>,
    events: qmp::Events,
    stderr: String,
    /// Tells the threads that follow the channels that QEMU writes no more.
    gone: Arc<AtomicBool>,
    /// Stays open, or QEMU would take its closing for the end of the conversation.
    stdin: Option<ChildStdin>,
    /// Holds the files of the channels; removed when the run is over.
    directory: TempDir,
}

impl Qemu {
    /// Starts QEMU with the machine's arguments and as many channels as asked for.
    ///
    /// Channel `n` is the character device `channel-n`, for the arguments to use.
    pub(crate) fn start(arguments: &[String], channels: usize) -> Result<Self> {
        let program = find()?;
        let directory =
            tempfile::Builder::new().prefix("vmi-").tempdir().context("cannot make a directory")?;
        let gone = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = channel();
        let mut command = parent_bound(&program);
        command.args(BASICS).args(qmp::OPTIONS);
        for channel in 0..channels {
            // A file, not a socket: it takes in everything at once, and a byte that finds no room would be lost.
            let path = directory.path().join(format!("channel-{channel}"));
            let file = File::create_new(&path).and_then(|_| File::open(&path));
            let file = file.with_context(|| format!("cannot make `{}`", path.display()))?;
            let path = path.display().to_string().replace(',', ",,");
            command.arg("-chardev").arg(format!("file,id=channel-{channel},path={path}"));
            let (sender, gone) = (sender.clone(), Arc::clone(&gone));
            thread::spawn(move || follow(file, channel, &sender, &gone));
        }
        command.args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = Group::spawn(&mut command).inspect_err(|_| gone.store(true, Ordering::Relaxed))?;
        let child = group.child();
        let mut stdin = child.stdin.take();
        if let Some(stdin) = &mut stdin {
            // A QEMU that died at once does not take this in; its end says more than the broken pipe.
            let _ = stdin.write_all(qmp::START.as_bytes());
        }
        if let Some(stdout) = child.stdout.take() {
            thread::spawn({
                let sender = sender.clone();
                move || forward_lines(stdout, &sender, Event::Control)
            });
        }
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || forward_lines(stderr, &sender, Event::Complaint));
        }
        Ok(Self {
            group,
            receiver,
            events: qmp::Events::default(),
            stderr: String::new(),
            gone,
            stdin,
            directory,
        })
    }

    /// Waits for the next thing to happen, until the deadline.
    ///
    /// # Errors
    ///
    /// Returns the interruption on Ctrl-C; dropping `self` then kills QEMU.
    pub(crate) fn next(&mut self, deadline: Instant) -> Result<Step> {
        loop {
            interrupt::check()?;
            match self.receiver.recv_timeout(POLL) {
                Ok(Event::Bytes { channel, bytes }) => return Ok(Step::Bytes { channel, bytes }),
                Ok(Event::Control(line)) => {
                    self.events.take(&line);
                    if self.events.stopped.is_some() {
                        self.kill();
                    }
                }
                Ok(Event::Complaint(line)) => {
                    self.stderr.push_str(&line);
                    self.stderr.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
                Err(RecvTimeoutError::Timeout) => {
                    if self.group.ended()?.is_some() {
                        self.gone.store(true, Ordering::Relaxed);
                    }
                }
            }
            if Instant::now() >= deadline {
                return Ok(Step::TimedOut);
            }
        }
    }

    /// Saves the running machine's state to a file and ends QEMU.
    ///
    /// # Errors
    ///
    /// Fails where QEMU does, when it takes longer than a minute, and on Ctrl-C.
    pub(crate) fn save(mut self, state: &Path) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let socket = self.directory.path().join("state");
        let listener =
            UnixListener::bind(&socket).context("cannot listen for the state of QEMU's machine")?;
        let mut file = File::create(state).with_context(|| format!("cannot make `{}`", state.display()))?;
        // That QEMU has sent everything says nothing of what has arrived: the end of the stream does.
        let written = thread::spawn(move || io::copy(&mut listener.accept()?.0, &mut file));
        let stdin = self.stdin.as_mut().context("QEMU takes no commands")?;
        stdin.write_all(qmp::save(&socket).as_bytes()).context("QEMU takes no commands")?;
        loop {
            interrupt::check()?;
            match self.receiver.recv_timeout(POLL) {
                Ok(Event::Control(line)) => self.events.take(&line),
                Ok(Event::Complaint(line)) => self.stderr.push_str(&line),
                Ok(Event::Bytes { .. }) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("QEMU ended early: {}", self.stderr),
            }
            match self.events.saved {
                Some(true) if written.is_finished() => break,
                None | Some(true) if Instant::now() < deadline => {}
                _ => bail!("QEMU cannot save its machine: {}", self.stderr),
            }
        }
        let written = written.join().map_err(|_| anyhow!("the thread that writes panicked"))?;
        written.with_context(|| format!("cannot write `{}`", state.display()))?;
        Ok(())
    }

    /// Kills QEMU.
    pub(crate) fn kill(&mut self) {
        self.group.kill();
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Collects how QEMU ended; all its pipes are closed by now, so it is about to.
    fn finish(&mut self) -> Result<Step> {
        let limit = Instant::now() + Duration::from_secs(5);
        let status = loop {
            if let Some(status) = self.group.ended()? {
                break status;
            }
            if Instant::now() > limit {
                bail!("QEMU closed its channels but does not end");
            }
            thread::sleep(Duration::from_millis(1));
        };
        Ok(Step::Ended(Finish {
            code: status.code(),
            status: in_words(status),
            events: self.events.clone(),
            stderr: self.stderr.trim().to_owned(),
        }))
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

/// Makes a command that dies with us, even if we are killed and cannot clean up.
fn parent_bound(program: &Path) -> Command {
    if let Some(setpriv) = workspace::find_program("setpriv") {
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        return command;
    }
    Command::new(program)
}

/// Writes an exit status in words.
fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}

/// Passes on what QEMU appends to a channel's file, until QEMU is gone and the file is read to its end.
fn follow(mut file: File, channel: usize, sender: &Sender<Event>, gone: &AtomicBool) {
    let mut buffer = [0; 4096];
    loop {
        // Asked before reading: what was written before QEMU went is then certainly read.
        let is_last = gone.load(Ordering::Relaxed);
        match file.read(&mut buffer) {
            Ok(0) if !is_last => thread::sleep(POLL),
            Ok(0) | Err(_) => return,
            Ok(count) => {
                let bytes = buffer[..count].to_vec();
                if sender.send(Event::Bytes { channel, bytes }).is_err() {
                    return;
                }
            }
        }
    }
}

/// Passes on a pipe line by line.
fn forward_lines(pipe: impl Read, sender: &Sender<Event>, event: impl Fn(String) -> Event) {
    for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        if sender.send(event(String::from_utf8_lossy(&line).into_owned())).is_err() {
            return;
        }
    }
}
