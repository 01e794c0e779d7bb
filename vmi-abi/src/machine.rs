//! The machine as its CPUID and the boot loader describe it, read once and handed to every probe.

use core::{arch::x86_64::CpuidResult, fmt};

use crate::{
    CommandLine,
    cpuid::{self, Cpuid, Interface, Vendor},
};

/// How many interfaces are kept.
const INTERFACES_MAX: usize = 8;

/// How many places without an interface end the search behind one: every leaf may cost an exit. Hypervisors that offer several
/// interfaces have them side by side.
const GAP: usize = 8;

/// The machine that a kernel runs on.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    cpuid: &'a Cpuid<'a>,
    vendor: Vendor,
    command_line: CommandLine<'a>,
    interfaces: [Option<Interface>; INTERFACES_MAX],
    hypervisor: Option<Interface>,
}

impl<'a> Machine<'a> {
    /// Describes the machine with these CPUID leaves, by one scan for the interfaces of hypervisors: through all places
    /// where one may start, or if it finds one, until there is none at eight places in a row behind it.
    pub fn new(cpuid: &'a Cpuid<'a>, command_line: CommandLine<'a>) -> Self {
        let leaf = cpuid(0, 0);
        let machine = Self {
            cpuid,
            vendor: Vendor::of(leaf),
            command_line,
            interfaces: [None; INTERFACES_MAX],
            hypervisor: None,
        };
        machine.scanned(leaf.eax)
    }

    /// Looks for interfaces. `last` is the last basic leaf.
    fn scanned(mut self, last: u32) -> Self {
        let echo = (self.cpuid)(last, 0);
        let mut found = 0;
        let mut empty = 0;
        // What a leaf holds that is no interface: most places hold the same.
        let mut nothing = echo;
        for base in cpuid::bases() {
            let leaf = (self.cpuid)(base, 0);
            let interface = (leaf != nothing && leaf != echo).then(|| Interface::of(base, leaf));
            let Some(interface) = interface.filter(Interface::has_name) else {
                nothing = leaf;
                empty += 1;
                if found > 0 && empty >= GAP {
                    break;
                }
                continue;
            };
            if interface.reaches() && self.hypervisor.is_none() {
                self.hypervisor = Some(interface);
            }
            let Some(slot) = self.interfaces.get_mut(found) else { break };
            *slot = Some(interface);
            found += 1;
            empty = 0;
        }
        self
    }

    /// Returns the interface with this signature: with several interfaces the first may be another's. Neither the
    /// hypervisor bit nor the maximum leaf is looked at; twelve bytes do not come about by accident.
    pub fn interface(&self, signature: [u8; 12]) -> Option<Interface> {
        self.interfaces.iter().flatten().find(|interface| interface.signature == signature).copied()
    }

    /// Returns the first plausible interface, for a report of what this machine runs on.
    ///
    /// An interface is plausible when all of these hold:
    /// - its signature reads as a name (printable ASCII with a letter or digit, zeros at the end only);
    /// - its maximum leaf is 0 or one of the 256 leaves from its base on;
    /// - its base leaf is not word for word the last basic leaf, which some CPUs return for any leaf they do not have
    ///   (Intel SDM volume 2A, "CPUID—CPU Identification", on inputs above the maximum).
    ///
    /// Garbage that passes all three would have to be text beside a number of the very range it stands in.
    pub fn hypervisor(&self) -> Option<Interface> {
        self.hypervisor
    }

    /// Returns the leaf `offset` leaves above an interface's base, or `None` where the interface does not reach so far.
    pub fn leaf(&self, interface: &Interface, offset: u32) -> Option<CpuidResult> {
        interface.leaf(self.cpuid, offset)
    }

    /// Returns the CPU's vendor.
    pub fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// Returns the kernel's command line.
    pub fn command_line(&self) -> CommandLine<'a> {
        self.command_line
    }
}

impl fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("vendor", &self.vendor)
            .field("command_line", &self.command_line)
            .field("interfaces", &self.interfaces)
            .finish_non_exhaustive()
    }
}
