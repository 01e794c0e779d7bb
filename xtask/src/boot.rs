//! Boots an image on a host: starts its machine, hands out its console live, and says how it ended.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use object::elf::NoteType;
use object::read::elf::{ElfFile64, ProgramHeader};

use crate::host::{Host, Machine, Place, Vmm};
use crate::image;
use crate::qemu::{Finish, Qemu, Step};
use crate::xen::Dom0;
use crate::{qemu, rig, vmi_run};

/// Takes in pieces of a console as they arrive.
pub(crate) type Sink<'a> = dyn FnMut(&[u8]) -> Result<()> + 'a;

/// What to boot, where and how.
///
/// Made by [`Boot::new`] with what the host's recipe says; the fields are there to be changed.
#[derive(Clone, Debug)]
pub(crate) struct Boot {
    /// Where.
    pub(crate) host: &'static Host,
    /// On which machine.
    pub(crate) machine: Machine,
    /// Options of the machine, with their leading comma: `,acpi=off`.
    pub(crate) machine_options: String,
    /// QEMU's `-cpu`.
    pub(crate) cpu: String,
    /// The ELF file with a PVH entry.
    pub(crate) image: PathBuf,
    /// The kernel command line.
    pub(crate) arguments: String,
    /// What the image prints to; another machine than QEMU's has COM1 alone.
    pub(crate) console: Console,
    /// How long the image may take, not counting the start of the rig.
    pub(crate) limit: Duration,
    /// Memory of the machine in MiB.
    pub(crate) memory_mib: u32,
    /// More arguments for the virtual machine monitor.
    pub(crate) vmm_arguments: Vec<String>,
    /// Files that the arguments name, by absolute path; the rig holds them at the same path.
    pub(crate) files: Vec<PathBuf>,
    /// Counts the exits by guest address into [`Run::exits`]; in the rig only.
    pub(crate) trace_exits: bool,
    /// Makes the time-stamp counter count instructions: those of the emulated CPU, which in the rig runs the host's
    /// kernel as well.
    pub(crate) counts_instructions: bool,
}

/// The device behind which the image's console is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Console {
    /// The first serial port.
    Com1,
    /// The port that prints its bytes; there is no COM1 then.
    DebugPort,
}

/// What came of one boot.
#[derive(Debug)]
pub(crate) struct Run {
    /// Where it ran.
    pub(crate) host: &'static Host,
    /// Everything the image printed.
    pub(crate) console: String,
    /// How it ended.
    pub(crate) ending: Ending,
    /// How long it took, from the start of its virtual machine monitor to the end, in milliseconds.
    pub(crate) millis: u64,
    /// Exits to the hypervisor, for a boot that traces them.
    pub(crate) exits: Vec<Exits>,
    /// What the hypervisor said: Xen on its console, the virtual machine monitor on its standard error.
    pub(crate) said: String,
}

/// Exits at one guest address for one reason.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Exits {
    pub(crate) address: u64,
    /// SVM's exit code (AMD64 Architecture Programmer's Manual, Volume 2, "SVM Intercept Exit Codes").
    pub(crate) reason: u32,
    pub(crate) count: u64,
}

impl Exits {
    /// The exit code of a physical interrupt: something the host did, whatever the guest was at.
    pub(crate) const INTERRUPT: u32 = 0x60;
    /// The exit code of `cpuid`.
    pub(crate) const CPUID: u32 = 0x72;
}

/// How a boot ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// The image wrote this value to the exit device.
    Exit(u8),
    /// The image switched the machine off.
    PowerOff,
    /// The image reset the machine, or a triple fault did.
    Reset,
    /// The time was up.
    TimedOut,
    /// QEMU ended without the image's doing, or its accelerator could not go on.
    Died {
        /// The exit status in words.
        status: String,
        /// What QEMU complained about.
        stderr: String,
    },
}

impl Boot {
    /// Makes a boot of the image by the host's recipe.
    pub(crate) fn new(host: &'static Host, image: &Path) -> Self {
        Self {
            host,
            machine: host.machine,
            machine_options: String::new(),
            cpu: host.cpu.to_owned(),
            image: image.to_owned(),
            arguments: String::new(),
            console: Console::Com1,
            limit: host.limit,
            memory_mib: 256,
            vmm_arguments: Vec::new(),
            files: Vec::new(),
            trace_exits: false,
            counts_instructions: false,
        }
    }

    /// Sets the kernel command line.
    pub(crate) fn arguments(mut self, arguments: &str) -> Self {
        arguments.clone_into(&mut self.arguments);
        self
    }

    /// Boots once, in silence.
    ///
    /// # Errors
    ///
    /// Fails where the boot cannot be tried (a bad image, no QEMU) and on Ctrl-C. However the image behaves is not an
    /// error but an [`Ending`].
    pub(crate) fn run(&self) -> Result<Run> {
        self.run_live(&mut |_| Ok(()))
    }

