//! What a process of a container has when it begins: rights, environment, directory, processors, hooks.

use std::path::Path;

use serde_json::json;

use super::bundle::Bundle;
use super::inside;

#[test]
fn of_a_variable_that_is_set_twice_the_later_one_is_set_and_an_empty_home_is_replaced() {
    inside(|| {
        let bundle = Bundle::running(&["env"]);
        bundle.edit(|config| {
            config["process"]["env"] = json!(["HOME=/x", "A=1", "HOME=", "PATH=/bin", "A=2"]);
        });
        let said = bundle.oci(["run", "c"]).succeeds().stdout;
        assert_eq!(said, "PATH=/bin\nA=2\nHOME=/root\n");
    });
}

#[test]
fn a_working_directory_that_only_root_may_enter_is_entered() {
    inside(|| {
        let bundle = Bundle::running(&["cat", "/proc/self/comm"]);
        let closed = bundle.rootfs().join("closed");
        fs_err::create_dir(&closed).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs_err::set_permissions(&closed, mode).unwrap();
        bundle.edit(|config| {
            config["process"]["cwd"] = json!("/closed");
            config["process"]["user"] = json!({"uid": 42, "gid": 42});
        });
        bundle.oci(["run", "c"]).succeeds();
    });
}

#[test]
fn a_command_is_looked_for_with_the_capabilities_of_its_process() {
    inside(|| {
        let bundle = Bundle::running(&["/bin/tool"]);
        let tool = bundle.rootfs().join("bin/tool");
        fs_err::write(&tool, "#!/bin/sh\necho tool\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o744);
        fs_err::set_permissions(&tool, mode).unwrap();
        bundle.edit(|config| config["process"]["user"] = json!({"uid": 42, "gid": 42}));
        bundle.oci(["run", "c"]).exits_with(1).says("permission denied");
        bundle.edit(|config| {
            for set in ["bounding", "permitted", "effective", "inheritable", "ambient"] {
                config["process"]["capabilities"][set] = json!(["CAP_DAC_OVERRIDE"]);
            }
        });
        bundle.oci(["run", "c"]).succeeds();
    });
}

#[test]
fn a_capability_that_cannot_be_ambient_is_a_warning() {
    inside(|| {
        let bundle = Bundle::running(&["grep", "Cap[IA]", "/proc/self/status"]);
        bundle.edit(|config| {
            config["process"]["capabilities"]["inheritable"] = json!(["CAP_KILL"]);
            config["process"]["capabilities"]["ambient"] = json!(["CAP_KILL", "CAP_CHOWN"]);
        });
        let done = bundle.oci(["run", "c"]).succeeds();
        assert!(done.stdout.contains("CapAmb:\t0000000000000020"), "{done}");
        assert!(done.stderr.contains("can't raise ambient capability CAP_CHOWN: "), "{done}");
    });
}

#[test]
fn a_further_process_gains_no_privileges_where_the_first_cannot_and_may_be_told_otherwise() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.oci(["run", "--detach", "c"]).succeeds();
        let look = |flags: &[&str]| {
            let words = [&["exec"], flags, &["c", "grep", "NoNewPrivs", "/proc/self/status"]];
            bundle.oci(words.concat()).succeeds().stdout
        };
        assert_eq!(look(&[]), "NoNewPrivs:\t1\n");
        assert_eq!(look(&["--no-new-privs=false"]), "NoNewPrivs:\t0\n");
        assert_eq!(look(&["--no-new-privs"]), "NoNewPrivs:\t1\n");
    });
}

