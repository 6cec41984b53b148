//! A4 to A11: links and exchanges in the image and in volumes, on the way to mounts, devices, masks and the console.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use super::{Attacker, as_user_1000, attempts, canary, inside, outcome, without_mount};
use crate::bundle::{Bundle, bind, mount};

crate::tests![
    a_link_in_the_place_of_sys_is_refused,
    a_volume_over_proc_is_refused,
    kernel_parameters_are_not_written_to_files_of_the_image,
    a_null_device_of_the_image_that_is_a_link_masks_nothing_else,
    a_mask_is_the_null_device_while_dev_is_exchanged,
    the_hosts_null_device_cannot_be_changed_through_standard_input,
    the_console_is_a_terminal_while_dev_is_exchanged,
    kernel_parameters_and_limits_land_where_they_belong,
    a_link_in_the_place_of_dev_makes_nothing_outside,
    without_a_dev_mount_links_of_the_image_are_not_followed,
    a_mount_point_that_is_exchanged_for_a_link_stays_in_the_root,
    mount_points_that_are_made_while_their_parents_are_exchanged_stay_in_the_root,
];

// A4, CVE-2019-16884, CVE-2019-19921, CVE-2023-27561
fn a_link_in_the_place_of_sys_is_refused() {
    let canary = canary();
    let bundle = Bundle::new(&["status"]);
    fs_err::create_dir(bundle.root.join("x")).unwrap();
    symlink("/x", bundle.root.join("sys")).unwrap();
    let said = outcome(&bundle);
    assert!(said.contains("must be mounted on ordinary directory"), "{said}");
    canary.end(&[&said]);
}

fn a_volume_over_proc_is_refused() {
    let volume = Bundle::new(&[]);
    for target in ["/proc", "/proc/self", "/proc/self/attr", "/proc/sys/net", "/proc/../proc/self"]
    {
        let mut bundle = Bundle::new(&["status"]);
        bundle.mount(bind(volume.root.join("etc"), target, &["rbind"]));
        let said = outcome(&bundle);
        let reasons = ["is inside /proc", "it is no procfs", "it contains `..`"];
        assert!(reasons.iter().any(|reason| said.contains(reason)), "{target}: {said}");
    }
}

fn kernel_parameters_are_not_written_to_files_of_the_image() {
    let mut bundle = Bundle::new(&["say", "ran"]);
    without_mount(&mut bundle, "/proc");
    let fake = inside(&bundle.root, "/proc/sys/net/ipv4/ip_unprivileged_port_start");
    fs_err::create_dir_all(fake.parent().unwrap()).unwrap();
    fs_err::write(&fake, "untouched").unwrap();
    assert_eq!(outcome(&bundle), "ran\n");
    assert_eq!(fs_err::read_to_string(&fake).unwrap(), "untouched");
}

const CORE_PATTERN: &str = "/proc/sys/kernel/core_pattern";

/// A file that is masked and exists on this machine.
fn masked() -> String {
    let mut paths = naru_runtime::profile::masked_paths().into_iter();
    paths.find(|path| Path::new(path).is_file()).expect("every kernel has one of them")
}

/// A folder that is mounted over /dev, in which the null device is a link to something worth writing to.
fn hostile_dev(volume: &Bundle) -> std::path::PathBuf {
    let dev = volume.root.join("dev");
    fs_err::create_dir_all(dev.join("pts")).unwrap();
    symlink(CORE_PATTERN, dev.join("null")).unwrap();
    symlink(CORE_PATTERN, dev.join("console")).unwrap();
    let kind = rustix::fs::FileType::CharacterDevice;
    let mode = rustix::fs::Mode::from_bits_truncate(0o666);
    let null = rustix::fs::makedev(1, 3);
    rustix::fs::mknodat(rustix::fs::CWD, dev.join("real"), kind, mode, null).unwrap();
    fs_err::write(dev.join("tty"), "").unwrap();
    dev
}

