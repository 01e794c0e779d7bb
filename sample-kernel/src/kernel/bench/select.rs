//! Which benchmarks are asked for.

use core::fmt;

use super::all;

/// Names of benchmarks, or their beginnings: all benchmarks if there is none.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a>(Option<&'a str>);

/// A word that no benchmark's name begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown<'a>(pub &'a str);

impl<'a> Selection<'a> {
    /// Reads names separated by commas. One that is no benchmark's stands for all that begin with it.
    ///
    /// # Errors
    ///
    /// Returns the first name that no benchmark's begins with.
    pub fn new(words: Option<&'a str>) -> Result<Self, Unknown<'a>> {
        let mut words_of = words.into_iter().flat_map(|words| words.split(','));
        let unknown = |word: &&str| word.is_empty() || !names().any(|name| name.starts_with(*word));
        words_of.find(unknown).map_or(Ok(Self(words)), |word| Err(Unknown(word)))
    }

    /// Tells whether benchmarks of this name are asked for.
    pub fn includes(&self, name: &str) -> bool {
        let begins = |word: &str| name.starts_with(word) && !names().any(|other| other == word);
        self.0.is_none_or(|words| words.split(',').any(|word| word == name || begins(word)))
    }
}

impl fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such benchmark; known are")?;
        names().enumerate().try_for_each(|(index, name)| {
            let separator = if index == 0 { " " } else { ", " };
            write!(f, "{separator}{name}")
        })
    }
}

/// Returns the name of every benchmark, once.
pub fn names() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    all().map(|benchmark| benchmark.name).filter(move |name| core::mem::replace(&mut last, name) != *name)
}
