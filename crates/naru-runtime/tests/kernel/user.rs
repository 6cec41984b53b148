//! User namespaces, and mounts whose ids are mapped.

use std::os::unix::fs::MetadataExt;

use naru_runtime::{ExitStatus, Process};
use serde_json::json;

use crate::bundle::{Bundle, Output, bind, chain, end, field, mount};

crate::tests![
    ids_are_mapped,
    roots_capabilities_are_those_of_the_specification,
    what_the_container_makes_belongs_to_its_root,
    all_standard_mounts_and_devices_are_there,
    the_hosts_network_shows_the_hosts_sys,
    a_further_process_has_the_containers_ids,
    a_terminal_belongs_to_the_user,
    limits_are_set_with_the_rights_of_the_host,
    a_bind_mount_from_a_folder_of_another_user_works,
    a_user_namespace_is_joined_by_path_with_all_others,
    the_maps_of_a_joined_namespace_have_to_be_those_of_the_specification,
    a_new_user_namespace_goes_with_a_network_of_the_host,
    a_user_namespace_needs_maps_and_maps_need_it,
    maps_that_overlap_are_refused,
    an_id_that_is_not_mapped_cannot_be_the_user,
    a_mount_has_ids_of_its_own,
    a_mount_has_the_ids_of_the_container,
    what_is_bound_from_inside_the_container_has_its_ids_too,
    only_bind_mounts_have_ids,
    a_listed_device_has_its_mode_and_its_owner,
    the_limit_of_the_stack_is_not_lost_while_the_process_begins,
];

const FIRST: u32 = 300_000;

fn mapped(arguments: &[&str]) -> Bundle {
    let mut bundle = Bundle::new(arguments);
    bundle.user_namespace(FIRST);
    bundle
}

fn check_further(bundle: &Bundle, container: &Process, arguments: &[&str]) -> String {
    let output = Output::new();
    let process = bundle.exec(container, &bundle.further(arguments), &output).unwrap();
    assert_eq!(process.wait().unwrap(), ExitStatus::Exited(0));
    output.read()
}

fn ids_are_mapped() {
    let bundle =
        mapped(&["id", "+", "cat", "/proc/self/uid_map", "+", "cat", "/proc/self/gid_map"]);
    let words: Vec<String> = bundle.check().split_whitespace().map(str::to_owned).collect();
    let first = FIRST.to_string();
    let map = ["0", &first, "65536"];
    assert_eq!(words[..3], ["0:0", "[]", "0022"]);
    assert_eq!(words[3..], [map, map].concat());

    let running = mapped(&["forever"]);
    let process = running.start(&Output::new()).unwrap();
    let status = fs_err::read_to_string(format!("/proc/{}/status", process.pid)).unwrap();
    for name in ["Uid", "Gid"] {
        let ids: Vec<&str> = field(&status, name).split_whitespace().collect();
        assert_eq!(ids, [first.as_str(); 4]);
    }
    end(&process);
}

