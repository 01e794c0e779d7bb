//! What the power switch needs of the tables: ACPI specification, "Fixed ACPI Description Table (FADT)".

use super::{
    aml,
    register::Register,
    tables::{AcpiError, List, Read, Table},
};

/// Offsets of fields in bytes.
mod field {
    pub(super) const DSDT: u32 = 40;
    pub(super) const SMI_CMD: u32 = 48;
    pub(super) const ACPI_ENABLE: u32 = 52;
    pub(super) const PM1A_CNT_BLK: u32 = 64;
    pub(super) const PM1B_CNT_BLK: u32 = 68;
    pub(super) const PM_TMR_BLK: u32 = 76;
    pub(super) const FLAGS: u32 = 112;
    pub(super) const RESET_REG: u32 = 116;
    pub(super) const RESET_VALUE: u32 = 128;
    pub(super) const X_DSDT: u32 = 140;
    pub(super) const X_PM1A_CNT_BLK: u32 = 172;
    pub(super) const X_PM1B_CNT_BLK: u32 = 184;
    pub(super) const X_PM_TMR_BLK: u32 = 208;
    pub(super) const SLEEP_CONTROL_REG: u32 = 244;
}

const RESET_REG_SUP: u32 = 1 << 10;
const HW_REDUCED_ACPI: u32 = 1 << 20;

/// The registers that switch a machine off and reset it, and its timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Description {
    /// Values for the sleep type fields of PM1a (or sleep control) and PM1b, 0 to 7, if `\_S5` was found.
    pub(super) sleep_types: Option<[u8; 2]>,
    pub(super) pm1a_control: Option<Register>,
    pub(super) pm1b_control: Option<Register>,
    /// Instead of the PM1 registers, on a hardware-reduced machine.
    pub(super) sleep_control: Option<Register>,
    pub(super) smi_command: Option<Register>,
    /// What is written there to enter ACPI mode; 0 on a machine that is always in it.
    pub(super) acpi_enable: u8,
    pub(super) reset: Option<Register>,
    pub(super) reset_value: u8,
    /// Port of the power management timer.
    pub(super) pm_timer: Option<u16>,
}

impl Description {
    /// Returns what the tables behind a root pointer say.
    pub(super) fn find(rsdp: u64, read: Read<'_>) -> Result<Self, AcpiError> {
        let list = List::find(read, rsdp)?;
        let fadt = list.first(*b"FACP")?;
        let flags = u32::from_le_bytes(fadt.get(field::FLAGS)?);
        let reduced = flags & HW_REDUCED_ACPI != 0;
        let pm1 = |new, old| {
            if reduced { Ok(None) } else { either(&fadt, new, old) }
        };
        let dsdt = Table::at(read, dsdt_address(&fadt)?)?.named(*b"DSDT")?;
        Ok(Self {
            sleep_types: aml::sleep_types(&dsdt)
                .or_else(|| list.all(*b"SSDT").find_map(|table| aml::sleep_types(&table))),
            pm1a_control: pm1(field::X_PM1A_CNT_BLK, field::PM1A_CNT_BLK)?,
            pm1b_control: pm1(field::X_PM1B_CNT_BLK, field::PM1B_CNT_BLK)?,
            sleep_control: Register::from_generic(fadt.get(field::SLEEP_CONTROL_REG)?).filter(|_| reduced),
            smi_command: Register::from_port(u32::from_le_bytes(fadt.get(field::SMI_CMD)?)),
            acpi_enable: fadt.get::<1>(field::ACPI_ENABLE)?[0],
            reset: Register::from_generic(fadt.get(field::RESET_REG)?).filter(|_| flags & RESET_REG_SUP != 0),
            reset_value: fadt.get::<1>(field::RESET_VALUE)?[0],
            pm_timer: match pm1(field::X_PM_TMR_BLK, field::PM_TMR_BLK)? {
                Some(Register::Port(port)) => Some(port),
                _ => None,
            },
        })
    }
}

/// Returns the register of the generic address at `new`, or else of the port number at `old`.
fn either(fadt: &Table<'_>, new: u32, old: u32) -> Result<Option<Register>, AcpiError> {
    let generic = Register::from_generic(fadt.get(new)?);
    Ok(generic.or(Register::from_port(u32::from_le_bytes(fadt.get(old)?))))
}

fn dsdt_address(fadt: &Table<'_>) -> Result<u64, AcpiError> {
    let new = u64::from_le_bytes(fadt.get(field::X_DSDT)?);
    let old = u32::from_le_bytes(fadt.get(field::DSDT)?);
    Ok(if new == 0 { old.into() } else { new })
}

#[cfg(test)]
mod tests;
