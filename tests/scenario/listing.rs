//! `ps`, `ls`, `config` and `version`: what programs read.

use super::host;

const TWO: &str = "
services:
  a: { image: test, labels: { tier: front } }
  b: { image: test, command: naru-check exit 5 }
";

#[test]
fn ps_shows_running_containers_and_with_all_the_ended_ones() {
    host(|host| {
        let project = host.project("list").file("compose.yaml", TWO);
        project.naru(["up", "-d"]).succeeds();
        project.until("b", "exited");
        let services = |words: &[&str]| {
            let listed = project.naru(words).succeeds();
            let mut names: Vec<String> = listed
                .json()
                .iter()
                .map(|one| one["Service"].as_str().unwrap().to_owned())
                .collect();
            names.sort();
            names
        };
        assert_eq!(services(&["ps", "--format", "json"]), ["a"]);
        assert_eq!(services(&["ps", "-a", "--format", "json"]), ["a", "b"]);
        assert_eq!(project.naru(["ps", "--services"]).succeeds().stdout, "a\n");
        let ids = project.naru(["ps", "-q"]).succeeds().stdout;
        assert_eq!(ids.trim().len(), 64, "{ids}");
    });
}

#[test]
fn ps_tells_programs_what_docker_compose_tells_them() {
    host(|host| {
        let project = host.project("list").file("compose.yaml", TWO);
        project.naru(["up", "-d"]).succeeds();
        let one = project.until("a", "running");
        assert_eq!(one["Name"], "list-a-1");
        assert_eq!(one["Project"], "list");
        assert_eq!(one["Image"], "test");
        assert_eq!(one["State"], "running");
        assert_eq!(one["ExitCode"], 0);
        assert_eq!(one["Publishers"], serde_json::json!([]));
        for key in [
            "ID",
            "Command",
            "CreatedAt",
            "Health",
            "Labels",
            "LocalVolumes",
            "Mounts",
            "Names",
            "Networks",
            "Ports",
            "RunningFor",
            "Size",
            "Status",
        ] {
            assert!(one.get(key).is_some(), "{key} is missing: {one}");
        }
    });
}

#[test]
fn ps_tells_the_labels_that_compose_tools_look_for() {
    host(|host| {
        let file = "services: { a: { image: test, labels: { own: label }, \
                    depends_on: { b: { condition: service_started, restart: true } } }, b: { image: test } }";
        let project = host.project("labels").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let labels = project.until("a", "running")["Labels"].as_str().unwrap().to_owned();
        let all: Vec<_> = labels.split(',').collect();
        let file = project.folder().join("compose.yaml");
        for wanted in [
            "own=label",
            "com.docker.compose.project=labels",
            "com.docker.compose.service=a",
            "com.docker.compose.container-number=1",
            "com.docker.compose.oneoff=False",
            "com.docker.compose.depends_on=b:service_started:true",
            &format!("com.docker.compose.project.config_files={}", file.display()),
            &format!("com.docker.compose.project.working_dir={}", project.folder().display()),
        ] {
            assert!(all.contains(&wanted), "{wanted} is missing: {labels}");
        }
        for wanted in ["config-hash", "image"] {
            let name = format!("com.docker.compose.{wanted}=");
            let value = all.iter().find_map(|label| label.strip_prefix(&name));
            assert!(value.is_some_and(|value| value.len() >= 64), "{wanted}: {labels}");
        }
    });
}

#[test]
fn ls_counts_the_projects_that_run() {
    host(|host| {
        let project = host.project("list").file("compose.yaml", TWO);
        assert_eq!(host.naru(["ls", "--format", "json"]).succeeds().json().len(), 0);
        project.naru(["up", "-d", "a"]).succeeds();
        let listed = host.naru(["ls", "--format", "json"]).succeeds().json();
        assert_eq!(listed[0]["Name"], "list");
        assert_eq!(listed[0]["Status"], "running(1)");
        assert!(listed[0]["ConfigFiles"].as_str().unwrap().ends_with("/list/compose.yaml"));
    });
}

#[test]
fn config_prints_the_project_as_it_is_understood() {
    host(|host| {
        let project = host
            .project("shown")
            .file(
                "compose.yaml",
                "services: { a: { image: 'test:${TAG:-latest}', environment: { A: '${B}' } } }",
            )
            .file(".env", "B=from the file\n");
        let config = project.naru(["config", "--format", "json"]).succeeds().json()[0].clone();
        assert_eq!(config["name"], "shown");
        assert_eq!(config["services"]["a"]["image"], "test:latest");
        assert_eq!(config["services"]["a"]["environment"]["A"], "from the file");
    });
}

#[test]
fn the_version_is_the_packages() {
    host(|host| {
        host.naru(["version"]).succeeds().prints(env!("CARGO_PKG_VERSION"));
    });
}

#[test]
fn file_and_project_name_come_from_the_environment_too() {
    host(|host| {
        let project = host
            .project("folder")
            .file("other.yaml", "services: { a: { image: test } }")
            .variable("COMPOSE_FILE", "other.yaml")
            .variable("COMPOSE_PROJECT_NAME", "chosen");
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(project.until("a", "running")["Name"], "chosen-a-1");
    });
}
