//! Paths as people write them, and the values they lead to.

use serde_json::Value;

use super::Unknown;
use crate::schema::closest;

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// To the value of a key.
    Key(String),
    /// To an entry of a list.
    Index(usize),
}

/// The value at a path, and its steps. A key with dots is found without quotes too.
pub(super) fn find<'v>(root: &'v Value, path: &str) -> Result<(Vec<Step>, &'v Value), Unknown> {
    let (mut way, mut value, mut rest) = (Vec::new(), root, path.trim());
    loop {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return Ok((way, value));
        }
        let known = |key: &str| value.as_object().is_some_and(|map| map.contains_key(key));
        let (step, after) = match known_key(value, rest) {
            Some(key) => (Step::Key(key.to_owned()), &rest[key.len()..]),
            None => next(rest),
        };
        let next = match (&step, value) {
            (Step::Key(key), Value::Object(map)) if known(key) => map.get(key),
            (Step::Index(index), Value::Array(list)) => list.get(*index),
            (Step::Key(key), Value::Array(list)) => {
                key.parse::<usize>().ok().and_then(|index| list.get(index))
            }
            _ => None,
        };
        let Some(next) = next else { return Err(unknown(&way, &step, value)) };
        let step = match (step, value) {
            (Step::Key(key), Value::Array(_)) => Step::Index(key.parse().unwrap_or_default()),
            (step, _) => step,
        };
        way.push(step);
        (value, rest) = (next, after);
    }
}

/// The longest key of a mapping that the text starts with.
fn known_key<'v>(value: &'v Value, text: &str) -> Option<&'v str> {
    let keys = value.as_object()?.keys().map(String::as_str);
    let whole = |key: &&str| {
        let rest = text.strip_prefix(key);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    keys.filter(whole).max_by_key(|key| key.len())
}

/// The next step of a text, and what comes after it.
fn next(text: &str) -> (Step, &str) {
    if let Some((inner, after)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let step = match inner.parse() {
            Ok(index) => Step::Index(index),
            Err(_) => Step::Key(inner.trim_matches(['"', '\'']).to_owned()),
        };
        return (step, after);
    }
    for quote in ['"', '\''] {
        if let Some((inner, after)) =
            text.strip_prefix(quote).and_then(|text| text.split_once(quote))
        {
            return (Step::Key(inner.to_owned()), after);
        }
    }
    // A bracket at the very start that is not closed is part of the name.
    let end = text.char_indices().skip(1).find(|(_, c)| matches!(c, '.' | '['));
    let end = end.map_or(text.len(), |(index, _)| index);
    (Step::Key(text[..end].to_owned()), &text[end..])
}

/// The steps of a path by its text alone.
pub(super) fn parse(path: &str) -> Vec<Step> {
    let (mut way, mut rest) = (Vec::new(), path.trim());
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let (step, after) = next(rest);
        way.push(step);
        rest = after;
    }
    way
}

/// The steps as a path.
pub(super) fn print(way: &[Step]) -> String {
    let mut text = String::new();
    for step in way {
        match step {
            Step::Index(index) => text += &format!("[{index}]"),
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                if key.contains(['.', '[', ']']) {
                    text += &format!("\"{key}\"");
                } else {
                    text += key;
                }
            }
        }
    }
    text
}

fn unknown(way: &[Step], step: &Step, value: &Value) -> Unknown {
    let hint = match (value, step) {
        (Value::Object(map), Step::Key(key)) => {
            let keys = || map.keys().map(String::as_str);
            match closest(key, keys()) {
                Some(similar) => Some(format!("did you mean `{similar}`?")),
                None if map.is_empty() => Some("it is empty".to_owned()),
                None => Some(format!("there is {}", list(keys()))),
            }
        }
        (Value::Object(map), Step::Index(_)) => {
            Some(format!("it is a mapping with {}", list(map.keys().map(String::as_str))))
        }
        (Value::Array(entries), _) => Some(match entries.len() {
            0 => "the list is empty".to_owned(),
            1 => "the list has one entry, [0]".to_owned(),
            count => format!("the list has the entries [0] to [{}]", count - 1),
        }),
        _ => None,
    };
    let missing = print(std::slice::from_ref(step));
    Unknown { missing, parent: print(way), hint }
}

/// Names for a sentence, not too many.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<&str> = names.collect();
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > SHOWN {
        format!(" and {} more", names.len() - SHOWN)
    } else {
        String::new()
    };
    shown.join(", ") + &more
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(path: &str, expect: &str) {
        let value =
            json!({"services": {"web": {"labels": {"a.b": "1", "a": "2"}, "ports": [80, 81]}}});
        let found = match find(&value, path) {
            Ok((way, value)) => format!("{} = {value}", print(&way)),
            Err(unknown) => format!("{unknown} ({})", unknown.hint.as_deref().unwrap_or_default()),
        };
        assert_eq!(found, expect, "{path}");
    }

    #[test]
    fn keys_with_dots_are_found_with_and_without_quotes() {
        check("services.web.labels.a.b", "services.web.labels.\"a.b\" = \"1\"");
        check("services.web.labels.\"a.b\"", "services.web.labels.\"a.b\" = \"1\"");
        check("services.web.labels[\"a.b\"]", "services.web.labels.\"a.b\" = \"1\"");
        check("services.web.labels.a", "services.web.labels.a = \"2\"");
    }

    #[test]
    fn entries_are_named_by_number_in_both_ways() {
        check("services.web.ports[1]", "services.web.ports[1] = 81");
        check("services.web.ports.0", "services.web.ports[0] = 80");
        check("services.web.ports", "services.web.ports = [80,81]");
    }

    #[test]
    fn a_path_that_leads_nowhere_says_what_there_is() {
        check("services.wbe.ports", "there is no `wbe` in services (did you mean `web`?)");
        check("servics", "there is no `servics` (did you mean `services`?)");
        check(
            "services.web.ports[2]",
            "there is no `[2]` in services.web.ports (the list has the entries [0] to [1])",
        );
        check(
            "services.web.zzzzzz",
            "there is no `zzzzzz` in services.web (there is `labels`, `ports`)",
        );
    }
}
