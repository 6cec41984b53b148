//! A full disk under `NARU_ROOT`: commands say so and where, what runs goes on, `down` works, and all is well when there
//! is room again.

use std::path::Path;
use std::process::Command;

use naru_test::{Project, RootTar, TestHost, eventually};

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

/// Writes so many lines when it is told to, and ends.
const LAST_WORDS: &str = "
services:
  last:
    image: test
    restart: 'no'
    tmpfs: [/run]
    command: [sh, -c, 'echo 0; while [ ! -e /run/go ]; do usleep 5000; done; i=0; while [ $$i -lt LINES ]; do i=$$((i+1)); echo $$i; done; exit 3']
  other: {image: test}
";

/// Brings it up, fills the disk, lets it write its last words, and waits for its end.
fn ends_on_a_full_disk<'h>(host: &'h TestHost, lines: u32) -> Project<'h> {
    let file = LAST_WORDS.replace("LINES", &lines.to_string());
    let project = host.project("last").file("compose.yaml", &file);
    project.naru(["up", "-d"]).succeeds();
    project.until_logged("last", "0\n");
    fill(host, 0);
    project.naru(["exec", "-T", "last", "touch", "/run/go"]);
    let container = project.until("last", "exited");
    assert_eq!(container["ExitCode"], 3, "{container}");
    project
}

/// What its log has to have in the end.
fn numbers(last: u32) -> String {
    (0..=last).map(|number| format!("{number}\n")).collect()
}

fn make_room(host: &TestHost) {
    fs_err::remove_file(host.root().join("filler")).unwrap();
}

fn says_everything(project: &Project<'_>, last: u32) {
    eventually("its last words", || {
        let said = project.naru(["logs", "--no-log-prefix", "last"]).succeeds().stdout;
        match said == numbers(last) {
            true => Ok(()),
            false => Err(format!("{} bytes, the end is {:?}", said.len(), said.lines().last())),
        }
    });
}

#[test]
fn what_a_container_has_last_written_on_a_full_disk_waits_for_room_whoever_dies_meanwhile() {
    host("size=64m", |host| {
        for victims in [&[][..], &["keeper:"], &["supervisor:"], &["supervisor:", "keeper:"]] {
            let project = ends_on_a_full_disk(host, 2000);
            for role in victims {
                host.kill(&["naru", role]);
            }
            let waits = project.naru(["logs", "--no-log-prefix", "last"]).succeeds();
            assert!(!waits.stdout.contains("\n2000\n"), "the disk was not full: {waits}");
            waits.says("last-last-1").says("wait for room");
            make_room(host);
            says_everything(&project, 2000);
            project.naru(["down", "-t", "0"]).succeeds();
        }
    });
}

#[test]
fn a_container_that_starts_again_on_a_full_disk_loses_nothing_of_the_run_before() {
    host("size=64m", |host| {
        let project = ends_on_a_full_disk(host, 2000);
        project.naru(["start", "last"]);
        make_room(host);
        project.naru(["start", "last"]).succeeds();
        let all = format!("{}0\n", numbers(2000));
        project.until_logged("last", &all);
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn what_finds_no_room_before_its_container_is_removed_is_told_as_lost() {
    host("size=64m", |host| {
        let project = ends_on_a_full_disk(host, 11_000);
        let down = project.naru(["down", "-t", "0"]).succeeds();
        down.says("last-last-1").says("bytes of its output are lost");
        make_room(host);
        let project = ends_on_a_full_disk(host, 11_000);
        make_room(host);
        // There is room now: the removal itself brings them back.
        project.naru(["down", "-t", "0"]).succeeds();
        says_everything(&project, 11_000);
    });
}
