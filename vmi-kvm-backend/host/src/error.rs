//! What can go wrong before and while a guest runs; a sentence each, with the value that was refused.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use thiserror::Error;

/// The reason why there is no guest, or no longer one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine has no KVM.
    #[error("there is no /dev/kvm: this machine has no KVM, or its module is not loaded")]
    NoKvm,
    /// The user may not use KVM.
    #[error("no permission to open /dev/kvm: it takes membership of its group, usually `kvm`")]
    KvmPermission,
    /// `/dev/kvm` cannot be opened for another reason.
    #[error("cannot open /dev/kvm: {0}")]
    KvmOpen(io::Error),
    /// `/dev/kvm` speaks another version.
    #[error("/dev/kvm speaks version {0} of the KVM API, not 12")]
    KvmVersion(i32),
    /// KVM lacks something that no guest can run without.
    #[error("this machine's KVM lacks {0}")]
    KvmLacks(&'static str),
    /// A call of KVM failed.
    #[error("KVM cannot {what}: {reason}")]
    Kvm {
        /// What it was asked for.
        what: &'static str,
        /// What it answered.
        reason: io::Error,
    },
    /// KVM took no notice of a request to stop.
    #[error("KVM never returned from running CPU {0}, so the guest was given up")]
    KvmStuck(usize),
    /// Posted batches take for ever.
    #[error("a posted batch of VMI calls takes too long to be served, so the guest cannot be paused")]
    DoorbellStuck,
    /// The run ended meanwhile.
    #[error("the run is over")]
    RunOver,
    /// A thread of this program panicked.
    #[error("the thread `{0}` panicked, which is a fault of this program, so the guest was given up")]
    Panicked(String),
    /// The kernel takes no filter for system calls.
    #[error("cannot confine what the process may do (seccomp): {0}; --no-seccomp does without")]
    Confinement(String),
    /// There is no control socket.
    #[error("cannot make the control socket `{path}`: {reason}")]
    Control {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// There is no snapshot.
    #[error("cannot save a snapshot as `{path}`: {reason}")]
    Snapshot {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A snapshot is refused.
    #[error("cannot restore the snapshot `{path}`: {reason}")]
    Restore {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A snapshot's devices cannot be.
    #[error("the state of the devices in the snapshot is none that they can have")]
    Devices,
    /// KVM could not go on with the guest.
    #[error("KVM gave up on CPU {cpu} at guest address {address:#x}: {reason}")]
    KvmGaveUp {
        /// The CPU.
        cpu: usize,
        /// Where the guest was.
        address: u64,
        /// What KVM said.
        reason: String,
    },
    /// A file cannot be read.
    #[error("cannot read `{path}`: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// A file has nothing in it.
    #[error("`{0}` is empty")]
    Empty(PathBuf),
    /// A file without a length goes on and on.
    #[error("`{path}` has not ended after the {most} bytes that the guest has memory")]
    Endless {
        /// The file.
        path: PathBuf,
        /// How many bytes it may have.
        most: u64,
    },
    /// The image is of none of the kinds that can be booted.
    #[error("`{0}` is neither an ELF file nor a Linux kernel, and has no multiboot header")]
    NotAnImage(PathBuf),
    /// The image is an ELF file for another machine.
    #[error(
        "`{path}` is an ELF file of class {class} and byte order {order} for machine {machine}, not one of 64 bits for x86-64 or of 32 bits for x86"
    )]
    WrongElf {
        /// The file.
        path: PathBuf,
        /// Its class: 1 for 32 bits, 2 for 64.
        class: u8,
        /// Its byte order: 1 for little endian.
        order: u8,
        /// The machine: 3 for x86, 62 for x86-64.
        machine: u16,
    },
    /// The image's headers do not fit the file.
    #[error("`{path}` is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The image speaks no boot protocol.
    #[error(
        "`{0}` has no PVH note (Xen, type 18) and no multiboot header, so there is no entry to start it at"
    )]
    NoEntry(PathBuf),
    /// The image's multiboot header cannot be complied with.
    #[error("`{path}` has a multiboot header that cannot be served: {reason}")]
    Multiboot {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The image would not lie in memory.
    #[error(
        "`{path}` wants {start:#x} to {end:#x}, which is not all memory for an image: there is {}",
        ranges(available)
    )]
    OutsideMemory {
        /// The file.
        path: PathBuf,
        /// First byte wanted.
        start: u64,
        /// Behind the last byte wanted.
        end: u64,
        /// What there is.
        available: Vec<Range<u64>>,
    },
    /// Two segments of the image claim the same memory.
    #[error("`{path}` has segments that overlap at {address:#x}")]
    Overlap {
        /// The file.
        path: PathBuf,
        /// The first byte that both claim.
        address: u64,
    },
    /// The image is entered where nothing was loaded.
    #[error("`{path}` is to be entered at {entry:#x}, where it has no segment")]
    EntryOutside {
        /// The file.
        path: PathBuf,
        /// The entry.
        entry: u64,
    },
    /// A Linux kernel of a kind that cannot be booted.
    #[error("`{path}` is a Linux kernel that cannot be booted: {reason}")]
    OldLinux {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The command line is too long.
    #[error("the command line has {length} bytes, and there is room for {room}")]
    CommandLineTooLong {
        /// What it has.
        length: usize,
        /// What it may have.
        room: usize,
    },
    /// The command line holds a byte that would end it.
    #[error("the command line has a zero byte in it")]
    CommandLineZero,
    /// Modules leave no room.
    #[error("`{path}` has {size} bytes, for which there is no room left in the guest's memory")]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// Boot information finds no room.
    #[error("{0} bytes of boot information find no room in the guest's memory")]
    NoRoomForData(u64),
    /// The guest's memory is too small to hold anything.
    #[error("{0} bytes are too little memory for a guest: it takes 2 MiB")]
    MemoryTooSmall(u64),
    /// The guest's memory does not come in whole pages.
    #[error("{0} bytes of memory are not whole pages of 4096 bytes")]
    MemoryUneven(u64),
    /// The machine has less memory than the guest shall have.
    #[error("the guest shall have {asked} bytes of memory, but this machine has {available}")]
    MemoryTooLarge {
        /// What was asked for.
        asked: u64,
        /// What there is.
        available: u64,
    },
    /// The operating system gives no memory.
    #[error("cannot get {asked} bytes of memory for the guest: {reason}")]
    Memory {
        /// What was asked for.
        asked: u64,
        /// Why not.
        reason: String,
    },
    /// The number of CPUs is impossible.
    #[error("{asked} CPUs are not possible here: there can be 1 to {most}")]
    Cpus {
        /// What was asked for.
        asked: usize,
        /// What is possible.
        most: usize,
    },
    /// The operating system denies something else.
    #[error("cannot {what}: {reason}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        reason: io::Error,
    },
    /// The data of an option makes no sense.
    #[error("{0}")]
    Option(String),
}

fn ranges(ranges: &[Range<u64>]) -> String {
    let texts: Vec<String> =
        ranges.iter().map(|Range { start, end }| format!("{start:#x} to {end:#x}")).collect();
    texts.join(" and ")
}

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Makes the error of a KVM call, for `map_err`.
    pub(crate) fn kvm(what: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Self {
        move |error| Self::Kvm { what, reason: error.into() }
    }

    /// Makes the error of a system call, for `map_err`.
    pub(crate) fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::System { what, reason: error.into() }
    }
}
