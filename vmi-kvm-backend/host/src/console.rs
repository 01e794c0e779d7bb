//! The console's way out: what the guest says waits in memory, and a thread of its own writes it.
//!
//! That thread alone waits for whoever reads the output. CPUs wait for room, until the run is over; the main thread
//! never waits for either.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::shared::lock;

/// How long the piece of a line waits for its end.
const PATIENCE: Duration = Duration::from_millis(10);
/// How much of a line waits.
const LINE_MAX: usize = 512;
/// How long a line may hold up who wrote it.
const PROMPT: Duration = Duration::from_millis(1);
/// How much waits to be written before those who write are held up: what a pipe holds.
const ROOM: usize = 64 << 10;
/// How long an output that takes nothing now is left alone, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(10));

/// Where the console goes: a stream. It is written to by a thread of its own, and may block or say that it would. One
/// that blocks is interrupted by a signal when its time is up.
pub trait Output: Write + Send {}

impl<T: Write + Send> Output for T {}

/// Output of a guest that did not get out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lost {
    /// How many bytes.
    pub bytes: usize,
    /// Why, by kind: [`ErrorKind::TimedOut`] where nobody took them before the run was ended from outside.
    pub kind: ErrorKind,
    /// Why, in words.
    pub reason: String,
}

impl Lost {
    fn because(error: &io::Error) -> Self {
        Self { bytes: 0, kind: error.kind(), reason: error.to_string() }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of the console's output were lost: {}", self.bytes, self.reason)
    }
}

/// The console: lines go out whole, and pieces of lines soon.
pub(crate) struct Console {
    queue: Mutex<Queue>,
    /// There is something to write, or nothing more to come.
    work: Condvar,
    /// There is room.
    room: Condvar,
}

/// What the thread that writes waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Waits {
    No,
    ForAByte,
    ForALine,
}

struct Queue {
    bytes: Vec<u8>,
    /// How many bytes came in that are neither written nor lost.
    unwritten: usize,
    /// Until the thread that writes takes it.
    output: Option<Box<dyn Output>>,
    waits: Waits,
    /// The thread that writes has something to write in its hands.
    is_writing: bool,
    /// How many threads wait for room, or for a line of theirs.
    held_up: usize,
    /// Nobody waits for room any more.
    is_over: bool,
    /// Nobody waits for room now.
    lets_pass: bool,
    /// Nothing more will come.
    is_closed: bool,
    /// Nothing more is to be tried.
    is_given_up: bool,
    /// The thread that writes has come to its end.
    is_done: bool,
    lost: Option<Lost>,
}

impl Queue {
    /// Takes bytes in; returns whether the thread that writes has waited for them.
    fn push(&mut self, bytes: &[u8]) -> bool {
        self.bytes.extend_from_slice(bytes);
        self.unwritten += bytes.len();
        let is_awaited = match self.waits {
            Waits::No => false,
            Waits::ForAByte => true,
            Waits::ForALine => bytes.contains(&b'\n') || self.bytes.len() >= LINE_MAX,
        };
        if is_awaited {
            self.waits = Waits::No;
        }
        is_awaited
    }

    /// Returns how much is to be written now; pieces of lines where they have waited long enough.
    fn due(&self, has_waited: bool) -> usize {
        if has_waited || self.is_closed || self.bytes.len() >= LINE_MAX {
            return self.bytes.len();
        }
        self.bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1)
    }
}

impl Console {
    pub(crate) fn new(output: Box<dyn Output>) -> Self {
        let queue = Queue {
            bytes: Vec::with_capacity(LINE_MAX),
            unwritten: 0,
            output: Some(output),
            waits: Waits::No,
            is_writing: false,
            held_up: 0,
            is_over: false,
            lets_pass: false,
            is_closed: false,
            is_given_up: false,
            is_done: false,
            lost: None,
        };
        Self { queue: Mutex::new(queue), work: Condvar::new(), room: Condvar::new() }
    }

    /// Takes in a byte.
    pub(crate) fn put(&self, byte: u8) {
        self.put_bytes(&[byte]);
    }

    /// Takes in a line.
    pub(crate) fn put_line(&self, line: &[u8]) {
        let mut queue = lock(&self.queue);
        let is_awaited = queue.push(line) | queue.push(b"\n");
        drop(queue);
        self.wake(is_awaited);
        self.let_out();
    }

    fn put_bytes(&self, bytes: &[u8]) {
        let is_awaited = lock(&self.queue).push(bytes);
        self.wake(is_awaited);
        if bytes.contains(&b'\n') {
            self.let_out();
        }
    }

    fn wake(&self, is_awaited: bool) {
        if is_awaited {
            self.work.notify_one();
        }
    }

    /// Lets a line out before the guest goes on: where there is one CPU, it would come out only when the guest has used its
    /// time up. Not where the output holds the thread that writes up.
    fn let_out(&self) {
        let mut queue = lock(&self.queue);
        if queue.is_writing {
            return;
        }
        queue.held_up += 1;
        let is_in = |queue: &mut Queue| queue.unwritten != 0 && !queue.is_over;
        let waited = self.room.wait_timeout_while(queue, PROMPT, is_in);
        waited.unwrap_or_else(PoisonError::into_inner).0.held_up -= 1;
    }

