//! `.env` and `env_file`: the two formats of variables in files.

use std::collections::BTreeMap;

use crate::budget::VARIABLE;
use crate::interpolate::{Fault, Unset, substitute};

/// Variables by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// The bytes that the variables of all files read into one set may take.
const LIMIT: usize = 8 << 20;

const TOO_LARGE: &str = "these are too many variables, or too long ones: they need more than 8 MiB";

/// The bytes that variables take.
pub(crate) fn weight(variables: &Variables) -> usize {
    variables.iter().map(|(name, value)| VARIABLE + name.len() + value.len()).sum()
}

/// What is wrong in a file of variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Line, counted from 1.
    pub(crate) line: u32,
    /// Column in characters, counted from 1.
    pub(crate) column: u32,
    /// What it is.
    pub(crate) message: String,
}

/// The variables of a file in Compose's format, added to `variables`; `lookup` knows the
/// variables of the environment, which win in `${}` and give a bare name its value. Gives what is wrong.
pub(crate) fn parse(
    text: &str,
    variables: &mut Variables,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Vec<Wrong> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let mut cursor = Cursor { text: &text, rest: &text, line: 1 };
    let mut wrong = Vec::new();
    let mut size = weight(variables);
    while cursor.skip_to_statement() {
        if let Err(what) = statement(&mut cursor, (variables, &mut size), lookup) {
            wrong.push(what);
            if wrong.len() == WRONG_LIMIT {
                break;
            }
            cursor.advance(cursor.rest.find('\n').unwrap_or(cursor.rest.len()));
        }
        if size > LIMIT {
            wrong.push(cursor.wrong(TOO_LARGE));
            break;
        }
    }
    wrong
}

/// Nobody reads more mistakes of one file.
const WRONG_LIMIT: usize = 20;

fn statement(
    cursor: &mut Cursor<'_>,
    (variables, size): (&mut Variables, &mut usize),
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Wrong> {
    let (name, has_value) = cursor.name()?;
    if !has_value {
        if let Some(value) = lookup(&name) {
            variables.insert(name, value);
        }
        return Ok(());
    }
    let known = |name: &str| lookup(name).or_else(|| variables.get(name).cloned());
    let value = cursor.value(&known)?;
    *size += VARIABLE + name.len() + value.len();
    variables.insert(name, value);
    Ok(())
}

/// Where a file defines a variable, and what it says there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    /// The variable.
    pub(crate) name: String,
    /// Line, counted from 1.
    pub(crate) line: u32,
    /// Column in characters, counted from 1.
    pub(crate) column: u32,
    /// The value with variables in it as they stand there; nothing when the format has none.
    pub(crate) template: Option<String>,
}

/// Every definition of a file, in its order. A name without a value is none.
pub(crate) fn definitions(text: &str, raw: bool) -> Vec<Definition> {
    if raw {
        let named = text.lines().zip(1..).filter_map(|(line, number)| {
            let name = line.trim_start().split_once('=').map(|(name, _)| name)?;
            let template = None;
            (!name.starts_with('#')).then(|| Definition {
                name: name.to_owned(),
                line: number,
                column: 1,
                template,
            })
        });
        return named.collect();
    }
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let mut cursor = Cursor { text: &text, rest: &text, line: 1 };
    let mut definitions = Vec::new();
    while cursor.skip_to_statement() {
        let (line, column) = (cursor.line, cursor.column());
        let Ok((name, has_value)) = cursor.name() else { break };
        if !has_value {
            continue;
        }
        let before = cursor.rest;
        if cursor.value(&|_| None).is_err() {
            break;
        }
        let written = &before[..before.len() - cursor.rest.len()];
        let template = (!written.starts_with('\'')).then(|| written.to_owned());
        definitions.push(Definition { name, line, column, template });
    }
    definitions
}

/// The variables of a file in the format of `docker run --env-file`: no quotes, no `${}`. Gives what is
/// wrong.
pub(crate) fn parse_raw(
    text: &str,
    variables: &mut Variables,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Vec<Wrong> {
    let (mut wrong, mut size) = (Vec::new(), weight(variables));
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line, lookup(line)),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            let message = format!("`{name}` is not the name of a variable");
            wrong.push(Wrong { line: number, column: 1, message });
            continue;
        }
        if let Some(value) = value {
            size += VARIABLE + name.len() + value.len();
            if size > LIMIT {
                wrong.push(Wrong { line: number, column: 1, message: TOO_LARGE.to_owned() });
                break;
            }
            variables.insert(name.to_owned(), value);
        }
    }
    wrong.truncate(WRONG_LIMIT);
    wrong
}

