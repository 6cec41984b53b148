//! Command, environment, user, capabilities.

use std::collections::BTreeSet;

use super::*;

fn arguments(service: Value, image: Value) -> Value {
    Case::with_image(service, image).part("/process/args")
}

#[test]
fn entrypoint_and_command_replace_the_images_as_in_docker() {
    let image = || json!({"Entrypoint": ["entry"], "Cmd": ["image", "arguments"]});
    assert_eq!(arguments(json!({}), image()), json!(["entry", "image", "arguments"]));
    assert_eq!(arguments(json!({"command": ["own"]}), image()), json!(["entry", "own"]));
    assert_eq!(arguments(json!({"command": []}), image()), json!(["entry"]));
    assert_eq!(
        arguments(json!({"entrypoint": ["mine"]}), image()),
        json!(["mine"]),
        "an entrypoint drops the image's command"
    );
    assert_eq!(
        arguments(json!({"entrypoint": ["mine"], "command": ["own"]}), image()),
        json!(["mine", "own"])
    );
    assert_eq!(arguments(json!({"entrypoint": []}), image()), json!(["image", "arguments"]));
}

#[test]
fn nothing_to_run_is_an_error() {
    let case = Case::with_image(json!({}), json!({}));
    let error = case.build().unwrap_err();
    assert_eq!(error.to_string(), "no command specified, neither in the file nor by the image");
}

#[test]
fn the_environment_has_dockers_order_and_precedence() {
    let case = Case::with_image(
        json!({"tty": true, "environment": {"B": "own", "A": "1", "GONE": null, "EMPTY": ""}}),
        json!({"Cmd": ["x"], "Env": ["PATH=/image/bin", "B=image", "C=3", "GONE=image"]}),
    );
    assert_eq!(
        case.part("/process/env"),
        json!([
            "PATH=/image/bin",
            "HOSTNAME=0123456789ab",
            "TERM=xterm",
            "A=1",
            "B=own",
            "EMPTY=",
            "C=3",
            "HOME=/root"
        ])
    );
    let case = Case::new(json!({"hostname": "web", "environment": {"HOME": "/x", "TERM": "dumb"}}));
    let path = format!("PATH={}", naru_runtime::profile::PATH);
    assert_eq!(case.part("/process/env"), json!([path, "HOSTNAME=web", "HOME=/x", "TERM=dumb"]));
}

#[test]
fn a_home_directory_that_would_inject_a_line_is_refused() {
    for home in ["/root\nevil:x:0:0::/:/bin/sh", "/a:b", "/a\0b", "/a\r"] {
        let mut case = Case::new(json!({}));
        case.user.home = home.to_owned();
        assert_eq!(case.build().unwrap_err().attribute(), "user", "{home:?}");
    }
    let mut case = Case::new(json!({"environment": {"HOME": null}}));
    case.user.home = "/a:b".to_owned();
    assert!(case.build().is_ok(), "not used, so not looked at");
}

#[test]
fn user_directory_terminal_and_score_come_from_service_then_image() {
    let image = json!({"Cmd": ["x"], "User": "app", "WorkingDir": "/srv"});
    let case = Case::with_image(json!({}), image.clone());
    assert_eq!(super::super::effective_user(&case.service, &case.image()), "app");
    assert_eq!(case.part("/process/cwd"), json!("/srv"));
    let case = Case::with_image(json!({"user": "1:2", "working_dir": "/w"}), image);
    assert_eq!(super::super::effective_user(&case.service, &case.image()), "1:2");
    assert_eq!(case.part("/process/cwd"), json!("/w"));
    assert_eq!(part(json!({}), "/process/cwd"), json!("/"));
    assert_eq!(part(json!({"tty": true}), "/process/terminal"), json!(true));
    assert_eq!(part(json!({"oom_score_adj": -300}), "/process/oomScoreAdj"), json!(-300));
    let mut case = Case::new(json!({}));
    (case.user.uid, case.user.gid, case.user.additional_gids) = (7, 8, vec![8, 9]);
    assert_eq!(case.part("/process/user"), json!({"uid": 7, "gid": 8, "additionalGids": [8, 9]}));
}

