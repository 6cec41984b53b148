//! Explanations as people read them.

use std::fmt;

use serde_json::Value;

use super::{Explained, Explanation, Origin};
use crate::problem::excerpt_around;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.values.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            value.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(Value::String(text)) if !text.is_empty() && !text.contains('\n') => {
                write!(f, "{}: {text}", self.path)?;
            }
            Some(value) => write!(f, "{}: {value}", self.path)?,
            None => write!(f, "{}: no value", self.path)?,
        }
        line(f, "from", &self.from)?;
        for origin in &self.with {
            line(f, "with", origin)?;
        }
        for origin in &self.lost {
            line(f, "lost", origin)?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, label: &str, origin: &Origin) -> fmt::Result {
    write!(f, "\n  {label} ")?;
    if let Some(location) = &origin.location {
        write!(f, "{}:{}:{}: ", location.file.display(), location.line, location.column)?;
    }
    f.write_str(&origin.message)?;
    if let Some(value) = &origin.value {
        // A value that is a line of its own is seen in the excerpt.
        write!(f, " (`{}`)", value.replace('\n', "\\n"))?;
    }
    if let (Some(location), Some(text)) = (&origin.location, &origin.excerpt) {
        let (text, ..) = excerpt_around(text, location.column as usize - 1, 1);
        write!(f, "\n    {} | {text}", location.line)?;
    }
    Ok(())
}
