//! What the user sees while waiting, and the announcements, all on stderr.

use std::io::{Write, stderr};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The spinner that is on the screen now; announcements must not tear it.
static CURRENT: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// A spinner with a message, gone from the screen when dropped; nothing at all where stderr is no terminal.
#[derive(Debug)]
#[must_use]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shows a spinner that says what is being waited for and for how long already.
    pub(crate) fn start(message: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(message.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        if let Ok(mut current) = CURRENT.lock() {
            *current = Some(bar.clone());
        }
        Self { bar }
    }

    /// Takes the spinner off the screen, for instance because a console starts to print.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Prints one line on stderr, around a spinner that may be there.
pub(crate) fn say(line: &str) {
    let current = CURRENT.lock().ok().and_then(|current| current.clone());
    // A closed stderr leaves nobody to tell.
    let print = || _ = writeln!(stderr(), "{line}");
    match current {
        Some(bar) if !bar.is_finished() => bar.suspend(print),
        _ => print(),
    }
}
