//! `--pid-file`: a process's number in a file that appears complete.

use std::io::Write;
use std::path::Path;

use anyhow::Context as _;

/// Writes `pid` to `path`, if there is one.
pub(crate) fn write(path: Option<&Path>, pid: i32) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let name = path.file_name().context("the pid file has no name")?.to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}"));
    let write = || {
        let mut file = fs_err::File::create(&temporary)?;
        file.write_all(pid.to_string().as_bytes())?;
        fs_err::rename(&temporary, path)
    };
    write().context("cannot write the pid file")
}
