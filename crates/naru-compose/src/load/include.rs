//! `include`: taking in other projects.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use super::dotenv;
use super::environment::{Scope, read_env_files};
use super::files::{join, real};
use super::model::{self, Context, File};
use super::request::State;
use crate::merge::{merge_resource, text_to_list};
use crate::path::Path;
use crate::problem::Code;
use crate::schema::{INCLUDE, check};
use crate::source::Position;
use crate::tree::{Map, Node};

/// What an included project brings along.
const KINDS: [&str; 6] = ["services", "networks", "volumes", "secrets", "configs", "models"];

/// Files included deeper than this are refused.
const DEPTH_LIMIT: usize = 32;

/// Takes in what the document includes; where both say something, the document wins.
pub(super) fn apply(document: &mut Node, file: &FilePath, context: &Context, state: &mut State) {
    let Some(map) = document.as_map_mut() else { return };
    let Some(mut list) = map.remove("include") else { return };
    let (root, included) = (Path::ROOT, context.included.len());
    let path = root.key("include");
    check(&mut list, &INCLUDE, &path, &mut state.report);
    if included > DEPTH_LIMIT {
        state.report.error(
            list.at,
            &path,
            format!("more than {DEPTH_LIMIT} files include each other"),
        );
        return;
    }
    for (index, entry) in list.as_list().iter().enumerate() {
        let files = entry.as_map().and_then(|map| map.get("path")).unwrap_or(entry);
        let mut files = std::slice::from_ref(files).iter().chain(files.as_list());
        let at = (entry.at, &path.index(index));
        if files.any(|file| file.as_text().is_some_and(|file| model::is_remote(file, at, state))) {
            continue;
        }
        let Some(include) = Include::new(entry, context) else { continue };
        let imported = include.load(file, (entry.at, &path.index(index)), context, state);
        if let Some(mut imported) = imported {
            import(map, &mut imported, state);
        }
    }
}

/// One entry of `include`, with absolute paths.
struct Include {
    files: Vec<PathBuf>,
    directory: PathBuf,
    env_files: Vec<PathBuf>,
}

impl Include {
    fn new(entry: &Node, context: &Context) -> Option<Self> {
        let absolute = |text: &str| join(&context.directory, FilePath::new(text));
        if let Some(text) = entry.as_text() {
            return Self::of(vec![absolute(text)], None, Vec::new());
        }
        let map = entry.as_map()?;
        let texts = |key: &str| {
            let mut node = map.get(key).cloned().unwrap_or_else(|| Node::empty_map(entry.at));
            text_to_list(&mut node);
            let texts = node.as_list().iter().filter_map(Node::as_text);
            texts.map(absolute).collect::<Vec<_>>()
        };
        Self::of(texts("path"), map.text("project_directory").map(absolute), texts("env_file"))
    }

    fn of(
        files: Vec<PathBuf>,
        directory: Option<PathBuf>,
        mut env_files: Vec<PathBuf>,
    ) -> Option<Self> {
        let parent = files.first()?.parent().map(FilePath::to_owned);
        let directory = directory.or(parent).unwrap_or_default();
        if env_files.is_empty() && directory.join(".env").is_file() {
            env_files.push(directory.join(".env"));
        }
        Some(Self { files, directory, env_files })
    }

    fn load(
        self,
        file: &FilePath,
        at: (Position, &Path),
        context: &Context,
        state: &mut State,
    ) -> Option<Node> {
        let mut included = context.included.clone();
        included.push(file.to_owned());
        let known: Vec<PathBuf> = included.iter().map(|file| real(file)).collect();
        if let Some(again) = self.files.iter().find(|file| known.contains(&real(file))) {
            let chain = included.iter().chain([again]).map(|file| state.sources.name(file));
            let chain: Vec<String> = chain.collect();
            let message = format!("include cycle detected: {}", chain.join(" -> "));
            let finding = state.report.error(at.0, at.1, message).code(Code::CYCLE);
            finding.hint("remove one of these includes");
            state.incomplete = true;
            return None;
        }
        let files: Option<Vec<File>> =
            self.files.iter().map(|file| model::read_named(file, at, state)).collect();
        state.incomplete |= files.is_none();
        let (variables, numbers) =
            read_env_files(&self.env_files, &context.environment, at.0, state.texts());
        let copied = dotenv::weight(&context.environment) + dotenv::weight(&variables);
        let State { budget, report, .. } = &mut *state;
        if !budget.pay(copied, at.0, at.1, report) {
            return None;
        }
        let mut environment = BTreeMap::clone(&context.environment);
        for (name, value) in variables {
            environment.entry(name).or_insert(value);
        }
        let environment = Arc::new(environment);
        let (home, directory) = (context.home.clone(), self.directory);
        let outer = Some(context.scope);
        let scope = Scope {
            environment: Arc::clone(&environment),
            outer,
            groups: vec![numbers],
            files: self.env_files.clone(),
        };
        let scope = state.add_scope(scope);
        let root = context.root.clone();
        let inner = Context { directory, environment, scope, included, home, root };
        let tree = model::load(files?, &inner, state);
        state.report.enter(context.scope);
        Some(tree)
    }
}

fn import(map: &mut Map, imported: &mut Node, state: &mut State) {
    for kind in KINDS {
        let Some(source) = imported.as_map_mut().and_then(|map| map.map_mut(kind)) else {
            continue;
        };
        let source = std::mem::take(source);
        if !map.has(kind) || map.get(kind).is_some_and(Node::is_null) {
            map.set(kind, Node::empty_map(Position::NOWHERE));
        }
        let Some(target) = map.map_mut(kind) else { continue };
        for (name, mut entry) in *source.0 {
            if let Some(own) = target.0.get_mut(&name) {
                let own = std::mem::replace(own, entry.clone());
                merge_resource(&mut entry.node, own.node, (kind, &name), &mut state.report);
            }
            target.0.insert(name, entry);
        }
    }
}