fn roots_capabilities_are_those_of_the_specification() {
    let status = mapped(&["status"]).check();
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(field(&status, set), "00000000a80425fb", "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
    assert_eq!(field(&status, "Seccomp"), "2");
    let mut other = mapped(&["status"]);
    other.configure(json!({"process": {"user": {"uid": 1000, "gid": 1001}}}));
    let status = other.check();
    assert_eq!(field(&status, "CapEff"), "0000000000000000");
    assert_eq!(field(&status, "CapAmb"), "0000000000000000");
    assert_eq!(field(&status, "Seccomp"), "2");
}

fn what_the_container_makes_belongs_to_its_root() {
    let mut bundle = mapped(&["create", "/made", "+", "stat", "/etc/marker"]);
    bundle.configure(json!({"process": {"cwd": "/work/inside"}}));
    assert_eq!(bundle.check(), "ok\n\nfile 644 0:0 0:0\n");
    for path in ["made", "work/inside", "proc", "dev"] {
        let found = fs_err::symlink_metadata(bundle.root.join(path)).unwrap();
        assert_eq!((found.uid(), found.gid()), (FIRST, FIRST), "{path}");
    }
}

fn all_standard_mounts_and_devices_are_there() {
    let seen = mapped(&["cat", "/proc/self/mountinfo"]).check();
    for (target, kind) in [
        ("/proc", "proc"),
        ("/dev", "tmpfs"),
        ("/dev/pts", "devpts"),
        ("/sys", "sysfs"),
        ("/dev/mqueue", "mqueue"),
        ("/dev/shm", "tmpfs"),
    ] {
        let is_it = |line: &&str| {
            line.contains(&format!(" {target} ")) && line.contains(&format!(" - {kind} "))
        };
        assert!(seen.lines().any(|line| is_it(&line)), "{target}:\n{seen}");
    }
    for (name, numbers) in [("null", "1:3"), ("urandom", "1:9"), ("tty", "5:0")] {
        let seen = mapped(&["stat", &format!("/dev/{name}")]).check();
        assert!(seen.starts_with("char 666 65534:65534 ") && seen.contains(numbers), "{seen}");
    }
    assert_eq!(mapped(&["write", "/dev/null", "x"]).check(), "ok\n");
    assert_eq!(mapped(&["stat", "/proc/interrupts"]).check(), "char 666 65534:65534 1:3\n");
}

fn the_hosts_network_shows_the_hosts_sys() {
    let mut bundle = mapped(&["ls", "/sys/class/net", "+", "create", "/sys/x"]);
    bundle.without_namespace("network").configure(json!({"linux": {"sysctl": null}}));
    let seen = bundle.check();
    assert!(seen.contains("lo") && seen.ends_with("errno 30\n"), "{seen}");
}

fn a_further_process_has_the_containers_ids() {
    let bundle = mapped(&["forever"]);
    let container = bundle.start(&Output::new()).unwrap();
    let seen = check_further(&bundle, &container, &["id", "+", "status", "+", "create", "/more"]);
    assert!(seen.starts_with("0:0 [] 0022\n"), "{seen}");
    assert!(seen.ends_with("ok\n"), "{seen}");
    assert_eq!(field(&seen, "CapEff"), "00000000a80425fb");
    assert_eq!(field(&seen, "CapBnd"), "00000000a80425fb");
    let made = fs_err::symlink_metadata(bundle.root.join("more")).unwrap();
    assert_eq!(made.uid(), FIRST);
    end(&container);
}

fn a_terminal_belongs_to_the_user() {
    let mut bundle = mapped(&["stat", "/dev/pts/0", "+", "stat", "/dev/console"]);
    bundle.configure(json!({"process": {"terminal": true, "user": {"uid": 7, "gid": 8}}}));
    let mut process = bundle.start(&Output::new()).unwrap();
    let master = process.terminal.take().unwrap();
    process.wait().unwrap();
    let seen = crate::terminal::read(master);
    assert_eq!(seen, "char 620 7:5 136:0\n\nchar 620 7:5 136:0\n");

    let container = mapped(&["forever"]);
    let running = container.start(&Output::new()).unwrap();
    let mut further = container.further(&["stat", "/dev/pts/0"]);
    further.set_terminal(Some(true));
    let mut process = container.exec(&running, &further, &Output::new()).unwrap();
    let master = process.terminal.take().unwrap();
    process.wait().unwrap();
    assert_eq!(crate::terminal::read(master), "char 620 0:5 136:0\n");
    end(&running);
}

fn limits_are_set_with_the_rights_of_the_host() {
    let mut bundle = mapped(&["limit", "+", "cat", "/proc/self/oom_score_adj"]);
    bundle.configure(json!({"process": {"oomScoreAdj": 777,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 90, "hard": 95}]}}));
    assert_eq!(bundle.check(), "Rlimit { current: Some(90), maximum: Some(95) }\n\n777\n");
}

fn a_bind_mount_from_a_folder_of_another_user_works() {
    use std::os::unix::fs::PermissionsExt;
    let source = Bundle::new(&[]);
    let folder = source.root.join("private");
    fs_err::create_dir(&folder).unwrap();
    fs_err::write(folder.join("file"), "content").unwrap();
    std::os::unix::fs::chown(&folder, Some(4321), Some(4321)).unwrap();
    fs_err::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut bundle = mapped(&["cat", "/file"]);
    bundle.mount(bind(folder.join("file"), "/file", &["bind", "ro"]));
    assert_eq!(bundle.check(), "content\n");
}

