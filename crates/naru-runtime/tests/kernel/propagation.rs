//! Mount propagation, access times, options of whole file systems, and what a tmpfs begins with.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::bundle::{Bundle, bind, chain, mount};

crate::tests![
    each_mount_has_its_propagation,
    a_mount_that_cannot_be_bound_is_told_so,
    the_root_has_its_propagation,
    a_shared_mount_reaches_the_host_when_the_root_is_shared,
    access_times_are_kept_as_asked,
    recursive_options_reach_what_is_mounted_below,
    options_of_the_whole_file_system_are_set,
    a_tmpfs_has_the_mode_of_what_it_covers,
    a_tmpfs_begins_with_what_it_covers,
    a_file_of_proc_can_be_replaced_and_no_directory,
    proc_can_be_bound_from_another_proc,
];

/// The line of a mount, its propagation between the sixth field and the dash.
fn line<'a>(mountinfo: &'a str, target: &str) -> &'a str {
    let found = mountinfo.lines().rfind(|line| line.split(' ').nth(4) == Some(target));
    found.unwrap_or_else(|| panic!("{target} is not mounted:\n{mountinfo}"))
}

fn propagation(line: &str) -> Vec<&str> {
    let fields = line.split(' ').skip(6).take_while(|field| *field != "-");
    fields.map(|field| field.split(':').next().unwrap()).collect()
}

fn seen_with(options: &[&str]) -> String {
    let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
    let source = Bundle::new(&[]);
    let mut all = vec!["rbind"];
    all.extend(options);
    bundle.mount(bind(source.root.join("etc"), "/data", &all));
    bundle.mount(mount("tmpfs", "tmpfs", "/scratch", options));
    bundle.check()
}

fn each_mount_has_its_propagation() {
    let cases: [(&str, &[&str]); 5] = [
        ("private", &[]),
        ("rprivate", &[]),
        ("shared", &["shared"]),
        ("rshared", &["shared"]),
        ("unbindable", &["unbindable"]),
    ];
    for (option, expected) in cases {
        let seen = seen_with(&[option]);
        for target in ["/data", "/scratch"] {
            assert_eq!(propagation(line(&seen, target)), expected, "{option}: {seen}");
        }
    }
    assert_eq!(propagation(line(&seen_with(&[]), "/data")), [""; 0]);
}

fn a_mount_that_cannot_be_bound_is_told_so() {
    let seen = seen_with(&["runbindable"]);
    assert_eq!(propagation(line(&seen, "/data")), ["unbindable"]);
}

fn the_root_has_its_propagation() {
    let cases = [("shared", "shared"), ("rshared", "shared"), ("unbindable", "unbindable")];
    for (name, expected) in cases {
        let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
        bundle.configure(json!({"linux": {"rootfsPropagation": name}}));
        assert_eq!(propagation(line(&bundle.check(), "/")), [expected], "{name}");
    }
    for name in ["private", "rprivate", "slave", "rslave", ""] {
        let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
        bundle.configure(json!({"linux": {"rootfsPropagation": name}}));
        let seen = bundle.check();
        assert_eq!(propagation(line(&seen, "/")), [""; 0], "{name}");
    }
}

/// In a mount namespace of this thread, a shared tmpfs is given to a container that mounts in it.
fn a_shared_mount_reaches_the_host_when_the_root_is_shared() {
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
    for (root, reaches) in [("rshared", true), ("rslave", false)] {
        let mut bundle = Bundle::new(&["mount-at", "/shared/inside", "+", "say", "done"]);
        bundle.configure(json!({"linux": {"rootfsPropagation": root, "seccomp": null},
            "process": {"capabilities": {"bounding": ["CAP_SYS_ADMIN"],
                "effective": ["CAP_SYS_ADMIN"], "permitted": ["CAP_SYS_ADMIN"]}}}));
        let folder = bundle.root.join("etc/shared");
        fs_err::create_dir(&folder).unwrap();
        bundle.mount(bind(&folder, "/shared", &["rbind", "rshared"]));
        std::thread::scope(|scope| {
            let test = || {
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
                let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
                mount_change("/", private).unwrap();
                mount("tmpfs", &folder, "tmpfs", MountFlags::empty(), None).unwrap();
                mount_change(&folder, MountPropagationFlags::SHARED).unwrap();
                fs_err::create_dir(folder.join("inside")).unwrap();
                assert_eq!(bundle.check(), "ok\n\ndone\n");
                let mounts = fs_err::read_to_string("/proc/thread-self/mountinfo").unwrap();
                let inside = folder.join("inside").display().to_string();
                assert_eq!(mounts.contains(&inside), reaches, "{root}: {mounts}");
            };
            scope.spawn(test).join().unwrap();
        });
    }
}

fn access_times_are_kept_as_asked() {
    for (option, expected) in
        [("noatime", "noatime"), ("relatime", "relatime"), ("nodiratime", "nodiratime")]
    {
        let seen = seen_with(&[option]);
        assert!(line(&seen, "/data").contains(expected), "{seen}");
        assert!(line(&seen, "/scratch").contains(expected), "{seen}");
    }
    let seen = seen_with(&["strictatime"]);
    for target in ["/data", "/scratch"] {
        let options = line(&seen, target).split(' ').nth(5).unwrap();
        assert!(!options.contains("atime"), "{options}");
    }
}

