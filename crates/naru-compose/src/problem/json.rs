//! Problems for editors and scripts.

use std::borrow::Cow;
use std::path::Path;

use serde::{Serialize, Serializer};

use super::{Problem, Problems, Related};

/// A problem as JSON. Lines and columns are counted from 1, columns in characters; the end is after
/// the last character. What does not apply is null.
#[derive(Serialize)]
struct Record<'a> {
    severity: String,
    code: &'static str,
    file: Option<Cow<'a, str>>,
    line: Option<u32>,
    column: Option<u32>,
    end_line: Option<u32>,
    end_column: Option<u32>,
    path: Option<&'a str>,
    message: &'a str,
    hint: Option<&'a str>,
    related: Vec<RelatedRecord<'a>>,
}

#[derive(Serialize)]
struct RelatedRecord<'a> {
    file: Cow<'a, str>,
    line: u32,
    column: u32,
    message: &'a str,
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let place = self.location.as_ref();
        let record = Record {
            severity: self.severity.to_string(),
            code: self.code.name(),
            file: place.map(|place| text(&place.file)),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            end_line: place.map(|place| place.line),
            end_column: self.end_column(),
            path: Some(self.path.as_str()).filter(|path| !path.is_empty()),
            message: &self.message,
            hint: self.hint.as_deref(),
            related: self.related.iter().map(related).collect(),
        };
        record.serialize(serializer)
    }
}

fn related(other: &Related) -> RelatedRecord<'_> {
    let place = &other.location;
    RelatedRecord {
        file: text(&place.file),
        line: place.line,
        column: place.column,
        message: &other.label,
    }
}

fn text(path: &Path) -> Cow<'_, str> {
    path.to_string_lossy()
}

impl Problems {
    /// `{"problems": [...]}`, one problem after the other: the form that docs/diagnostics.md describes.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct All<'a> {
            problems: &'a [Problem],
        }
        // Nothing in a problem can fail to become JSON.
        serde_json::to_string_pretty(&All { problems: &self.0 }).unwrap_or_default()
    }
}
