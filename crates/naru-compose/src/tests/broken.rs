//! Broken files: what the reader gets to see.

use std::fmt::Write;

use super::Directory;

/// Messages for files with one mistake each, one after the other.
fn messages(files: &[&str]) -> String {
    files.iter().map(|yaml| message(&[("compose.yaml", yaml)])).collect()
}

fn message(files: &[(&str, &str)]) -> String {
    let directory = Directory::with(files);
    let problems = match crate::load(&directory.request(&[("SET", "1")])) {
        Ok(loaded) => panic!("it loads: {}\n{:?}", files[0].1, loaded.project),
        Err(problems) => directory.plain(&problems.to_string()),
    };
    let mut text = String::new();
    writeln!(text, "{problems}\n").unwrap();
    text
}

/// A file with one service that has this attribute.
fn service(attribute: &str) -> String {
    format!("services:\n  web:\n    image: nginx\n    {attribute}\n")
}

#[test]
fn texts_that_are_not_yaml() {
    insta::assert_snapshot!(messages(&[
        "services:\n\tweb:\n",
        "services:\n  web: {image: nginx\n",
        "services:\n  web:\n    image: \"nginx\n",
        "services:\n  web: *nobody\n",
        "services:\n  web:\n    image: a\n    image: b\n",
        "services:\n  web:\n    environment:\n      1: a\n",
        "- web\n",
        "",
    ]));
}

#[test]
fn attributes_that_do_not_exist() {
    insta::assert_snapshot!(messages(&[
        &service("prots: [\"80\"]"),
        &service("depends-on: [db]"),
        &service("healthcheck: {tets: a}"),
        "service:\n  web: {image: nginx}\n",
        "image: nginx\nservices: {}\n",
        "web:\n  image: nginx\n",
    ]));
}

#[test]
fn values_of_the_wrong_kind() {
    insta::assert_snapshot!(messages(&[
        &service("ports: 80"),
        &service("user: 1000"),
        &service("environment: {DAY: 2020-01-01}"),
        &service("tty: perhaps"),
        &service("scale: many"),
        &service("mem_limit: 10 apples"),
        &service("stop_grace_period: 10"),
        &service("pull_policy: alwyas"),
        &service("volumes: [{type: bnid, source: /a, target: /b}]"),
        "services:\n  web:\n",
    ]));
}

#[test]
fn short_forms_that_are_wrong() {
    insta::assert_snapshot!(messages(&[
        &service("ports: [\"80:\"]"),
        &service("ports: [\"1-3:1-2\"]"),
        &service("ports: [\"::1:80:80\"]"),
        &service("volumes: [\"/a:/b:ro:z\"]"),
        &service("extra_hosts: [\"db\"]"),
        &service("command: echo \"hi"),
        &service("environment: [\"A =1\"]"),
    ]));
}

#[test]
fn interpolations_that_are_wrong() {
    insta::assert_snapshot!(messages(&[
        &service("labels: {a: \"price: ${1}\"}"),
        &service("hostname: ${NAME:?set the name of the host}"),
        &service("command: |\n      echo one\n      echo ${bad-name!}\n      echo ${}"),
    ]));
}

#[test]
fn references_to_nothing() {
    insta::assert_snapshot!(messages(&[
        &service("depends_on: [databse]\n  database: {image: postgres}"),
        &service("networks: [backend]"),
        &service("volumes: [\"data:/data\"]\nvolumes: {date: }"),
        &service("secrets: [token]"),
        "services:\n  web: {extends: bsae}\n  base: {image: nginx}\n",
        "services:\n  web: {extends: {file: nowhere.yaml, service: base}}\n",
        "include: [nowhere.yaml]\nservices: {web: {image: nginx}}\n",
        &service("env_file: nowhere.env"),
        &service("depends_on: [db]\n  db: {image: postgres, profiles: [full]}"),
    ]));
}

