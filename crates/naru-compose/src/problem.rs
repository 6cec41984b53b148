//! Problems as the reader sees them: cause, place, line of text, hint.

use std::fmt;

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
}

impl Problem {
    /// An error without a place in a file.
    pub(crate) fn without_place(message: String, hint: Option<String>) -> Self {
        Self {
            severity: Severity::Error,
            location: None,
            path: String::new(),
            message,
            hint,
            excerpt: None,
            related: Vec::new(),
        }
    }

    /// The marks under the excerpt: from the place to the end of the word or quoted text.
    fn carets(&self, column: u32) -> String {
        let rest = self.excerpt.iter().flat_map(|line| line.chars().skip(column as usize - 1));
        let rest: Vec<char> = rest.collect();
        let length = match rest.first() {
            Some(quote @ ('"' | '\'')) => {
                rest.iter().skip(1).position(|c| c == quote).map_or(1, |end| end + 2)
            }
            _ => rest.iter().take_while(|c| !matches!(c, ' ' | ',' | ']' | '}' | '#')).count(),
        };
        let length =
            if rest.get(length.wrapping_sub(1)) == Some(&':') { length - 1 } else { length };
        "^".repeat(length.max(1))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.message)?;
        if let Some(Location { file, line, column }) = &self.location {
            write!(f, "\n  --> {}:{line}:{column}", file.display())?;
            if let Some(excerpt) = &self.excerpt {
                let number = line.to_string();
                let margin = " ".repeat(number.len());
                let indent: String = excerpt
                    .chars()
                    .take(*column as usize - 1)
                    .map(|c| if c == '\t' { '\t' } else { ' ' })
                    .collect();
                let carets = self.carets(*column);
                write!(f, "\n {margin} |\n {number} | {excerpt}\n {margin} | {indent}{carets}")?;
            }
        }
        for Related { location: Location { file, line, column }, label } in &self.related {
            write!(f, "\n  --> {}:{line}:{column}: {label}", file.display())?;
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
