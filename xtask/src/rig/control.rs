//! What the rig's `init.sh` says on its control channel.

use crate::boot::Exits;

/// One line of the control channel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Line {
    /// The rig waits for a job.
    Ready,
    /// The guest of this number starts.
    Start(usize),
    /// A line of the control channel of the guest's QEMU.
    Qmp(String),
    /// A line that the guest's QEMU complains with.
    Stderr(String),
    /// Exits at a guest address.
    Exits(Exits),
    /// Exits that found no room in the histogram.
    Lost(u64),
    /// The guest of this number ended, its QEMU with this status.
    End { guest: usize, status: i32 },
    /// All guests have run.
    Done,
    /// The rig cannot work.
    Broken(String),
}

impl Line {
    /// Reads a line; `None` for one that is not of this kind.
    pub(super) fn read(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "ready" => Self::Ready,
            "start" => Self::Start(rest.parse().ok()?),
            "qmp" => Self::Qmp(rest.to_owned()),
            "stderr" => Self::Stderr(rest.to_owned()),
            "exit" => {
                let [address, reason, count] = rest.split(' ').collect::<Vec<_>>()[..] else { return None };
                let address = u64::from_str_radix(address, 16).ok()?;
                Self::Exits(Exits { address, reason: reason.parse().ok()?, count: count.parse().ok()? })
            }
            "lost" => Self::Lost(rest.parse().ok()?),
            "end" => {
                let (guest, status) = rest.split_once(' ')?;
                Self::End { guest: guest.parse().ok()?, status: status.parse().ok()? }
            }
            "done" => Self::Done,
            "broken" => Self::Broken(rest.to_owned()),
            _ => return None,
        })
    }
}

/// Bytes of a channel, cut into lines as they arrive.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<u8>);

impl Lines {
    /// Takes in bytes and returns the lines that are complete now.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        lines
    }
}

/// The consoles of the guests, cut out of one stream by the mark behind each.
#[derive(Debug)]
pub(super) struct Consoles {
    mark: Vec<u8>,
    /// What was not handed out yet, because it may be the beginning of a mark.
    held: Vec<u8>,
    finished: Vec<Vec<u8>>,
    current: Vec<u8>,
}

impl Consoles {
    /// Starts with a mark that must not be empty.
    pub(super) fn new(mark: &str) -> Self {
        Self { mark: mark.as_bytes().to_vec(), held: Vec::new(), finished: Vec::new(), current: Vec::new() }
    }

    /// Takes in bytes and returns those that belong to a console.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut shown = Vec::new();
        while let Some(at) = self.held.windows(self.mark.len()).position(|window| window == self.mark) {
            self.give(at, &mut shown);
            self.held.drain(..self.mark.len());
            self.finished.push(std::mem::take(&mut self.current));
        }
        let longest = self.held.len().min(self.mark.len() - 1);
        let kept = (0..=longest).rev().find(|kept| self.held.ends_with(&self.mark[..*kept])).unwrap_or(0);
        self.give(self.held.len() - kept, &mut shown);
        shown
    }

    /// Returns the console of a guest; the unfinished one for a guest that came to no end.
    pub(super) fn text(&self, guest: usize) -> String {
        let bytes = self.finished.get(guest).or((guest == self.finished.len()).then_some(&self.current));
        String::from_utf8_lossy(bytes.map_or(&[], Vec::as_slice)).into_owned()
    }

    fn give(&mut self, count: usize, shown: &mut Vec<u8>) {
        let given: Vec<u8> = self.held.drain(..count).collect();
        self.current.extend_from_slice(&given);
        shown.extend_from_slice(&given);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        assert_eq!(Line::read("start 2"), Some(Line::Start(2)));
        assert_eq!(
            Line::read("exit ffffffff81000000 114 12"),
            Some(Line::Exits(Exits { address: 0xffff_ffff_8100_0000, reason: 114, count: 12 }))
        );
        assert_eq!(Line::read("end 1 137"), Some(Line::End { guest: 1, status: 137 }));
        assert_eq!(Line::read("qmp {\"return\": {}}"), Some(Line::Qmp("{\"return\": {}}".to_owned())));
        assert_eq!(Line::read("ready"), Some(Line::Ready));
        assert_eq!(Line::read("done"), Some(Line::Done));
        for line in ["", "start", "start x", "end 1", "exit 1 2", "sh: not found"] {
            assert_eq!(Line::read(line), None, "{line}");
        }
    }

    #[test]
    fn lines_are_whole_however_the_bytes_arrive() {
        let mut lines = Lines::default();
        assert!(lines.take(b"sta").is_empty());
        assert_eq!(lines.take(b"rt 0\r\nend"), ["start 0"]);
        assert_eq!(lines.take(b" 0 33\ndone\n"), ["end 0 33", "done"]);
    }

    #[test]
    fn consoles_are_cut_at_the_marks_however_the_bytes_arrive() {
        let stream = b"one<M<M>two<M>";
        for cut in 0..stream.len() {
            let mut consoles = Consoles::new("<M>");
            let mut shown = consoles.take(&stream[..cut]);
            shown.extend(consoles.take(&stream[cut..]));
            assert_eq!(shown, b"one<Mtwo", "cut at {cut}");
            assert_eq!(
                (consoles.text(0), consoles.text(1), consoles.text(2)),
                ("one<M".into(), "two".into(), String::new())
            );
        }
    }

    #[test]
    fn a_console_without_its_mark_is_not_lost() {
        let mut consoles = Consoles::new("<M>");
        consoles.take(b"one<M>tw");
        assert_eq!(consoles.text(1), "tw");
    }
}
