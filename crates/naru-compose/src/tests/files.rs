//! Several files: discovery, merging, include, extends, env files, names and profiles.

use super::Directory;
use crate::{LoadRequest, Project};

type Change = fn(&mut LoadRequest);

fn load(files: &[(&str, &str)], environment: &[(&str, &str)], change: Change) -> Project {
    let directory = Directory::with(files);
    let mut request = directory.request(environment);
    change(&mut request);
    crate::load(&request).unwrap_or_else(|problems| panic!("{problems}")).project
}

/// Loads files and compares an attribute of service `a`.
fn check(files: &[(&str, &str)], attribute: &str, expect: &str) {
    let directory = Directory::with(files);
    let loaded = crate::load(&directory.request(&[])).unwrap_or_else(|e| panic!("{e}"));
    let value = serde_json::to_value(&loaded.project.services["a"]).unwrap();
    assert_eq!(directory.plain(&value[attribute].to_string()), expect);
}

/// Merges one service over another.
fn check_merge(base: &str, over: &str, attribute: &str, expect: &str) {
    let base = format!("services: {{a: {{image: x, {base}}}, b: {{image: x}}}}\n");
    let over = format!("services: {{a: {{{over}}}}}\n");
    check(&[("compose.yaml", &base), ("compose.override.yaml", &over)], attribute, expect);
}

