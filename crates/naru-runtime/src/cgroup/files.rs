//! The kernel's files of control groups; the errors keep their number, which decides here.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

/// The whole text of a file.
pub(super) fn read(path: impl AsRef<Path>) -> io::Result<String> {
    let mut text = String::new();
    open(path.as_ref(), OFlags::RDONLY)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Writes a value in one write, as the kernel wants it.
pub(super) fn write(path: impl AsRef<Path>, value: &str) -> io::Result<()> {
    open(path.as_ref(), OFlags::WRONLY)?.write_all(value.as_bytes())
}

/// A file that several values are written to, each in one write.
pub(super) fn writable(path: impl AsRef<Path>) -> io::Result<File> {
    open(path.as_ref(), OFlags::WRONLY)
}

/// Makes a group.
pub(super) fn make(path: impl AsRef<Path>) -> io::Result<()> {
    Ok(rustix::fs::mkdir(path.as_ref(), Mode::from_bits_truncate(0o755))?)
}

/// Removes a group.
pub(super) fn remove(path: impl AsRef<Path>) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(CWD, path.as_ref(), AtFlags::REMOVEDIR)?)
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    Ok(File::from(rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())?))
}
