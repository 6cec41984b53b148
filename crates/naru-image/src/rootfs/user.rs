//! Who a container's process is: the names of its own `/etc/passwd` and `/etc/group` as numbers.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::beneath::{Irregular, open_regular};

/// Bytes of a passwd or group file that are looked at; larger ones are refused unread.
const MAX_FILE: u64 = 16 << 20;
/// Bytes of one line in them.
const MAX_LINE: u64 = 1 << 20;
/// The largest id Docker takes.
const MAX_ID: u32 = i32::MAX.cast_unsigned();
/// Groups a process can have (`NGROUPS_MAX`).
const MAX_GROUPS: usize = 65_536;

const PASSWD: &str = "etc/passwd";
const GROUP: &str = "etc/group";

/// The identity of a container's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The primary group's id.
    pub gid: u32,
    /// All groups, the primary one first: leaving it out would let a file's mode that shuts a group out be bypassed.
    pub additional_gids: Vec<u32>,
    /// The home directory: `/` for a user without an entry.
    pub home: String,
    /// The name in the image's passwd file, if it has one.
    pub name: Option<String>,
}

/// Why a user could not be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No line of the passwd file has this name.
    #[error("the image has no user {user:?} in /etc/passwd")]
    NoUser {
        /// The name as it was given.
        user: String,
    },
    /// No line of the group file has this name.
    #[error("the image has no group {group:?} in /etc/group")]
    NoGroup {
        /// The name as it was given.
        group: String,
    },
    /// The text is no user, or a number is out of range.
    #[error("{text:?} is no user or group: {problem}")]
    Malformed {
        /// The text as it was given.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file of the image is not one that can be read.
    #[error("the image's /{file} cannot be used: {problem}")]
    File {
        /// Which one.
        file: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file of the image cannot be read.
    #[error("the image's /{file} cannot be read")]
    Read {
        /// Which one.
        file: &'static str,
        /// What the kernel said.
        source: Errno,
    },
}

/// Finds `user` (`name`, `uid`, `name:group` or `uid:gid`; empty is root) in the root file system, with the groups the
/// image and `extra_groups` (names or numbers) give it. Numbers need no entry.
///
/// # Errors
/// When a name has no entry, or the image's files are not ordinary ones.
pub fn find_user(root: BorrowedFd<'_>, user: &str, extra_groups: &[String]) -> Result<User, Error> {
    let (user, group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let entry = find_entry(root, user)?;
    let mut found = match &entry {
        Some(entry) => User {
            uid: entry.uid,
            gid: entry.gid,
            additional_gids: Vec::new(),
            home: entry.home()?,
            name: Some(entry.name.clone()),
        },
        None => {
            let uid = match (user, number(user)?) {
                ("", _) => 0,
                (_, Some(uid)) => uid,
                (_, None) => return Err(Error::NoUser { user: user.to_owned() }),
            };
            User { uid, gid: 0, additional_gids: Vec::new(), home: "/".to_owned(), name: None }
        }
    };
    let mut groups = Vec::new();
    match (group, &entry) {
        (Some(group), _) => found.gid = find_group(root, group)?,
        // The memberships of the group file count only for a user taken with its own groups.
        (None, Some(entry)) => groups = memberships(root, &entry.name)?,
        (None, None) => {}
    }
    found.additional_gids.push(found.gid);
    found.additional_gids.append(&mut groups);
    for group in extra_groups {
        found.additional_gids.push(find_group(root, group)?);
    }
    found.additional_gids = without_repetitions(&found.additional_gids);
    if found.additional_gids.len() > MAX_GROUPS {
        return Err(Error::File {
            file: GROUP,
            problem: "it gives the user more than 65536 groups",
        });
    }
    Ok(found)
}

struct Entry {
    name: String,
    uid: u32,
    gid: u32,
    home: Vec<u8>,
}

impl Entry {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b':');
        let name = str::from_utf8(fields.next()?).ok()?.to_owned();
        let _password = fields.next()?;
        let uid = id(fields.next()?)?;
        let gid = id(fields.next()?)?;
        let home = fields.nth(1).unwrap_or_default().to_vec();
        (!name.is_empty()).then_some(Self { name, uid, gid, home })
    }

    /// HOME goes into files and environments that are made of lines.
    fn home(&self) -> Result<String, Error> {
        let problem = "a home directory in it has characters that no path should have";
        let wrong = Error::File { file: PASSWD, problem };
        let home = String::from_utf8(self.home.clone()).map_err(|_| wrong.clone())?;
        if home.chars().any(char::is_control) {
            return Err(wrong);
        }
        Ok(if home.is_empty() { "/".to_owned() } else { home })
    }
}

