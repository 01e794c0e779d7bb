//! Which devices there are.

use crate::error::{Error, Result};

/// The names of the devices, as options spell them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Name {
    /// COM1.
    Serial,
    /// COM1 for accesses of more than a byte.
    WideSerial,
    /// The debug console.
    DebugConsole,
    /// The exit port.
    Exit,
    /// The reset register.
    Reset,
    /// The sleep register, which switches off.
    Power,
    /// The port where a guest tells that it panicked.
    Pvpanic,
    /// The real-time clock.
    Rtc,
    /// The keyboard controller, which resets.
    Keyboard,
    /// System control port A, which resets.
    Port92,
    /// The reset vector of a BIOS.
    Bios,
}

impl Name {
    /// All of them, with what an option calls them.
    pub const ALL: [(&'static str, Self); 11] = [
        ("serial", Self::Serial),
        ("wide-serial", Self::WideSerial),
        ("debug-console", Self::DebugConsole),
        ("exit", Self::Exit),
        ("reset", Self::Reset),
        ("power", Self::Power),
        ("pvpanic", Self::Pvpanic),
        ("rtc", Self::Rtc),
        ("keyboard", Self::Keyboard),
        ("port92", Self::Port92),
        ("bios", Self::Bios),
    ];
}

impl std::str::FromStr for Name {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, device)| device);
        found.ok_or_else(|| {
            let known = Self::ALL.map(|(known, _)| known).join(", ");
            Error::Option(format!("there is no device `{name}`; the devices are {known}"))
        })
    }
}

/// Which devices there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Present {
    /// COM1.
    pub serial: bool,
    /// Whether an access of COM1 that is wider than its registers is split up.
    pub wide_serial: bool,
    /// The debug console.
    pub debug_console: bool,
    /// The exit port.
    pub exit: bool,
    /// The reset register.
    pub reset: bool,
    /// The sleep register.
    pub power: bool,
    /// The panic port.
    pub pvpanic: bool,
    /// The real-time clock.
    pub rtc: bool,
    /// The keyboard controller.
    pub keyboard: bool,
    /// System control port A.
    pub port92: bool,
    /// The reset vector.
    pub bios: bool,
}

impl Present {
    /// All devices.
    pub const ALL: Self = Self {
        serial: true,
        wide_serial: true,
        debug_console: true,
        exit: true,
        reset: true,
        power: true,
        pvpanic: true,
        rtc: true,
        keyboard: true,
        port92: true,
        bios: true,
    };

    /// Leaves a device out.
    pub fn without(&mut self, device: Name) {
        *self.place(device) = false;
    }

    /// Tells whether a device is there.
    pub fn has(mut self, device: Name) -> bool {
        *self.place(device)
    }

    fn place(&mut self, device: Name) -> &mut bool {
        match device {
            Name::Serial => &mut self.serial,
            Name::WideSerial => &mut self.wide_serial,
            Name::DebugConsole => &mut self.debug_console,
            Name::Exit => &mut self.exit,
            Name::Reset => &mut self.reset,
            Name::Power => &mut self.power,
            Name::Pvpanic => &mut self.pvpanic,
            Name::Rtc => &mut self.rtc,
            Name::Keyboard => &mut self.keyboard,
            Name::Port92 => &mut self.port92,
            Name::Bios => &mut self.bios,
        }
    }
}

impl Default for Present {
    fn default() -> Self {
        Self::ALL
    }
}
