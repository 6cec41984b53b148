//! File systems of a container.

use std::os::fd::AsFd;
use std::os::unix::fs::symlink;

use naru_runtime::Stage;

use crate::bundle::{Bundle, bind, mount};

crate::tests![
    the_standard_mounts_have_dockers_options,
    dev_has_the_standard_devices_and_links,
    a_listed_device_has_its_mode_and_owner,
    a_device_in_the_place_of_something_else_is_an_error,
    a_file_and_a_directory_of_the_host_are_bound,
    a_read_only_bind_cannot_be_written,
    a_recursive_read_only_bind_covers_what_is_mounted_below,
    a_tmpfs_has_its_size_and_mode,
    a_read_only_root_still_has_writable_mounts,
    links_of_the_image_do_not_lead_a_mount_out_of_the_root,
    a_link_in_the_place_of_dev_is_refused,
    a_link_in_the_place_of_proc_is_refused,
    nothing_is_mounted_inside_proc,
    a_missing_source_names_the_path,
    nothing_is_left_on_the_host,
    mounts_are_listed_in_the_order_of_the_specification,
    the_hosts_root_is_bound_without_the_containers,
    the_end_of_a_link_that_leads_nowhere_is_made_inside_the_root,
    links_are_copied_bound_and_covered_when_asked,
    a_file_system_can_be_recursively_read_only,
    a_bind_with_options_has_these_and_no_others,
    in_a_user_namespace_a_bind_keeps_what_its_source_keeps_from_users,
    a_source_below_the_root_has_what_is_mounted_there_before,
    a_link_to_nothing_is_followed_and_what_it_leads_to_is_made,
    a_read_only_dev_still_gets_its_devices,
    a_remount_changes_the_mount_that_is_there,
    a_mount_label_asks_for_nothing_without_selinux,
];

fn mount_line<'a>(mountinfo: &'a str, target: &str) -> &'a str {
    let line = mountinfo.lines().find(|line| line.split(' ').nth(4) == Some(target));
    line.unwrap_or_else(|| panic!("{target} is not mounted:\n{mountinfo}"))
}

fn the_standard_mounts_have_dockers_options() {
    let seen = Bundle::new(&["cat", "/proc/self/mountinfo"]).check();
    let expected = [
        ("/proc", "rw,nosuid,nodev,noexec", "proc"),
        ("/dev", "rw,nosuid,noexec", "mode=755"),
        ("/dev/pts", "rw,nosuid,noexec", "ptmxmode=666"),
        ("/sys", "ro,nosuid,nodev,noexec", "sysfs"),
        ("/sys/fs/cgroup", "ro,nosuid,nodev,noexec", "cgroup"),
        ("/dev/mqueue", "rw,nosuid,nodev,noexec", "mqueue"),
        ("/dev/shm", "rw,nosuid,nodev,noexec", "size=65536k"),
        ("/proc/sys", "ro,nosuid,nodev,noexec", "proc"),
    ];
    for (target, options, contains) in expected {
        let line = mount_line(&seen, target);
        assert!(line.contains(options) && line.contains(contains), "{line}");
    }
}

fn dev_has_the_standard_devices_and_links() {
    let devices = [
        ("null", "1:3"),
        ("zero", "1:5"),
        ("full", "1:7"),
        ("random", "1:8"),
        ("urandom", "1:9"),
        ("tty", "5:0"),
    ];
    for (name, numbers) in devices {
        let seen = Bundle::new(&["stat", &format!("/dev/{name}")]).check();
        assert_eq!(seen, format!("char 666 0:0 {numbers}\n"));
    }
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
        ("core", "/proc/kcore"),
    ];
    for (name, target) in links {
        let seen = Bundle::new(&["link", &format!("/dev/{name}")]).check();
        assert_eq!(seen.trim(), target);
    }
}

fn a_listed_device_has_its_mode_and_owner() {
    let mut bundle =
        Bundle::new(&["stat", "/dev/mine", "+", "stat", "/opt/fifo", "+", "ls", "/opt"]);
    bundle.configure(serde_json::json!({"linux": {"devices": [
        {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5,
            "gid": 6},
        {"path": "/opt/block", "type": "b", "major": 8, "minor": 1},
        {"path": "/opt/raw", "type": "u", "major": 1, "minor": 5},
        {"path": "/opt/fifo", "type": "p"}]}}));
    let seen = bundle.check();
    assert_eq!(seen, "char 640 5:6 1:3\n\nfile 666 0:0 0:0\n\nblock fifo raw\n");
}

