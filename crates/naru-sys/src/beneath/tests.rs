//! The walk comes to the same as the kernel, for every path of a tree made to mislead.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;

/// A folder that is gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("naru-beneath-{name}-{}", std::process::id()));
        drop(fs_err::remove_dir_all(&path));
        fs_err::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs_err::remove_dir_all(&self.0));
    }
}

fn tree(folder: &Folder) -> OwnedFd {
    let top = &folder.0;
    fs_err::create_dir_all(top.join("root/a/b/c")).unwrap();
    fs_err::create_dir_all(top.join("root/etc")).unwrap();
    fs_err::write(top.join("root/a/file"), "inside").unwrap();
    fs_err::write(top.join("root/etc/passwd"), "the image's").unwrap();
    fs_err::write(top.join("secret"), "outside").unwrap();
    let links = [
        ("up", "../../../../../../.."),
        ("out", "../secret"),
        ("absolute", "/etc/passwd"),
        ("host", "/../../secret"),
        ("chain", "link1"),
        ("link1", "a/./b/../link2"),
        ("a/link2", "/a//b/c/"),
        ("loop", "loop2"),
        ("loop2", "loop"),
        ("dangling", "nothing/there"),
        ("file-link", "a/file"),
        ("slash", "a/file/"),
        ("self", "."),
    ];
    for (name, text) in links {
        symlink(text, top.join("root").join(name)).unwrap();
    }
    rustix::fs::open(top.join("root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

const PATHS: [&str; 38] = [
    "",
    "/",
    ".",
    "..",
    "/..",
    "../..",
    "a",
    "/a/",
    "a/file",
    "a/file/",
    "a/file/.",
    "a/file/..",
    "a/../a/file",
    "a/b/c/../../file",
    "../secret",
    "../../secret",
    "/../secret",
    "up",
    "up/a/file",
    "up/secret",
    "out",
    "out/",
    "absolute",
    "host",
    "chain",
    "chain/..",
    "chain/../../file",
    "loop",
    "loop/x",
    "dangling",
    "dangling/x",
    "file-link",
    "file-link/",
    "slash",
    "self/self/a",
    "nothing",
    "nothing/x",
    "a/nothing/../file",
];

fn describe(result: Result<OwnedFd, Errno>) -> Result<(u64, u64, OFlags), Errno> {
    let file = result?;
    let stat = rustix::fs::fstat(&file)?;
    let flags = rustix::fs::fcntl_getfl(&file)? & (OFlags::PATH | OFlags::ACCMODE);
    Ok((stat.st_dev, stat.st_ino, flags))
}

#[test]
fn the_walk_finds_what_the_kernel_finds() {
    let folder = Folder::new("same");
    let root = tree(&folder);
    let ways = [
        OFlags::PATH,
        OFlags::PATH | OFlags::NOFOLLOW,
        OFlags::PATH | OFlags::DIRECTORY,
        OFlags::RDONLY,
        OFlags::RDONLY | OFlags::NOFOLLOW,
        OFlags::RDONLY | OFlags::DIRECTORY,
        OFlags::WRONLY,
    ];
    let rules = [
        ResolveFlags::IN_ROOT,
        ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS,
        ResolveFlags::IN_ROOT | ResolveFlags::NO_XDEV,
        ResolveFlags::BENEATH,
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
    ];
    let mut compared = 0;
    for (path, flags, rules) in PATHS
        .iter()
        .flat_map(|path| ways.iter().map(move |way| (path, *way)))
        .flat_map(|(path, way)| rules.iter().map(move |rules| (path, way, *rules)))
    {
        let flags = flags | OFlags::CLOEXEC;
        let magic = rules | ResolveFlags::NO_MAGICLINKS;
        // The kernel gives up when anything on the machine is renamed meanwhile.
        let kernel = loop {
            match rustix::fs::openat2(&root, *path, flags, Mode::empty(), magic) {
                Err(Errno::AGAIN) => {}
                result => break result,
            }
        };
        if kernel.as_ref().is_err_and(|errno| matches!(*errno, Errno::PERM | Errno::NOSYS)) {
            return;
        }
        let walked = walk(root.as_fd(), Path::new(path), flags, magic);
        assert_eq!(describe(walked), describe(kernel), "{path:?} {flags:?} {rules:?}");
        compared += 1;
    }
    assert_eq!(compared, PATHS.len() * ways.len() * rules.len());
}

#[test]
fn openat2_is_denied_where_the_tests_run_without_it() {
    if std::env::var_os("NARU_TEST_WITHOUT_OPENAT2").is_some() {
        assert!(is_denied());
    }
}

#[test]
fn magic_links_are_not_followed_and_ordinary_ones_of_procfs_are() {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty()).unwrap();
    let rules = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for path in ["self/root", "self/cwd/x", "self/exe", "self/fd/0", "self/ns/mnt"] {
        let walked = walk(proc.as_fd(), Path::new(path), flags, rules);
        assert_eq!(walked.unwrap_err(), Errno::LOOP, "{path}");
    }
    walk(proc.as_fd(), Path::new("self/status"), flags, rules).unwrap();
    walk(proc.as_fd(), Path::new("mounts"), flags, rules).unwrap();
}

#[test]
fn another_mount_is_not_entered_when_that_is_asked() {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).unwrap();
    let rules = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV;
    let walked = walk(root.as_fd(), Path::new("proc/self"), flags, rules);
    assert_eq!(walked.unwrap_err(), Errno::XDEV);
}

#[test]
fn components_that_are_exchanged_for_links_lead_nowhere_else() {
    let folder = Folder::new("race");
    let root = tree(&folder);
    let inside = folder.0.join("root");
    symlink(&folder.0, inside.join("trap")).unwrap();
    fs_err::create_dir_all(inside.join("place")).unwrap();
    fs_err::write(inside.join("place/secret"), "inside").unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let directory = rustix::fs::open(&inside, OFlags::PATH, Mode::empty()).unwrap();
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                rustix::fs::renameat_with(&directory, "place", &directory, "trap", exchange)
                    .unwrap();
            }
        });
        let rules = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let (mut attempts, mut read) = (0, 0);
        // On a busy machine the other thread may be asleep with the link in place for long.
        while attempts < 3000 || (read == 0 && attempts < 3_000_000) {
            attempts += 1;
            let path = Path::new("place/../place/secret");
            if let Ok(file) = walk(root.as_fd(), path, OFlags::RDONLY | OFlags::CLOEXEC, rules) {
                assert_eq!(std::io::read_to_string(std::fs::File::from(file)).unwrap(), "inside");
                read += 1;
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(read > 0);
    });
}
