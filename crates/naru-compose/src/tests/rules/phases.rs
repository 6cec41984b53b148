//! The order in which files become one model.

use super::{Directory, accepted, check, check_files, load_text, problems, project, refused};
use crate::LoadRequest;

#[test]
fn keys_are_not_interpolated_and_entries_of_lists_are() {
    let files = [
        ("compose.yaml", "services: {a: {image: x, labels: {$K: 1}, environment: ['$K=v']}}\n"),
        (".env", "K=key\n"),
    ];
    check_files(&files, "labels", r#"{"$K":"1"}"#);
    check_files(&files, "environment", r#"{"key":"v"}"#);
}

#[test]
fn every_file_is_interpolated_before_it_is_merged() {
    // A variable of a value that another file replaces is looked at all the same.
    let files = [
        ("compose.yaml", "services: {a: {image: '${GONE:?needed}'}}\n"),
        ("compose.override.yaml", "services: {a: {image: x}}\n"),
    ];
    assert!(problems(&files).contains("needed"));
}

#[test]
fn what_a_file_leaves_out_a_later_one_may_say() {
    let files = [
        ("compose.yaml", "services: {a: {ports: [{published: '80'}]}}\n"),
        ("compose.override.yaml", "services: {a: {image: x, ports: !override [{target: 80}]}}\n"),
    ];
    check_files(&files, "image", r#""x""#);
}

#[test]
fn variables_stand_for_numbers_and_booleans() {
    let files = [
        (
            "compose.yaml",
            "services: {a: {image: x, scale: '${N}', tty: '${T}', mem_limit: '${N}m', ports: ['${N}0:80']}}\n",
        ),
        (".env", "N=3\nT=true\n"),
    ];
    check_files(&files, "scale", "3");
    check_files(&files, "tty", "true");
    check_files(&files, "mem_limit", r#""3145728""#);
    check_files(
        &files,
        "ports",
        r#"[{"mode":"ingress","protocol":"tcp","published":"30","target":80}]"#,
    );
    let wrong =
        [("compose.yaml", "services: {a: {image: x, scale: '$N'}}\n"), (".env", "N=many\n")];
    assert!(problems(&wrong).contains("`many` is not a whole number"));
}

#[test]
fn words_for_booleans_are_accepted_with_a_warning() {
    for word in ["yes", "on", "y", "no", "off", "n"] {
        let loaded = load_text(&format!("services: {{a: {{image: x, tty: '{word}'}}}}\n")).unwrap();
        assert_eq!(loaded.warnings.len(), 1, "{word}");
        assert_eq!(loaded.project.services["a"].tty, ["yes", "on", "y"].contains(&word), "{word}");
    }
}

#[test]
fn env_files_of_services_that_do_not_take_part_are_not_read() {
    let yaml = "services: {a: {image: x}, b: {image: x, profiles: [p], env_file: nowhere, label_file: nowhere}}\n";
    let directory = Directory::with(&[("compose.yaml", yaml)]);
    assert!(crate::load(&directory.request(&[])).is_ok());
    let all = LoadRequest { profiles: vec!["p".to_owned()], ..directory.request(&[]) };
    assert!(crate::load(&all).unwrap_err().to_string().contains("nowhere"));
}

#[test]
fn variables_of_env_files_are_no_variables_of_the_compose_file() {
    let yaml = "services: {a: {image: 'x:${ONLY_THERE-none}', env_file: own.env}}\n";
    check_files(&[("compose.yaml", yaml), ("own.env", "ONLY_THERE=1\n")], "image", r#""x:none""#);
}

#[test]
fn a_bare_variable_is_taken_from_the_shell_then_from_dot_env_and_else_has_no_value() {
    let yaml = "services: {a: {image: x, environment: [SHELL, DOT, NOWHERE, EMPTY=]}}\n";
    let directory = Directory::with(&[("compose.yaml", yaml), (".env", "DOT=dot\nSHELL=dot\n")]);
    let project = crate::load(&directory.request(&[("SHELL", "shell")])).unwrap().project;
    let environment = serde_json::to_string(&project.services["a"].environment).unwrap();
    assert_eq!(environment, r#"{"DOT":"dot","EMPTY":"","NOWHERE":null,"SHELL":"shell"}"#);
}

#[test]
fn a_dependency_whose_profile_is_not_active_may_be_missing_when_it_is_not_required() {
    let yaml = |required: bool| {
        format!(
            "services: {{a: {{image: x, depends_on: {{b: {{condition: service_started, required: {required}}}}}}}, b: {{image: x, profiles: [p]}}}}\n"
        )
    };
    assert!(load_text(&yaml(false)).is_ok());
    assert!(load_text(&yaml(true)).unwrap_err().to_string().contains("profile `p`"));
}

#[test]
fn paths_start_from_the_project_directory_wherever_they_stand() {
    check("build: ./b", "build", r#"{"context":"/shop/b","dockerfile":"Dockerfile"}"#);
    check(
        "build: {context: ., additional_contexts: {p: ./p, u: 'https://h/u', i: 'docker-image://i'}, ssh: [k=./k]}",
        "build",
        r#"{"additional_contexts":{"i":"docker-image://i","p":"/shop/p","u":"https://h/u"},"context":"/shop","dockerfile":"Dockerfile","ssh":["k=/shop/k"]}"#,
    );
    check(
        "develop: {watch: [{path: ./w, action: rebuild}]}",
        "develop",
        r#"{"watch":[{"action":"rebuild","exec":{"command":null},"path":"/shop/w"}]}"#,
    );
    let yaml = "services: {a: {image: x, volumes: ['~/h:/h', 'vol:/v'], secrets: [s], configs: [c]}}\n\
                secrets: {s: {file: ./s}}\nconfigs: {c: {file: ../c}}\n\
                volumes: {vol: {driver: local, driver_opts: {o: bind, type: none, device: ./d}}}\n";
    let directory = Directory::with(&[("compose.yaml", yaml)]);
    let project = crate::load(&directory.request(&[("HOME", "/home/me")])).unwrap().project;
    assert_eq!(project.services["a"].volumes[0].source, "/home/me/h");
    assert_eq!(directory.plain(&project.secrets["s"].file), "/shop/s");
    assert!(!project.configs["c"].file.contains("..") && project.configs["c"].file.ends_with("/c"));
    assert_eq!(directory.plain(&project.volumes["vol"].driver_opts["device"]), "/shop/d");
}

#[test]
fn a_watched_path_is_the_one_behind_its_links() {
    let directory = Directory::with(&[
        (
            "compose.yaml",
            "services: {a: {image: x, develop: {watch: [{path: ./link, action: rebuild}]}}}\n",
        ),
        ("real/file", ""),
    ]);
    std::os::unix::fs::symlink("real", directory.0.join("link")).unwrap();
    let project = crate::load(&directory.request(&[])).unwrap().project;
    let path = &project.services["a"].develop.as_ref().unwrap().watch[0].path;
    assert!(path.ends_with("/real"), "{path}");
}

#[test]
fn services_that_share_a_namespace_of_a_container_depend_on_no_service() {
    let project = project(&[(
        "compose.yaml",
        "services: {a: {image: x, volumes_from: ['container:q:ro'], network_mode: 'container:q', pid: host}}\n",
    )]);
    assert!(project.services["a"].depends_on.is_empty());
    refused("network_mode: 'service:nobody'", "undefined service `nobody`");
    accepted("network_mode: 'service:b'");
}