fn a_user_namespace_is_joined_by_path_with_all_others() {
    let first = mapped(&["forever"]);
    let running = first.start(&Output::new()).unwrap();
    let mut second = mapped(&["id", "+", "link", "/proc/self/ns/user", "+", "create", "/made"]);
    second.configure(json!({"hostname": null}));
    let kinds =
        [("user", "user"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")];
    for (kind, name) in kinds {
        second.namespace(kind, Some(&format!("/proc/{}/ns/{name}", running.pid)));
    }
    let link = fs_err::read_link(format!("/proc/{}/ns/user", running.pid)).unwrap();
    let expected = format!("0:0 [] 0022\n\n{}\n\nok\n", link.display());
    assert_eq!(second.check(), expected);
    second.configure(json!({"linux": {"uidMappings": null, "gidMappings": null}}));
    assert_eq!(second.check(), expected);
    end(&running);
}

fn the_maps_of_a_joined_namespace_have_to_be_those_of_the_specification() {
    let running = mapped(&["forever"]).start(&Output::new()).unwrap();
    let mut other = Bundle::new(&["id"]);
    other.user_namespace(FIRST + 1);
    other.namespace("user", Some(&format!("/proc/{}/ns/user", running.pid)));
    let text = other.refusal().to_string();
    assert_eq!(text, "the user namespace has another uid_map than the specification");
    end(&running);
}

fn a_new_user_namespace_goes_with_a_network_of_the_host() {
    let first = Bundle::new(&["forever"]);
    let running = first.start(&Output::new()).unwrap();
    let path = format!("/proc/{}/ns/net", running.pid);
    let mut second = mapped(&["link", "/proc/self/ns/net", "+", "id"]);
    second.namespace("network", Some(&path)).configure(json!({"linux": {"sysctl": null}}));
    // The view of a network that is not the user namespace's cannot be mounted.
    let mounts = json!([{"destination": "/proc", "type": "proc"},
        {"destination": "/checker", "type": "bind", "source": std::env::current_exe().unwrap()}]);
    second.configure(json!({"mounts": mounts}));
    let link = fs_err::read_link(&path).unwrap();
    assert_eq!(second.check(), format!("{}\n\n0:0 [] 0022\n", link.display()));
    end(&running);
}

fn a_user_namespace_needs_maps_and_maps_need_it() {
    let mut bundle = Bundle::new(&["id"]);
    bundle.namespace("user", None);
    let text = bundle.refusal().to_string();
    assert!(text.contains("`linux.uidMappings` is invalid: a new user namespace needs"), "{text}");
    let mut bundle = mapped(&["id"]);
    bundle.without_namespace("user");
    let text = bundle.refusal().to_string();
    assert!(text.contains("`linux.uidMappings` is invalid: there is no user"), "{text}");
}

fn maps_that_overlap_are_refused() {
    let mut bundle = mapped(&["id"]);
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 10},
        {"containerID": 5, "hostID": 2000, "size": 10}]);
    bundle.configure(json!({"linux": {"gidMappings": map}}));
    let text = bundle.refusal().to_string();
    assert!(text.contains("`linux.gidMappings` is invalid: two entries overlap"), "{text}");
}

fn an_id_that_is_not_mapped_cannot_be_the_user() {
    let mut bundle = mapped(&["id"]);
    bundle.configure(json!({"process": {"user": {"uid": 70_000, "gid": 0}}}));
    let text = chain(&bundle.refusal());
    assert!(text.starts_with("cannot become user 70000: Invalid argument"), "{text}");
}

/// A folder with a file of host user 1500, on a file system whose ids can be mapped, or nothing.
fn folder() -> Bundle {
    let source = Bundle::new(&[]);
    fs_err::write(source.root.join("etc/file"), "x").unwrap();
    std::os::unix::fs::chown(source.root.join("etc/file"), Some(1500), Some(1600)).unwrap();
    source
}

