//! What the user sees while waiting, and the announcements, all on stderr.

use std::io::{Write, stderr};
use std::sync::LazyLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The spinners that are on the screen now; nothing that is printed may tear them.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

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
        let bar = BARS.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(message.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
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

/// Prints one line on stderr, around spinners that may be there.
pub(crate) fn say(line: &str) {
    // A closed stderr leaves nobody to tell.
    around(|| _ = writeln!(stderr(), "{line}"));
}

/// Prints while no spinner is on the screen.
pub(crate) fn around<T>(print: impl FnOnce() -> T) -> T {
    BARS.suspend(print)
}
