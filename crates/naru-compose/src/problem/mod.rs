//! Problems as the reader sees them: cause, place, line of text, hint.

mod code;
mod excerpt;
mod json;

use std::fmt;

pub use code::Code;
pub(crate) use excerpt::around as excerpt_around;

use crate::source::Location;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something naru does as docker compose does, and that may be unexpected.
    Note,
    /// Probably a mistake, but the project can be used.
    Warning,
    /// The project cannot be used.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One problem of a project's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The stable name of its kind.
    pub code: Code,
    /// Where it is; absent when it is in no file.
    pub location: Option<Location>,
    /// The way to the attribute, such as `services.web.ports[0]`; empty when there is none.
    pub path: String,
    /// What is wrong, in one sentence or more.
    pub message: String,
    /// What the reader can do.
    pub hint: Option<String>,
    /// The line of text at the place.
    pub excerpt: Option<String>,
    /// Other places that have to do with it, such as an earlier definition.
    pub related: Vec<Related>,
}

/// Another place that has to do with a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// The place.
    pub location: Location,
    /// What is there.
    pub label: String,
    /// The line of text at the place.
    pub excerpt: Option<String>,
}

impl Problem {
    /// An error without a place in a file.
    pub(crate) fn without_place(code: Code, message: String, hint: Option<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            location: None,
            path: String::new(),
            message,
            hint,
            excerpt: None,
            related: Vec::new(),
        }
    }

    /// The column after the last character that the problem is about, on the line of its place: the
    /// end of the word or quoted text there. `None` without a place.
    #[must_use]
    pub fn end_column(&self) -> Option<u32> {
        let column = self.location.as_ref()?.column;
        let rest = self.excerpt.as_deref().map_or("", |line| after(line, column));
        let length = u32::try_from(excerpt::extent(rest)).unwrap_or(1);
        Some(column + length)
    }
}

/// The text of a line from a column on, counted from 1.
fn after(line: &str, column: u32) -> &str {
    let skipped = (column as usize).saturating_sub(1);
    line.char_indices().nth(skipped).map_or("", |(start, _)| &line[start..])
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.severity {
            Severity::Error => write!(f, "{}: {}", self.severity, self.message)?,
            // What can be silenced shows the name that silences it.
            _ => write!(f, "{}: {} [{}]", self.severity, self.message, self.code)?,
        }
        if let Some(Location { file, line, column }) = &self.location {
            write!(f, "\n  --> {}:{line}:{column}", file.display())?;
            if let (Some(text), Some(end)) = (&self.excerpt, self.end_column()) {
                let length = end.saturating_sub(*column) as usize;
                let (text, before, marks) = excerpt::around(text, *column as usize - 1, length);
                let number = line.to_string();
                let margin = " ".repeat(number.len());
                write!(f, "\n {margin} |\n {number} | {text}\n {margin} | {before}{marks}")?;
            }
        }
        for Related { location: Location { file, line, column }, label, excerpt } in &self.related {
            write!(f, "\n  --> {}:{line}:{column}: {label}", file.display())?;
            if let Some(text) = excerpt {
                let (text, ..) = excerpt::around(text, *column as usize - 1, 1);
                write!(f, "\n {line} | {text}")?;
            }
        }
        if !self.path.is_empty() {
            write!(f, "\n  in {}", self.path)?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Why a project cannot be used: at least one error, and the warnings found on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
