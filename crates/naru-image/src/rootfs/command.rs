//! Why a command cannot be executed, found in the file itself: the kernel's own answer is one number for ten causes.

use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::beneath::{self, Irregular, file_type};

mod cause;
mod elf;

pub use cause::Cause;

use elf::Elf;

/// Bytes at the beginning of a program that are looked at.
const HEAD: u64 = 64 << 10;
/// Interpreters that name further interpreters, as the kernel counts them.
const MAX_INTERPRETERS: usize = 5;

const ENV: [&str; 2] = ["/usr/bin/env", "/bin/env"];

/// A command that is there and can, as far as can be seen, be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its path in the container.
    pub path: String,
}

/// Finds what would be executed for `argv0`: itself when it holds a slash (relative to `directory`), else the first
/// match in the directories of `path`.
///
/// # Errors
/// The reason why it cannot be executed.
pub fn look_up_command(
    root: BorrowedFd<'_>,
    path: &[&str],
    directory: &str,
    argv0: &str,
) -> Result<Found, Cause> {
    let missing = |searched: &[&str]| Cause::Missing {
        command: argv0.to_owned(),
        searched: searched.iter().map(|entry| (*entry).to_owned()).collect(),
    };
    if argv0.is_empty() || argv0.contains('\0') {
        return Err(missing(&[]));
    }
    if argv0.contains('/') {
        let full = join(directory, argv0);
        return match check(root, path, &full, 0) {
            Err(Cause::Missing { .. }) => Err(missing(&[])),
            result => result,
        };
    }
    // As the C library does: a match that may not be executed is remembered, and the search goes on.
    let mut remembered = None;
    for entry in path {
        match check(root, path, &join(directory, &format!("{entry}/{argv0}")), 0) {
            Err(Cause::Missing { .. }) => {}
            Err(cause @ (Cause::NotExecutable { .. } | Cause::Directory { .. })) => {
                remembered.get_or_insert(cause);
            }
            result => return result,
        }
    }
    Err(remembered.unwrap_or_else(|| missing(path)))
}

/// Why `argv0` cannot be executed with this `PATH` in this working directory, or nothing when no reason is to be seen.
pub fn diagnose(root: BorrowedFd<'_>, path: &str, directory: &str, argv0: &str) -> Option<Cause> {
    let path: Vec<&str> =
        path.split(':').map(|entry| if entry.is_empty() { "." } else { entry }).collect();
    look_up_command(root, &path, directory, argv0).err()
}

fn join(directory: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    format!("/{}/{}", directory.trim_matches('/'), path.trim_start_matches("./")).replace("//", "/")
}

fn check(root: BorrowedFd<'_>, search: &[&str], path: &str, depth: usize) -> Result<Found, Cause> {
    let head = match open_executable(root, path)? {
        Some(file) => read_head(file, path)?,
        // Not even root may read it, which the kernel does not need to execute it.
        None => return Ok(Found { path: path.to_owned() }),
    };
    if head.is_empty() {
        return Err(Cause::Empty { path: path.to_owned() });
    }
    if head.starts_with(b"\x7fELF") {
        check_elf(root, path, &head)?;
    } else if head.starts_with(b"\xef\xbb\xbf#!") {
        return Err(Cause::ByteOrderMark { path: path.to_owned() });
    } else if let Some(rest) = head.strip_prefix(b"#!") {
        check_script(root, search, path, rest, depth)?;
    } else {
        return Err(Cause::NoProgram { path: path.to_owned() });
    }
    Ok(Found { path: path.to_owned() })
}

fn open_executable(root: BorrowedFd<'_>, path: &str) -> Result<Option<OwnedFd>, Cause> {
    let named = || path.to_owned();
    match beneath::open_regular(root, path.as_bytes()) {
        Ok((_, stat)) if stat.st_mode & 0o111 == 0 => Err(Cause::NotExecutable { path: named() }),
        Ok((file, _)) => Ok(Some(file)),
        Err(Irregular::Kind(FileType::Directory)) => Err(Cause::Directory { path: named() }),
        Err(Irregular::Kind(_)) => Err(Cause::NotAFile { path: named() }),
        Err(Irregular::Open(Errno::ACCESS)) if is_executable(root, path) => Ok(None),
        Err(Irregular::Open(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG)) => {
            Err(Cause::Missing { command: named(), searched: Vec::new() })
        }
        Err(Irregular::Open(errno)) => Err(Cause::Unreadable { path: named(), errno }),
    }
}

fn is_executable(root: BorrowedFd<'_>, path: &str) -> bool {
    beneath::open(root, path.as_bytes(), OFlags::PATH)
        .and_then(rustix::fs::fstat)
        .is_ok_and(|stat| file_type(&stat) == FileType::RegularFile && stat.st_mode & 0o111 != 0)
}

