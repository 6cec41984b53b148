use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use fs_err as fs;

use super::*;
use crate::testing::{Canary, Tar, TempDir, listing, open};

fn try_unpack(tar: &[u8], below: &[&Path]) -> (TempDir, Result<Unpacked, Error>) {
    let dir = TempDir::new();
    let below: Vec<OwnedFd> = below.iter().map(|path| open(path)).collect();
    let unpacked = unpack(tar, dir.open().as_fd(), &below, &Limits::default());
    (dir, unpacked)
}

fn unpacked(tar: &[u8]) -> TempDir {
    let (dir, unpacked) = try_unpack(tar, &[]);
    assert_eq!(unpacked.unwrap().diff_id, Digest::of(tar));
    dir
}

fn refused(tar: &[u8]) -> String {
    let error = try_unpack(tar, &[]).1.unwrap_err();
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

fn is_whiteout(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|found| found.file_type().is_char_device() && found.rdev() == 0)
}

#[test]
fn every_kind_of_entry_is_made_as_the_archive_says() {
    let owned = |header: &mut tar::Header| {
        header.set_mode(0o6751);
        header.set_uid(1234);
        header.set_gid(5678);
    };
    let tar = Tar::new()
        .dir("./", 0o711)
        .dir("d/", 0o1777)
        .entry(b'0', "d/setuid", b"content", owned)
        .hard_link("d/again", "d/setuid")
        .symlink("d/link", "../../etc/passwd")
        .entry(b'6', "d/fifo", b"", |header| header.set_mode(0o622))
        .device(b'3', "d/null", 1, 3)
        .device(b'4', "d/disk", 8, 0)
        .entry(b'7', "d/contiguous", b"x", |_| {})
        .end();
    let dir = unpacked(&tar);
    let stat = |name: &str| fs::symlink_metadata(dir.path().join(name)).unwrap();
    assert_eq!(stat("").mode() & 0o7777, 0o711);
    assert_eq!((stat("d").mode() & 0o7777, stat("d").mtime()), (0o1777, 1_000_000_000));
    let file = stat("d/setuid");
    assert_eq!(
        (file.mode() & 0o7777, file.uid(), file.gid(), file.nlink()),
        (0o6751, 1234, 5678, 2)
    );
    assert_eq!((file.mtime(), file.ino()), (1_000_000_000, stat("d/again").ino()));
    assert_eq!(fs::read_link(dir.path().join("d/link")).unwrap(), Path::new("../../etc/passwd"));
    assert_eq!(stat("d/link").mtime(), 1_000_000_000);
    assert!(stat("d/fifo").file_type().is_fifo());
    assert_eq!(stat("d/fifo").mode() & 0o777, 0o622);
    assert_eq!(stat("d/null").rdev(), rustix::fs::makedev(1, 3));
    assert!(stat("d/disk").file_type().is_block_device());
    assert_eq!(fs::read(dir.path().join("d/contiguous")).unwrap(), b"x");
}

#[test]
fn long_names_and_pax_records_are_applied() {
    let long = format!("{}/{}", "a".repeat(150), "b".repeat(150));
    let tar = Tar::new()
        .long(b'L', &long)
        .file("short", b"gnu")
        .pax(&[
            ("path", b"pax/\xff name"),
            ("uid", b"70000"),
            ("gid", b"4000000"),
            ("mtime", b"1.5"),
        ])
        .file("x", b"pax")
        .long(b'K', &long)
        .symlink("link", "x")
        .pax(&[("linkpath", long.as_bytes())])
        .hard_link("hard", "x")
        .extension(b'g', &[("comment", b"git archive writes these")])
        .file("after", b"")
        .end();
    let dir = unpacked(&tar);
    assert_eq!(fs::read(dir.path().join(&long)).unwrap(), b"gnu");
    assert_eq!(fs::read_link(dir.path().join("link")).unwrap(), Path::new(&long));
    assert_eq!(fs::metadata(dir.path().join("hard")).unwrap().nlink(), 2);
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"pax/\xff name");
    let pax = fs::metadata(dir.path().join(name)).unwrap();
    assert_eq!(
        (pax.uid(), pax.gid(), pax.mtime(), pax.mtime_nsec()),
        (70_000, 4_000_000, 1, 500_000_000)
    );
}

