//! A project whose variables are not replaced.

use std::collections::BTreeMap;

use serde_yaml::Mapping;

use crate::interpolate::variables;
use crate::print::{self, Document, Sort};
use crate::problem::Problem;
use crate::tree::{Node, Value};

/// What a set of Compose files says with the variables still in it: merged, checked and with short
/// forms resolved as far as that is possible.
#[derive(Debug, Clone)]
pub struct Template {
    /// What is probably a mistake.
    pub warnings: Vec<Problem>,
    pub(crate) tree: Node,
}

/// A variable that Compose files refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// The `d` of `${V:-d}`; empty when there is none.
    pub default: String,
    /// The `a` of `${V:+a}`; empty when there is none.
    pub alternative: String,
    /// Whether some `${V:?}` demands a value.
    pub required: bool,
}

impl Template {
    /// The text of `config --no-interpolate --format json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut document = document(&self.tree);
        print::sort_all(&mut document, Sort::Bytes);
        print::to_json(&document, 2)
    }

    /// The text of `config --no-interpolate`.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut document = document(&self.tree);
        print::sort_all(&mut document, Sort::Natural);
        print::to_yaml(&document, 2)
    }

    /// The names in a section of the top level, such as `services`, sorted.
    #[must_use]
    pub fn names(&self, section: &str) -> Vec<String> {
        let section = self.tree.as_map().and_then(|map| map.map(section));
        let mut names: Vec<String> =
            section.into_iter().flat_map(|map| map.0.keys()).cloned().collect();
        names.sort();
        names
    }

    /// The texts of one attribute of all services, with the services' names.
    #[must_use]
    pub fn texts(&self, section: &str, attribute: &str) -> Vec<(String, Vec<String>)> {
        let section = self.tree.as_map().and_then(|map| map.map(section));
        let text = |node: &Node| match &node.value {
            Value::List(entries) => entries.iter().filter_map(Node::scalar_text).collect(),
            _ => node.scalar_text().into_iter().collect(),
        };
        let one = |(name, node): (&String, &Node)| {
            let value = node.as_map().and_then(|map| map.get(attribute));
            (name.clone(), value.map(text).unwrap_or_default())
        };
        let mut texts: Vec<_> = section.into_iter().flat_map(|map| map.iter()).map(one).collect();
        texts.sort();
        texts
    }

    /// The variables as `config --variables --format yaml` prints them.
    #[must_use]
    pub fn variables_to_yaml(&self) -> String {
        let row = |(name, variable): (String, Variable)| {
            let Variable { default, alternative, required } = variable;
            let fields: Mapping = [
                ("name".into(), name.as_str().into()),
                ("defaultvalue".into(), default.into()),
                ("presencevalue".into(), alternative.into()),
                ("required".into(), required.into()),
            ]
            .into_iter()
            .collect();
            (Document::from(name), Document::from(fields))
        };
        let mut rows = Document::Mapping(self.variables().into_iter().map(row).collect());
        if let Document::Mapping(map) = &mut rows {
            print::sort_keys(map);
        }
        print::to_yaml(&rows, 4)
    }

    /// The variables as `config --variables --format json` prints them.
    #[must_use]
    pub fn variables_to_json(&self) -> String {
        let row = |(name, variable): (String, Variable)| {
            let Variable { default, alternative, required } = variable;
            let fields: Mapping = [
                ("Name".into(), name.as_str().into()),
                ("DefaultValue".into(), default.into()),
                ("PresenceValue".into(), alternative.into()),
                ("Required".into(), required.into()),
            ]
            .into_iter()
            .collect();
            (Document::from(name), Document::from(fields))
        };
        let rows: Mapping = self.variables().into_iter().map(row).collect();
        print::to_json(&rows.into(), 4)
    }

    /// The project's name; empty without normalisation when no file says it.
    #[must_use]
    pub fn project_name(&self) -> &str {
        self.tree.as_map().and_then(|map| map.text("name")).unwrap_or("")
    }

    /// Every variable that a value refers to, by name.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, Variable> {
        let mut found = BTreeMap::new();
        collect(&self.tree, &mut found);
        found
    }
}

fn collect(node: &Node, found: &mut BTreeMap<String, Variable>) {
    match &node.value {
        Value::Text(text) => variables(text, &mut |name, variable| {
            let known = found.entry(name.to_owned()).or_default();
            known.required |= variable.required;
            if known.default.is_empty() {
                known.default = variable.default;
            }
            if known.alternative.is_empty() {
                known.alternative = variable.alternative;
            }
        }),
        Value::List(entries) => entries.iter().for_each(|entry| collect(entry, found)),
        Value::Map(map) => map.iter().for_each(|(_, value)| collect(value, found)),
        _ => {}
    }
}

/// The tree as it is printed.
fn document(node: &Node) -> Document {
    match &node.value {
        Value::Null | Value::Broken => Document::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text(text) | Value::Date(text) => text.as_str().into(),
        Value::List(entries) => entries.iter().map(document).collect::<Vec<_>>().into(),
        Value::Map(map) => {
            let entries = map.iter().map(|(key, node)| (key.as_str().into(), document(node)));
            entries.collect::<Mapping>().into()
        }
    }
}
