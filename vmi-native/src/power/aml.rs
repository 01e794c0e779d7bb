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

/// Returns the first two numbers of the package that is declared, in `bytes` around a name.
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
    let (a, numbers) = number(numbers)?;
    let b = match count {
        0 => return None,
        1 => a,
        _ => number(numbers)?.0,
    };
    Some([a, b])
}

/// Returns a sleep type, of three bits, and what stands behind it.
fn number(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (value, rest) = match bytes {
        [value @ (0 | 1), rest @ ..] => (u32::from(*value), rest),
        [0x0a, value, rest @ ..] => (u32::from(*value), rest),
        [0x0b, low, high, rest @ ..] => (u32::from(u16::from_le_bytes([*low, *high])), rest),
        [0x0c, b0, b1, b2, b3, rest @ ..] => (u32::from_le_bytes([*b0, *b1, *b2, *b3]), rest),
        _ => return None,
    };
    Some((u8::try_from(value).ok().filter(|value| *value <= 7)?, rest))
}
