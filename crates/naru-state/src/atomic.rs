//! Files are never written in place: a reader sees the old content or the new one, also after a crash.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::record::VERSION;

/// What the name of a file ends with that is to be renamed when it is whole.
const TEMPORARY: &str = ".tmp";

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system said no; the source names the path.
    #[error("the record could not be read or written")]
    File(#[source] io::Error),
    /// A newer naru wrote it, in a form that this one does not know.
    #[error("{path} was written by a newer naru (form {version}, this one knows {VERSION})")]
    Newer {
        /// The file.
        path: String,
        /// Its form.
        version: u32,
    },
    /// The file does not hold what it should.
    #[error("{path} is damaged")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong in it.
        #[source]
        source: serde_json::Error,
    },
}

/// Writes `content` so that it survives a power cut: temp file, fsync, rename, fsync of the directory.
///
/// # Errors
/// When a step fails; the old file is then still there.
pub fn write_durable(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, true)
}

/// Writes `content` by a rename only: for files under the run directory, which need not survive.
///
/// # Errors
/// When a step fails; the old file is then still there.
pub fn write_volatile(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, false)
}

/// [`write_durable`] of `value` as JSON.
///
/// # Errors
/// As [`write_durable`].
pub fn save_durable(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    write_durable(path, &json(path, value)?).map_err(Error::File)
}

/// [`write_volatile`] of `value` as JSON.
///
/// # Errors
/// As [`write_volatile`].
pub fn save_volatile(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    write_volatile(path, &json(path, value)?).map_err(Error::File)
}

/// Makes files that were written by [`write_volatile`] survive a power cut, with the directories that they
/// were made in. The first fsync takes along what the others wait for: thirty files cost about as much as one.
///
/// # Errors
/// When a file is there and cannot be brought to disk. One that has gone meanwhile is no error.
pub fn commit(paths: &[PathBuf]) -> io::Result<()> {
    let directories: BTreeSet<_> = paths
        .iter()
        .flat_map(|path| path.ancestors().skip(1).take(2))
        .map(Path::to_owned)
        .collect();
    for path in paths.iter().chain(&directories) {
        match fs::File::open(path) {
            Ok(file) => file.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Where this process writes what is to become `path`: `NAME.PID.tmp` beside it.
fn temporary(path: &Path) -> Option<PathBuf> {
    let mut name = path.file_name()?.to_owned();
    name.push(format!(".{}{TEMPORARY}", std::process::id()));
    Some(path.with_file_name(name))
}

/// The process that writes or wrote this file to rename it when it is whole; `None` when it is no such file.
pub fn writer(path: &Path) -> Option<i32> {
    let name = path.file_name()?.to_str()?;
    let (_, pid) = name.strip_suffix(TEMPORARY)?.rsplit_once('.')?;
    pid.parse().ok()
}

/// Removes the half-written files in `folder` of writers that were killed before the rename: those for which `is_gone`
/// says so of the process that wrote them.
///
/// # Errors
/// When one cannot be removed. A folder that is not there has none.
pub fn remove_half_written(folder: &Path, is_gone: impl Fn(i32) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        if writer(&entry.path()).is_some_and(&is_gone) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// What the system said of a path, with the path, for calls whose errors do not name it.
pub fn naming(path: &Path, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The form of a record, as far as every form has it.
#[derive(serde::Deserialize)]
struct Form {
    version: u32,
}

/// Reads a JSON file; `None` when there is none.
///
/// # Errors
/// When the file cannot be read, is of a newer form ([`Error::Newer`]) or does not hold a `T`.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::File(error)),
    };
    if let Ok(Form { version }) = serde_json::from_slice(&bytes)
        && version > VERSION
    {
        return Err(Error::Newer { path: path.display().to_string(), version });
    }
    let damaged = |source| Error::Damaged { path: path.display().to_string(), source };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

fn json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let damaged = |source| Error::Damaged { path: path.display().to_string(), source };
    serde_json::to_vec_pretty(value).map_err(damaged)
}

fn replace(path: &Path, content: &[u8], durable: bool) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let temporary = temporary(path).ok_or(io::ErrorKind::InvalidInput)?;
    let written = (|| {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(content)?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&temporary, path)
    })();
    if let Err(error) = written {
        // The temp file is of no use to anybody; the first error is the one to report.
        let _gone = fs::remove_file(&temporary);
        return Err(error);
    }
    if durable {
        fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_temp_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record.json");
        save_durable(&path, &1).unwrap();
        assert!(save_durable(&directory.path().join("none/record.json"), &2).is_err());
        fs::create_dir(directory.path().join("taken")).unwrap();
        assert!(save_durable(&directory.path().join("taken"), &2).is_err());
        assert_eq!(load::<u32>(&path).unwrap(), Some(1));
        let names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn a_half_written_file_names_its_writer_and_no_other_file_does() {
        let path = Path::new("/state/project.json");
        let writer_of = |path: &Path| writer(path).and_then(|pid| u32::try_from(pid).ok());
        assert_eq!(writer_of(&temporary(path).unwrap()), Some(std::process::id()));
        for other in ["project.json", "project.json.tmp", "7.json", "tmp"] {
            assert_eq!(writer(&path.with_file_name(other)), None, "{other}");
        }
    }

    #[test]
    fn what_a_writer_has_left_that_is_gone_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a.json.7.tmp", "b.json.8.tmp", "a.json"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        remove_half_written(directory.path(), |pid| pid == 7).unwrap();
        let left = |name| directory.path().join(name).exists();
        assert_eq!(["a.json.7.tmp", "b.json.8.tmp", "a.json"].map(left), [false, true, true]);
        remove_half_written(&directory.path().join("none"), |_| true).unwrap();
    }

    #[test]
    fn a_record_of_a_newer_form_is_refused_not_guessed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record.json");
        fs::write(&path, r#"{"version": 99, "name": "later"}"#).unwrap();
        let refused = load::<serde_json::Value>(&path).unwrap_err().to_string();
        assert!(
            refused.ends_with("was written by a newer naru (form 99, this one knows 2)"),
            "{refused}"
        );
    }

    #[test]
    fn a_commit_passes_over_files_that_have_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record.json");
        save_volatile(&path, &1).unwrap();
        commit(&[path, directory.path().join("gone/record.json")]).unwrap();
    }

    #[test]
    fn a_missing_file_is_none_and_a_torn_one_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record.json");
        assert_eq!(load::<u32>(&path).unwrap(), None);
        fs::write(&path, "{\"half").unwrap();
        assert!(load::<u32>(&path).unwrap_err().to_string().contains("record.json is damaged"));
    }
}