fn find_entry(root: BorrowedFd<'_>, user: &str) -> Result<Option<Entry>, Error> {
    let wanted = if user.is_empty() { Some(0) } else { number(user)? };
    let mut found = None;
    lines(root, PASSWD, |line| {
        // A number is always an id, also where an entry has it as its name.
        found = Entry::parse(line).filter(|entry| match wanted {
            Some(uid) => entry.uid == uid,
            None => entry.name == user,
        });
        found.is_none()
    })?;
    Ok(found)
}

fn find_group(root: BorrowedFd<'_>, group: &str) -> Result<u32, Error> {
    let wanted = number(group)?;
    if let Some(gid) = wanted {
        return Ok(gid);
    }
    let mut found = None;
    lines(root, GROUP, |line| {
        let mut fields = line.split(|byte| *byte == b':');
        if fields.next() == Some(group.as_bytes()) {
            found = fields.nth(1).and_then(id);
        }
        found.is_none()
    })?;
    found.ok_or_else(|| Error::NoGroup { group: group.to_owned() })
}

fn memberships(root: BorrowedFd<'_>, name: &str) -> Result<Vec<u32>, Error> {
    let mut groups = Vec::new();
    lines(root, GROUP, |line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        if let [_, _, gid, members, ..] = fields[..]
            && members.split(|byte| *byte == b',').any(|member| member == name.as_bytes())
        {
            groups.extend(id(gid));
        }
        groups.len() <= MAX_GROUPS
    })?;
    Ok(groups)
}

/// Calls `each` for the lines of a file until it says no. A missing file has no lines.
fn lines(
    root: BorrowedFd<'_>,
    file: &'static str,
    mut each: impl FnMut(&[u8]) -> bool,
) -> Result<(), Error> {
    let (opened, stat) = match open_regular(root, file.as_bytes()) {
        Ok(opened) => opened,
        Err(Irregular::Open(Errno::NOENT | Errno::NOTDIR)) => return Ok(()),
        Err(Irregular::Open(source)) => return Err(Error::Read { file, source }),
        Err(Irregular::Kind(_)) => {
            return Err(Error::File { file, problem: "it is no regular file" });
        }
    };
    if u64::try_from(stat.st_size).is_ok_and(|size| size > MAX_FILE) {
        return Err(Error::File { file, problem: "it is larger than 16 MiB" });
    }
    let mut reader = BufReader::new(std::fs::File::from(opened).take(MAX_FILE));
    let mut line = Vec::new();
    loop {
        line.clear();
        let count =
            reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(|error| {
                Error::Read { file, source: Errno::from_io_error(&error).unwrap_or(Errno::IO) }
            })?;
        if count as u64 == MAX_LINE {
            return Err(Error::File { file, problem: "a line in it is longer than 1 MiB" });
        }
        let text = line.trim_ascii();
        if count == 0 || (!text.is_empty() && !text.starts_with(b"#") && !each(text)) {
            return Ok(());
        }
    }
}

