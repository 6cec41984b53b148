//! One text with variables in it.
//!
//! `$V ${V} ${V:-d} ${V-d} ${V:?e} ${V?e} ${V:+a} ${V+a}`, nested in `d`, `e` and `a`; `$$` is a
//! dollar. Only the branch that is used is looked at.

use indexmap::IndexSet;

use super::Lookup;
use crate::load::Variable;

/// Templates nested deeper than this are refused.
const DEPTH_LIMIT: usize = 50;

/// Why a template has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not one of the forms; with the part that is wrong.
    Invalid(String),
    /// The result is longer than it may be.
    TooLong,
    /// `${V:?message}` and there is no value.
    Required {
        /// The variable.
        name: String,
        /// What the file says about it.
        message: String,
    },
}

/// The text with every variable replaced, at most `limit` bytes. `unset` gets the names that have
/// neither a value nor a default.
pub(crate) fn substitute(
    template: &str,
    lookup: Lookup<'_>,
    (unset, limit): (&mut Unset, usize),
) -> Result<String, Fault> {
    expand(template, lookup, unset, Room { depth: 0, limit })
}

/// Names that have neither a value nor a default, each once.
pub(crate) type Unset = IndexSet<String>;

/// How deep a template is nested in others, and how many bytes its text may have.
#[derive(Clone, Copy)]
struct Room {
    depth: usize,
    limit: usize,
}

fn expand(
    template: &str,
    lookup: Lookup<'_>,
    unset: &mut Unset,
    room: Room,
) -> Result<String, Fault> {
    let mut result = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(dollar) = rest.find('$') {
        result.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if after.starts_with('{') {
            let end = closing_brace(after).filter(|_| room.depth < DEPTH_LIMIT);
            let end = end.ok_or_else(|| Fault::Invalid(rest[dollar..].to_owned()))?;
            let braced = Braced::new(&after[1..end])
                .ok_or_else(|| Fault::Invalid(rest[dollar..=dollar + 1 + end].to_owned()))?;
            result.push_str(&braced.value(lookup, unset, room)?);
            rest = &after[end + 1..];
        } else {
            let name = name(after);
            if name.is_empty() {
                result.push('$');
            } else {
                result.push_str(&look_up(name, lookup, unset));
            }
            rest = &after[name.len()..];
        }
        if result.len() > room.limit {
            return Err(Fault::TooLong);
        }
    }
    result.push_str(rest);
    Ok(result)
}

/// Calls `found` with every variable of a template, also those in defaults and messages, and with
/// what the template says about it. What is no valid template is passed over.
pub(crate) fn variables(template: &str, found: &mut dyn FnMut(&str, Variable)) {
    look_for_variables(template, found, 0);
}

fn look_for_variables(template: &str, found: &mut dyn FnMut(&str, Variable), depth: usize) {
    let mut rest = template;
    while let Some(dollar) = rest.find('$') {
        let after = &rest[dollar + 1..];
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
        } else if after.starts_with('{') {
            let Some(end) = closing_brace(after).filter(|_| depth < DEPTH_LIMIT) else { return };
            rest = &after[end + 1..];
            let Some(braced) = Braced::new(&after[1..end]) else { continue };
            found(braced.name, braced.variable());
            look_for_variables(braced.argument, found, depth + 1);
        } else {
            let name = name(after);
            if !name.is_empty() {
                found(name, Variable::default());
            }
            rest = &after[name.len()..];
        }
    }
}

/// The index of the brace that closes the one `text` starts with. As in docker compose, every
/// brace counts, and the character after an opening one is passed over.
pub(super) fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    let mut bytes = text.bytes().enumerate();
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'{' => {
                open += 1;
                // `${}` closes here, to be refused by its name.
                if index + 1 < text.len() && text.as_bytes()[index + 1] != b'}' {
                    bytes.next();
                }
            }
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

/// The longest name at the start of a text.
pub(super) fn name(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &text[..end] }
}

fn look_up(name: &str, lookup: Lookup<'_>, unset: &mut Unset) -> String {
    lookup(name).unwrap_or_else(|| {
        unset.insert(name.to_owned());
        String::new()
    })
}

/// What stands between braces.
pub(super) struct Braced<'a> {
    pub(super) name: &'a str,
    pub(super) operator: Operator,
    /// Whether an empty value counts as none.
    pub(super) nonempty: bool,
    pub(super) argument: &'a str,
}

#[derive(Clone, Copy)]
pub(super) enum Operator {
    Plain,
    Default,
    Required,
    Alternative,
}

