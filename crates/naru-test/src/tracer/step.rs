//! The durable steps of naru: what it writes, renames, brings to disk and removes in its own folders, by name.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use nix::libc;

use super::Call;

/// A change of a file of naru's, by what is done to which kind of file: `rename projects/P/project.json`. Ids of
/// containers, numbers of log steps and processes are left out, so that each run has the same names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step(String);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Step {
    /// The step that a call makes beneath `folder`; nothing when it is no durable one.
    pub fn of(call: &Call, folder: &Path) -> Option<Self> {
        let (verb, path) = target(call)?;
        let beneath = path.strip_prefix(folder).ok()?;
        Some(Self(format!("{verb} {}", shape(beneath))))
    }

    /// A step that can come to an error, and the path of it, beneath `folder`: also opening to write, and writing.
    pub fn fallible(call: &Call, folder: &Path) -> Option<PathBuf> {
        let writes =
            |flags: u64| flags & (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT) as u64 != 0;
        let path = match call.number {
            libc::SYS_openat if writes(call.argument(2)) => call.path(Some(0), 1)?,
            libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_ftruncate => call.file(0)?,
            libc::SYS_mknodat | libc::SYS_mkdirat => call.path(Some(0), 1)?,
            _ => target(call)?.1,
        };
        path.starts_with(folder).then_some(path)
    }
}

fn target(call: &Call) -> Option<(&'static str, PathBuf)> {
    let at = |directory, index| call.path(Some(directory), index);
    Some(match call.number {
        libc::SYS_renameat2 | libc::SYS_renameat => ("rename", at(2, 3)?),
        libc::SYS_fsync | libc::SYS_fdatasync => ("fsync", call.file(0)?),
        libc::SYS_mkdirat => ("mkdir", at(0, 1)?),
        libc::SYS_unlinkat => ("unlink", at(0, 1)?),
        _ => return older(call),
    })
}

#[cfg(target_arch = "x86_64")]
fn older(call: &Call) -> Option<(&'static str, PathBuf)> {
    Some(match call.number {
        libc::SYS_rename => ("rename", call.path(None, 1)?),
        libc::SYS_mkdir => ("mkdir", call.path(None, 0)?),
        libc::SYS_unlink | libc::SYS_rmdir => ("unlink", call.path(None, 0)?),
        _ => return None,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn older(_: &Call) -> Option<(&'static str, PathBuf)> {
    None
}

/// The path without what differs between runs; what lies in a container's own layer is all the same.
fn shape(path: &Path) -> String {
    let mut words = Vec::new();
    for component in path.components() {
        let Component::Normal(word) = component else { continue };
        let word = word.to_string_lossy();
        if ["upper", "work"].contains(&words.last().map_or("", |last: &String| last.as_str())) {
            words.push("*".to_owned());
            break;
        }
        words.push(shape_of(&word));
    }
    words.join("/")
}

fn shape_of(word: &str) -> String {
    let is_id = word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        return "ID".to_owned();
    }
    let word = match naru_state::atomic::writer(Path::new(word)) {
        Some(pid) => word.strip_suffix(&format!(".{pid}.tmp")).unwrap_or(word),
        None => word,
    };
    match word.rsplit_once('.') {
        Some((name, number))
            if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            format!("{name}.N")
        }
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_the_same_name_in_each_run() {
        let id = "b9d3a0b19932a1d4f742e20da932fbbb28804f3b7df3c1eee858aa3762234ada";
        let path = format!("root/projects/p/containers/{id}/container.json.77.tmp");
        assert_eq!(shape(Path::new(&path)), "root/projects/p/containers/ID/container.json");
        assert_eq!(shape(Path::new("root/logs/raw.17")), "root/logs/raw.N");
        let path = format!("containers/{id}/upper/etc/hosts");
        assert_eq!(shape(Path::new(&path)), "containers/ID/upper/*");
    }
}
