//! Where the variables of a text have their values from.

use super::Origin;
use crate::interpolate::{Outcome, Use, uses};
use crate::load::{Loaded, PROJECT_NAME, definitions};
use crate::source::Position;

impl Loaded {
    /// What the variables in a text were replaced by, and where that is from.
    pub(super) fn variables(&self, template: &str, scope: u32) -> Vec<Origin> {
        let Some(known) = self.past.scopes.get(scope as usize) else { return Vec::new() };
        let lookup = |name: &str| known.environment.get(name).cloned();
        let mut found: Vec<Origin> =
            uses(template, &lookup).iter().map(|one| self.variable(one, scope)).collect();
        found.dedup();
        found
    }

    /// Where one variable has its value from, and what it is used for.
    fn variable(&self, Use { name, outcome }: &Use, scope: u32) -> Origin {
        let value = self.past.scopes[scope as usize].environment.get(name);
        let no_value = if value.is_some() { "is empty" } else { "is not set" };
        match outcome {
            Outcome::Nothing => {
                self.placeless(format!("variable {name} {no_value}: an empty text is used"))
            }
            Outcome::Default(text) => {
                self.placeless(format!("variable {name} {no_value}: its default `{text}` is used"))
            }
            Outcome::Value => self.value_of(name, scope, String::new()),
            Outcome::Alternative(text) => {
                self.value_of(name, scope, format!(", which makes it `{text}`"))
            }
        }
    }

    /// Where a variable that has a value has it from.
    pub(super) fn value_of(&self, name: &str, scope: u32, suffix: String) -> Origin {
        let value = self.past.scopes.get(scope as usize);
        let value = value.and_then(|scope| scope.environment.get(name)).cloned();
        let (source, at) = self.source_of(name, scope);
        let mut origin = self.placed(format!("variable {name} {source}{suffix}"), at);
        origin.value = value;
        origin
    }

    fn source_of(&self, name: &str, number: u32) -> (&'static str, Position) {
        let Some(scope) = self.past.scopes.get(number as usize) else {
            return ("", Position::NOWHERE);
        };
        let outer =
            scope.outer.and_then(|outer| Some((outer, self.past.scopes.get(outer as usize)?)));
        if let Some((outer, known)) = outer
            && known.environment.contains_key(name)
        {
            return self.source_of(name, outer);
        }
        if outer.is_none() && name == PROJECT_NAME {
            return ("is the project's name", Position::NOWHERE);
        }
        if outer.is_none() && self.past.shell.contains_key(name) {
            return ("is set in the environment of the command", Position::NOWHERE);
        }
        let mut files = scope.groups.iter().flat_map(|group| group.iter().rev());
        let at = files.find_map(|file| self.defined_in(name, *file));
        ("is set here", at.unwrap_or(Position::NOWHERE))
    }

    /// The last definition of a variable in an env file.
    fn defined_in(&self, name: &str, file: u32) -> Option<Position> {
        let found = definitions(self.sources.text(file), false);
        let last = found.into_iter().rfind(|definition| definition.name == name)?;
        Some(Position { file, line: last.line, column: last.column })
    }

    /// Something at a place.
    pub(super) fn placed(&self, message: impl Into<String>, at: Position) -> Origin {
        Origin {
            message: message.into(),
            value: None,
            location: self.sources.location(at),
            excerpt: self.sources.line(at).map(str::to_owned),
        }
    }

    /// Something that is in no file.
    pub(super) fn placeless(&self, message: impl Into<String>) -> Origin {
        self.placed(message, Position::NOWHERE)
    }
}
