//! Where values come from.

use super::Directory;
use crate::{LoadRequest, Loaded};

fn loaded(directory: &Directory, environment: &[(&str, &str)]) -> Loaded {
    let request = LoadRequest { history: true, ..directory.request(environment) };
    crate::load(&request).unwrap_or_else(|problems| panic!("{problems}"))
}

fn explain(files: &[(&str, &str)], environment: &[(&str, &str)], paths: &[&str]) -> String {
    let directory = Directory::with(files);
    let loaded = loaded(&directory, environment);
    let explained = paths.iter().map(|path| match loaded.explain(path) {
        Ok(explanation) => explanation.to_string(),
        Err(unknown) => format!("{unknown}: {}", unknown.hint.as_deref().unwrap_or_default()),
    });
    directory.plain(&explained.collect::<Vec<_>>().join("\n\n"))
}

const BASE: &str = "\
x-common: &common
  restart: always
  labels: {team: a}
services:
  base:
    image: base:1
    environment:
      LEVEL: info
      FROM_BASE: 'yes'
  web:
    <<: *common
    extends: base
    image: web:${TAG:-latest}
    env_file: [one.env, two.env]
    ports: ['${PORT}:80']
    environment:
      DB_URL: postgres://${DB_HOST:-db}/shop
      LEVEL: debug
      TOKEN:
    cap_add: [CHOWN]
";

const OVER: &str = "\
services:
  web:
    restart: 'no'
    environment:
      DB_URL: postgres://${DB_USER}@${DB_HOST:-db}/shop
    cap_add: !override [KILL]
    labels: !reset null
";

const FILES: [(&str, &str); 5] = [
    ("compose.yaml", BASE),
    ("compose.override.yaml", OVER),
    (".env", "PORT=8080\n# the user\nDB_USER=app\nDB_HOST=\n"),
    ("one.env", "A=1\nB=one\nLEVEL=trace\n"),
    ("two.env", "\nB=\"two ${PORT}\"\n"),
];

#[test]
fn a_merged_value_names_the_file_that_won_the_one_that_lost_and_the_variables() {
    insta::assert_snapshot!(explain(&FILES, &[], &["services.web.environment.DB_URL"]));
}

#[test]
fn a_variable_comes_from_the_shell_a_file_or_its_default() {
    let paths = ["services.web.image", "services.web.environment.TOKEN"];
    insta::assert_snapshot!(explain(&FILES, &[("TAG", "9"), ("TOKEN", "t")], &paths));
    insta::assert_snapshot!(explain(&FILES, &[], &["services.web.image"]));
}

#[test]
fn env_files_say_which_line_won_and_lose_against_the_environment() {
    let paths = [
        "services.web.environment.A",
        "services.web.environment.B",
        "services.web.environment.LEVEL",
    ];
    insta::assert_snapshot!(explain(&FILES, &[], &paths));
}

#[test]
fn what_is_extended_or_shared_by_an_anchor_names_the_place_that_took_it_over() {
    let paths = ["services.web.environment.FROM_BASE", "services.web.restart"];
    insta::assert_snapshot!(explain(&FILES, &[], &paths));
}

#[test]
fn override_and_reset_say_what_they_removed() {
    let paths = ["services.web.cap_add[0]", "services.web.labels", "services.web.labels.team"];
    insta::assert_snapshot!(explain(&FILES, &[], &paths));
}

#[test]
fn a_short_form_is_the_origin_of_its_parts_and_defaults_say_their_reason() {
    let paths = ["services.web.ports[0]", "services.web.networks", "networks", "name"];
    insta::assert_snapshot!(explain(&FILES, &[], &paths));
}

#[test]
fn included_files_name_the_include_and_have_variables_of_their_own() {
    let files = [
        ("compose.yaml", "include:\n  - lib/b.yaml\nservices:\n  a: {tty: true}\n"),
        ("lib/b.yaml", "services:\n  a:\n    image: x:${TAG}\n    tty: false\n"),
        ("lib/.env", "TAG=own\n"),
    ];
    insta::assert_snapshot!(explain(&files, &[], &["services.a.image", "services.a.tty"]));
}

#[test]
fn attributes_that_config_does_not_print_are_explained_from_the_files() {
    insta::assert_snapshot!(explain(&FILES, &[], &["services.web.env_file[0].path"]));
}

#[test]
fn a_path_that_leads_nowhere_is_an_error_with_a_hint() {
    let paths = ["services.wbe.image", "services.web.ports[3]", "services.web.environment.DB_UL"];
    insta::assert_snapshot!(explain(&FILES, &[], &paths));
}

#[test]
fn the_json_form_has_one_entry_per_value() {
    let directory = Directory::with(&FILES);
    let explanation = loaded(&directory, &[]).explain("services.web.cap_add").unwrap();
    let json = serde_json::to_string_pretty(&explanation).unwrap();
    insta::assert_snapshot!(json);
}
