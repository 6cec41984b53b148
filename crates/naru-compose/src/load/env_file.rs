//! `env_file` and `label_file`: variables and labels from files, folded into the service.

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use super::dotenv;
use super::environment;
use super::files::{Error, join, read};
use super::place::Place;
use crate::budget::Budget;
use crate::lint::swallowed;
use crate::path::Path;
use crate::problem::Code;
use crate::project::Project;
use crate::report::Report;
use crate::source::Sources;
use crate::tree::{Map, Node, Value};

/// Folds the files of every enabled service into its environment and labels.
pub(super) fn fold(
    project: &mut Project,
    tree: &Node,
    environment: &BTreeMap<String, String>,
    (sources, budget, report): (&mut Sources, &mut Budget, &mut Report),
) -> BTreeMap<String, Folded> {
    let mut folded_files = BTreeMap::new();
    let directory = project.working_directory.clone();
    let services = Place(tree).0.as_map().and_then(|map| map.map("services"));
    let root = Path::ROOT;
    let services_path = root.key("services");
    for (name, service) in &mut project.services {
        let Some(map) = services.and_then(|services| services.map(name)) else { continue };
        if map.list("env_file").is_empty() && map.list("label_file").is_empty() {
            continue;
        }
        let path = services_path.key(name);
        let own = service.environment.clone();
        let lookup = |variable: &str| {
            environment.get(variable).cloned().or_else(|| own.get(variable).cloned().flatten())
        };
        let (lookup, directory) = (&lookup, &directory);
        let mut reader = Reader { read: Vec::new(), lookup, directory, sources, budget, report };
        let variables = reader.env_files(map, &path.key("env_file"));
        let variable_files = std::mem::take(&mut reader.read);
        let labels = reader.label_files(map, &path.key("label_file"));
        let files = Folded { variables: variable_files, labels: reader.read };
        let weight = dotenv::weight(&variables) + dotenv::weight(&labels);
        if !budget.pay(weight, Place(tree).of(&["services", name]), &path, report) {
            break;
        }
        if report.keeps_everything() {
            folded_files.insert(name.clone(), files);
        }
        let mut folded: BTreeMap<String, Option<String>> =
            variables.into_iter().map(|(name, value)| (name, Some(value))).collect();
        folded.append(&mut service.environment);
        service.environment = folded;
        let mut labels: BTreeMap<String, String> = labels;
        labels.append(&mut service.labels);
        service.labels = labels;
        service.env_file.clear();
        service.label_file.clear();
    }
    folded_files
}

/// The files that the variables and labels of a service come from, by their numbers, in the order in
/// which later ones win, and whether each is in the raw format.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folded {
    /// Of `env_file`.
    pub(crate) variables: Vec<(u32, bool)>,
    /// Of `label_file`.
    pub(crate) labels: Vec<(u32, bool)>,
}

struct Reader<'a> {
    read: Vec<(u32, bool)>,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// What paths that are still relative are in.
    directory: &'a FilePath,
    sources: &'a mut Sources,
    budget: &'a mut Budget,
    report: &'a mut Report,
}

impl Reader<'_> {
    fn env_files(&mut self, service: &Map, path: &Path) -> dotenv::Variables {
        let mut variables = dotenv::Variables::new();
        for (index, entry) in service.list("env_file").iter().enumerate() {
            let Some(map) = entry.as_map() else { continue };
            let Some(file) = map.get("path") else { continue };
            let optional =
                matches!(map.get("required").map(|node| &node.value), Some(Value::Bool(false)));
            let raw = match map.text("format").unwrap_or("") {
                "" => false,
                "raw" => true,
                other => {
                    let at = map.get("format").map_or(entry.at, |format| format.at);
                    let message = format!("`{other}` is not a format of env files");
                    let path = path.index(index);
                    self.report.error(at, &path.key("format"), message).hint("there is `raw`");
                    continue;
                }
            };
            self.file(file, (optional, raw), &path.index(index), &mut variables);
        }
        variables
    }

    fn label_files(&mut self, service: &Map, path: &Path) -> dotenv::Variables {
        let mut labels = dotenv::Variables::new();
        for (index, file) in service.list("label_file").iter().enumerate() {
            // What an earlier file says wins over what this one says before.
            let earlier = labels.clone();
            let lookup = |label: &str| earlier.get(label).cloned();
            let mut reader = Reader {
                read: std::mem::take(&mut self.read),
                lookup: &lookup,
                directory: self.directory,
                sources: &mut *self.sources,
                budget: &mut *self.budget,
                report: &mut *self.report,
            };
            reader.file(file, (false, false), &path.index(index), &mut labels);
            self.read = reader.read;
        }
        labels
    }

    fn file(
        &mut self,
        file: &Node,
        (optional, raw): (bool, bool),
        path: &Path,
        variables: &mut dotenv::Variables,
    ) {
        let Some(name) = file.as_text() else { return };
        let name = &join(self.directory, FilePath::new(name));
        let text = match read(name) {
            Ok(text) => text,
            Err(Error::Missing(_)) if optional => return,
            Err(error) => {
                let finding = self.report.error(file.at, path, error.to_string());
                finding.code(Code::FILE);
                if matches!(error, Error::Missing(_)) {
                    finding.hint("a file that may be missing is written with `required: false`");
                }
                return;
            }
        };
        let parse = if raw { dotenv::parse_raw } else { dotenv::parse };
        let wrong = parse(&text, variables, self.lookup);
        let dollars = !raw && text.contains('$');
        if wrong.is_empty() && !dollars && !self.report.keeps_everything() {
            return;
        }
        if !self.budget.pay(text.len(), file.at, path, self.report) {
            return;
        }
        let number = self.sources.add(name, text);
        self.sources.name_reader(file.at);
        self.read.push((number, raw));
        if dollars {
            let lookup = |name: &str| (self.lookup)(name).or_else(|| variables.get(name).cloned());
            swallowed(number, &lookup, (self.sources, self.report));
        }
        environment::refuse(&wrong, number, (path, file.at), self.report);
    }
}
