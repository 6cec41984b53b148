//! Problems as the phases of the loader collect them: with places rather than texts.

use std::collections::HashSet;

use crate::lint::Silence;
use crate::path::Path;
use crate::problem::{Code, Problem, Related, Severity};
use crate::source::{Position, Sources};

/// The most errors that are kept, and the most warnings; more are not read to their end by anyone.
const LIMIT: usize = 200;

/// Lines longer than this, in bytes, are not shown.
const EXCERPT_LIMIT: usize = 4096;

/// What is shown of a path, message or hint that is longer than this, in bytes.
const TEXT_LIMIT: usize = 1000;

/// Steps of values' pasts that are kept when nobody asked for them: 2 MB at most.
const STEPS: usize = 10_000;

/// What the phases of the loader found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    /// Values may still have variables in them.
    templates: bool,
    errors: usize,
    warnings: usize,
    /// The last of those that are not kept.
    spill: Option<Box<Finding>>,
    /// Variables whose absence was reported.
    unset: HashSet<String>,
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
    placed: bool,
}

impl Finding {
    /// A problem of this severity.
    pub(crate) fn new(severity: Severity, at: Position, path: &Path, message: String) -> Self {
        let path = shortened(path.to_string());
        let message = shortened(message);
        let code = Code::WRONG_VALUE;
        Self { severity, code, at, path, message, hint: None, related: Vec::new(), placed: false }
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

    /// The way to the attribute.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Where it is.
    pub(crate) fn at(&self) -> Position {
        self.at
    }

    /// The files that it names already.
    pub(crate) fn files(&self) -> impl Iterator<Item = u32> {
        self.related.iter().map(|(at, _)| at.file).chain([self.at.file])
    }

    /// Adds something to what the reader can do.
    pub(crate) fn add_hint(&mut self, more: &str) {
        match &mut self.hint {
            Some(hint) if hint.contains(more) => {}
            Some(hint) => *hint = format!("{hint}; {more}"),
            None => self.hint = Some(more.to_owned()),
        }
    }

    /// Whether it is not wanted.
    pub(crate) fn is_silenced(&self, silence: &Silence) -> bool {
        silence.covers(self.code, &self.path)
    }

    /// Adds what the reader can do.
    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(shortened(hint.into()));
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
            let excerpt = excerpt(sources, at);
            sources.location(at).map(|location| Related { location, label, excerpt })
        });
        Problem {
            severity: self.severity,
            code: self.code,
            location: sources.location(self.at),
            excerpt: excerpt(sources, self.at),
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

/// The line at a place, unless it is too long to be shown.
fn excerpt(sources: &Sources, at: Position) -> Option<String> {
    sources.line(at).filter(|line| line.len() <= EXCERPT_LIMIT).map(str::to_owned)
}

/// The start of a text that is too long to be read.
fn shortened(mut text: String) -> String {
    if text.len() > TEXT_LIMIT {
        text.truncate(text.floor_char_boundary(TEXT_LIMIT));
        text.push('…');
        text.shrink_to_fit();
    }
    text
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
        self.warnings = self.warnings.saturating_sub(1);
        Some(self.findings.remove(known).at)
    }

    /// The errors that were not asked for before, to add to them.
    pub(crate) fn unplaced_mut(&mut self) -> impl Iterator<Item = &mut Finding> {
        let new = self.findings.iter_mut().filter(|finding| !finding.placed);
        new.filter_map(|finding| {
            finding.placed = true;
            (finding.severity == Severity::Error).then_some(finding)
        })
    }

    /// Leaves out the warnings that are not wanted.
    pub(crate) fn silence(&mut self, silence: &Silence) {
        self.findings.retain(|finding| !finding.is_silenced(silence));
    }

    fn push(&mut self, finding: Finding) -> &mut Finding {
        let count = match finding.severity {
            Severity::Error => &mut self.errors,
            _ => &mut self.warnings,
        };
        *count += 1;
        if *count > LIMIT {
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

    /// Whether further errors are not kept.
    pub(crate) fn is_full(&self) -> bool {
        self.errors >= LIMIT
    }

    /// Whether there is an error.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether it is to be reported that this variable is not set: once for each variable.
    pub(crate) fn is_news(&mut self, variable: &str) -> bool {
        self.warnings < LIMIT && self.unset.insert(variable.to_owned())
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
