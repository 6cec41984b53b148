//! The guest's first file system: an archive in the kernel's "newc" form
//! (Documentation/driver-api/early-userspace/buffer-format.rst), not compressed, since unpacking is emulated too.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Program;
use super::kernel::Kernel;
use super::modules;
use crate::task;

const FOLDER: u32 = 0o40_755;
const PROGRAM: u32 = 0o100_755;
const DEVICE: u32 = 0o20_600;

/// Writes the archive and gives back where it is.
pub(crate) fn write(folder: &Path, kernel: &Kernel, programs: &[Program]) -> Result<PathBuf> {
    let mut archive = Archive::default();
    for name in ["bin", "dev", "modules"] {
        archive.entry(name, FOLDER, (0, 0), &[])?;
    }
    archive.entry("dev/console", DEVICE, (5, 1), &[])?;
    archive.entry("init", PROGRAM, (0, 0), include_bytes!("guest/init.sh"))?;
    archive.entry("steps", PROGRAM, (0, 0), include_bytes!("guest/steps.sh"))?;
    archive.entry("supervision", PROGRAM, (0, 0), include_bytes!("guest/supervision.sh"))?;
    for program in programs {
        let content = stripped(&program.file, &folder.join("stripped"))?;
        archive.entry(&format!("bin/{}", program.name), PROGRAM, (0, 0), &content)?;
    }
    let modules = modules::load_order(kernel)?;
    for (number, module) in modules.iter().enumerate() {
        let name = format!("modules/{number:02}-{}.ko", module.name);
        archive.entry(&name, PROGRAM, (0, 0), &module.content)?;
    }
    archive.entry("TRAILER!!!", 0, (0, 0), &[])?;
    let path = folder.join("initramfs.cpio");
    fs_err::write(&path, archive.bytes)?;
    Ok(path)
}

/// A program without what only a debugger reads, where there is a tool for it: it is most of the archive.
fn stripped(file: &Path, scratch: &Path) -> Result<Vec<u8>> {
    if task::has_program("strip") {
        task::run(Command::new("strip").arg("-o").arg(scratch).arg(file))?;
        return Ok(fs_err::read(scratch)?);
    }
    Ok(fs_err::read(file)?)
}

/// Entries one after the other, each filled up to a multiple of four bytes.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    count: u32,
}

impl Archive {
    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) -> Result<()> {
        self.count += 1;
        let size = u32::try_from(content.len()).with_context(|| format!("{name} is too large"))?;
        let length = u32::try_from(name.len() + 1)?;
        let (major, minor) = device;
        // Inode, mode, owner, group, links, time, size, device of the file, device that it is, name's length, checksum.
        let fields = [self.count, mode, 0, 0, 1, 0, size, 0, 0, major, minor, length, 0];
        self.bytes.write_all(b"070701")?;
        for field in fields {
            write!(self.bytes, "{field:08x}")?;
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.fill();
        self.bytes.extend_from_slice(content);
        self.fill();
        Ok(())
    }

    fn fill(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_begin_at_multiples_of_four() {
        let mut archive = Archive::default();
        archive.entry("init", PROGRAM, (0, 0), b"abc").unwrap();
        let text = String::from_utf8_lossy(&archive.bytes).into_owned();
        assert!(text.starts_with("07070100000001000081ed"), "{text}");
        assert_eq!(archive.bytes.len(), 6 + 13 * 8 + 6 + 4);
        assert!(text.ends_with("init\0\0abc\0"), "{text:?}");
    }
}
