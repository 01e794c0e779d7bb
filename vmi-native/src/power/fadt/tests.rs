//! Made-up and damaged tables.

use super::*;
use proptest::prelude::*;
use std::{vec, vec::Vec};

const RSDP: u64 = 0xf_0000;
const LIST: u64 = 0x1_0000;
const FADT: u64 = 0x2_0000;
const DSDT: u64 = 0x3_0000;
const SSDT: u64 = 0x4_0000;

/// A machine's memory: a few blocks of bytes.
#[derive(Clone, Debug)]
struct Memory(Vec<(u64, Vec<u8>)>);

impl Memory {
    fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let block = self.0.iter().find_map(|(start, block)| {
            let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
            block.get(offset..offset.checked_add(bytes.len())?)
        });
        block.is_some_and(|block| {
            bytes.copy_from_slice(block);
            true
        })
    }

    fn describe(&self) -> Result<Description, AcpiError> {
        Description::find(RSDP, &|address, bytes| self.read(address, bytes))
    }

    fn block(&mut self, address: u64) -> &mut Vec<u8> {
        &mut self.0.iter_mut().find(|(start, _)| *start == address).unwrap().1
    }

    /// Changes a table and makes its length and checksum right again.
    fn change(&mut self, address: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let block = self.block(address);
        change(block);
        *block = sealed(std::mem::take(block));
    }
}

fn sealed(mut table: Vec<u8>) -> Vec<u8> {
    let length = (table.len() as u32).to_le_bytes();
    table[4..8].copy_from_slice(&length);
    fix_sum(&mut table, 9);
    table
}

fn fix_sum(bytes: &mut [u8], at: usize) {
    bytes[at] = 0;
    bytes[at] = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
}

fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut table = vec![0; 36];
    table[..4].copy_from_slice(signature);
    table.extend(body);
    sealed(table)
}

fn put(table: &mut [u8], offset: u32, bytes: &[u8]) {
    table[offset as usize..][..bytes.len()].copy_from_slice(bytes);
}

fn generic(space: u8, address: u64) -> Vec<u8> {
    [&[space, 8, 0, 0][..], &address.to_le_bytes()].concat()
}

/// A PC of the first version: 116 bytes of FADT, ports only, an RSDT.
fn old_pc() -> Memory {
    let mut pointer = b"RSD PTR \0OEMID \0".to_vec();
    pointer.extend((LIST as u32).to_le_bytes());
    fix_sum(&mut pointer, 8);
    let mut fadt = vec![0; 116];
    fadt[..4].copy_from_slice(b"FACP");
    put(&mut fadt, field::DSDT, &(DSDT as u32).to_le_bytes());
    put(&mut fadt, field::SMI_CMD, &[0xb2, 0]);
    put(&mut fadt, field::ACPI_ENABLE, &[0xf1]);
    put(&mut fadt, field::PM1A_CNT_BLK, &[0x04, 0x06]);
    put(&mut fadt, field::PM_TMR_BLK, &[0x08, 0x06]);
    let list = [&(SSDT as u32).to_le_bytes()[..], &(FADT as u32).to_le_bytes()].concat();
    Memory(vec![
        (RSDP, pointer),
        (LIST, table(b"RSDT", &list)),
        (FADT, sealed(fadt)),
        (DSDT, table(b"DSDT", b"....\x08_S5_\x12\x08\x04\x0a\x05\x0a\x06\0\0....")),
        (SSDT, table(b"SSDT", b"")),
    ])
}

/// A hardware-reduced machine of the fifth version.
fn reduced() -> Memory {
    let mut pointer = b"RSD PTR \0OEMID \x02\0\0\0\0".to_vec();
    pointer.extend(36u32.to_le_bytes());
    pointer.extend(LIST.to_le_bytes());
    pointer.extend([0; 4]);
    fix_sum(&mut pointer[..20], 8);
    fix_sum(&mut pointer, 32);
    let mut fadt = vec![0; 276];
    fadt[..4].copy_from_slice(b"FACP");
    put(&mut fadt, field::X_DSDT, &DSDT.to_le_bytes());
    put(&mut fadt, field::FLAGS, &(RESET_REG_SUP | HW_REDUCED_ACPI).to_le_bytes());
    put(&mut fadt, field::RESET_REG, &generic(0, 0xfea0_0042));
    put(&mut fadt, field::RESET_VALUE, &[0x42]);
    put(&mut fadt, field::X_PM1A_CNT_BLK, &generic(1, 0x604));
    put(&mut fadt, field::SLEEP_CONTROL_REG, &generic(0, 0xfea0_0000));
    Memory(vec![
        (RSDP, pointer),
        (LIST, table(b"XSDT", &FADT.to_le_bytes())),
        (FADT, sealed(fadt)),
        (DSDT, table(b"DSDT", b"\x08\\_S5_\x12\x06\x04\x0a\x05\0\0\0")),
    ])
}

