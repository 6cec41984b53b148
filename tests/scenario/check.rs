//! State that somebody has removed, damaged or exchanged, and what is left of projects that nobody knows any more: naru
//! says what is wrong, and every command comes to the same end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use naru_test::{Outcome, Project, TestHost, within};

use super::host;
use super::survival::load::answers;

const FILE: &str = "
services:
  web:
    image: test
    ports: ['8080:80']
    volumes: [data:/data]
    command: [sh, -c, 'echo kept > /data/file; exec httpd -f -p 80 -h /etc']
  other: {image: test}
volumes: {data: {}}
";

/// Ways to spoil a file.
const DAMAGES: [fn(&Path); 3] = [
    |path| fs_err::remove_file(path).unwrap(),
    |path| {
        let bytes = fs_err::read(path).unwrap();
        fs_err::write(path, &bytes[..bytes.len() / 2]).unwrap();
    },
    |path| fs_err::write(path, b"\xff{]\0 not what it was").unwrap(),
];

fn up(host: &TestHost) -> Project<'_> {
    let project = host.project("shop").file("compose.yaml", FILE);
    project.naru(["up", "-d"]).succeeds();
    answers("127.0.0.1:8080");
    project
}

fn check(host: &TestHost, arguments: &[&str]) -> Outcome {
    host.naru(["system", "check", "--format", "json"].iter().chain(arguments))
}

fn kill_both(host: &TestHost) {
    host.signal(&["supervisor:"], rustix::process::Signal::STOP);
    host.kill(&["keeper:"]);
    host.kill(&["supervisor:"]);
    within(Duration::from_secs(5), "both are gone", || {
        match host.count(&["keeper:"]) + host.count(&["supervisor:"]) {
            0 => Ok(()),
            left => Err(left.to_string()),
        }
    });
}

/// The file of this name of each container, in the order of the services.
fn of_containers(host: &TestHost, below: &Path, name: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for service in ["other", "web"] {
        let containers = host.root().join("projects/shop/containers");
        for entry in fs_err::read_dir(containers).unwrap() {
            let id = entry.unwrap().file_name();
            let record = host.root().join("projects/shop/containers").join(&id);
            let text = fs_err::read_to_string(record.join("container.json")).unwrap();
            if text.contains(&format!("\"service\": \"{service}\"")) {
                all.push(below.join(id).join(name));
            }
        }
    }
    all
}

fn records(host: &TestHost, name: &str) -> Vec<PathBuf> {
    of_containers(host, &host.root().join("projects/shop/containers"), name)
}

fn states(host: &TestHost, name: &str) -> Vec<PathBuf> {
    let root = fs_err::read_dir(host.run()).unwrap().next().unwrap().unwrap().path();
    of_containers(host, &root.join("shop/containers"), name)
}

/// Both services run, each once, and the page is there.
fn is_whole(project: &Project<'_>) {
    for service in ["web", "other"] {
        let containers = project.containers(service);
        let states: Vec<_> = containers.iter().map(|one| one["State"].clone()).collect();
        assert_eq!(states, ["running"], "{service}");
    }
    answers("127.0.0.1:8080");
}

/// Whatever was done to the file, `up` reaches what the Compose file says and `down` leaves nothing; with `repair`, what
/// is wrong is named before, and nothing after.
fn converges(find: impl Fn(&TestHost) -> PathBuf, named: bool) {
    host(|host| {
        let before = host.snapshot();
        for repair in [false, true] {
            for damage in DAMAGES {
                let project = up(host);
                if !repair {
                    kill_both(host);
                }
                let path = find(host);
                damage(&path);
                project.naru(["ps", "-a"]).succeeds();
                if repair {
                    let name = path.file_name().unwrap().to_str().unwrap();
                    let found = check(host, &[]);
                    assert!(!named || (found.code == 1 && found.stdout.contains(name)), "{found}");
                    check(host, &["--repair"]).succeeds();
                    assert_eq!(check(host, &[]).succeeds().stdout, "");
                }
                project.naru(["up", "-d"]).succeeds();
                is_whole(&project);
                assert_eq!(check(host, &[]).succeeds().stdout, "");
                let volume = host.root().join("volumes/shop_data/_data/file");
                assert_eq!(fs_err::read_to_string(volume).unwrap(), "kept\n");
                project.naru(["down", "-t", "0"]).succeeds();
                // What was set aside is the user's.
                drop(fs_err::remove_dir_all(host.root().join("damaged")));
                before.assert_nothing_left();
            }
        }
    });
}

#[test]
fn a_damaged_project_record_keeps_nothing_from_converging() {
    converges(|host| host.root().join("projects/shop/project.json"), true);
}

#[test]
fn a_damaged_record_of_networks_keeps_nothing_from_converging() {
    converges(|host| host.root().join("projects/shop/networks.json"), true);
}

#[test]
fn a_damaged_record_of_a_container_keeps_nothing_from_converging() {
    converges(|host| records(host, "container.json").swap_remove(1), true);
}

#[test]
fn a_damaged_state_of_a_container_keeps_nothing_from_converging() {
    // One that is missing is known from the copy.
    converges(|host| states(host, "state.json").swap_remove(1), false);
}

