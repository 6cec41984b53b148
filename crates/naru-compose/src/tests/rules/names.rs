//! Which files make up a project, and what it and its resources are called.

use super::{Directory, load_text, project};
use crate::LoadRequest;

const A: &str = "services: {a: {image: x}}\n";
const B: &str = "services: {b: {image: x}}\n";

fn services(files: &[(&str, &str)]) -> Vec<String> {
    project(files).services.into_keys().collect()
}

#[test]
fn of_several_compose_files_the_first_name_counts() {
    let names = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
    for pair in names.windows(2) {
        assert_eq!(services(&[(pair[0], A), (pair[1], B)]), ["a"], "{pair:?}");
    }
}

#[test]
fn an_override_file_counts_whatever_the_name_of_the_first_file() {
    for name in ["compose", "docker-compose"] {
        for ending in ["override.yml", "override.yaml"] {
            let over = format!("{name}.{ending}");
            assert_eq!(services(&[("compose.yaml", A), (&over, B)]), ["a", "b"], "{over}");
            assert_eq!(services(&[("docker-compose.yml", A), (&over, B)]), ["a", "b"], "{over}");
        }
    }
    // Named files have no override file.
    let directory = Directory::with(&[("compose.yaml", A), ("compose.override.yaml", B)]);
    let request = LoadRequest { files: vec!["compose.yaml".into()], ..directory.request(&[]) };
    assert_eq!(crate::load(&request).unwrap().project.services.len(), 1);
}

#[test]
fn the_last_name_among_the_files_is_the_projects() {
    let (one, two) = (format!("name: one\n{A}"), format!("name: two\n{B}"));
    assert_eq!(project(&[("compose.yaml", &one), ("compose.override.yaml", &two)]).name, "two");
    assert_eq!(project(&[("compose.yaml", &one), ("compose.override.yaml", B)]).name, "one");
}

#[test]
fn names_of_files_and_directories_are_made_valid() {
    for (said, name) in [("MyProj", "myproj"), ("UPPER Dir_x.y", "upperdir_xy"), ("_-a-_", "a-_")] {
        assert_eq!(project(&[("compose.yaml", &format!("name: '{said}'\n{A}"))]).name, name);
        let directory = Directory::with(&[(&format!("{said}/compose.yaml"), A)]);
        let mut request = directory.request(&[]);
        request.working_directory.push(said);
        assert_eq!(crate::load(&request).unwrap().project.name, name, "{said}");
    }
}

#[test]
fn a_link_to_the_directory_gives_the_project_its_own_name() {
    let directory = Directory::with(&[("real/compose.yaml", A)]);
    std::os::unix::fs::symlink("real", directory.0.join("linked")).unwrap();
    let mut request = directory.request(&[]);
    request.working_directory.push("linked");
    assert_eq!(crate::load(&request).unwrap().project.name, "linked");
}

#[test]
fn resources_are_named_after_the_project_unless_they_have_a_name_or_exist_already() {
    let yaml = "\
services: {a: {image: x, networks: [own, named, there, both], volumes: ['own:/a', 'there:/b'], secrets: [s], configs: [c]}}
networks: {own: , named: {name: n}, there: {external: true}, both: {external: true, name: q}}
volumes: {own: , there: {external: true}}
secrets: {s: {file: f}}
configs: {c: {file: f}}
";
    let project = load_text(yaml).unwrap().project;
    let networks: Vec<&str> = project.networks.values().map(|it| it.name.as_str()).collect();
    assert_eq!(networks, ["q", "n", "shop_own", "there"]);
    let volumes: Vec<&str> = project.volumes.values().map(|it| it.name.as_str()).collect();
    assert_eq!(volumes, ["shop_own", "there"]);
    let name = |kind: &str| serde_json::to_value(&project).unwrap()[kind].to_string();
    assert!(name("secrets").contains("shop_s") && name("configs").contains("shop_c"));
}

#[test]
fn a_later_env_file_of_the_command_line_wins() {
    let directory = Directory::with(&[
        ("compose.yaml", "services: {a: {image: '$A-$B-${C-none}'}}\n"),
        ("one", "A=1\nB=1\n"),
        ("two", "B=2\n"),
        (".env", "C=dot\n"),
    ]);
    let env_files = vec!["one".into(), "two".into()];
    let request = LoadRequest { env_files, ..directory.request(&[]) };
    assert_eq!(crate::load(&request).unwrap().project.services["a"].image, "1-2-none");
}

#[test]
fn dot_env_of_the_working_directory_wins_over_that_of_the_project() {
    let directory = Directory::with(&[
        (".env", "COMPOSE_FILE=sub/compose.yaml\nA=here\n"),
        ("sub/.env", "A=there\nB=there\n"),
        ("sub/compose.yaml", "services: {a: {image: '$A-$B'}}\n"),
    ]);
    let project = crate::load(&directory.request(&[])).unwrap().project;
    assert_eq!((&*project.services["a"].image, &*project.name), ("here-there", "sub"));
}