fn over_dev(arguments: &[&str], dev: &Path) -> Bundle {
    let mut bundle = Bundle::new(arguments);
    without_mount(&mut bundle, "/dev");
    bundle.mount(bind(dev, "/dev", &["rbind"]));
    bundle
}

// A5, CVE-2025-31133, CVE-2025-62161
fn a_null_device_of_the_image_that_is_a_link_masks_nothing_else() {
    let canary = canary();
    let volume = Bundle::new(&[]);
    let dev = hostile_dev(&volume);
    let bundle = over_dev(&["stat", &masked(), "+", "attack", "reopen", CORE_PATTERN], &dev);
    assert_eq!(bundle.check(), "char 666 0:0 1:3\n\n/proc/sys/kernel/core_pattern: errno 30\n");
    canary.end(&[]);
}

fn a_mask_is_the_null_device_while_dev_is_exchanged() {
    let canary = canary();
    let volume = Bundle::new(&[]);
    let dev = hostile_dev(&volume);
    let mut attacker = Bundle::new(&["attack", "swap", "/shared/null", "/shared/real"]);
    attacker.mount(bind(&dev, "/shared", &["rbind"]));
    let attacker = Attacker::start(attacker);
    let words = ["stat", &masked(), "+", "stat", &masked(), "+", "attack", "reopen", CORE_PATTERN];
    for _ in 0..attempts() {
        let said = outcome(&over_dev(&words, &dev));
        let expected =
            "char 666 0:0 1:3\n\nchar 666 0:0 1:3\n\n/proc/sys/kernel/core_pattern: errno 30\n";
        assert!(said == expected || said.starts_with("refused"), "{said}");
    }
    attacker.stop();
    canary.end(&[]);
}

/// Standard input without a source is a null device. Were it the host's, root in the container could change its mode.
fn the_hosts_null_device_cannot_be_changed_through_standard_input() {
    let private = Bundle::new(&[]);
    let folder = private.root.join("devices");
    fs_err::create_dir(&folder).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A host whose null device is a test's own, for this thread.
            use rustix::mount::{
                MountFlags, MountPropagationFlags, mount, mount_bind, mount_change,
            };
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            mount("tmpfs", &folder, "tmpfs", MountFlags::empty(), None).unwrap();
            let kind = rustix::fs::FileType::CharacterDevice;
            let mode = rustix::fs::Mode::from_bits_truncate(0o666);
            let number = rustix::fs::makedev(1, 3);
            let null = folder.join("null");
            rustix::fs::mknodat(rustix::fs::CWD, &null, kind, mode, number).unwrap();
            rustix::fs::chmod(&null, mode).unwrap();
            mount_bind(&null, "/dev/null").unwrap();
            let facts = || {
                let data = fs_err::metadata("/dev/null").unwrap();
                (data.mode() & 0o7777, data.uid(), data.gid(), data.ctime(), data.ctime_nsec())
            };
            let before = facts();
            let words = [
                "attack",
                "mode",
                "/proc/self/fd/0",
                "600",
                "+",
                "attack",
                "owner",
                "/proc/self/fd/0",
                "1000",
                "+",
                "attack",
                "mode",
                &masked(),
                "600",
                "+",
                "attack",
                "owner",
                &masked(),
                "1000",
                "+",
                "cat",
                "/proc/self/fd/0",
            ];
            let bundle = Bundle::new(&words);
            assert!(bundle.check().ends_with("\n\n\n"));
            let dev = hostile_dev(&bundle);
            drop(outcome(&over_dev(&words, &dev)));
            let container = Bundle::new(&["forever"]);
            let running = container.start(&crate::bundle::Output::new()).unwrap();
            let output = crate::bundle::Output::new();
            container.exec(&running, &container.further(&words), &output).unwrap().wait().unwrap();
            crate::bundle::end(&running);
            assert_eq!(facts(), before, "{}", output.read());
        });
    });
}

fn terminal(bundle: &mut Bundle) {
    bundle.process(|process| {
        process.set_terminal(Some(true));
    });
}

