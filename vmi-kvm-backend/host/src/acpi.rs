//! The ACPI tables: which CPUs and devices there are, how to reset and how to switch off.
//!
//! The hardware-reduced kind, because it needs no power-management hardware beyond two registers. Source: ACPI
//! specification, "ACPI Software Programming Model".

use acpi_tables::aml::{
    Device, EISAName, IO, Interrupt, Method, Name, Notify, Package, Path, ResourceTemplate, ZERO,
};
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::madt::{EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic};
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, AmlSink};

use crate::devices::Present;
use crate::error::Result;
use crate::layout;
use crate::memory::{self, Memory};

const OEM: [u8; 6] = *b"VMI   ";
const TABLE: [u8; 8] = *b"VMIRUN  ";
const REVISION: u32 = 1;
/// The size in bytes of a table's header, and the revision of the DSDT whose integers have 64 bits.
const HEADER: u32 = 36;
const DSDT_REVISION: u8 = 2;

/// What is written to the sleep type field to switch off.
pub const OFF: u8 = 5;
/// What is written to the reset register.
pub const RESET: u8 = 0x0e;

/// What the power button tells when it is pressed. Source: ACPI specification, "Control Method Power Button".
const PRESSED: u8 = 0x80;

/// `IAPC_BOOT_ARCH`: there is no VGA; there is no clock in CMOS.
const NO_VGA: u16 = 1 << 2;
const NO_RTC: u16 = 1 << 5;

/// Writes the tables for so many CPUs and the devices that are present; returns where the root pointer is.
///
/// # Errors
///
/// Fails where the guest's memory does.
pub(crate) fn write(memory: &Memory, cpus: usize, present: Present) -> Result<u64> {
    let mut next = layout::ACPI.start + Rsdp::len().next_multiple_of(16) as u64;
    let mut put = |table: &dyn Aml| -> Result<u64> {
        let bytes = bytes(table);
        let at = next;
        next += bytes.len().next_multiple_of(16) as u64;
        memory::write(memory, at, &bytes)?;
        Ok(at)
    };
    let dsdt = put(&RawTable(dsdt(present)))?;
    let fadt = put(&fadt(dsdt, present))?;
    let madt = put(&madt(cpus))?;
    let mut xsdt = XSDT::new(OEM, TABLE, REVISION);
    xsdt.add_entry(fadt);
    xsdt.add_entry(madt);
    let xsdt = put(&xsdt)?;
    memory::write(memory, layout::ACPI.start, &bytes(&Rsdp::new(OEM, xsdt)))?;
    Ok(layout::ACPI.start)
}

/// A table that is bytes already.
struct RawTable(Sdt);

impl Aml for RawTable {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(self.0.as_slice());
    }
}

fn bytes(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}

fn port(port: u16) -> GAS {
    GAS::new(AddressSpace::SystemIo, 8, 0, AccessSize::ByteAccess, port.into())
}

fn fadt(dsdt: u64, present: Present) -> acpi_tables::fadt::FADT {
    let mut table = FADTBuilder::new(OEM, TABLE, REVISION);
    table.x_dsdt = dsdt.into();
    table.iapc_boot_arch = (NO_VGA | if present.rtc { 0 } else { NO_RTC }).into();
    if present.power {
        table.sleep_control_reg = port(layout::POWER.start);
        table.sleep_status_reg = port(layout::POWER.start + 1);
    }
    if present.reset {
        table.reset_reg = port(layout::RESET.start);
        table.reset_value = RESET;
        table = table.flag(Flags::ResetRegSup);
    }
    table.flag(Flags::HwReducedAcpi).flag(Flags::Wbinvd).flag(Flags::Headless).finalize()
}

fn madt(cpus: usize) -> MADT {
    let mut table = MADT::new(OEM, TABLE, REVISION, LocalInterruptController::Address(layout::LOCAL_APIC));
    for cpu in 0..cpus {
        table.add_structure(ProcessorLocalApic::new(cpu as u8, cpu as u8, EnabledStatus::Enabled));
    }
    table.add_structure(IoApic::new(cpus as u8, layout::IO_APIC, 0));
    table
}

fn dsdt(present: Present) -> Sdt {
    let mut table = Sdt::new(*b"DSDT", HEADER, DSDT_REVISION, OEM, TABLE, REVISION);
    let mut add = |object: &dyn Aml| {
        let bytes = bytes(object);
        table.append_slice(&bytes);
    };
    if present.power {
        add(&Name::new("_S5_".into(), &Package::new(vec![&OFF, &ZERO, &ZERO, &ZERO])));
        power_button(&mut add);
    }
    if present.serial {
        device(&mut add, "COM1", &EISAName::new("PNP0501"), &layout::SERIAL, Some(layout::SERIAL_IRQ));
    }
    if present.rtc {
        device(&mut add, "RTC_", &EISAName::new("PNP0B00"), &layout::RTC, None);
    }
    if present.pvpanic {
        device(&mut add, "PEVT", &"QEMU0001", &layout::PVPANIC, None);
    }
    table
}

