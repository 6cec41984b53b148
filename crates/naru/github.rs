//! Annotations of GitHub Actions: lines on the job's output that its page shows beside the file they name. They are
//! written when GITHUB_ACTIONS is `true`, as GitHub's runners set it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use naru_compose::Location;

use crate::ui::Printer;

/// Where annotations are wanted.
#[derive(Debug, Clone)]
pub(crate) struct GitHub {
    /// The repository's folder, which files are named from.
    workspace: Option<PathBuf>,
}

/// One failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Annotation {
    /// Where it is in the Compose files, if it is.
    pub(crate) place: Option<Location>,
    /// What is wrong.
    pub(crate) message: String,
}

impl GitHub {
    /// The runner that this is a step of, if it is one.
    pub(crate) fn of(environment: &BTreeMap<String, String>) -> Option<Self> {
        let is_here = environment.get("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        let workspace = environment.get("GITHUB_WORKSPACE").map(PathBuf::from);
        is_here.then_some(Self { workspace })
    }

    /// Writes annotations to stderr, which the runner reads like stdout.
    pub(crate) fn annotate(&self, annotations: &[Annotation], printer: &Printer) {
        let directory = std::env::current_dir().unwrap_or_default();
        for annotation in annotations {
            printer.conversation(&self.line(annotation, &directory));
        }
    }

    fn line(&self, annotation: &Annotation, directory: &Path) -> String {
        let message = message(&annotation.message);
        let Some(Location { file, line, column }) = &annotation.place else {
            return format!("::error title=naru::{message}\n");
        };
        let file = directory.join(file);
        let workspace = self.workspace.as_ref();
        let file = workspace.and_then(|root| file.strip_prefix(root).ok()).unwrap_or(&file);
        let file = property(&file.display().to_string());
        format!("::error file={file},line={line},col={column},title=naru::{message}\n")
    }
}

/// The text of a workflow command: nothing in it ends the line or begins an escape.
fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of one: nothing in it ends the property either.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(place: Option<(&str, u32, u32)>, message: &str) -> String {
        let environment = [("GITHUB_ACTIONS", "true"), ("GITHUB_WORKSPACE", "/repo")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let github = GitHub::of(&environment.into()).unwrap();
        let place = place.map(|(file, line, column)| Location { file: file.into(), line, column });
        let annotation = Annotation { place, message: message.to_owned() };
        github.line(&annotation, Path::new("/repo/app"))
    }

    #[test]
    fn a_file_is_named_from_the_repository_and_nothing_ends_a_field_too_early() {
        assert_eq!(
            line(Some(("compose.yaml", 3, 5)), "a: 100 %\nb"),
            "::error file=app/compose.yaml,line=3,col=5,title=naru::a: 100 %25%0Ab\n"
        );
        assert_eq!(
            line(Some(("/else/a,b:c%.yaml", 1, 1)), "x\r"),
            "::error file=/else/a%2Cb%3Ac%25.yaml,line=1,col=1,title=naru::x%0D\n"
        );
        assert_eq!(line(None, "::error::no"), "::error title=naru::::error::no\n");
    }

    #[test]
    fn only_a_runner_of_github_gets_them() {
        assert!(GitHub::of(&BTreeMap::new()).is_none());
        let off = BTreeMap::from([("GITHUB_ACTIONS".to_owned(), "false".to_owned())]);
        assert!(GitHub::of(&off).is_none());
    }
}
