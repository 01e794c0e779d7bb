//! From a port to the device behind it.

use std::ops::Range;

use super::{
    DebugConsole, DevicesState, Present, exit, keyboard, port92, power, pvpanic, reset, rtc, serial::Serial,
};
use crate::ending::Ending;
use crate::layout;

/// What an access of a port had as its consequence.
pub(crate) type Effect = Option<Ending>;

/// What is read where nothing is.
pub(crate) const NOTHING: u8 = 0xff;

/// All devices.
pub(crate) struct Devices {
    present: Present,
    pub(crate) serial: Option<Serial>,
    debug_console: Option<DebugConsole>,
    rtc: rtc::Rtc,
    keyboard: keyboard::Keyboard,
}

impl Devices {
    /// Makes the devices that are present. COM1 is made by the caller, for it needs the outside.
    pub(crate) fn new(present: Present, serial: Option<Serial>) -> Self {
        let (rtc, keyboard) = (rtc::Rtc::new(), keyboard::Keyboard::default());
        Self { present, serial, debug_console: None, rtc, keyboard }
    }

    /// Has a debug console print, if it is present.
    pub(crate) fn with_debug_console(mut self, console: DebugConsole) -> Self {
        self.debug_console = self.present.debug_console.then_some(console);
        self
    }

    /// Makes the devices with what they kept; none where that cannot be.
    pub(crate) fn restored(present: Present, serial: Option<Serial>, state: &DevicesState) -> Option<Self> {
        let rtc = rtc::Rtc::restored(&state.rtc)?;
        Some(Self { present, serial, debug_console: None, rtc, keyboard: state.keyboard.clone() })
    }

    /// Returns what they keep.
    pub(crate) fn state(&self) -> DevicesState {
        DevicesState {
            serial: self.serial.as_ref().map(Serial::state),
            rtc: self.rtc.state(),
            keyboard: self.keyboard.clone(),
        }
    }

    /// Returns which there are.
    pub(crate) fn present(&self) -> Present {
        self.present
    }

    /// Serves one read of 1, 2 or 4 bytes. A byte that no device answers for reads as ones, as on an empty bus.
    ///
    /// An access that is wider than the register it begins at reaches the registers behind it, of the same device:
    /// the bus splits it up, as ISA does for 8-bit devices.
    pub(crate) fn read(&mut self, port: u16, data: &mut [u8]) {
        let width = data.len();
        for (byte, at) in data.iter_mut().zip(0_u16..) {
            *byte = port.checked_add(at).map_or(NOTHING, |here| self.read_byte(port, width, here));
        }
    }

    /// Serves one write of 1, 2 or 4 bytes, as [`read`](Self::read) does reads.
    pub(crate) fn write(&mut self, port: u16, data: &[u8]) -> Effect {
        let mut effect = None;
        for (byte, at) in data.iter().zip(0_u16..) {
            if let Some(here) = port.checked_add(at) {
                effect = effect.or(self.write_byte(port, data.len(), here, *byte));
            }
        }
        effect
    }

    fn read_byte(&mut self, first: u16, width: usize, port: u16) -> u8 {
        let begins = |range: &Range<u16>| range.contains(&first) && range.contains(&port);
        let Present { wide_serial, exit, reset, power, pvpanic, rtc, keyboard, port92, .. } = self.present;
        match port {
            _ if begins(&layout::SERIAL) && (width == 1 || wide_serial) => match &mut self.serial {
                Some(serial) => serial.read((port - layout::SERIAL.start) as u8),
                None => NOTHING,
            },
            _ if self.debug_console.is_some() && begins(&layout::DEBUG_CONSOLE) => DebugConsole::read(),
            _ if exit && begins(&layout::EXIT) => exit::read(),
            _ if rtc && begins(&layout::RTC) => self.rtc.read(port - layout::RTC.start),
            _ if keyboard && begins(&layout::KEYBOARD_DATA) => self.keyboard.data(),
            _ if keyboard && begins(&layout::KEYBOARD_COMMAND) => self.keyboard.status(),
            _ if port92 && begins(&layout::PORT_92) => port92::read(),
            _ if pvpanic && begins(&layout::PVPANIC) => pvpanic::read(),
            _ if power && begins(&layout::POWER) => power::read(),
            _ if reset && begins(&layout::RESET) && width == 1 => reset::read(),
            _ => NOTHING,
        }
    }