fn recursive_options_reach_what_is_mounted_below() {
    let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
    let options = ["rbind", "rro", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rnodiratime"];
    bundle.mount(bind("/dev", "/host", &options));
    let seen = bundle.check();
    let mut below = 0;
    for line in seen.lines() {
        let target = line.split(' ').nth(4).unwrap();
        if target.starts_with("/host") {
            let set: Vec<&str> = line.split(' ').nth(5).unwrap().split(',').collect();
            for option in ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime"] {
                assert!(set.contains(&option), "{option}: {line}");
            }
            below += 1;
        }
    }
    assert!(below > 1, "{seen}");
    // And back, where it was so before.
    let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
    let options = ["rbind", "ro", "rrw", "rexec", "rdev", "rsuid", "rrelatime"];
    bundle.mount(bind("/dev", "/host", &options));
    let seen = bundle.check();
    assert!(line(&seen, "/host").contains(" ro,relatime"), "{seen}");
}

fn options_of_the_whole_file_system_are_set() {
    let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
    let options = ["sync", "dirsync", "lazytime", "silent", "size=1m", "nr_inodes=100"];
    bundle.mount(mount("tmpfs", "tmpfs", "/scratch", &options));
    let seen = bundle.check();
    let whole = line(&seen, "/scratch").split(" - ").nth(1).unwrap();
    for option in ["sync", "dirsync", "lazytime", "size=1024k", "nr_inodes=100"] {
        assert!(whole.contains(option), "{whole}");
    }
    let mut bundle = Bundle::new(&["status"]);
    bundle.mount(mount("tmpfs", "tmpfs", "/scratch", &["no-such-option"]));
    let text = chain(&bundle.refusal());
    assert!(text.starts_with("cannot mount tmpfs on /scratch: Invalid argument"), "{text}");
}

/// A folder in the image with a bit of everything.
fn with_folder(arguments: &[&str]) -> Bundle {
    let bundle = Bundle::new(arguments);
    let folder = bundle.root.join("folder");
    fs_err::create_dir_all(folder.join("below/deep")).unwrap();
    fs_err::write(folder.join("below/deep/file"), "content").unwrap();
    std::os::unix::fs::symlink("/etc/marker", folder.join("link")).unwrap();
    let file = folder.join("below/deep/file");
    std::os::unix::fs::chown(&file, Some(12), Some(34)).unwrap();
    fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o4751)).unwrap();
    fs_err::set_permissions(&folder, std::fs::Permissions::from_mode(0o1750)).unwrap();
    bundle
}

fn a_tmpfs_has_the_mode_of_what_it_covers() {
    let mut bundle = with_folder(&["stat", "/folder", "+", "ls", "/folder", "+", "stat", "/new"]);
    bundle.mount(mount("tmpfs", "tmpfs", "/folder", &[]));
    bundle.mount(mount("tmpfs", "tmpfs", "/new", &[]));
    assert_eq!(bundle.check(), "dir 1750 0:0 0:0\n\n\n\ndir 1777 0:0 0:0\n");
}

fn a_tmpfs_begins_with_what_it_covers() {
    for options in [&["tmpcopyup"][..], &["tmpcopyup", "ro", "size=1m"]] {
        let mut bundle = with_folder(&[
            "ls",
            "/folder",
            "+",
            "cat",
            "/folder/below/deep/file",
            "+",
            "stat",
            "/folder/below/deep/file",
            "+",
            "link",
            "/folder/link",
            "+",
            "create",
            "/folder/new",
        ]);
        bundle.mount(mount("tmpfs", "tmpfs", "/folder", options));
        let created = if options.contains(&"ro") { "errno 30" } else { "ok" };
        let expected =
            format!("below link\n\ncontent\n\nfile 4751 12:34 0:0\n\n/etc/marker\n\n{created}\n");
        assert_eq!(bundle.check(), expected);
        assert!(!bundle.root.join("folder/new").exists());
    }
    let mut bundle = with_folder(&["status"]);
    bundle.mount(bind("/etc", "/folder", &["rbind", "tmpcopyup"]));
    let text = bundle.refusal().to_string();
    assert!(text.contains("is invalid: tmpcopyup is for a tmpfs"), "{text}");
}

fn a_file_of_proc_can_be_replaced_and_no_directory() {
    let source = Bundle::new(&[]);
    fs_err::write(source.root.join("etc/uptime"), "1.0 1.0").unwrap();
    let mut bundle = Bundle::new(&["cat", "/proc/uptime"]);
    bundle.mount(bind(source.root.join("etc/uptime"), "/proc/uptime", &["bind", "ro"]));
    assert_eq!(bundle.check(), "1.0 1.0\n");
    let mut bundle = Bundle::new(&["status"]);
    bundle.mount(bind(source.root.join("etc"), "/proc/sys", &["bind"]));
    assert!(bundle.refusal().to_string().contains("/proc/sys is inside /proc"));
    let mut bundle = Bundle::new(&["status"]);
    bundle.mount(bind(source.root.join("etc"), "/proc", &["bind"]));
    assert_eq!(bundle.refusal().to_string(), "cannot mount on /proc: it is no procfs");
}

fn proc_can_be_bound_from_another_proc() {
    let mut bundle = Bundle::new(&["stat", "/proc/meminfo"]);
    let mounts = json!([{"destination": "/proc", "type": "bind", "source": "/proc",
        "options": ["rbind"]}, {"destination": "/checker", "type": "bind",
        "source": std::env::current_exe().unwrap()}]);
    bundle.without_namespace("pid").configure(json!({"mounts": mounts}));
    assert_eq!(bundle.check(), "file 444 0:0 0:0\n");
}