struct Cursor<'t> {
    text: &'t str,
    rest: &'t str,
    line: u32,
}

impl<'t> Cursor<'t> {
    fn wrong(&self, message: impl Into<String>) -> Wrong {
        Wrong { line: self.line, column: self.column(), message: message.into() }
    }

    /// The column of what comes next.
    fn column(&self) -> u32 {
        let before = &self.text[..self.text.len() - self.rest.len()];
        let line = before.rsplit('\n').next().unwrap_or("");
        u32::try_from(line.chars().count()).unwrap_or(u32::MAX - 1) + 1
    }

    /// Goes over `count` bytes and gives them back.
    fn advance(&mut self, count: usize) -> &'t str {
        let (passed, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        self.line += u32::try_from(passed.matches('\n').count()).unwrap_or(0);
        passed
    }

    /// Goes over white space and comments. False at the end.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            let space = self.rest.len() - self.rest.trim_start().len();
            self.advance(space);
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    /// The name of the next variable, and whether a value follows.
    fn name(&mut self) -> Result<(String, bool), Wrong> {
        if let Some(rest) = self
            .rest
            .strip_prefix("export")
            .filter(|rest| rest.starts_with(|c: char| c.is_whitespace() && c != '\n'))
        {
            self.rest = rest.trim_start();
        }
        let end = self.rest.find(['=', ':', '\n']).unwrap_or(self.rest.len());
        let name = self.rest[..end].trim_end();
        let allowed = |c: char| c.is_alphanumeric() || "_.-[]".contains(c) || c.is_whitespace();
        if let Some(c) = name.chars().find(|c| !allowed(*c)) {
            return Err(self.wrong(format!("unexpected character `{c}` in the name of a variable")));
        }
        if name.contains(char::is_whitespace) {
            return Err(self.wrong(format!("the name `{name}` contains a space")));
        }
        if name.is_empty() {
            return Err(self.wrong("there is no name before the `=`"));
        }
        let has_value = matches!(self.rest.as_bytes().get(end), Some(b'=' | b':'));
        let name = name.to_owned();
        self.advance(end + 1);
        let space = self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\r']).len();
        self.advance(space);
        Ok((name, has_value))
    }

    fn value(&mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, Wrong> {
        match self.rest.bytes().next() {
            Some(quote @ (b'"' | b'\'')) => self.quoted(quote, lookup),
            _ => {
                let line = self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
                let value = line.split(" #").next().unwrap_or("").trim_end();
                self.expand(value, lookup)
            }
        }
    }

    fn quoted(
        &mut self,
        quote: u8,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, Wrong> {
        let quote = char::from(quote);
        let mut value = String::new();
        let mut escaped = false;
        for (index, c) in self.rest.char_indices().skip(1) {
            match c {
                _ if c == quote && escaped => value.push(c),
                _ if c == quote => {
                    let expanded =
                        if quote == '"' { self.expand(&unescape(&value), lookup)? } else { value };
                    self.advance(index + 1);
                    return Ok(expanded);
                }
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                _ if escaped => value.extend(['\\', c]),
                _ => value.push(c),
            }
            escaped = false;
        }
        let start = self.rest.lines().next().unwrap_or("");
        Err(self.wrong(format!("the quote of {start} is not closed")))
    }

    fn expand(&self, text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, Wrong> {
        substitute(text, lookup, (&mut Unset::new(), LIMIT)).map_err(|fault| match fault {
            Fault::TooLong => self.wrong(TOO_LARGE),
            Fault::Invalid(part) => self.wrong(format!("`{part}` is not a valid interpolation")),
            Fault::Required { name, message } => {
                self.wrong(format!("the required variable `{name}` is missing a value: {message}"))
            }
        })
    }
}

/// Replaces the escapes of a shell; `\$` becomes `$$`, which interpolation turns into a dollar.
fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            result.push(c);
            continue;
        }
        match chars.next() {
            Some('$') => result.push_str("$$"),
            Some('a') => result.push('\u{7}'),
            Some('b') => result.push('\u{8}'),
            Some('f') => result.push('\u{c}'),
            Some('n') => result.push('\n'),
            Some('r') => result.push('\r'),
            Some('t') => result.push('\t'),
            Some('v') => result.push('\u{b}'),
            Some(c @ ('"' | '\\')) => result.push(c),
            Some('0') => {
                let mut code = 0;
                for _ in 0..3 {
                    let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    chars.next();
                }
                result.extend(char::from_u32(code));
            }
            Some(c) => result.extend(['\\', c]),
            None => result.push('\\'),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        (name == "SHELL_SET").then(|| "shell".to_owned())
    }

    fn check(text: &str, expect: &[(&str, &str)]) {
        let mut variables = Variables::new();
        assert_eq!(parse(text, &mut variables, &lookup), []);
        let found: Vec<_> = variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, expect, "{text}");
    }

