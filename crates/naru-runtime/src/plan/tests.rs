//! Plans as text, and what is refused.

use oci_spec::runtime::Spec;

use super::{Hierarchy, RootSource, container_plan};
use crate::profile::default_spec;

fn hierarchies() -> Vec<Hierarchy> {
    let hierarchy = |name: &str, controllers: &[&str]| Hierarchy {
        name: name.to_owned(),
        controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
        group: format!("/sys/fs/cgroup/{name}/one").into(),
    };
    vec![hierarchy("memory", &["memory"]), hierarchy("unified", &[])]
}

fn plan(spec: &Spec) -> Result<super::ContainerPlan, crate::Error> {
    let cgroups = (Vec::new(), &hierarchies()[..]);
    container_plan(spec, RootSource::Mount(0), cgroups, None).map(|(plan, _)| plan)
}

fn mounts(spec: &Spec) -> String {
    let plan = plan(spec).unwrap();
    plan.mounts.iter().map(|mount| format!("{mount}\n")).collect()
}

/// The default specification with these top-level fields replaced.
fn with(fields: serde_json::Value) -> Spec {
    let mut spec = serde_json::to_value(default_spec()).unwrap();
    merge(&mut spec, fields);
    serde_json::from_value(spec).unwrap()
}

fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
    match (into, from) {
        (serde_json::Value::Object(into), serde_json::Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(serde_json::Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

#[test]
fn the_default_mounts_are_dockers() {
    insta::assert_snapshot!(mounts(&default_spec()), @r"
    proc on /proc set=0xe clear=0x0
    tmpfs on /dev set=0xa clear=0x0 atime=Strict mode=755 size=65536k
    devpts on /dev/pts set=0xa clear=0x0 newinstance ptmxmode=0666 mode=0620 gid=5
    sysfs on /sys set=0xf clear=0x0
    cgroup [memory unified] on /sys/fs/cgroup set=0xf clear=0x0 atime=Relative
    mqueue on /dev/mqueue set=0xe clear=0x0
    tmpfs on /dev/shm set=0xe clear=0x0 mode=1777 size=67108864
    ");
}

#[test]
fn binds_and_volumes_keep_their_options() {
    let spec = with(serde_json::json!({"mounts": [
        {"destination": "/data/./x", "source": "/srv/data", "options": ["rbind", "rro", "nosuid"]},
        {"destination": "/etc/hosts", "type": "bind", "source": "/run/hosts", "options": ["bind"]},
    ]}));
    insta::assert_snapshot!(mounts(&spec), @r"
    rbind /srv/data on /data/x set=0x2 clear=0x0 below: set=0x1 clear=0x0
    bind /run/hosts on /etc/hosts set=0x0 clear=0x0
    ");
}

#[test]
fn the_six_devices_are_always_there() {
    let devices = plan(&default_spec()).unwrap().devices;
    let text: Vec<String> = devices
        .iter()
        .map(|device| format!("{} {}:{}", device.path.display(), device.major, device.minor))
        .collect();
    let expected = ["/dev/null 1:3", "/dev/zero 1:5", "/dev/full 1:7", "/dev/random 1:8"];
    assert_eq!(text[..4], expected);
    assert_eq!(text.len(), 6);
}

#[test]
fn what_is_not_supported_is_refused_by_its_name() {
    let namespace = |kind: &str| serde_json::json!({"linux": {"namespaces": [{"type": kind}]}});
    let mount = |mount: serde_json::Value| serde_json::json!({"mounts": [mount]});
    let cases = [
        (namespace("user"), "`linux.namespaces` is invalid: a user namespace needs a mount"),
        (
            serde_json::json!({"linux": {"sysctl": {"kernel.hostname": "x"}}}),
            "`linux.sysctl` is invalid: kernel.hostname is what `hostname` is for",
        ),
        (
            mount(serde_json::json!({"destination": "/a", "source": "/b",
                "options": ["bind", "readonly"]})),
            "`mounts[0].options` is not supported: readonly",
        ),
        (serde_json::json!({"linux": {"intelRdt": {}}}), "`linux.intelRdt` is not supported"),
        (
            serde_json::json!({"linux": {"sysctl": {"vm.swappiness": "1"}}}),
            "`linux.sysctl` is not supported: vm.swappiness",
        ),
        (
            serde_json::json!({"process": {"oomScoreAdj": 1001}}),
            "`process.oomScoreAdj` is invalid: it is not from -1000 to 1000",
        ),
        (
            serde_json::json!({"process": {"scheduler": {"policy": "SCHED_OTHER", "priority": 5}}}),
            "`process.scheduler.priority` is invalid: only SCHED_FIFO and SCHED_RR have one",
        ),
        (
            serde_json::json!({"process": {"ioPriority": {"class": "IOPRIO_CLASS_BE",
                "priority": 8}}}),
            "`process.ioPriority.priority` is invalid: it is not from 0 to 7",
        ),
        (
            serde_json::json!({"linux": {"personality": {"domain": "LINUX", "flags": ["X"]}}}),
            "`linux.personality.flags` is not supported: X",
        ),
        (serde_json::json!({"process": {"cwd": "x"}}), "`process.cwd` is invalid: x is not"),
        (
            mount(serde_json::json!({"destination": "/a/../b", "type": "tmpfs"})),
            "`mounts[0].destination` is invalid: it contains `..`",
        ),
        (
            mount(serde_json::json!({"destination": "/proc/x", "type": "tmpfs"})),
            "`mounts[0].destination` is invalid: /proc/x is inside /proc",
        ),
        (
            mount(serde_json::json!({"destination": "/a", "source": "/b",
                "options": ["remount", "sync"]})),
            "`mounts[0].options` is not supported: sync",
        ),
        (
            mount(serde_json::json!({"destination": "/a", "source": "/b",
                "options": ["bind", "sync"]})),
            "`mounts[0].options` is not supported: sync",
        ),
        (
            serde_json::json!({"linux": {"rootfsPropagation": "public"}}),
            "`linux.rootfsPropagation` is invalid: public is unknown",
        ),
        (
            mount(serde_json::json!({"destination": "/a", "source": "b", "options": ["bind"]})),
            "`mounts[0].source` is invalid: b is not an absolute path",
        ),
    ];
    for (fields, expected) in cases {
        let error = plan(&with(fields)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_parameter_needs_the_namespace_it_belongs_to() {
    let spec = with(serde_json::json!({"linux": {"namespaces": [{"type": "mount"}]},
        "hostname": null}));
    let error = plan(&spec).unwrap_err().to_string();
    assert!(error.contains("would change the host"), "{error}");
}
