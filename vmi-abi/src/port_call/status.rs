//! How a batch or a call was answered.

use core::fmt;

/// The status of a batch or of a call. Append-only; 0, of cleared memory, is neither a question nor an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Status(pub u32);

impl Status {
    /// Nothing is asked.
    pub const IDLE: Self = Self(0);
    /// The guest asks by the call port, and the host has not answered. What stays so was not served.
    pub const ASKED: Self = Self(1);
    /// The guest asks by the doorbell, and the host has not answered yet. Two words, because the host may look at a
    /// posted block at any moment, also while the guest asks by the call port.
    pub const POSTED: Self = Self(2);
    /// The host did it.
    pub const DONE: Self = Self(3);
    /// The host does not know this major version. Of a batch.
    pub const UNKNOWN_VERSION: Self = Self(4);
    /// The host does not know a feature that the header names. Of a batch.
    pub const UNKNOWN_FEATURE: Self = Self(5);
    /// There is no call of this number.
    pub const UNKNOWN_CALL: Self = Self(6);
    /// The header does not name the feature that the call belongs to.
    pub const NOT_NEGOTIATED: Self = Self(7);
    /// An argument or a reserved field is wrong.
    pub const INVALID: Self = Self(8);
    /// Memory that the call names is not the guest's.
    pub const FAULT: Self = Self(9);
    /// There are more calls in the batch, or more bytes in the line, than the host takes.
    pub const TOO_LONG: Self = Self(10);
    /// The host cannot do it now.
    pub const FAILED: Self = Self(11);

    /// Every answer that refuses.
    pub const REFUSALS: [Self; 8] = [
        Self::UNKNOWN_VERSION,
        Self::UNKNOWN_FEATURE,
        Self::UNKNOWN_CALL,
        Self::NOT_NEGOTIATED,
        Self::INVALID,
        Self::FAULT,
        Self::TOO_LONG,
        Self::FAILED,
    ];

    /// Returns the refusal with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::REFUSALS.into_iter().find(|status| status.name() == Some(name))
    }

    /// Returns the status's name, or `None` where it is not known.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::IDLE => "idle",
            Self::ASKED => "asked",
            Self::POSTED => "posted",
            Self::DONE => "done",
            Self::UNKNOWN_VERSION => "unknown-version",
            Self::UNKNOWN_FEATURE => "unknown-feature",
            Self::UNKNOWN_CALL => "unknown-call",
            Self::NOT_NEGOTIATED => "not-negotiated",
            Self::INVALID => "invalid",
            Self::FAULT => "fault",
            Self::TOO_LONG => "too-long",
            Self::FAILED => "failed",
            _ => return None,
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "status {}", self.0),
        }
    }
}
