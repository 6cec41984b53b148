//! Power cuts: the file system under `NARU_ROOT` is shut down at any moment without writing anything more, as when the
//! machine loses its power, and mounted again. What a command has answered is there; what it has not is not half there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use naru_test::{Project, RootTar, TestHost, eventually, power_cut};

use super::survival::load::Rng;

const FILE: &str = "
services:
  web: {image: test, restart: always, volumes: [data:/data]}
  other: {image: test, depends_on: [web], environment: {ROUND: '${ROUND}'}}
volumes: {data: {}}
";

/// A disk that can lose its power.
struct Disk {
    image: PathBuf,
    place: PathBuf,
}

impl Disk {
    fn new(host: &TestHost) -> Self {
        let image = host.run().with_file_name("disk.img");
        let file = fs_err::File::create(&image).unwrap();
        file.set_len(96 << 20).unwrap();
        run("mkfs.ext4", &["-q", "-F", path(&image)]);
        let disk = Self { image, place: host.root() };
        disk.mount();
        disk
    }

    /// The journal is replayed.
    fn mount(&self) {
        run("mount", &["-t", "ext4", "-o", "loop", path(&self.image), path(&self.place)]);
    }

    fn cut(&self, host: &TestHost, under_way: Option<std::process::Child>) {
        power_cut(&self.place);
        if let Some(mut command) = under_way {
            command.kill().unwrap();
            command.wait().unwrap();
        }
        host.reboot();
        // Mounts of containers that were killed go with their namespaces, a moment later.
        eventually("it is unmounted", || {
            let status = Command::new("umount").arg(&self.place).status().unwrap();
            if status.success() { Ok(()) } else { Err("it is busy".to_owned()) }
        });
        self.mount();
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status();
    assert!(status.unwrap().success(), "{program} {arguments:?}");
}

fn cuts() -> u64 {
    std::env::var("NARU_SOAK_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(6)
}

/// What the commands that were answered have made.
fn is_there(project: &Project<'_>, round: &str) {
    let listed = project.naru(["ps", "-a", "--format", "json"]).succeeds().json();
    let mut services: Vec<_> = listed.iter().map(|one| one["Service"].clone()).collect();
    services.sort_by_key(ToString::to_string);
    assert_eq!(services, ["other", "web"], "after {round}");
    assert!(listed.iter().all(|one| one["State"] == "exited"), "after {round}: {listed:?}");
}

#[test]
fn after_a_power_cut_what_was_answered_is_there_and_up_converges() {
    naru_test::host(env!("CARGO_BIN_EXE_naru"), |host| {
        let disk = Disk::new(host);
        host.import("test", RootTar::new().busybox(), &["CMD [\"sleep\", \"1000\"]"]);
        let mut rng = Rng::new();
        for cut in 0..cuts() {
            let round = cut.to_string();
            let project = host.project("shop").file("compose.yaml", FILE).variable("ROUND", &round);
            if cut % 2 == 0 {
                // An `up` that is answered.
                project.naru(["up", "-d"]).succeeds();
                disk.cut(host, None);
                is_there(&project, &round);
            } else {
                // One that may be anywhere, as may the `down` after it.
                let mut both = Command::new("sh");
                both.args(["-c", "\"$0\" up -d && \"$0\" down -t 0", env!("CARGO_BIN_EXE_naru")]);
                let template = project.command(["up"]);
                both.current_dir(project.folder()).env_clear();
                let set = template.get_envs().filter_map(|(name, value)| Some((name, value?)));
                both.envs(set)
                    .stdout(std::process::Stdio::null())
                    .stderr(std::process::Stdio::null());
                let child = both.spawn().unwrap();
                std::thread::sleep(Duration::from_millis(rng.below(600)));
                disk.cut(host, Some(child));
            }
            project.naru(["up", "-d"]).succeeds();
            let again = project.naru(["up", "-d"]).succeeds();
            assert!(!again.stderr.contains("Creat"), "{again}");
            let running = project.naru(["ps", "--format", "json"]).succeeds().json();
            assert_eq!(running.len(), 2, "after {round}: {running:?}");
            host.naru(["system", "check"]).succeeds();
            if cut % 3 == 2 {
                project.naru(["down", "-t", "0"]).succeeds();
            }
        }
        host.project("shop").variable("ROUND", "").naru(["down", "-v", "-t", "0"]).succeeds();
        run("umount", &["-l", path(&disk.place)]);
    });
}
