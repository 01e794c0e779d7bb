//! A connection: bounded both ways, and never waited for.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::PollFlags;

use super::command::Answer;

/// The longest command, of which a path is the longest part.
const LINE_MAX: usize = 8192;
/// How much is read at once.
const READ: usize = 1024;

pub(super) struct Client {
    pub(super) stream: UnixStream,
    /// Tells its answers from others'.
    pub(super) number: u64,
    /// When it last said something whole.
    pub(super) heard: Instant,
    input: Vec<u8>,
    output: Vec<u8>,
    /// An answer is on its way.
    is_waiting: bool,
    /// Nothing more comes from it.
    has_ended: bool,
    /// It is over, once the output is written.
    is_leaving: bool,
    /// It hears no answer any more; what it said before is still obeyed.
    is_deaf: bool,
}

impl Client {
    pub(super) fn new(stream: UnixStream, number: u64) -> Self {
        Self {
            stream,
            number,
            heard: Instant::now(),
            input: Vec::new(),
            output: Vec::new(),
            is_waiting: false,
            has_ended: false,
            is_leaving: false,
            is_deaf: false,
        }
    }

    /// Returns what it is waited for: a client that does not read its answer is not heard before. Returns nothing where
    /// it must not be polled at all, which would tell again and again that it has closed.
    pub(super) fn interest(&self) -> Option<PollFlags> {
        if self.is_deaf && self.is_waiting {
            None
        } else if !self.output.is_empty() {
            Some(PollFlags::OUT)
        } else if self.is_waiting || self.has_ended || self.is_leaving || self.input.len() > LINE_MAX {
            Some(PollFlags::empty())
        } else {
            Some(PollFlags::IN)
        }
    }

    /// Does what can be done now.
    pub(super) fn serve(&mut self, ready: PollFlags) {
        if ready.contains(PollFlags::IN) {
            self.read();
        }
        if ready.intersects(PollFlags::HUP | PollFlags::ERR) {
            self.turn_deaf();
        } else if ready.contains(PollFlags::OUT) {
            self.write();
        }
    }

    /// Takes the next command, if it is time for one; or says what is wrong with it.
    pub(super) fn command(&mut self) -> Option<Vec<u8>> {
        if self.is_waiting || self.is_leaving || !self.output.is_empty() {
            return None;
        }
        let end = self.input.iter().position(|byte| *byte == b'\n');
        let line = match end {
            Some(end) => self.input.drain(..=end).collect::<Vec<u8>>(),
            None if self.input.len() > LINE_MAX => {
                self.answer(&Err(format!("a command has more than {LINE_MAX} bytes")).into());
                self.is_leaving = true;
                return None;
            }
            None if self.has_ended && !self.input.is_empty() => std::mem::take(&mut self.input),
            None => return None,
        };
        self.heard = Instant::now();
        self.is_waiting = true;
        Some(line)
    }

    /// Gives the answer to the command that was taken last.
    pub(super) fn answer(&mut self, answer: &Answer) {
        self.is_waiting = false;
        if !self.is_deaf {
            self.output = answer.to_line();
            self.write();
        }
    }

    /// Tells whether another command is there already.
    pub(super) fn has_more(&self) -> bool {
        let is_free = !self.is_waiting && !self.is_leaving && self.output.is_empty();
        is_free && (self.input.contains(&b'\n') || self.has_ended && !self.input.is_empty())
    }

    /// Tells whether nothing is left to be done for it.
    pub(super) fn is_gone(&self) -> bool {
        let is_done = self.is_leaving || self.has_ended && self.input.is_empty() && !self.is_waiting;
        is_done && self.output.is_empty()
    }

    fn read(&mut self) {
        let mut bytes = [0; READ];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.has_ended = true,
            Ok(read) => self.input.extend_from_slice(&bytes[..read]),
            Err(error) if is_for_later(error.kind()) => {}
            // Behind all that it said.
            Err(_) => self.has_ended = true,
        }
    }

    fn write(&mut self) {
        match self.stream.write(&self.output) {
            Ok(written) => drop(self.output.drain(..written)),
            Err(error) if is_for_later(error.kind()) => {}
            Err(_) => self.turn_deaf(),
        }
    }

    fn turn_deaf(&mut self) {
        self.is_deaf = true;
        self.output.clear();
    }
}

fn is_for_later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
