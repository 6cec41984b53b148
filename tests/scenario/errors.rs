//! Any write of `up` that fails, by a full disk, a quota, a disk that became read-only, or for want of descriptors: what is
//! said names the object and the cause, and the next `up` and `down` work.

use std::path::Path;

use naru_test::tracer::{Fault, Step, fault_at};
use naru_test::{Project, TestHost};
use nix::libc;

use super::host;
use super::invariants::World;
use super::survival::load::Rng;
use super::sweep::{FILE, both};

/// Failures of each kind in the short form; `cargo xtask soak errors` says another number.
const FAILURES: u64 = 4;

/// System calls that make a descriptor.
const OPENS: [libc::c_long; 9] = [
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_pipe2,
    libc::SYS_pidfd_open,
    libc::SYS_memfd_create,
    libc::SYS_accept4,
    libc::SYS_epoll_create1,
];

fn fails_at_any(errno: i32, says: &str) {
    host(|host| {
        let failures = std::env::var("NARU_SOAK_ERRORS").ok();
        let failures = failures.map_or(FAILURES, |text| text.parse().unwrap());
        let project = host.project("errors").file("compose.yaml", FILE);
        let world = World::new(host);
        let (_, all) = fails(host, &project, errno, says, u64::MAX);
        assert!(all > 20, "{all} are too few to be true");
        world.recovers(&project, "nothing");
        let mut random = Rng::new();
        for number in 0..failures {
            let nth = 1 + (number * all + random.below(all)) / failures;
            let (what, _) = fails(host, &project, errno, says, nth);
            world.recovers(&project, &what);
        }
        world.end();
    });
}

/// Runs `up` with its `nth` call of the kind failing; says what failed, and how many such calls there were until then.
fn fails(
    host: &TestHost,
    project: &Project<'_>,
    errno: i32,
    says: &str,
    nth: u64,
) -> (String, u64) {
    let folder = host.root().parent().unwrap().to_owned();
    let (mut count, mut failed) = (0, String::new());
    let traced = fault_at(&project.command(["up", "-d"]), &both(host, "errors"), |call| {
        let object = match errno {
            libc::EMFILE => OPENS.contains(&call.number).then(|| format!("{call}"))?,
            _ => Step::fallible(call, &folder)?.display().to_string(),
        };
        // Not what runs in the containers.
        if !call.process().starts_with("naru ") {
            return None;
        }
        count += 1;
        failed = object;
        (count == nth).then_some(Fault::Error(errno))
    });
    let what = format!("error {errno} of {failed} ({nth}), {:?}", traced.victim);
    if traced.code != 0 {
        let said = &traced.stderr;
        assert!(said.contains(says), "the cause is not told: {what}: {said}");
        let names = errno == libc::EMFILE || said.contains('/');
        assert!(names, "nothing is named: {what}: {said}");
    }
    (what, count)
}

#[test]
fn any_write_of_up_that_finds_the_disk_full_is_told_and_the_next_up_works() {
    fails_at_any(libc::ENOSPC, "No space left on device");
}

#[test]
fn any_write_of_up_beyond_the_quota_is_told_and_the_next_up_works() {
    fails_at_any(libc::EDQUOT, "quota exceeded");
}

#[test]
fn any_write_of_up_on_a_file_system_that_became_read_only_is_told_and_the_next_up_works() {
    fails_at_any(libc::EROFS, "Read-only file system");
}

#[test]
fn any_lack_of_descriptors_in_up_is_told_and_the_next_up_works() {
    fails_at_any(libc::EMFILE, "Too many open files");
}

