//! The kernel's command line, as far as paravirtualization reads it.

/// A kernel command line: words between spaces, each a flag (`nopv`) or a key with a value (`root=/dev/vda`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandLine<'a>(&'a str);

impl<'a> CommandLine<'a> {
    /// Reads `text` as a command line.
    pub const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// Tells whether the word `name` stands on the line.
    pub fn has(&self, name: &str) -> bool {
        self.0.split_ascii_whitespace().any(|word| word == name)
    }

    /// Tells whether the word `no-NAME` stands on the line, which refuses what is called `name`.
    pub fn refuses(&self, name: &str) -> bool {
        self.0.split_ascii_whitespace().any(|word| word.strip_prefix("no-") == Some(name))
    }

    /// Returns the value of the last `key=value`: a later word overrules an earlier one.
    pub fn value(&self, key: &str) -> Option<&'a str> {
        let value = |word: &'a str| word.strip_prefix(key)?.strip_prefix('=');
        self.0.split_ascii_whitespace().filter_map(value).next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::CommandLine;

    #[test]
    fn a_flag_is_a_whole_word() {
        let line = CommandLine::new("quiet nopvspin\tno-kvmclock");
        assert!(line.has("no-kvmclock"));
        assert!(!line.has("nopv"));
        assert!(line.refuses("kvmclock") && !line.refuses("kvm") && !line.refuses("pvspin"));
    }

    #[test]
    fn the_last_value_counts() {
        let line = CommandLine::new("backend=kvm backends=3 backend=selftest empty=");
        assert_eq!(line.value("backend"), Some("selftest"));
        assert_eq!(line.value("empty"), Some(""));
        assert_eq!(line.value("back"), None);
    }
}
