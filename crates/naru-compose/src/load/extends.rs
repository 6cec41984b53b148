//! `extends`: a service that says only what is different from another one.

use std::collections::HashMap;
use std::path::{Path as FilePath, PathBuf};

use super::files::join;
use super::model::{self, Context};
use super::request::State;
use super::{paths, reset};
use crate::canonical::canonicalize;
use crate::merge::{merge, merge_service, unify};
use crate::path::Path;
use crate::problem::Code;
use crate::schema::{check, closest, extends_shape};
use crate::source::Position;
use crate::tree::{How, Map, Node, Value};

/// Where a service is defined.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// The file.
    pub(super) file: PathBuf,
    /// The directory that its paths are relative to.
    pub(super) directory: PathBuf,
}

/// The services of files that were read because something extends them.
#[derive(Debug, Default)]
pub(super) struct Bases(HashMap<PathBuf, Option<Map>>);

/// The services being resolved, outermost first, as file and name.
type Chain = Vec<(PathBuf, String)>;

/// Puts below every service of the document what it extends.
pub(super) fn apply(
    document: &mut Node,
    scope: &Scope,
    (context, resets): (&Context, &reset::Paths),
    (bases, state): (&mut Bases, &mut State),
) {
    let services = document.as_map_mut().and_then(|map| map.map_mut("services"));
    let Some(services) = services else { return };
    let mut resolver = Resolver { context, resets, bases, state, chain: Chain::new() };
    let names: Vec<String> = services.0.keys().cloned().collect();
    for name in names {
        resolver.resolve(services, &name, scope);
    }
}

struct Resolver<'a> {
    context: &'a Context,
    resets: &'a reset::Paths,
    bases: &'a mut Bases,
    state: &'a mut State,
    chain: Chain,
}

/// What `extends` says.
struct Target {
    service: String,
    file: Option<String>,
    at: Position,
}