fn with_code(code: &[u8]) -> Option<[u8; 2]> {
    let mut memory = old_pc();
    memory.change(DSDT, |dsdt| {
        dsdt.truncate(36);
        dsdt.extend(code);
    });
    memory.describe().unwrap().sleep_types
}

#[test]
fn an_old_pc_is_described() {
    let expected = Description {
        sleep_types: Some([5, 6]),
        pm1a_control: Some(Register::Port(0x604)),
        pm1b_control: None,
        sleep_control: None,
        smi_command: Some(Register::Port(0xb2)),
        acpi_enable: 0xf1,
        reset: None,
        reset_value: 0,
        pm_timer: Some(0x608),
    };
    assert_eq!(old_pc().describe(), Ok(expected));
}

#[test]
fn a_reduced_machine_is_described() {
    let expected = Description {
        sleep_types: Some([5, 0]),
        pm1a_control: None,
        pm1b_control: None,
        sleep_control: Some(Register::Memory(0xfea0_0000)),
        smi_command: None,
        acpi_enable: 0,
        reset: Some(Register::Memory(0xfea0_0042)),
        reset_value: 0x42,
        pm_timer: None,
    };
    assert_eq!(reduced().describe(), Ok(expected));
}

#[test]
fn numbers_of_every_length_are_read() {
    for (package, types) in [
        (&b"\x12\x06\x04\0\x01\0\0"[..], Some([0, 1])),
        (b"\x12\x0a\x02\x0b\x05\0\x0b\x07\0", Some([5, 7])),
        (b"\x12\x0c\x02\x0c\x05\0\0\0\x0c\x03\0\0\0", Some([5, 3])),
        (b"\x12\x4a\0\x02\x0a\x05\x0a\x05", Some([5, 5])),
        (b"\x12\x02\0", None),
        (b"\x12\x06\x02\x0a\x08\0", None),
        (b"\x12\x06\x02\x0b\x05\x01\0", None),
        (b"\x12\x06\x02\x0e\x05\x01\0", None),
        (b"\x12\x04\x02\x01\xff", None),
        (b"\x14\x06\x02\0\0", None),
        (b"\x12", None),
        (b"\x12\x04\x02\0", Some([0, 0])),
    ] {
        assert_eq!(with_code(&[b".\x08_S5_", package].concat()), types, "{package:x?}");
    }
}

#[test]
fn one_number_alone_holds_both_sleep_types() {
    for (package, types) in [
        (&b"\x12\x05\x01\x0b\x05\x07"[..], Some([5, 7])),
        (b"\x12\x45\0\x01\x0b\x05\x07", Some([5, 7])),
        (b"\x12\x07\x01\x0c\x05\x07\0\0", Some([5, 7])),
        (b"\x12\x07\x01\x0c\x05\x07\xff\xff", Some([5, 7])),
        (b"\x12\x04\x01\x0a\x05", Some([5, 0])),
        (b"\x12\x03\x01\0", Some([0, 0])),
        (b"\x12\x03\x01\x01", Some([1, 0])),
        (b"\x12\x03\x01\xff", None),
        (b"\x12\x05\x01\x0b\x08\x07", None),
        (b"\x12\x05\x01\x0b\x05\x08", None),
    ] {
        assert_eq!(with_code(&[b".\x08_S5_", package].concat()), types, "{package:x?}");
        assert_eq!(with_code(&[b"\x08\\_S5_", package].concat()), types, "{package:x?}");
    }
}

#[test]
fn a_name_that_is_only_mentioned_is_passed_over() {
    assert_eq!(with_code(b".._S5_\x12\x06\x04\x01\x01\0\0\x08_S5_\x12\x06\x04\x0a\x05\0\0\0"), Some([5, 0]));
    assert_eq!(with_code(b""), None);
    assert_eq!(with_code(b"_S5_"), None);
}

#[test]
fn the_name_is_found_across_chunks() {
    for lead in 200..560 {
        let code = [&vec![b'.'; lead][..], b"\x08_S5_\x12\x06\x04\x0a\x05\0\0\0"].concat();
        assert_eq!(with_code(&code), Some([5, 0]), "behind {lead} bytes");
    }
}

#[test]
fn the_package_may_be_in_another_table() {
    let mut memory = old_pc();
    memory.change(DSDT, |dsdt| dsdt.truncate(36));
    memory.change(SSDT, |ssdt| ssdt.extend(b"\x08_S5_\x12\x06\x04\x0a\x03\0\0\0"));
    assert_eq!(memory.describe().unwrap().sleep_types, Some([3, 0]));
}

#[test]
fn registers_elsewhere_are_not_used() {
    for register in [generic(2, 0x604), generic(1, 0x1_0000), generic(1, 0), generic(0, 0), generic(0x7f, 1)]
    {
        let mut memory = reduced();
        memory.change(FADT, |fadt| put(fadt, field::SLEEP_CONTROL_REG, &register));
        assert_eq!(memory.describe().unwrap().sleep_control, None, "{register:x?}");
    }
}