fn a_device_in_the_place_of_something_else_is_an_error() {
    let mut bundle = Bundle::new(&["status"]);
    bundle.configure(serde_json::json!({"linux": {"devices": [
        {"path": "/etc/marker", "type": "c", "major": 1, "minor": 3}]}}));
    let error = bundle.refusal();
    assert_eq!((error.stage(), error.errno()), (Some(Stage::Device), Some(17)));
    assert_eq!(fs_err::read_to_string(bundle.root.join("etc/marker")).unwrap(), "image");
}

fn a_file_and_a_directory_of_the_host_are_bound() {
    let source = Bundle::new(&[]);
    fs_err::write(source.root.join("etc/file"), "from the host").unwrap();
    let mut bundle =
        Bundle::new(&["cat", "/a/new/file", "+", "ls", "/data", "+", "write", "/data/file", "x"]);
    bundle.mount(bind(source.root.join("etc/file"), "/a/new/file", &["bind"]));
    bundle.mount(bind(source.root.join("etc"), "/data", &["rbind"]));
    assert_eq!(bundle.check(), "from the host\n\nfile marker\n\nok\n");
    assert_eq!(fs_err::read_to_string(source.root.join("etc/file")).unwrap(), "xrom the host");
}

fn a_read_only_bind_cannot_be_written() {
    let source = Bundle::new(&[]);
    let mut bundle = Bundle::new(&["write", "/data/marker", "x"]);
    bundle.mount(bind(source.root.join("etc"), "/data", &["rbind", "ro"]));
    assert_eq!(bundle.check(), "errno 30\n");
}

fn a_recursive_read_only_bind_covers_what_is_mounted_below() {
    for (option, expected) in [("ro", "errno 2\n"), ("rro", "errno 30\n")] {
        // /dev/shm of the host is a mount below /dev.
        let mut bundle = Bundle::new(&["write", "/host/shm/naru-no-such-file", "x"]);
        bundle.mount(bind("/dev", "/host", &["rbind", option]));
        let mut create = Bundle::new(&["create", "/host/shm/naru-test/x"]);
        create.mount(bind("/dev", "/host", &["rbind", option]));
        let has_shm =
            fs_err::read_to_string("/proc/self/mountinfo").unwrap().contains(" /dev/shm ");
        if has_shm && option == "rro" {
            assert_eq!(create.check(), "errno 2\n");
            assert_eq!(bundle.check(), "errno 2\n");
            let mut seen = Bundle::new(&["cat", "/proc/self/mountinfo"]);
            seen.mount(bind("/dev", "/host", &["rbind", option]));
            assert!(mount_line(&seen.check(), "/host/shm").contains(" ro,"), "{expected}");
        }
    }
}

fn a_tmpfs_has_its_size_and_mode() {
    let mut bundle = Bundle::new(&["stat", "/scratch", "+", "cat", "/proc/self/mountinfo"]);
    bundle.mount(mount("tmpfs", "tmpfs", "/scratch", &["noexec", "size=1m", "mode=1770"]));
    let seen = bundle.check();
    assert!(seen.starts_with("dir 1770 0:0"), "{seen}");
    assert!(mount_line(&seen, "/scratch").contains("size=1024k"), "{seen}");
}

fn a_read_only_root_still_has_writable_mounts() {
    let mut bundle = Bundle::new(&["create", "/x", "+", "create", "/scratch/x"]);
    bundle.mount(mount("tmpfs", "tmpfs", "/scratch", &[]));
    let mut root = bundle.spec.root().clone().unwrap();
    root.set_readonly(Some(true));
    bundle.spec.set_root(Some(root));
    assert_eq!(bundle.check(), "errno 30\n\nok\n");
}

