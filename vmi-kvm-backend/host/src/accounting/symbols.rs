//! From a guest address to the symbol and the op of the image.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{ElfFile, FileHeader, ProgramHeader};
use object::{Endianness, FileKind, Object, ObjectSection, ObjectSymbol, ReadCache, SectionKind, SymbolKind};
use vmi_abi::{Op, SiteRecord};

use super::statistics::Place;

/// Symbols that begin before an address and may still reach there, as far as they are looked at: some lie within others.
const OVERLAPPING_MAX: usize = 4;

/// Address, size and name.
type Symbol = (u64, u64, String);

/// What an image says of its addresses; nothing where it is no ELF file or has no symbols.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    /// By address.
    symbols: Vec<Symbol>,
    /// The first byte of each site, and behind its last, with its op.
    sites: Vec<(u64, u64, &'static str)>,
    /// Physical address, size and virtual address of what is loaded.
    segments: Vec<(u64, u64, u64)>,
}

impl Symbols {
    /// Reads an image.
    pub(super) fn read(image: &Path) -> Self {
        let Ok(file) = File::open(image) else { return Self::default() };
        let cache = ReadCache::new(file);
        match FileKind::parse(&cache) {
            Ok(FileKind::Elf32) => Self::read_as::<FileHeader32<Endianness>>(&cache),
            Ok(FileKind::Elf64) => Self::read_as::<FileHeader64<Endianness>>(&cache),
            _ => Self::default(),
        }
    }

    fn read_as<H: FileHeader<Endian = Endianness>>(data: &ReadCache<File>) -> Self {
        let Ok(elf) = ElfFile::<H, _>::parse(data) else { return Self::default() };
        let mut found = Self { symbols: symbols(&elf), ..Self::default() };
        if let Some(section) = elf.section_by_name("vmi_sites")
            && let Ok(bytes) = section.data()
        {
            found.sites = sites(section.address(), bytes);
        }
        for header in elf.elf_program_headers() {
            let endian = elf.endian();
            found.segments.push((
                header.p_paddr(endian).into(),
                header.p_memsz(endian).into(),
                header.p_vaddr(endian).into(),
            ));
        }
        found
    }

    /// Returns what is at an address, virtual or, before the image has turned on paging, physical.
    pub(super) fn find(&self, address: u64) -> Option<Place> {
        let within = |start: u64, size: u64| address.checked_sub(start).filter(|offset| *offset < size);
        if self.segments.iter().any(|(_, size, start)| within(*start, *size).is_some()) {
            return self.find_virtual(address);
        }
        let (offset, start) = self
            .segments
            .iter()
            .find_map(|(from, size, to)| within(*from, *size).map(|offset| (offset, *to)))?;
        self.find_virtual(start.wrapping_add(offset))
    }

