//! What cannot pass under `vmi-run`, and why.

use super::machine::Machine;
use super::unittests::Entry;

/// Images, and what they need that `vmi-run` does not have. Whatever asks for a device by its arguments need not stand
/// here.
const IMAGES: [(&str, &str); 5] = [
    ("emulator.flat", "needs the port 0xe0 and the I/O memory of QEMU's pc-testdev"),
    ("init.flat", "needs a BIOS that goes on where the word at 0x467 says"),
    ("ioapic.flat", "needs the interrupt lines of QEMU's pc-testdev"),
    ("realmode.flat", "needs the port 0xe0 of QEMU's pc-testdev"),
    ("s3.flat", "needs sleep that memory outlives (ACPI S3), and the BIOS for it"),
];

/// Returns why the test need not pass under `vmi-run`, if it need not.
pub(super) fn excuse(entry: &Entry, machine: &Machine) -> Option<String> {
    if let Some(device) = machine.devices.first() {
        return Some(format!("asks for QEMU's device {device}"));
    }
    if machine.hyper_v {
        return Some("asks for Hyper-V's interface".to_owned());
    }
    let known = IMAGES.iter().find(|(file, _)| entry.file == *file);
    known.map(|(_, reason)| (*reason).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excuse_of(file: &str, params: &str) -> Option<String> {
        let entry = Entry {
            file: file.to_owned(),
            smp: "1".to_owned(),
            params: params.to_owned(),
            ..Entry::default()
        };
        excuse(&entry, &Machine::of(&entry).unwrap())
    }

    #[test]
    fn the_arguments_or_the_image_say_it() {
        let said = |file, params| excuse_of(file, params).unwrap();
        assert_eq!(
            said("a.flat", "-device intel-iommu,eim=off -device edu"),
            "asks for QEMU's device intel-iommu"
        );
        assert_eq!(said("a.flat", "-cpu kvm64,hv_time"), "asks for Hyper-V's interface");
        assert!(said("ioapic.flat", "-cpu qemu64").contains("pc-testdev"));
        assert_eq!(excuse_of("apic.flat", "-cpu qemu64 -smp 2"), None);
    }
}