fn links_of_the_image_do_not_lead_a_mount_out_of_the_root() {
    let canary = Bundle::new(&[]);
    let source = Bundle::new(&[]);
    for target in [canary.root.join("etc"), "../../../../../../etc".into()] {
        let mut bundle = Bundle::new(&["cat", "/link/below/marker"]);
        symlink(&target, bundle.root.join("link")).unwrap();
        bundle.mount(bind(source.root.join("etc"), "/link/below", &["rbind"]));
        // The link is taken inside the root, where its target is made or exists.
        match bundle.start(&crate::bundle::Output::new()) {
            Ok(process) => drop(process.wait()),
            Err(error) => assert_eq!(error.stage(), Some(Stage::Mount)),
        }
        let left: Vec<_> = fs_err::read_dir(canary.root.join("etc")).unwrap().collect();
        assert_eq!(left.len(), 1);
        assert!(!std::path::Path::new("/etc/below").exists());
    }
}

fn a_link_in_the_place_of_dev_is_refused() {
    let canary = Bundle::new(&[]);
    let bundle = Bundle::new(&["status"]);
    symlink(canary.root.join("etc"), bundle.root.join("dev")).unwrap();
    assert_eq!(bundle.refusal().stage(), Some(Stage::Mount));
    let left: Vec<_> = fs_err::read_dir(canary.root.join("etc")).unwrap().collect();
    assert_eq!(left.len(), 1);
}

fn a_link_in_the_place_of_proc_is_refused() {
    let bundle = Bundle::new(&["status"]);
    fs_err::create_dir(bundle.root.join("x")).unwrap();
    symlink("/x", bundle.root.join("proc")).unwrap();
    assert_eq!(bundle.refusal().stage(), Some(Stage::Mount));
}

fn nothing_is_mounted_inside_proc() {
    let mut bundle = Bundle::new(&["status"]);
    bundle.mount(mount("tmpfs", "tmpfs", "/proc/self", &[]));
    assert!(bundle.refusal().to_string().contains("/proc/self is inside /proc"));

    let mut through_link = Bundle::new(&["status"]);
    symlink("/proc/sys", through_link.root.join("link")).unwrap();
    through_link.mount(mount("tmpfs", "tmpfs", "/link", &[]));
    assert_eq!(through_link.refusal().stage(), Some(Stage::Mount));
}

fn a_missing_source_names_the_path() {
    let mut bundle = Bundle::new(&["status"]);
    bundle.mount(bind("/no/such/path", "/data", &["rbind"]));
    let error = bundle.refusal();
    assert_eq!(error.to_string(), "cannot open /no/such/path for a mount");
    assert_eq!(error.errno(), Some(2));
}

fn nothing_is_left_on_the_host() {
    let before = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    let bundle = Bundle::new(&["status"]);
    bundle.check();
    let after = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    assert_eq!(before, after);
    assert!(!after.contains("naru-runtime-test"));
}

fn mounts_are_listed_in_the_order_of_the_specification() {
    let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
    bundle.mount(mount("tmpfs", "tmpfs", "/one", &[]));
    bundle.mount(bind("/etc", "/two", &["rbind"]));
    bundle.mount(mount("tmpfs", "tmpfs", "/three", &[]));
    bundle.mount(bind("/etc", "/four", &["bind", "mode=755"]));
    let seen = bundle.check();
    let place = |target: &str| {
        let mut lines = seen.lines();
        lines.position(|line| line.split(' ').nth(4) == Some(target)).expect(target)
    };
    let places = ["/", "/proc", "/one", "/two", "/three", "/four"].map(place);
    assert!(places.is_sorted(), "{places:?}:\n{seen}");
}

fn the_hosts_root_is_bound_without_the_containers() {
    let mut bundle = Bundle::new(&["ls", "/host", "+", "cat", "/proc/self/mountinfo"]);
    bundle.mount(bind("/", "/host", &["rbind", "rslave"]));
    let seen = bundle.check();
    assert!(seen.contains("usr") && !seen.contains("checker\n"), "{seen}");
    let of_the_container = |line: &&str| line.contains(" /host/checker ");
    assert_eq!(seen.lines().filter(of_the_container).count(), 0, "{seen}");
}

