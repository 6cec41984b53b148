//! Which variables a text uses, and what became of each.

use super::Lookup;
use super::template::{Braced, Operator, closing_brace, name};

/// Templates nested deeper than this are not looked at.
const DEPTH_LIMIT: usize = 50;

/// One use of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    /// The variable.
    pub(crate) name: String,
    /// What stands for it.
    pub(crate) outcome: Outcome,
}

/// What stands for a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its value.
    Value,
    /// The default of `${V:-default}`, as it is written.
    Default(String),
    /// The alternative of `${V:+alternative}`, as it is written.
    Alternative(String),
    /// Nothing, since it has no value.
    Nothing,
}

/// The variables that decide about the value of a text, in its order. Those in branches that are
/// not taken are left out.
pub(crate) fn uses(template: &str, lookup: Lookup<'_>) -> Vec<Use> {
    let mut found = Vec::new();
    walk(template, lookup, 0, &mut found);
    found
}

fn walk(template: &str, lookup: Lookup<'_>, depth: usize, found: &mut Vec<Use>) {
    let mut rest = template;
    while let Some(dollar) = rest.find('$') {
        let after = &rest[dollar + 1..];
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
        } else if after.starts_with('{') {
            let Some(end) = closing_brace(after).filter(|_| depth < DEPTH_LIMIT) else { return };
            let Some(braced) = Braced::new(&after[1..end]) else { return };
            braced_use(&braced, lookup, depth, found);
            rest = &after[end + 1..];
        } else {
            let name = name(after);
            if !name.is_empty() {
                let set = lookup(name).is_some();
                let outcome = if set { Outcome::Value } else { Outcome::Nothing };
                found.push(Use { name: name.to_owned(), outcome });
            }
            rest = &after[name.len()..];
        }
    }
}

fn braced_use(braced: &Braced<'_>, lookup: Lookup<'_>, depth: usize, found: &mut Vec<Use>) {
    let value = lookup(braced.name).filter(|value| !(braced.nonempty && value.is_empty()));
    let argument = braced.argument.to_owned();
    let (outcome, inner) = match (braced.operator, value.is_some()) {
        (Operator::Alternative, true) => (Outcome::Alternative(argument), true),
        (Operator::Default, false) => (Outcome::Default(argument), true),
        (_, true) => (Outcome::Value, false),
        (_, false) => (Outcome::Nothing, false),
    };
    found.push(Use { name: braced.name.to_owned(), outcome });
    if inner {
        walk(braced.argument, lookup, depth + 1, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_branches_that_are_taken_count() {
        let lookup = |name: &str| (name == "SET").then(|| "1".to_owned());
        let found = uses("$$X $SET ${A:-${B-x}} ${SET:-$C} ${SET:+yes} $D", &lookup);
        let found: Vec<_> = found.iter().map(|it| (it.name.as_str(), &it.outcome)).collect();
        let default = |text: &str| Outcome::Default(text.to_owned());
        assert_eq!(
            found,
            [
                ("SET", &Outcome::Value),
                ("A", &default("${B-x}")),
                ("B", &default("x")),
                ("SET", &Outcome::Value),
                ("SET", &Outcome::Alternative("yes".to_owned())),
                ("D", &Outcome::Nothing),
            ]
        );
    }
}
