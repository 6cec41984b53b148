//! From files to one tree, in the order docker compose has: of each document first the values are
//! interpolated, then what it includes is taken in, what it resets is removed, what it extends is
//! put below it, and it is merged onto what the files before it say. The result is held against
//! the schema and brought into its long form before the next document.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::files::{self, read};
use super::request::{Skip, State};
use super::{defaults, discover, extends, include, paths, reset, validate};
use crate::canonical::canonicalize;
use crate::interpolate::interpolate;
use crate::merge::{merge, unify};
use crate::path::Path;
use crate::problem::Code;
use crate::report::Report;
use crate::schema::{PROJECT, Shape, check};
use crate::source::Position;
use crate::tree::{How, Node, Value, parse};

/// A file that was read.
#[derive(Debug)]
pub(super) struct File {
    /// Absolute; `-` for standard input.
    pub(super) path: PathBuf,
    /// Its documents.
    pub(super) documents: Vec<Node>,
}

/// Where a set of files is, and what it knows.
#[derive(Debug)]
pub(super) struct Context {
    /// Directory that paths are relative to.
    pub(super) directory: PathBuf,
    /// Variables.
    pub(super) environment: Arc<BTreeMap<String, String>>,
    /// The number of the scope that these variables are.
    pub(super) scope: u32,
    /// The files that include this one, outermost first.
    pub(super) included: Vec<PathBuf>,
    /// Home directory, for `~`.
    pub(super) home: Option<PathBuf>,
    /// The project's own directory.
    pub(super) root: PathBuf,
}

impl Context {
    /// What paths of a file in `directory` are put onto: the directory itself, or the way to it
    /// from the project's directory when paths stay relative. Nothing when they stay as they are.
    pub(super) fn base(&self, directory: &std::path::Path, skip: Skip) -> Option<PathBuf> {
        if !skip.paths {
            return Some(directory.to_owned());
        }
        (directory != self.root).then(|| files::relative(&self.root, directory))
    }
}

/// Reads the project's own files. One that cannot be used is left out, and `state` is incomplete then.
pub(super) fn read_all(paths: &[PathBuf], state: &mut State) -> Vec<File> {
    let mut files = Vec::new();
    let mut unread = 0;
    for (index, path) in paths.iter().enumerate() {
        if path.as_os_str() == "-" && paths[..index].contains(path) {
            // It was read to its end, and says nothing more.
            unread += 1;
            continue;
        }
        let at = (Position::NOWHERE, &Path::ROOT);
        if is_remote(&path.to_string_lossy(), at, state) {
            continue;
        }
        let text = if path.as_os_str() == "-" { files::read_standard_input() } else { read(path) };
        match text {
            Ok(text) => files.extend(parse_text(path.clone(), text, state)),
            Err(error) => {
                refuse_file(error, (Position::NOWHERE, &Path::ROOT), state);
            }
        }
    }
    state.incomplete |= files.len() + unread < paths.len();
    files
}

/// Whether `file` is on another machine (git, https or an OCI registry), which is reported.
pub(super) fn is_remote(file: &str, (at, key): (Position, &Path), state: &mut State) -> bool {
    let remote = discover::is_remote(std::path::Path::new(file));
    if remote {
        let message = format!("`{file}` is on another machine, which is not possible yet");
        let hint = match at {
            Position::NOWHERE => "fetch it, and name the file with -f",
            _ => "fetch it, and name the file here",
        };
        state.report.error(at, key, message).code(Code::FILE).hint(hint);
    }
    remote
}

/// Reads a file that another one names at `at`. `None` when it cannot be used.
pub(super) fn read_named(
    path: &std::path::Path,
    (at, key): (Position, &Path),
    state: &mut State,
) -> Option<File> {
    match read(path) {
        Ok(text) => {
            let file = parse_text(path.to_owned(), text, state);
            state.sources.name_reader(at);
            file
        }
        Err(error) => {
            refuse_file(error, (at, key), state);
            None
        }
    }
}

/// Reports a file that cannot be read, at the place that names it or in the file itself.
fn refuse_file(error: files::Error, (at, key): (Position, &Path), state: &mut State) {
    let message = error.to_string();
    if let files::Error::NotText { path, text, line, column } = error {
        let here = Position { file: state.sources.add(&path, text), line, column };
        let finding = state.report.error(here, key, message).code(Code::SYNTAX);
        finding.hint("save the file as UTF-8").related(at, "the file is named here");
        return;
    }
    let is_directory = matches!(&error, files::Error::NotAFile(path) if path.is_dir());
    let hint = if at == Position::NOWHERE && is_directory {
        "name a file in it, or give the directory with --project-directory"
    } else if at == Position::NOWHERE {
        "correct the name given with -f or COMPOSE_FILE, or create the file"
    } else {
        "correct the path, which is relative to the file that names it, or create the file"
    };
    state.report.error(at, key, message).code(Code::FILE).hint(hint);
}