fn the_end_of_a_link_that_leads_nowhere_is_made_inside_the_root() {
    let mut bundle = Bundle::new(&["cat", "/etc/a", "+", "cat", "/x/y", "+", "ls", "/etc/d"]);
    symlink("../../../x/y", bundle.root.join("etc/a")).unwrap();
    symlink("/deep/er", bundle.root.join("etc/d")).unwrap();
    let source = bundle.root.join("source");
    fs_err::write(&source, "text").unwrap();
    bundle.mount(bind(&source, "/etc/a", &["bind", "ro"]));
    bundle.mount(bind(bundle.root.join("etc"), "/etc/d/folder", &["bind", "ro"]));
    assert_eq!(bundle.check(), "text\n\ntext\n\nfolder\n");
    // One that leads to itself has no end.
    let mut bundle = Bundle::new(&["id"]);
    symlink("loop", bundle.root.join("etc/loop")).unwrap();
    bundle.mount(bind("/etc/hostname", "/etc/loop", &["bind"]));
    assert!(bundle.start(&crate::bundle::Output::new()).is_err());
}

fn links_are_copied_bound_and_covered_when_asked() {
    for in_a_user_namespace in [false, true] {
        let mut bundle =
            Bundle::new(&["link", "/copied", "+", "link", "/bound", "+", "cat", "/covered"]);
        if in_a_user_namespace {
            bundle.user_namespace(300_000);
        }
        let (link, file) = (bundle.root.join("link"), bundle.root.join("file"));
        symlink("nowhere", &link).unwrap();
        fs_err::write(&file, "text").unwrap();
        symlink("elsewhere", bundle.root.join("bound")).unwrap();
        symlink("elsewhere", bundle.root.join("covered")).unwrap();
        bundle.mount(bind(&link, "/copied", &["bind", "copy-symlink"]));
        bundle.mount(bind(&link, "/bound", &["bind", "src-nofollow", "dest-nofollow"]));
        bundle.mount(bind(&file, "/covered", &["bind", "dest-nofollow"]));
        assert_eq!(bundle.check(), "nowhere\n\nnowhere\n\ntext\n");
    }
    let mut bundle = Bundle::new(&["link", "/proc/self"]);
    bundle.mount(bind("/etc/hostname", "/proc/self", &["bind", "dest-nofollow"]));
    assert!(bundle.start(&crate::bundle::Output::new()).is_err());
}

fn a_file_system_can_be_recursively_read_only() {
    let mut bundle = Bundle::new(&["create", "/one/x", "+", "create", "/etc/x", "+", "ls", "/etc"]);
    bundle.mount(mount("tmpfs", "tmpfs", "/one", &["rro"]));
    bundle.mount(mount("tmpfs", "tmpfs", "/etc", &["rro", "tmpcopyup"]));
    assert_eq!(bundle.check(), "errno 30\n\nerrno 30\n\nmarker\n");
}

/// Runs the test in a mount namespace of its own, where it may mount something.
fn in_own_mounts(test: impl FnOnce() + Send) {
    use rustix::mount::{MountPropagationFlags, mount_change};
    let inside = || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).unwrap();
        test();
    };
    std::thread::scope(|scope| scope.spawn(inside).join().unwrap());
}

/// A tmpfs of the host with these `MOUNT_ATTR_*`, which a bind can take back.
fn host_mount(bundle: &Bundle, attributes: u64) -> String {
    let place = bundle.root.join("host");
    fs_err::create_dir(&place).unwrap();
    let (kind, none) = (Some("tmpfs"), None::<&str>);
    nix::mount::mount(kind, &place, kind, nix::mount::MsFlags::empty(), none).unwrap();
    let path = fs_err::File::open(&place).unwrap();
    let set = naru_sys::mount::Attributes { set: attributes, clear: 0x70, ..Default::default() };
    naru_sys::mount::set_attributes(path.as_fd(), false, &set).unwrap();
    place.display().to_string()
}

const RO_NOSUID_NOEXEC_NOATIME: u64 = 0x1 | 0x2 | 0x8 | 0x10;

fn options_of(bundle: &Bundle, target: &str) -> String {
    let seen = bundle.check();
    mount_line(&seen, target).split(' ').nth(5).unwrap().to_owned()
}

fn a_bind_with_options_has_these_and_no_others() {
    for (options, expected) in [
        (&["bind"][..], "ro,nosuid,noexec,noatime"),
        (&["bind", "nodev"], "rw,nodev,noatime"),
        (&["bind", "exec"], "rw,noatime"),
        (&["bind", "atime"], "ro,nosuid,noexec,noatime"),
        (&["bind", "ro", "relatime"], "ro,relatime"),
        (&["bind", "nodiratime"], "rw,nodiratime,relatime"),
    ] {
        in_own_mounts(|| {
            let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
            let source = host_mount(&bundle, RO_NOSUID_NOEXEC_NOATIME);
            bundle.mount(bind(&source, "/mnt", options));
            assert_eq!(options_of(&bundle, "/mnt"), expected, "{options:?}");
            nix::mount::umount(source.as_str()).unwrap();
        });
    }
}

