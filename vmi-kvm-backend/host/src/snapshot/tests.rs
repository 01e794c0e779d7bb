//! Snapshots that are whole, and all the ways in which they are not.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::cpu::CpuState;
use super::file::{Step, replace};
use super::state::State;
use super::{Snapshot, format};
use crate::layout::PAGE;
use crate::memory::{self, Memory};
use crate::port_call::GuestRam;

const MEMORY: u64 = 2 << 20;
const DIGEST: usize = 32;

fn state(cpus: usize) -> State {
    State {
        memory_bytes: MEMORY,
        cpus: (0..cpus).map(|_| CpuState::default()).collect(),
        posted: vec![0; cpus],
        without: vec!["rtc".to_owned()],
        ..State::default()
    }
}

/// Memory with something in those pages.
fn filled(pages: &[u64]) -> Memory {
    let memory = memory::allocate(MEMORY).unwrap();
    for page in pages {
        GuestRam::write(&memory, page * PAGE + page % 4000, &[1 + (page % 250) as u8; 9]).unwrap();
    }
    memory
}

fn snapshot(cpus: usize, pages: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    format::write(&mut bytes, &state(cpus), &filled(pages)).unwrap();
    bytes
}

/// Reads a snapshot as a restore does; returns the state and the memory.
fn read(bytes: &[u8]) -> Result<(State, Memory), String> {
    format::verify(&mut &*bytes, bytes.len() as u64)?;
    let mut input = bytes;
    let state = format::read_state(&mut input)?;
    let memory = memory::allocate(MEMORY).unwrap();
    format::read_memory(&mut input, &memory)?;
    Ok((state, memory))
}

/// Gives bytes the checksum that they should have.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() - DIGEST);
    let sum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

fn all(memory: &Memory) -> Vec<u8> {
    let mut bytes = vec![0; MEMORY as usize];
    GuestRam::read(memory, 0, &mut bytes).unwrap();
    bytes
}

#[test]
fn what_was_written_is_read_and_pages_of_zeros_take_no_room() {
    let pages = [0, 1, 15, 16, 17, 31, 200, 510, 511];
    let bytes = snapshot(3, &pages);
    let (read, memory) = read(&bytes).unwrap();
    assert!(all(&memory) == all(&filled(&pages)));
    assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::to_value(state(3)).unwrap());
    let more = bytes.len() - snapshot(3, &[]).len();
    assert!(more <= pages.len() * (PAGE as usize + 16), "{more}");
}

#[test]
fn what_is_cut_off_anywhere_or_goes_on_is_refused() {
    let bytes = snapshot(0, &[7]);
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "{length} bytes");
    }
    assert!(read(&[&bytes[..], &[0]].concat()).is_err());
    assert!(read(&bytes).is_ok());
}

#[test]
fn what_is_changed_anywhere_is_refused() {
    let mut bytes = snapshot(0, &[7]);
    for at in 0..bytes.len() {
        let bit = 1 << (at % 8);
        bytes[at] ^= bit;
        assert!(read(&bytes).is_err(), "byte {at}");
        bytes[at] ^= bit;
    }
    assert!(read(&bytes).is_ok());
}

#[test]
fn what_is_foreign_or_newer_is_called_so() {
    let refused = |bytes: &[u8]| read(bytes).err().unwrap();
    assert_eq!(refused(b""), "its 0 bytes are no snapshot");
    assert_eq!(
        refused(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0"),
        "it is no snapshot: it begins with something else"
    );
    let mut newer = snapshot(0, &[]);
    newer[8] = 2;
    assert_eq!(refused(&seal(newer)), "it is of version 2, and the only one known here is 1");
    let mut changed = snapshot(0, &[]);
    changed[40] ^= 1;
    let text = "it is truncated or damaged: its checksum is not that of its contents";
    assert_eq!(refused(&changed), text);
    assert_eq!(refused(&changed[..changed.len() - 1]), text);
}

#[test]
fn contents_that_lie_are_refused_though_their_checksum_is_right() {
    let bytes = snapshot(0, &[7, 20]);
    let json = 16 + u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let second = json + 16 + PAGE as usize;
    let with = |at: usize, value: u64| {
        let mut bytes = bytes.clone();
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        read(&seal(bytes)).err().unwrap_or_default()
    };
    for (at, value) in [
        (json, MEMORY),
        (json, 7 * PAGE + 1),
        (json, u64::MAX - PAGE + 1),
        (json + 8, 1),
        (json + 8, MEMORY),
        (json + 8, u64::MAX - PAGE + 1),
        (second, 7 * PAGE),
        (second, 0),
    ] {
        let refused = with(at, value);
        assert!(refused.contains("are not the guest's, or come twice"), "{at}, {value:#x}: {refused}");
    }
    assert_eq!(with(second + 8, 100 * PAGE), "it ends too early");
    assert!(with(12, 0xffff_ffff).starts_with("its state has 4294967295 bytes, and "));
    for (field, value, refused) in [
        ("without", serde_json::json!(["floppy"]), "there is no device `floppy`"),
        ("posted", serde_json::json!([0]), "1 CPUs of 0 have posted batches"),
        ("memory_bytes", serde_json::json!(-1), "its state is damaged: invalid value: integer `-1`"),
        ("colour", serde_json::json!(1), "its state is damaged: unknown field `colour`"),
    ] {
        let mut state = serde_json::to_value(state(0)).unwrap();
        state[field] = value;
        let state = state.to_string();
        let length = (state.len() as u32).to_le_bytes();
        let bytes = [&bytes[..12], &length, state.as_bytes(), &bytes[json..]].concat();
        let text = read(&seal(bytes)).err().unwrap();
        assert!(text.contains(refused), "{field}: {text}");
    }
}

#[test]
fn whatever_the_contents_say_nothing_panics() {
    let bytes = snapshot(1, &[7, 20]);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..2000 {
        let mut damaged = bytes.clone();
        for _ in 0..3 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = 12 + (random as usize >> 8) % (bytes.len() - 12 - DIGEST);
            damaged[at] = random as u8;
        }
        let mut input = &damaged[..];
        if let Ok(state) = format::read_state(&mut input)
            && let Ok(memory) = memory::allocate(state.memory_bytes.min(MEMORY))
        {
            let _ = format::read_memory(&mut input, &memory);
        }
    }
}

