//! Bytes of code and of records, from the image as a file.

use std::path::Path;

use anyhow::{Result, ensure};
use vmi_abi::{Fixup, Op};

use super::document::Code;
use crate::elf::{Elf, RECORD};

/// The variants in which there is a small function around an op, and what they are called in the document.
const FUNCTIONS: [(&str, &str); 6] = [
    ("bare", "bare"),
    ("site", "native"),
    ("direct", "direct"),
    ("table", "table"),
    ("dyn", "dyn"),
    ("retpoline", "retpoline"),
];

/// Measures the image: the site of every op, a record, a fixup, and the small functions around ops.
///
/// # Errors
///
/// Fails where the image holds no sites, or two of one op that are not equally long.
pub(crate) fn sizes(image: &Path) -> Result<Vec<Code>> {
    let elf = Elf::read(image)?;
    let mut sizes = Vec::new();
    let mut put = |name: &str, part: &str, bytes: u64| {
        sizes.push(Code { name: name.to_owned(), part: part.to_owned(), bytes });
    };
    put("site", "record", RECORD as u64);
    put("fixup", "record", size_of::<Fixup>() as u64);
    for op in Op::all() {
        let lengths =
            || elf.sites().filter(|placed| placed.site.op == op.number()).map(|placed| placed.site.len);
        let Some(length) = lengths().next() else { continue };
        ensure!(lengths().all(|other| other == length), "{op}: its sites are not equally long");
        put(&op.to_string(), "site", length.into());
    }
    // The image says in `kernel/bench/mod.rs` how it names the small function around an op.
    let function = |symbol: &str| {
        let function = elf.functions().iter().find(|function| function.name == symbol)?;
        Some(function.range.end - function.range.start)
    };
    for op in Op::all().map(|op| op.to_string()) {
        for (variant, part) in FUNCTIONS {
            if let Some(bytes) = function(&format!("bench_{variant}_{}", op.replace("::", "_"))) {
                put(&op, part, bytes);
            }
        }
    }
    if let Some(bytes) = function("bench_empty") {
        put("empty", "bare", bytes);
    }
    Ok(sizes)
}