fn capabilities(service: Value, set: &str) -> BTreeSet<String> {
    let value = part(service, &format!("/process/capabilities/{set}"));
    serde_json::from_value(value).unwrap()
}

#[test]
fn capabilities_are_dockers_with_additions_and_removals() {
    let names = |service| capabilities(service, "bounding");
    let default = names(json!({}));
    assert_eq!(default.len(), 14);
    let changed = names(json!({"cap_add": ["net_admin", "CAP_SYS_TIME"], "cap_drop": ["MKNOD"]}));
    assert!(changed.contains("CAP_NET_ADMIN") && changed.contains("CAP_SYS_TIME"));
    assert!(!changed.contains("CAP_MKNOD"));
    assert_eq!(changed.len(), 15);
    assert_eq!(names(json!({"cap_add": ["ALL"]})).len(), 41);
    assert_eq!(names(json!({"cap_add": ["ALL"], "cap_drop": ["CHOWN"]})).len(), 40);
    assert_eq!(
        names(json!({"cap_drop": ["ALL"], "cap_add": ["CHOWN"]})),
        BTreeSet::from(["CAP_CHOWN".to_owned()])
    );
    assert!(names(json!({"cap_drop": ["all"]})).is_empty());
}

#[test]
fn another_user_than_root_has_no_effective_capabilities() {
    let mut case = Case::new(json!({}));
    case.user.uid = 1000;
    assert_eq!(case.part("/process/capabilities/effective"), json!([]));
    assert_eq!(case.part("/process/capabilities/permitted"), json!([]));
    assert_eq!(case.part("/process/capabilities/bounding").as_array().unwrap().len(), 14);
}

#[test]
fn security_options_are_honoured() {
    assert_eq!(part(json!({}), "/process/noNewPrivileges"), json!(false));
    for option in ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"] {
        let service = json!({"security_opt": [option]});
        assert_eq!(part(service, "/process/noNewPrivileges"), json!(true), "{option}");
    }
    assert_ne!(part(json!({}), "/linux/seccomp"), Value::Null);
    let unconfined = json!({"security_opt": ["seccomp:unconfined"]});
    assert_eq!(part(unconfined, "/linux/seccomp"), Value::Null);
    let open = json!({"security_opt": ["systempaths=unconfined"]});
    assert_eq!(part(open, "/linux/maskedPaths"), json!([]));
}

#[test]
fn the_system_call_filter_follows_the_capabilities() {
    let filter = |service| part(service, "/linux/seccomp").to_string();
    assert!(!filter(json!({})).contains("\"mount\""));
    assert!(filter(json!({"cap_add": ["SYS_ADMIN"]})).contains("\"mount\""));
}

#[test]
fn names_follow_service_and_domain() {
    assert_eq!(part(json!({}), "/hostname"), json!("0123456789ab"));
    let service = json!({"hostname": "web", "domainname": "example.org"});
    assert_eq!(part(service.clone(), "/hostname"), json!("web.example.org"));
    assert_eq!(part(service, "/domainname"), json!("example.org"));
    assert_eq!(part(json!({"uts": "host"}), "/hostname"), Value::Null);
}

#[test]
fn a_process_inside_is_like_the_first_without_its_terminal() {
    let spec = Case::new(json!({"tty": true, "environment": {"A": "1"}})).build().unwrap();
    let process = super::super::process_of(&spec, vec!["probe".to_owned()]).unwrap();
    assert_eq!(process.terminal(), Some(false));
    assert_eq!(process.args().as_deref(), Some(&["probe".to_owned()][..]));
    assert_eq!(process.env(), spec.process().as_ref().unwrap().env());
    assert!(super::super::process_of(&spec, Vec::new()).is_err());
}

#[test]
fn annotations_are_passed_on() {
    assert_eq!(part(json!({"annotations": {"a": "b"}}), "/annotations"), json!({"a": "b"}));
}
