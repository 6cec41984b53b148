//! Problems as the phases of the loader collect them: with places rather than texts.

use crate::lint::Silence;
use crate::path::Path;
use crate::problem::{Code, Problem, Related, Severity};
use crate::source::{Position, Sources};

/// The most problems that are kept; a file with more is not read to its end by anyone.
const LIMIT: usize = 200;

/// Steps of values' pasts that are kept when nobody asked for them: 2 MB at most.
const STEPS: usize = 10_000;

/// What the phases of the loader found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    /// Values may still have variables in them.
    templates: bool,
    spill: Option<Box<Finding>>,
    everything: bool,
    remembered: usize,
    scope: u32,
}

/// One problem, with its place.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    severity: Severity,
    code: Code,
    at: Position,
    path: String,
    message: String,
    hint: Option<String>,
    related: Vec<(Position, String)>,
}

impl Finding {
    /// A problem of this severity.
    pub(crate) fn new(severity: Severity, at: Position, path: &Path, message: String) -> Self {
        let path = path.to_string();
        let code = Code::WRONG_VALUE;
        Self { severity, code, at, path, message, hint: None, related: Vec::new() }
    }

    /// Says of which kind it is; [`Code::WRONG_VALUE`] otherwise.
    pub(crate) fn code(&mut self, code: Code) -> &mut Self {
        self.code = code;
        self
    }

    /// What is wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether it is not wanted.
    pub(crate) fn is_silenced(&self, silence: &Silence) -> bool {
        silence.covers(self.code, &self.path)
    }

    /// Adds what the reader can do.
    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds another place that has to do with it.
    pub(crate) fn related(&mut self, at: Position, label: impl Into<String>) -> &mut Self {
        self.related.push((at, label.into()));
        self
    }

    /// The problem with its line of text.
    pub(crate) fn into_problem(self, sources: &Sources) -> Problem {
        let related = self.related.into_iter().filter_map(|(at, label)| {
            let excerpt = sources.line(at).map(str::to_owned);
            sources.location(at).map(|location| Related { location, label, excerpt })
        });
        Problem {
            severity: self.severity,
            code: self.code,
            location: sources.location(self.at),
            excerpt: sources.line(self.at).map(str::to_owned),
            path: self.path,
            message: self.message,
            hint: self.hint,
            related: related.collect(),
        }
    }
}

/// That a variable is not set, in the words of docker compose.
pub(crate) fn unset(name: &str) -> String {
    format!("The \"{name}\" variable is not set. Defaulting to a blank string.")
}

impl Report {
    /// A report of a load whose values keep their whole past, which takes memory.
    pub(crate) fn keeping_everything(everything: bool) -> Self {
        Self { everything, ..Self::default() }
    }

    /// Whether every value keeps its whole past.
    pub(crate) fn keeps_everything(&self) -> bool {
        self.everything
    }

    /// Whether one more step of a value's past is kept. A few are kept in any case, for messages.
    pub(crate) fn remembers(&mut self) -> bool {
        self.remembered += 1;
        self.everything || self.remembered <= STEPS
    }

    /// The number of the scope in which variables are looked up.
    pub(crate) fn scope(&self) -> u32 {
        self.scope
    }

    /// From now on variables are looked up in this scope.
    pub(crate) fn enter(&mut self, scope: u32) {
        self.scope = scope;
    }

    /// Reports an error.
    pub(crate) fn error(
        &mut self,
        at: Position,
        path: &Path,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.push(Finding::new(Severity::Error, at, path, message.into()))
    }

    /// Reports a warning.
    pub(crate) fn warning(
        &mut self,
        at: Position,
        path: &Path,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.push(Finding::new(Severity::Warning, at, path, message.into()))
    }

    /// Takes back the warning that this variable is not set, and gives its place when it is the one of
    /// the text at `near`.
    pub(crate) fn withdraw_unset(&mut self, name: &str, near: Position) -> Option<Position> {
        let message = unset(name);
        let known = self.findings.iter().position(|finding| {
            let at = finding.at;
            finding.message == message && at.file == near.file && at.line >= near.line
        })?;
        Some(self.findings.remove(known).at)
    }

    /// Leaves out the warnings that are not wanted.
    pub(crate) fn silence(&mut self, silence: &Silence) {
        self.findings.retain(|finding| !finding.is_silenced(silence));
    }

    fn push(&mut self, finding: Finding) -> &mut Finding {
        if self.is_full() {
            return self.spill.insert(Box::new(finding));
        }
        let index = self.findings.len();
        self.findings.push(finding);
        &mut self.findings[index]
    }

    /// Says whether values may still have variables in them.
    pub(crate) fn allow_templates(&mut self, allowed: bool) {
        self.templates = allowed;
    }

    /// Whether values may still have variables in them.
    pub(crate) fn has_templates(&self) -> bool {
        self.templates
    }

    /// Whether this is a text of which the variables are not replaced, so that nothing can be
    /// said about it.
    pub(crate) fn is_template(&self, text: Option<&str>) -> bool {
        self.templates && text.is_some_and(|text| text.contains('$'))
    }

    /// Whether further problems are not kept.
    pub(crate) fn is_full(&self) -> bool {
        self.findings.len() >= LIMIT
    }

    /// Whether there is an error.
    pub(crate) fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Whether a warning with this message was reported.
    pub(crate) fn has_message(&self, message: &str) -> bool {
        self.findings.iter().any(|finding| finding.message == message)
    }

    /// The problems in the order of files and lines, each once.
    pub(crate) fn into_problems(mut self, sources: &Sources) -> Vec<Problem> {
        self.findings.sort_by_key(|finding| {
            let Position { file, line, column } = finding.at;
            (line == 0, file, line, column)
        });
        let problems = self.findings.into_iter().map(|finding| finding.into_problem(sources));
        let mut problems: Vec<Problem> = problems.collect();
        problems.dedup();
        problems
    }
}