#[test]
fn capabilities_are_kept_and_overlay_attributes_are_not() {
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let tar = Tar::new()
        .pax(&[
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.user.note", b"a\nb"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/../.."),
            ("SCHILY.xattr.trusted.overlay.metacopy", b""),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.security.selinux", b"x"),
        ])
        .entry(b'0', "ping", b"program", |header| header.set_uid(5))
        .pax(&[
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.overlay.origin", b"y"),
        ])
        .dir("d/", 0o755)
        .pax(&[
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.trusted.kept", b"1"),
        ])
        .symlink("l", "x")
        .end();
    let dir = unpacked(&tar);
    let ping = dir.path().join("ping");
    assert_eq!(attribute(&ping, "security.capability").as_deref(), Some(&capability[..]));
    assert_eq!(attribute(&ping, "user.note").as_deref(), Some(&b"a\nb"[..]));
    assert_eq!(attribute(&dir.path().join("l"), "trusted.kept").as_deref(), Some(&b"1"[..]));
    for path in [&ping, &dir.path().join("d"), &dir.path().join("l")] {
        for name in ["redirect", "metacopy", "opaque", "origin"] {
            assert_eq!(attribute(path, &format!("trusted.overlay.{name}")), None);
            assert_eq!(attribute(path, &format!("user.overlay.{name}")), None);
        }
    }
}

#[test]
fn whiteouts_become_what_overlayfs_reads() {
    let tar = Tar::new()
        .file("etc/.wh.passwd", b"")
        .dir("var/", 0o755)
        .file("var/.wh..wh..opq", b"")
        .file("var/new", b"1")
        .file(".wh.back", b"")
        .dir("back/", 0o750)
        .file("back/x", b"")
        .file(".wh.implied", b"")
        .file("implied/x", b"")
        .file("own/x", b"")
        .file(".wh.own", b"")
        .file("stays", b"2")
        .file(".wh.stays", b"")
        .file(".wh.again", b"")
        .file("again", b"3")
        .file(".wh..wh.aufs", b"")
        .dir(".wh..wh.plnk/", 0o700)
        .file(".wh..wh.plnk/1.2", b"")
        .end();
    let dir = unpacked(&tar);
    let path = |name: &str| dir.path().join(name);
    assert!(is_whiteout(&path("etc/passwd")));
    for opaque in ["var", "back", "implied", "own"] {
        assert_eq!(
            attribute(&path(opaque), "trusted.overlay.opaque").as_deref(),
            Some(&b"y"[..]),
            "{opaque}"
        );
    }
    assert_eq!(fs::read(path("stays")).unwrap(), b"2");
    assert_eq!(fs::read(path("again")).unwrap(), b"3");
    assert!(path("own/x").exists() && path("back/x").exists() && path("implied/x").exists());
    assert!(
        !fs::read_dir(dir.path())
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with(".wh.") })
    );
}

#[test]
fn layers_mounted_over_each_other_show_what_the_archives_say() {
    let lower = unpacked(
        &Tar::new()
            .dir("tmp/", 0o1777)
            .file("etc/a", b"1")
            .file("etc/b", b"1")
            .file("var/old", b"1")
            .end(),
    );
    let upper =
        Tar::new().file("etc/.wh.a", b"").file("tmp/x", b"2").file("var/.wh..wh..opq", b"").end();
    let before = listing(lower.path());
    let (top, result) = try_unpack(&upper, &[lower.path()]);
    result.unwrap();
    let work = TempDir::new();
    let overlay = crate::rootfs::Overlay {
        lower: vec![top.path().into(), lower.path().into()],
        upper: work.path().join("upper"),
        work: work.path().join("work"),
    };
    let root = overlay.mount().unwrap();
    let stat = |path: &str| {
        beneath::open(&root, path.as_bytes(), OFlags::PATH).and_then(rustix::fs::fstat)
    };
    assert_eq!(stat("etc/a").err(), Some(Errno::NOENT));
    assert_eq!(stat("var/old").err(), Some(Errno::NOENT));
    assert!(stat("etc/b").is_ok() && stat("tmp/x").is_ok());
    assert_eq!(
        stat("tmp").unwrap().st_mode & 0o7777,
        0o1777,
        "a layer that adds a file changes no directory"
    );
    assert_eq!(listing(lower.path()), before);
}