#[test]
fn variables_and_labels_are_merged_by_name() {
    check_merge(
        "environment: [A=1, B=2]",
        "environment: {B: 3, C: }",
        "environment",
        r#"{"A":"1","B":"3","C":null}"#,
    );
    check_merge("labels: {a: b}", "labels: [c=d, a]", "labels", r#"{"a":"","c":"d"}"#);
}

#[test]
fn commands_and_tests_are_replaced_as_a_whole() {
    check_merge("command: [a, b]", "command: c", "command", r#"["c"]"#);
    check_merge("command: [a]", "command: ", "command", "null");
    check_merge(
        "healthcheck: {test: a, retries: 3}",
        "healthcheck: {test: [CMD, b]}",
        "healthcheck",
        r#"{"retries":3,"test":["CMD","b"]}"#,
    );
}

#[test]
fn lists_are_appended_and_repeated_entries_are_one() {
    check_merge("dns: 1.1.1.1", "dns: [2.2.2.2, 1.1.1.1]", "dns", r#"["1.1.1.1","2.2.2.2"]"#);
    check_merge("tmpfs: /a", "tmpfs: ['/b:size=1m', /a]", "tmpfs", r#"["/a","/b:size=1m"]"#);
    check_merge("expose: ['80']", "expose: [80, 81]", "expose", r#"["80","81"]"#);
    check_merge(
        "extra_hosts: ['h:1.1.1.1']",
        "extra_hosts: {h: 2.2.2.2}",
        "extra_hosts",
        r#"["h=1.1.1.1","h=2.2.2.2"]"#,
    );
}

#[test]
fn a_mount_takes_the_place_of_the_one_at_the_same_target() {
    check_merge(
        "volumes: ['/a:/t']",
        "volumes: ['/b:/t:ro']",
        "volumes",
        r#"[{"bind":{"create_host_path":true},"read_only":true,"source":"/b","target":"/t","type":"bind"}]"#,
    );
}

#[test]
fn nothing_on_the_right_keeps_what_is_on_the_left() {
    check_merge("tty: true", "tty: ", "tty", "true");
    check_merge("environment: {A: 1}", "environment: ", "environment", r#"{"A":"1"}"#);
}

#[test]
fn logging_is_merged_when_the_drivers_agree() {
    check_merge(
        "logging: {driver: a, options: {x: y}}",
        "logging: {options: {z: 1}}",
        "logging",
        r#"{"driver":"a","options":{"x":"y","z":"1"}}"#,
    );
    check_merge(
        "logging: {driver: a, options: {x: y}}",
        "logging: {driver: b}",
        "logging",
        r#"{"driver":"b"}"#,
    );
}

#[test]
fn reset_removes_and_override_replaces() {
    let base =
        "services: {a: {image: x, ports: ['80:80'], cap_add: [A], environment: {A: 1, B: 2}}}\n";
    let over = "services: {a: {ports: !reset [], cap_add: !override [B], environment: {A: !reset null}}}\n";
    let files = [("compose.yaml", base), ("compose.override.yaml", over)];
    check(&files, "ports", "null");
    check(&files, "cap_add", r#"["B"]"#);
    check(&files, "environment", r#"{"B":"2"}"#);
}

#[test]
fn anchors_and_merge_keys_share_attributes() {
    let yaml = "\
x-base: &base
  environment: &environment {A: 1}
services:
  a:
    <<: *base
    image: x
    environment: {<<: *environment, B: 2}
";
    check(&[("compose.yaml", yaml)], "environment", r#"{"A":"1","B":"2"}"#);
}

#[test]
fn paths_of_an_extended_service_are_relative_to_its_own_file() {
    let files = [
        (
            "compose.yaml",
            "services: {a: {extends: {file: lib/b.yaml, service: b}, volumes: ['./q:/q']}}\n",
        ),
        ("lib/b.yaml", "services: {b: {extends: {file: ../c.yaml, service: c}, build: .}}\n"),
        ("c.yaml", "services: {c: {image: x, volumes: ['./y:/y'], environment: {A: '${V:-d}'}}}\n"),
    ];
    check(&files, "build", r#"{"context":"/shop/lib","dockerfile":"Dockerfile"}"#);
    check(&files, "environment", r#"{"A":"d"}"#);
    let volumes = r#"[{"bind":{"create_host_path":true},"source":"/shop/y","target":"/y","type":"bind"},{"bind":{"create_host_path":true},"source":"/shop/q","target":"/q","type":"bind"}]"#;
    check(&files, "volumes", volumes);
}

#[test]
fn an_included_project_has_its_own_directory_and_variables() {
    let files = [
        ("compose.yaml", "include: [lib/b.yaml]\nservices: {c: {image: x, depends_on: [a]}}\n"),
        ("lib/b.yaml", "services: {a: {image: 'y:${TAG}', build: ., env_file: e}}\n"),
        ("lib/.env", "TAG=own\n"),
        ("lib/e", "Q=1\n"),
    ];
    check(&files, "image", r#""y:own""#);
    check(&files, "build", r#"{"context":"/shop/lib","dockerfile":"Dockerfile"}"#);
    check(&files, "environment", r#"{"Q":"1"}"#);
}

#[test]
fn the_including_file_wins_over_the_included_one() {
    let files = [
        ("compose.yaml", "include: [b.yaml]\nservices: {a: {image: mine}}\n"),
        ("b.yaml", "services: {a: {image: theirs, tty: true}}\n"),
    ];
    check(&files, "image", r#""mine""#);
    check(&files, "tty", "true");
}

#[test]
fn env_files_come_below_the_environment_and_later_ones_win() {
    let files = [
        (
            "compose.yaml",
            "services: {a: {image: x, env_file: [e1, {path: no, required: false}, e2], environment: {A: own, C: }}}\n",
        ),
        ("e1", "A=1\nB=1\nD=${B}x\n"),
        ("e2", "B=2\n"),
        (".env", "C=dot\n"),
    ];
    check(&files, "environment", r#"{"A":"own","B":"2","C":"dot","D":"1x"}"#);
}

#[test]
fn a_raw_env_file_is_taken_literally() {
    let yaml = "services: {a: {image: x, env_file: [{path: e, format: raw}]}}\n";
    check(
        &[("compose.yaml", yaml), ("e", "A=\"$B\" # c\n")],
        "environment",
        r##"{"A":"\"$B\" # c"}"##,
    );
}

#[test]
fn the_shell_wins_over_env_files_in_interpolation() {
    let yaml = "services: {a: {image: '${A}-${B}'}}\n";
    let files = [("compose.yaml", yaml), (".env", "A=dot\nB=dot\n"), ("e", "B=given\n")];
    let image = |project: Project| project.services["a"].image.clone();
    assert_eq!(image(load(&files, &[("A", "shell")], |_| {})), "shell-dot");
    let given: Change = |request| request.env_files.push("e".into());
    assert_eq!(image(load(&files, &[("A", "shell")], given)), "shell-given");
}

#[test]
fn the_name_is_given_or_found_and_made_valid() {
    let named =
        [("compose.yaml", "name: My Proj\nservices: {a: {image: '${COMPOSE_PROJECT_NAME}'}}\n")];
    let plain = [("compose.yaml", "services: {a: {image: x}}\n")];
    let project = load(&named, &[], |_| {});
    assert_eq!((project.name.as_str(), project.services["a"].image.as_str()), ("myproj", "myproj"));
    assert_eq!(load(&plain, &[], |_| {}).name, "shop");
    assert_eq!(load(&named, &[("COMPOSE_PROJECT_NAME", "shell")], |_| {}).name, "shell");
    let given: Change = |request| request.project_name = Some("given".to_owned());
    assert_eq!(load(&named, &[("COMPOSE_PROJECT_NAME", "shell")], given).name, "given");
    let directory = Directory::with(&plain);
    let request = LoadRequest { project_name: Some("Bad".to_owned()), ..directory.request(&[]) };
    assert!(crate::load(&request).unwrap_err().to_string().contains("is not a name for a project"));
}

#[test]
fn files_are_discovered_above_and_named_by_compose_file() {
    let files = [
        ("compose.yaml", "services: {a: {image: x}}\n"),
        ("sub/q.yaml", "services: {q: {image: x}}\n"),
    ];
    let below: Change = |request| request.working_directory.push("sub");
    let project = load(&files, &[], below);
    assert!(project.services.contains_key("a") && project.working_directory.ends_with("shop"));
    let project = load(&files, &[("COMPOSE_FILE", "compose.yaml:sub/q.yaml")], |_| {});
    assert_eq!(project.services.len(), 2);
    let directory = Directory::with(&[]);
    let error = crate::load(&directory.request(&[])).unwrap_err().to_string();
    assert!(error.contains("no configuration file provided: not found"), "{error}");
}

#[test]
fn profiles_enable_services_and_so_does_their_name() {
    let files = [("compose.yaml", "services: {a: {image: x}, b: {image: x, profiles: [p]}}\n")];
    let names = |project: Project| project.services.into_keys().collect::<Vec<_>>();
    assert_eq!(names(load(&files, &[], |_| {})), ["a"]);
    assert_eq!(names(load(&files, &[("COMPOSE_PROFILES", "q,p")], |_| {})), ["a", "b"]);
    assert_eq!(
        names(load(&files, &[], |request| request.profiles.push("*".to_owned()))),
        ["a", "b"]
    );
    assert_eq!(
        names(load(&files, &[], |request| request.services.push("b".to_owned()))),
        ["a", "b"]
    );
}

#[test]
fn an_unset_variable_is_a_warning_with_its_place() {
    let directory = Directory::with(&[("compose.yaml", "services:\n  a:\n    image: x:${TAG}\n")]);
    let loaded = crate::load(&directory.request(&[])).unwrap();
    insta::assert_snapshot!(loaded.warnings[0].to_string());
}
