//! The texts that were read, and places in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A place in a file that was read. Line 0 means "no place", for values that naru made itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Index into [`Sources`].
    pub(crate) file: u32,
    /// Line, counted from 1.
    pub(crate) line: u32,
    /// Column in characters, counted from 1.
    pub(crate) column: u32,
}

impl Position {
    /// No place at all.
    pub(crate) const NOWHERE: Self = Self { file: 0, line: 0, column: 0 };
}

/// A place in a file, for people and editors.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Location {
    /// The file, relative to the working directory when it is inside; `-` for standard input.
    pub file: PathBuf,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
}

/// Every text that was read for one project.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    working_directory: PathBuf,
    files: Vec<(PathBuf, String)>,
    readers: BTreeMap<u32, Position>,
}

impl Sources {
    /// No texts yet; names are shown relative to `working_directory`.
    pub(crate) fn new(working_directory: &Path) -> Self {
        Self {
            working_directory: working_directory.to_owned(),
            files: Vec::new(),
            readers: BTreeMap::new(),
        }
    }

    /// Keeps a text and gives the number by which positions name it.
    pub(crate) fn add(&mut self, path: &Path, text: String) -> u32 {
        self.files.push((path.to_owned(), text));
        u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX)
    }

    /// Notes which place of another file the last text was read for.
    pub(crate) fn name_reader(&mut self, at: Position) {
        if let Some(last) = self.files.len().checked_sub(1) {
            self.readers.insert(u32::try_from(last).unwrap_or(u32::MAX), at);
        }
    }

    /// The place that a text was read for: in an `include`, an `extends` or an `env_file`.
    pub(crate) fn reader(&self, file: u32) -> Option<Position> {
        self.readers.get(&file).copied()
    }

    /// The text with this number.
    pub(crate) fn text(&self, file: u32) -> &str {
        self.files.get(file as usize).map_or("", |(_, text)| text)
    }

    /// The number of the last text of this path; 0 when there is none.
    pub(crate) fn number(&self, path: &Path) -> u32 {
        let index = self.files.iter().rposition(|(other, _)| other == path);
        index.and_then(|index| u32::try_from(index).ok()).unwrap_or(0)
    }

    /// The path of the text with this number.
    pub(crate) fn path(&self, file: u32) -> &Path {
        self.files.get(file as usize).map_or(Path::new(""), |(path, _)| path)
    }

    /// The place as people see it.
    pub(crate) fn location(&self, at: Position) -> Option<Location> {
        (at.line > 0).then(|| Location {
            file: self.shown(self.path(at.file)),
            line: at.line,
            column: at.column,
        })
    }

    /// The line of text at a place.
    pub(crate) fn line(&self, at: Position) -> Option<&str> {
        let index = (at.line as usize).checked_sub(1)?;
        self.text(at.file).lines().nth(index)
    }

    /// The number of the text that is shown under this name.
    pub(crate) fn shown_number(&self, shown: &Path) -> Option<u32> {
        let index = self.files.iter().position(|(path, _)| self.shown(path) == shown)?;
        u32::try_from(index).ok()
    }

    /// A path as people see it.
    pub(crate) fn name(&self, path: &Path) -> String {
        self.shown(path).display().to_string()
    }

    fn shown(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.working_directory).unwrap_or(path).to_owned()
    }
}
