//! From the root pointer to a table: ACPI specification, "ACPI System Description Tables".

/// Reads bytes at a physical address, or tells that it cannot.
pub(super) type Read<'a> = &'a dyn Fn(u64, &mut [u8]) -> bool;

/// Why the ACPI tables cannot be used. Addresses are physical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcpiError {
    /// The kernel does not map the bytes of a table.
    Unmapped(u64),
    /// There is no root pointer at the address that was given.
    NotARootPointer(u64),
    /// The bytes of a table do not add up to 0.
    Checksum(u64),
    /// A table states a length it cannot have.
    Length {
        /// The table.
        address: u64,
        /// Its length in bytes.
        bytes: u32,
    },
    /// A table is another than the pointer to it says.
    Signature {
        /// The table.
        address: u64,
        /// Its signature.
        found: [u8; 4],
    },
    /// The list of tables has none with this signature.
    Missing([u8; 4]),
}

impl core::fmt::Display for AcpiError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Unmapped(address) => write!(f, "the acpi table at {address:#x} is not mapped"),
            Self::NotARootPointer(address) => write!(f, "no acpi root pointer is at {address:#x}"),
            Self::Checksum(address) => write!(f, "the acpi table at {address:#x} has a wrong checksum"),
            Self::Length { address, bytes } => {
                write!(f, "the acpi table at {address:#x} cannot be {bytes} bytes long")
            }
            Self::Signature { address, found } => {
                write!(f, "the acpi table at {address:#x} is called \"{}\"", found.escape_ascii())
            }
            Self::Missing(signature) => write!(f, "there is no acpi table \"{}\"", signature.escape_ascii()),
        }
    }
}

impl core::error::Error for AcpiError {}

/// Bytes of the header that every table has.
pub(super) const HEADER: u32 = 36;
/// Bytes of the longest table that is believed: real ones stay far below.
const LONGEST: u32 = 8 << 20;
/// Tables in a list, at most.
const MOST_TABLES: u32 = 256;

/// A table that was checked: signature, length and checksum are good.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    read: Read<'a>,
    address: u64,
    signature: [u8; 4],
    bytes: u32,
}

impl<'a> Table<'a> {
    /// Returns the table at an address.
    pub(super) fn at(read: Read<'a>, address: u64) -> Result<Self, AcpiError> {
        let mut header = [0; 8];
        fill(read, address, &mut header)?;
        let [s0, s1, s2, s3, length @ ..] = header;
        let table = Self { read, address, signature: [s0, s1, s2, s3], bytes: u32::from_le_bytes(length) };
        let good =
            (HEADER..=LONGEST).contains(&table.bytes) && address.checked_add(table.bytes.into()).is_some();
        if !good {
            return Err(AcpiError::Length { address, bytes: table.bytes });
        }
        check_sum(read, address, table.bytes)?;
        Ok(table)
    }

    /// Returns the table if it has this signature.
    pub(super) fn named(self, signature: [u8; 4]) -> Result<Self, AcpiError> {
        if self.signature == signature {
            Ok(self)
        } else {
            Err(AcpiError::Signature { address: self.address, found: self.signature })
        }
    }

    /// Returns the number of its bytes, header included.
    pub(super) fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Returns bytes of the table from an offset on, with zeros for what lies behind its end.
    pub(super) fn get<const N: usize>(&self, offset: u32) -> Result<[u8; N], AcpiError> {
        let mut bytes = [0; N];
        let inside = self.bytes.saturating_sub(offset).min(N as u32);
        if inside != 0 {
            // Does not overflow: the offset is inside the table, and the table's end is an address.
            fill(self.read, self.address + u64::from(offset), &mut bytes[..inside as usize])?;
        }
        Ok(bytes)
    }
}

/// The list of all tables: the XSDT or the RSDT.
pub(super) struct List<'a> {
    table: Table<'a>,
    entry_bytes: u32,
}

