//! The one package that must be known: ACPI specification, "AML Grammar Definition", and `\_Sx (System
//! States)`.

use super::tables::{HEADER, Table};

const NAME_OP: u8 = 0x08;
const PACKAGE_OP: u8 = 0x12;
const ROOT: u8 = b'\\';
const NAME: [u8; 4] = *b"_S5_";
/// Bytes in front of the name that matter, and behind it.
const BEFORE: usize = 2;
const BEHIND: usize = 18;

/// Returns the sleep types for PM1a and PM1b in the table's `\_S5`, if it declares one.
///
/// The byte code is searched, not run, for a declaration of the name with a package of numbers.
pub(super) fn sleep_types(table: &Table<'_>) -> Option<[u8; 2]> {
    const CHUNK: usize = 256;
    let mut offset = HEADER;
    while offset < table.bytes() {
        let chunk: [u8; CHUNK] = table.get(offset).ok()?;
        for (at, _) in chunk.windows(NAME.len()).enumerate().filter(|(_, bytes)| *bytes == NAME) {
            // The header lies in front of the first byte of code, so there are bytes in front of every name.
            let around = table.get(offset + at as u32 - BEFORE as u32).ok()?;
            if let Some(types) = declaration(around) {
                return Some(types);
            }
        }
        offset += (CHUNK - NAME.len() + 1) as u32;
    }
    None
}

/// Returns the sleep types of the package that is declared, in `bytes` around a name: its first two numbers, or the
/// two low bytes of its only one.
fn declaration(bytes: [u8; BEFORE + NAME.len() + BEHIND]) -> Option<[u8; 2]> {
    let (before, behind) = bytes.split_at(BEFORE);
    if !matches!(before, [_, NAME_OP] | [NAME_OP, ROOT]) {
        return None;
    }
    let [PACKAGE_OP, rest @ ..] = behind.get(NAME.len()..)? else {
        return None;
    };
    // The length's two highest bits count the bytes that follow in it.
    let more = usize::from(rest.first()? >> 6);
    let [count, numbers @ ..] = rest.get(1 + more..)? else {
        return None;
    };
    let (first, numbers) = number(numbers)?;
    let [a, b] = match count {
        0 => return None,
        1 => [first & 0xff, first >> 8 & 0xff],
        _ => [first, number(numbers)?.0],
    };
    Some([sleep_type(a)?, sleep_type(b)?])
}

/// Returns a number as a sleep type, which has three bits.
fn sleep_type(number: u32) -> Option<u8> {
    u8::try_from(number).ok().filter(|number| *number <= 7)
}

/// Returns a number, and what stands behind it.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    Some(match bytes {
        [value @ (0 | 1), rest @ ..] => (u32::from(*value), rest),
        [0x0a, value, rest @ ..] => (u32::from(*value), rest),
        [0x0b, low, high, rest @ ..] => (u32::from(u16::from_le_bytes([*low, *high])), rest),
        [0x0c, b0, b1, b2, b3, rest @ ..] => (u32::from_le_bytes([*b0, *b1, *b2, *b3]), rest),
        [0xff, rest @ ..] => (u32::MAX, rest),
        _ => return None,
    })
}