impl<'a> Braced<'a> {
    pub(super) fn new(inner: &'a str) -> Option<Self> {
        let name = name(inner);
        if name.is_empty() || inner.contains('\n') {
            return None;
        }
        let rest = &inner[name.len()..];
        let (nonempty, rest) = match rest.strip_prefix(':') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let operator = match rest.bytes().next() {
            None if !nonempty => Operator::Plain,
            Some(b'-') => Operator::Default,
            Some(b'?') => Operator::Required,
            Some(b'+') => Operator::Alternative,
            _ => return None,
        };
        Some(Self { name, operator, nonempty, argument: rest.get(1..).unwrap_or("") })
    }

    /// What is said about the variable.
    fn variable(&self) -> Variable {
        let argument = || self.argument.to_owned();
        let mut variable = Variable::default();
        match self.operator {
            Operator::Plain => {}
            Operator::Default => variable.default = argument(),
            Operator::Required => variable.required = true,
            Operator::Alternative => variable.alternative = argument(),
        }
        variable
    }

    fn value(&self, lookup: Lookup<'_>, unset: &mut Unset, room: Room) -> Result<String, Fault> {
        let value = lookup(self.name).filter(|value| !(self.nonempty && value.is_empty()));
        let mut argument =
            || expand(self.argument, lookup, unset, Room { depth: room.depth + 1, ..room });
        match (self.operator, value) {
            (Operator::Plain, _) => Ok(look_up(self.name, lookup, unset)),
            (Operator::Alternative, Some(_)) | (Operator::Default, None) => argument(),
            (Operator::Alternative, None) => Ok(String::new()),
            (Operator::Required, None) => {
                Err(Fault::Required { name: self.name.to_owned(), message: argument()? })
            }
            (Operator::Default | Operator::Required, Some(value)) => Ok(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, expect: &str) {
        let lookup = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let found = match substitute(template, &lookup, (&mut Unset::new(), 1000)) {
            Ok(text) => text,
            Err(Fault::Invalid(part)) => format!("invalid: {part}"),
            Err(Fault::TooLong) => "too long".to_owned(),
            Err(Fault::Required { name, message }) => format!("required: {name}: {message}"),
        };
        assert_eq!(found, expect, "{template}");
    }

    #[test]
    fn every_operator_works_with_set_empty_and_unset_variables() {
        check("$SET ${SET} $$SET $SET$SET", "value value $SET valuevalue");
        check("${U:-d}|${EMPTY:-d}|${EMPTY-d}|${U-d}", "d|d||d");
        check("${SET:+a}|${EMPTY:+a}|${EMPTY+a}|${U+a}", "a||a|");
        check("${SET:?e}|${EMPTY?e}", "value|");
        check("${U:?must be set}", "required: U: must be set");
        check("${EMPTY:?}", "required: EMPTY: ");
    }

    #[test]
    fn arguments_are_templates_and_only_the_used_one_is_looked_at() {
        check("${U:-${V:-${W:-deep}}}", "deep");
        check("${U:-a:b-c?d+e}", "a:b-c?d+e");
        check("${SET:-${U:?x}}", "value");
        check("${U:?${SET}}", "required: U: value");
        check("${U:-$$x}", "$x");
    }

    #[test]
    fn braces_count_as_in_docker_compose() {
        check("${U:-{json}}", "{json}");
        check("${SET:-{json}}", "value");
        check("${SET:-a}}", "value}");
        check("${U:-a}b}", "ab}");
        check("${U:-{{.x}}}", "{{.x}}");
    }

    #[test]
    fn a_dollar_before_anything_else_stays() {
        for text in ["$", "$5", "$(cmd)", "$-", "a$", "$é", "${U:-$}"] {
            check(text, if text.starts_with("${") { "$" } else { text });
        }
    }

    #[test]
    fn a_result_that_would_be_too_long_is_refused() {
        check(&"$SET".repeat(201), "too long");
        check(&format!("${{U:-{}}}", "$SET".repeat(201)), "too long");
    }

    #[test]
    fn other_forms_are_invalid() {
        for text in ["${}", "${ V}", "${V }", "${1A}", "${V!}", "${V/a/b}", "${V:x}", "${#V}"] {
            check(text, &format!("invalid: {text}"));
        }
        check("${V[0]}", "invalid: ${V[0]}");
        check("x${", "invalid: ${");
        check("${U:-${1A}}", "invalid: ${1A}");
        check(&"${U:-".repeat(100_000), &format!("invalid: {}", "${U:-".repeat(100_000)));
    }
}
