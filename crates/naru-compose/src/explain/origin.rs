//! What the final value of one attribute comes from.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::losers::text;
use super::way::{self, Step};
use super::{Explained, Explanation, Origin};
use crate::load::{Loaded, definitions};
use crate::source::Position;
use crate::tree::{How, Made, Node, Value};

impl Loaded {
    /// Where one value of the finished project comes from.
    pub(super) fn leaf(&self, way: &[Step], value: &Json) -> Explained {
        let nodes = self.nodes(way);
        let complete = nodes.len() > way.len();
        let mut lost = self.losers(&nodes, way);
        let mut with = self.steps(&nodes);
        let from = if let (Some(source), [Step::Key(key)]) = (self.past.name, way)
            && key == "name"
        {
            lost.extend(nodes.get(1).map(|node| self.loser(node, format!("{source} wins"))));
            self.placeless(format!("the project's name is given by {source}"))
        } else if complete {
            self.written(&nodes, way, &mut with)
        } else if let Some((origin, notes)) = self.folded(way, &mut lost) {
            with = notes;
            origin
        } else {
            with.clear();
            self.derived(way, value)
        };
        if complete {
            self.folded_losers(way, &mut lost);
        }
        if let Some(location) = &from.location {
            with.extend(self.readers(location));
        }
        Explained { path: way::print(way), value: Some(value.clone()), from, with, lost }
    }

    /// The nodes on the way, the root first, as far as there are any.
    fn nodes(&self, way: &[Step]) -> Vec<&Node> {
        let mut nodes = vec![&self.tree];
        for step in way {
            let next = match (step, nodes.last().map(|node| &node.value)) {
                // Some attributes are printed with a capital letter, as docker compose prints them.
                (Step::Key(key), Some(Value::Map(map))) => {
                    map.get(key).or_else(|| map.get(&key.to_ascii_lowercase()))
                }
                (Step::Index(index), Some(Value::List(entries))) => entries.get(*index),
                _ => None,
            };
            let Some(next) = next else { break };
            nodes.push(next);
        }
        nodes
    }

    /// The value of the last node.
    fn written(&self, nodes: &[&Node], way: &[Step], with: &mut Vec<Origin>) -> Origin {
        let Some(node) = nodes.last() else { return self.placeless("default") };
        let bare = node.steps().any(|step| matches!(step.how, How::Environment(_)));
        if bare {
            return self.placed("a name without a value takes that of the environment", node.at);
        }
        let default = nodes.iter().rev().skip(1).find_map(|node| node.made);
        if let (Some(Made::DefaultNetwork), Some(Made::ResourceName)) = (default, node.made) {
            with.push(self.placeless(Made::DefaultNetwork.reason()));
        }
        match (node.made, way) {
            (Some(Made::ResourceName), [Step::Key(kind), ..]) => {
                self.placed(format!("default: naru names {kind} PROJECT_KEY"), node.at)
            }
            (Some(made), _) => self.placed(made.reason(), node.at),
            (None, _) => self.placed("written here", node.at),
        }
    }

    /// What happened to the last node, and to the short form that it is part of.
    fn steps(&self, nodes: &[&Node]) -> Vec<Origin> {
        let mut found: Vec<Origin> = Vec::new();
        let parts = nodes.iter().rev().take_while(|node| node.made.is_some()).count();
        for node in nodes.iter().rev().take(parts + 1) {
            let mut of_node = Vec::new();
            for step in node.steps() {
                match step.how {
                    How::Template(scope) => {
                        of_node.extend(self.variables(&text(&step.node), scope));
                    }
                    How::Environment(scope) => {
                        let origin = self.bare(nodes, node, scope);
                        of_node.push(origin);
                    }
                    How::Alias => {
                        of_node
                            .push(self.placed("taken over through the alias here", step.node.at));
                    }
                    How::Extends => {
                        let message = format!("service `{}` is extended here", text(&step.node));
                        of_node.push(self.placed(message, step.node.at));
                    }
                    How::Merged | How::SameEntry | How::MergeKey => {}
                }
            }
            of_node.retain(|origin| !found.contains(origin));
            found.extend(of_node);
        }
        found
    }

    /// A name without a value, which takes it from the environment.
    fn bare(&self, nodes: &[&Node], node: &Node, scope: u32) -> Origin {
        let parent = nodes.iter().rev().nth(1).and_then(|parent| parent.as_map());
        let name = parent.and_then(|map| {
            map.iter().find(|(_, value)| std::ptr::eq(*value, node)).map(|(name, _)| name.as_str())
        });
        let mut origin = self.value_of(name.unwrap_or_default(), scope, String::new());
        origin.value = None;
        origin
    }

