//! Phases of loading that `config` leaves out, templates, and the variables that configure the loader.

use super::{Directory, load_text};
use crate::project::Dollar;
use crate::{LoadRequest, Skip};

const SHOP: &str = "\
services:
  web:
    image: nginx:${TAG:-1.25}
    build: {context: ./web, args: [NOWHERE]}
    ports: ['${PORT:-80}:80']
    volumes: ['${DATA:-./data}:/data']
    environment: [A=$A, B]
    env_file: web.env
    depends_on: [db]
    scale: ${N:?how many}
  db: {image: db, command: echo $$HOME, healthcheck: {test: curl, interval: 90s}}
networks: {n: }
";

fn template(skip: Skip) -> String {
    let directory = Directory::with(&[("compose.yaml", SHOP)]);
    let request = LoadRequest { skip, ..directory.request(&[("A", "set")]) };
    let template = crate::load_template(&request).unwrap_or_else(|problems| panic!("{problems}"));
    directory.plain(&template.to_yaml())
}

#[test]
fn without_interpolation_variables_and_what_depends_on_them_stay_as_they_are_written() {
    insta::assert_snapshot!(template(Skip::default()));
}

#[test]
fn without_anything_the_files_are_only_merged_and_written_out() {
    let skip = Skip { normalization: true, paths: true, consistency: true, environment: true };
    insta::assert_snapshot!(template(skip));
}

#[test]
fn every_variable_is_listed_with_what_the_files_say_about_it() {
    let yaml = "services: {a: {image: '$A ${B:-b ${C}} ${D:?m} ${E:+e} ${A:-late} $$F'}}\n";
    let directory = Directory::with(&[("compose.yaml", yaml)]);
    let template = crate::load_template(&directory.request(&[])).unwrap();
    let one = |(name, variable): (String, crate::Variable)| {
        let crate::Variable { default, alternative, required } = variable;
        format!("{name}:{default}:{alternative}:{required}")
    };
    let found: Vec<String> = template.variables().into_iter().map(one).collect();
    assert_eq!(found, ["A:late::false", "B:b ${C}::false", "C:::false", "D:::true", "E::e:false"]);
    assert!(template.variables_to_json().contains("\"PresenceValue\": \"e\""));
    assert!(template.variables_to_yaml().contains("defaultvalue: b ${C}\n"));
}

fn skipping(yaml: &str, skip: Skip) -> crate::Project {
    let directory = Directory::with(&[("compose.yaml", yaml), ("a.env", "A=1\n")]);
    let request = LoadRequest { skip, ..directory.request(&[]) };
    crate::load(&request).unwrap_or_else(|problems| panic!("{problems}")).project
}

#[test]
fn without_normalisation_nothing_that_is_implied_is_said() {
    let yaml = "services: {a: {image: x, build: ., links: [b]}, b: {image: y}}\nvolumes: {v: }\n";
    let project = skipping(yaml, Skip { normalization: true, ..Skip::default() });
    let a = &project.services["a"];
    assert!(a.networks.is_empty() && a.depends_on.is_empty() && project.networks.is_empty());
    assert_eq!(a.build.as_ref().unwrap().dockerfile, "");
}

#[test]
fn without_path_resolution_paths_stay_relative() {
    let yaml = "services: {a: {image: x, build: ./b, volumes: ['./c:/c']}}\n";
    let project = skipping(yaml, Skip { paths: true, ..Skip::default() });
    let a = &project.services["a"];
    assert_eq!((a.build.as_ref().unwrap().context.as_str(), &*a.volumes[0].source), ("./b", "./c"));
}

#[test]
fn without_consistency_services_may_contradict_each_other() {
    let yaml = "services: {a: {image: x, depends_on: [nobody], networks: [nowhere]}}\n";
    assert!(load_text(yaml).is_err());
    let project = skipping(yaml, Skip { consistency: true, ..Skip::default() });
    assert!(project.services["a"].depends_on.contains_key("nobody"));
}

