//! A file that is replaced as a whole: who opens it finds what was there before or all that is there now, whatever
//! happens in between.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// How far a replacement has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// There is a file beside it.
    Made,
    /// All is written there.
    Written,
    /// And is on the disk.
    Kept,
    /// The file has its name.
    Named,
    /// And that is on the disk.
    Done,
}

/// Replaces a file, but no link or device, by what is written, beside it at first: `.NAME.….partial`, which goes away where
/// anything fails. Each step is told.
///
/// # Errors
///
/// Fails where the operating system or the writing does; the file is then what it was.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    mut step: impl FnMut(Step),
) -> io::Result<()> {
    if path.symlink_metadata().is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::other("there is something that is no ordinary file"));
    }
    let name = path.file_name().ok_or_else(|| io::Error::other("it ends in no name of a file"))?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let partial = tempfile::Builder::new().prefix(&prefix).suffix(".partial").tempfile_in(directory)?;
    step(Step::Made);
    let mut output = BufWriter::with_capacity(64 << 10, partial.as_file());
    write(&mut output)?;
    output.into_inner().map_err(io::IntoInnerError::into_error)?;
    step(Step::Written);
    partial.as_file().sync_all()?;
    step(Step::Kept);
    partial.persist(path)?;
    step(Step::Named);
    File::open(directory)?.sync_all()?;
    step(Step::Done);
    Ok(())
}