fn read_head(file: OwnedFd, path: &str) -> Result<Vec<u8>, Cause> {
    let mut head = Vec::new();
    std::fs::File::from(file).take(HEAD).read_to_end(&mut head).map_err(|error| {
        Cause::Unreadable {
            path: path.to_owned(),
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        }
    })?;
    Ok(head)
}

fn check_script(
    root: BorrowedFd<'_>,
    search: &[&str],
    path: &str,
    rest: &[u8],
    depth: usize,
) -> Result<(), Cause> {
    // The kernel looks at no more than this, and neither do we.
    let rest = &rest[..rest.len().min(254)];
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
    let Some(interpreter) = words.next() else {
        return Err(Cause::NoProgram { path: path.to_owned() });
    };
    let argument = words.next();
    // `/usr/bin/env\r` is not found by the kernel, `env bash\r` is not found by env.
    let ends_with_return = |word: &str| word.ends_with('\r');
    if ends_with_return(interpreter)
        || (ENV.contains(&interpreter) && argument.is_some_and(ends_with_return))
    {
        let interpreter = text.trim().to_owned();
        return Err(Cause::WindowsLineEnding { path: path.to_owned(), interpreter });
    }
    if depth >= MAX_INTERPRETERS {
        return Err(Cause::NoProgram { path: path.to_owned() });
    }
    let missing = |interpreter: &str| Cause::InterpreterMissing {
        path: path.to_owned(),
        interpreter: interpreter.to_owned(),
    };
    match check(root, search, &join("/", interpreter), depth + 1) {
        Ok(_) => {}
        Err(Cause::Missing { .. }) => return Err(missing(interpreter)),
        Err(cause) => {
            return Err(Cause::Interpreter { path: path.to_owned(), cause: Box::new(cause) });
        }
    }
    let named = argument
        .filter(|word| ENV.contains(&interpreter) && !word.starts_with('-') && !word.contains('='));
    if let Some(command) = named
        && !command.contains('/')
        && search.iter().all(|entry| !is_executable(root, &format!("{entry}/{command}")))
    {
        return Err(missing(command));
    }
    Ok(())
}