#[test]
fn flags_say_which_registers_count() {
    let mut memory = reduced();
    memory.change(FADT, |fadt| put(fadt, field::FLAGS, &[0; 4]));
    let found = memory.describe().unwrap();
    assert_eq!((found.sleep_control, found.reset), (None, None));
    assert_eq!(found.pm1a_control, Some(Register::Port(0x604)));
}

#[test]
fn the_list_of_the_second_version_may_have_any_name() {
    let mut memory = reduced();
    memory.change(LIST, |list| put(list, 0, b"S\xff\0\xf0"));
    assert_eq!(memory.describe(), reduced().describe());
    let mut memory = old_pc();
    memory.change(LIST, |list| put(list, 0, b"X"));
    assert_eq!(memory.describe(), Err(AcpiError::Signature { address: LIST, found: *b"XSDT" }));
}

#[test]
fn damage_is_named() {
    let damaged = |damage: fn(&mut Memory)| {
        let mut memory = reduced();
        damage(&mut memory);
        memory.describe().unwrap_err()
    };
    assert_eq!(damaged(|m| m.block(RSDP)[0] = b'r'), AcpiError::NotARootPointer(RSDP));
    assert_eq!(damaged(|m| m.block(RSDP)[9] ^= 1), AcpiError::Checksum(RSDP));
    assert_eq!(damaged(|m| m.block(RSDP)[33] ^= 1), AcpiError::Checksum(RSDP));
    assert_eq!(damaged(|m| m.block(RSDP)[20] = 35), AcpiError::Length { address: RSDP, bytes: 35 });
    assert_eq!(damaged(|m| m.block(RSDP).truncate(30)), AcpiError::Unmapped(RSDP + 20));
    assert_eq!(damaged(|m| m.block(LIST)[40] ^= 1), AcpiError::Checksum(LIST));
    assert_eq!(damaged(|m| m.change(LIST, |t| t.truncate(36))), AcpiError::Missing(*b"FACP"));
    assert_eq!(damaged(|m| m.block(LIST)[4] = 35), AcpiError::Length { address: LIST, bytes: 35 });
    assert_eq!(damaged(|m| m.block(LIST)[7] = 255), AcpiError::Length { address: LIST, bytes: 0xff00_002c });
    assert_eq!(damaged(|m| m.block(FADT)[100] ^= 1), AcpiError::Checksum(FADT));
    assert_eq!(damaged(|m| m.block(FADT).truncate(100)), AcpiError::Unmapped(FADT));
    assert_eq!(damaged(|m| m.change(FADT, |t| t[0] = b'f')), AcpiError::Missing(*b"FACP"));
    assert_eq!(damaged(|m| m.change(FADT, |t| t.truncate(36))), AcpiError::Unmapped(0));
    assert_eq!(
        damaged(|m| m.change(DSDT, |t| t[0] = b'd')),
        AcpiError::Signature { address: DSDT, found: *b"dSDT" }
    );
}

/// Changes that keep the sums right, so that they get past the first check.
fn forged(mut memory: Memory, changes: &[(usize, usize, u8)]) -> Memory {
    for &(block, offset, value) in changes {
        let count = memory.0.len();
        let (address, bytes) = &mut memory.0[block % count];
        let offset = offset % bytes.len();
        bytes[offset] = value;
        if *address == RSDP {
            fix_sum(&mut bytes[..20], 8);
            if bytes.len() > 20 {
                fix_sum(bytes, 32);
            }
        } else {
            fix_sum(bytes, 9);
        }
    }
    memory
}

proptest! {
    #[test]
    fn any_change_is_survived(old: bool, changes in prop::collection::vec((0usize..8, any::<usize>(), any::<u8>()), 1..20)) {
        let memory = forged(if old { old_pc() } else { reduced() }, &changes);
        if let Ok(found) = memory.describe() {
            prop_assert!(found.sleep_types.unwrap_or_default().iter().all(|kind| *kind <= 7));
        }
    }

    #[test]
    fn any_flipped_bit_is_noticed(block in 0usize..4, offset: usize, bit in 0u8..8) {
        let mut memory = reduced();
        let (_, bytes) = &mut memory.0[block];
        let offset = offset % bytes.len();
        bytes[offset] ^= 1 << bit;
        prop_assert!(memory.describe().is_err());
    }

    #[test]
    fn any_code_is_survived(code in prop::collection::vec(prop_oneof![
        any::<u8>(), Just(0x08), Just(0x12), Just(b'_'), Just(b'S'), Just(b'5'),
    ], 0..600)) {
        let _ = with_code(&code);
        let _ = with_code(&[b"\x08_S5_", &code[..]].concat());
    }

    #[test]
    fn any_root_pointer_address_is_survived(rsdp: u64) {
        let memory = reduced();
        prop_assume!(rsdp != RSDP);
        prop_assert!(Description::find(rsdp, &|address, bytes| memory.read(address, bytes)).is_err());
        prop_assert!(Description::find(rsdp, &|_, _| true).is_err(), "everything reads zero");
    }
}
