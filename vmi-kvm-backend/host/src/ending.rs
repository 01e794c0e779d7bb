//! How a run ends.

use std::fmt;

/// How a run ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Ending {
    /// The guest asked for it, with a status.
    Exit(u8),
    /// The guest switched the machine off.
    PowerOff,
    /// The guest reset the machine.
    Reset,
    /// The guest said that it panicked.
    Panicked,
    /// The third exception in a row had no handler either, and nothing says that it was meant as a reset.
    TripleFault,
    /// The time was up.
    TimeLimit,
    /// A signal ended it.
    Signal(i32),
    /// The control socket ended it.
    Quit,
}

impl Ending {
    /// The status of a run that the control socket ended.
    pub const QUIT: u8 = 123;
    /// The status of a run that was ended because its time was up.
    pub const TIME_LIMIT: u8 = 124;
    /// The status of a run that never began or could not go on, for reasons that are not the guest's.
    pub const FAILED: u8 = 125;
    /// The status of a run whose guest crashed.
    pub const CRASHED: u8 = 126;
    /// Added to a signal, this is the status of a run that the signal ended.
    pub const SIGNAL: u8 = 128;

    /// Returns the exit status of the program: the guest's, or one that tells why there is none.
    pub fn status(self) -> u8 {
        match self {
            Self::Exit(status) => status,
            Self::PowerOff | Self::Reset => 0,
            Self::Panicked | Self::TripleFault => Self::CRASHED,
            Self::TimeLimit => Self::TIME_LIMIT,
            Self::Quit => Self::QUIT,
            Self::Signal(signal) => Self::SIGNAL.saturating_add(signal.clamp(0, 127) as u8),
        }
    }

    /// Tells whether it was not the guest that ended the run.
    pub fn is_from_outside(self) -> bool {
        matches!(self, Self::Signal(_) | Self::TimeLimit | Self::Quit)
    }

    /// Returns one word for it, for machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exit(_) => "exit",
            Self::PowerOff => "power-off",
            Self::Reset => "reset",
            Self::Panicked => "panicked",
            Self::TripleFault => "triple-fault",
            Self::TimeLimit => "time-limit",
            Self::Signal(_) => "signal",
            Self::Quit => "quit",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "the guest ended with status {status}"),
            Self::PowerOff => f.write_str("the guest switched the machine off"),
            Self::Reset => f.write_str("the guest reset the machine"),
            Self::Panicked => f.write_str("the guest panicked"),
            Self::TripleFault => f.write_str("the guest's CPU gave up after a triple fault"),
            Self::TimeLimit => f.write_str("the guest's time was up"),
            Self::Quit => f.write_str("the control socket ended the run"),
            Self::Signal(signal) => write!(f, "signal {signal} ended the run"),
        }
    }
}
