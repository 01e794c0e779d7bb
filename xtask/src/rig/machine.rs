//! The machine of the rig and what it says.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::cache::Base;
use super::control::{Line, Lines};
use crate::qemu::{Finish, Qemu, Step};

/// How long the rig may be silent on its control channel while it runs no guest.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The disk's size in bytes: a state goes on with a disk of the size that it was saved with.
const DISK: u64 = 256 << 20;

const KERNEL_LOG: usize = 0;
const CONTROL: usize = 1;
const CONSOLE: usize = 2;

/// The rig while it runs.
pub(super) struct Machine {
    qemu: Qemu,
    log: Lines,
    last_log: String,
    control: Lines,
}

/// What the next wait brought.
pub(super) enum Said {
    /// A piece of the guests' consoles.
    Console(Vec<u8>),
    /// Lines of the control channel.
    Lines(Vec<Line>),
    /// The machine was switched off.
    Ended(Finish),
    /// The time is up; the machine was ended.
    TimedOut,
}

impl Machine {
    /// Starts the machine, or has it go on by the arguments for that.
    pub(super) fn start(arguments: &[String]) -> Result<Self> {
        Ok(Self {
            qemu: Qemu::start(arguments, 3)?,
            log: Lines::default(),
            last_log: String::new(),
            control: Lines::default(),
        })
    }

    /// Waits for the next thing that it says, until the deadline.
    ///
    /// # Errors
    ///
    /// Fails where QEMU does, and on Ctrl-C.
    pub(super) fn next(&mut self, deadline: Instant) -> Result<Said> {
        loop {
            match self.qemu.next(deadline)? {
                Step::Bytes { channel: CONSOLE, bytes } => return Ok(Said::Console(bytes)),
                Step::Bytes { channel: CONTROL, bytes } => {
                    let lines = self.control.take(&bytes);
                    return Ok(Said::Lines(lines.iter().filter_map(|line| Line::read(line)).collect()));
                }
                Step::Bytes { bytes, .. } => {
                    let lines = self.log.take(&bytes);
                    if let Some(line) = lines.into_iter().rev().find(|line| !line.trim().is_empty()) {
                        self.last_log = line;
                    }
                }
                Step::Ended(finish) => return Ok(Said::Ended(finish)),
                Step::TimedOut => {
                    self.qemu.kill();
                    return Ok(Said::TimedOut);
                }
            }
        }
    }

    /// Saves the machine's state to a file and ends it.
    pub(super) fn save(self, state: &Path) -> Result<()> {
        self.qemu.save(state)
    }

    /// Quotes the last line of its kernel, for a sentence about what went wrong.
    pub(super) fn last_words(&self) -> String {
        match self.last_log.as_str() {
            "" => String::new(),
            line => format!("; the last line of its kernel: `{line}`"),
        }
    }
}

/// Gives a disk the size that every disk of the machine has.
pub(super) fn pad(disk: &File) -> Result<()> {
    let length = disk.metadata().context("cannot look at the disk of a job")?.len();
    ensure!(length <= DISK, "the rig takes jobs of at most {DISK} bytes, not of {length}");
    disk.set_len(DISK).context("cannot size the disk of a job")
}

/// Writes the arguments that make the machine, with a disk of this content, and more arguments for QEMU.
pub(super) fn arguments(base: &Base, disk: &Path, more: &[&str]) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut option = |option: &str, value: &str| arguments.extend([option.to_owned(), value.to_owned()]);
    option("-accel", "tcg");
    option("-cpu", "max,+svm");
    option("-machine", "q35");
    option("-smp", "1");
    option("-m", "1G");
    option("-kernel", &base.kernel.display().to_string());
    option("-initrd", &base.archive.display().to_string());
    option("-append", "console=ttyS0 quiet panic=-1 tsc=reliable no5lvl");
    // The third port has an interrupt of its own: at its usual place it would share that of the first.
    option("-device", &format!("isa-serial,chardev=channel-{KERNEL_LOG}"));
    option("-device", &format!("isa-serial,chardev=channel-{CONTROL}"));
    option("-device", &format!("isa-serial,chardev=channel-{CONSOLE},iobase=0x3e8,irq=5"));
    let disk = disk.display().to_string().replace(',', ",,");
    option("-drive", &format!("if=none,id=disk,format=raw,readonly=on,file={disk}"));
    option("-device", "virtio-blk-pci,drive=disk");
    arguments.extend(more.iter().map(|word| (*word).to_owned()));
    arguments
}