#[test]
fn nothing_outside_the_layer_is_touched_by_any_name_or_link() {
    let canary = Canary::new();
    let (f, d) = (format!("{}/f", canary.path()), format!("{}/d", canary.path()));
    let up = format!("{}{d}", "../".repeat(12));
    let tars = [
        Tar::new().file("../x", b"out"),
        Tar::new().file(&format!("{d}/x"), b"absolute"),
        Tar::new().file("a/../../x", b"out"),
        Tar::new().symlink("l", &d).file("l/x", b"out"),
        Tar::new().symlink("l", &up).file("l/x", b"out"),
        Tar::new().symlink("a", "b").symlink("b", &d).file("a/x", b"out"),
        Tar::new().symlink("l", &f).file("l", b"out"),
        Tar::new().hard_link("h", &f).file("h", b"out"),
        Tar::new().hard_link("h", &format!("../../../..{f}")),
        Tar::new().symlink("l", &d).hard_link("h", "l/inner").file("h", b"out"),
        Tar::new().symlink("l", &d).hard_link("h", "l").file("h/x", b"out"),
        Tar::new().symlink("foo", &d).dir("foo/.", 0o777),
        Tar::new().symlink("foo", &d).dir("foo/", 0o777),
        Tar::new().symlink("foo", &f).entry(b'0', "foo", b"", |header| header.set_mode(0o4777)),
        Tar::new().symlink(".", &d),
        Tar::new().file(".wh...", b""),
        Tar::new().file(".wh..", b""),
        Tar::new().file(".wh.", b""),
        Tar::new().symlink("l", &d).file("l/.wh.inner", b""),
        Tar::new().symlink("l", &d).file("l/.wh..wh..opq", b""),
        Tar::new().file(&format!(".wh.{}", "../f"), b""),
        Tar::new().symlink("l", &canary.path()).file("l/.wh.f", b""),
        Tar::new().symlink("l", "/proc/self/root").file(&format!("l{d}/x"), b"out"),
        Tar::new().symlink("l", "/proc/self/cwd").file("l/x", b"out"),
        Tar::new().symlink("d", &d).dir("d/", 0o700).file("d/x", b"in"),
        Tar::new().dir("d/", 0o755).file("d/x", b"1").symlink("d", &d).file("d/x", b"out"),
    ];
    for (number, tar) in tars.into_iter().enumerate() {
        let before = listing(canary.dir.path());
        let (dir, _result) = try_unpack(&tar.end(), &[]);
        assert_eq!(listing(canary.dir.path()), before, "archive {number}");
        drop(dir);
    }
    canary.check();
}

#[test]
fn absolute_names_and_links_are_meant_below_the_layer() {
    let tar = Tar::new()
        .file("/etc/target", b"1")
        .hard_link("/hard", "/etc/target")
        .symlink("/lib", "/usr/lib")
        .dir("usr/lib/", 0o755)
        .file("lib/x", b"2")
        .end();
    let dir = unpacked(&tar);
    assert_eq!(fs::read(dir.path().join("hard")).unwrap(), b"1");
    assert_eq!(fs::read(dir.path().join("usr/lib/x")).unwrap(), b"2");
}

#[test]
fn a_later_entry_replaces_an_earlier_one() {
    let tar = Tar::new()
        .file("a", b"file")
        .dir("a/", 0o755)
        .file("a/b/c", b"x")
        .file("a", b"file again")
        .symlink("b", "a")
        .file("b", b"no link")
        .hard_link("c", "a")
        .hard_link("c", "c")
        .file("c", b"own")
        .end();
    let dir = unpacked(&tar);
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    assert_eq!(
        (read("a"), read("b"), read("c")),
        (b"file again".into(), b"no link".into(), b"own".into())
    );
}