/// Describes the power button, and the device that tells of its interrupt: without registers of its own, for there is
/// one event alone. Source: ACPI specification, "Control Method Power Button" and "Generic Event Device".
fn power_button(add: &mut dyn FnMut(&dyn Aml)) {
    let name = Path::new("\\_SB_.PWRB");
    add(&Device::new(name, vec![&Name::new("_HID".into(), &EISAName::new("PNP0C0C"))]));
    // As an ISA device's below.
    let irq = Interrupt::new(true, true, false, false, layout::POWER_BUTTON_IRQ);
    let name = Path::new("\\_SB_.PWRB");
    let pressed = Notify::new(&name, &PRESSED);
    add(&Device::new(
        Path::new("\\_SB_.GED_"),
        vec![
            &Name::new("_HID".into(), &"ACPI0013"),
            &Name::new("_CRS".into(), &ResourceTemplate::new(vec![&irq])),
            &Method::new("_EVT".into(), 1, true, vec![&pressed]),
        ],
    ));
}

/// Describes a device with its ports and its interrupt.
fn device(
    add: &mut dyn FnMut(&dyn Aml),
    name: &str,
    id: &dyn Aml,
    ports: &std::ops::Range<u16>,
    irq: Option<u32>,
) {
    let ports = IO::new(ports.start, ports.start, 1, (ports.end - ports.start) as u8);
    // Consumer, edge-triggered, active high, not shared: as on the ISA bus.
    let irq = irq.map(|irq| Interrupt::new(true, true, false, false, irq));
    let mut resources: Vec<&dyn Aml> = vec![&ports];
    resources.extend(irq.iter().map(|irq| irq as &dyn Aml));
    let path = format!("\\_SB_.{name}");
    add(&Device::new(
        Path::new(&path),
        vec![&Name::new("_HID".into(), id), &Name::new("_CRS".into(), &ResourceTemplate::new(resources))],
    ));
}

#[cfg(test)]
mod tests {
    use vm_memory::{Bytes, GuestAddress};

    use super::*;

    fn read(memory: &Memory, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        memory.read_slice(&mut bytes, GuestAddress(at)).unwrap();
        bytes
    }

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    /// Returns the port of a register that a table describes.
    fn port_at(table: &[u8], at: usize) -> u64 {
        assert_eq!(table[at..at + 4], [1, 8, 0, 1], "a port of 8 bits, by bytes");
        u64_at(table, at + 4)
    }

    /// Offsets by the ACPI specification, "Fixed ACPI Description Table (FADT)".
    #[test]
    fn the_registers_are_where_the_devices_are() {
        let table = bytes(&fadt(0, Present::ALL));
        assert_eq!((port_at(&table, 116), table[128]), (0xcf9, 0x0e));
        assert_eq!((port_at(&table, 244), port_at(&table, 256)), (0x600, 0x601));
        let mut none = Present::ALL;
        crate::devices::Name::ALL.into_iter().for_each(|(_, name)| none.without(name));
        let table = bytes(&fadt(0, none));
        assert_eq!([116, 244, 256].map(|at| table[at..at + 12].to_vec()), [const { [0; 12] }; 3]);
    }

    #[test]
    fn every_table_is_found_from_the_root_and_sums_to_zero() {
        let memory = memory::allocate(4 << 20).unwrap();
        let root = write(&memory, 254, Present::ALL).unwrap();
        let rsdp = read(&memory, root, 36);
        assert_eq!(&rsdp[..8], b"RSD PTR ");
        assert_eq!(rsdp[..20].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
        let mut found = Vec::new();
        let mut tables = vec![u64_at(&rsdp, 24)];
        while let Some(at) = tables.pop() {
            let header = read(&memory, at, 36);
            let len = u32::from_le_bytes(header[4..8].try_into().unwrap()) as usize;
            assert!(at + len as u64 <= layout::ACPI.end, "254 CPUs fit");
            let table = read(&memory, at, len);
            assert_eq!(table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
            match &table[..4] {
                b"XSDT" => tables.extend(table[36..].chunks(8).map(|entry| u64_at(entry, 0))),
                b"FACP" => tables.push(u64_at(&table, 140)),
                _ => {}
            }
            found.push(String::from_utf8_lossy(&table[..4]).into_owned());
        }
        found.sort();
        assert_eq!(found, ["APIC", "DSDT", "FACP", "XSDT"]);
    }
}