fn in_a_user_namespace_a_bind_keeps_what_its_source_keeps_from_users() {
    in_own_mounts(|| {
        let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
        bundle.user_namespace(100_000);
        let source = host_mount(&bundle, RO_NOSUID_NOEXEC_NOATIME);
        bundle.mount(bind(&source, "/mnt", &["bind", "nodev"]));
        assert_eq!(options_of(&bundle, "/mnt"), "ro,nosuid,nodev,noexec,noatime");
        nix::mount::umount(source.as_str()).unwrap();
    });
}

fn a_source_below_the_root_has_what_is_mounted_there_before() {
    let mut bundle = Bundle::new(&["cat", "/last/file"]);
    let host = bundle.root.join("host");
    fs_err::create_dir(&host).unwrap();
    fs_err::write(host.join("file"), "of the host").unwrap();
    let inside = bundle.root.join("first").display().to_string();
    bundle.mount(bind(&host, "/first", &["bind"]));
    bundle.mount(bind(&inside, "/last", &["rbind"]));
    assert_eq!(bundle.check(), "of the host\n");
    // A link of the image leads nowhere but to the image.
    symlink("/etc", bundle.root.join("link")).unwrap();
    let link = bundle.root.join("link").display().to_string();
    bundle.arguments(&["cat", "/third/marker"]);
    bundle.mount(bind(&link, "/third", &["bind"]));
    assert_eq!(bundle.check(), "image\n");
}

fn a_link_to_nothing_is_followed_and_what_it_leads_to_is_made() {
    let mut bundle = Bundle::new(&["cat", "/made/below/file"]);
    let file = bundle.root.join("etc/marker");
    symlink("/made/below", bundle.root.join("jump")).unwrap();
    symlink("/jump/file", bundle.root.join("last")).unwrap();
    bundle.mount(bind(&file, "/last", &["bind"]));
    assert_eq!(bundle.check(), "image\n");
    assert!(bundle.root.join("made/below/file").is_file());
    // A ring of links is an error and no endless search.
    symlink("/ring", bundle.root.join("ring")).unwrap();
    bundle.mount(bind(&file, "/ring", &["bind"]));
    assert!(bundle.refusal().to_string().contains("/ring"));
}

fn a_read_only_dev_still_gets_its_devices() {
    let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
    let mut mounts = bundle.spec.mounts().clone().unwrap();
    let dev = mounts.iter_mut().find(|one| one.destination().ends_with("dev")).unwrap();
    let mut options = dev.options().clone().unwrap();
    options.push("ro".to_owned());
    dev.set_options(Some(options));
    bundle.spec.set_mounts(Some(mounts));
    assert!(options_of(&bundle, "/dev").starts_with("ro,"));
    bundle.arguments(&["stat", "/dev/null"]);
    assert!(bundle.check().starts_with("char 666"));
}

fn a_remount_changes_the_mount_that_is_there() {
    let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
    bundle.mount(mount("tmpfs", "tmpfs", "/mnt", &["nosuid", "noexec"]));
    bundle.mount(mount("tmpfs", "tmpfs", "/mnt", &["remount", "ro", "nodev"]));
    assert_eq!(options_of(&bundle, "/mnt"), "ro,nodev,relatime");
    bundle.mount(mount("tmpfs", "tmpfs", "/mnt", &["remount", "size=1m"]));
    assert!(bundle.refusal().to_string().contains("is not supported: size"));
}

fn a_mount_label_asks_for_nothing_without_selinux() {
    assert!(!std::path::Path::new("/sys/fs/selinux/enforce").exists(), "this host has SELinux");
    let mut bundle = Bundle::new(&["cat", "/etc/marker"]);
    bundle.configure(serde_json::json!({"linux": {"mountLabel": "system_u:object_r:x:s0"}}));
    assert_eq!(bundle.check(), "image\n");
}
