//! `env_file` and `label_file`: variables and labels from files, folded into the service.

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use super::dotenv;
use super::files::{Error, read};
use super::place::Place;
use crate::path::Path;
use crate::problem::Code;
use crate::project::Project;
use crate::report::Report;
use crate::source::{Position, Sources};
use crate::tree::{Map, Node, Value};

/// Folds the files of every enabled service into its environment and labels.
pub(super) fn fold(
    project: &mut Project,
    tree: &Node,
    environment: &BTreeMap<String, String>,
    (sources, report): (&mut Sources, &mut Report),
) {
    let services = Place(tree).0.as_map().and_then(|map| map.map("services"));
    let root = Path::ROOT;
    let services_path = root.key("services");
    for (name, service) in &mut project.services {
        let Some(map) = services.and_then(|services| services.map(name)) else { continue };
        let path = services_path.key(name);
        let own = service.environment.clone();
        let lookup = |variable: &str| {
            environment.get(variable).cloned().or_else(|| own.get(variable).cloned().flatten())
        };
        let mut reader = Reader { lookup: &lookup, sources, report };
        let variables = reader.env_files(map, &path.key("env_file"));
        let labels = reader.label_files(map, &path.key("label_file"));
        let mut folded: BTreeMap<String, Option<String>> =
            variables.into_iter().map(|(name, value)| (name, Some(value))).collect();
        folded.append(&mut service.environment);
        service.environment = folded;
        let mut labels: BTreeMap<String, String> = labels;
        labels.append(&mut service.labels);
        service.labels = labels;
    }
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    sources: &'a mut Sources,
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
        self.lookup = &|_| None;
        for (index, file) in service.list("label_file").iter().enumerate() {
            self.file(file, (false, false), &path.index(index), &mut labels);
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
        let name = FilePath::new(name);
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
        if let Err(wrong) = parse(&text, variables, self.lookup) {
            let at = Position { file: self.sources.add(name, text), line: wrong.line, column: 1 };
            self.report
                .error(at, path, wrong.message)
                .code(Code::ENV_FILE)
                .related(file.at, "the file is named here")
                .hint("each line is NAME=value; quote values that span lines");
        }
    }
}