#[test]
fn a_damaged_copy_of_the_states_keeps_nothing_from_converging() {
    converges(
        |host| {
            let path = host.root().join("projects/shop/states.json");
            within(Duration::from_secs(5), "it is written", || {
                if path.exists() { Ok(()) } else { Err("not yet".to_owned()) }
            });
            path
        },
        false,
    );
}

#[test]
fn exchanged_records_are_not_believed() {
    host(|host| {
        let before = host.snapshot();
        for name in ["container.json", "state.json"] {
            let project = up(host);
            kill_both(host);
            let files = if name == "state.json" { states(host, name) } else { records(host, name) };
            let aside = host.root().join("aside");
            fs_err::rename(&files[0], &aside).unwrap();
            fs_err::rename(&files[1], &files[0]).unwrap();
            fs_err::rename(&aside, &files[1]).unwrap();
            check(host, &[]).exits_with(1).prints(name);
            project.naru(["up", "-d"]).succeeds();
            is_whole(&project);
            project.naru(["down", "-t", "0"]).succeeds();
            before.assert_nothing_left();
        }
    });
}

#[test]
fn records_of_a_newer_naru_are_refused_with_a_clear_line() {
    host(|host| {
        let project = up(host);
        kill_both(host);
        let path = records(host, "container.json").swap_remove(0);
        let text = fs_err::read_to_string(&path).unwrap();
        fs_err::write(&path, text.replacen("\"version\": 2", "\"version\": 9", 1)).unwrap();
        for verb in [&["ps"][..], &["up", "-d"], &["down"]] {
            let refused = project.naru(verb).exits_with(1);
            assert!(refused.stderr.contains("was written by a newer naru (form 9"), "{refused}");
        }
        check(host, &[]).exits_with(1).prints("newer naru");
        check(host, &["--repair"]).exits_with(1);
        fs_err::write(&path, text).unwrap();
        project.naru(["up", "-d"]).succeeds();
        is_whole(&project);
    });
}

#[test]
fn a_project_whose_run_directory_was_cleaned_runs_on() {
    host(|host| {
        let before = host.snapshot();
        let project = up(host);
        // The process is known once the copy of the states has it.
        let copy = host.root().join("projects/shop/states.json");
        within(Duration::from_secs(5), "the copy is up to date", || {
            let text = fs_err::read_to_string(&copy).unwrap_or_default();
            match text.matches("\"start_time\"").count() {
                2 => Ok(()),
                _ => Err(text),
            }
        });
        let pid = || host.processes(&["naru-check", "sleep"]);
        let old = pid();
        for entry in fs_err::read_dir(host.run()).unwrap() {
            fs_err::remove_dir_all(entry.unwrap().path()).unwrap();
        }
        check(host, &[]).exits_with(1).prints("nobody can talk to it");
        is_whole(&project);
        assert_eq!(pid(), old);
        assert_eq!((host.count(&["keeper:"]), host.count(&["supervisor:"])), (1, 1));
        assert_eq!(check(host, &[]).succeeds().stdout, "");
        project.naru(["down", "-t", "0"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn what_a_removed_project_left_in_the_kernel_is_found_and_taken_away() {
    host(|host| {
        let before = host.snapshot();
        let _project = up(host);
        kill_both(host);
        fs_err::remove_dir_all(host.root().join("projects/shop")).unwrap();
        let found = check(host, &[]).exits_with(1);
        for kind in ["cgroup", "link", "firewall"] {
            assert!(found.stdout.contains(&format!("{{\"Kind\":\"{kind}\"")), "{found}");
        }
        check(host, &["--repair"]).succeeds();
        assert_eq!(check(host, &[]).succeeds().stdout, "");
        before.assert_nothing_left();
    });
}

#[test]
fn a_volume_without_its_record_keeps_its_content() {
    host(|host| {
        let project = up(host);
        project.naru(["down", "-t", "0"]).succeeds();
        let record = host.root().join("volumes/shop_data/volume.json");
        fs_err::remove_file(&record).unwrap();
        check(host, &[]).exits_with(1).prints("shop_data");
        check(host, &["--repair"]).succeeds();
        assert!(record.exists());
        let file = host.root().join("volumes/shop_data/_data/file");
        assert_eq!(fs_err::read_to_string(file).unwrap(), "kept\n");
        project.naru(["up", "-d"]).succeeds();
        is_whole(&project);
    });
}

#[test]
fn a_rotten_layer_is_named_and_unpacked_again() {
    host(|host| {
        let layers = host.root().join("images/layers");
        let mut found = fs_err::read_dir(layers).unwrap().map(|entry| entry.unwrap().path());
        let layer = found.find(|path| path.join("bin").is_dir()).unwrap();
        fs_err::write(layer.join("bin/naru-check"), "rotten").unwrap();
        check(host, &[]).exits_with(1).prints("/bin/naru-check has another content");
        check(host, &["--repair"]).succeeds();
        let project = up(host);
        is_whole(&project);
        assert_eq!(check(host, &[]).succeeds().stdout, "");
    });
}
