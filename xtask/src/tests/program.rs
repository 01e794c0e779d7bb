//! This program, started as a user would start it, and what it leaves behind.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::leftovers;
use super::run::Context;
use crate::process::{self, Finished, Group};

/// How long to wait for something that must happen soon.
const SOON: Duration = Duration::from_secs(20);

/// A start of this program, with a temporary directory of its own and a mark that all its descendants inherit.
#[derive(Debug)]
pub(super) struct Program {
    command: Command,
    mark: String,
    temporary: PathBuf,
}

/// A started program.
#[derive(Debug)]
pub(super) struct Running {
    group: Group,
    program: Program,
}

impl Context {
    /// Prepares a start of this program with these arguments.
    pub(super) fn program(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Program> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("VMI_TEST_MARK={}-{count}", std::process::id());
        let temporary = self.directory().join(format!("temporary-{count}"));
        std::fs::create_dir(&temporary).context("cannot make a directory")?;
        // The link leads to the very file that runs now, even if cargo has put a new one in its place.
        let mut command = Command::new("/proc/self/exe");
        let (name, value) = mark.split_once('=').unwrap_or_default();
        command.args(arguments).env(name, value).env("TMPDIR", &temporary);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Program { command, mark, temporary })
    }
}

impl Program {
    /// Sets an environment variable.
    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Has it run in a directory, started by hand.
    pub(super) fn by_hand_in(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory).env_remove("CARGO_MANIFEST_DIR");
        self
    }

    /// Runs to the end and looks that nothing is left.
    pub(super) fn run(mut self) -> Result<Finished> {
        let finished = process::run(&mut self.command)?;
        self.left_nothing()?;
        Ok(finished)
    }

    /// Runs to the end, which must be an error of one sentence that holds all these words, with nothing left.
    pub(super) fn refuses(self, words: &[&str]) -> Result<Finished> {
        let finished = self.run()?;
        let stderr = &finished.stderr;
        ensure!(!finished.status.success(), "it succeeded and said `{stderr}`");
        let mut errors = stderr.lines().filter(|line| line.starts_with("error: "));
        let error = errors.next().with_context(|| format!("no error was reported, only `{stderr}`"))?;
        ensure!(errors.next().is_none(), "more than one error was reported: `{stderr}`");
        for word in words {
            ensure!(error.contains(word), "`{word}` is not in `{error}`");
        }
        ensure!(!stderr.contains("panicked"), "it panicked: `{stderr}`");
        Ok(finished)
    }

    /// Starts and returns at once.
    pub(super) fn start(mut self) -> Result<Running> {
        let group = Group::spawn(&mut self.command)?;
        Ok(Running { group, program: self })
    }

    /// Looks that no descendant runs and no temporary file is left.
    pub(super) fn left_nothing(&self) -> Result<()> {
        self.left_no_process()?;
        let mut files = std::fs::read_dir(&self.temporary).context("cannot list a directory")?;
        if let Some(Ok(file)) = files.next() {
            bail!("the temporary file `{}` was left", file.path().display());
        }
        Ok(())
    }

    /// Looks that no descendant runs, giving the kernel a moment to take it away.
    pub(super) fn left_no_process(&self) -> Result<()> {
        let limit = Instant::now() + Duration::from_secs(2);
        loop {
            match leftovers::marked(&self.mark)?.first() {
                None => return Ok(()),
                Some(left) if Instant::now() > limit => {
                    bail!("process {} was left: `{}`", left.id, left.command)
                }
                Some(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Running {
    /// Waits until the program has printed this on its stdout.
    pub(super) fn wait_for(&mut self, text: &str) -> Result<()> {
        let mut stdout = self.group.child().stdout.take().context("stdout is taken")?;
        let (mut seen, mut buffer) = (Vec::new(), [0; 256]);
        while !String::from_utf8_lossy(&seen).contains(text) {
            let count = stdout.read(&mut buffer).context("cannot read stdout")?;
            ensure!(count > 0, "stdout ended before `{text}`: `{}`", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&buffer[..count]);
        }
        self.group.child().stdout = Some(stdout);
        Ok(())
    }

    /// Waits until a descendant runs whose command line holds this, and returns its id.
    pub(super) fn wait_for_process(&mut self, text: &str) -> Result<Pid> {
        let limit = Instant::now() + SOON;
        while Instant::now() < limit {
            let marked = leftovers::marked(&self.program.mark)?;
            if let Some(found) = marked.iter().find(|process| process.command.contains(text)) {
                return Pid::from_raw(found.id).context("a process has no id");
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("no process `{text}` was started within {} s", SOON.as_secs())
    }

    /// Waits until a file in one of the program's temporary directories holds this.
    pub(super) fn wait_for_file(&self, text: &str) -> Result<()> {
        let limit = Instant::now() + SOON;
        while Instant::now() < limit {
            let directories =
                std::fs::read_dir(&self.program.temporary).context("cannot list a directory")?;
            let files = directories.flatten().flat_map(|entry| std::fs::read_dir(entry.path())).flatten();
            for file in files.flatten() {
                // A file that is gone meanwhile holds nothing.
                if std::fs::read(file.path())
                    .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
                {
                    return Ok(());
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("no file held `{text}` within {} s", SOON.as_secs())
    }

    /// Closes our end of the program's stdout.
    pub(super) fn close_stdout(&mut self) {
        drop(self.group.child().stdout.take());
    }

    /// Sends a signal to the program, and to nothing else.
    pub(super) fn signal(&mut self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(self.group.child()), signal).context("cannot send a signal")
    }

    /// Waits for the end; returns the status, the rest of stderr, and what was started.
    pub(super) fn finish(mut self) -> Result<(std::process::ExitStatus, String, Program)> {
        let limit = Instant::now() + SOON;
        let status = loop {
            if let Some(status) = self.group.ended()? {
                break status;
            }
            ensure!(Instant::now() < limit, "it did not end within {} s", SOON.as_secs());
            thread::sleep(Duration::from_millis(10));
        };
        let mut stderr = String::new();
        if let Some(mut pipe) = self.group.child().stderr.take() {
            pipe.read_to_string(&mut stderr).context("cannot read stderr")?;
        }
        Ok((status, stderr, self.program))
    }
}
