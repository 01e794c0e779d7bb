//! An image as a file: its site records, its text and its symbols.

use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use object::{File, Object, ObjectSection, ObjectSegment, ObjectSymbol, SymbolKind};
use vmi_abi::SiteRecord;

/// The section that holds the records.
const SITES: &str = "vmi_sites";

/// Bytes of a record.
pub(crate) const RECORD: usize = size_of::<SiteRecord>();

/// A parsed image.
#[derive(Debug)]
pub(crate) struct Elf {
    bytes: Vec<u8>,
    segments: Vec<(u64, Range<usize>)>,
    functions: Vec<Function>,
    records: Records,
}

/// A function symbol.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) range: Range<u64>,
}

/// Where the records lie.
#[derive(Clone, Debug)]
struct Records {
    address: u64,
    file: Range<usize>,
}

/// A record and the address of its site.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) index: usize,
    pub(crate) address: u64,
    pub(crate) site: SiteRecord,
}

impl Elf {
    /// Reads an image.
    ///
    /// # Errors
    ///
    /// Fails where the file is no ELF file with site records.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let bytes = fs::read(path).with_context(|| format!("cannot read the image `{name}`"))?;
        let file = File::parse(&*bytes).with_context(|| format!("the image `{name}` is not an ELF file"))?;
        let section = file.section_by_name(SITES);
        let section = section.with_context(|| format!("the image `{name}` has no section {SITES}"))?;
        let (offset, size) = section.file_range().context("the site records are not in the file")?;
        let place = |offset: u64, size: u64| offset as usize..(offset + size) as usize;
        ensure!(size > 0 && size.is_multiple_of(RECORD as u64), "section {SITES} has {size} bytes");
        let records = Records { address: section.address(), file: place(offset, size) };
        let segments = file.segments().map(|segment| {
            let (offset, size) = segment.file_range();
            (segment.address(), place(offset, size))
        });
        let segments = segments.collect();
        let functions = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text).map(|symbol| {
            let name = symbol.name().unwrap_or_default().to_owned();
            Function { name, range: symbol.address()..symbol.address() + symbol.size() }
        });
        let mut functions: Vec<Function> = functions.collect();
        functions.sort_by_key(|function| (function.range.start, function.range.end));
        Ok(Self { segments, functions, records, bytes })
    }

    /// Returns the records in the order in which they lie.
    pub(crate) fn sites(&self) -> impl Iterator<Item = Placed> {
        let records = &self.bytes[self.records.file.clone()];
        records.chunks_exact(RECORD).enumerate().map(|(index, record)| {
            let [o0, o1, o2, o3, p0, p1, len, reserved] = *record else {
                unreachable!("eight bytes a chunk")
            };
            let offset = i32::from_le_bytes([o0, o1, o2, o3]);
            let here = self.records.address + (index * RECORD) as u64;
            let site = SiteRecord { offset, op: u16::from_le_bytes([p0, p1]), len, reserved };
            Placed { index, address: here.wrapping_add_signed(offset.into()), site }
        })
    }

    /// Returns a copy of the file in which `change` was done to the records.
    pub(crate) fn with_records(&self, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        change(&mut bytes[self.records.file.clone()]);
        bytes
    }

    /// Returns loaded bytes.
    ///
    /// # Errors
    ///
    /// Fails where not all of them are loaded from the file.
    pub(crate) fn loaded(&self, address: u64, len: usize) -> Result<&[u8]> {
        for (start, file) in &self.segments {
            let Some(at) = address.checked_sub(*start).map(|at| at as usize) else { continue };
            if at + len <= file.len() {
                return Ok(&self.bytes[file.start + at..][..len]);
            }
        }
        bail!("no {len} bytes are loaded at {address:#x}")
    }

    /// Returns the functions by ascending address.
    pub(crate) fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Returns the function that an address lies in.
    pub(crate) fn function_at(&self, address: u64) -> Option<&Function> {
        self.functions.iter().rfind(|function| {
            function.range.contains(&address)
                || (function.range.is_empty() && function.range.start == address)
        })
    }
}

impl Function {
    /// Tells whether the name is this path of identifiers, or holds it mangled: each behind its length, or, in the
    /// name of a trait's implementation, with two dots between.
    pub(crate) fn is(&self, path: &str) -> bool {
        let mangled: String = path.split("::").map(|part| format!("{}{part}", part.len())).collect();
        self.name == path || self.name.contains(&mangled) || self.name.contains(&path.replace("::", ".."))
    }
}