#[test]
fn without_env_resolution_env_files_are_named_and_not_read() {
    let yaml = "services: {a: {image: x, env_file: a.env, environment: {B: c}}}\n";
    let skip = Skip { environment: true, paths: true, ..Skip::default() };
    let project = skipping(yaml, skip);
    assert_eq!(project.services["a"].environment.len(), 1);
    assert_eq!(project.services["a"].env_file[0].path, "a.env");
    assert!(project.to_yaml(Dollar::Doubled).contains("    env_file:\n      - path: a.env\n"));
    let project = skipping(yaml, Skip { paths: true, ..Skip::default() });
    assert_eq!(project.services["a"].environment.len(), 2);
    assert!(project.services["a"].env_file.is_empty());
}

#[test]
fn selected_services_bring_what_they_need_and_nothing_else() {
    let yaml = "\
services:
  a: {image: x, depends_on: [b], volumes: ['data:/d']}
  b: {image: y, networks: [back]}
  c: {image: z, volumes: ['other:/d']}
networks: {back: }
volumes: {data: , other: }
";
    let mut loaded = load_text(yaml).unwrap();
    loaded.select(&["b".to_owned()], false);
    let project = &loaded.project;
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(project.networks.keys().collect::<Vec<_>>(), ["back"]);
    assert!(project.volumes.is_empty());
}

fn image(files: &[(&str, &str)], environment: &[(&str, &str)]) -> String {
    let directory = Directory::with(files);
    let loaded = crate::load(&directory.request(environment));
    let project = loaded.unwrap_or_else(|problems| panic!("{problems}")).project;
    project.services["a"].image.clone()
}

const ONE: (&str, &str) = ("compose.yaml", "services: {a: {image: 'x:${T:-none}'}}\n");

#[test]
fn compose_path_separator_stands_between_the_names_in_compose_file() {
    let files = [ONE, ("b.yaml", "services: {a: {image: y}}\n")];
    let variables = [("COMPOSE_FILE", "compose.yaml;b.yaml"), ("COMPOSE_PATH_SEPARATOR", ";")];
    assert_eq!(image(&files, &variables), "y");
}

#[test]
fn compose_env_files_take_the_place_of_dot_env() {
    let files = [ONE, (".env", "T=dot\n"), ("p.env", "T=p\n"), ("q.env", "T=q\n")];
    assert_eq!(image(&files, &[]), "x:dot");
    assert_eq!(image(&files, &[("COMPOSE_ENV_FILES", "p.env,q.env")]), "x:q");
}

#[test]
fn compose_disable_env_file_leaves_dot_env_alone() {
    let files = [ONE, (".env", "T=dot\n")];
    assert_eq!(image(&files, &[("COMPOSE_DISABLE_ENV_FILE", "true")]), "x:none");
    assert_eq!(image(&files, &[("COMPOSE_DISABLE_ENV_FILE", "0")]), "x:dot");
}

#[test]
fn dev_null_as_the_env_file_of_an_include_leaves_its_dot_env_alone() {
    let include = "include: [{path: lib/b.yaml, env_file: /dev/null}]\n";
    let files = [("compose.yaml", include), ("lib/b.yaml", ONE.1), ("lib/.env", "T=own\n")];
    assert_eq!(image(&files, &[]), "x:none");
}

#[test]
fn remote_compose_files_are_refused_by_name() {
    for remote in [
        "https://example.test/shop.git",
        "git@example.test:shop.git",
        "github.com/example/shop",
        "oci://example.test/shop:1",
    ] {
        let include = format!("include: ['{remote}']\nservices: {{a: {{image: x}}}}\n");
        let extends = format!("services: {{a: {{extends: {{file: '{remote}', service: b}}}}}}\n");
        for yaml in [include, extends] {
            let problems = load_text(&yaml).unwrap_err().to_string();
            let expected = format!("`{remote}` is on another machine, which is not possible yet");
            assert!(problems.contains(&expected), "{problems}");
        }
    }
}