impl Resolver<'_> {
    fn resolve(&mut self, services: &mut Map, name: &str, scope: &Scope) {
        let services_path = Path::ROOT.key("services");
        let service_path = services_path.key(name);
        let path = service_path.key("extends");
        let Some(service) = services.map_mut(name) else { return };
        let Some(target) = self.target(service, &path) else { return };
        let step = (scope.file.clone(), name.to_owned());
        if self.chain.contains(&step) {
            let names = self.chain.iter().map(|(_, name)| name.as_str());
            let names: Vec<&str> = names.chain([name]).collect();
            let message = format!("Circular reference: {}", names.join(" extends "));
            self.state.report.error(target.at, &path, message).code(Code::CYCLE);
            return Self::give_up(service);
        }
        self.chain.push(step);
        let base = match &target.file {
            Some(file) => self.read_base(file, &target, (scope, &path)),
            None => {
                self.resolve(services, &target.service, scope);
                let found = services.get(&target.service).cloned();
                if found.is_none() {
                    self.missing(&target, services, (&scope.file, &path));
                }
                found
            }
        };
        self.chain.pop();
        let Some(service) = services.get_mut(name) else { return };
        let Some(mut base) = base else {
            service.as_map_mut().into_iter().for_each(Self::give_up);
            return;
        };
        if self.chain.is_empty() {
            let taken = reset::apply_to_service(&mut base, name, self.resets);
            self.state.taken.extend(taken);
        }
        if self.state.report.keeps_everything() {
            let by = Node::text(target.at, target.service.as_str());
            base.remember_all(How::Extends, &by);
        }
        let own = std::mem::replace(service, base);
        let key = own.as_map().and_then(|map| map.get("extends")).map(|node| node.at);
        merge_service(service, own, name, &mut self.state.report);
        if let (Some(map), Some(_)) = (service.as_map_mut(), key) {
            map.remove("extends");
        }
    }

    /// Leaves a mark that makes later phases pass the service over.
    fn give_up(service: &mut Map) {
        if let Some(extends) = service.get_mut("extends") {
            extends.value = Value::Broken;
        }
    }

    fn target(&mut self, service: &mut Map, path: &Path) -> Option<Target> {
        let extends = service.get_mut("extends").filter(|extends| !extends.is_broken())?;
        check(extends, extends_shape(), path, &mut self.state.report);
        let at = extends.at;
        if let Some(name) = extends.as_text() {
            return Some(Target { service: name.to_owned(), file: None, at });
        }
        let map = extends.as_map()?;
        let at = map.get("service").map_or(at, |service| service.at);
        let file = map.text("file").map(str::to_owned);
        Some(Target { service: map.text("service")?.to_owned(), file, at })
    }

    fn read_base(
        &mut self,
        file: &str,
        target: &Target,
        (scope, path): (&Scope, &Path),
    ) -> Option<Node> {
        let file = join(&scope.directory, FilePath::new(file));
        let directory = file.parent().map(FilePath::to_owned).unwrap_or_default();
        let inner = Scope { file: file.clone(), directory: directory.clone() };
        let mut services = self.services_of(&file, target.at, path)?;
        if !services.has(&target.service) {
            self.missing(target, &services, (&file, path));
            return None;
        }
        self.resolve(&mut services, &target.service, &inner);
        let mut service = services.remove(&target.service)?;
        self.make_canonical(&mut service, &target.service, &directory);
        Some(service)
    }

    /// The services of a file as it says them, with variables replaced.
    fn services_of(&mut self, file: &FilePath, at: Position, path: &Path) -> Option<Map> {
        if let Some(known) = self.bases.0.get(file) {
            return known.clone();
        }
        let services = self.read_services(file, at, path);
        self.bases.0.insert(file.to_owned(), services.clone());
        services
    }

    fn read_services(&mut self, file: &FilePath, at: Position, path: &Path) -> Option<Map> {
        let read = model::read_named(file, (at, path), self.state)?;
        let mut tree = Node::empty_map(at);
        for mut document in read.documents {
            model::prepare(&mut document, self.context, self.state);
            let resets = reset::collect(&mut document);
            self.state.taken.extend(reset::apply(&mut tree, &resets));
            merge(&mut tree, document, &mut self.state.report);
        }
        let services = tree.as_map_mut().and_then(|map| map.remove("services"));
        match services.map(|node| node.value) {
            Some(Value::Map(services)) => Some(services),
            _ => {
                let message = format!("{} has no services", file.display());
                self.state.report.error(at, path, message).code(Code::EXTENDS);
                None
            }
        }
    }

    /// Brings a service of another file into its long form, with absolute paths.
    fn make_canonical(&mut self, service: &mut Node, name: &str, directory: &FilePath) {
        let at = service.at;
        let own = std::mem::replace(service, Node::empty_map(at));
        let (mut services, mut top) = (Map::default(), Map::default());
        services.set(name, own);
        top.set("services", Node::new(at, Value::Map(services)));
        let mut tree = Node::new(at, Value::Map(top));
        unify(&mut tree, &mut self.state.report);
        canonicalize(&mut tree, &mut self.state.budget, &mut self.state.report);
        if let Some(base) = self.context.base(directory, self.state.skip) {
            paths::resolve(&mut tree, &base, self.context.home.as_deref());
        }
        let services = tree.as_map_mut().and_then(|map| map.map_mut("services"));
        if let Some(own) = services.and_then(|map| map.remove(name)) {
            *service = own;
        }
    }

    fn missing(&mut self, target: &Target, services: &Map, (file, path): (&FilePath, &Path)) {
        let name = &target.service;
        let message = format!("there is no service `{name}` in {}", file.display());
        let finding = self.state.report.error(target.at, path, message).code(Code::EXTENDS);
        if let Some(similar) = closest(name, services.0.keys().map(String::as_str)) {
            finding.hint(format!("did you mean `{similar}`?"));
        }
    }
}