// A6, CVE-2025-52565
fn the_console_is_a_terminal_while_dev_is_exchanged() {
    let canary = canary();
    let volume = Bundle::new(&[]);
    let dev = hostile_dev(&volume);
    let mut attacker = Bundle::new(&["attack", "swap", "/shared/console", "/shared/tty"]);
    attacker.mount(bind(&dev, "/shared", &["rbind"]));
    let attacker = Attacker::start(attacker);
    let words = [
        "stat",
        "/dev/console",
        "+",
        "cat",
        "/proc/self/mountinfo",
        "+",
        "attack",
        "reopen",
        CORE_PATTERN,
    ];
    for _ in 0..attempts() {
        let mut bundle = over_dev(&words, &dev);
        bundle.mount(mount(
            "devpts",
            "devpts",
            "/dev/pts",
            &["newinstance", "ptmxmode=0666", "mode=0620"],
        ));
        terminal(&mut bundle);
        let said = outcome(&bundle);
        if said.starts_with("refused") {
            continue;
        }
        // The name was exchanged again since; what is mounted there is the terminal.
        let mounts = said
            .lines()
            .filter(|line| line.contains(" /dev/console ") || line.contains(" /dev/tty "));
        let mounts: Vec<&str> = mounts.collect();
        assert!(mounts.len() == 1 && mounts[0].contains(" - devpts "), "{said}");
        assert!(said.contains("core_pattern: errno 30"), "{said}");
    }
    attacker.stop();
    canary.end(&[]);
}

// A7, CVE-2025-52881, CVE-2025-62596
fn kernel_parameters_and_limits_land_where_they_belong() {
    let canary = canary();
    let words = [
        "cat",
        "/proc/sys/net/ipv4/ip_unprivileged_port_start",
        "+",
        "cat",
        "/proc/self/oom_score_adj",
        "+",
        "cat",
        "/proc/sys/kernel/msgmax",
    ];
    let mut bundle = Bundle::new(&words);
    bundle.process(|process| {
        process.set_oom_score_adj(Some(900));
    });
    let mut linux = bundle.spec.linux().clone().unwrap();
    let mut parameters = linux.sysctl().clone().unwrap();
    parameters.insert("kernel.msgmax".to_owned(), "4321".to_owned());
    linux.set_sysctl(Some(parameters));
    bundle.spec.set_linux(Some(linux));
    assert_eq!(bundle.check(), "0\n\n900\n\n4321\n");

    let further = Bundle::new(&["forever"]);
    let container = further.start(&crate::bundle::Output::new()).unwrap();
    let mut process = further.further(&["cat", "/proc/self/oom_score_adj"]);
    process.set_oom_score_adj(Some(700));
    let output = crate::bundle::Output::new();
    further.exec(&container, &process, &output).unwrap().wait().unwrap();
    assert_eq!(output.read(), "700\n");
    crate::bundle::end(&container);
    canary.end(&[]);
}

// A8, CVE-2026-41579, CVE-2026-47766
fn a_link_in_the_place_of_dev_makes_nothing_outside() {
    let canary = canary();
    let targets = [
        canary.directory(),
        Path::new("/../..").join(canary.directory().strip_prefix("/").unwrap()),
    ];
    for target in targets {
        for has_mount in [true, false] {
            for is_there in [true, false] {
                let mut bundle = Bundle::new(&["ls", canary.directory().to_str().unwrap()]);
                if !has_mount {
                    without_mount(&mut bundle, "/dev");
                }
                if is_there {
                    let same = inside(&bundle.root, canary.directory().to_str().unwrap());
                    fs_err::create_dir_all(same).unwrap();
                }
                symlink(&target, bundle.root.join("dev")).unwrap();
                let said = outcome(&bundle);
                let is_inside = !has_mount && is_there && said.contains("null");
                assert!(said.starts_with("refused") || is_inside, "{said}");
            }
        }
    }
    canary.end(&[]);
}

