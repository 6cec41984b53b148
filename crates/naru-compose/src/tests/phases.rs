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

#[test]
fn without_normalisation_the_name_stays_as_the_file_says_it() {
    let yaml = "name: My ${X}\nservices: {a: {image: '${COMPOSE_PROJECT_NAME}'}}\n";
    let directory = Directory::with(&[("compose.yaml", yaml)]);
    let skip = Skip { normalization: true, ..Skip::default() };
    let request = LoadRequest { skip, ..directory.request(&[("X", "Shop")]) };
    let project = crate::load(&request).unwrap().project;
    assert_eq!((project.name.as_str(), &*project.services["a"].image), ("My Shop", "myshop"));
    let named = LoadRequest { project_name: Some("given".to_owned()), ..request };
    assert_eq!(crate::load(&named).unwrap().project.name, "given");
}

/// The template of two files.
fn merged_template(first: &str, second: &str, change: fn(&mut LoadRequest)) -> crate::Template {
    let directory = Directory::with(&[("compose.yaml", first), ("compose.override.yaml", second)]);
    let mut request = directory.request(&[]);
    change(&mut request);
    crate::load_template(&request).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn in_a_template_the_name_is_what_its_variables_leave_of_it() {
    let yaml = "name: ${SHOP:-Y}\nservices: {a: {image: x}}\n";
    let template = merged_template(yaml, "services: {}\n", |_| {});
    assert_eq!(template.project_name(), "shop-y");
}

#[test]
fn in_a_template_pairs_of_several_files_are_one_list() {
    let first = "services: {a: {image: x, labels: {z: 1, b: $B, n: }, sysctls: {a: 1}}}\n";
    let second = "services: {a: {labels: [b=2, $C]}}\n";
    let json = merged_template(first, second, |_| {}).to_json();
    let service: serde_json::Value = serde_json::from_str(&json).unwrap();
    let service = &service["services"]["a"];
    assert_eq!(service["labels"].to_string(), r#"["b=2","n","z=1","$C"]"#);
    assert_eq!(service["sysctls"].to_string(), r#"{"a":1}"#);
}

#[test]
fn in_a_template_dependencies_say_what_is_implied_and_published_ports_stay_as_they_are() {
    let first = "services: {a: {image: x, volumes_from: [c], ports: [{target: 80, published: 90}], \
                 depends_on: {b: {condition: service_started}}}, b: {image: y}, c: {image: z}}\n";
    let json = merged_template(first, "services: {}\n", |_| {}).to_json();
    let service: serde_json::Value = serde_json::from_str(&json).unwrap();
    let service = &service["services"]["a"];
    let expected = r#"{"b":{"condition":"service_started","required":true},"c":{"condition":"service_started","required":true,"restart":false}}"#;
    assert_eq!(service["depends_on"].to_string(), expected);
    assert_eq!(service["ports"][0]["published"], 90);
}

#[test]
fn lists_of_a_template_name_what_takes_part() {
    let yaml = "\
services:
  a: {image: '$A', networks: [n], depends_on: [c]}
  b: {image: b, volumes: ['data:/d'], profiles: [p], models: [m]}
  c: {build: .}
networks: {n: , unused: }
volumes: {data: }
models: {m: {model: '$M'}}
";
    let none: &[String] = &[];
    let template = merged_template(yaml, "services: {}\n", |_| {});
    assert_eq!(template.used("networks"), ["default", "n"]);
    assert!(template.used("volumes").is_empty() && template.models().is_empty());
    let images = |template: &crate::Template, services: &[String]| {
        template.images(services).into_iter().map(|(_, image)| image).collect::<Vec<_>>()
    };
    assert_eq!(images(&template, none), ["$A", ""]);
    assert_eq!(images(&template, &["c".to_owned()]), [""]);
    assert_eq!(template.profiles(), ["p"]);
    let template =
        merged_template(yaml, "services: {}\n", |request| request.profiles.push("p".to_owned()));
    assert_eq!(
        (template.used("volumes"), template.models()),
        (vec!["data".into()], vec!["$M".into()])
    );
    assert_eq!(images(&template, none), ["$A", "b", ""]);
    let template = merged_template(yaml, "services: {}\n", |request| request.all_resources = true);
    assert_eq!(template.used("networks"), ["default", "n", "unused"]);
}

#[test]
fn one_container_name_for_two_services_is_no_problem_when_only_one_of_them_is_asked_for() {
    let yaml = "services: {a: {extends: b}, b: {image: x, container_name: one}, c: {image: y}}\n";
    let directory = Directory::with(&[("compose.yaml", yaml)]);
    let load = |service: &str| {
        let services = vec![service.to_owned()];
        crate::load(&LoadRequest { services, ..directory.request(&[]) })
    };
    assert!(load("a").is_ok() && load("c").is_ok());
    let problems = crate::load(&directory.request(&[])).unwrap_err().to_string();
    assert!(problems.contains("the container name `one` is in use by service `a`"), "{problems}");
}

#[test]
fn without_consistency_the_replicas_are_not_made_those_of_scale() {
    let yaml = "services: {a: {image: x, scale: 3, deploy: {mode: replicated}}}\n";
    let replicas =
        |project: &crate::Project| project.services["a"].deploy.as_ref().unwrap().replicas;
    assert_eq!(replicas(&load_text(yaml).unwrap().project), Some(3));
    assert_eq!(replicas(&skipping(yaml, Skip { consistency: true, ..Skip::default() })), None);
}
