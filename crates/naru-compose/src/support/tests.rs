//! Refusals, notes, and the typed project against the schema.

use std::fmt::Display;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

use crate::project::{
    Attachment, Build, Deploy, FileObject, Healthcheck, Mount, Network, Port, Service, Volume,
};
use crate::schema::{PROJECT, Shape};
use crate::tests::load_text;

fn refusals(yaml: &str, services: &[&str]) -> String {
    let services: Vec<String> = services.iter().map(|name| (*name).to_owned()).collect();
    join(load_text(yaml).unwrap().refusals(&services))
}

fn join(problems: Vec<impl Display>) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

#[test]
fn what_cannot_run_yet_is_refused_at_its_place() {
    let yaml = "\
services:
  web:
    image: nginx
    privileged: true
    isolation: hyperv
    restart: sometimes
    logging: {driver: fluentd}
";
    insta::assert_snapshot!(refusals(yaml, &[]));
}

#[test]
fn dockers_socket_is_refused_by_name() {
    let yaml = "\
services:
  a:
    image: x
    volumes: [\"/var/run/docker.sock:/var/run/docker.sock:ro\"]
  b:
    image: x
    use_api_socket: true
";
    insta::assert_snapshot!(refusals(yaml, &[]));
}

#[test]
fn only_the_selected_services_and_what_they_need_are_looked_at() {
    let yaml = "\
services:
  a: {image: x, depends_on: [b]}
  b: {image: x, gpus: all, networks: [outside]}
  c: {image: x, privileged: true}
networks:
  outside: {driver: overlay}
";
    insta::assert_snapshot!(refusals(yaml, &["a"]));
    assert!(refusals(yaml, &["c"]).contains("privileged"));
}

#[test]
fn a_service_to_be_built_is_refused_by_its_own_question() {
    let yaml = "services:\n  web:\n    build: .\n";
    assert_eq!(refusals(yaml, &[]), "");
    let loaded = load_text(yaml).unwrap();
    insta::assert_snapshot!(loaded.build_refusal("web").unwrap().to_string());
}

#[test]
fn what_docker_compose_ignores_as_well_is_noted_once() {
    let yaml = "\
services:
  a: &service
    image: x
    deploy: {placement: {constraints: [\"node==a\"]}, replicas: 2}
  b: *service
";
    insta::assert_snapshot!(join(load_text(yaml).unwrap().notes()));
}

#[test]
fn values_that_change_nothing_are_not_refused() {
    let yaml = "\
services:
  a:
    image: x
    privileged: false
    devices: []
    pull_policy: never
    security_opt: [\"no-new-privileges:true\", seccomp=unconfined]
    links: [b]
    platform: linux/amd64
    logging: {driver: json-file, options: {max-size: 10m, labels: a}}
    x-naru-output: merged
  b: {image: x}
";
    assert_eq!(refusals(yaml, &[]), "");
}

#[test]
fn a_secret_whose_variable_is_not_set_is_refused() {
    let yaml = "\
services:
  a: {image: x, secrets: [token]}
secrets:
  token: {environment: TOKEN}
";
    insta::assert_snapshot!(refusals(yaml, &[]));
}

/// Names the fields of a struct.
struct Fields;

impl<'de> Deserializer<'de> for Fields {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom(fields.join(" ")))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields<'de, T: Deserialize<'de>>() -> Vec<String> {
    let names = T::deserialize(Fields).map(|_| String::new()).unwrap_or_else(|e| e.to_string());
    let mut names: Vec<String> = names.split(' ').map(str::to_owned).collect();
    names.retain(|name| name != "#extensions");
    names.sort();
    names
}

/// The keys of the object at the end of a way through the schema.
fn keys(way: &[&str]) -> Vec<String> {
    let mut shape = Shape::Object(&PROJECT);
    for segment in way {
        shape = *object(&shape).unwrap().field(segment).unwrap();
    }
    let mut keys: Vec<String> =
        object(&shape).unwrap().fields.iter().map(|(key, ..)| (*key).to_owned()).collect();
    keys.sort();
    keys
}

fn object(shape: &Shape) -> Option<&'static crate::schema::Object> {
    match shape {
        Shape::Object(object) => Some(object),
        Shape::Map(shape)
        | Shape::Named(shape)
        | Shape::List(shape)
        | Shape::Set(shape)
        | Shape::Optional(shape) => object(shape),
        Shape::OneOf(shapes) => shapes.iter().find_map(object),
        _ => None,
    }
}

#[test]
fn the_typed_project_has_every_attribute_of_the_schema() {
    let mut service = keys(&["services"]);
    // It is resolved while loading, and naru's own attributes are extensions.
    service.retain(|key| key != "extends" && !key.starts_with("x-"));
    assert_eq!(fields::<Service>(), service);
    assert_eq!(fields::<Build>(), keys(&["services", "build"]));
    assert_eq!(fields::<Deploy>(), keys(&["services", "deploy"]));
    assert_eq!(fields::<Healthcheck>(), keys(&["services", "healthcheck"]));
    assert_eq!(fields::<Mount>(), keys(&["services", "volumes"]));
    let mut port = keys(&["services", "ports"]);
    port.retain(|key| !key.starts_with("x-"));
    assert_eq!(fields::<Port>(), port);
    assert_eq!(fields::<Attachment>(), keys(&["services", "networks"]));
    assert_eq!(fields::<Network>(), keys(&["networks"]));
    assert_eq!(fields::<Volume>(), keys(&["volumes"]));
    let mut file = keys(&["secrets"]);
    file.push("content".to_owned());
    file.sort();
    assert_eq!(fields::<FileObject>(), file);
}
