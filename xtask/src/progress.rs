//! What the user sees while waiting, and the announcements, all on stderr.

use std::io::{Write, stderr};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The spinner that is on the screen now; announcements must not tear it.
static CURRENT: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// A spinner or a bar with a message, gone from the screen when dropped; nothing at all where stderr is no terminal.
#[derive(Debug)]
#[must_use]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shows a spinner that says what is being waited for and for how long already.
    pub(crate) fn start(message: &str) -> Self {
        Self::show(message, "{spinner} {msg} ({elapsed})")
    }

    /// Shows a bar that fills up with every step, once it is known how many there will be.
    pub(crate) fn bar(message: &str) -> Self {
        Self::show(message, "{spinner} {msg} [{bar:40}] {pos} of {len} ({elapsed})")
    }

    fn show(message: &str, template: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(message.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        if let Ok(mut current) = CURRENT.lock() {
            *current = Some(bar.clone());
        }
        Self { bar }
    }

    /// Sets how many steps there will be.
    pub(crate) fn expect(&self, steps: u64) {
        self.bar.set_length(steps);
    }

    /// Takes some steps.
    pub(crate) fn advance(&self, steps: u64) {
        self.bar.inc(steps);
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