/// The number a text is, or nothing when it is a name.
fn number(text: &str) -> Result<Option<u32>, Error> {
    let malformed = |problem| Error::Malformed { text: text.to_owned(), problem };
    if text.chars().any(char::is_control) {
        return Err(malformed("it has control characters"));
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    id(text.as_bytes()).map(Some).ok_or_else(|| malformed("ids lie between 0 and 2147483647"))
}

fn id(field: &[u8]) -> Option<u32> {
    str::from_utf8(field).ok()?.parse().ok().filter(|id| *id <= MAX_ID)
}

fn without_repetitions(gids: &[u32]) -> Vec<u32> {
    let mut seen = std::collections::HashSet::new();
    gids.iter().copied().filter(|gid| seen.insert(*gid)).collect()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};

    use fs_err as fs;

    use super::*;
    use crate::testing::TempDir;

    const PASSWD_TEXT: &str = "# comment\nroot:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n\
                               broken\n1234:x:77:77::/odd:\npostgres:x:999:999:,,,:/var/lib/postgresql\n";
    const GROUP_TEXT: &str =
        "root:x:0:\nnode:x:1000:\nadm:x:4:syslog,node\ntty:x:5:node,root\nvideo:x:44:postgres\n";

    fn image() -> TempDir {
        let dir = TempDir::new();
        fs::write(dir.dir("etc").join("passwd"), PASSWD_TEXT).unwrap();
        fs::write(dir.path().join("etc/group"), GROUP_TEXT).unwrap();
        dir
    }

    fn find(dir: &TempDir, user: &str, extra: &[&str]) -> Result<User, Error> {
        let extra: Vec<String> = extra.iter().map(|group| (*group).to_owned()).collect();
        find_user(dir.open().as_fd(), user, &extra)
    }

    fn check(user: &str, extra: &[&str], ids: (u32, u32), groups: &[u32], home: &str) {
        let found = find(&image(), user, extra).unwrap();
        assert_eq!((found.uid, found.gid), ids, "{user}");
        assert_eq!(
            (found.additional_gids.as_slice(), found.home.as_str()),
            (groups, home),
            "{user}"
        );
    }

    #[test]
    fn users_are_found_as_docker_finds_them() {
        check("", &[], (0, 0), &[0, 5], "/root");
        check("root", &[], (0, 0), &[0, 5], "/root");
        check("node", &[], (1000, 1000), &[1000, 4, 5], "/home/node");
        check("1000", &[], (1000, 1000), &[1000, 4, 5], "/home/node");
        check("1000:1000", &[], (1000, 1000), &[1000], "/home/node");
        check("node:video", &[], (1000, 44), &[44], "/home/node");
        check("node:", &[], (1000, 1000), &[1000, 4, 5], "/home/node");
        check("4242", &[], (4242, 0), &[0], "/");
        check("4242:4343", &[], (4242, 4343), &[4343], "/");
        check("1234", &[], (1234, 0), &[0], "/");
        check(
            "postgres",
            &["adm", "7000", "video"],
            (999, 999),
            &[999, 44, 4, 7000],
            "/var/lib/postgresql",
        );
    }

    #[test]
    fn an_image_without_the_files_knows_numbers_only() {
        let dir = TempDir::new();
        assert_eq!(find(&dir, "", &[]).unwrap().home, "/");
        assert_eq!(find(&dir, "5:6", &[]).unwrap().gid, 6);
        assert_eq!(find(&dir, "node", &[]), Err(Error::NoUser { user: "node".to_owned() }));
        assert_eq!(find(&dir, "0", &["adm"]), Err(Error::NoGroup { group: "adm".to_owned() }));
    }

    #[test]
    fn ids_out_of_range_and_control_characters_are_refused() {
        for user in
            ["-1", "2147483648", "4294967295", "99999999999999999999", "1:-1", "a\nb", "0:a\0"]
        {
            assert!(matches!(find(&image(), user, &[]), Err(Error::Malformed { .. })), "{user:?}");
        }
    }

    #[test]
    fn a_home_directory_cannot_smuggle_in_control_characters() {
        let dir = image();
        fs::write(dir.path().join("etc/passwd"), "a:x:5:5::/x\ty:/bin/sh\nb:x:6:6::/ok\rx:\n")
            .unwrap();
        assert!(matches!(find(&dir, "a", &[]), Err(Error::File { .. })));
        assert!(matches!(find(&dir, "b", &[]), Err(Error::File { .. })));
    }

    fn hostile(make: impl Fn(&std::path::Path)) {
        let dir = image();
        let passwd = dir.path().join("etc/passwd");
        fs::remove_file(&passwd).unwrap();
        make(&passwd);
        let begin = Instant::now();
        assert!(find(&dir, "node", &[]).is_err());
        assert!(begin.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn a_passwd_file_that_is_no_ordinary_file_is_refused_at_once() {
        let node = |kind, device| {
            move |path: &std::path::Path| {
                let mode = rustix::fs::Mode::from_raw_mode(0o644);
                rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, device).unwrap();
            }
        };
        hostile(node(rustix::fs::FileType::Fifo, 0));
        hostile(node(rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 5)));
        hostile(|path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()));
        hostile(|path| fs::create_dir(path).unwrap());
        hostile(|path| fs::File::create(path).unwrap().set_len(10 << 30).unwrap());
        hostile(|path| fs::write(path, vec![b'a'; 3 << 20]).unwrap());
    }

    #[test]
    fn a_link_out_of_the_image_leads_nowhere() {
        let outside = TempDir::new();
        fs::write(outside.path().join("passwd"), "node:x:1:1::/outside:\n").unwrap();
        let target = outside.path().join("passwd");
        hostile(|path| std::os::unix::fs::symlink(&target, path).unwrap());
        hostile(|path| {
            let up = format!("{}{}", "../".repeat(30), target.display());
            std::os::unix::fs::symlink(up, path).unwrap();
        });
        hostile(|path| std::os::unix::fs::symlink("/proc/self/fd/0", path).unwrap());
    }

    #[test]
    fn a_link_within_the_image_is_followed() {
        let dir = image();
        fs::rename(dir.path().join("etc/passwd"), dir.dir("usr/lib").join("passwd")).unwrap();
        std::os::unix::fs::symlink("/usr/lib/passwd", dir.path().join("etc/passwd")).unwrap();
        assert_eq!(find(&dir, "node", &[]).unwrap().uid, 1000);
    }
}