#[test]
fn the_callers_processors_are_not_the_containers() {
    inside(|| {
        let bundle = Bundle::running(&["grep", "Cpus_allowed:", "/proc/self/status"]);
        let all = bundle.oci(["run", "c"]).succeeds().stdout;
        let online = std::thread::available_parallelism().unwrap().get();
        let mut one = rustix::thread::CpuSet::new();
        one.set(0);
        rustix::thread::sched_setaffinity(None, &one).unwrap();
        assert_eq!(bundle.oci(["run", "c"]).succeeds().stdout, all);
        bundle.args(&["sleep", "1000"]);
        bundle.oci(["run", "--detach", "d"]).succeeds();
        let further = ["exec", "d", "grep", "Cpus_allowed:", "/proc/self/status"];
        assert_eq!(bundle.oci(further).succeeds().stdout, all);
        assert!(online == 1 || !all.ends_with(":\t1\n"), "{all}");
    });
}

#[test]
fn hooks_in_the_container_have_its_environment_and_the_one_before_them_its_root_as_directory() {
    inside(|| {
        let bundle = Bundle::running(&["cat", "/from-hook"]);
        let shell = |script: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
        bundle.edit(|config| {
            config["process"]["env"] = json!(["PATH=/bin", "ONE=two"]);
            config["hooks"] = json!({
                "createContainer": shell("echo before > ./from-hook"),
                "startContainer": shell("echo $ONE >> /from-hook"),
            });
        });
        assert_eq!(bundle.oci(["run", "c"]).succeeds().stdout, "before\ntwo\n");
        bundle.edit(|config| {
            config["hooks"]["startContainer"] = json!([
                {"path": "/bin/busybox", "args": ["cat", "/it's missing"], "env": ["A=1"]}
            ]);
        });
        bundle.oci(["run", "c"]).exits_with(1).says("/it's missing");
    });
}

#[test]
fn a_further_process_runs_in_groups_below_the_containers() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.oci(["run", "--detach", "c"]).succeeds();
        let look = |groups: &[&str]| {
            let words = [&["exec"], groups, &["c", "cat", "/proc/self/cgroup"]];
            bundle.oci(words.concat())
        };
        look(&["--cgroup", ".."]).exits_with(255).says(" .. is not a sub cgroup path");
        look(&["--cgroup", "missing"]).exits_with(255).says("/missing/cgroup.procs: no such file");
        look(&["--cgroup", "what:/"]).exits_with(255).says("unknown controller what");
        look(&["--cgroup", "a", "--cgroup", "b"]).exits_with(255).says("no controller before it");
        look(&["--cgroup", "/"]).succeeds();
        // Of v1 only one that needs no values of its own; on v2 alone there is one for all.
        let groups: Vec<_> =
            super::groups(&bundle).into_iter().filter(|one| one.exists()).collect();
        let v1 = groups.iter().find(|group| group.starts_with("/sys/fs/cgroup/pids"));
        let (choice, group) = v1.map_or(("below", &groups[0]), |group| ("pids:below", group));
        fs_err::create_dir(group.join("below")).unwrap();
        let said = look(&["--cgroup", choice]).succeeds().stdout;
        assert_eq!(said.lines().filter(|line| line.ends_with("/below")).count(), 1, "{said}");
        bundle.oci(["delete", "--force", "c"]).succeeds();
        assert!(!groups.iter().any(|group| group.exists()));
    });
}

#[test]
fn a_frozen_group_takes_no_container() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.oci(["run", "--detach", "c"]).succeeds();
        bundle.oci(["pause", "c"]).succeeds();
        bundle.oci(["exec", "c", "true"]).exits_with(255).says("exec in a paused container");
        bundle.oci(["delete", "--force", "c"]).succeeds();
        let v1 = Path::new("/sys/fs/cgroup/freezer");
        let (place, file, value) = match v1.exists() {
            true => (v1, "freezer.state", "FROZEN"),
            false => (Path::new("/sys/fs/cgroup"), "cgroup.freeze", "1"),
        };
        let group = place.join(bundle.group());
        fs_err::create_dir(&group).unwrap();
        fs_err::write(group.join(file), value).unwrap();
        for verb in ["run", "create"] {
            let done = bundle.oci([verb, "c"]).exits_with(1);
            done.says("container's cgroup unexpectedly frozen");
        }
        fs_err::remove_dir(&group).unwrap();
    });
}