    fn check_wrong(text: &str, line: u32, message: &str) {
        let wrong = parse(text, &mut Variables::new(), &lookup);
        assert_eq!((wrong[0].line, wrong[0].message.as_str()), (line, message), "{text}");
    }

    #[test]
    fn values_without_quotes_end_with_the_line_or_a_comment() {
        check(
            "A=1\n# c\n B = two words  # c\nC: 3\nexport D=4#5\nE=\n",
            &[("A", "1"), ("B", "two words"), ("C", "3"), ("D", "4#5"), ("E", "")],
        );
    }

    #[test]
    fn single_quotes_are_literal_and_double_quotes_know_escapes() {
        check(
            "A='$X \\n'\nB=\"a\\nb \\\"c\\\" \\$X\" # c\nC=\"two\nlines\"\n",
            &[("A", "$X \\n"), ("B", "a\nb \"c\" $X"), ("C", "two\nlines")],
        );
    }

    #[test]
    fn variables_are_replaced_and_the_environment_wins() {
        check(
            "SHELL_SET=file\nA=$SHELL_SET-${B:-none}\nB=$$\nC=$A",
            &[("A", "shell-none"), ("B", "$"), ("C", "shell-none"), ("SHELL_SET", "file")],
        );
    }

    #[test]
    fn a_bare_name_takes_its_value_from_the_environment() {
        check("SHELL_SET\nUNSET\n", &[("SHELL_SET", "shell")]);
    }

    #[test]
    fn mistakes_are_reported_with_their_line() {
        check_wrong("A=1\nB C=2", 2, "the name `B C` contains a space");
        check_wrong("A=1\n\nB?=2", 3, "unexpected character `?` in the name of a variable");
        check_wrong("A=\"x", 1, "the quote of \"x is not closed");
        check_wrong("A=${", 1, "`${` is not a valid interpolation");
    }

    #[test]
    fn one_mistake_does_not_hide_the_next_one_nor_the_lines_between_them() {
        let mut variables = Variables::new();
        let wrong = parse("A B=1\nC=2\n  D?=3\nE=4", &mut variables, &lookup);
        let places: Vec<_> = wrong.iter().map(|wrong| (wrong.line, wrong.column)).collect();
        assert_eq!(places, [(1, 1), (3, 3)]);
        assert_eq!(variables.into_keys().collect::<Vec<_>>(), ["C", "E"]);
    }

    #[test]
    fn definitions_know_their_line_and_what_stands_there() {
        let text = "# c\nA=1\nB\n  export C=\"two\nlines $A\"\nD='$A'\n";
        let found = definitions(text, false);
        let found: Vec<_> =
            found.iter().map(|it| (it.name.as_str(), it.line, it.template.as_deref())).collect();
        let lines = Some("\"two\nlines $A\"");
        assert_eq!(found, [("A", 2, Some("1")), ("C", 4, lines), ("D", 6, None)]);
        let raw = definitions("#c=1\nA=$B\n", true);
        assert_eq!((raw.len(), raw[0].line, raw[0].template.as_deref()), (1, 2, None));
    }

    #[test]
    fn the_raw_format_takes_everything_after_the_first_equals_sign() {
        let mut variables = Variables::new();
        parse_raw("A='x' # y\n#c\nSHELL_SET\nB=$A=1\n", &mut variables, &lookup);
        let found: Vec<_> = variables.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(found, ["A='x' # y", "B=$A=1", "SHELL_SET=shell"]);
    }
}
