//! `extends`: a service that says only what is different from another one.

use std::collections::HashMap;
use std::path::{Path as FilePath, PathBuf};
use std::rc::Rc;

use super::files::{join, real};
use super::model::{self, Context};
use super::request::State;
use super::{paths, reset};
use crate::budget;
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

/// Chains of services that extend each other are not longer than this.
const DEPTH_LIMIT: usize = 500;

/// The services of files that were read because something extends them.
#[derive(Debug, Default)]
pub(super) struct Bases {
    /// As the files say them; `None` for a file that cannot be used.
    files: HashMap<PathBuf, Option<Rc<Map>>>,
    /// With what they extend; `None` when that is not possible.
    done: HashMap<(PathBuf, String), Rc<Option<Node>>>,
}

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
    file_at: Position,
}

impl Resolver<'_> {
    /// Puts below a service of the document what it extends.
    fn resolve(&mut self, services: &mut Map, name: &str, scope: &Scope) {
        let services_path = Path::ROOT.key("services");
        let service_path = services_path.key(name);
        let path = service_path.key("extends");
        let Some(service) = services.map_mut(name) else { return };
        let Some(target) = self.target(service, &path) else { return };
        if !self.enter(&scope.file, name, (target.at, &path)) {
            return Self::give_up(service);
        }
        let base = match &target.file {
            Some(file) => self.read_base(file, &target, (scope, &path)),
            None => {
                self.resolve(services, &target.service, scope);
                match services.get(&target.service) {
                    Some(base) => self.copy(base, (target.at, &path)),
                    None => {
                        self.missing(&target, services, (&scope.file, &path));
                        None
                    }
                }
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
        self.remember(&mut base, &target);
        let own = std::mem::replace(service, base);
        merge_service(service, own, name, &mut self.state.report);
        service.as_map_mut().and_then(|map| map.remove("extends"));
    }

    /// A service of another file with what it extends put below it, not in its long form yet.
    fn base(&mut self, file: &FilePath, target: &Target, at: &Path) -> Option<Node> {
        let name = target.service.as_str();
        let step = (file.to_owned(), name.to_owned());
        if let Some(done) = self.bases.done.get(&step) {
            let done = Rc::clone(done);
            return self.copy(done.as_ref().as_ref()?, (target.at, at));
        }
        let services = self.services_of(file, target.file_at, at)?;
        let Some(own) = services.get(name) else {
            self.missing(target, &services, (file, at));
            return None;
        };
        let mut service = self.copy(own, (target.at, at))?;
        let services_path = Path::ROOT.key("services");
        let path = services_path.key(name);
        let path = path.key("extends");
        let deeper = service.as_map_mut().and_then(|map| self.target(map, &path));
        let service = match deeper {
            None => Some(service),
            Some(deeper) if self.enter(file, name, (deeper.at, &path)) => {
                let directory = file.parent().map(FilePath::to_owned).unwrap_or_default();
                let scope = Scope { file: file.to_owned(), directory };
                let base = match &deeper.file {
                    Some(other) => self.read_base(other, &deeper, (&scope, &path)),
                    None => self.base(file, &deeper, &path),
                };
                self.chain.pop();
                base.map(|mut base| {
                    self.remember(&mut base, &deeper);
                    merge_service(&mut base, service, name, &mut self.state.report);
                    base.as_map_mut().and_then(|map| map.remove("extends"));
                    base
                })
            }
            Some(_) => None,
        };
        let kept = service.as_ref().and_then(|service| self.copy(service, (target.at, at)));
        self.bases.done.insert(step, Rc::new(kept));
        service
    }

    /// Notes that this service is being resolved. False when it is already, or too many are, which
    /// is reported.
    fn enter(&mut self, file: &FilePath, name: &str, (at, path): (Position, &Path)) -> bool {
        let step = (real(file), name.to_owned());
        let (message, code) = if self.chain.contains(&step) {
            let names = self.chain.iter().map(|(_, name)| name.as_str());
            let names: Vec<&str> = names.chain([name]).collect();
            (format!("Circular reference: {}", names.join(" extends ")), Code::CYCLE)
        } else if self.chain.len() >= DEPTH_LIMIT {
            (format!("more than {DEPTH_LIMIT} services extend each other"), Code::LIMIT)
        } else {
            self.chain.push(step);
            return true;
        };
        let finding = self.state.report.error(at, path, message).code(code);
        finding.hint("remove one of these `extends`");
        self.state.incomplete = true;
        false
    }

    /// Notes in every value of a base that it comes from there.
    fn remember(&self, base: &mut Node, target: &Target) {
        if self.state.report.keeps_everything() {
            base.remember_all(How::Extends, &Node::text(target.at, target.service.as_str()));
        }
    }

    /// A copy of a service, which has to be paid for.
    fn copy(&mut self, service: &Node, (at, path): (Position, &Path)) -> Option<Node> {
        let State { budget, report, .. } = &mut *self.state;
        budget.pay(budget::weight(service), at, path, report).then(|| service.clone())
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
            return Some(Target { service: name.to_owned(), file: None, at, file_at: at });
        }
        let map = extends.as_map()?;
        let at = map.get("service").map_or(at, |service| service.at);
        let file_at = map.get("file").map_or(at, |file| file.at);
        let file = map.text("file").map(str::to_owned);
        Some(Target { service: map.text("service")?.to_owned(), file, at, file_at })
    }

    fn read_base(
        &mut self,
        file: &str,
        target: &Target,
        (scope, path): (&Scope, &Path),
    ) -> Option<Node> {
        if model::is_remote(file, (target.at, path), self.state) {
            return None;
        }
        let file = join(&scope.directory, FilePath::new(file));
        let mut service = self.base(&file, target, path)?;
        let directory = file.parent().map(FilePath::to_owned).unwrap_or_default();
        self.make_canonical(&mut service, &target.service, &directory);
        Some(service)
    }

    /// The services of a file as it says them, with variables replaced.
    fn services_of(&mut self, file: &FilePath, at: Position, path: &Path) -> Option<Rc<Map>> {
        if let Some(known) = self.bases.files.get(file) {
            return known.clone();
        }
        let services = self.read_services(file, at, path).map(Rc::new);
        self.bases.files.insert(file.to_owned(), services.clone());
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
                let finding = self.state.report.error(at, path, message).code(Code::EXTENDS);
                finding.hint("write the service below `services:` there, or name another file");
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
        } else {
            finding.hint("name one of its services");
        }
    }
}