// A9, CVE-2026-88264, CVE-2026-88265
fn without_a_dev_mount_links_of_the_image_are_not_followed() {
    let canary = canary();
    for (name, terminal_asked) in
        [("null", false), ("null", true), ("console", true), ("ptmx", true), ("tty", false)]
    {
        for user in [false, true] {
            let mut bundle = Bundle::new(&["say", "ran"]);
            without_mount(&mut bundle, "/dev");
            bundle.mount(mount("devpts", "devpts", "/dev/pts", &["newinstance", "ptmxmode=0666"]));
            let dev = bundle.root.join("dev");
            fs_err::create_dir(&dev).unwrap();
            // In the image there is a file of that name: following the link inside would be wrong as well.
            let target = inside(&bundle.root, canary.file().to_str().unwrap());
            fs_err::create_dir_all(target.parent().unwrap()).unwrap();
            fs_err::write(&target, "the image's").unwrap();
            symlink(canary.file(), dev.join(name)).unwrap();
            if terminal_asked {
                terminal(&mut bundle);
            }
            if user {
                as_user_1000(&mut bundle);
            }
            let said = outcome(&bundle);
            assert!(
                said.starts_with("refused") || (name == "ptmx" && said.contains("ran")),
                "{name}: {said}"
            );
            let data = fs_err::metadata(&target).unwrap();
            assert_eq!((data.uid(), data.mode() & 0o777, data.len()), (0, 0o644, 11), "{name}");
        }
    }
    canary.end(&[]);
}

// A10, CVE-2021-30465
fn a_mount_point_that_is_exchanged_for_a_link_stays_in_the_root() {
    let canary = canary();
    let (volume, other) = (Bundle::new(&[]), Bundle::new(&[]));
    let shared = volume.root.join("shared");
    fs_err::create_dir_all(shared.join("x")).unwrap();
    symlink(canary.directory(), shared.join("l")).unwrap();
    let mut attacker = Bundle::new(&["attack", "swap", "/m/x", "/m/l"]);
    attacker.mount(bind(&shared, "/m", &["rbind"]));
    let attacker = Attacker::start(attacker);
    let before = mounts_of_the_host();
    for _ in 0..attempts() {
        let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
        bundle.mount(bind(&shared, "/m", &["rbind"]));
        bundle.mount(bind(other.root.join("etc"), "/m/x", &["rbind"]));
        let said = outcome(&bundle);
        let followed = canary.directory();
        let inside = ["/m/x", "/m/l", followed.to_str().unwrap()];
        let is_mounted =
            said.lines().any(|line| inside.contains(&line.split(' ').nth(4).unwrap_or("")));
        assert!(is_mounted || said.starts_with("refused"), "{said}");
        assert_eq!(mounts_of_the_host(), before);
    }
    attacker.stop();
    canary.end(&[]);
}

/// Mounts of tests in this mount namespace: there are none.
fn mounts_of_the_host() -> Vec<String> {
    let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    let own = format!("naru-runtime-test-{}-", std::process::id());
    mounts.lines().filter(|line| line.contains(&own)).map(str::to_owned).collect()
}

// A11, CVE-2024-45310
fn mount_points_that_are_made_while_their_parents_are_exchanged_stay_in_the_root() {
    let canary = canary();
    let (volume, other) = (Bundle::new(&[]), Bundle::new(&[]));
    let shared = volume.root.join("shared");
    fs_err::create_dir_all(shared.join("x")).unwrap();
    symlink(canary.directory(), shared.join("l")).unwrap();
    let mut attacker = Bundle::new(&["attack", "swap", "/m/x", "/m/l"]);
    attacker.mount(bind(&shared, "/m", &["rbind"]));
    let attacker = Attacker::start(attacker);
    for number in 0..attempts() {
        let mut bundle = Bundle::new(&["say", "ran"]);
        bundle.mount(bind(&shared, "/m", &["rbind"]));
        let target = format!("/m/x/a{number}/b/c");
        bundle.mount(bind(other.root.join("etc"), &target, &["rbind"]));
        bundle.mount(bind(
            other.root.join("etc/marker"),
            &format!("/m/x/f{number}/file"),
            &["bind"],
        ));
        drop(outcome(&bundle));
    }
    attacker.stop();
    canary.end(&[]);
}
