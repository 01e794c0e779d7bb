//! Tiny guests: a few instructions in an ELF file with a PVH note, made at run time.
//!
//! A guest is assembled into this program and copied out; it refers to nothing by address but the blocks that the test
//! places. It runs in 32-bit protected mode without paging, at [`CODE`].

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::NamedTempFile;
use vmi_abi::port_call::{Call, Features, Header, MAGIC, Number, Status, Version};
use vmi_kvm_backend_host::bad_host::BadHost;
use vmi_kvm_backend_host::{Boot, Config, Machine, Outcome, Outside, Result};

/// Where guests are loaded and entered.
pub const CODE: u64 = 0x10_0000;
/// Where the blocks that tests place begin.
pub const BLOCKS: u64 = 0x10_4000;
/// Bytes of memory that belong to a guest.
const SIZE: usize = 0x2_0000;

/// Assembles a guest: `guest!(name, "instruction", ...)` is a function that returns its bytes.
#[macro_export]
macro_rules! guest {
    ($name:ident, $($line:expr),+ $(,)?) => {
        std::arch::global_asm!(
            ".pushsection .rodata",
            // By module, for labels of modules that are assembled together are one another's.
            concat!("\"", module_path!(), "::", stringify!($name), "\":"),
            ".code32",
            $($line,)+
            ".code64",
            concat!("\"", module_path!(), "::", stringify!($name), "_end\":"),
            ".popsection",
        );

        fn $name() -> &'static [u8] {
            unsafe extern "C" {
                #[link_name = concat!(module_path!(), "::", stringify!($name))]
                static START: u8;
                #[link_name = concat!(module_path!(), "::", stringify!($name), "_end")]
                static END: u8;
            }
            let (start, end) = (&raw const START, &raw const END);
            // SAFETY: both symbols bound the bytes that were just assembled.
            unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) }
        }
    };
}

/// What a guest's image is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// An ELF file of 64 bits with a PVH note.
    #[default]
    Pvh,
    /// The same of 32 bits.
    Pvh32,
    /// An ELF file of 64 bits without a note.
    Elf,
    /// The same of 32 bits.
    Elf32,
    /// The guest's memory and nothing else.
    Flat,
}

/// A tiny guest.
#[derive(Default)]
pub struct Tiny {
    memory: Vec<u8>,
    code: usize,
    /// How it is run.
    pub bad_host: BadHost,
    /// How many CPUs it has.
    pub cpus: usize,
    /// What its console gets as input.
    pub input: Option<std::os::fd::OwnedFd>,
    /// How long it may run.
    pub limit: Option<Duration>,
    /// Whether its devices are left out.
    pub bare: bool,
    /// What it is given as modules.
    pub modules: Vec<vmi_kvm_backend_host::Module>,
    /// Its command line.
    pub command_line: String,
    /// What its image is.
    pub format: Format,
    /// Address and bytes of a segment of their own, in an ELF file.
    pub segment: Option<(u64, &'static [u8])>,
}

impl Tiny {
    /// Makes a guest of its instructions.
    pub fn new(code: &[u8]) -> Self {
        let mut memory = vec![0; SIZE];
        memory[..code.len()].copy_from_slice(code);
        let limit = Some(Duration::from_secs(20));
        Self { memory, code: code.len(), cpus: 1, limit, ..Self::default() }
    }

