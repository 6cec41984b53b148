//! Control groups as `naru-oci` uses them, on v1, v2 and both: every test holds on each. `cargo xtask vm` runs them
//! where v2 is all there is.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::bundle::Bundle;
use super::{groups, inside};

/// Control groups are v2 and nothing else.
fn only_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The file `v1` (with its controller) or `v2` of the container's group.
#[track_caller]
fn setting(bundle: &Bundle, v1: (&str, &str), v2: &str) -> String {
    let top = Path::new("/sys/fs/cgroup");
    let file = match only_v2() {
        true => top.join(bundle.group()).join(v2),
        false => top.join(v1.0).join(bundle.group()).join(v1.1),
    };
    fs_err::read_to_string(file).unwrap().trim().to_owned()
}

/// The directories of the container's group that there are.
fn present(bundle: &Bundle) -> Vec<PathBuf> {
    groups(bundle).into_iter().filter(|group| group.is_dir()).collect()
}

/// Major and minor number of a disk of this machine.
fn disk() -> (u64, u64) {
    let disks = fs_err::read_dir("/sys/block").unwrap();
    let numbers = disks.filter_map(|disk| {
        let path = disk.unwrap().path();
        // A loop device comes and goes.
        path.join("device").exists().then(|| fs_err::read_to_string(path.join("dev")).unwrap())
    });
    let numbers = numbers.min().expect("the machine has a disk");
    let (major, minor) = numbers.trim().split_once(':').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

#[test]
fn limits_of_processors_and_disks_are_set_and_changed() {
    inside(|| {
        let bundle = Bundle::new();
        let (major, minor) = disk();
        bundle.edit(|config| {
            config["linux"]["resources"]["cpu"] =
                json!({"quota": 50_000, "period": 100_000, "shares": 512, "cpus": "0"});
            config["linux"]["resources"]["blockIO"] = json!({
                "throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": 1_048_576}],
            });
        });
        bundle.oci(["run", "--detach", "c"]).succeeds();
        let quota = || setting(&bundle, ("cpu", "cpu.cfs_quota_us"), "cpu.max");
        let weight = || setting(&bundle, ("cpu", "cpu.shares"), "cpu.weight");
        let either = |v1: &str, v2: &str| if only_v2() { v2 } else { v1 }.to_owned();
        assert_eq!(quota(), either("50000", "50000 100000"));
        assert_eq!(weight(), either("512", "59"));
        assert_eq!(setting(&bundle, ("cpuset", "cpuset.cpus"), "cpuset.cpus"), "0");
        let throttle = ("blkio", "blkio.throttle.read_bps_device");
        assert_eq!(
            setting(&bundle, throttle, "io.max"),
            either(
                &format!("{major}:{minor} 1048576"),
                &format!("{major}:{minor} rbps=1048576 wbps=max riops=max wiops=max"),
            )
        );
        bundle.oci(["update", "--cpu-quota", "20000", "--cpu-share", "1024", "c"]).succeeds();
        assert_eq!((quota(), weight()), (either("20000", "20000 100000"), either("1024", "100")));
        bundle.oci(["update", "--cpu-quota", "-1", "c"]).succeeds();
        assert_eq!(quota(), either("-1", "max 100000"));
    });
}

#[test]
fn files_of_v2_are_set_by_their_names_and_refused_where_there_is_only_v1() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.edit(|config| {
            config["linux"]["resources"]["unified"] =
                json!({"pids.max": "33", "memory.high": "67108864"});
        });
        let done = bundle.oci(["run", "--detach", "c"]);
        if only_v2() {
            done.succeeds();
            let file = |name| setting(&bundle, ("", ""), name);
            assert_eq!((file("pids.max"), file("memory.high")), ("33".into(), "67108864".into()));
        } else {
            done.exits_with(1).says("linux.resources.unified");
        }
    });
}

#[test]
fn devices_are_those_that_are_listed_and_an_update_of_limits_changes_none() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.edit(|config| {
            for set in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][set] = json!(["CAP_MKNOD"]);
            }
            // A number that no driver has: opening it tells who said no.
            config["linux"]["resources"]["devices"] = json!([
                {"allow": false, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 2, "access": "r"},
            ]);
        });
        bundle.oci(["run", "--detach", "c"]).succeeds();
        let look = || {
            let open = |minor: u32| {
                let script = format!("mknod /tmp/d c 1 {minor}; head -c 1 /tmp/d; rm /tmp/d");
                bundle.oci(["exec", "c", "sh", "-c", &script]).stderr
            };
            let (listed, other) = (open(2), open(13));
            assert!(listed.contains("No such device or address"), "{listed}");
            assert!(other.contains("Operation not permitted"), "{other}");
        };
        look();
        bundle.oci(["update", "--memory", "64M", "--pids-limit", "50", "c"]).succeeds();
        look();
        let write = "mknod /tmp/d c 1 2; echo > /tmp/d";
        bundle.oci(["exec", "c", "sh", "-c", write]).says("Operation not permitted");
    });
}