#[test]
fn readers_that_disagree_get_no_answer() {
    let hidden = Tar::new().file("hidden", b"x").cut();
    let size = |size: &[u8]| Tar::new().pax(&[("size", size)]).file("a", &hidden).file("b", b"");
    let base256 = |first: u8, rest: u8| {
        Tar::new().entry(b'0', "a", b"", move |header| {
            header.as_old_mut().size = [rest; 12];
            header.as_old_mut().size[0] = first;
        })
    };
    let cases: Vec<(Tar, &str)> = vec![
        (size(b"0"), "PAX size and its header's size disagree"),
        (size(b"512"), "disagree"),
        (size(b"-1"), "no number"),
        (size(b"9223372036854775808"), "no number"),
        (base256(0xff, 0xff), "negative"),
        (base256(0x80, 0xff), "beyond 63 bits"),
        (base256(0x80, 0x00).pax(&[("path", b"x")]), "extension header"),
        (Tar::new().long(b'L', "a").pax(&[("path", b"b")]).file("c", b""), "name the same member"),
        (Tar::new().pax(&[("path", b"a"), ("path", b"b")]).file("c", b""), "given twice"),
        (
            Tar::new().pax(&[("path", b"a")]).pax(&[("path", b"b")]).file("c", b""),
            "two extension headers",
        ),
        (Tar::new().long(b'L', "a").long(b'L', "b").file("c", b""), "two extension headers"),
        (Tar::new().extension(b'g', &[("path", b"a")]).file("c", b""), "global header"),
        (Tar::new().pax(&[("GNU.sparse.major", b"1")]).file("c", b""), "sparse"),
        (Tar::new().entry(b'S', "c", b"", |_| {}), "sparse"),
        (Tar::new().entry(b'5', "c", b"data", |_| {}), "no file but states a size"),
        (Tar::new().entry(b'2', "c", b"data", |_| {}), "no file but states a size"),
        (Tar::new().file("c/", b"data"), "ends with a slash"),
        (Tar::new().entry(b'V', "c", b"", |_| {}), "type"),
        (Tar::new().device(b'3', "c", 0, 0), "whiteout"),
        (Tar::new().symlink("c", ""), "no name"),
        (Tar::new().file(".wh.a", b"").hard_link("b", "a"), "removed name"),
        (Tar::new().hard_link("b", "missing"), "cannot be made"),
        (Tar::new().file("f", b"").file("f/x", b""), "cannot be made"),
        (Tar::new().file(".wh.a/b", b""), "below a whiteout"),
    ];
    for (tar, expected) in cases {
        let error = refused(&tar.end());
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn names_no_file_system_can_hold_are_refused() {
    for path in ["x".repeat(256), "d/".repeat(600) + "x", "x/".repeat(40_000) + "x"] {
        let error = refused(&Tar::new().long(b'L', &path).file("x", b"").end());
        assert!(error.contains("its path") || error.contains("name in its path"), "{error}");
    }
    let error = refused(&Tar::new().pax(&[("path", b"a\0b")]).file("x", b"").end());
    assert!(error.contains("zero byte"), "{error}");
    let huge = vec![b'x'; (1 << 20) + 1];
    let error = refused(&Tar::new().pax(&[("comment", &huge)]).file("x", b"").end());
    assert!(error.contains("larger than 1 MiB"), "{error}");
}

#[test]
fn an_archive_cut_anywhere_or_damaged_is_an_error_and_never_a_panic() {
    let whole = Tar::new().pax(&[("mtime", b"1.5")]).file("a", &[7; 700]).dir("d/", 0o755).end();
    for length in (1..whole.len() - 1024).step_by(37).filter(|length| length % 512 != 0) {
        assert!(try_unpack(&whole[..length], &[]).1.is_err(), "{length}");
    }
    for position in (0..whole.len()).step_by(11) {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x55;
        let (_dir, _any_result) = try_unpack(&damaged, &[]);
    }
}

#[test]
fn too_many_entries_are_refused() {
    let mut tar = Tar::new();
    for number in 0..50 {
        tar = tar.file(&number.to_string(), b"");
    }
    let limits = Limits { max_entries: 49, ..Limits::default() };
    let dir = TempDir::new();
    let error = unpack(&tar.end()[..], dir.open().as_fd(), &[], &limits).unwrap_err();
    assert_eq!(error.to_string(), "the archive has more than 49 entries");
}

#[test]
fn a_tree_deeper_than_any_path_can_be_removed() {
    // Links back into the tree let short names reach any depth.
    let mut tar = Tar::new();
    let step = "d/".repeat(40);
    tar = tar.dir(&step, 0o755).symlink("l0", step.trim_end_matches('/'));
    for number in 1..60 {
        let before = format!("l{}", number - 1);
        tar = tar.dir(&format!("{before}/{step}"), 0o755);
        tar =
            tar.symlink(&format!("l{number}"), &format!("{before}/{}", step.trim_end_matches('/')));
    }
    let (dir, _any_result) = try_unpack(&tar.end(), &[]);
    drop(dir);
}

#[test]
fn what_follows_the_end_of_the_archive_counts_for_the_digest_only() {
    let mut tar = Tar::new().file("a", b"1").end();
    tar.extend(Tar::new().file("hidden", b"2").end());
    let dir = unpacked(&tar);
    assert!(!dir.path().join("hidden").exists());
    let one_block =
        [Tar::new().file("a", b"1").cut(), vec![0; 512], Tar::new().file("b", b"").end()].concat();
    assert!(refused(&one_block).contains("single block of zeros"));
}
