//! Random images.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use rustix::fs::{MemfdFlags, memfd_create};

use super::input::Input;
use super::made::{END, Elf, multiboot, multiboot2};
use super::plan::Plan;
use super::segment::Segment;
use crate::hostile::Numbers;
use crate::layout::{IMAGE_MIN, LOW_RAM_END};

const RAM: u64 = 16 << 20;

/// Where the headers of the images end, and where bytes begin that may change: the magic numbers and sums stay, for there to be
/// something to read.
const HEADERS_END: usize = 0x210;
const CHANGED_MIN: usize = 12;

/// Images that are right.
static IMAGES: LazyLock<[Vec<u8>; 5]> = LazyLock::new(|| {
    let tags = [&[2, 0, 0, 0, 24, 0, 0, 0][..], &[0; 16], &[3, 0, 0, 0, 12, 0, 0, 0], &[0; 8], &END].concat();
    [
        Elf::new().file(),
        Elf { wide: false, ..Elf::new() }.file(),
        [multiboot(1 << 16), vec![0; 0x200]].concat(),
        [multiboot2(&tags), vec![0; 0x200]].concat(),
        [vec![0; 0x202], b"HdrS\x0f\x02".to_vec(), vec![1; 0x500]].concat(),
    ]
});

/// Tries an image that was right before some of it was changed: the answer is a plan whose segments lie in the file and in
/// memory, or a refusal.
///
/// # Panics
///
/// When it does harm.
pub fn case(mut numbers: Numbers) {
    let mut bytes = IMAGES[numbers.below(IMAGES.len() as u64) as usize].clone();
    for _ in 0..numbers.below(8) {
        // Mostly the headers are changed.
        let end = if numbers.odds(56) { bytes.len() } else { HEADERS_END.min(bytes.len()) };
        let at = CHANGED_MIN + numbers.below((end - CHANGED_MIN) as u64) as usize;
        let any = numbers.next();
        let word = numbers.pick(&[0, 1, 0x7f, 0x80, u64::MAX, RAM, IMAGE_MIN, any]).to_le_bytes();
        let width = numbers.pick(&[1, 1, 1, 1, 2, 4, 8, 8]).min(bytes.len() - at);
        bytes[at..at + width].copy_from_slice(&word[..width]);
    }
    if numbers.odds(64) {
        bytes.truncate(CHANGED_MIN + numbers.below((bytes.len() - CHANGED_MIN + 1) as u64) as usize);
    }
    let Ok(plan) = Plan::of(&in_memory(&bytes), RAM) else { return };
    let is_inside = |segment: &Segment| (segment.start..segment.end()).contains(&plan.entry);
    assert!(plan.segments.iter().any(is_inside), "{plan:?}");
    assert!(plan.segments.is_sorted_by(|below, above| below.end() <= above.start), "{plan:?}");
    for segment in &plan.segments {
        assert!(segment.end() <= LOW_RAM_END || segment.start >= IMAGE_MIN, "{segment:?}");
        assert!(segment.end() <= RAM, "{segment:?}");
        assert!(segment.in_file <= segment.in_memory, "{segment:?}");
        assert!(
            segment.in_file == 0 || segment.offset + segment.in_file <= bytes.len() as u64,
            "{segment:?} of {} bytes",
            bytes.len()
        );
    }
}

/// Makes an image that lies in memory, of these bytes.
fn in_memory(bytes: &[u8]) -> Input {
    let file = File::from(memfd_create("image", MemfdFlags::CLOEXEC).expect("a file"));
    file.write_all_at(bytes, 0).expect("room");
    Input { path: "image".into(), file, length: bytes.len() as u64, copied: true }
}

#[test]
fn hostile_headers_do_no_harm() {
    crate::hostile::try_all(1, case);
}