#[test]
fn what_is_used_is_told_for_every_controller_and_with_the_kernels_pressure() {
    inside(|| {
        let bundle = Bundle::new();
        let counting = "for i in 1 2 3 4 5 6 7 8 9; do ls /bin >/dev/null; done; exec sleep 1000";
        bundle.script(counting);
        bundle.edit(|config| {
            config["linux"]["resources"]["memory"] = json!({"limit": 67_108_864});
            config["linux"]["resources"]["pids"] = json!({"limit": 20});
        });
        bundle.oci(["run", "--detach", "c"]).succeeds();
        let data: Value = naru_test::eventually("it has done its work", || {
            let event = bundle.oci(["events", "--stats", "c"]).succeeds().json().remove(0);
            match event["data"]["pids"]["current"].as_u64() {
                Some(1) => Ok(event["data"].clone()),
                _ => Err(event.to_string()),
            }
        });
        let number = |place: &str| data.pointer(place).and_then(Value::as_u64).unwrap_or(0);
        assert!(number("/cpu/usage/total") > 0 && number("/memory/usage/usage") > 0, "{data}");
        assert_eq!((number("/memory/usage/limit"), number("/pids/limit")), (67_108_864, 20));
        let has_pressure = present(&bundle).iter().any(|group| group.join("cpu.pressure").exists());
        for resource in ["cpu", "memory", "blkio"] {
            assert_eq!(!data[resource]["psi"]["some"].is_null(), has_pressure, "{data}");
        }
        assert!(has_pressure || !only_v2(), "the machine was not started with psi=1");
    });
}

#[test]
fn a_kill_of_all_reaches_groups_below_the_containers() {
    inside(|| {
        let bundle = Bundle::new();
        // Without a pid namespace of its own nothing ends with the first process.
        bundle.edit(|config| {
            let list = config["linux"]["namespaces"].as_array_mut().unwrap();
            list.retain(|namespace| namespace["type"] != "pid");
        });
        bundle.oci(["run", "--detach", "c"]).succeeds();
        let below: Vec<_> = present(&bundle)
            .into_iter()
            .filter(|group| only_v2() || group.starts_with("/sys/fs/cgroup/pids"))
            .map(|group| group.join("below"))
            .collect();
        below.iter().for_each(|group| fs_err::create_dir(group).unwrap());
        let choice = if only_v2() { "below" } else { "pids:below" };
        let words = ["exec", "--detach", "--cgroup", choice, "c", "sleep", "1000"];
        bundle.oci(words).succeeds();
        let alive = || -> usize {
            let listed = below.iter().map(|group| group.join("cgroup.procs"));
            listed.map(|file| fs_err::read_to_string(file).unwrap().lines().count()).sum()
        };
        assert_eq!(alive(), 1);
        bundle.oci(["kill", "--all", "c", "KILL"]).succeeds();
        bundle.until("c", "stopped");
        naru_test::eventually("nothing is left", || match alive() {
            0 => Ok(()),
            left => Err(format!("{left} processes")),
        });
        bundle.oci(["delete", "c"]).succeeds();
        assert_eq!(present(&bundle), Vec::<PathBuf>::new());
    });
}

#[test]
fn a_group_of_v2_that_the_container_may_write_is_its_users() {
    use std::os::unix::fs::MetadataExt as _;
    inside(|| {
        for (option, inherited, given) in
            [("ro", false, false), ("rw", false, true), ("rw", true, false)]
        {
            let bundle = Bundle::new();
            bundle.edit(|config| {
                let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
                config["linux"]["uidMappings"] = map.clone();
                config["linux"]["gidMappings"] = map;
                let list = config["linux"]["namespaces"].as_array_mut().unwrap();
                list.push(json!({"type": "user"}));
                list.retain(|namespace| !(inherited && namespace["type"] == "cgroup"));
                for mount in config["mounts"].as_array_mut().unwrap() {
                    if mount["type"] == "cgroup" {
                        mount["options"] = json!(["nosuid", "noexec", "nodev", option]);
                    }
                }
            });
            bundle.oci(["run", "--detach", "c"]).succeeds();
            let owners = |file: &str| -> Vec<u32> {
                let files = present(&bundle).into_iter().map(|group| group.join(file));
                files.filter_map(|file| Some(fs_err::metadata(file).ok()?.uid())).collect()
            };
            let owner = if given && only_v2() { 100_000 } else { 0 };
            for file in ["", "cgroup.procs"] {
                assert!(owners(file).iter().all(|uid| *uid == owner), "{option} {inherited}");
            }
            // What limits the container stays root's.
            assert!(owners("pids.max").iter().all(|uid| *uid == 0));
            if owner != 0 {
                let script = "cd /sys/fs/cgroup && mkdir own && echo $$ >own/cgroup.procs && \
                    grep -q /own /proc/self/cgroup && ! echo 99 2>/dev/null >pids.max";
                bundle.oci(["exec", "c", "sh", "-c", script]).succeeds();
            }
        }
    });
}