/// Looks at the machine and the loader a program asks for. What is damaged beyond that, the kernel will say.
fn check_elf(root: BorrowedFd<'_>, path: &str, head: &[u8]) -> Result<(), Cause> {
    let Some(elf) = Elf::new(head) else { return Err(Cause::NoProgram { path: path.to_owned() }) };
    if !elf.runs_here() {
        let found = elf.machine_name();
        let wanted = std::env::consts::ARCH;
        return Err(Cause::WrongMachine { path: path.to_owned(), found, wanted });
    }
    if let Some(loader) = elf.loader()
        && let Err(Cause::Missing { .. }) = open_executable(root, &loader)
    {
        return Err(Cause::LoaderMissing { path: path.to_owned(), loader });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use fs_err as fs;

    use super::elf::{AARCH64, RISCV, X86_64};
    use super::*;
    use crate::testing::TempDir;

    /// A 64-bit little-endian program header table with one PT_INTERP.
    fn elf(machine: u16, loader: &str) -> Vec<u8> {
        let mut head = vec![0; 64 + 56];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18..20].copy_from_slice(&machine.to_le_bytes());
        head[32..40].copy_from_slice(&64_u64.to_le_bytes());
        head[54..56].copy_from_slice(&56_u16.to_le_bytes());
        head[56..58].copy_from_slice(&u16::from(!loader.is_empty()).to_le_bytes());
        head[64..68].copy_from_slice(&3_u32.to_le_bytes());
        head[72..80].copy_from_slice(&120_u64.to_le_bytes());
        head[96..104].copy_from_slice(&(loader.len() as u64 + 1).to_le_bytes());
        head.extend(loader.as_bytes());
        head.push(0);
        head
    }

    fn here() -> u16 {
        match std::env::consts::ARCH {
            "x86_64" => X86_64,
            "aarch64" => AARCH64,
            _ => RISCV,
        }
    }

    fn put(dir: &TempDir, path: &str, mode: u32, content: &[u8]) {
        let full = dir.path().join(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(&full, content).unwrap();
        fs::set_permissions(&full, PermissionsExt::from_mode(mode)).unwrap();
    }

    fn image() -> TempDir {
        let dir = TempDir::new();
        put(&dir, "bin/sh", 0o755, &elf(here(), ""));
        put(&dir, "usr/bin/env", 0o755, &elf(here(), ""));
        dir
    }

    fn cause(dir: &TempDir, argv0: &str) -> Option<Cause> {
        diagnose(dir.open().as_fd(), "/usr/bin:/bin", "/app", argv0)
    }

    fn check_cause(content: &[u8], mode: u32, expected: &str) {
        let dir = image();
        put(&dir, "app/run", mode, content);
        let cause = cause(&dir, "./run").map(|cause| cause.to_string());
        assert_eq!(cause.as_deref().unwrap_or("fine"), expected);
    }

    #[test]
    fn what_can_be_executed_has_no_cause() {
        let dir = image();
        assert_eq!(cause(&dir, "sh"), None);
        check_cause(b"#!/bin/sh\n", 0o755, "fine");
        check_cause(b"#! /bin/sh -e\necho", 0o755, "fine");
        check_cause(b"#!/usr/bin/env sh\n", 0o755, "fine");
        let found = look_up_command(dir.open().as_fd(), &["/usr/bin", "/bin"], "/", "sh").unwrap();
        assert_eq!(found.path, "/bin/sh");
    }

    #[test]
    fn every_cause_is_told_apart() {
        check_cause(b"#!/bin/sh\n", 0o644, "/app/run is not executable");
        check_cause(b"", 0o755, "/app/run is empty");
        check_cause(
            b"echo hi\n",
            0o755,
            "/app/run is neither a program nor a script that begins with #!",
        );
        check_cause(
            b"#!/bin/sh\r\n",
            0o755,
            "/app/run has Windows line endings, so its interpreter is not found",
        );
        check_cause(
            b"#!/usr/bin/env sh\r\n",
            0o755,
            "/app/run has Windows line endings, so its interpreter is not found",
        );
        check_cause(
            b"\xef\xbb\xbf#!/bin/sh\n",
            0o755,
            "/app/run begins with a byte order mark instead of #!",
        );
        check_cause(
            b"#!/bin/bash\n",
            0o755,
            "/app/run needs /bin/bash, which the image does not have",
        );
        check_cause(
            b"#!/usr/bin/env python3\n",
            0o755,
            "/app/run needs python3, which the image does not have",
        );
        check_cause(b"#!/app\n", 0o755, "/app/run cannot be run: /app is a directory");
        check_cause(
            b"#!\n",
            0o755,
            "/app/run is neither a program nor a script that begins with #!",
        );
        check_cause(
            &elf(here(), "/lib/ld-musl-x86_64.so.1"),
            0o755,
            "/app/run needs the loader /lib/ld-musl-x86_64.so.1, which the image does not have",
        );
        let wrong =
            format!("/app/run is a program for s390x, this machine is {}", std::env::consts::ARCH);
        check_cause(&elf(22, ""), 0o755, &wrong);
    }

    #[test]
    fn a_command_that_is_nowhere_names_where_it_was_looked_for() {
        let dir = image();
        dir.dir("usr/bin/dir");
        let text = |argv0| cause(&dir, argv0).unwrap().to_string();
        assert_eq!(text("node"), "the image has no command \"node\" in /usr/bin, /bin");
        assert_eq!(text("/nope"), "the image has no file /nope");
        assert_eq!(text("dir"), "/usr/bin/dir is a directory");
        assert_eq!(text("/bin"), "/bin is a directory");
        assert!(cause(&dir, "npm start").unwrap().hint().contains("write it as a list"));
        assert_eq!(text(""), "the image has no file ");
    }

    #[test]
    fn hints_say_what_to_do() {
        let loader = |loader: &str| {
            Cause::LoaderMissing { path: "/x".to_owned(), loader: loader.to_owned() }.hint()
        };
        assert!(loader("/lib/ld-musl-x86_64.so.1").contains("Alpine"));
        assert!(loader("/lib64/ld-linux-x86-64.so.2").contains("glibc"));
    }

    #[test]
    fn hostile_files_are_looked_at_without_harm() {
        let dir = image();
        let outside = TempDir::new();
        put(&outside, "tool", 0o755, &elf(here(), ""));
        symlink(outside.path().join("tool"), dir.path().join("bin/link")).unwrap();
        symlink("loop", dir.path().join("bin/loop")).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o755);
        rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("bin/fifo"), FileType::Fifo, mode, 0)
            .unwrap();
        put(&dir, "bin/self", 0o755, b"#!/bin/self\n");
        put(&dir, "bin/short", 0o755, b"\x7fELF");
        let mut wild = elf(here(), "/x");
        wild[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        put(&dir, "bin/wild", 0o755, &wild);
        let mut many = elf(here(), "/x");
        many[64] = 0;
        many[54..58].copy_from_slice(&[0, 0, 0xff, 0xff]);
        put(&dir, "bin/many", 0o755, &many);
        for command in ["link", "loop", "fifo", "self", "short"] {
            assert!(cause(&dir, command).is_some(), "{command}");
        }
        assert_eq!((cause(&dir, "wild"), cause(&dir, "many")), (None, None));
    }
}
