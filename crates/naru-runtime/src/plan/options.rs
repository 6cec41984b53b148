//! Mount options of the specification, parsed.

use serde::{Deserialize, Serialize};

/// When a mount keeps access times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Atime {
    Relative,
    Never,
    Strict,
}

/// The options of one mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Options {
    /// `MOUNT_ATTR_*` to set.
    pub(crate) set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub(crate) clear: u64,
    /// `MOUNT_ATTR_*` to set on all mounts below too.
    pub(crate) recursive_set: u64,
    /// `MOUNT_ATTR_*` to clear on all mounts below too.
    pub(crate) recursive_clear: u64,
    /// When access times are kept, if said.
    pub(crate) atime: Option<Atime>,
    /// A bind mount: `Some(true)` with everything below the source.
    pub(crate) bind: Option<bool>,
    /// Map ids; `Some(true)` with everything below.
    pub(crate) idmap: Option<bool>,
    /// Stays a slave of the host's mount instead of private.
    pub(crate) slave: bool,
    /// The file system's own options: a key, or a key and its value.
    pub(crate) data: Vec<(String, Option<String>)>,
}

/// `MOUNT_ATTR_RDONLY`.
pub(crate) const READ_ONLY: u64 = 0x1;
/// `MOUNT_ATTR_NOSUID`.
pub(crate) const NO_SUID: u64 = 0x2;
/// `MOUNT_ATTR_NODEV`.
pub(crate) const NO_DEVICES: u64 = 0x4;
/// `MOUNT_ATTR_NOEXEC`.
pub(crate) const NO_EXEC: u64 = 0x8;
const NO_DIRECTORY_ATIME: u64 = 0x80;
const NO_SYMLINKS: u64 = 0x20_0000;

/// Options that are a bit of the mount: name, bit, and whether the name sets or clears it.
const ATTRIBUTES: [(&str, u64, bool); 12] = [
    ("ro", READ_ONLY, true),
    ("rw", READ_ONLY, false),
    ("nosuid", NO_SUID, true),
    ("suid", NO_SUID, false),
    ("nodev", NO_DEVICES, true),
    ("dev", NO_DEVICES, false),
    ("noexec", NO_EXEC, true),
    ("exec", NO_EXEC, false),
    ("nodiratime", NO_DIRECTORY_ATIME, true),
    ("diratime", NO_DIRECTORY_ATIME, false),
    ("nosymfollow", NO_SYMLINKS, true),
    ("symfollow", NO_SYMLINKS, false),
];

/// Parses the options of a mount; the error is the option that is not supported.
pub(super) fn parse(options: &[String]) -> Result<Options, String> {
    let mut parsed = Options::default();
    for option in options {
        if !parse_attribute(option, &mut parsed) && !parse_word(option, &mut parsed)? {
            match option.split_once('=') {
                Some((key, value)) => parsed.data.push((key.to_owned(), Some(value.to_owned()))),
                None => parsed.data.push((option.clone(), None)),
            }
        }
    }
    Ok(parsed)
}

/// The later of two contradicting options wins, as in mount(8).
fn parse_attribute(option: &str, parsed: &mut Options) -> bool {
    for (name, bit, sets) in ATTRIBUTES {
        let (on, off) = if option == name {
            (&mut parsed.set, &mut parsed.clear)
        } else if option.strip_prefix('r') == Some(name) {
            (&mut parsed.recursive_set, &mut parsed.recursive_clear)
        } else {
            continue;
        };
        let (add, remove) = if sets { (on, off) } else { (off, on) };
        *add |= bit;
        *remove &= !bit;
        return true;
    }
    false
}

/// Options that are neither an attribute nor the file system's.
fn parse_word(option: &str, parsed: &mut Options) -> Result<bool, String> {
    match option {
        "defaults" | "async" | "private" | "rprivate" | "norelatime" | "nostrictatime" => {}
        "bind" => parsed.bind = Some(parsed.bind.unwrap_or(false)),
        "rbind" => parsed.bind = Some(true),
        "idmap" => parsed.idmap = Some(parsed.idmap.unwrap_or(false)),
        "ridmap" => parsed.idmap = Some(true),
        "slave" | "rslave" => parsed.slave = true,
        "relatime" | "atime" => parsed.atime = Some(Atime::Relative),
        "noatime" => parsed.atime = Some(Atime::Never),
        "strictatime" => parsed.atime = Some(Atime::Strict),
        "shared" | "rshared" | "unbindable" | "runbindable" | "remount" | "tmpcopyup" => {
            return Err(option.to_owned());
        }
        _ => return Ok(false),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Options {
        let list: Vec<String> = text.split(',').map(str::to_owned).collect();
        parse(&list).unwrap()
    }

    #[test]
    fn the_later_of_contradicting_options_wins() {
        let parsed = options("ro,nosuid,rw");
        assert_eq!((parsed.set, parsed.clear), (NO_SUID, READ_ONLY));
    }

    #[test]
    fn recursive_options_are_kept_apart() {
        let parsed = options("rbind,rro,noexec");
        assert_eq!(parsed.bind, Some(true));
        assert_eq!((parsed.set, parsed.recursive_set), (NO_EXEC, READ_ONLY));
    }

    #[test]
    fn what_is_not_a_mount_option_belongs_to_the_file_system() {
        let parsed = options("mode=755,size=64k,newinstance");
        let expected = [("mode", Some("755")), ("size", Some("64k")), ("newinstance", None)]
            .map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        assert_eq!(parsed.data, expected);
    }

    #[test]
    fn shared_propagation_is_refused_by_name() {
        assert_eq!(parse(&["rshared".to_owned()]), Err("rshared".to_owned()));
    }
}