    /// Waits until there is room or the run is over. To be called by those who write, with no lock held.
    pub(crate) fn wait_for_room(&self) {
        let mut queue = lock(&self.queue);
        while queue.bytes.len() >= ROOM && !queue.is_over && !queue.lets_pass {
            queue.held_up += 1;
            queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.held_up -= 1;
        }
    }

    /// Has nobody wait for room meanwhile, or again. Who passes so is to wait before it writes more.
    pub(crate) fn let_pass(&self, lets_pass: bool) {
        lock(&self.queue).lets_pass = lets_pass;
        self.room.notify_all();
    }

    /// Lets go who waits for room, for the run is over. What comes still is taken.
    pub(crate) fn let_go(&self) {
        lock(&self.queue).is_over = true;
        self.room.notify_all();
    }

    /// Has the thread that writes come to its end once all is written, for nothing more will come.
    pub(crate) fn close(&self) {
        let mut queue = lock(&self.queue);
        (queue.is_over, queue.is_closed) = (true, true);
        drop(queue);
        self.room.notify_all();
        self.work.notify_all();
    }

    /// Has the thread that writes try no more.
    pub(crate) fn give_up(&self) {
        lock(&self.queue).is_given_up = true;
        self.close();
    }

    /// Tells whether the thread that writes has come to its end.
    pub(crate) fn is_done(&self) -> bool {
        lock(&self.queue).is_done
    }

    /// Returns what did not get out so far.
    pub(crate) fn lost(&self) -> Option<Lost> {
        let queue = lock(&self.queue);
        let late = || Lost::because(&io::Error::new(ErrorKind::TimedOut, "nobody read it in time"));
        let mut lost = queue.lost.clone().or_else(|| (queue.unwritten != 0).then(late))?;
        lost.bytes += queue.unwritten;
        Some(lost)
    }

    /// Returns how many bytes wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.queue).bytes.len()
    }

    /// Writes what comes until the console is closed: the body of the thread that writes.
    pub(crate) fn write_out(&self) {
        let Some(mut output) = lock(&self.queue).output.take() else { return };
        // Also where the output panics.
        let _done = Done(self);
        let mut bytes = Vec::new();
        while self.take(&mut bytes) {
            self.write(&mut *output, &bytes);
        }
    }

    /// Waits for what is to be written; returns false when there is no more.
    fn take(&self, bytes: &mut Vec<u8>) -> bool {
        bytes.clear();
        let mut since: Option<Instant> = None;
        let mut queue = lock(&self.queue);
        queue.is_writing = false;
        loop {
            let has_waited = since.is_some_and(|since| since.elapsed() >= PATIENCE);
            let due = queue.due(has_waited);
            if due != 0 {
                queue.waits = Waits::No;
                bytes.extend(queue.bytes.drain(..due));
                queue.is_writing = true;
                if queue.held_up != 0 {
                    self.room.notify_all();
                }
                return true;
            }
            if queue.is_closed {
                return false;
            }
            queue = if queue.bytes.is_empty() {
                queue.waits = Waits::ForAByte;
                self.work.wait(queue).unwrap_or_else(PoisonError::into_inner)
            } else {
                queue.waits = Waits::ForALine;
                let since = *since.get_or_insert_with(Instant::now);
                let left = PATIENCE.saturating_sub(since.elapsed());
                self.work.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    /// Writes until all is written, nothing more is to be tried, or the output takes no more. A console that nobody
    /// reads is no reason to end the guest.
    fn write(&self, output: &mut dyn Output, bytes: &[u8]) {
        let mut left = bytes;
        let mut pause = RETRY.0;
        loop {
            let attempt = if left.is_empty() { output.flush().map(|()| 0) } else { output.write(left) };
            let mut queue: MutexGuard<'_, Queue>;
            match attempt {
                Ok(_) if left.is_empty() => return,
                Ok(0) => return self.lose(left.len(), &ErrorKind::WriteZero.into()),
                Ok(written) => {
                    let written = written.min(left.len());
                    (left, pause) = (&left[written..], RETRY.0);
                    queue = lock(&self.queue);
                    queue.unwritten -= written;
                    if queue.unwritten == 0 && queue.held_up != 0 {
                        self.room.notify_all();
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => queue = lock(&self.queue),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(RETRY.1);
                    queue = lock(&self.queue);
                }
                // What it keeps to itself is its own.
                Err(_) if left.is_empty() => return,
                Err(error) => return self.lose(left.len(), &error),
            }
            if queue.is_given_up {
                queue.bytes.clear();
                return;
            }
        }
    }

    fn lose(&self, bytes: usize, error: &io::Error) {
        let mut queue = lock(&self.queue);
        queue.unwritten -= bytes;
        queue.lost.get_or_insert_with(|| Lost::because(error)).bytes += bytes;
    }
}

/// Tells at its end that the thread that writes has come to its own.
struct Done<'a>(&'a Console);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        lock(&self.0.queue).is_done = true;
        self.0.let_go();
    }
}

#[cfg(test)]
mod tests;
