//! What is mounted where, with which options.

use super::super::{FileMount, MadeFiles, VolumeMount, anonymous_volumes};
use super::*;

/// One line per mount besides the standard ones: target, kind or source, options.
fn lines(case: &Case) -> Vec<String> {
    let mounts = case.part("/mounts");
    let line = |mount: &Value| {
        let text = |key: &str| mount[key].as_str().unwrap_or_default().to_owned();
        let options: Vec<&str> =
            mount["options"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        format!("{} {} {}", text("destination"), text("source"), options.join(","))
    };
    let standard = ["proc", "devpts", "sysfs", "cgroup", "mqueue"];
    let all = mounts.as_array().unwrap().iter();
    let own =
        all.filter(|m| !standard.iter().any(|s| m["source"] == *s) && m["destination"] != "/dev");
    own.map(line).filter(|line| !line.starts_with("/dev/shm tmpfs")).collect()
}

fn volume(target: &str) -> VolumeMount {
    VolumeMount { target: target.to_owned(), source: format!("/volumes{target}").into() }
}

#[test]
fn binds_have_dockers_options() {
    let bind = |target: &str, more: Value| {
        let mut mount = json!({"type": "bind", "source": "/src", "target": target});
        mount.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        mount
    };
    let case = Case::new(json!({"volumes": [
        bind("/a", json!({})),
        bind("/b", json!({"read_only": true})),
        bind("/c", json!({"read_only": true, "bind": {"recursive": "writable"}})),
        bind("/d", json!({"read_only": true, "bind": {"recursive": "disabled"}})),
        bind("/e", json!({"bind": {"propagation": "rslave"}}))
    ]}));
    assert_eq!(
        lines(&case),
        [
            "/a /src rbind,rprivate",
            "/b /src rbind,rprivate,rro",
            "/c /src rbind,rprivate,ro",
            "/d /src bind,rprivate,ro",
            "/e /src rbind,rslave"
        ]
    );
}

#[test]
fn volumes_and_files_come_from_what_was_prepared_parents_first() {
    let mut case = Case::new(json!({"volumes": [
        {"type": "volume", "source": "deep", "target": "/data/deep/", "read_only": true},
        {"type": "volume", "source": "data", "target": "/data"}
    ]}));
    case.prepared.volumes = vec![volume("/data/deep"), volume("/data"), volume("/anonymous")];
    case.prepared.files =
        vec![FileMount { target: "/run/secrets/key".to_owned(), source: "/host/key".into() }];
    case.prepared.made = Some(MadeFiles {
        hosts: "/run/hosts".into(),
        hostname: "/run/hostname".into(),
        resolv_conf: "/run/resolv".into(),
    });
    assert_eq!(
        lines(&case),
        [
            "/anonymous /volumes/anonymous rbind,rprivate",
            "/data /volumes/data rbind,rprivate",
            "/data/deep /volumes/data/deep rbind,rprivate,ro",
            "/etc/hostname /run/hostname rbind,rprivate",
            "/etc/hosts /run/hosts rbind,rprivate",
            "/etc/resolv.conf /run/resolv rbind,rprivate",
            "/run/secrets/key /host/key rbind,rprivate,ro"
        ]
    );
}

#[test]
fn a_volume_that_was_not_prepared_is_an_error() {
    let (attribute, text) =
        error(json!({"volumes": [{"type": "volume", "source": "x", "target": "/x"}]}));
    assert_eq!(
        (attribute.as_str(), text.as_str()),
        ("volumes", "volumes: the volume for /x was not prepared")
    );
}

#[test]
fn the_files_own_mounts_take_the_place_of_narus_and_of_the_standard_ones() {
    let mut case = Case::new(json!({"volumes": [
        {"type": "bind", "source": "/my/hosts", "target": "/etc/hosts"},
        {"type": "bind", "source": "/my/shm", "target": "/dev/shm"}
    ]}));
    case.prepared.made = Some(MadeFiles {
        hosts: "/run/hosts".into(),
        hostname: "/run/hostname".into(),
        resolv_conf: "/run/resolv".into(),
    });
    let lines = lines(&case);
    assert!(lines.contains(&"/etc/hosts /my/hosts rbind,rprivate".to_owned()));
    assert!(!lines.iter().any(|line| line.contains("/run/hosts")));
    let mounts = case.part("/mounts");
    let shm = mounts.as_array().unwrap().iter().filter(|m| m["destination"] == "/dev/shm");
    assert_eq!(shm.map(|m| m["source"].clone()).collect::<Vec<_>>(), [json!("/my/shm")]);
}

#[test]
fn tmpfs_has_dockers_defaults_and_the_files_options() {
    let case = Case::new(json!({
        "tmpfs": ["/run", "/cache:size=64m,mode=1777,exec"],
        "volumes": [{"type": "tmpfs", "target": "/tmp", "tmpfs": {"size": 1024, "mode": 448}}]
    }));
    assert_eq!(
        lines(&case),
        [
            "/cache tmpfs noexec,nosuid,nodev,size=64m,mode=1777,exec",
            "/run tmpfs noexec,nosuid,nodev",
            "/tmp tmpfs noexec,nosuid,nodev,size=1024,mode=700"
        ]
    );
    assert_eq!(error(json!({"tmpfs": ["/x:colour=red"]})).0, "tmpfs");
}

#[test]
fn shared_memory_has_the_size_asked_for() {
    let shm = |service| {
        let mounts = part(service, "/mounts");
        let found = mounts.as_array().unwrap().iter().find(|m| m["destination"] == "/dev/shm");
        found.unwrap()["options"].as_array().unwrap().last().unwrap().clone()
    };
    assert_eq!(shm(json!({})), json!("size=67108864"));
    assert_eq!(shm(json!({"shm_size": "128m"})), json!("size=134217728"));
    assert_eq!(shm(json!({"ipc": "host"})), json!("rprivate"));
}

#[test]
fn a_read_only_root_is_asked_for() {
    assert_eq!(part(json!({"read_only": true}), "/root/readonly"), json!(true));
    assert_eq!(part(json!({}), "/root/readonly"), json!(false));
}

#[test]
fn an_images_volumes_that_nothing_covers_are_anonymous() {
    let case = Case::with_image(
        json!({"tmpfs": ["/t:size=1m"], "volumes": [{"type": "bind", "source": "/s", "target": "/b/"}]}),
        json!({"Cmd": ["x"], "Volumes": {"/data": {}, "/b": {}, "/t": {}, "/../../etc/./x/": {}, "/": {}}}),
    );
    assert_eq!(anonymous_volumes(&case.service, &case.image()), ["/data", "/etc/x"]);
    assert_eq!(case.build().unwrap_err().attribute(), "image", "VOLUME / cannot be mounted");
}