fn parse_text(path: PathBuf, text: String, state: &mut State) -> Option<File> {
    let State { budget, report, .. } = &mut *state;
    if !budget.pay(text.len(), Position::NOWHERE, &Path::ROOT, report) {
        return None;
    }
    let number = state.sources.add(&path, text);
    let mut documents = {
        let text = state.sources.text(number);
        parse(number, text, (&mut state.budget, &mut state.report))?
    };
    documents.retain(|document| !document.is_null());
    Some(File { path, documents })
}

/// The tree of a set of files, each merged onto the ones before it.
pub(super) fn load(files: Vec<File>, context: &Context, state: &mut State) -> Node {
    let mut tree = Node::empty_map(Position::NOWHERE);
    let mut bases = extends::Bases::default();
    for File { path, documents } in files {
        let start = Position { file: state.sources.number(&path), line: 1, column: 1 };
        if documents.is_empty() {
            state
                .report
                .error(start, &Path::ROOT, "the file is empty")
                .code(Code::MISSING_ATTRIBUTE)
                .hint("it needs `services:`");
        }
        for mut document in documents {
            if document.as_map().is_none() {
                let message = format!("a Compose file is a mapping, not {}", document.kind());
                let finding = state.report.error(document.at, &Path::ROOT, message);
                finding
                    .code(Code::WRONG_TYPE)
                    .hint("it starts with `services:`, and the services are indented below");
                continue;
            }
            if !state.budget.pay_for_merging(&tree, document.at, &mut state.report) {
                state.incomplete = true;
                return tree;
            }
            prepare(&mut document, context, state);
            let resets = reset::collect(&mut document);
            include::apply(&mut document, &path, context, state);
            state.taken.extend(reset::apply(&mut tree, &resets));
            let scope = extends::Scope { file: path.clone(), directory: context.directory.clone() };
            extends::apply(&mut document, &scope, (context, &resets), (&mut bases, state));
            merge(&mut tree, document, &mut state.report);
            unify(&mut tree, &mut state.report);
            check(&mut tree, &Shape::Object(&PROJECT), &Path::ROOT, &mut state.report);
            canonicalize(&mut tree, &mut state.budget, &mut state.report);
            unify(&mut tree, &mut state.report);
        }
    }
    defaults::apply(&mut tree, &mut state.report);
    if !state.incomplete {
        validate::check(&mut tree, &mut state.report);
    }
    if let Some(directory) = context.base(&context.directory, state.skip) {
        paths::resolve(&mut tree, &directory, context.home.as_deref());
    }
    if !state.templates {
        resolve_variables(&mut tree, context, state.skip, &mut state.report);
    }
    tree
}

/// Interpolates a document, and notes what is obsolete in it.
pub(super) fn prepare(document: &mut Node, context: &Context, state: &mut State) {
    state.report.enter(context.scope);
    if !state.templates {
        let lookup = |name: &str| context.environment.get(name).cloned();
        let State { sources, budget, report, .. } = &mut *state;
        interpolate(document, &Path::ROOT, &lookup, (sources, budget, report));
    }
    let Some(map) = document.as_map_mut() else { return };
    if let Some(entry) = map.0.shift_remove("version") {
        let (message, path) = ("the attribute `version` is obsolete and ignored", Path::ROOT);
        if entry.node.as_text().is_none() {
            let message = format!("`version` must be a text, not {}", entry.node.kind());
            let path = path.key("version");
            state
                .report
                .error(entry.node.at, &path, message)
                .code(Code::WRONG_TYPE)
                .hint("remove the line: it is obsolete");
            return;
        }
        let finding = state.report.warning(entry.key_at, &path.key("version"), message);
        finding.code(Code::OBSOLETE).hint("remove the line");
    }
}

/// Gives variables without a value the one of the environment; build arguments as a part of normalisation.
fn resolve_variables(tree: &mut Node, context: &Context, skip: Skip, report: &mut Report) {
    let services = tree.as_map_mut().and_then(|map| map.map_mut("services"));
    for (_, service) in services.into_iter().flat_map(|map| map.iter_mut()) {
        let Some(service) = service.as_map_mut() else { continue };
        resolve_bare(service.map_mut("environment"), context, report);
        let build = service.map_mut("build").filter(|_| !skip.normalization);
        if let Some(args) = build.and_then(|build| build.map_mut("args")) {
            resolve_bare(Some(args), context, report);
        }
    }
}

fn resolve_bare(map: Option<&mut crate::tree::Map>, context: &Context, report: &mut Report) {
    for (name, value) in map.into_iter().flat_map(|map| map.iter_mut()) {
        if let (true, Some(found)) = (value.is_null(), context.environment.get(name)) {
            value.value = Value::Text(found.clone());
            if report.remembers() {
                let how = How::Environment(context.scope);
                value.remember(how, Node::new(value.at, Value::Null));
            }
        }
    }
}
