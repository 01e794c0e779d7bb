//! The calls and their numbers.

use super::Features;

/// The most bytes that one line of the console has.
pub const LINE_BYTES_MAX: usize = 1024;

/// The number of a call. Append-only; 0 is none, so that cleared memory asks for nothing.
///
/// Counted from "VMI" and a zero byte, far above the numbers of KVM's hypercalls, which are small. [`Range`] says who gives
/// out which; a host answers [`Status::UNKNOWN_CALL`](super::Status::UNKNOWN_CALL) to what it does not serve, whatever its
/// range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Number(pub u32);

/// Number 0 of the interface, which is none of its calls.
const FIRST: u32 = u32::from_be_bytes(*b"VMI\0");

/// The first number of this interface's calls, the first for experiments, and the last of those.
const STANDARD: u32 = FIRST + 1;
const EXPERIMENTAL: u32 = FIRST + 0x80;
const LAST: u32 = FIRST + 0xff;
/// The bit of all numbers of vendors.
const VENDOR: u32 = 1 << 31;

/// Who gives out a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// This interface: 0x564d4901 to 0x564d497f.
    Standard,
    /// Anybody, for trying out: 0x564d4980 to 0x564d49ff. Both sides are built together; nothing that is released uses them.
    Experimental,
    /// The host of that [`Implementation::id`](super::Implementation::id), in bits 30 to 16; bit 31 is set, and its number is in
    /// bits 15 to 0. Only on a host that announces that id.
    Vendor(u16),
    /// Nobody yet.
    Reserved,
}

impl Number {
    /// Returns the number of a vendor's call: that vendor's id, of which 15 bits count, and its own number.
    pub const fn vendor(id: u16, number: u16) -> Self {
        Self(VENDOR | (id as u32) << 16 | number as u32)
    }

    /// Returns who gives out the number.
    pub const fn range(self) -> Range {
        match self.0 {
            VENDOR.. => Range::Vendor((self.0 >> 16) as u16 & 0x7fff),
            STANDARD..EXPERIMENTAL => Range::Standard,
            EXPERIMENTAL..=LAST => Range::Experimental,
            _ => Range::Reserved,
        }
    }

    /// Prints `a1` bytes at physical address `a0`, at most [`LINE_BYTES_MAX`], as one line; the host ends the line.
    pub const CONSOLE_LINE: Self = Self(FIRST + 1);
    /// Gives `a1` bytes at physical address `a0` back: both whole pages, and more than none. They read as zeros when
    /// they are next touched.
    pub const RELEASE_PAGES: Self = Self(FIRST + 2);
    /// Returns nanoseconds since 1970-01-01 00:00 UTC.
    pub const WALL_CLOCK: Self = Self(FIRST + 3);
    /// Ends the machine; `a0`, at most 255, is its code, 0 for success. The rest of the batch is not looked at.
    pub const SHUTDOWN: Self = Self(FIRST + 4);
    /// Writes [`Statistics`](super::Statistics), but no more than `a1` bytes of them, to physical address `a0`, and
    /// returns how many bytes the host has of them.
    pub const STATISTICS: Self = Self(FIRST + 5);
    /// Sets a mark: `a0` names it, `a1` is a value that goes along.
    pub const TRACE_MARK: Self = Self(FIRST + 6);
    /// Says that this CPU's block, which the doorbell has looked at, is at physical address `a0`, the start of a page;
    /// [`OFF`](super::OFF) takes that back, and so does 0, the only way in version 1.0. `a1` is 0.
    pub const POST_BLOCK: Self = Self(FIRST + 7);

    /// Every call there is.
    pub const ALL: [Self; 7] = [
        Self::CONSOLE_LINE,
        Self::RELEASE_PAGES,
        Self::WALL_CLOCK,
        Self::SHUTDOWN,
        Self::STATISTICS,
        Self::TRACE_MARK,
        Self::POST_BLOCK,
    ];

    /// Returns the feature that the call belongs to, or `None` where the number is not known.
    pub const fn needs(self) -> Option<Features> {
        Some(match self {
            Self::CONSOLE_LINE => Features::CONSOLE,
            Self::RELEASE_PAGES => Features::RELEASE,
            Self::WALL_CLOCK => Features::WALL_CLOCK,
            Self::SHUTDOWN => Features::SHUTDOWN,
            Self::STATISTICS => Features::STATISTICS,
            Self::TRACE_MARK => Features::TRACE_MARK,
            Self::POST_BLOCK => Features::DOORBELL,
            _ => return None,
        })
    }

    /// Returns the call's name, or `None` where the number is not known.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::CONSOLE_LINE => "console-line",
            Self::RELEASE_PAGES => "release-pages",
            Self::WALL_CLOCK => "wall-clock",
            Self::SHUTDOWN => "shutdown",
            Self::STATISTICS => "statistics",
            Self::TRACE_MARK => "trace-mark",
            Self::POST_BLOCK => "post-block",
            _ => return None,
        })
    }

    /// Returns the call with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|number| number.name() == Some(name))
    }
}
