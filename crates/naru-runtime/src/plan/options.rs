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
    /// The same for all mounts below too.
    pub(crate) recursive_atime: Option<Atime>,
    /// A bind mount: `Some(true)` with everything below the source.
    pub(crate) bind: Option<bool>,
    /// Map ids; `Some(true)` with everything below.
    pub(crate) idmap: Option<bool>,
    /// How mounts made here reach others and the other way round, if not private.
    pub(crate) propagation: Option<Propagation>,
    /// Change what is mounted already.
    pub(crate) remount: bool,
    /// A tmpfs begins with what the directory below it has.
    pub(crate) copy_up: bool,
    /// What is done with links.
    pub(crate) links: Links,
    /// Options of the file system as a whole that every file system has.
    pub(crate) whole: Vec<String>,
    /// The file system's own options: a key, or a key and its value.
    pub(crate) data: Vec<(String, Option<String>)>,
}

/// What a bind mount does when a path ends with a link, as crun has it; without these, links are followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Links {
    /// A link at the source is made again at the destination (`copy-symlink`).
    pub(crate) copied: bool,
    /// A link at the source is itself bound (`src-nofollow`).
    pub(crate) bound: bool,
    /// A link at the destination is covered (`dest-nofollow`).
    pub(crate) covered: bool,
}

/// Mount propagation ([mount_namespaces(7)](https://man7.org/linux/man-pages/man7/mount_namespaces.7.html)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Propagation {
    /// `MS_PRIVATE`, `MS_SHARED`, `MS_SLAVE` or `MS_UNBINDABLE`.
    pub(crate) flag: u64,
    /// Of all mounts below too.
    pub(crate) recursive: bool,
}

impl Propagation {
    /// Nothing reaches anybody.
    pub(crate) const PRIVATE: Self = Self { flag: MS_PRIVATE, recursive: true };

    /// By its name in the specification, `r` before it for all mounts below too.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let (plain, recursive) = match name.strip_prefix('r') {
            Some(plain) => (plain, true),
            None => (name, false),
        };
        let flag = match plain {
            "private" => MS_PRIVATE,
            "shared" => MS_SHARED,
            "slave" => MS_SLAVE,
            "unbindable" => MS_UNBINDABLE,
            _ => return None,
        };
        Some(Self { flag, recursive })
    }

    /// Mounts made here reach the peers.
    pub(crate) fn is_shared(self) -> bool {
        self.flag == MS_SHARED
    }
}

const MS_UNBINDABLE: u64 = 1 << 17;
const MS_PRIVATE: u64 = 1 << 18;
const MS_SLAVE: u64 = 1 << 19;
const MS_SHARED: u64 = 1 << 20;

/// `MOUNT_ATTR_RDONLY`.
pub(crate) const READ_ONLY: u64 = 0x1;
/// `MOUNT_ATTR_NOSUID`.
pub(crate) const NO_SUID: u64 = 0x2;
/// `MOUNT_ATTR_NODEV`.
pub(crate) const NO_DEVICES: u64 = 0x4;
/// `MOUNT_ATTR_NOEXEC`.
pub(crate) const NO_EXEC: u64 = 0x8;
/// `MOUNT_ATTR_NODIRATIME`.
pub(crate) const NO_DIRECTORY_ATIME: u64 = 0x80;
/// `MOUNT_ATTR_NOSYMFOLLOW`.
pub(crate) const NO_SYMLINKS: u64 = 0x20_0000;
/// All but access times.
pub(crate) const NAMED: u64 = READ_ONLY | NO_SUID | NO_DEVICES | NO_EXEC | NO_SYMLINKS;

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

/// Options that are neither an attribute nor a file system's own.
const WORDS: [&str; 39] = [
    "async",
    "atime",
    "bind",
    "copy-symlink",
    "defaults",
    "dest-nofollow",
    "dirsync",
    "idmap",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "private",
    "ratime",
    "rbind",
    "relatime",
    "ridmap",
    "remount",
    "rnoatime",
    "rnorelatime",
    "rnostrictatime",
    "rprivate",
    "rrelatime",
    "rshared",
    "rslave",
    "rstrictatime",
    "runbindable",
    "shared",
    "silent",
    "slave",
    "src-nofollow",
    "strictatime",
    "sync",
    "tmpcopyup",
    "unbindable",
];

/// The options that do not depend on the file system, sorted.
pub(crate) fn mount_option_names() -> Vec<String> {
    let plain = ATTRIBUTES.iter().map(|(name, ..)| (*name).to_owned());
    let recursive = ATTRIBUTES.iter().map(|(name, ..)| format!("r{name}"));
    let words = WORDS.iter().map(|word| (*word).to_owned());
    let mut names: Vec<String> = plain.chain(recursive).chain(words).collect();
    names.sort();
    names.dedup();
    names
}

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
        // `atime` only takes `noatime` back, which is not named then; a bind keeps what its source has.
        "defaults" | "silent" | "loud" | "atime" | "norelatime" | "nostrictatime"
        | "rnorelatime" | "rnostrictatime" => {}
        "bind" => parsed.bind = Some(parsed.bind.unwrap_or(false)),
        "rbind" => parsed.bind = Some(true),
        "idmap" => parsed.idmap = Some(parsed.idmap.unwrap_or(false)),
        "ridmap" => parsed.idmap = Some(true),
        "relatime" => parsed.atime = Some(Atime::Relative),
        "noatime" => parsed.atime = Some(Atime::Never),
        "strictatime" => parsed.atime = Some(Atime::Strict),
        "rrelatime" | "ratime" => parsed.recursive_atime = Some(Atime::Relative),
        "rnoatime" => parsed.recursive_atime = Some(Atime::Never),
        "rstrictatime" => parsed.recursive_atime = Some(Atime::Strict),
        "sync" | "async" | "dirsync" | "lazytime" | "nolazytime" | "mand" | "nomand" => {
            parsed.whole.push(option.to_owned());
        }
        "tmpcopyup" => parsed.copy_up = true,
        "copy-symlink" => parsed.links.copied = true,
        "src-nofollow" => parsed.links.bound = true,
        "dest-nofollow" => parsed.links.covered = true,
        "remount" => parsed.remount = true,
        name => match Propagation::named(name) {
            Some(propagation) => parsed.propagation = Some(propagation),
            None => return Ok(false),
        },
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
    fn propagation_has_eight_names() {
        let named = |name| Propagation::named(name).map(|found| (found.flag, found.recursive));
        assert_eq!(named("rshared"), Some((1 << 20, true)));
        assert_eq!(named("slave"), Some((1 << 19, false)));
        assert_eq!(named("rprivate"), Some((1 << 18, true)));
        assert_eq!(named("unbindable"), Some((1 << 17, false)));
        assert_eq!(named("rro"), None);
    }

    #[test]
    fn recursive_access_times_and_options_of_the_whole_are_kept_apart() {
        let parsed = options("rnoatime,strictatime,sync,lazytime,tmpcopyup,rslave");
        assert_eq!(
            (parsed.recursive_atime, parsed.atime),
            (Some(Atime::Never), Some(Atime::Strict))
        );
        assert_eq!(parsed.whole, ["sync", "lazytime"]);
        assert!(parsed.copy_up && parsed.data.is_empty());
        assert!(parsed.propagation.is_some_and(|one| one.recursive && !one.is_shared()));
    }

    #[test]
    fn every_option_that_is_said_to_be_known_is() {
        for name in mount_option_names() {
            let parsed = parse(std::slice::from_ref(&name)).unwrap();
            assert!(parsed.data.is_empty(), "{name}");
        }
    }
}