/// The containers' groups are made in the project's all the same.
#[test]
fn a_keeper_that_cannot_find_its_control_group_leaves_none_after_down() {
    host(|host| {
        let project = host.project("errors").file("compose.yaml", FILE);
        let before = host.snapshot();
        let traced = fault_at(&project.command(["up", "-d"]), &both(host, "errors"), |call| {
            let file = call.path(Some(0), 1).filter(|_| call.number == libc::SYS_openat)?;
            (call.process().starts_with("naru keeper") && file == Path::new("/proc/self/cgroup"))
                .then_some(Fault::Error(libc::EMFILE))
        });
        assert_eq!((traced.code, traced.victim.is_some()), (0, true), "{}", traced.stderr);
        project.naru(["down", "-t", "0"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn a_state_that_could_not_be_written_for_a_moment_is_written_when_it_can_be() {
    host(|host| {
        let project = host.project("errors").file("compose.yaml", FILE);
        let folder = host.root().parent().unwrap().to_owned();
        for nth in 1.. {
            let mut count = 0;
            let traced = fault_at(&project.command(["up", "-d"]), &both(host, "errors"), |call| {
                let file = Step::fallible(call, &folder)?;
                let is_state = call.number == libc::SYS_openat
                    && call.process().starts_with("naru supervisor")
                    && file.to_string_lossy().contains("/state.json.");
                count += u64::from(is_state);
                (is_state && count == nth).then_some(Fault::Error(libc::ENOSPC))
            });
            assert_eq!(traced.code, 0, "{}", traced.stderr);
            project.until("database", "running");
            project.until("web", "running");
            project.naru(["down", "-t", "0"]).succeeds();
            if traced.victim.is_none() {
                assert!(nth > 4, "{nth} are too few to be true");
                break;
            }
        }
    });
}

/// Its process waits meanwhile, and nobody may wait for it.
#[test]
fn a_process_that_cannot_be_looked_at_for_want_of_descriptors_ends_and_that_is_told() {
    host(|host| {
        let project = host.project("errors").file("compose.yaml", FILE);
        let mut told = 0;
        for nth in 1.. {
            let mut count = 0;
            let traced = fault_at(&project.command(["up", "-d"]), &both(host, "errors"), |call| {
                let file = call.path(Some(0), 1).filter(|_| call.number == libc::SYS_openat)?;
                let is_it = file.starts_with("/proc")
                    && (file.ends_with("ns/net") || file.ends_with("stat"))
                    && call.process().starts_with("naru supervisor");
                count += u64::from(is_it);
                (is_it && count == nth).then_some(Fault::Error(libc::EMFILE))
            });
            let said = traced.stderr.contains("Too many open files");
            assert!(traced.code == 0 || said, "{:?}: {}", traced.victim, traced.stderr);
            told += u32::from(said);
            project.naru(["down", "-t", "0"]).succeeds();
            if traced.victim.is_none() {
                break;
            }
        }
        assert!(told > 1, "{told} were told");
    });
}

/// A container that runs is not taken for one of another boot.
#[test]
fn a_boots_id_that_cannot_be_read_for_want_of_descriptors_is_not_taken_for_another_one() {
    host(|host| {
        let project = host.project("errors").file("compose.yaml", FILE);
        for nth in 1.. {
            let mut count = 0;
            let traced = fault_at(&project.command(["up", "-d"]), &both(host, "errors"), |call| {
                let file = call.path(Some(0), 1).filter(|_| call.number == libc::SYS_openat)?;
                let process = call.process();
                let is_it = file.ends_with("boot_id")
                    && (process.starts_with("naru supervisor") || process.starts_with("naru keep"));
                count += u64::from(is_it);
                (is_it && count == nth).then_some(Fault::Error(libc::EMFILE))
            });
            assert_eq!(traced.code, 0, "{:?}: {}", traced.victim, traced.stderr);
            for service in ["database", "web"] {
                let container = &project.containers(service)[0];
                assert_eq!(container["State"], "running", "{:?}: {container}", traced.victim);
            }
            project.naru(["down", "-t", "0"]).succeeds();
            if traced.victim.is_none() {
                assert!(nth > 1, "nobody reads it");
                break;
            }
        }
    });
}
