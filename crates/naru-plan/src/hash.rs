//! Whether a definition has changed since something was made from it: stable hashes of resolved values.
//!
//! A hash is the SHA-256 of the definition's JSON with sorted keys. Left out is what does not change the
//! thing itself (for a service: `build`, `pull_policy`, `scale`, `deploy.replicas`, `depends_on`,
//! `profiles`, as in docker compose) and every `x-*` attribute.

use std::collections::{BTreeMap, BTreeSet};

use naru_compose::project::{Network, Project, Service, Volume};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Keys of a service that do not change its containers.
const IGNORED: [&str; 5] = ["build", "pull_policy", "scale", "depends_on", "profiles"];
/// Hexadecimal digits kept of the hash of a part.
const PART_DIGITS: usize = 16;

/// What a container was made from, without its values: one hash for all of it, and one for each part
/// so that the user can be told what has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fingerprint {
    /// The hash that decides.
    pub hash: String,
    /// Hashes of the parts by key, two levels deep (`image`, `environment.DEBUG`); may be empty.
    pub parts: BTreeMap<String, String>,
}

impl Fingerprint {
    /// Of a service, with the secrets and configs that it refers to.
    pub fn of(project: &Project, service: &Service) -> Self {
        let mut value = resolved(service);
        if let Value::Object(map) = &mut value {
            map.insert("#secrets".to_owned(), definitions(project, service, "secrets"));
            map.insert("#configs".to_owned(), definitions(project, service, "configs"));
        }
        let mut parts = BTreeMap::new();
        for (key, value) in entries(&value) {
            match value {
                Value::Object(inner) if !inner.is_empty() => {
                    for (name, value) in inner {
                        parts.insert(
                            format!("{}.{name}", key.trim_start_matches('#')),
                            short(value),
                        );
                    }
                }
                Value::Null | Value::Object(_) => {}
                value => {
                    parts.insert(key.to_owned(), short(value));
                }
            }
        }
        Self { hash: sha256(&value), parts }
    }

    /// The keys whose values differ; none when one side has no parts.
    pub fn changes(&self, other: &Self) -> Vec<String> {
        if self.parts.is_empty() || other.parts.is_empty() {
            return Vec::new();
        }
        let keys: BTreeSet<&String> = self.parts.keys().chain(other.parts.keys()).collect();
        keys.into_iter()
            .filter(|key| self.parts.get(*key) != other.parts.get(*key))
            .cloned()
            .collect()
    }
}

/// The hash of a service alone, as `config --hash` prints it.
pub fn service(service: &Service) -> String {
    sha256(&resolved(service))
}

/// The hash of a network's definition.
pub fn network(network: &Network) -> String {
    sha256(&json(network))
}

/// The hash of a volume's definition.
pub fn volume(volume: &Volume) -> String {
    sha256(&json(volume))
}

fn resolved(service: &Service) -> Value {
    let mut value = json(service);
    if let Value::Object(map) = &mut value {
        map.retain(|key, _| !IGNORED.contains(&key.as_str()));
        if let Some(Value::Object(deploy)) = map.get_mut("deploy") {
            deploy.remove("replicas");
        }
    }
    value
}

/// The project's definitions of the secrets or configs that a service refers to.
fn definitions(project: &Project, service: &Service, kind: &str) -> Value {
    let (references, objects) = match kind {
        "secrets" => (&service.secrets, &project.secrets),
        _ => (&service.configs, &project.configs),
    };
    let found = references.iter().filter_map(|reference| {
        Some((reference.source.clone(), json(objects.get(&reference.source)?)))
    });
    Value::Object(found.collect())
}

/// As JSON, without `x-*` attributes. All types of the model can be serialized; if one day one cannot,
/// its hash stays the same instead of failing the command.
fn json(of: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(of).unwrap_or_default();
    drop_extensions(&mut value);
    value
}

fn drop_extensions(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("#extensions");
            map.values_mut().for_each(drop_extensions);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_extensions),
        _ => {}
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

fn short(value: &Value) -> String {
    let mut digits = sha256(value);
    digits.truncate(PART_DIGITS);
    digits
}

fn sha256(value: &Value) -> String {
    let mut text = String::new();
    write_sorted(value, &mut text);
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON with sorted keys, whatever features `serde_json` was built with.
fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            text.push('{');
            for (key, value) in sorted {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_sorted(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(list) => {
            text.push('[');
            for value in list {
                write_sorted(value, text);
                text.push(',');
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn project(value: Value) -> Project {
        serde_json::from_value(value).unwrap()
    }

    fn service_of(value: Value) -> Service {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn keys_that_do_not_change_the_container_are_left_out() {
        let plain =
            service_of(json!({"image": "a", "deploy": {"resources": {"limits": {"pids": 3}}}}));
        let other = service_of(json!({
            "image": "a", "scale": 3, "profiles": ["x"], "pull_policy": "always", "build": {"context": "/b"},
            "depends_on": {"db": {"condition": "service_started", "required": true}},
            "deploy": {"replicas": 3, "resources": {"limits": {"pids": 3}}},
            "#extensions": {"x-note": "hello"}
        }));
        assert_eq!(service(&plain), service(&other));
    }

    #[test]
    fn the_hash_of_a_known_service_never_changes() {
        let known = service_of(json!({"image": "busybox", "environment": {"B": "2", "A": null}}));
        assert_eq!(
            service(&known),
            "76108f699ed5555f7e1a6923986cef475c2dd0eea95f13856217a2b604dd685d"
        );
    }

    #[test]
    fn a_fingerprint_names_what_has_changed() {
        let print = |value| {
            let service = service_of(value);
            Fingerprint::of(&Project::default(), &service)
        };
        let before =
            print(json!({"image": "a", "environment": {"A": "1", "B": "2"}, "command": ["x"]}));
        let after = print(json!({"image": "a", "environment": {"A": "1", "B": "3", "C": "4"}}));
        assert_eq!(before.changes(&after), ["command", "environment.B", "environment.C"]);
        assert_ne!(before.hash, after.hash);
        assert_eq!(before.changes(&Fingerprint::default()), Vec::<String>::new());
    }

    #[test]
    fn the_content_of_an_inline_config_is_part_of_the_fingerprint() {
        let service = service_of(json!({"image": "a", "configs": [{"source": "conf"}]}));
        let with = |content: &str| {
            project(
                json!({"configs": {"conf": {"content": content}, "other": {"content": content}}}),
            )
        };
        let (before, after) =
            (Fingerprint::of(&with("1"), &service), Fingerprint::of(&with("2"), &service));
        assert_eq!(before.changes(&after), ["configs.conf"]);
    }

    #[test]
    fn networks_and_volumes_have_hashes_of_their_own() {
        let make = |internal| Network { internal, ..Network::default() };
        assert_ne!(network(&make(true)), network(&make(false)));
        let make = |driver: &str| Volume { driver: driver.to_owned(), ..Volume::default() };
        assert_ne!(volume(&make("local")), volume(&make("")));
    }
}