#[test]
fn attributes_that_contradict_each_other() {
    insta::assert_snapshot!(messages(&[
        "services:\n  web: {ports: [\"80\"]}\n",
        &service("network_mode: host\n    networks: [default]"),
        &service("scale: 2\n    deploy: {replicas: 3}"),
        &service("container_name: web\n    scale: 2"),
        &service("healthcheck: {test: [curl, localhost]}"),
        &service("volumes: [\"/a:/x\"]\n    tmpfs: /x"),
        &service("secrets: [s]\nsecrets: {s: {file: a, environment: B}}"),
        "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n",
        "services:\n  a: {image: x, container_name: one}\n  b: {image: x, container_name: one}\n",
    ]));
}

#[test]
fn several_mistakes_are_all_reported_in_one_run() {
    let base = "\
services:
  web:
    imagee: nginx
    ports: [\"80:\"]
  db:
    image: postgres
    networks: [back]
";
    let over = "services:\n  db:\n    ports: {a: b}\n    restart: 1\n";
    insta::assert_snapshot!(message(&[("compose.yaml", base), ("compose.override.yaml", over)]));
}

#[test]
fn mistakes_in_env_files_are_shown_in_the_env_file() {
    let files = [
        ("compose.yaml", "services: {a: {image: x, env_file: a.env}}\n"),
        ("a.env", "A=1\nB C=2\n"),
    ];
    insta::assert_snapshot!(message(&files));
}

const MUCH: &str = "\
services:
  web: {image: x, prots: ['80'], depends_on: [nobody], networks: [nowhere]}
  a: {image: x, depends_on: [b]}
  b: {image: x, depends_on: [a]}
  c: {image: x, network_mode: host, networks: [back], volumes: ['lost:/x'], secrets: [known]}
  d: {depends_on: [elsewhere]}
networks: {back: {drivr: x}}
secrets: {known: {fil: x}}
";

/// The headings of all problems.
fn headings(files: &[(&str, &str)]) -> String {
    let text = message(files);
    text.lines().filter(|line| line.starts_with("error: ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_does_not_fit_together_is_told_beside_what_is_wrong_by_itself_and_nothing_that_follows_from_it()
 {
    insta::assert_snapshot!(headings(&[("compose.yaml", MUCH)]), @r"
    error: a service has no attribute `prots`
    error: service `web` depends on undefined service `nobody`
    error: service `web` refers to undefined network `nowhere`
    error: dependency cycle detected: a -> b -> a
    error: `network_mode` and `networks` exclude each other
    error: service `c` refers to undefined volume `lost`
    error: service `d` has neither an image nor a build context specified
    error: service `d` depends on undefined service `elsewhere`
    error: a network has no attribute `drivr`
    error: a secret has no attribute `fil`
    ");
}

#[test]
fn what_a_file_that_cannot_be_used_may_declare_is_not_called_undefined() {
    let include = format!("include: [nowhere.yaml]\n{MUCH}");
    insta::assert_snapshot!(headings(&[("compose.yaml", &include)]), @r"
    error: there is no file /shop/nowhere.yaml
    error: a service has no attribute `prots`
    error: dependency cycle detected: a -> b -> a
    error: `network_mode` and `networks` exclude each other
    error: a network has no attribute `drivr`
    error: a secret has no attribute `fil`
    ");
    let syntax = [("compose.yaml", MUCH), ("compose.override.yaml", "services: [\n")];
    insta::assert_snapshot!(headings(&syntax), @r"
    error: a service has no attribute `prots`
    error: dependency cycle detected: a -> b -> a
    error: `network_mode` and `networks` exclude each other
    error: a network has no attribute `drivr`
    error: a secret has no attribute `fil`
    error: the `[` that opens here is not closed
    ");
}

#[test]
fn a_name_that_cannot_be_used_hides_no_other_problem() {
    let named = "name: '!!'\nservices: {a: {image: x, prots: 1, depends_on: [b]}}\n";
    insta::assert_snapshot!(headings(&[("compose.yaml", named)]), @r"
    error: the project name must not be empty: nothing of `!!` can be used
    error: a service has no attribute `prots`
    error: service `a` depends on undefined service `b`
    ");
}