    /// Boots once and hands the console to the sink as it arrives.
    ///
    /// # Errors
    ///
    /// Fails like [`Boot::run`], and when the sink does.
    pub(crate) fn run_live(&self, sink: &mut Sink<'_>) -> Result<Run> {
        run_all(std::slice::from_ref(self), sink)?.pop().context("a boot came to no end")
    }

    /// Boots once for each kernel command line; in the rig all of them in one start of the rig.
    ///
    /// # Errors
    ///
    /// Fails like [`Boot::run`].
    pub(crate) fn run_many(&self, lines: &[&str]) -> Result<Vec<Run>> {
        let boots: Vec<Self> = lines.iter().map(|line| self.clone().arguments(line)).collect();
        run_all(&boots, &mut |_| Ok(()))
    }

    /// Refuses what cannot be.
    fn check(&self) -> Result<()> {
        let is_outside_rig = self.host.place != Place::Rig;
        if is_outside_rig && self.trace_exits {
            bail!("exits are traced in the rig only, not on `{}`", self.host);
        }
        if is_outside_rig && self.counts_instructions && self.host.accelerator != "tcg" {
            bail!("instructions are counted on emulated CPUs only, not on `{}`", self.host);
        }
        check_image(&self.image)
    }

    /// Returns the arguments for QEMU, with the image at that path and the console on that character device.
    pub(crate) fn qemu_arguments(&self, image: &str, console: &str) -> Vec<String> {
        let mut arguments = self.machine_arguments(self.memory_mib, console);
        arguments.extend(["-kernel", image, "-append", &self.arguments].map(str::to_owned));
        arguments.extend_from_slice(&self.vmm_arguments);
        arguments
    }

    /// Returns the arguments that describe the machine to QEMU, without what it shall start.
    pub(crate) fn machine_arguments(&self, memory_mib: u32, console: &str) -> Vec<String> {
        let (device, value) = match self.console {
            Console::Com1 => ("-serial", format!("chardev:{console}")),
            Console::DebugPort => ("-device", format!("isa-debugcon,iobase=0xe9,chardev={console}")),
        };
        [
            ("-accel", self.host.accelerator),
            ("-cpu", &self.cpu),
            ("-machine", &format!("{}{}", self.machine, self.machine_options)),
            ("-m", &format!("{memory_mib}M")),
            (device, &value),
            ("-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
        ]
        .into_iter()
        .flat_map(|(option, value)| [option.to_owned(), value.to_owned()])
        .collect()
    }

    /// Returns the arguments that make the emulated CPU count instructions, if it is to.
    pub(crate) fn counting(&self) -> impl Iterator<Item = &'static str> {
        qemu::ICOUNT.into_iter().filter(|_| self.counts_instructions)
    }

    fn run_here(&self, sink: &mut Sink<'_>) -> Result<Run> {
        if self.host.vmm == Vmm::VmiRun {
            vmi_run::build()?;
            let start = Instant::now();
            let (console, ending, said) = vmi_run::run_here(self)?;
            sink(console.as_bytes())?;
            let millis = millis_since(start);
            return Ok(Run { host: self.host, console, ending, millis, exits: Vec::new(), said });
        }
        let dom0 = (self.host.place == Place::Xen).then(|| Dom0::prepare(self)).transpose()?;
        let start = Instant::now();
        let image = self.image.display().to_string();
        let mut arguments = match &dom0 {
            Some(dom0) => dom0.qemu_arguments(self, "channel-0", "channel-1"),
            None => self.qemu_arguments(&image, "channel-0"),
        };
        arguments.extend(self.counting().map(str::to_owned));
        let mut qemu = Qemu::start(&arguments, if dom0.is_some() { 2 } else { 1 })?;
        let (mut console, mut log) = (Vec::new(), Vec::new());
        let finish = loop {
            match qemu.next(start + self.limit)? {
                Step::Bytes { channel: 1.., bytes } => log.extend_from_slice(&bytes),
                Step::Bytes { bytes, .. } => {
                    console.extend_from_slice(&bytes);
                    sink(&bytes)?;
                }
                Step::Ended(finish) => break Some(finish),
                Step::TimedOut => {
                    qemu.kill();
                    break None;
                }
            }
        };
        let millis = millis_since(start);
        let console = String::from_utf8_lossy(&console).into_owned();
        let complaints = finish.as_ref().map(|finish| finish.stderr.clone()).unwrap_or_default();
        let said = String::from_utf8_lossy(&log).into_owned() + &complaints;
        let ending = finish.map_or(Ending::TimedOut, Ending::of);
        Ok(Run { host: self.host, console, ending, millis, exits: Vec::new(), said })
    }
}

