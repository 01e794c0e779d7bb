//! From a guest address to the symbol and the op of the image.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, ReadCache, SymbolKind};
use vmi_abi::{Op, SiteRecord};

use super::statistics::Place;

/// What an image says of its addresses; nothing where it is no ELF file or has no symbols.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    /// Address, size and name, by address.
    symbols: Vec<(u64, u64, String)>,
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
        let Ok(elf) = ElfFile64::<Endianness, _>::parse(&cache) else { return Self::default() };
        let mut found = Self::default();
        for symbol in
            elf.symbols().filter(|symbol| !symbol.is_undefined() && symbol.kind() == SymbolKind::Text)
        {
            if let Ok(name) = symbol.name() {
                let name = format!("{:#}", rustc_demangle::demangle(name));
                found.symbols.push((symbol.address(), symbol.size(), name));
            }
        }
        found.symbols.sort();
        if let Some(section) = elf.section_by_name("vmi_sites")
            && let Ok(bytes) = section.data()
        {
            found.sites = sites(section.address(), bytes);
        }
        for header in elf.elf_program_headers() {
            let endian = elf.endian();
            found.segments.push((header.p_paddr(endian), header.p_memsz(endian), header.p_vaddr(endian)));
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
        let behind = self.symbols.partition_point(|(start, ..)| *start <= address);
        let symbol = self.symbols[..behind].iter().rev().take(4).find(|(start, size, _)| {
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
