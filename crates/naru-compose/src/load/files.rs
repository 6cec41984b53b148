//! Reading files, which may be anything: too large, a pipe nobody writes to, not text.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Largest Compose file and env file in bytes.
const SIZE_LIMIT: u64 = 8 << 20;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It is not there.
    #[error("there is no file {0}")]
    Missing(PathBuf),
    /// It is a directory, a device or a pipe.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// It is too large.
    #[error("{0} is larger than {limit} MiB", limit = SIZE_LIMIT >> 20)]
    TooLarge(PathBuf),
    /// It is not UTF-8.
    #[error("{path} is not a text in UTF-8")]
    NotText {
        /// The file.
        path: PathBuf,
        /// Its text, with a replacement for what is no text.
        text: String,
        /// Line of the first byte that is no text, counted from 1.
        line: u32,
        /// Its column in characters, counted from 1.
        column: u32,
    },
    /// The system said no.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// The text of a file; nothing for `/dev/null`. Pipes are read only when the shell made them, as
/// in `-f <(command)`.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    if path == Path::new("/dev/null") {
        return Ok(String::new());
    }
    let failed = |error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::Missing(path.to_owned()),
        _ => Error::Unreadable { path: path.to_owned(), reason: reason(error) },
    };
    let metadata = fs_err::metadata(path).map_err(|error| failed(&error))?;
    let substituted = path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd");
    if !metadata.is_file() && (metadata.is_dir() || !substituted) {
        return Err(Error::NotAFile(path.to_owned()));
    }
    let file = fs_err::File::open(path).map_err(|error| failed(&error))?;
    text(file, path)
}

/// The text of standard input.
pub(crate) fn read_standard_input() -> Result<String, Error> {
    text(std::io::stdin().lock(), Path::new("-"))
}

/// Why a file cannot be read: the kind of error, or where it has no name the kernel's own words.
fn reason(error: &std::io::Error) -> String {
    let kind = error.kind().to_string();
    if kind != "uncategorized error" {
        return kind;
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn text(reader: impl Read, path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    reader
        .take(SIZE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::Unreadable { path: path.to_owned(), reason: reason(&error) })?;
    if bytes.len() as u64 > SIZE_LIMIT {
        return Err(Error::TooLarge(path.to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let before = &text[..valid];
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX - 1) + 1;
        let line = number(before.matches('\n').count());
        let column = number(before.rsplit('\n').next().unwrap_or("").chars().count());
        Error::NotText { path: path.to_owned(), text, line, column }
    })
}

/// `path` as seen from `directory`, without `.` and `..`; an absolute path stays as it is.
pub(crate) fn join(directory: &Path, path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_owned() } else { clean(&directory.join(path)) }
}

/// The way from one absolute directory to another, by their texts alone.
pub(crate) fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

/// The same file by its only name, without symbolic links; the path as it is when there is no file.
pub(crate) fn real(path: &Path) -> PathBuf {
    fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The path without `.` and `..`, by its text alone.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if matches!(result.components().next_back(), Some(Component::Normal(_))) {
                    result.pop();
                } else if !result.has_root() {
                    result.push("..");
                }
            }
            other => result.push(other),
        }
    }
    result
}
