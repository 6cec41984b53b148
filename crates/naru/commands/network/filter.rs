//! `--filter` of networks, and their place in a list.

use std::collections::BTreeSet;

use naru_supervisor::network::predefined;
use naru_supervisor::network::shared::{self, Known};

use super::failed;
use crate::error::CommandError;
use crate::settings::Settings;

/// What is asked for: values of one key are alternatives, but for labels, all of which are asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter(Vec<(String, String)>);

impl Filter {
    /// Reads `key=value` words.
    pub(super) fn parse(words: &[String], known: &[&str]) -> Result<Self, CommandError> {
        let parse = |word: &String| {
            let (key, value) = word.split_once('=').ok_or_else(|| {
                CommandError::user(format!("invalid argument \"{word}\" for \"-f, --filter\" flag: bad format of filter (expected name=value)"))
            })?;
            match known.contains(&key) {
                true => Ok((key.to_owned(), value.to_owned())),
                false => Err(CommandError::user(format!("invalid filter '{key}'"))),
            }
        };
        Ok(Self(words.iter().map(parse).collect::<Result<_, _>>()?))
    }

    fn of(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    /// Whether one of a key's values is as it should be; none is no condition.
    fn any(&self, key: &str, fits: impl Fn(&str) -> bool) -> bool {
        let mut values = self.of(key).peekable();
        values.peek().is_none() || values.any(fits)
    }

    /// Whether a network fits. `is_used`: a container is in it.
    pub(super) fn fits(&self, known: &Known, is_used: &dyn Fn(&Known) -> bool) -> bool {
        let record = &known.record;
        let label = |wanted: &str| match wanted.split_once('=') {
            Some((key, value)) => record.labels.get(key).is_some_and(|own| own == value),
            None => record.labels.contains_key(wanted),
        };
        let kind = if predefined::is_one(&record.name) { "builtin" } else { "custom" };
        self.any("name", |text| record.name.contains(text))
            && self.any("id", |text| record.id.starts_with(text))
            && self.any("driver", |text| record.driver.name() == text)
            && self.any("scope", |text| text == "local")
            && self.any("type", |text| text == kind)
            && self.any("dangling", |text| is_yes(text) != is_used(known))
            && self.of("label").all(label)
            && !self.of("label!").any(label)
    }
}

fn is_yes(text: &str) -> bool {
    matches!(text, "1" | "t" | "true" | "True" | "TRUE")
}

/// All networks, with the labels that docker compose gives to those of projects.
pub(super) fn all(settings: &Settings) -> Result<Vec<Known>, CommandError> {
    let mut all = shared::all(&settings.directories).map_err(failed)?;
    all.iter_mut().for_each(label);
    Ok(all)
}

/// Adds docker compose's labels to a project's network.
pub(super) fn label(known: &mut Known) {
    let Some((project, key)) = &known.project else { return };
    let labels = &mut known.record.labels;
    labels.insert("com.docker.compose.project".to_owned(), project.to_string());
    labels.insert("com.docker.compose.network".to_owned(), key.clone());
}

/// The names of the networks that a container is in.
pub(super) fn used(settings: &Settings, all: &[Known]) -> Result<BTreeSet<String>, CommandError> {
    let mut used = BTreeSet::new();
    for known in all {
        if !shared::users(&settings.directories, known).map_err(failed)?.is_empty() {
            used.insert(known.record.name.clone());
        }
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let record = serde_json::json!({
            "name": "shop_front", "id": "abcdef", "bridge": "nb-1", "internal": false, "config_hash": "",
            "labels": {"tier": "front", "note": ""},
        });
        Known { record: serde_json::from_value(record).unwrap(), project: None }
    }

    fn fits(words: &[&str], is_used: bool) -> bool {
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        let known_keys = ["name", "id", "driver", "scope", "type", "label", "dangling"];
        Filter::parse(&words, &known_keys).unwrap().fits(&known(), &|_| is_used)
    }

    #[test]
    fn values_of_a_key_are_alternatives_and_keys_and_labels_are_conditions() {
        assert!(fits(&[], false));
        assert!(fits(&["name=front", "name=other"], false));
        assert!(!fits(&["name=other"], false));
        assert!(!fits(&["name=front", "driver=macvlan"], false));
        assert!(fits(&["id=abc", "scope=local", "type=custom"], false));
        assert!(fits(&["label=tier=front", "label=note"], false));
        assert!(!fits(&["label=tier=front", "label=none"], false));
        assert!(fits(&["dangling=true"], false) && !fits(&["dangling=true"], true));
    }

    #[test]
    fn a_key_that_nobody_knows_is_named() {
        let error = Filter::parse(&["colour=red".to_owned()], &["name"]).unwrap_err();
        assert_eq!(error.message(), "invalid filter 'colour'");
    }
}