fn a_mount_has_ids_of_its_own() {
    let source = folder();
    let mut bundle = Bundle::new(&["stat", "/data/file", "+", "cat", "/proc/self/mountinfo"]);
    let mut data =
        serde_json::to_value(bind(source.root.join("etc"), "/data", &["rbind"])).unwrap();
    data["uidMappings"] = json!([{"containerID": 1500, "hostID": 42, "size": 1}]);
    data["gidMappings"] = json!([{"containerID": 1600, "hostID": 43, "size": 1}]);
    bundle.mount(serde_json::from_value(data).unwrap());
    let seen = bundle.check();
    assert!(seen.starts_with("file 644 42:43 0:0\n"), "{seen}");
    let line = seen.lines().find(|line| line.contains(" /data ")).unwrap();
    assert!(line.contains("idmapped"), "{line}");
}

fn a_mount_has_the_ids_of_the_container() {
    for option in ["idmap", "ridmap"] {
        let source = folder();
        let mut bundle = mapped(&["stat", "/data/file", "+", "create", "/data/new"]);
        std::os::unix::fs::chown(source.root.join("etc"), Some(0), Some(0)).unwrap();
        bundle.mount(bind(source.root.join("etc"), "/data", &["rbind", option]));
        assert_eq!(bundle.check(), "file 644 1500:1600 0:0\n\nok\n", "{option}");
        let made = fs_err::symlink_metadata(source.root.join("etc/new")).unwrap();
        assert_eq!((made.uid(), made.gid()), (0, 0));
    }
    // Also with the namespace of another container.
    let source = folder();
    let running = mapped(&["forever"]).start(&Output::new()).unwrap();
    let mut joined = mapped(&["stat", "/data/file"]);
    joined.namespace("user", Some(&format!("/proc/{}/ns/user", running.pid)));
    joined.mount(bind(source.root.join("etc"), "/data", &["rbind", "idmap"]));
    assert_eq!(joined.check(), "file 644 1500:1600 0:0\n");
    end(&running);
}

fn what_is_bound_from_inside_the_container_has_its_ids_too() {
    let source = folder();
    for (option, ids) in [("idmap", "1500:1600"), ("rprivate", "65534:65534")] {
        let mut bundle = mapped(&["stat", "/first/file", "+", "stat", "/data/file"]);
        bundle.mount(bind(source.root.join("etc"), "/first", &["bind"]));
        // There is nothing on the host at this path: what is meant is mounted in the container by then.
        bundle.mount(bind(bundle.root.join("first"), "/data", &["bind", option]));
        assert_eq!(bundle.check(), format!("file 644 65534:65534 0:0\n\nfile 644 {ids} 0:0\n"));
    }
}

fn only_bind_mounts_have_ids() {
    let mut bundle = mapped(&["id"]);
    bundle.mount(mount("tmpfs", "tmpfs", "/scratch", &["idmap"]));
    let text = bundle.refusal().to_string();
    assert!(text.contains("uidMappings` is invalid: only a bind mount"), "{text}");
    let mut bundle = Bundle::new(&["id"]);
    bundle.mount(bind("/etc", "/data", &["rbind", "idmap"]));
    let text = bundle.refusal().to_string();
    assert!(text.contains("`idmap` needs mappings"), "{text}");
}

fn a_listed_device_has_its_mode_and_its_owner() {
    let mut bundle = mapped(&["stat", "/dev/foo", "+", "write", "/dev/foo", "x"]);
    let device = json!({"path": "/dev/foo", "type": "c", "major": 1, "minor": 3, "uid": 10,
        "gid": 11, "fileMode": 0o666 | 0o1000});
    bundle.configure(json!({"linux": {"devices": [device]}}));
    assert_eq!(bundle.check(), "char 1666 10:11 1:3\n\nok\n");
}

fn the_limit_of_the_stack_is_not_lost_while_the_process_begins() {
    let mut bundle = mapped(&["cat", "/proc/self/limits"]);
    let limit = json!({"type": "RLIMIT_STACK", "soft": 1_048_576, "hard": 2_097_152});
    bundle.configure(json!({"process": {"rlimits": [limit]}}));
    // It depended on who was faster.
    for _ in 0..20 {
        let seen = bundle.check();
        let line = seen.lines().find(|line| line.starts_with("Max stack size")).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[3..], ["1048576", "2097152", "bytes"]);
    }
}
