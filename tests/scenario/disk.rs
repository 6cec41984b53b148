//! A full disk under `NARU_ROOT`: commands say so and where, what runs goes on, `down` works, and all is well when there
//! is room again.

use std::path::Path;
use std::process::Command;

use naru_test::{Project, RootTar, TestHost};

use super::survival::load::assert_no_gap;

const FILE: &str = "
services:
  web: {image: test, volumes: [data:/data]}
  other: {image: test}
volumes: {data: {}}
";

const COUNTER: &str = "
services:
  counter:
    image: test
    command: [sh, -c, 'i=0; while :; do i=$$((i+1)); echo $$i; usleep 10000; done']
";

/// A test host whose `NARU_ROOT` is a small file system of its own.
fn host(options: &str, body: impl Fn(&TestHost)) {
    naru_test::host(env!("CARGO_BIN_EXE_naru"), |host| {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(host.root())
            .status();
        assert!(mount.unwrap().success());
        let tar = RootTar::new().busybox();
        host.import("test", tar, &["CMD [\"sleep\", \"1000\"]"]);
        body(host);
    });
}

/// Bytes that are free.
fn free(path: &Path) -> u64 {
    let found = rustix::fs::statvfs(path).unwrap();
    found.f_bavail * found.f_frsize
}

/// Leaves so many bytes free.
fn fill(host: &TestHost, rest: u64) {
    let filler = host.root().join("filler");
    drop(fs_err::remove_file(&filler));
    let size = free(&host.root()).saturating_sub(rest);
    let file = fs_err::File::create(&filler).unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size.max(1)).unwrap();
}

fn counting(host: &TestHost) -> Project<'_> {
    let running = host.project("running").file("compose.yaml", COUNTER);
    running.naru(["up", "-d"]).succeeds();
    running.until_logged("counter", "10\n");
    running
}

/// Its children come and go.
fn first_process(host: &TestHost) -> Option<rustix::process::Pid> {
    host.processes(&["while :; do i="]).into_iter().min_by_key(|pid| pid.as_raw_nonzero())
}

/// `up` works or says what is wrong and where, and `down` works in any case.
fn up_and_down(project: &Project<'_>, host: &TestHost, rest: &str) -> bool {
    let up = project.naru(["up", "-d"]);
    if up.code != 0 {
        let says = up.stderr.contains("o space left on device")
            && up.stderr.contains(&host.root().display().to_string());
        assert!(up.code == 1 && says, "with {rest} left: {up}");
    }
    project.naru(["ps", "-a"]).succeeds();
    project.naru(["down", "-v", "-t", "0"]).succeeds();
    up.code == 0
}

#[test]
fn up_on_a_full_disk_says_so_and_down_works_at_every_size() {
    host("size=64m", |host| {
        let running = counting(host);
        let pid = first_process(host);
        let project = host.project("shop").file("compose.yaml", FILE);
        let mut failed = 0;
        for rest in [0, 4, 8, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128] {
            fill(host, rest << 10);
            failed += usize::from(!up_and_down(&project, host, &format!("{rest} KiB")));
        }
        assert!(failed >= 2, "the disk was never full");
        // What ran before does so still, and its log goes on without a gap.
        assert_eq!(first_process(host), pid);
        fs_err::remove_file(host.root().join("filler")).unwrap();
        assert!(up_and_down(&project, host, "all"));
        let last =
            running.naru(["logs", "--no-log-prefix", "-n", "1", "counter"]).succeeds().stdout;
        let next: u64 = last.trim().parse::<u64>().unwrap() + 300;
        running.until_logged("counter", &format!("\n{next}\n"));
        assert_no_gap(&running, "counter");
        host.naru(["system", "check"]).succeeds();
        running.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn up_without_a_free_inode_says_so_and_down_works() {
    host("size=64m,nr_inodes=700", |host| {
        let running = counting(host);
        let pid = first_process(host);
        let project = host.project("shop").file("compose.yaml", FILE);
        let folder = host.root().join("fillers");
        fs_err::create_dir(&folder).unwrap();
        let mut files = 0_u32;
        while fs_err::write(folder.join(files.to_string()), "").is_ok() {
            files += 1;
        }
        let mut failed = 0;
        for _ in 0..24 {
            failed += usize::from(!up_and_down(&project, host, "few inodes"));
            files -= 1;
            fs_err::remove_file(folder.join(files.to_string())).unwrap();
        }
        assert!(failed >= 2, "there were always inodes");
        assert_eq!(first_process(host), pid);
        fs_err::remove_dir_all(&folder).unwrap();
        assert!(up_and_down(&project, host, "all"));
        assert_no_gap(&running, "counter");
        running.naru(["down", "-t", "0"]).succeeds();
    });
}