    fn find_virtual(&self, address: u64) -> Option<Place> {
        let symbol = before(&self.symbols, address).find(|(start, size, _)| {
            // Symbols of assembly have no size, and reach up to the next one.
            *size == 0 || address - start <= *size
        });
        // An address just behind a site is what some exits leave.
        let at =
            |(start, end, op): &(u64, u64, &'static str)| (*start..*end).contains(&address).then_some(*op);
        let behind = |(_, end, op): &(u64, u64, &'static str)| (*end == address).then_some(*op);
        let op = self.sites.iter().find_map(at).or_else(|| self.sites.iter().find_map(behind));
        let offset = symbol.map_or(0, |(start, ..)| address - start);
        let symbol = symbol.map(|(.., name)| name.clone());
        (symbol.is_some() || op.is_some()).then_some(Place { symbol, offset, op })
    }
}

/// Returns the symbols that begin at an address or before, the last first.
fn before(symbols: &[Symbol], address: u64) -> impl Iterator<Item = &Symbol> {
    let behind = symbols.partition_point(|(start, ..)| *start <= address);
    symbols[..behind].iter().rev().take(OVERLAPPING_MAX)
}

/// Reads the symbols of code. What is written by hand may have no type: then its section says whether it is code.
fn symbols<'file, H: FileHeader>(elf: &ElfFile<'file, H, &'file ReadCache<File>>) -> Vec<Symbol> {
    let (mut functions, mut labels) = (Vec::new(), Vec::new());
    for symbol in elf.symbols() {
        let section = symbol.section_index().and_then(|index| elf.section_by_index(index).ok());
        let is_code = section.is_some_and(|section| section.kind() == SectionKind::Text);
        let list = match symbol.kind() {
            SymbolKind::Text if !symbol.is_undefined() => &mut functions,
            SymbolKind::Unknown if is_code => &mut labels,
            _ => continue,
        };
        if let Ok(name) = symbol.name() {
            list.push((symbol.address(), symbol.size(), format!("{:#}", rustc_demangle::demangle(name))));
        }
    }
    functions.sort();
    // Within a function, its name says more.
    let is_within = |at: u64| before(&functions, at).any(|(start, size, _)| at - start < *size);
    labels.retain(|(at, ..)| !is_within(*at));
    functions.append(&mut labels);
    functions.sort();
    functions
}

/// Reads the records of the sites, as far as they make sense.
fn sites(section: u64, bytes: &[u8]) -> Vec<(u64, u64, &'static str)> {
    let names: HashMap<u16, &'static str> = Op::all().map(|op| (op.number(), op.name())).collect();
    let records =
        bytes.chunks_exact(size_of::<SiteRecord>()).zip((section..).step_by(size_of::<SiteRecord>()));
    let site = |(record, at): (&[u8], u64)| {
        let offset = i32::from_le_bytes(record[..4].try_into().ok()?);
        let op = names.get(&u16::from_le_bytes(record[4..6].try_into().ok()?))?;
        let start = at.wrapping_add_signed(offset.into());
        Some((start, start.wrapping_add(record[6].into()), *op))
    };
    records.filter_map(site).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn addresses_are_found_in_symbols_and_sites_physical_ones_too() {
        let symbols = Symbols {
            symbols: vec![(0x1000, 0x10, "sized".to_owned()), (0x1010, 0, "open".to_owned())],
            sites: vec![(0x1002, 0x1007, "irq::disable"), (0x1007, 0x100c, "irq::enable")],
            segments: vec![(0x20_1000, 0x100, 0x1000)],
        };
        let place = |address| {
            let place = symbols.find(address)?;
            Some((place.symbol.unwrap_or_default(), place.offset, place.op))
        };
        assert_eq!(place(0x1000), Some(("sized".to_owned(), 0, None)));
        assert_eq!(place(0x1002), Some(("sized".to_owned(), 2, Some("irq::disable"))));
        assert_eq!(place(0x1007), Some(("sized".to_owned(), 7, Some("irq::enable"))));
        assert_eq!(place(0x100c), Some(("sized".to_owned(), 12, Some("irq::enable"))));
        assert_eq!(place(0x1020), Some(("open".to_owned(), 0x10, None)));
        assert_eq!(place(0x20_1002), Some(("sized".to_owned(), 2, Some("irq::disable"))));
        assert_eq!(place(0xfff), None);
    }

    /// An image with a function that has a label in it, with code that has no type, and with data that has none.
    fn elf(wide: bool) -> tempfile::NamedTempFile {
        let half = |value: usize| (value as u16).to_le_bytes();
        let long = |value: u64| (value as u32).to_le_bytes();
        let word = |value: u64| value.to_le_bytes()[..if wide { 8 } else { 4 }].to_vec();
        let (header, program, section) = if wide { (64, 56, 64) } else { (52, 32, 40) };
        let mut symbols = Vec::new();
        // Name, type, section, address, size.
        let all = [
            [0; 5],
            [1, 2, 1, 0x1000, 0x10],
            [10, 0, 1, 0x1008, 0],
            [16, 0, 1, 0x1020, 0],
            [22, 0, 2, 0x1080, 0],
        ];
        for [name, kind, section, address, size] in all {
            let place = [word(address), word(size)].concat();
            let kind = [&[kind as u8, 0][..], &half(section as usize)].concat();
            let fields = if wide { [kind, place] } else { [place, kind] };
            symbols.extend([&long(name)[..], &fields.concat()].concat());
        }
        let names = b"\0function\0inner\0start\0data\0".to_vec();
        let symbols_at = header + program;
        let names_at = symbols_at + symbols.len();
        let sections_at = names_at + names.len();
        let mut file = vec![0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1, 1];
        file.resize(16, 0);
        file.extend([half(2), half(if wide { 62 } else { 3 })].as_flattened());
        file.extend([&long(1)[..], &word(0x1000), &word(header as u64), &word(sections_at as u64)].concat());
        file.extend([&long(0)[..], [header, program, 1, section, 5, 4].map(half).as_flattened()].concat());
        let (load, flags) = (long(1), long(7));
        let range = [0, 0x1000, 0x20_1000, 0x100, 0x100].map(word).concat();
        let range = if wide { [&flags[..], &range].concat() } else { [&range[..], &flags].concat() };
        file.extend([&load[..], &range, &word(1)].concat());
        file.extend(symbols);
        file.extend(names);
        // Type, flags, address, offset, size, section of the names, size of an entry.
        let [symbols_at, names_at, sections_at] = [symbols_at, names_at, sections_at].map(|at| at as u64);
        for [kind, flags, address, offset, size, link, entry] in [
            [0; 7],
            [1, 6, 0x1000, 0, 0x80, 0, 0],
            [1, 3, 0x1080, 0, 0x80, 0, 0],
            [2, 0, 0, symbols_at, names_at - symbols_at, 4, if wide { 24 } else { 16 }],
            [3, 0, 0, names_at, sections_at - names_at, 0, 0],
        ] {
            file.extend([long(0), long(kind)].as_flattened());
            file.extend([flags, address, offset, size].map(word).concat());
            file.extend([&long(link)[..], &long(0), &word(1), &word(entry)].concat());
        }
        let mut image = tempfile::NamedTempFile::new().unwrap();
        image.write_all(&file).unwrap();
        image
    }

    #[test]
    fn code_is_found_in_images_of_both_classes_whether_or_not_it_has_a_type() {
        for wide in [true, false] {
            let symbols = Symbols::read(elf(wide).path());
            for (address, name, offset) in [
                (0x1009, "function", 9),
                (0x1020, "start", 0),
                (0x1084, "start", 0x64),
                (0x20_1009, "function", 9),
            ] {
                let place = symbols.find(address).unwrap_or_else(|| panic!("{address:#x} of {symbols:?}"));
                assert_eq!((place.symbol.as_deref(), place.offset), (Some(name), offset), "{address:#x}");
            }
        }
    }

    #[test]
    fn records_are_relative_to_themselves() {
        let mut bytes = Vec::new();
        bytes.extend((-0x10_i32).to_le_bytes());
        bytes.extend(0_u16.to_le_bytes());
        bytes.extend([5, 0]);
        bytes.extend([0xff; 8]);
        let first = Op::all().find(|op| op.number() == 0).map(Op::name);
        let expected: Vec<_> = first.map(|op| (0x1ff0, 0x1ff5, op)).into_iter().collect();
        assert_eq!(sites(0x2000, &bytes), expected);
    }
}
