//! This CPU's local interrupt controller, whether it is an xAPIC or an x2APIC.

// UNSAFETY: hands on the contract of sending interrupts.
#![expect(unsafe_code)]

use crate::sites;

pub use crate::sites::apic::*;
pub use vmi_native::set_window;

/// Who takes an interrupt that is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum To {
    /// The CPU of this number, see [`id`].
    One(u32),
    /// This CPU.
    Itself,
    /// All CPUs, and this one.
    All,
    /// All CPUs but this one.
    Others,
}

/// What is sent. Source: Intel SDM, Volume 3, "Interrupt Command Register (ICR)".
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message {
    /// An interrupt of this vector, from 16 on.
    Fixed(u8),
    /// A non-maskable interrupt.
    NonMaskable,
    /// INIT: the CPU waits for where to start. Not for who sends it.
    Init,
    /// The CPU that waits starts in real mode at the beginning of this page. Not for who sends it.
    Startup(u8),
}

const MODE_SHIFT: u32 = 8;
const ASSERT: u32 = 1 << 14;
const SHORTHAND_SHIFT: u32 = 18;

impl Message {
    fn command(self) -> u32 {
        let (mode, vector) = match self {
            Self::Fixed(vector) => (0, vector),
            Self::NonMaskable => (4, 0),
            Self::Init => (5, 0),
            Self::Startup(page) => (6, page),
        };
        ASSERT | mode << MODE_SHIFT | u32::from(vector)
    }
}

/// Sends an interrupt to other CPUs, or to this one. Memory that was written before is seen by who takes it.
///
/// # Safety
///
/// - The local APIC's page is mapped at its physical address, or where [`set_window`] said.
/// - Whoever it reaches can take it: it has a handler, or code where it starts.
pub unsafe fn interrupt(to: To, message: Message) {
    let (destination, shorthand) = match (to, message) {
        (To::One(id), _) => (id, 0),
        (To::Itself, Message::Fixed(_)) => (0, 1),
        // SAFETY: the caller promises that the page is mapped.
        (To::Itself, _) => (unsafe { sites::apic::id() }, 0),
        (To::All, _) => (0, 2),
        (To::Others, _) => (0, 3),
    };
    // SAFETY: the caller's promises are the op's.
    unsafe { sites::apic::send(destination, message.command() | shorthand << SHORTHAND_SHIFT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux and the manual have them.
    #[test]
    fn commands_are_those_of_the_manual() {
        assert_eq!(Message::Fixed(0x41).command(), 0x4041);
        assert_eq!(Message::NonMaskable.command(), 0x4400);
        assert_eq!(Message::Init.command(), 0x4500);
        assert_eq!(Message::Startup(0x9a).command(), 0x469a);
    }
}