    /// The includes and extends that a file was read for, the innermost first.
    fn readers(&self, location: &crate::Location) -> Vec<Origin> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let mut file = self.sources.shown_number(&location.file);
        while let Some(number) = file.filter(|number| seen.insert(*number)) {
            let Some(at) = self.sources.reader(number) else { break };
            found.push(self.placed("the file is taken in here", at));
            file = Some(at.file);
        }
        found
    }

    /// A variable or label that comes from a file, and the definitions that lost.
    fn folded(&self, way: &[Step], lost: &mut Vec<Origin>) -> Option<(Origin, Vec<Origin>)> {
        let mut found = self.in_files(way);
        let (at, template, kind) = found.pop()?;
        for (earlier, template, _) in found.iter().rev() {
            let mut origin = self.placed(format!("{kind}: what comes later wins"), *earlier);
            origin.value.clone_from(template);
            lost.push(origin);
        }
        let notes = template.map(|template| self.variables(&template, 0)).unwrap_or_default();
        Some((self.placed(format!("from the {kind}"), at), notes))
    }

    /// Definitions in files that lost against the service's own attribute.
    fn folded_losers(&self, way: &[Step], lost: &mut Vec<Origin>) {
        let own = if let [_, _, Step::Key(own), _] = way { own.as_str() } else { return };
        for (at, template, kind) in self.in_files(way).into_iter().rev() {
            let mut origin = self.placed(format!("{kind}: `{own}` wins"), at);
            origin.value = template;
            lost.push(origin);
        }
    }

    /// The definitions of a variable or label in the files of a service, the winning one last.
    fn in_files(&self, way: &[Step]) -> Vec<(Position, Option<String>, &'static str)> {
        let [Step::Key(services), Step::Key(service), Step::Key(attribute), Step::Key(name)] = way
        else {
            return Vec::new();
        };
        let Some(files) = self.past.folded.get(service).filter(|_| services == "services") else {
            return Vec::new();
        };
        let (files, kind) = match attribute.as_str() {
            "environment" => (&files.variables, "env_file"),
            "labels" => (&files.labels, "label_file"),
            _ => return Vec::new(),
        };
        let mut found = Vec::new();
        for (file, raw) in files {
            let of_name = definitions(self.sources.text(*file), *raw).into_iter();
            for definition in of_name.filter(|definition| definition.name == *name) {
                let (line, column) = (definition.line, definition.column);
                let at = Position { file: *file, line, column };
                found.push((at, definition.template, kind));
            }
        }
        found
    }

    /// A value that no file says.
    fn derived(&self, way: &[Step], value: &Json) -> Origin {
        let keys: Vec<&str> = way
            .iter()
            .map(|step| if let Step::Key(key) = step { key.as_str() } else { "*" })
            .collect();
        match keys[..] {
            ["name"] => self.placeless("the project's name is that of the directory"),
            ["services", service, "deploy", "replicas"] => {
                let way = ["services", service, "scale"].map(|key| Step::Key(key.to_owned()));
                let at = self.nodes(&way).last().map(|node| node.at);
                self.placed(Made::Scale.reason(), at.unwrap_or(Position::NOWHERE))
            }
            ["secrets" | "configs", _, "content"] => {
                let way = [way[0].clone(), way[1].clone(), Step::Key("environment".to_owned())];
                let node = self.nodes(&way).last().copied().unwrap_or(&self.tree);
                self.value_of(&text(node), 0, String::new())
            }
            _ => {
                // The nearest place above it, since that is what brings it in.
                let at = self.nodes(way).last().map_or(Position::NOWHERE, |node| node.at);
                let message = match (value, keys.last()) {
                    (Json::Object(_) | Json::Array(_) | Json::Null, _) => {
                        "empty: it is printed although no file says it"
                    }
                    (_, Some(&("condition" | "required"))) => Made::Dependency.reason(),
                    _ => "default",
                };
                self.placed(message, at)
            }
        }
    }

    /// A value that the files say and `config` does not print, such as `env_file`.
    pub(super) fn explain_unprinted(&self, path: &str) -> Option<Explanation> {
        let way = way::parse(path);
        let nodes = self.nodes(&way);
        let node = *nodes.last().filter(|_| nodes.len() > way.len() && !way.is_empty())?;
        let value: Json = serde::Deserialize::deserialize(node).unwrap_or_default();
        let mut values = Vec::new();
        self.leaves(&way, &value, &mut values);
        Some(Explanation { path: way::print(&way), values })
    }

    /// A value that a file took back.
    pub(super) fn explain_taken(&self, path: &str) -> Option<Explanation> {
        let way = way::parse(path);
        let at = self.reset_at(&way)?;
        let path = way::print(&way);
        let from = self.placed("taken back here, so that there is no value", at);
        let lost = self.taken_at(&way);
        let value = Explained { path: path.clone(), value: None, from, with: Vec::new(), lost };
        Some(Explanation { path, values: vec![value] })
    }
}
