//! One guest in the rig, from what the control channel says about it.

use std::time::Instant;

use super::control::Line;
use crate::boot::{Exits, millis_since};
use crate::qemu::Finish;
use crate::qmp::Events;

/// The status of a program that `timeout -s KILL` ended.
const KILLED: i32 = 128 + 9;

/// A guest that was started.
#[derive(Debug)]
pub(super) struct Guest {
    started: Instant,
    events: Events,
    stderr: Vec<String>,
    /// Exits by guest address and reason.
    pub(super) exits: Vec<Exits>,
    /// Exits that found no room in the histogram.
    pub(super) lost: u64,
    /// How it ended, or that its time was up, and after how many milliseconds, once it has.
    pub(super) ended: Option<(Option<Finish>, u64)>,
}

impl Guest {
    /// Makes a guest that starts now.
    pub(super) fn start() -> Self {
        Self {
            started: Instant::now(),
            events: Events::default(),
            stderr: Vec::new(),
            exits: Vec::new(),
            lost: 0,
            ended: None,
        }
    }

    /// Takes in a line about the guest.
    pub(super) fn take(&mut self, line: Line) {
        match line {
            Line::Qmp(message) => self.events.take(&message),
            Line::Stderr(text) => self.stderr.push(text),
            Line::Exits(exits) => self.exits.push(exits),
            Line::Lost(count) => self.lost += count,
            Line::End { status, .. } => self.ended = Some((self.finish(status), millis_since(self.started))),
            Line::Ready | Line::Start(_) | Line::Done | Line::Broken(_) => {}
        }
    }

    /// Notes that the guest ran until the rig was ended.
    pub(super) fn time_out(&mut self) {
        self.ended.get_or_insert((None, millis_since(self.started)));
    }

    fn finish(&self, status: i32) -> Option<Finish> {
        if status == KILLED && self.events.stopped.is_none() {
            return None;
        }
        Some(Finish {
            code: Some(status),
            status: format!("status {status}"),
            events: self.events.clone(),
            stderr: self.stderr.join("\n"),
        })
    }
}