impl<'a> List<'a> {
    /// Returns the list that a root pointer leads to.
    pub(super) fn find(read: Read<'a>, rsdp: u64) -> Result<Self, AcpiError> {
        const FIRST_VERSION: u32 = 20;
        const SECOND_VERSION: u32 = 36;

        let mut pointer = [0; FIRST_VERSION as usize];
        fill(read, rsdp, &mut pointer)?;
        let [b'R', b'S', b'D', b' ', b'P', b'T', b'R', b' ', _, _, _, _, _, _, _, revision, rsdt @ ..] =
            pointer
        else {
            return Err(AcpiError::NotARootPointer(rsdp));
        };
        check_sum(read, rsdp, FIRST_VERSION)?;
        if revision >= 2 {
            let mut rest = [0; (SECOND_VERSION - FIRST_VERSION) as usize];
            fill(read, rsdp.saturating_add(FIRST_VERSION.into()), &mut rest)?;
            let [l0, l1, l2, l3, xsdt @ .., _, _, _, _] = rest;
            let bytes = u32::from_le_bytes([l0, l1, l2, l3]);
            if !(SECOND_VERSION..=4096).contains(&bytes) {
                return Err(AcpiError::Length { address: rsdp, bytes });
            }
            check_sum(read, rsdp, bytes)?;
            let xsdt = u64::from_le_bytes(xsdt);
            if xsdt != 0 {
                // Its name is not looked at: Xen makes its dom0's list out of the firmware's XSDT, and where that has
                // only an RSDT, as QEMU's, out of whatever lies at address 0.
                return Ok(Self { table: Table::at(read, xsdt)?, entry_bytes: 8 });
            }
        }
        let rsdt = u32::from_le_bytes(rsdt).into();
        Ok(Self { table: Table::at(read, rsdt)?.named(*b"RSDT")?, entry_bytes: 4 })
    }

    /// Returns the good tables of this signature, without the damaged ones.
    pub(super) fn all(&self, signature: [u8; 4]) -> impl Iterator<Item = Table<'a>> {
        self.entries()
            .filter_map(move |address| Table::at(self.table.read, address).ok()?.named(signature).ok())
    }

    /// Returns the first table of this signature. A damaged one is only an error if there is no good one.
    pub(super) fn first(&self, signature: [u8; 4]) -> Result<Table<'a>, AcpiError> {
        let mut error = AcpiError::Missing(signature);
        for address in self.entries() {
            match Table::at(self.table.read, address).and_then(|table| table.named(signature)) {
                Ok(table) => return Ok(table),
                Err(AcpiError::Signature { .. }) => {}
                Err(damaged) => error = damaged,
            }
        }
        Err(error)
    }

    fn entries(&self) -> impl Iterator<Item = u64> {
        let count = ((self.table.bytes - HEADER) / self.entry_bytes).min(MOST_TABLES);
        (0..count).filter_map(|index| {
            let bytes: [u8; 8] = self.table.get(HEADER + index * self.entry_bytes).ok()?;
            let address = u64::from_le_bytes(bytes);
            Some(if self.entry_bytes == 4 { address & 0xffff_ffff } else { address })
        })
    }
}

fn fill(read: Read<'_>, address: u64, bytes: &mut [u8]) -> Result<(), AcpiError> {
    let mapped = address != 0 && address.checked_add(bytes.len() as u64).is_some() && read(address, bytes);
    if mapped { Ok(()) } else { Err(AcpiError::Unmapped(address)) }
}

fn check_sum(read: Read<'_>, address: u64, bytes: u32) -> Result<(), AcpiError> {
    let mut sum = 0u8;
    for offset in (0..bytes).step_by(256) {
        let mut chunk = [0; 256];
        let chunk = &mut chunk[..(bytes - offset).min(256) as usize];
        fill(read, address.saturating_add(offset.into()), chunk)?;
        sum = chunk.iter().fold(sum, |sum, byte| sum.wrapping_add(*byte));
    }
    if sum == 0 { Ok(()) } else { Err(AcpiError::Checksum(address)) }
}