    /// Places bytes in the guest's memory.
    pub fn with(mut self, address: u64, bytes: &[u8]) -> Self {
        self.memory[(address - CODE) as usize..][..bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Places a batch of calls that the guest makes by the call port.
    pub fn with_calls(self, address: u64, calls: &[(Number, u64, u64)]) -> Self {
        self.with_batch(address, calls, Status::ASKED)
    }

    /// Places a batch of calls that the guest posts.
    pub fn with_posted(self, address: u64, calls: &[(Number, u64, u64)]) -> Self {
        self.with_batch(address, calls, Status::POSTED)
    }

    fn with_batch(self, address: u64, calls: &[(Number, u64, u64)], status: Status) -> Self {
        let header = Header {
            magic: MAGIC,
            version: Version::CURRENT.bits(),
            features: Features::all().bits(),
            count: calls.len() as u32,
            status: status.0,
            done: 0,
            flags: 0,
            zero: [0; 9],
        };
        let mut bytes = header.to_bytes().to_vec();
        for (number, a0, a1) in calls {
            bytes.extend(Call::new(*number, *a0, *a1).to_bytes());
        }
        self.with(address, &bytes)
    }

    /// Writes the guest's image.
    pub fn write(&self) -> NamedTempFile {
        let mut image = NamedTempFile::new().expect("a temporary file");
        let bytes = match self.format {
            Format::Flat => self.memory.clone(),
            _ => elf(self),
        };
        image.write_all(&bytes).expect("it can be written");
        image
    }

    /// Runs the guest; returns how it went, and its console.
    pub fn run(self) -> (Result<Outcome>, String) {
        let image = self.write();
        let boot = Boot {
            image: image.path().to_owned(),
            modules: self.modules,
            command_line: self.command_line,
            ..Boot::default()
        };
        let mut config = Config::new(boot);
        config.bad_host = self.bad_host;
        config.cpus = self.cpus;
        config.statistics = true;
        config.limit = self.limit;
        if self.bare {
            for (_, device) in vmi_kvm_backend_host::Device::ALL {
                config.devices.without(device);
            }
        }
        let console = Console::default();
        let machine = Machine::new(&config, Box::new(console.clone())).expect("the machine is made");
        let outcome = machine.run(Outside { input: self.input, ..Outside::default() });
        let console = String::from_utf8_lossy(&console.0.lock().expect("nobody panicked")).into_owned();
        (outcome, console)
    }

    /// Runs a guest that ends by the exit port; returns the code, how it went, and its console.
    pub fn exit_code(self) -> (u8, Outcome, String) {
        let (outcome, console) = self.run();
        let outcome = outcome.expect("the guest runs to its end");
        match outcome.ending {
            vmi_kvm_backend_host::Ending::Exit(code) => (code, outcome, console),
            other => panic!("{other}; console: {console}"),
        }
    }
}

#[derive(Clone, Default)]
struct Console(Arc<Mutex<Vec<u8>>>);

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Makes an ELF file: a segment that holds everything, the PVH note, and the symbol `guest` for the code.
fn elf(guest: &Tiny) -> Vec<u8> {
    const HEADERS: u64 = 0x1000;
    let wide = matches!(guest.format, Format::Pvh | Format::Elf);
    let noted = matches!(guest.format, Format::Pvh | Format::Pvh32);
    let word = |value: u64| value.to_le_bytes()[..if wide { 8 } else { 4 }].to_vec();
    let note_at = 0x200;
    let mut note = Vec::new();
    for word in [4_u32, 4, 18] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"Xen\0");
    note.extend((CODE as u32).to_le_bytes());
    let program = |kind: u32, offset: u64, address: u64, size: u64| {
        let mut bytes = kind.to_le_bytes().to_vec();
        let flags = 7_u32.to_le_bytes();
        bytes.extend(flags.iter().filter(|_| wide));
        for value in [offset, address, address, size, size] {
            bytes.extend(word(value));
        }
        bytes.extend(flags.iter().filter(|_| !wide));
        bytes.extend(word(4));
        bytes
    };
    let section = |name: u32, kind: u32, offset: u64, size: u64, link: u32, entry: u64| {
        let mut bytes = Vec::new();
        bytes.extend(name.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        for word in [0, 0, offset, size] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(link.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        for word in [8, entry] {
            bytes.extend(u64::to_le_bytes(word));
        }
        bytes
    };
    let mut symbols = vec![0; 24];
    symbols.extend(1_u32.to_le_bytes());
    // A global function, in no section of its own.
    symbols.extend([0x12, 0]);
    symbols.extend(0xfff1_u16.to_le_bytes());
    symbols.extend(CODE.to_le_bytes());
    symbols.extend((guest.code as u64).to_le_bytes());
    let strings = b"\0guest\0";
    let mut programs = vec![program(1, HEADERS, CODE, SIZE as u64)];
    if let Some((address, bytes)) = guest.segment {
        programs.push(program(1, HEADERS + SIZE as u64, address, bytes.len() as u64));
    }
    if noted {
        programs.push(program(4, note_at, 0, note.len() as u64));
    }

    // Symbols are for statistics, which read them where there are 64 bits.
    let (header, sections, machine) = if wide { (64, 3, 62) } else { (52, 0, 3) };
    let mut file = vec![0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1, 1];
    file.resize(16, 0);
    file.extend(2_u16.to_le_bytes());
    file.extend(u16::to_le_bytes(machine));
    file.extend(1_u32.to_le_bytes());
    for value in [CODE, header, 0x400] {
        file.extend(word(value));
    }
    file.extend(0_u32.to_le_bytes());
    let last = if sections == 0 { 0 } else { sections - 1 };
    for half in [header as u16, programs[0].len() as u16, programs.len() as u16, 64, sections, last] {
        file.extend(half.to_le_bytes());
    }
    file.extend(programs.concat());
    file.resize(note_at as usize, 0);
    file.extend(note);
    file.resize(0x300, 0);
    file.extend(&symbols);
    file.resize(0x380, 0);
    file.extend(strings);
    file.resize(0x400, 0);
    file.extend([0; 64]);
    file.extend(section(0, 2, 0x300, symbols.len() as u64, 2, 24));
    file.extend(section(0, 3, 0x380, strings.len() as u64, 0, 0));
    file.resize(HEADERS as usize, 0);
    file.extend(&guest.memory);
    file.extend(guest.segment.unwrap_or_default().1);
    file
}