    fn write_byte(&mut self, first: u16, width: usize, port: u16, value: u8) -> Effect {
        let begins = |range: &Range<u16>| range.contains(&first) && range.contains(&port);
        let Present { wide_serial, exit, reset, power, pvpanic, rtc, keyboard, port92, .. } = self.present;
        match port {
            _ if begins(&layout::SERIAL) && (width == 1 || wide_serial) => {
                if let Some(serial) = &mut self.serial {
                    serial.write((port - layout::SERIAL.start) as u8, value);
                }
                None
            }
            _ if begins(&layout::DEBUG_CONSOLE) => {
                if let Some(debug_console) = &self.debug_console {
                    debug_console.write(value);
                }
                None
            }
            // The byte written decides; those behind it, of a wider access, are the upper part of the same number.
            _ if exit && begins(&layout::EXIT) && port == first => exit::write(value),
            _ if rtc && begins(&layout::RTC) => {
                self.rtc.write(port - layout::RTC.start, value);
                None
            }
            _ if keyboard && begins(&layout::KEYBOARD_DATA) => self.keyboard.write_data(value),
            _ if keyboard && begins(&layout::KEYBOARD_COMMAND) => self.keyboard.write_command(value),
            _ if port92 && begins(&layout::PORT_92) => port92::write(value),
            _ if pvpanic && begins(&layout::PVPANIC) => pvpanic::write(value),
            _ if power && begins(&layout::POWER) => power::write(port - layout::POWER.start, value),
            // Wider accesses of the ports around it belong to PCI's configuration.
            _ if reset && begins(&layout::RESET) && width == 1 => reset::write(value),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

    use super::*;
    use crate::console::Console;

    fn devices(present: Present) -> Devices {
        Devices::new(present, None)
    }

    #[test]
    fn a_device_left_out_answers_nothing_and_does_nothing() {
        let mut none = Present::ALL;
        for (_, name) in super::super::Name::ALL {
            none.without(name);
        }
        let console = Arc::new(Console::new(Box::new(std::io::sink())));
        let mut devices = devices(none).with_debug_console(DebugConsole::new(Arc::clone(&console)));
        for port in 0..=u16::MAX {
            for width in [1, 2, 4] {
                let mut data = vec![0; width];
                devices.read(port, &mut data);
                assert!(data.iter().all(|byte| *byte == 0xff), "port {port:#x}");
                assert_eq!(devices.write(port, &vec![0xff; width]), None, "port {port:#x}");
            }
        }
        assert_eq!(console.waiting(), 0);
    }

    #[test]
    fn the_debug_console_is_found_and_prints_what_is_written_there_alone() {
        let console = Arc::new(Console::new(Box::new(std::io::sink())));
        let debug_console = DebugConsole::new(Arc::clone(&console));
        let mut devices = devices(Present::ALL).with_debug_console(debug_console);
        let mut data = [0; 2];
        devices.read(0xe9, &mut data);
        assert_eq!(data, [0xe9, 0xff]);
        for (port, bytes, printed) in
            [(0xe9, &b"a"[..], 1), (0xe9, b"bcde", 2), (0xe8, b"fg", 2), (0xea, b"h", 2)]
        {
            assert_eq!(devices.write(port, bytes), None);
            assert_eq!(console.waiting(), printed, "{port:#x}");
        }
    }

    #[test]
    fn a_serial_port_that_is_not_wide_takes_bytes_alone() {
        const SCRATCH: u16 = layout::SERIAL.end - 1;
        let console = Arc::new(Console::new(Box::new(std::io::sink())));
        let serial = Serial::new(EventFd::new(EFD_NONBLOCK).unwrap(), console);
        let mut present = Present::ALL;
        present.without(super::super::Name::WideSerial);
        let mut devices = Devices::new(present, Some(serial));
        let mut data = [0; 2];
        devices.write(SCRATCH, &[0xa5]);
        devices.write(SCRATCH - 1, &[0, 0x3c]);
        devices.read(SCRATCH - 1, &mut data);
        assert_eq!(data, [0xff; 2]);
        devices.read(SCRATCH, &mut data[..1]);
        assert_eq!(data[0], 0xa5);
    }

    #[test]
    fn what_devices_keep_is_kept_over_a_snapshot() {
        let console = || Arc::new(Console::new(Box::new(std::io::sink())));
        let event = || EventFd::new(EFD_NONBLOCK).unwrap();
        let mut devices = Devices::new(Present::ALL, Some(Serial::new(event(), console())));
        // A scratch value and interrupts of the UART, a byte of the clock's memory, half a command to the keyboard.
        for (port, value) in [(0x3ff, 0xa5), (0x3f9, 1), (0x70, 0x40), (0x71, 0x5a), (0x64, 0xd1)] {
            assert_eq!(devices.write(port, &[value]), None);
        }
        devices.serial.as_mut().unwrap().input(b"x");
        let json = serde_json::to_string(&devices.state()).unwrap();
        let state: DevicesState = serde_json::from_str(&json).unwrap();
        let interrupt = event();
        let serial =
            Serial::restored(state.serial.as_ref().unwrap(), interrupt.try_clone().unwrap(), console());
        assert_eq!(interrupt.read().unwrap(), 1, "the interrupt that waited");
        let mut restored = Devices::restored(Present::ALL, serial, &state).unwrap();
        assert_eq!(restored.state(), state);
        let mut read = |port| {
            let mut byte = [0];
            restored.read(port, &mut byte);
            byte[0]
        };
        assert_eq!([0x3ff, 0x71, 0x3f8].map(&mut read), [0xa5, 0x5a, b'x']);
        assert_eq!(restored.write(0x60, &[0xde]), Some(Ending::Reset));
        let mut damaged = state.clone();
        damaged.rtc.memory.pop();
        assert!(Devices::restored(Present::ALL, None, &damaged).is_none());
        damaged = state;
        damaged.rtc.index = 0x80;
        assert!(Devices::restored(Present::ALL, None, &damaged).is_none());
    }

    #[test]
    fn each_way_to_end_is_its_own() {
        let mut devices = devices(Present::ALL);
        assert_eq!(devices.write(0xf4, &[0x10]), Some(Ending::Exit(0x10)));
        assert_eq!(devices.write(0xf4, &[0x11, 0, 0, 0]), Some(Ending::Exit(0x11)));
        assert_eq!(devices.write(0x64, &[0xfe]), Some(Ending::Reset));
        assert_eq!(devices.write(0x60, &[0xfe]), None, "for the keyboard, of which there is none");
        assert_eq!(devices.write(0x92, &[0x02]), None, "opens address line 20");
        assert_eq!(devices.write(0x92, &[0x03]), Some(Ending::Reset));
        assert_eq!(devices.write(0xcf9, &[0x02]), None, "only chooses the kind of reset");
        assert_eq!(devices.write(0xcf9, &[0x06]), Some(Ending::Reset));
        assert_eq!(devices.write(0xcf8, &[0, 0x0c, 0, 0x80]), None, "an address of PCI's configuration");
        assert_eq!(devices.write(0x600, &[5 << 2]), None, "not yet enabled");
        assert_eq!(devices.write(0x600, &[1 << 5 | 1 << 2]), None, "another sleep state");
        assert_eq!(devices.write(0x600, &[1 << 5 | 5 << 2]), Some(Ending::PowerOff));
        assert_eq!(devices.write(0x505, &[1]), Some(Ending::Panicked));
        assert_eq!(devices.write(0x505, &[2]), None, "a crash kernel takes over");
    }

    #[test]
    fn an_access_at_the_last_port_does_not_wrap_around() {
        let mut devices = devices(Present::ALL);
        let mut data = [0; 4];
        devices.read(0xffff, &mut data);
        assert_eq!(data, [0xff; 4]);
        assert_eq!(devices.write(0xffff, &[6; 4]), None);
    }

    #[test]
    fn what_is_written_to_the_serial_port_is_let_out_however_much() {
        let console = Arc::new(Console::new(Box::new(std::io::sink())));
        let writer = Arc::clone(&console);
        let writer = std::thread::spawn(move || writer.write_out());
        let serial = Serial::new(EventFd::new(EFD_NONBLOCK).unwrap(), Arc::clone(&console));
        let mut devices = Devices::new(Present::ALL, Some(serial));
        for _ in 0..200_000 {
            devices.write(layout::SERIAL.start, b"x");
            console.wait_for_room();
        }
        console.close();
        writer.join().unwrap();
        assert_eq!(console.waiting(), 0);
    }
}