/// Boots one after the other; those of a host in the rig in one start of the rig, all with what the first one asks of the
/// rig. Hands the consoles to the sink as they arrive.
///
/// # Errors
///
/// Fails like [`Boot::run`], and when the sink does.
pub(crate) fn run_all(boots: &[Boot], sink: &mut Sink<'_>) -> Result<Vec<Run>> {
    boots.iter().try_for_each(Boot::check)?;
    match boots.first().map(|boot| boot.host.place) {
        Some(Place::Rig) => rig::run(boots, sink),
        Some(Place::Here | Place::Xen) | None => boots.iter().map(|boot| boot.run_here(sink)).collect(),
    }
}

impl Run {
    /// Returns the last line of the console that holds anything.
    pub(crate) fn last_line(&self) -> Option<&str> {
        self.console.lines().rev().map(str::trim).find(|line| !line.is_empty())
    }
}

impl Ending {
    /// Tells from QEMU's end how the boot ended.
    pub(crate) fn of(finish: Finish) -> Self {
        let Finish { code, mut status, events, mut stderr } = finish;
        match (code, events.shutdown.as_deref()) {
            // The exit device turns the value v into status (v << 1) | 1; newer QEMU reports a shut-down as well.
            // Before the machine ran, an odd status is QEMU's own.
            (Some(code @ 0..=255), None | Some("guest-shutdown")) if code & 1 == 1 && events.resumed => {
                return Self::Exit((code >> 1) as u8);
            }
            (Some(0), Some("guest-shutdown")) => return Self::PowerOff,
            (Some(0), Some("guest-reset")) => return Self::Reset,
            (Some(0), Some(reason)) => status = format!("{status} and the reason {reason}"),
            _ => {}
        }
        if let Some(stopped) = events.stopped {
            status = stopped;
        }
        // QEMU reports an accelerator's failure with a dump of all registers; the first line is the reason.
        if let Some(first) = stderr.lines().next() {
            stderr = first.to_owned();
        }
        Self::Died { status, stderr }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(value) => write!(f, "the image wrote {value:#x} to the exit device"),
            Self::PowerOff => write!(f, "the machine was switched off"),
            Self::Reset => write!(f, "the machine was reset (a triple fault looks the same)"),
            Self::TimedOut => write!(f, "the time was up"),
            Self::Died { status, stderr } if stderr.is_empty() => write!(f, "QEMU ended with {status}"),
            Self::Died { status, stderr } => write!(f, "QEMU ended with {status}: {stderr}"),
        }
    }
}

/// Returns the whole milliseconds since then.
pub(crate) fn millis_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Refuses a file that QEMU could not start directly, with a better reason than QEMU's.
fn check_image(image: &Path) -> Result<()> {
    let name = image.display();
    let bytes = image::read(image)?;
    let elf = ElfFile64::<object::Endianness>::parse(&*bytes)
        .map_err(|error| anyhow!("the image `{name}` is not a 64-bit ELF file: {error}"))?;
    if has_multiboot_header(&bytes) {
        bail!(
            "the image `{name}` has a multiboot header, so QEMU would not look for the PVH note of a 64-bit file"
        );
    }
    if !has_pvh_note(&elf, &bytes) {
        bail!("the image `{name}` has no PVH note, so QEMU would not find its entry");
    }
    Ok(())
}

/// Looks for a header of Multiboot 1 ("Multiboot Specification version 0.6.96", "The layout of Multiboot header"): magic,
/// flags and checksum add up to 0, in the first 8192 bytes, on a multiple of 4.
fn has_multiboot_header(bytes: &[u8]) -> bool {
    const MAGIC: u32 = 0x1bad_b002;
    let words: Vec<u32> = bytes
        .chunks_exact(4)
        .take(8192 / 4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect();
    words.windows(3).any(|header| {
        let sum = header.iter().fold(0_u32, |sum, word| sum.wrapping_add(*word));
        header[0] == MAGIC && sum == 0
    })
}

/// Looks for the note that holds the PVH entry (Xen's public header `elfnote.h`, XEN_ELFNOTE_PHYS32_ENTRY).
fn has_pvh_note(elf: &ElfFile64<'_>, bytes: &[u8]) -> bool {
    const PHYS32_ENTRY: NoteType = NoteType(18);
    let endian = elf.endian();
    elf.elf_program_headers().iter().any(|header| {
        let Ok(Some(mut notes)) = header.notes(endian, bytes) else {
            return false;
        };
        while let Ok(Some(note)) = notes.next() {
            if note.name() == b"Xen" && note.n_type(endian) == PHYS32_ENTRY {
                return true;
            }
        }
        false
    })
}
