//! Child processes, each leading a process group that ends with it.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::interrupt;

/// How often a waiting thread looks whether its child ended or the user wants to stop.
const POLL: Duration = Duration::from_millis(10);

/// How long a child that was asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A child process and its process group; what is left of the group is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    group: Pid,
}

impl Group {
    /// Starts the command as leader of a new process group.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start `{}`", command.get_program().display()))?;
        let group = Pid::from_child(&child);
        Ok(Self { child, group })
    }

    /// Gives access to the child's pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Returns the exit status if the child has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("cannot wait for a child process")
    }

    /// Waits for the end of the child; on Ctrl-C asks the group to end and returns the interruption.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if let Err(interrupted) = interrupt::check() {
                self.ask_to_end()?;
                return Err(interrupted);
            }
            thread::sleep(POLL);
        }
    }

    /// Kills the group and waits for the child.
    pub(crate) fn kill(&mut self) {
        // An error means that the group is gone already, which is what is wanted.
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
    }

    /// Asks politely (a package manager must not be killed half-way), then kills.
    fn ask_to_end(&mut self) -> Result<()> {
        let _ = kill_process_group(self.group, Signal::TERM);
        let limit = Instant::now() + GRACE;
        while Instant::now() < limit {
            if self.ended()?.is_some() {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        self.kill();
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The child's id names its group for as long as the child was not waited for; after that the number could
        // belong to somebody else.
        if let Ok(None) = self.child.try_wait() {
            self.kill();
        }
    }
}

/// What a child said and how it ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Everything it wrote to its standard output.
    pub(crate) stdout: String,
    /// Everything it wrote to its standard error.
    pub(crate) stderr: String,
}

impl Finished {
    /// Returns the line that says most about a failure: the last that calls itself an error, else the last of all.
    pub(crate) fn last_words(&self) -> &str {
        let lines =
            || [&self.stderr, &self.stdout].into_iter().flat_map(|text| text.lines().rev()).map(str::trim);
        let error = lines().find(|line| line.starts_with("error") || line.starts_with("E: "));
        error.or_else(|| lines().find(|line| !line.is_empty())).unwrap_or("it said nothing")
    }
}

/// Runs a command to its end without input and collects what it says.
pub(crate) fn run(command: &mut Command) -> Result<Finished> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::spawn(command)?;
    let stdout = group.child().stdout.take().map(collect);
    let stderr = group.child().stderr.take().map(collect);
    let status = group.wait()?;
    let join = |reader: Option<thread::JoinHandle<String>>| {
        reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
    };
    Ok(Finished { status, stdout: join(stdout), stderr: join(stderr) })
}

/// Runs a command like [`run`] and makes a status other than 0 an error that carries its last words.
pub(crate) fn run_ok(command: &mut Command) -> Result<Finished> {
    let finished = run(command)?;
    if !finished.status.success() {
        bail!("`{}` failed ({}): {}", line(command), finished.status, finished.last_words());
    }
    Ok(finished)
}

/// Writes a command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Reads a pipe to its end on a thread of its own.
fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What arrived before an error is still worth showing.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
