//! Random accesses of ports.

use std::ops::Range;
use std::sync::Arc;

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::{Devices, Present, Serial};
use crate::console::Console;
use crate::ending::Ending;
use crate::hostile::Numbers;
use crate::layout;

/// Accesses of a case, each of them anywhere or at a device.
const ACCESSES: usize = 16;

/// Devices that are near, those by which a reset is asked for in any width first.
const KNOWN: [Range<u16>; 9] = [
    layout::KEYBOARD_DATA,
    layout::KEYBOARD_COMMAND,
    layout::PORT_92,
    layout::SERIAL,
    layout::RTC,
    layout::EXIT,
    layout::PVPANIC,
    layout::POWER,
    layout::RESET,
];

/// Tries accesses of ports: they end the run only where they should.
///
/// # Panics
///
/// When it does harm.
pub fn case(mut numbers: Numbers) {
    let console = Arc::new(Console::new(Box::new(std::io::sink())));
    let interrupt = EventFd::new(EFD_NONBLOCK).expect("an eventfd");
    let mut devices = Devices::new(Present::ALL, Some(Serial::new(interrupt, console)));
    for _ in 0..ACCESSES {
        let width = numbers.pick(&[1, 2, 4]);
        // Half of them at a device, or one port beside it.
        let port = match numbers.odds(128) {
            true => numbers.below(0x1_0000) as u16,
            false => {
                let near = &KNOWN[numbers.below(KNOWN.len() as u64) as usize];
                near.start - 1 + numbers.below(u64::from(near.end - near.start) + 2) as u16
            }
        };
        if numbers.odds(128) {
            devices.read(port, &mut [0; 4][..width]);
            continue;
        }
        let value = numbers.next_u32().to_le_bytes();
        if let Some(ending) = devices.write(port, &value[..width]) {
            let right = match ending {
                Ending::Exit(status) => layout::EXIT.contains(&port) && status == value[0],
                Ending::Reset if layout::RESET.contains(&port) => width == 1,
                Ending::Reset => KNOWN[..3].iter().any(|range| range.contains(&port)),
                Ending::PowerOff => layout::POWER.contains(&port),
                Ending::Panicked => layout::PVPANIC.contains(&port),
                _ => false,
            };
            assert!(right, "{ending:?} by {width} bytes at {port:#x}: {value:?}");
        }
    }
}

#[test]
fn hostile_accesses_end_the_run_only_where_they_should() {
    crate::hostile::try_all(1, case);
}