/// Takes so many bytes, and then no more.
struct Full<'a>(&'a mut dyn Write, usize);

impl Write for Full<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.1);
        if taken == 0 {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        self.1 -= taken;
        self.0.write(&bytes[..taken])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn files(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn a_disk_that_is_full_at_any_byte_leaves_the_old_snapshot_whole_and_nothing_beside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snapshot");
    let (old, new) = (snapshot(0, &[3]), snapshot(0, &[7]));
    let (state, memory) = (state(0), filled(&[7]));
    fs::write(&path, &old).unwrap();
    for room in 0..=new.len() {
        let replaced = replace(&path, |output| format::write(Full(output, room), &state, &memory), |_| ());
        if room < new.len() {
            assert_eq!(replaced.unwrap_err().raw_os_error(), Some(libc::ENOSPC), "{room}");
            assert!(fs::read(&path).unwrap() == old, "{room}");
        }
        assert_eq!(files(directory.path()), ["snapshot"], "{room}");
    }
    assert!(fs::read(&path).unwrap() == new);
    let nowhere = directory.path().join("none/snapshot");
    assert!(replace(&nowhere, |_| Ok(()), |_| ()).is_err());
    assert!(replace(directory.path(), |_| Ok(()), |_| ()).is_err(), "a directory is not replaced");
}

#[test]
fn what_is_no_ordinary_file_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let write = |path: &Path| replace(path, |output| output.write_all(b"new"), |_| ());
    fs::write(at("file"), "old").unwrap();
    std::os::unix::fs::symlink("file", at("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    for path in [at("link"), at("socket"), Path::new("/dev/null").to_owned()] {
        assert_eq!(write(&path).unwrap_err().to_string(), "there is something that is no ordinary file");
    }
    assert!(at("link").is_symlink() && !at("socket").metadata().unwrap().is_file());
    assert_eq!(fs::read(at("file")).unwrap(), b"old");
    write(&at("file")).unwrap();
    assert_eq!(fs::read(at("file")).unwrap(), b"new");
}

/// Kills its own process before so many writings or steps have come about.
struct Deadly<'a>(&'a mut dyn Write, &'a std::cell::Cell<usize>);

fn live(left: &std::cell::Cell<usize>) {
    if left.get() == 0 {
        let me = rustix::process::getpid();
        let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
    }
    left.set(left.get() - 1);
}

impl Write for Deadly<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        live(self.1);
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

const KILLED: [u64; 40] = {
    let mut pages = [0; 40];
    let mut at = 0;
    while at < pages.len() {
        pages[at] = 16 + at as u64;
        at += 1;
    }
    pages
};

/// Replaces the file that a variable names, and dies on the way: run by the test below, in a process of its own.
#[test]
#[ignore = "dies"]
fn replaces_a_snapshot_and_dies() {
    let path = std::env::var_os("VMI_SNAPSHOT").unwrap();
    let left = std::cell::Cell::new(std::env::var("VMI_LIVES").unwrap().parse().unwrap());
    let (state, memory) = (state(0), filled(&KILLED));
    let step = |step| {
        live(&left);
        println!("came to {step:?}");
    };
    let write = |output: &mut dyn Write| format::write(Deadly(output, &left), &state, &memory);
    replace(path.as_ref(), write, step).unwrap();
}

#[test]
fn a_kill_at_any_step_leaves_the_old_snapshot_whole_or_the_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snapshot");
    let (old, new) = (snapshot(0, &[3]), snapshot(0, &KILLED));
    let mut seen = Vec::new();
    for lives in 0.. {
        fs::write(&path, &old).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "snapshot::tests::replaces_a_snapshot_and_dies", "--ignored", "--nocapture"]);
        child.env("VMI_SNAPSHOT", &path).env("VMI_LIVES", lives.to_string());
        let output = child.stdin(Stdio::null()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        // The step that kills is one that has come about, and is not told.
        let named = [Step::Kept, Step::Named, Step::Done]
            .iter()
            .any(|step| told.contains(&format!("came to {step:?}")));
        let now = fs::read(&path).unwrap();
        assert!(now == old || now == new, "after {lives} steps: {} bytes", now.len());
        assert!(now == if named { new.clone() } else { old.clone() }, "after {lives} steps: {told}");
        assert!(Snapshot::open(&path).is_ok());
        seen.push(named);
        if output.status.success() {
            break;
        }
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&output.status),
            Some(libc::SIGKILL),
            "{told}"
        );
    }
    // Five steps, and at least as many writings: those of the head, and of each run of memory.
    assert!(seen.len() > 12 && seen.iter().filter(|named| **named).count() == 3, "{seen:?}");
}

#[test]
fn a_file_that_is_no_file_is_refused_by_name() {
    let refused = Snapshot::open("/dev/zero".as_ref()).err().unwrap().to_string();
    assert_eq!(refused, "cannot restore the snapshot `/dev/zero`: it is no file that can be read twice");
    let refused = Snapshot::open("/no/snapshot".as_ref()).err().unwrap().to_string();
    assert!(refused.starts_with("cannot read `/no/snapshot`: "), "{refused}");
}
